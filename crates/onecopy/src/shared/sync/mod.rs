//! Waiting for one another: queues, locks, semaphores, events, conditions, barriers.
//!
//! Each is a container of its own, whose state changes as that of any other: under its writers' lock, by one store or by a
//! record (change.rs). So whoever is killed leaves each operation done or not begun. What is new here is sleeping until
//! something has happened:
//!
//! * `bell` is the word that sleepers sleep on; `deadline` says for how long.
//! * `api` is what Rust programs call.
//! * `stored` makes and finds the containers of these kinds.
//! * `mutex` is a lock of the user's; `semaphore`, `event`, `condition`, `barrier` and `queue` are what they are called.
//!
//! **The dead.** A sleeper looks around at least ten times a second: whether whom it waits for has died, and whether a
//! wake-up went to somebody who has. So a death delays the living, and stops nobody.
#![forbid(unsafe_code)]
#![deny(clippy::arithmetic_side_effects)]

mod api;
mod barrier;
mod bell;
mod condition;
mod deadline;
mod event;
mod mutex;
mod queue;
mod semaphore;
mod stored;
#[cfg(test)]
#[cfg(feature = "testing")]
mod tests;
mod waiters;

pub use api::Queue;
pub use barrier::{Barrier, Passed, Round, Turn};
pub use condition::Condition;
pub use event::Event;
pub use mutex::{Mutex, Took};
pub use queue::{Lease, Leased, QueueOptions, RawQueue};
pub use semaphore::{Released, Semaphore};
pub(crate) use stored::kinds;
