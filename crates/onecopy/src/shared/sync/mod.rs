//! Waiting for one another: queues, locks, semaphores, events, conditions, barriers.
//!
//! Each is a container of its own, whose state changes as that of any other: under its writers' lock, by one store or by a
//! record (change.rs). So whoever is killed leaves each operation done or not begun. What is new here is sleeping until
//! something has happened:
//!
//! * `bell` is the word that sleepers sleep on; `deadline` says for how long.
//! * `api` is what Rust programs call.
//! * `mutex` is a lock of the user's; `semaphore`, `event`, `condition`, `barrier` and `queue` are what they are called.
//!
//! **The dead.** A sleeper looks around at least ten times a second: whether whom it waits for has died, and whether a
//! wake-up went to somebody who has. So a death delays the living, and stops nobody.
#![forbid(unsafe_code)]

mod api;
mod barrier;
mod bell;
mod condition;
mod deadline;
mod event;
mod mutex;
mod queue;
mod semaphore;
mod waiters;

pub use api::Queue;
pub use barrier::{Barrier, Passed, Turn};
pub use condition::Condition;
pub use event::Event;
pub use mutex::{Mutex, Took};
pub use queue::{Lease, QueueOptions, RawQueue};
pub use semaphore::{Released, Semaphore};

use super::error::ContainerError;
use super::heap::Heap;
use super::reference::Reference;
use crate::store::{Container, Store};

/// A new container of zeros.
fn create(store: &Store, kind: u8, byte_len: u64) -> Result<Heap, ContainerError> {
    Heap::create_empty(store, kind, byte_len, no_word)
}

/// A container that exists.
fn open(container: Container, kind: u8) -> Result<Heap, ContainerError> {
    Heap::open(container, |found| found == kind, no_word)
}

/// The container that a reference is to, if it is of this kind.
fn of_reference(reference: &Reference, kind: u8) -> Result<Option<Heap>, ContainerError> {
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
