//! `List`: lists of values for Rust programs.
#![forbid(unsafe_code)]

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use super::super::error::ContainerError;
use super::super::reference::Reference;
use super::super::rust_value::{NoValue, Taken, TakenValues, Value, Values};
use super::super::snapshot::Snapshot;
use super::super::value::Incoming;
use super::{Added, Exchanged, RawList, Slice};
use crate::store::{Store, Token};

/// Elements that an iterator reads ahead.
const AHEAD: u64 = 256;

/// Why an operation on a list failed. The list is unchanged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListError {
    /// There is no element with this index.
    #[error("a list of {len} elements has none with the index {index}")]
    NoElement {
        /// The index that was asked for.
        index: i64,
        /// The list's length, as of a moment later.
        len: u64,
    },
    /// A number was to be added to what is no int, or the sum has more than 48 bits.
    #[error("the element with the index {index} is no int of 48 bits, or would not stay one")]
    NoInt {
        /// The element's index.
        index: i64,
    },
    /// A slice whose step is not 1 takes as many elements as it has.
    #[error("{given} elements cannot replace the {expected} of a slice with a step")]
    SliceLength {
        /// Elements of the slice.
        expected: u64,
        /// Elements that were to replace them.
        given: u64,
    },
    /// The container could not be used.
    #[error(transparent)]
    Container(#[from] ContainerError),
}

/// A list of values that all processes of a family see and change.
///
/// Each method is one step to all others, also if its process is killed in the middle of it. Readers take no lock.
///
/// # Examples
/// ```
/// use onecopy::{Store, Value};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let list = Store::new()?.list()?;
/// list.append(&Value::from(1))?;
/// list.extend(&[Value::from("two"), Value::from(3.0)])?;
/// list.insert(0, &Value::None)?;
/// assert_eq!(list.get(-1)?, Value::from(3.0));
/// assert_eq!(list.pop(2)?, Value::from("two"));
/// assert_eq!(list.to_vec()?, [Value::None, Value::from(1), Value::from(3.0)]);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct List(Arc<RawList>);

impl Store {
    /// Makes an empty list.
    ///
    /// # Errors
    /// No memory for it.
    pub fn list(&self) -> Result<List, ContainerError> {
        Ok(List(Arc::new(RawList::create(self)?)))
    }
}

fn with_all<T>(values: &[Value], take: impl FnOnce(&[Incoming<'_>]) -> T) -> T {
    let encoded: Vec<_> = values.iter().map(Value::encode).collect();
    let incoming: Vec<_> = encoded.iter().map(|value| value.incoming()).collect();
    take(&incoming)
}

impl List {
    /// What takes and gives values as they are kept, for bindings to other languages.
    #[must_use]
    pub fn raw(&self) -> &RawList {
        &self.0
    }

    /// Turns a token into the list that it is of, in any process of the same user.
    ///
    /// # Errors
    /// It is gone, or what the token leads to is no list.
    pub fn attach(token: &Token) -> Result<Self, ContainerError> {
        Ok(Self(Arc::new(RawList::attach(token)?)))
    }

    /// The list that a reference is to, if it is to one.
    ///
    /// # Errors
    /// The list is damaged.
    pub fn of_reference(reference: &Reference) -> Result<Option<Self>, ContainerError> {
        Ok(RawList::of_reference(reference)?.map(|raw| Self(Arc::new(raw))))
    }

    /// A reference to it, to be put into another container, or into itself.
    #[must_use]
    pub fn reference(&self) -> Reference {
        self.0.reference()
    }

    /// A token for another process. It counts as an interest in the list until it is attached once.
    ///
    /// # Errors
    /// The store's table of tokens is full.
    pub fn token(&self) -> Result<Token, ContainerError> {
        self.0.token()
    }

    fn no_element(&self, index: i64) -> ListError {
        match self.0.len() {
            Ok(len) => ListError::NoElement { index, len },
            Err(error) => error.into(),
        }
    }

    fn made(&self, made: Option<Result<Value, NoValue>>, index: i64) -> Result<Value, ListError> {
        match made {
            Some(Ok(value)) => Ok(value),
            Some(Err(error)) => Err(error.or(|| self.0.no_value()).into()),
            None => Err(self.no_element(index)),
        }
    }

    /// Elements.
    ///
    /// # Errors
    /// The list is damaged.
    pub fn len(&self) -> Result<u64, ListError> {
        Ok(self.0.len()?)
    }

    /// Whether there are no elements.
    ///
    /// # Errors
    /// The list is damaged.
    pub fn is_empty(&self) -> Result<bool, ListError> {
        Ok(self.0.is_empty()?)
    }

    /// An element. Negative indices count from the end, here and everywhere.
    ///
    /// # Errors
    /// [`ListError::NoElement`].
    pub fn get(&self, index: i64) -> Result<Value, ListError> {
        self.made(self.0.get(index, &Values)?, index)
    }

    /// Replaces an element.
    ///
    /// # Errors
    /// [`ListError::NoElement`].
    pub fn set(&self, index: i64, value: &Value) -> Result<(), ListError> {
        if value.with_incoming(|value| self.0.set(index, &value))? {
            return Ok(());
        }
        Err(self.no_element(index))
    }

    /// Adds an element at the end.
    ///
    /// # Errors
    /// No memory.
    pub fn append(&self, value: &Value) -> Result<(), ListError> {
        Ok(value.with_incoming(|value| self.0.append(&value))?)
    }

    /// Adds elements at the end. It is one step for up to 16,384 values that are longer than a word, and any number of
    /// others; of more, others may see some before the last, and if this process is killed some may be all that is added.
    ///
    /// # Errors
    /// No memory.
    pub fn extend(&self, values: &[Value]) -> Result<(), ListError> {
        Ok(with_all(values, |values| self.0.extend(values))?)
    }

    /// Inserts an element before the one with this index; beyond an end, at that end.
    ///
    /// # Errors
    /// No memory.
    pub fn insert(&self, index: i64, value: &Value) -> Result<(), ListError> {
        Ok(value.with_incoming(|value| self.0.insert(index, &value))?)
    }

    /// Takes an element out.
    ///
    /// # Errors
    /// [`ListError::NoElement`].
    pub fn pop(&self, index: i64) -> Result<Value, ListError> {
        let taken = self.0.pop(index, &TakenValues)?;
        self.made(taken.map(|taken| taken.and_then(Taken::value)), index)
    }

    /// Takes the first element out that is equal to `value`; whether there is one.
    ///
    /// # Errors
    /// The list is damaged.
    pub fn remove(&self, value: &Value) -> Result<bool, ListError> {
        let _lock = self.lock(None)?;
        let Some(index) = self.position(value)? else {
            return Ok(false);
        };
        self.0
            .delete_slice(Slice::range(Some(index as i64), Some(index as i64 + 1)))?;
        Ok(true)
    }

    /// The index of the first element that is equal to `value`.
    ///
    /// # Errors
    /// The list is damaged.
    pub fn position(&self, value: &Value) -> Result<Option<u64>, ListError> {
        for (index, element) in (0..).zip(self.iter()) {
            if element? == *value {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }

    /// Whether an element is equal to `value`.
    ///
    /// # Errors
    /// The list is damaged.
    pub fn contains(&self, value: &Value) -> Result<bool, ListError> {
        Ok(self.position(value)?.is_some())
    }

    /// Takes all elements out. Their memory goes back to the store, but for what a short list takes.
    ///
    /// # Errors
    /// No memory for what an empty list needs.
    pub fn clear(&self) -> Result<(), ListError> {
        Ok(self.0.clear()?)
    }

    /// Turns the order of the elements round.
    ///
    /// # Errors
    /// No memory.
    pub fn reverse(&self) -> Result<(), ListError> {
        Ok(self.0.reverse()?)
    }

    /// Adds to an int; the sum.
    ///
    /// # Errors
    /// [`ListError::NoElement`], [`ListError::NoInt`].
    pub fn add(&self, index: i64, amount: i64) -> Result<i64, ListError> {
        match self.0.add(index, amount)? {
            Added::Sum(sum) => Ok(sum),
            Added::NoInt => Err(ListError::NoInt { index }),
            Added::NoElement => Err(self.no_element(index)),
        }
    }

    /// Replaces an element if it is `old`, of the same type; whether it was.
    ///
    /// # Errors
    /// [`ListError::NoElement`].
    pub fn compare_exchange(
        &self,
        index: i64,
        old: &Value,
        new: &Value,
    ) -> Result<bool, ListError> {
        let exchanged = old.with_incoming(|old| {
            new.with_incoming(|new| self.0.compare_exchange(index, &old, &new))
        })?;
        match exchanged {
            Exchanged::Yes => Ok(true),
            Exchanged::No => Ok(false),
            Exchanged::NoElement => Err(self.no_element(index)),
        }
    }

    /// All elements, of one moment.
    ///
    /// # Errors
    /// The list is damaged.
    pub fn to_vec(&self) -> Result<Vec<Value>, ListError> {
        self.values(&self.0.snapshot()?)
    }

    /// The elements of a slice, of one moment.
    ///
    /// # Errors
    /// The list is damaged.
    pub fn slice(&self, slice: Slice) -> Result<Vec<Value>, ListError> {
        self.values(&self.0.slice(slice)?)
    }

    /// Replaces the elements of a slice.
    ///
    /// # Errors
    /// [`ListError::SliceLength`] for a slice with a step.
    pub fn set_slice(&self, slice: Slice, values: &[Value]) -> Result<(), ListError> {
        let given = values.len() as u64;
        with_all(values, |values| self.0.set_slice(slice, values))?
            .map_err(|expected| ListError::SliceLength { expected, given })
    }

    /// Takes the elements of a slice out.
    ///
    /// # Errors
    /// No memory.
    pub fn delete_slice(&self, slice: Slice) -> Result<(), ListError> {
        Ok(self.0.delete_slice(slice)?)
    }

    /// Replaces all elements.
    ///
    /// # Errors
    /// No memory.
    pub fn replace(&self, values: &[Value]) -> Result<(), ListError> {
        Ok(with_all(values, |values| self.0.replace(values))?)
    }

    /// Takes all elements out and returns them.
    ///
    /// # Errors
    /// No memory for what an empty list needs.
    pub fn take_all(&self) -> Result<Vec<Value>, ListError> {
        self.values(&self.0.take_all()?)
    }

    fn values(&self, chunk: &Snapshot) -> Result<Vec<Value>, ListError> {
        let values = chunk.iter().map(|element| element.make(&Values));
        let values: Result<Vec<Value>, _> = values.collect();
        values.map_err(|error| error.or(|| self.0.no_value()).into())
    }

    /// The elements as they are when they are reached, as in a loop over the indices.
    #[must_use]
    pub fn iter(&self) -> Iter<'_> {
        Iter {
            list: self,
            chunk: Snapshot::default(),
            first: 0,
            next: 0,
            has_failed: false,
        }
    }

    /// Keeps all others from changing the list until the result is dropped; readers go on, and this thread may use it. It
    /// waits for at most `timeout`, or ten seconds.
    ///
    /// # Errors
    /// [`ContainerError::LockTimeout`].
    pub fn lock(&self, timeout: Option<Duration>) -> Result<ListLock<'_>, ListError> {
        self.0
            .heap
            .user_lock(timeout.unwrap_or(super::super::lock::PATIENCE))?;
        Ok(ListLock {
            list: self,
            thread: PhantomData,
        })
    }

    /// Checks every invariant, under the lock.
    ///
    /// # Errors
    /// [`ContainerError::Corrupt`] with the place and the broken invariant.
    pub fn verify(&self) -> Result<(), ListError> {
        Ok(self.0.verify()?)
    }
}

impl<'a> IntoIterator for &'a List {
    type Item = Result<Value, ListError>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// Iterates over a list that may change meanwhile. An error is the last that it gives.
#[derive(Debug)]
pub struct Iter<'a> {
    list: &'a List,
    chunk: Snapshot,
    /// Index of the chunk's first element.
    first: u64,
    next: u64,
    has_failed: bool,
}

impl Iterator for Iter<'_> {
    type Item = Result<Value, ListError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.has_failed {
            return None;
        }
        let raw = self.list.raw();
        let is_now = self.chunk.moment().is_some_and(|moment| raw.is_now(moment));
        if !is_now || self.next - self.first >= self.chunk.len() as u64 {
            self.first = self.next;
            match raw.chunk(self.next, AHEAD) {
                Ok(chunk) => self.chunk = chunk,
                Err(error) => {
                    self.has_failed = true;
                    return Some(Err(error.into()));
                }
            }
        }
        let element = self.chunk.get((self.next - self.first) as usize)?;
        self.next += 1;
        let made = element.make(&Values);
        let made = made.map_err(|error| error.or(|| raw.no_value()).into());
        self.has_failed = made.is_err();
        Some(made)
    }
}

/// Keeps other threads and processes from changing a list.
#[derive(Debug)]
pub struct ListLock<'a> {
    list: &'a List,
    /// It is the thread's.
    thread: PhantomData<*const ()>,
}

impl Drop for ListLock<'_> {
    fn drop(&mut self) {
        // A fork child that inherited the value does not have the lock.
        let _ = self.list.0.heap.user_unlock();
    }
}
