//! Items that are taken for a lease: until they are reported done, or their process dies.
#![forbid(unsafe_code)]

use std::time::Duration;

use super::super::super::change::Change;
use super::super::super::error::ContainerError;
use super::super::super::heap::Heap;
use super::super::super::layout::Header;
use super::super::super::list::RawList;
use super::super::super::lock::Locked;
use super::super::super::value::{LEASE, Sink, Word};
use super::super::super::verify::Census;
use super::super::bell::ALL;
use super::super::stored::Stored;
use super::{
    COUNTS, DONE, Got, ITEMS, LEASES, MOST, NUMBER, OPTIONS, RETURNED, ROOM, RawQueue, UNFINISHED,
    retire,
};

/// Bytes of a lease's block, and where its words stand from the block's header on.
const LEASE_BYTES: u64 = 40;
const NEXT: u64 = 8;
const WORD: u64 = 16;
const OWNER: u64 = 24;
const ITS_NUMBER: u64 = 32;
const BEFORE: u64 = 40;

/// An item that was taken until it is reported done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    at: u64,
    number: u64,
    /// Whether a process had it before, and died.
    pub is_again: bool,
}

/// An item and its lease, or why the sink could not make the item.
type Leased<S> = Result<(<S as Sink>::Made, Lease), <S as Sink>::Error>;

/// Where a leased item stands, and what leads to it.
struct Found {
    at: u64,
    before: u64,
}

impl RawQueue {
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

    fn try_lease<S: Sink>(&self, sink: &S) -> Result<Option<Leased<S>>, ContainerError> {
        let me = self.heap().container.process()?;
        let locked = self.heap().lock()?;
        if locked.root(RETURNED) > 0 {
            return Self::lease_returned(&locked, me, sink).map(Some);
        }
        let leased = self.lease_next(&locked, me, sink)?;
        let has_room = matches!(leased, Some(Ok(_))) && locked.root(MOST) > 0;
        drop(locked);
        if has_room {
            self.bell(ROOM).ring(1);
        }
        Ok(leased)
    }

    /// Leases an item that has come back: its lease becomes this process's.
    #[cold]
    fn lease_returned<S: Sink>(
        locked: &Locked<'_>,
        me: u64,
        sink: &S,
    ) -> Result<Leased<S>, ContainerError> {
        let at = Self::returned(locked)?.at;
        let made = match RawList::make(locked, Word(locked.load(at + WORD)?), sink)? {
            Ok(made) => made,
            Err(error) => return Ok(Err(error)),
        };
        let lease = Lease {
            at,
            number: locked.load(at + ITS_NUMBER)?,
            is_again: true,
        };
        let mut change = locked.change();
        change.put(at + OWNER, me)?;
        change.put_root(RETURNED, locked.root(RETURNED) - 1)?;
        change.commit(false)?;
        Ok(Ok((made, lease)))
    }

    /// Moves the next item from the list to the chain of leases.
    fn lease_next<S: Sink>(
        &self,
        locked: &Locked<'_>,
        me: u64,
        sink: &S,
    ) -> Result<Option<Leased<S>>, ContainerError> {
        let Some(taken) = RawList::at_end(locked, Self::which(locked))? else {
            return Ok(None);
        };
        let made = match RawList::make(locked, taken.word, sink)? {
            Ok(made) => made,
            Err(error) => return Ok(Some(Err(error))),
        };
        let (head, first) = (locked.heap.head, locked.root(LEASES));
        let mut lease = Lease {
            at: 0,
            number: locked.root(NUMBER),
            is_again: false,
        };
        self.list.take_and(locked, taken, false, |change| {
            let at = change.allocate(LEASE, LEASE_BYTES)?;
            let words = [
                (NEXT, first),
                (WORD, taken.word.0),
                (OWNER, me),
                (ITS_NUMBER, lease.number),
                (BEFORE, head + LEASES),
            ];
            for (offset, value) in words {
                change.prepare(at + offset, value)?;
            }
            change.put(head + LEASES, at)?;
            if first != 0 {
                change.put(first + BEFORE, at + NEXT)?;
            }
            lease.at = at;
            change.put(head + NUMBER, lease.number.wrapping_add(1))
        })?;
        Ok(Some(Ok((made, lease))))
    }

    /// A lease that is nobody's.
    fn returned(locked: &Locked<'_>) -> Result<Found, ContainerError> {
        let found = Self::find(locked, |at| Ok(locked.load(at + OWNER)? == 0))?;
        found.ok_or_else(|| no_lease(locked))
    }

    /// Takes an item that has come back.
    #[cold]
    pub(super) fn get_returned<S: Sink>(
        &self,
        locked: &Locked<'_>,
        sink: &S,
    ) -> Result<Option<Got<S>>, ContainerError> {
        let found = Self::returned(locked)?;
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
    pub(super) fn return_those_of_the_dead(&self) -> Result<bool, ContainerError> {
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
        self.give_back_in(self.heap().lock()?, lease)
    }

    /// The same for whoever must not wait: the lock has to be free.
    ///
    /// # Errors
    /// Damage; [`ContainerError::LockTimeout`] if the lock is taken.
    pub fn try_give_back(&self, lease: &Lease) -> Result<bool, ContainerError> {
        self.give_back_in(self.heap().lock_within(Duration::ZERO)?, lease)
    }

    fn give_back_in(&self, locked: Locked<'_>, lease: &Lease) -> Result<bool, ContainerError> {
        let Some(found) = self.own_lease(&locked, lease)? else {
            return Ok(false);
        };
        Self::disown(&locked, &found)?;
        drop(locked);
        self.bell(ITEMS).ring(1);
        Ok(true)
    }
}

#[cold]
fn no_lease(locked: &Locked<'_>) -> ContainerError {
    let at = locked.heap.head + LEASES;
    locked.heap.corrupt(at, "a broken chain of leases").into()
}

/// Calls `take` with the word of every leased item.
pub(super) fn each_word(heap: &Heap, take: &mut dyn FnMut(u64)) -> Result<(), ContainerError> {
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

/// Checks the chain of leases.
pub(super) fn check(locked: &Locked<'_>, census: &mut Census<'_>) -> Result<(), ContainerError> {
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
}
