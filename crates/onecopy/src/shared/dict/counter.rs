//! `Counter`: a dict of counts.
#![forbid(unsafe_code)]

use super::super::error::ContainerError;
use super::super::reference::Reference;
use super::super::rust_value::Value;
use super::{Dict, DictError, DictKind, RawDict};
use crate::store::{Store, Token};

/// Counts of values that all processes of a family add to. What was never counted has the count 0.
///
/// Values are equal, and refused, as keys of a [`Dict`] are.
///
/// # Examples
/// ```
/// use onecopy::{Store, Value};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let counter = Store::new()?.counter()?;
/// for word in "to be or not to be or".split(' ') {
///     counter.add(&Value::from(word), 1)?;
/// }
/// assert_eq!(counter.get(&Value::from("to"))?, 2);
/// assert_eq!(counter.get(&Value::from("question"))?, 0);
/// assert_eq!(counter.most_common(1)?, [(Value::from("to"), 2)]);
/// assert_eq!(counter.total()?, 7);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Counter(Dict);

impl Store {
    /// Makes an empty counter.
    ///
    /// # Errors
    /// No memory for it.
    pub fn counter(&self) -> Result<Counter, ContainerError> {
        Ok(Counter(Dict::of(RawDict::create(self, DictKind::Counter)?)))
    }
}

impl Counter {
    /// The dict whose values are the counts.
    #[must_use]
    pub fn dict(&self) -> &Dict {
        &self.0
    }

    /// Turns a token into the counter that it is of, in any process of the same user.
    ///
    /// # Errors
    /// It is gone, or what the token leads to is no dict.
    pub fn attach(token: &Token) -> Result<Self, ContainerError> {
        Ok(Self(Dict::attach(token)?))
    }

    /// The counter that a reference is to, if it is to one.
    ///
    /// # Errors
    /// The counter is damaged.
    pub fn of_reference(reference: &Reference) -> Result<Option<Self>, ContainerError> {
        let dict = Dict::of_reference(reference)?;
        Ok(dict
            .filter(|dict| dict.raw().kind() == DictKind::Counter)
            .map(Self))
    }

    /// A reference to it, to be put into another container.
    #[must_use]
    pub fn reference(&self) -> Reference {
        self.0.reference()
    }

    /// A token for another process. It counts as an interest in the counter until it is attached once.
    ///
    /// # Errors
    /// The store's table of tokens is full.
    pub fn token(&self) -> Result<Token, ContainerError> {
        self.0.token()
    }

    /// Adds to a count; the sum.
    ///
    /// # Errors
    /// [`DictError::NoInt`] if the sum has more than 64 bits; it is added all the same. [`DictError::NoKey`].
    pub fn add(&self, value: &Value, amount: i64) -> Result<i64, DictError> {
        count_of(&self.0.add(value, &Value::Int(amount))?)
    }

    /// A count.
    ///
    /// # Errors
    /// [`DictError::NoInt`] if it has more than 64 bits.
    pub fn get(&self, value: &Value) -> Result<i64, DictError> {
        self.0.get(value)?.map_or(Ok(0), |count| count_of(&count))
    }

    /// Takes a count out; what it was.
    ///
    /// # Errors
    /// [`DictError::NoInt`] if it has more than 64 bits.
    pub fn take(&self, value: &Value) -> Result<i64, DictError> {
        self.0.pop(value)?.map_or(Ok(0), |count| count_of(&count))
    }

    /// Values that have a count, which may be 0.
    ///
    /// # Errors
    /// The counter is damaged.
    pub fn len(&self) -> Result<u64, DictError> {
        self.0.len()
    }

    /// Whether nothing has a count.
    ///
    /// # Errors
    /// The counter is damaged.
    pub fn is_empty(&self) -> Result<bool, DictError> {
        self.0.is_empty()
    }

    /// The `most` values with the largest counts, of one moment; of equal counts those that were counted first.
    ///
    /// # Errors
    /// [`DictError::NoInt`] if a count has more than 64 bits.
    pub fn most_common(&self, most: usize) -> Result<Vec<(Value, i64)>, DictError> {
        let mut counts = self.counts()?;
        counts.sort_by_key(|item| std::cmp::Reverse(item.1));
        counts.truncate(most);
        Ok(counts)
    }

    /// All counts, of one moment, in the order in which they began.
    ///
    /// # Errors
    /// [`DictError::NoInt`] if a count has more than 64 bits.
    pub fn counts(&self) -> Result<Vec<(Value, i64)>, DictError> {
        let items = self.0.items()?.into_iter();
        items
            .map(|(value, count)| Ok((value, count_of(&count)?)))
            .collect()
    }

    /// The sum of all counts, of one moment.
    ///
    /// # Errors
    /// [`DictError::NoInt`] if it, or a count, has more than 64 bits.
    pub fn total(&self) -> Result<i64, DictError> {
        let counts = self.0.values()?;
        let mut total = 0i64;
        for count in &counts {
            total = total
                .checked_add(count_of(count)?)
                .ok_or(DictError::NoInt)?;
        }
        Ok(total)
    }

    /// Takes all counts out.
    ///
    /// # Errors
    /// No memory for what an empty counter needs.
    pub fn clear(&self) -> Result<(), DictError> {
        self.0.clear()
    }
}

fn count_of(value: &Value) -> Result<i64, DictError> {
    match value {
        Value::Int(count) => Ok(*count),
        _ => Err(DictError::NoInt),
    }
}
