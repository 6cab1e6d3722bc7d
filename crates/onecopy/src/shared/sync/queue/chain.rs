//! The chain of leases: each leads to the next, and knows the word that leads to it.
#![forbid(unsafe_code)]

use super::super::super::error::ContainerError;
use super::super::super::heap::Heap;
use super::super::super::lock::Locked;
use super::super::super::value::LEASE;
use super::super::super::verify::Census;

/// The first lease, and how many leased items have come back: words of the head.
pub(super) const LEASES: u64 = 464;
/// See [`LEASES`].
pub(super) const RETURNED: u64 = 472;
/// Bytes of a lease's block, and where its words stand from the block's header on.
pub(super) const LEASE_BYTES: u64 = 40;
pub(super) const NEXT: u64 = 8;
pub(super) const WORD: u64 = 16;
pub(super) const OWNER: u64 = 24;
pub(super) const ITS_NUMBER: u64 = 32;
pub(super) const BEFORE: u64 = 40;

/// Where a leased item stands, and what leads to it.
pub(super) struct Found {
    pub(super) at: u64,
    pub(super) before: u64,
}

#[cold]
pub(super) fn no_lease(heap: &Heap) -> ContainerError {
    let at = heap.head.wrapping_add(LEASES);
    heap.corrupt(at, "a broken chain of leases").into()
}

/// The leases of a queue, one after the other, under its lock.
pub(super) struct Chain<'a> {
    heap: &'a Heap,
    before: u64,
    /// A lease that was met after so many steps as a power of two: a circle comes back to one of them (Brent).
    met: u64,
    steps: u64,
}

impl<'a> Chain<'a> {
    pub(super) fn of(heap: &'a Heap) -> Self {
        Self {
            heap,
            before: heap.head.wrapping_add(LEASES),
            met: 0,
            steps: 0,
        }
    }

    pub(super) fn next(&mut self) -> Result<Option<Found>, ContainerError> {
        let before = self.before;
        let at = self.heap.load(before)?;
        if at == 0 {
            return Ok(None);
        }
        if at == self.met {
            return Err(no_lease(self.heap));
        }
        self.steps = self.steps.wrapping_add(1);
        if self.steps.is_power_of_two() {
            self.met = at;
        }
        self.before = at.wrapping_add(NEXT);
        Ok(Some(Found { at, before }))
    }
}

/// Calls `take` with the word of every leased item.
pub(super) fn each_word(heap: &Heap, take: &mut dyn FnMut(u64)) -> Result<(), ContainerError> {
    let mut chain = Chain::of(heap);
    while let Some(Found { at, .. }) = chain.next()? {
        take(heap.load(at.wrapping_add(WORD))?);
    }
    Ok(())
}

/// Checks the chain of leases.
pub(super) fn check(locked: &Locked<'_>, census: &mut Census<'_>) -> Result<(), ContainerError> {
    let mut returned = 0_u64;
    let mut chain = Chain::of(locked.heap);
    while let Some(Found { at, before }) = chain.next()? {
        census.reach(at, LEASE)?;
        if locked.load(at.wrapping_add(BEFORE))? != before {
            return Err(no_lease(locked.heap));
        }
        census.value(locked.load(at.wrapping_add(WORD))?)?;
        let is_nobodys = locked.load(at.wrapping_add(OWNER))? == 0;
        returned = returned.saturating_add(u64::from(is_nobodys));
    }
    if returned != locked.root(RETURNED) {
        return Err(no_lease(locked.heap));
    }
    Ok(())
}
