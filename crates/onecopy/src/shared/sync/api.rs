//! What Rust programs call.
#![forbid(unsafe_code)]

use std::time::Duration;

use super::super::error::ContainerError;
use super::super::reference::Reference;
use super::super::rust_value::{Taken, TakenValues, Value};
use super::barrier::Barrier;
use super::condition::Condition;
use super::event::Event;
use super::mutex::Mutex;
use super::queue::{Lease, QueueOptions, RawQueue};
use super::semaphore::Semaphore;
use crate::store::{Store, Token};

/// A queue of [`Value`]s that all processes see: what one puts, one takes.
///
/// # Examples
/// ```
/// use onecopy::shared::QueueOptions;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = onecopy::Store::new()?;
/// let queue = store.queue(QueueOptions::default())?;
/// queue.put(&"first".into(), None)?;
/// queue.put(&2.into(), None)?;
///
/// let token = queue.token()?; // 64 bytes, for any process
/// let same = onecopy::shared::Queue::attach(&token)?;
/// assert_eq!(same.get(None)?, Some("first".into()));
///
/// // An item that is leased comes back if this process dies before it is done.
/// let (item, lease) = same.lease(None)?.unwrap();
/// assert_eq!(item, 2.into());
/// assert!(same.done(&lease)?);
/// assert!(queue.is_empty());
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Queue {
    raw: RawQueue,
}

impl Store {
    /// Makes a queue.
    ///
    /// # Errors
    /// No memory; nothing is left behind. So it is for all that follow.
    pub fn queue(&self, options: QueueOptions) -> Result<Queue, ContainerError> {
        let raw = RawQueue::create(self, options)?;
        Ok(Queue { raw })
    }

    /// Makes a lock. Any thread of any process may give it back.
    ///
    /// # Errors
    /// As in [`Store::queue`].
    pub fn lock(&self) -> Result<Mutex, ContainerError> {
        Mutex::create(self, false)
    }

    /// Makes a lock that the thread which has it may take again.
    ///
    /// # Errors
    /// As in [`Store::queue`].
    pub fn recursive_lock(&self) -> Result<Mutex, ContainerError> {
        Mutex::create(self, true)
    }

    /// Makes a semaphore of so many units.
    ///
    /// # Errors
    /// As in [`Store::queue`].
    pub fn semaphore(&self, units: u64) -> Result<Semaphore, ContainerError> {
        Semaphore::create(self, units, false)
    }

    /// Makes an event.
    ///
    /// # Errors
    /// As in [`Store::queue`].
    pub fn event(&self) -> Result<Event, ContainerError> {
        Event::create(self)
    }

    /// Makes a condition.
    ///
    /// # Errors
    /// As in [`Store::queue`].
    pub fn condition(&self) -> Result<Condition, ContainerError> {
        Condition::create(self)
    }

    /// Makes a barrier for so many threads.
    ///
    /// # Errors
    /// As in [`Store::queue`], and more than 1,024 threads.
    pub fn barrier(&self, parties: u64) -> Result<Barrier, ContainerError> {
        Barrier::create(self, parties)
    }
}

impl Queue {
    /// Turns a token into the queue, in any process of the same user.
    ///
    /// # Errors
    /// It is gone, or what the token leads to is no queue.
    pub fn attach(token: &Token) -> Result<Self, ContainerError> {
        let raw = RawQueue::attach(token)?;
        Ok(Self { raw })
    }

    /// The queue that a reference is to; `None` if it is to something else.
    ///
    /// # Errors
    /// It is damaged.
    pub fn of_reference(reference: &Reference) -> Result<Option<Self>, ContainerError> {
        let raw = RawQueue::of_reference(reference)?;
        Ok(raw.map(|raw| Self { raw }))
    }

    /// A reference to it, to be put into a container.
    #[must_use]
    pub fn reference(&self) -> Reference {
        self.raw.reference()
    }

    /// A token for another process. It counts as an interest in the queue until it is attached once.
    ///
    /// # Errors
    /// The store's table of tokens is full.
    pub fn token(&self) -> Result<Token, ContainerError> {
        self.raw.token()
    }

    /// Puts an item; whether there was room within `patience`, `None` being without end. All processes can take it as soon
    /// as this returns.
    ///
    /// # Errors
    /// No memory; nothing has happened then.
    pub fn put(&self, item: &Value, patience: Option<Duration>) -> Result<bool, ContainerError> {
        item.with_incoming(|item| self.raw.put(&item, patience))
    }

    /// Takes the next item; `None` if none came within `patience`.
    ///
    /// # Errors
    /// The queue is damaged, or its lock is not to be had.
    pub fn get(&self, patience: Option<Duration>) -> Result<Option<Value>, ContainerError> {
        let got = self.raw.get(&TakenValues, patience)?;
        got.map(|got| got.and_then(Taken::value))
            .transpose()
            .map_err(|error| error.or(|| self.raw.no_value()))
    }

    /// Takes the next item until [`Queue::done`] is called for it. If this process dies before, another gets it.
    ///
    /// # Errors
    /// As in [`Queue::get`].
    pub fn lease(
        &self,
        patience: Option<Duration>,
    ) -> Result<Option<(Value, Lease)>, ContainerError> {
        let got = self.raw.lease(&TakenValues, patience)?;
        got.map(|got| got.and_then(|(item, lease)| Ok((item.value()?, lease))))
            .transpose()
            .map_err(|error| error.or(|| self.raw.no_value()))
    }

    /// Ends a lease; `false` if this process does not have it any more.
    ///
    /// # Errors
    /// As in [`Queue::get`].
    pub fn done(&self, lease: &Lease) -> Result<bool, ContainerError> {
        self.raw.done(lease)
    }

    /// Gives a leased item back, for another to take; `false` if this process does not have it any more.
    ///
    /// # Errors
    /// As in [`Queue::get`].
    pub fn give_back(&self, lease: &Lease) -> Result<bool, ContainerError> {
        self.raw.give_back(lease)
    }

    /// Reports an item done that was got without a lease; `false` if all are.
    ///
    /// # Errors
    /// As in [`Queue::get`].
    pub fn task_done(&self) -> Result<bool, ContainerError> {
        self.raw.task_done()
    }

    /// Waits until all that was put is reported done; whether it was within `patience`.
    ///
    /// # Errors
    /// As in [`Queue::get`].
    pub fn join(&self, patience: Option<Duration>) -> Result<bool, ContainerError> {
        self.raw.join(patience)
    }

    /// Items that can be taken, as of a moment ago.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.raw.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    /// Checks every invariant of the queue's memory.
    ///
    /// # Errors
    /// [`ContainerError::Corrupt`] with the place and the broken invariant.
    pub fn verify(&self) -> Result<(), ContainerError> {
        self.raw.verify()
    }
}
