//! A queue: items that some put and others take, each once.
//!
//! ```text
//! a list (list/), and in its head:
//! 256: bell of items      320: bell of room      384: bell of work that is done
//! 448: items at most, 0 for any number           456: items that were put and not yet reported done
//! 464: the first lease, 0 for none               472: leased items that have come back
//! 480: 1 counts what is done, 2 last in, first out                    488: the number of the next lease
//! lease: next | word of the item | process that has it, 0 for nobody | number | where the word stands that leads to it
//! ```
//! An item that is taken *for a lease* moves, in the change that takes it out of the list, to the chain of leases, where the
//! name of its process stands beside it. It goes when it is reported done; if its process dies before, whoever next finds the
//! queue empty takes it.
//!
//! **Crash points** are those of a change (change.rs): each operation is one. Whoever dies between its change and its ring
//! has put, or taken, all the same.
#![forbid(unsafe_code)]

use std::time::Duration;

use super::super::change::Change;
use super::super::error::ContainerError;
use super::super::head::EachWord;
use super::super::heap::Heap;
use super::super::layout::Header;
use super::super::list::{self, LEN, RawList, Which};
use super::super::lock::Locked;
use super::super::reference::Reference;
use super::super::value::{Incoming, LEASE, Outside, Sink, Word};
use super::bell::{ALL, Bell};
use super::deadline::{Deadline, Next};
use super::stored::{self, Stored, kinds};
use crate::store::{Container, Store, Token};

const ITEMS: u64 = 256;
const ROOM: u64 = 320;
const DONE: u64 = 384;
const MOST: u64 = 448;
const UNFINISHED: u64 = 456;
const LEASES: u64 = 464;
const RETURNED: u64 = 472;
const OPTIONS: u64 = 480;
const NUMBER: u64 = 488;

const COUNTS: u64 = 1;
const IS_STACK: u64 = 2;

/// Bytes of a lease's block, and where its words stand from the block's header on.
const LEASE_BYTES: u64 = 40;
const NEXT: u64 = 8;
const WORD: u64 = 16;
const OWNER: u64 = 24;
const ITS_NUMBER: u64 = 32;
const BEFORE: u64 = 40;

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

/// An item that was taken until it is reported done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    at: u64,
    number: u64,
    /// Whether a process had it before, and died.
    pub is_again: bool,
}

/// What is taken by a get: an item, or why the sink could not make it, in which case it stays.
type Got<S> = Result<<S as Sink>::Made, <S as Sink>::Error>;

/// Where a leased item stands, and what leads to it.
struct Found {
    at: u64,
    before: u64,
}

/// A queue that all processes see.
#[derive(Debug, Clone)]
pub struct RawQueue {
    list: RawList,
}

stored::handed_over!(RawQueue, "queue");

impl Stored for RawQueue {
    const KIND: u8 = kinds::QUEUE;
    const EACH_WORD: EachWord = each_word;

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
        let heap = Heap::create(store, kinds::QUEUE, Self::EACH_WORD)?;
        let flags = if options.counts { COUNTS } else { 0 };
        let flags = flags | if options.is_stack { IS_STACK } else { 0 };
        heap.top.store(MOST, options.most);
        heap.top.store(OPTIONS, flags);
        Ok(Self::of(heap))
    }

    /// What to say of an item that means nothing.
    #[cold]
    pub(super) fn no_value(&self) -> ContainerError {
        let at = self.heap().head;
        self.heap().corrupt(at, "an item that is no value").into()
    }

    fn bell(&self, at: u64) -> Bell<'_> {
        Bell::of(self.heap(), at)
    }

    fn root(&self, at: u64) -> u64 {
        self.heap().words.acquire(self.heap().head + at)
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

    /// Takes the next item until [`RawQueue::done`] is called for it. If this process dies before, it goes to another.
    ///
    /// # Errors
    /// As in [`RawQueue::get`], and no memory for the lease; the item stays then.
    #[allow(clippy::type_complexity, reason = "an item and its lease")]
    pub fn lease<S: Sink>(
        &self,
        sink: &S,
        patience: Option<Duration>,
    ) -> Result<Option<Result<(S::Made, Lease), S::Error>>, ContainerError> {
        self.get_when(patience, || self.try_lease(sink))
    }

    #[inline]
    fn get_when<T>(
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
    fn which(locked: &Locked<'_>) -> Which {
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

    #[allow(clippy::type_complexity, reason = "an item and its lease")]
    fn try_lease<S: Sink>(
        &self,
        sink: &S,
    ) -> Result<Option<Result<(S::Made, Lease), S::Error>>, ContainerError> {
        let me = self.heap().container.process()?;
        let locked = self.heap().lock()?;
        let head = self.heap().head;
        if locked.root(RETURNED) > 0 {
            let found = Self::find(&locked, |at| Ok(locked.load(at + OWNER)? == 0))?;
            let Some(Found { at, .. }) = found else {
                return Err(no_lease(&locked));
            };
            let made = match RawList::make(&locked, Word(locked.load(at + WORD)?), sink)? {
                Ok(made) => made,
                Err(error) => return Ok(Some(Err(error))),
            };
            let number = locked.load(at + ITS_NUMBER)?;
            let mut change = locked.change();
            change.put(at + OWNER, me)?;
            change.put_root(RETURNED, locked.root(RETURNED) - 1)?;
            change.commit(false)?;
            let is_again = true;
            return Ok(Some(Ok((
                made,
                Lease {
                    at,
                    number,
                    is_again,
                },
            ))));
        }
        let Some(taken) = RawList::at_end(&locked, Self::which(&locked))? else {
            return Ok(None);
        };
        let made = match RawList::make(&locked, taken.word, sink)? {
            Ok(made) => made,
            Err(error) => return Ok(Some(Err(error))),
        };
        let (first, number) = (locked.root(LEASES), locked.root(NUMBER));
        let mut at = 0;
        self.list.take_and(&locked, taken, false, |change| {
            at = change.allocate(LEASE, LEASE_BYTES)?;
            let words = [
                (NEXT, first),
                (WORD, taken.word.0),
                (OWNER, me),
                (ITS_NUMBER, number),
                (BEFORE, head + LEASES),
            ];
            for (offset, value) in words {
                change.prepare(at + offset, value)?;
            }
            change.put(head + LEASES, at)?;
            if first != 0 {
                change.put(first + BEFORE, at + NEXT)?;
            }
            change.put(head + NUMBER, number.wrapping_add(1))
        })?;
        let is_bounded = locked.root(MOST) > 0;
        drop(locked);
        if is_bounded {
            self.bell(ROOM).ring(1);
        }
        let is_again = false;
        Ok(Some(Ok((
            made,
            Lease {
                at,
                number,
                is_again,
            },
        ))))
    }

    /// Takes an item that has come back.
    #[cold]
    fn get_returned<S: Sink>(
        &self,
        locked: &Locked<'_>,
        sink: &S,
    ) -> Result<Option<Got<S>>, ContainerError> {
        let found = Self::find(locked, |at| Ok(locked.load(at + OWNER)? == 0))?;
        let Some(found) = found else {
            return Err(no_lease(locked));
        };
        let word = Word(locked.load(found.at + WORD)?);
        let made = match RawList::make(locked, word, sink)? {
            Ok(made) => made,
            Err(error) => return Ok(Some(Err(error))),
        };
        let returned = locked.root(RETURNED) - 1;
        Self::unlink(locked, &found, word, |change| {
            change.put_root(RETURNED, returned)
        })?;
        if locked.root(MOST) > 0 {
            self.bell(ROOM).ring(1);
        }
        Ok(Some(Ok(made)))
    }

    /// The first lease for which `is_it`, and the word that leads to it.
    fn find(
        locked: &Locked<'_>,
        is_it: impl Fn(u64) -> Result<bool, ContainerError>,
    ) -> Result<Option<Found>, ContainerError> {
        let mut before = locked.heap.head + LEASES;
        // Every lease has had a number; a damaged chain may be a circle.
        for _ in 0..=locked.root(NUMBER) {
            let at = locked.load(before)?;
            if at == 0 {
                return Ok(None);
            }
            if Header(locked.load(at)?).kind() != LEASE {
                return Err(no_lease(locked));
            }
            if is_it(at)? {
                return Ok(Some(Found { at, before }));
            }
            before = at + NEXT;
        }
        Err(no_lease(locked))
    }

    /// Ends a lease and its item in one change with what `also` adds to it.
    fn unlink(
        locked: &Locked<'_>,
        found: &Found,
        word: Word,
        also: impl FnOnce(&mut Change<'_>) -> Result<(), ContainerError>,
    ) -> Result<(), ContainerError> {
        locked.make_room_in_limbo()?;
        let next = locked.load(found.at + NEXT)?;
        let mut change = locked.change();
        change.put(found.before, next)?;
        if next != 0 {
            change.put(next + BEFORE, found.before)?;
        }
        also(&mut change)?;
        retire(&mut change, word)?;
        change.free(found.at)?;
        change.commit(true)
    }

    /// Gives back what dead processes had leased; whether there was anything.
    fn return_those_of_the_dead(&self) -> Result<bool, ContainerError> {
        let locked = self.heap().lock()?;
        let container = &self.heap().container;
        let mut returned = 0;
        loop {
            let found = Self::find(&locked, |at| {
                let owner = locked.load(at + OWNER)?;
                Ok(owner != 0 && container.has_ended(owner)?)
            })?;
            let Some(found) = found else { break };
            Self::disown(&locked, &found)?;
            returned += 1;
        }
        drop(locked);
        if returned > 0 {
            self.bell(ITEMS).ring(returned);
        }
        Ok(returned > 0)
    }

    /// Makes a leased item nobody's, so that the next who gets one gets it.
    fn disown(locked: &Locked<'_>, found: &Found) -> Result<(), ContainerError> {
        let mut change = locked.change();
        change.put(found.at + OWNER, 0)?;
        change.put_root(RETURNED, locked.root(RETURNED).wrapping_add(1))?;
        change.commit(false)
    }

    fn own_lease(
        &self,
        locked: &Locked<'_>,
        lease: &Lease,
    ) -> Result<Option<Found>, ContainerError> {
        let (me, at) = (self.heap().container.process()?, lease.at);
        // The block may have been freed since, and be anything: no other lease ever has the number.
        if self.heap().own(at).is_err() || Header(locked.load(at)?).kind() != LEASE {
            return Ok(None);
        }
        let is_own =
            locked.load(at + ITS_NUMBER)? == lease.number && locked.load(at + OWNER)? == me;
        let before = locked.load(at + BEFORE)?;
        Ok(is_own.then_some(Found { at, before }))
    }

    /// Ends a lease: its item is done with. `false` if this process does not have it any more.
    ///
    /// # Errors
    /// Damage; the lock is not to be had.
    pub fn done(&self, lease: &Lease) -> Result<bool, ContainerError> {
        let locked = self.heap().lock()?;
        let Some(found) = self.own_lease(&locked, lease)? else {
            return Ok(false);
        };
        let word = Word(locked.load(found.at + WORD)?);
        let counts = locked.root(OPTIONS) & COUNTS != 0;
        let left = locked.root(UNFINISHED).saturating_sub(1);
        Self::unlink(&locked, &found, word, |change| {
            if counts {
                change.put_root(UNFINISHED, left)?;
            }
            Ok(())
        })?;
        drop(locked);
        if counts && left == 0 {
            self.bell(DONE).ring(ALL);
        }
        Ok(true)
    }

    /// Gives a leased item back: the next who gets one gets it. `false` if this process does not have it any more.
    ///
    /// # Errors
    /// Damage; the lock is not to be had.
    pub fn give_back(&self, lease: &Lease) -> Result<bool, ContainerError> {
        let locked = self.heap().lock()?;
        let Some(found) = self.own_lease(&locked, lease)? else {
            return Ok(false);
        };
        Self::disown(&locked, &found)?;
        drop(locked);
        self.bell(ITEMS).ring(1);
        Ok(true)
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
        locked.set(self.heap().head + UNFINISHED, left)?;
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
        self.list.verify_and(|locked, census| {
            let mut returned = 0;
            let (mut at, mut before) = (locked.root(LEASES), locked.heap.head + LEASES);
            while at != 0 {
                census.reach(at, LEASE)?;
                if locked.load(at + BEFORE)? != before {
                    return Err(no_lease(locked));
                }
                census.value(locked.load(at + WORD)?)?;
                returned += u64::from(locked.load(at + OWNER)? == 0);
                before = at + NEXT;
                at = locked.load(before)?;
            }
            if returned != locked.root(RETURNED) {
                return Err(no_lease(locked));
            }
            Ok(())
        })
    }
}

#[cold]
fn no_lease(locked: &Locked<'_>) -> ContainerError {
    let at = locked.heap.head + LEASES;
    locked.heap.corrupt(at, "a broken chain of leases").into()
}

/// Calls `take` with every word that may be a reference: of items, and of leased ones.
fn each_word(heap: &Heap, take: &mut dyn FnMut(u64)) -> Result<(), ContainerError> {
    list::each_word(heap, take)?;
    let mut at = heap.load(heap.head + LEASES)?;
    for _ in 0..heap.load(heap.head + NUMBER)? {
        if at == 0 {
            break;
        }
        take(heap.load(at + WORD)?);
        at = heap.load(at + NEXT)?;
    }
    Ok(())
}

/// Retires what a word leads to that this change makes unreachable.
fn retire(change: &mut Change<'_>, word: Word) -> Result<(), ContainerError> {
    if let Some(at) = word.as_blob() {
        change.retire(at)?;
    }
    change.drops(word)
}
