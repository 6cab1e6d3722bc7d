//! Containers that workers write to: heaps with an intent record and optimistic readers.
//!
//! A container is an object of the store whose bytes change. Writers take its lock, readers write nothing. What a
//! process that dies in the middle of a change leaves behind is that change done or not begun.
//!
//! * `words` is the only way to the bytes; `layout` says where everything stands.
//! * `lock`, `change` and `heap` make every change all-or-nothing; `look` and `reading` read beside writers, `past` what is long.
//! * `tries` runs what others wrote, without the lock.
//! * `value` says what a word means; `reference` and `referring`, how one means another object of the store.
//! * `mixed` is plain data in which there are containers, as one value.
//! * `snapshot` is a copy of what was in a container at one moment.
//! * `usage` says what containers use their memory for.
//! * `stored` makes and finds containers in the store, and hands them over.
//! * `array` is the container without a heap: elements in one piece, written in place.
//! * `sync` is waiting for one another: queues, locks, semaphores, events, conditions, barriers.
#![deny(clippy::indexing_slicing, clippy::unwrap_used)]
#![allow(
    clippy::inline_always,
    reason = "an operation of a few nanoseconds is a chain of small functions, some generic, across two crates"
)]
#![allow(
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "offsets, lengths and places lie below 2^48"
)]
#![allow(
    clippy::unused_self,
    reason = "what a kind of container does under its lock is a method of it, also where the lock knows enough"
)]

mod array;
mod cell;
mod change;
#[cfg(test)]
mod damaged;
mod dict;
mod error;
mod generation;
mod head;
mod heap;
mod layout;
mod list;
mod lock;
mod lock_word;
mod look;
mod mixed;
mod number_map;
mod past;
mod reading;
mod record;
mod reference;
mod referring;
mod rust_value;
mod snapshot;
mod stored;
mod sync;
#[cfg(test)]
mod tests;
mod tries;
mod usage;
mod value;
mod verify;
mod words;
mod writes;

pub use array::{Array, Element, Number, RawArray, Sum};
pub use cell::Cell;
pub use dict::{
    Canonical, Counter, Dict, DictError, DictKind, DictLock, End, Items, Key, KeyAdded,
    KeyExchanged, Part, RawDict, Set, canonical, refusal,
};
pub use error::ContainerError;
pub use list::{Added, Exchanged, Iter, List, ListError, ListLock, RawList, Slice};
pub use lock::{SleepHook, WriterLock, set_sleep_hook};
pub use look::Moment;
pub use mixed::Mixed;
pub use reading::retries;
pub use reference::Reference;
pub use rust_value::Value;
pub use snapshot::Snapshot;
pub use sync::{
    Barrier, Condition, Event, Lease, Leased, Mutex, Passed, Queue, QueueOptions, RawQueue,
    Released, Round, Semaphore, Took, Turn,
};
pub use tries::Tries;
pub use usage::{ContainerKind, ContainerStats};
pub use value::{Immediate, Incoming, Kind, Large, Sink, Word};
