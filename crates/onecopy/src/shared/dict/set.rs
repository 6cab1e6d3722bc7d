//! `Set`: the keys of a dict.
#![forbid(unsafe_code)]

use super::super::error::ContainerError;
use super::super::reference::Reference;
use super::super::rust_value::Value;
use super::{Dict, DictError, DictKind, End, RawDict};
use crate::store::{Store, Token};

/// A set of values that all processes of a family see and change, in the order in which they were added.
///
/// Values are equal, and refused, as keys of a [`Dict`] are.
///
/// # Examples
/// ```
/// use onecopy::{Store, Value};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let set = Store::new()?.set()?;
/// assert!(set.insert(&Value::from("a"))?);
/// assert!(!set.insert(&Value::from("a"))?);
/// assert!(set.contains(&Value::from("a"))?);
/// assert!(set.remove(&Value::from("a"))?);
/// assert_eq!(set.len()?, 0);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Set(Dict);

impl Store {
    /// Makes an empty set.
    ///
    /// # Errors
    /// No memory for it.
    pub fn set(&self) -> Result<Set, ContainerError> {
        Ok(Set(Dict::of(RawDict::create(self, DictKind::Set)?)))
    }
}

impl Set {
    /// The dict whose keys these are; all its values are `None`.
    #[must_use]
    pub fn dict(&self) -> &Dict {
        &self.0
    }

    /// Turns a token into the set that it is of, in any process of the same user.
    ///
    /// # Errors
    /// It is gone, or what the token leads to is no dict.
    pub fn attach(token: &Token) -> Result<Self, ContainerError> {
        Ok(Self(Dict::attach(token)?))
    }

    /// The set that a reference is to, if it is to one.
    ///
    /// # Errors
    /// The set is damaged.
    pub fn of_reference(reference: &Reference) -> Result<Option<Self>, ContainerError> {
        let dict = Dict::of_reference(reference)?;
        Ok(dict
            .filter(|dict| dict.raw().kind() == DictKind::Set)
            .map(Self))
    }

    /// A reference to it, to be put into another container.
    #[must_use]
    pub fn reference(&self) -> Reference {
        self.0.reference()
    }

    /// A token for another process. It counts as an interest in the set until it is attached once.
    ///
    /// # Errors
    /// The store's table of tokens is full.
    pub fn token(&self) -> Result<Token, ContainerError> {
        self.0.token()
    }

    /// Values in it.
    ///
    /// # Errors
    /// The set is damaged.
    pub fn len(&self) -> Result<u64, DictError> {
        self.0.len()
    }

    /// Whether it is empty.
    ///
    /// # Errors
    /// The set is damaged.
    pub fn is_empty(&self) -> Result<bool, DictError> {
        self.0.is_empty()
    }

    /// Whether a value is in it.
    ///
    /// # Errors
    /// [`DictError::NoKey`], here and everywhere.
    pub fn contains(&self, value: &Value) -> Result<bool, DictError> {
        self.0.contains(value)
    }

    /// Adds a value; whether it is a new one.
    ///
    /// # Errors
    /// No memory.
    pub fn insert(&self, value: &Value) -> Result<bool, DictError> {
        Ok(self.0.set_default(value, &Value::None)?.is_none())
    }

    /// Adds many values: one step for up to 1,024 of them, and for any number if the set has at most four times as many.
    ///
    /// # Errors
    /// No memory.
    pub fn extend(&self, values: &[Value]) -> Result<(), DictError> {
        let items: Vec<_> = values
            .iter()
            .map(|value| (value.clone(), Value::None))
            .collect();
        self.0.update(&items)
    }

    /// Takes a value out; whether it was in it.
    ///
    /// # Errors
    /// The set is damaged.
    pub fn remove(&self, value: &Value) -> Result<bool, DictError> {
        self.0.delete(value)
    }

    /// Takes the first or the last value out, unless the set is empty.
    ///
    /// # Errors
    /// The set is damaged.
    pub fn pop(&self, end: End) -> Result<Option<Value>, DictError> {
        Ok(self.0.pop_item(end)?.map(|item| item.0))
    }

    /// Takes all values out.
    ///
    /// # Errors
    /// No memory for what an empty set needs.
    pub fn clear(&self) -> Result<(), DictError> {
        self.0.clear()
    }

    /// All values, of one moment.
    ///
    /// # Errors
    /// The set is damaged.
    pub fn to_vec(&self) -> Result<Vec<Value>, DictError> {
        self.0.keys()
    }

    /// Checks every invariant, under the lock.
    ///
    /// # Errors
    /// [`ContainerError::Corrupt`] with the place and the broken invariant.
    pub fn verify(&self) -> Result<(), DictError> {
        self.0.verify()
    }
}
