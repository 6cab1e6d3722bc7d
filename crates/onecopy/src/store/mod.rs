//! The store: one anonymous sealed memory file that all processes of a family map.
//!
//! Everything shared in memory lives in it. It has no name, so nothing can be left behind: the kernel
//! frees it when the last process that maps it is gone, however it died. There is no server process.
//!
//! ```text
//!            allocate            publish                token          attach
//! Building ───────────▶ pages ───────────▶ Object ───────────▶ Token ─────────▶ Object elsewhere
//!   (writable, unseen)            (read-only, one hold per process)   (a unit in flight)
//! ```
//! * `layout` says where everything stands; `mem` is the only way to touch it; `file` maps it and `grow` commits it.
//! * `lock` and `intent` make every change of the metadata all-or-nothing under `kill -9`.
//! * `spans`, `objects`, `chunks`, `units` and `references` are the tables; `processes`, `alive` and `threads` say who is there.
//! * `recover` gives back what the dead held; `verify` checks all invariants, and `census` lists containers.
//! * `process_lock`, `local`, `own_slot` and `attached` are the process's own side; `session` is one operation; `at_fork`
//!   and `find` are how a store comes to a process.
//! * `hold` is one owner's interest; `building`, `object`, `private` and `view` are objects as Rust values; `referent` is
//!   what a container refers to.
//!
//! Which stores to memory a change consists of, and what a peer sees if its author dies after each, is
//! written in `intent.rs`, `objects.rs` and `recover.rs`.
#![deny(clippy::indexing_slicing, clippy::unwrap_used)]
#![deny(clippy::arithmetic_side_effects)]

mod alive;
mod at_fork;
mod attached;
mod building;
mod census;
mod check;
mod chunks;
mod container;
mod file;
mod find;
mod grow;
mod handle;
mod hold;
mod id;
mod intent;
mod layout;
mod local;
mod lock;
mod locked;
mod mem;
mod object;
mod objects;
mod own_slot;
mod own_spans;
mod private;
mod process_lock;
mod processes;
mod recover;
mod references;
mod referent;
mod session;
mod spans;
mod stats;
mod threads;
mod token;
mod units;
mod verify;
mod view;
#[cfg(feature = "testing")]
mod words;

pub use building::Building;
pub(crate) use census::{Listed, Run};
#[cfg(not(feature = "testing"))]
pub(crate) use container::Container;
pub(crate) use container::Watch;
#[cfg(feature = "testing")]
pub use container::{Chunk, Container};
pub use grow::Huge;
pub use handle::{Store, StoreOptions};
pub use id::{ObjectId, Uuid};
pub(crate) use layout::{SPAN, THREAD_SLOTS as MOST_THREADS};
pub use object::Object;
pub use private::{OldAddress, PrivateMapping};
pub use process_lock::fork_count;
pub(crate) use referent::Referent;
pub use stats::{Collected, Stats};
pub use token::Token;
pub use view::{Portable, View};

#[cfg(feature = "testing")]
pub(crate) use words::in_use as words_in_use;
