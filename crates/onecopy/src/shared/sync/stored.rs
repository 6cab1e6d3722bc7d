//! What these are in the store: containers of zeros that are kept and found as all others, and refer to nothing.
#![forbid(unsafe_code)]

use super::super::error::ContainerError;
use super::super::heap::Heap;
use super::super::reference::Reference;
use crate::store::{Container, Store};

/// A new container of zeros.
pub(super) fn create(store: &Store, kind: u8, byte_len: u64) -> Result<Heap, ContainerError> {
    Heap::create_empty(store, kind, byte_len, no_word)
}

/// A container that exists.
pub(super) fn open(container: Container, kind: u8) -> Result<Heap, ContainerError> {
    Heap::open(container, |found| found == kind, no_word)
}

/// The container that a reference is to, if it is of this kind.
pub(super) fn of_reference(
    reference: &Reference,
    kind: u8,
) -> Result<Option<Heap>, ContainerError> {
    let container = reference.container();
    let container = container.filter(|container| container.kind() == kind);
    container
        .map(|container| open(container.clone(), kind))
        .transpose()
}

#[allow(
    clippy::unnecessary_wraps,
    reason = "as of containers of many words, which may be damaged"
)]
fn no_word(_: &Heap, _: &mut dyn FnMut(u64)) -> Result<(), ContainerError> {
    Ok(())
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
