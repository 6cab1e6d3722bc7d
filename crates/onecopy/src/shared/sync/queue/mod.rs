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

mod chain;
mod lease;
mod raw;

pub use lease::{Lease, Leased};
pub use raw::{QueueOptions, RawQueue};
