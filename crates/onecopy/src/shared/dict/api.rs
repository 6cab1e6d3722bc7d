//! `Dict`: dicts of values for Rust programs.
#![forbid(unsafe_code)]

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use super::super::error::ContainerError;
use super::super::reference::Reference;
use super::super::rust_value::{NoValue, Taken, TakenValues, Value, Values};
use super::super::snapshot::Snapshot;
use super::super::value::{Incoming, Kind, Word};
use super::hash::{Canonical, canonical, no_key};
use super::{DictKind, End, Key, KeyAdded, KeyExchanged, Part, RawDict, refusal};
use crate::store::{Store, Token};

/// Why an operation on a dict, a set or a counter failed. It is unchanged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DictError {
    /// A value of this kind cannot be a key.
    #[error("{what} cannot be a key: {why}")]
    NoKey {
        /// What it is.
        what: &'static str,
        /// Why it cannot be one.
        why: &'static str,
    },
    /// A number was to be added to what is no int, or something else to an int.
    #[error("only ints can be added, and only to ints")]
    NoInt,
    /// The container could not be used.
    #[error(transparent)]
    Container(#[from] ContainerError),
}

/// A dict that all processes of a family see and change. Its keys keep the order in which they were set first.
///
/// Each method is one step to all others, also if its process is killed in the middle of it. Readers take no lock. Keys are
/// equal as in Python: `1`, `1.0` and `true` are one key, and the first form stays.
///
/// # Examples
/// ```
/// use onecopy::{Store, Value};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let dict = Store::new()?.dict()?;
/// dict.set(&Value::from("one"), &Value::from(1))?;
/// dict.update(&[(Value::from(2), Value::from("two")), (Value::None, Value::from(3.0))])?;
/// assert_eq!(dict.add(&Value::from("one"), &Value::from(10))?, Value::from(11));
/// assert_eq!(dict.get(&Value::from(2.0))?, Some(Value::from("two")));
/// assert_eq!(dict.pop(&Value::None)?, Some(Value::from(3.0)));
/// assert_eq!(dict.keys()?, [Value::from("one"), Value::from(2)]);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Dict(Arc<RawDict>);

impl Store {
    /// Makes an empty dict.
    ///
    /// # Errors
    /// No memory for it.
    pub fn dict(&self) -> Result<Dict, ContainerError> {
        Ok(Dict::of(RawDict::create(self, DictKind::Dict)?))
    }
}

/// Calls `take` with a value as a dict compares it, and its form if that is another.
fn with_canonical<T>(
    value: &Value,
    take: impl FnOnce(Incoming<'_>, Option<Word>) -> T,
) -> Result<T, DictError> {
    value.with_incoming(|incoming| {
        let word = match incoming {
            Incoming::Word(word) => word,
            Incoming::Blob(kind, _) => {
                if let Some(why) = refusal(kind) {
                    return Err(DictError::NoKey {
                        what: "a pickled object",
                        why,
                    });
                }
                return Ok(take(incoming, None));
            }
            Incoming::Reference(_) | Incoming::Large(_) => {
                return Err(DictError::NoKey {
                    what: "another object of the store",
                    why: "it may change, or is large",
                });
            }
        };
        Ok(match canonical(word) {
            None => take(incoming, None),
            Some(Canonical::Word(same)) => take(Incoming::Word(same), Some(word)),
            Some(Canonical::Wide(bytes)) => take(Incoming::Blob(Kind::Int, &bytes), Some(word)),
        })
    })
}

impl Dict {
    pub(super) fn of(raw: RawDict) -> Self {
        Self(Arc::new(raw))
    }

    /// What takes and gives keys and values as they are kept, for bindings to other languages.
    #[must_use]
    pub fn raw(&self) -> &RawDict {
        &self.0
    }

    /// Turns a token into the dict that it is of, in any process of the same user.
    ///
    /// # Errors
    /// It is gone, or what the token leads to is no dict.
    pub fn attach(token: &Token) -> Result<Self, ContainerError> {
        Ok(Self(Arc::new(RawDict::attach(token)?)))
    }

    /// The dict that a reference is to, if it is to one.
    ///
    /// # Errors
    /// The dict is damaged.
    pub fn of_reference(reference: &Reference) -> Result<Option<Self>, ContainerError> {
        Ok(RawDict::of_reference(reference)?.map(|raw| Self(Arc::new(raw))))
    }

    /// A reference to it, to be put into another container, or into itself.
    #[must_use]
    pub fn reference(&self) -> Reference {
        self.0.reference()
    }

    /// A token for another process. It counts as an interest in the dict until it is attached once.
    ///
    /// # Errors
    /// The store's table of tokens is full.
    pub fn token(&self) -> Result<Token, ContainerError> {
        self.0.token()
    }

    fn with_key<T>(
        &self,
        key: &Value,
        take: impl FnOnce(&Key<'_>) -> Result<T, ContainerError>,
    ) -> Result<T, DictError> {
        let result = with_canonical(key, |canonical, form| match form {
            None => take(&self.0.key(canonical)),
            Some(form) => take(&self.0.key_of_form(canonical, form)),
        })?;
        Ok(result?)
    }

    fn made<T>(&self, made: Option<Result<T, NoValue>>) -> Result<Option<T>, DictError> {
        made.transpose()
            .map_err(|error| error.or(|| self.0.no_value()).into())
    }

    /// Keys.
    ///
    /// # Errors
    /// The dict is damaged.
    pub fn len(&self) -> Result<u64, DictError> {
        Ok(self.0.len()?)
    }

    /// Whether there are no keys.
    ///
    /// # Errors
    /// The dict is damaged.
    pub fn is_empty(&self) -> Result<bool, DictError> {
        Ok(self.0.is_empty()?)
    }

    /// The value of a key, if there is such a key.
    ///
    /// # Errors
    /// [`DictError::NoKey`], here and everywhere.
    pub fn get(&self, key: &Value) -> Result<Option<Value>, DictError> {
        let made = self.with_key(key, |key| self.0.get(key, &Values))?;
        self.made(made)
    }

    /// Whether there is such a key.
    ///
    /// # Errors
    /// The dict is damaged.
    pub fn contains(&self, key: &Value) -> Result<bool, DictError> {
        self.with_key(key, |key| self.0.contains(key))
    }

    /// Sets the value of a key, which may be a new one.
    ///
    /// # Errors
    /// No memory.
    pub fn set(&self, key: &Value, value: &Value) -> Result<(), DictError> {
        self.with_key(key, |key| {
            value.with_incoming(|value| self.0.set(key, &value))
        })
    }

    /// Sets the value of a key that is not there. If it is there, its value, which stays.
    ///
    /// # Errors
    /// No memory.
    pub fn set_default(&self, key: &Value, value: &Value) -> Result<Option<Value>, DictError> {
        let made = self.with_key(key, |key| {
            value.with_incoming(|value| self.0.set_default(key, &value, &TakenValues))
        })?;
        self.made(made.map(|made| made.and_then(Taken::value)))
    }

    /// Takes a key out; whether it was there.
    ///
    /// # Errors
    /// The dict is damaged.
    pub fn delete(&self, key: &Value) -> Result<bool, DictError> {
        self.with_key(key, |key| self.0.delete(key))
    }

    /// Takes a key out and gives its value, if it was there.
    ///
    /// # Errors
    /// The dict is damaged.
    pub fn pop(&self, key: &Value) -> Result<Option<Value>, DictError> {
        let made = self.with_key(key, |key| self.0.pop(key, &TakenValues))?;
        self.made(made.map(|made| made.and_then(Taken::value)))
    }

    /// Takes the first or the last key out, with its value, unless the dict is empty.
    ///
    /// # Errors
    /// The dict is damaged.
    pub fn pop_item(&self, end: End) -> Result<Option<(Value, Value)>, DictError> {
        let made = self.0.pop_item(end, &TakenValues)?;
        self.made(made.map(|made| made.and_then(|(key, value)| Ok((key.value()?, value.value()?)))))
    }

    /// Adds to the int that is the value of a key, and gives the sum. A key that is not there gets what was to be added.
    ///
    /// # Errors
    /// [`DictError::NoInt`].
    pub fn add(&self, key: &Value, amount: &Value) -> Result<Value, DictError> {
        match self.with_key(key, |key| {
            amount.with_incoming(|amount| self.0.add(key, &amount))
        })? {
            KeyAdded::Sum(sum) => Ok(Value::Int(sum)),
            KeyAdded::Wide(bytes) => Ok(Value::BigInt(bytes)),
            KeyAdded::NoInt => Err(DictError::NoInt),
        }
    }

    /// Replaces the value of a key if it is `old`, of the same type; whether it was.
    ///
    /// # Errors
    /// No memory.
    pub fn compare_exchange(
        &self,
        key: &Value,
        old: &Value,
        new: &Value,
    ) -> Result<bool, DictError> {
        let exchanged = self.with_key(key, |key| {
            old.with_incoming(|old| {
                new.with_incoming(|new| self.0.compare_exchange(key, &old, &new))
            })
        })?;
        Ok(exchanged == KeyExchanged::Yes)
    }

    /// Sets many keys: one step for up to 1,024 of them, and for any number if the dict has at most four times as many.
    /// Else others may see some before the last, and if this process is killed, or has no memory, some may be all that is
    /// set.
    ///
    /// # Errors
    /// No memory.
    pub fn update(&self, items: &[(Value, Value)]) -> Result<(), DictError> {
        let mut keys = Vec::with_capacity(items.len());
        for (key, _) in items {
            keys.push(with_canonical(key, |canonical, form| {
                Owned::of(canonical, form)
            })?);
        }
        let values: Vec<_> = items.iter().map(|item| item.1.encode()).collect();
        let items: Vec<_> = keys
            .iter()
            .zip(&values)
            .map(|(key, value)| (key.key(&self.0), value.incoming()))
            .collect();
        Ok(self.0.update(&items)?)
    }

    /// Makes a key the last in the order; whether it is there.
    ///
    /// # Errors
    /// No memory.
    pub fn move_to_end(&self, key: &Value) -> Result<bool, DictError> {
        self.with_key(key, |key| self.0.move_to_end(key))
    }

    /// Takes all keys out. Their memory goes back to the store.
    ///
    /// # Errors
    /// No memory for what an empty dict needs.
    pub fn clear(&self) -> Result<(), DictError> {
        Ok(self.0.clear()?)
    }

    /// The keys in their order, of one moment.
    ///
    /// # Errors
    /// The dict is damaged.
    pub fn keys(&self) -> Result<Vec<Value>, DictError> {
        self.values_of(&self.0.picture(Part::Keys)?)
    }

    /// The values in the order of their keys, of one moment.
    ///
    /// # Errors
    /// The dict is damaged.
    pub fn values(&self) -> Result<Vec<Value>, DictError> {
        self.values_of(&self.0.picture(Part::Values)?)
    }

    /// The keys and their values in their order, of one moment.
    ///
    /// # Errors
    /// The dict is damaged.
    pub fn items(&self) -> Result<Vec<(Value, Value)>, DictError> {
        self.iter_of(self.0.picture(Part::Items)?).collect()
    }

    fn values_of(&self, picture: &Snapshot) -> Result<Vec<Value>, DictError> {
        let values: Result<Vec<Value>, _> =
            picture.iter().map(|value| value.make(&Values)).collect();
        values.map_err(|error| error.or(|| self.0.no_value()).into())
    }

    fn iter_of(&self, picture: Snapshot) -> Items<'_> {
        Items {
            dict: self,
            picture,
            next: 0,
        }
    }

    /// Keys and values as they were at one moment of this call.
    ///
    /// # Errors
    /// The dict is damaged.
    pub fn picture(&self) -> Result<Items<'_>, DictError> {
        Ok(self.iter_of(self.0.picture(Part::Items)?))
    }

    /// Keeps all others from changing the dict until the result is dropped; readers go on, and this thread may use it. It
    /// waits for at most `timeout`, or ten seconds.
    ///
    /// # Errors
    /// [`ContainerError::LockTimeout`].
    pub fn lock(&self, timeout: Option<Duration>) -> Result<DictLock<'_>, DictError> {
        self.0
            .heap
            .user_lock(timeout.unwrap_or(super::super::lock::PATIENCE))?;
        Ok(DictLock {
            dict: self,
            thread: PhantomData,
        })
    }

    /// Checks every invariant, under the lock.
    ///
    /// # Errors
    /// [`ContainerError::Corrupt`] with the place and the broken invariant.
    pub fn verify(&self) -> Result<(), DictError> {
        Ok(self.0.verify()?)
    }
}

/// A key with bytes of its own.
enum Owned {
    Word(Word, Option<Word>),
    Blob(Kind, Vec<u8>, Option<Word>),
}

impl Owned {
    fn of(canonical: Incoming<'_>, form: Option<Word>) -> Self {
        match canonical {
            Incoming::Word(word) => Self::Word(word, form),
            Incoming::Blob(kind, bytes) => Self::Blob(kind, bytes.to_vec(), form),
            Incoming::Reference(_) | Incoming::Large(_) => no_key(),
        }
    }

    fn key<'a>(&'a self, dict: &RawDict) -> Key<'a> {
        let (canonical, form) = match self {
            Self::Word(word, form) => (Incoming::Word(*word), form),
            Self::Blob(kind, bytes, form) => (Incoming::Blob(*kind, bytes), form),
        };
        match form {
            None => dict.key(canonical),
            Some(form) => dict.key_of_form(canonical, *form),
        }
    }
}

/// Iterates over keys and values that were copied.
#[derive(Debug)]
pub struct Items<'a> {
    dict: &'a Dict,
    picture: Snapshot,
    next: usize,
}

impl Iterator for Items<'_> {
    type Item = Result<(Value, Value), DictError>;

    fn next(&mut self) -> Option<Self::Item> {
        let key = self.picture.get(self.next)?;
        let value = self.picture.get(self.next + 1)?;
        let item = key
            .make(&Values)
            .and_then(|key| Ok((key, value.make(&Values)?)));
        self.next += 2;
        Some(item.map_err(|error| error.or(|| self.dict.0.no_value()).into()))
    }
}

/// Keeps other threads and processes from changing a dict.
#[derive(Debug)]
pub struct DictLock<'a> {
    dict: &'a Dict,
    /// It is the thread's.
    thread: PhantomData<*const ()>,
}

impl Drop for DictLock<'_> {
    fn drop(&mut self) {
        // A fork child that inherited the value does not have the lock.
        let _ = self.dict.0.heap.user_unlock();
    }
}
