//! A queue's words, and what it does with items that are not leased.
#![forbid(unsafe_code)]

use std::time::Duration;

use super::super::super::change::Change;
use super::super::super::error::ContainerError;
use super::super::super::head::Inside;
use super::super::super::heap::Heap;
use super::super::super::list::{self, LEN, RawList, Which};
use super::super::super::lock::Locked;
use super::super::super::reference::Reference;
use super::super::super::value::{Incoming, Outside, Sink, Word};
use super::super::bell::{ALL, Bell};
use super::super::deadline::{Deadline, Next};
use super::super::stored::{self, Stored, kinds};
use super::chain::{self, LEASES, RETURNED};
use crate::store::{Container, Store, Token};

pub(super) const ITEMS: u64 = 256;
pub(super) const ROOM: u64 = 320;
pub(super) const DONE: u64 = 384;
pub(super) const MOST: u64 = 448;
pub(super) const UNFINISHED: u64 = 456;
pub(super) const OPTIONS: u64 = 480;
pub(super) const NUMBER: u64 = 488;

pub(super) const COUNTS: u64 = 1;
const IS_STACK: u64 = 2;

/// What kind of queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueOptions {
    /// Items that it holds at most; 0 for any number.
    pub most: u64,
    /// Whether it counts what is put and not yet reported done.
    pub counts: bool,
    /// Whether what was put last is taken first.
    pub is_stack: bool,
}

/// What is taken by a get: an item, or why the sink could not make it, in which case it stays.
pub(super) type Got<S> = Result<<S as Sink>::Made, <S as Sink>::Error>;

/// A queue that all processes see.
#[derive(Debug, Clone)]
pub struct RawQueue {
    pub(crate) list: RawList,
}

stored::handed_over!(RawQueue, "queue");

impl Stored for RawQueue {
    const KIND: u8 = kinds::QUEUE;
    const INSIDE: Inside = Inside { each_word, renew };

    fn of(heap: Heap) -> Self {
        Self {
            list: RawList { heap },
        }
    }

    fn heap(&self) -> &Heap {
        &self.list.heap
    }
}

impl RawQueue {
    /// A new, empty one.
    ///
    /// # Errors
    /// No memory.
    pub fn create(store: &Store, options: QueueOptions) -> Result<Self, ContainerError> {
        let heap = Heap::create(store, kinds::QUEUE, Self::INSIDE)?;
        let flags = if options.counts { COUNTS } else { 0 };
        let flags = flags | if options.is_stack { IS_STACK } else { 0 };
        heap.top.store(MOST, options.most);
        heap.top.store(OPTIONS, flags);
        Ok(Self::of(heap))
    }

    /// What to say of an item that means nothing.
    #[cold]
    pub(crate) fn no_value(&self) -> ContainerError {
        let at = self.heap().head;
        self.heap().corrupt(at, "an item that is no value").into()
    }

    pub(super) fn bell(&self, at: u64) -> Bell<'_> {
        Bell::of(self.heap(), at)
    }

    fn root(&self, at: u64) -> u64 {
        self.heap().top.acquire(at)
    }

    /// How it was made.
    #[must_use]
    pub fn options(&self) -> QueueOptions {
        let flags = self.root(OPTIONS);
        QueueOptions {
            most: self.root(MOST),
            counts: flags & COUNTS != 0,
            is_stack: flags & IS_STACK != 0,
        }
    }

    /// Items that can be taken, as of a moment ago.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.root(LEN).saturating_add(self.root(RETURNED))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Items that were put and not yet reported done.
    #[must_use]
    pub fn unfinished(&self) -> u64 {
        self.root(UNFINISHED)
    }

    /// Sleeps on a bell until the next look; `false` if the time is over.
    fn pause(
        &self,
        bell: Bell<'_>,
        seen: u32,
        deadline: &mut Deadline,
    ) -> Result<bool, ContainerError> {
        match deadline.next() {
            Next::Spin => Ok(true),
            Next::End => Ok(false),
            Next::Sleep(nap) if bell.wait(seen, nap) => {
                if bell.rings() != seen {
                    deadline.woken();
                }
                self.heap().finish_for_the_dead()?;
                Ok(true)
            }
            Next::Sleep(_) => Err(ContainerError::Interrupted),
        }
    }

    /// Puts an item at the end; whether there was room in time. All can take it as soon as this returns.
    ///
    /// # Errors
    /// No memory; [`ContainerError::Interrupted`].
    #[inline]
    pub fn put(
        &self,
        item: &Incoming<'_>,
        patience: Option<Duration>,
    ) -> Result<bool, ContainerError> {
        let outside = Outside::of(self.heap(), item)?;
        let item = &outside.or(item);
        if self.try_put(item)? {
            return Ok(true);
        }
        let (bell, mut deadline) = (self.bell(ROOM), Deadline::after(patience));
        loop {
            let seen = bell.rings();
            if self.try_put(item)? {
                return Ok(true);
            }
            if !self.pause(bell, seen, &mut deadline)? {
                return Ok(false);
            }
        }
    }

    #[inline]
    fn try_put(&self, item: &Incoming<'_>) -> Result<bool, ContainerError> {
        let locked = self.heap().lock()?;
        let most = locked.root(MOST);
        if most > 0 && locked.root(LEN).saturating_add(locked.root(RETURNED)) >= most {
            return Ok(false);
        }
        if locked.root(OPTIONS) & COUNTS == 0 {
            self.list.append_locked(&locked, item)?;
        } else {
            let unfinished = locked.root(UNFINISHED).wrapping_add(1);
            RawList::append_and(&locked, item, |change| {
                change.put_root(UNFINISHED, unfinished)
            })?;
        }
        drop(locked);
        self.bell(ITEMS).ring(1);
        Ok(true)
    }

    /// Takes the next item; `None` if none came in time.
    ///
    /// # Errors
    /// [`ContainerError::Interrupted`]; damage.
    #[inline]
    pub fn get<S: Sink>(
        &self,
        sink: &S,
        patience: Option<Duration>,
    ) -> Result<Option<Got<S>>, ContainerError> {
        self.get_when(patience, || self.try_get(sink))
    }

    #[inline]
    pub(super) fn get_when<T>(
        &self,
        patience: Option<Duration>,
        take: impl Fn() -> Result<Option<T>, ContainerError>,
    ) -> Result<Option<T>, ContainerError> {
        if let Some(got) = take()? {
            return Ok(Some(got));
        }
        let (bell, mut deadline) = (self.bell(ITEMS), Deadline::after(patience));
        loop {
            let seen = bell.rings();
            if let Some(got) = take()? {
                return Ok(Some(got));
            }
            if self.root(LEASES) != 0 && self.return_those_of_the_dead()? {
                continue;
            }
            if !self.pause(bell, seen, &mut deadline)? {
                return Ok(None);
            }
        }
    }

    /// Whether the list may be made anew in less memory, which leaves behind what is not its own.
    fn may_move(&self) -> bool {
        self.root(LEASES) == 0
    }

    /// The end from which items are taken.
    pub(super) fn which(locked: &Locked<'_>) -> Which {
        if locked.root(OPTIONS) & IS_STACK == 0 {
            Which::First
        } else {
            Which::Last
        }
    }

    #[inline]
    fn try_get<S: Sink>(&self, sink: &S) -> Result<Option<Got<S>>, ContainerError> {
        if self.is_empty() {
            return Ok(None);
        }
        let locked = self.heap().lock()?;
        if locked.root(RETURNED) > 0 {
            return self.get_returned(&locked, sink);
        }
        let Some(taken) = RawList::at_end(&locked, Self::which(&locked))? else {
            return Ok(None);
        };
        let made = match RawList::make(&locked, taken.word, sink)? {
            Ok(made) => made,
            Err(error) => return Ok(Some(Err(error))),
        };
        locked.make_room_in_limbo()?;
        self.list
            .take_and(&locked, taken, self.may_move(), |change| {
                retire(change, taken.word)
            })?;
        let is_bounded = locked.root(MOST) > 0;
        drop(locked);
        if is_bounded {
            self.bell(ROOM).ring(1);
        }
        Ok(Some(Ok(made)))
    }

    /// Reports an item done that was got without a lease; `false` if there are none.
    ///
    /// # Errors
    /// The lock is not to be had.
    pub fn task_done(&self) -> Result<bool, ContainerError> {
        let locked = self.heap().lock()?;
        let Some(left) = locked.root(UNFINISHED).checked_sub(1) else {
            return Ok(false);
        };
        locked.set_root(UNFINISHED, left);
        drop(locked);
        if left == 0 {
            self.bell(DONE).ring(ALL);
        }
        Ok(true)
    }

    /// Waits until all items that were put are reported done; whether they were in time.
    ///
    /// # Errors
    /// [`ContainerError::Interrupted`].
    pub fn join(&self, patience: Option<Duration>) -> Result<bool, ContainerError> {
        let (bell, mut deadline) = (self.bell(DONE), Deadline::after(patience));
        loop {
            let seen = bell.rings();
            if self.unfinished() == 0 {
                return Ok(true);
            }
            if !self.pause(bell, seen, &mut deadline)? {
                return Ok(false);
            }
        }
    }

    /// Checks every invariant of the queue's memory.
    ///
    /// # Errors
    /// [`ContainerError::Corrupt`] with the place and the broken invariant.
    pub fn verify(&self) -> Result<(), ContainerError> {
        self.list.verify_and(chain::check)
    }
}

/// Calls `take` with every word that may be a reference: of items, and of leased ones.
fn each_word(heap: &Heap, take: &mut dyn FnMut(u64)) -> Result<(), ContainerError> {
    list::each_word(heap, take)?;
    chain::each_word(heap, take)
}

/// Makes the queue anew in less memory, if nothing but its list is in its heap.
fn renew(heap: &Heap) -> Result<(), ContainerError> {
    if RawQueue::of(heap.clone()).may_move() {
        list::renew(heap)?;
    }
    Ok(())
}

/// Retires what a word leads to that this change makes unreachable.
pub(super) fn retire(change: &mut Change<'_>, word: Word) -> Result<(), ContainerError> {
    if let Some(at) = word.as_blob() {
        change.retire(at)?;
    }
    change.drops(word)
}
