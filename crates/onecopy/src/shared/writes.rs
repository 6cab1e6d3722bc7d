//! What a change writes, as its author keeps it: the record is shared memory, so what is read from there has to be looked
//! at once more.
//!
//! **Invariant.** `I1`: the first `len` places are initialised.
#![allow(
    unsafe_code,
    reason = "half a kilobyte of zeros for each change would take longer than most changes"
)]

use std::mem::MaybeUninit;

use super::layout::RECORD_WRITES;

/// A write: offset and value.
type Write = (u64, u64);

/// As many writes as the intent record holds.
#[derive(Debug)]
pub(super) struct Writes {
    places: [MaybeUninit<Write>; RECORD_WRITES as usize],
    len: usize,
}

impl Writes {
    #[inline(always)]
    pub(super) fn new() -> Self {
        Self {
            places: [const { MaybeUninit::uninit() }; RECORD_WRITES as usize],
            len: 0,
        }
    }

    /// Adds a write; one more than there is room for is not kept.
    #[inline(always)]
    pub(super) fn push(&mut self, write: Write) {
        if let Some(place) = self.places.get_mut(self.len) {
            place.write(write);
            self.len += 1;
        }
    }

    #[inline(always)]
    pub(super) fn all(&self) -> &[Write] {
        let places = self.places.get(..self.len).unwrap_or_default();
        // SAFETY: these places are initialised (I1), and `MaybeUninit` has the layout of what is in it.
        unsafe { &*(std::ptr::from_ref(places) as *const [Write]) }
    }

    #[inline(always)]
    pub(super) fn value_mut(&mut self, index: usize) -> Option<&mut u64> {
        let place = self.places.get_mut(..self.len)?.get_mut(index)?;
        // SAFETY: one of the first `len` places, which are initialised (I1).
        Some(&mut unsafe { place.assume_init_mut() }.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_comes_back_as_far_as_there_is_room() {
        let mut writes = Writes::new();
        assert!(writes.all().is_empty() && writes.value_mut(0).is_none());
        for at in 0..RECORD_WRITES + 2 {
            writes.push((at, 1));
        }
        assert_eq!(writes.all().len() as u64, RECORD_WRITES);
        assert_eq!(writes.all().last(), Some(&(RECORD_WRITES - 1, 1)));
        *writes.value_mut(3).unwrap() = 7;
        assert_eq!(writes.all().get(2..4), Some([(2, 1), (3, 7)].as_slice()));
    }
}
