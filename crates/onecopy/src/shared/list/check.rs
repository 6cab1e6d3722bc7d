//! A list's invariants.
#![forbid(unsafe_code)]

use super::super::error::ContainerError;
use super::super::lock::Locked;
use super::super::value::{DIRECTORY, PAGE_OF_WORDS};
use super::super::verify::Census;
use super::place::State;
use super::{OFFSET, PER, RawList};

impl RawList {
    /// Checks every invariant of the list and its heap, under the lock.
    ///
    /// # Errors
    /// [`ContainerError::Corrupt`] with the place and the broken invariant.
    pub fn verify(&self) -> Result<(), ContainerError> {
        self.verify_and(|_, _| Ok(()))
    }

    /// The same for a list that has more in its heap, which `also` reports.
    pub(crate) fn verify_and(
        &self,
        also: impl FnOnce(&Locked<'_>, &mut Census<'_>) -> Result<(), ContainerError>,
    ) -> Result<(), ContainerError> {
        let locked = self.heap.lock()?;
        locked.verify(|census| {
            reach(&locked, census)?;
            also(&locked, census)
        })
    }

    /// What to say of an element that means nothing.
    #[cold]
    pub(super) fn no_value(&self) -> ContainerError {
        self.heap
            .corrupt(self.heap.head, "an element that is no value")
            .into()
    }
}

/// Reports the blocks that the list is made of.
fn reach(locked: &Locked<'_>, census: &mut Census<'_>) -> Result<(), ContainerError> {
    let state = State::load(locked)?;
    if state.entries > 0 {
        census.reach(state.directory - 8, DIRECTORY)?;
    }
    for index in state.floor / PER..state.cap / PER {
        let page = state.entry(locked, index)? & OFFSET;
        census.reach(page - 8, PAGE_OF_WORDS)?;
    }
    for index in 0..state.len {
        census.value(state.word(locked, index)?)?;
    }
    Ok(())
}
