//! Dicts.
//!
//! ```text
//! root 0 ─▶ index: slots {16 bits of a hash | offset of an entry}      in segments, found through a directory
//! root 1 ─▶ order: words {offset of an entry}                          in pages, found through a directory
//!            entry: {header} {value} {half of the hash | place} {key}
//! root 3    places in use (32) | keys (32)         root 4: places below this are holes
//! ```
//! A lookup is a load of a slot and one of the entry that it leads to, both next to nothing else of interest, so a dict
//! that no cache holds costs two misses. Growth splits one segment at a time: the longest insertion into a dict of
//! millions moves a few thousand keys.
//!
//! **Invariants.** `I1`: each key has one entry; one slot of its segment leads to it, and one place of the order. `I2`:
//! every slot between a key's own slot and the one where it stands is not empty. `I3`: a slot that leads to an entry has
//! the upper 16 bits of its hash, the entry the lower 32. `I4`: places from root 4 up to those in use have pages. `I5`: an
//! entry's key never changes; its value is one word.
//!
//! **Readers** look at the index alone. A slot goes from empty, or deleted, to an entry and back, and an entry's value from
//! word to word, each by one store. Entries that are deleted go into limbo with their content, so readers that have just
//! found one go on. A point read does not ask whether a change is under way: beside a writer that is stopped between its
//! commit and its last write it may find what was before, while a copy of many keys has what comes after.
//!
//! **Crash points** are those of a change (change.rs). An operation is one change: of one word if a value is a word and
//! replaces one, else of a record. What comes before it is a change of its own that nobody sees: a segment that is split,
//! a page more, gaps closed, a generation. Two things are written without a record, because they may be wrong: counts of
//! slots (index.rs) and the entries' words for their places (order.rs).
//!
//! * `hash` prepares keys; `index` finds them and `segment` makes room for them; `entry` is where they are; `order` keeps
//!   their order.
//! * `point` is what takes nanoseconds; `take` takes keys out; `add` adds; `update` sets many; `whole` makes a dict anew;
//!   `read` copies many.
//! * `api`, `set` and `counter` are for Rust programs; `check` looks at the invariants.
#![forbid(unsafe_code)]
#![allow(
    clippy::unused_self,
    reason = "what is done under a dict's lock is the dict's"
)]

mod add;
mod api;
mod check;
mod counter;
mod entry;
mod hash;
mod index;
mod order;
mod point;
mod raw;
mod read;
mod segment;
mod set;
mod take;
#[cfg(test)]
mod tests;
mod update;
mod whole;

pub use add::KeyAdded;
pub use api::{Dict, DictError, DictLock, Items};
pub use counter::Counter;
pub use hash::{Canonical, Key, canonical, refusal};
pub use point::KeyExchanged;
pub use raw::{DictKind, RawDict};
pub(crate) use raw::{STATE, len_of};
pub use read::Part;
pub use set::Set;
pub use take::End;

use raw::{FIRST, INDEX, KEY_AT, LEN_MOST, OFFSET, ORDER, PLACE_AT, VALUE_AT, state, used_of};
