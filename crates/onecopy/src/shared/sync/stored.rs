//! What these are called in the store, and what belongs to one of them.
//!
//! ```text
//! root 5, of conditions and barriers: a reference to what belongs to it, or 0
//! ```
#![forbid(unsafe_code)]

use super::super::error::ContainerError;
use super::super::heap::Heap;
use super::super::layout::ROOT5;
use super::super::reference::Reference;
use super::super::rust_value::{Value, Values};
pub(super) use super::super::stored::{Stored, handed_over};
use super::super::value::{Word, read_value};

/// The word of a companion: another container that belongs to this one, such as a condition's lock.
const COMPANION: u64 = ROOT5;

/// Of containers that may have a companion.
pub(super) fn companions_word(
    heap: &Heap,
    take: &mut dyn FnMut(u64),
) -> Result<(), ContainerError> {
    take(heap.load(heap.head.wrapping_add(COMPANION))?);
    Ok(())
}

/// Gives a container a companion, which it keeps, unless it has one.
pub(super) fn join(heap: &Heap, companion: &Reference) -> Result<(), ContainerError> {
    let locked = heap.lock()?;
    if Word(locked.root(COMPANION)).as_reference().is_some() {
        return Ok(());
    }
    let mut change = locked.change();
    let name = change.refer(companion)?;
    change.put_root(COMPANION, Word::of_reference(name).0)?;
    change.commit(false)
}

/// The companion of a container.
pub(super) fn companion(heap: &Heap) -> Result<Option<Reference>, ContainerError> {
    if heap.top.acquire(COMPANION) == 0 {
        return Ok(None);
    }
    let value = heap.read(|look| read_value(look, look.root(COMPANION), &Values))?;
    match value {
        Ok(Value::Reference(reference)) => Ok(Some(reference)),
        Ok(_) => Ok(None),
        Err(error) => Err(error.or(|| {
            heap.corrupt(heap.head.wrapping_add(COMPANION), "no companion")
                .into()
        })),
    }
}

/// What the store calls these kinds of containers.
pub(crate) mod kinds {
    pub(crate) const QUEUE: u8 = 16;
    pub(crate) const MUTEX: u8 = 17;
    pub(crate) const SEMAPHORE: u8 = 18;
    pub(crate) const EVENT: u8 = 19;
    pub(crate) const CONDITION: u8 = 20;
    pub(crate) const BARRIER: u8 = 21;
}
