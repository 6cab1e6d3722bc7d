//! Lists.
//!
//! ```text
//! root 0 ─▶ directory: entry = start (16 bits) | offset of a page (48)          position = base + index
//!            floor/512 ……… base/512 ………………… cap/512 ……… entries                page     = entry of position / 512
//!            │ spare pages │ pages in use │ spare │ no pages │                  word     = (start + position) % 512
//! page: 512 words in a circle
//! ```
//! Element i stands at *position* base + i. Positions are dealt out to pages by their upper bits, and a page is a circle
//! that may begin anywhere: so if everything behind an insertion moves up by one, each later page turns by one place and
//! gets one word, where an array would copy all 512. What is in front of it may move down instead, whichever is less.
//! Both ends grow and shrink alike; nothing is ever copied because a list grows, but its directory.
//!
//! **Invariants.** `I1`: the entries from `floor / 512` to `cap / 512`, and only these, lead to a page each, no two to the
//! same. `I2`: floor ≤ base, base + length ≤ cap ≤ 512 × entries; floor and cap are multiples of 512. `I3`: the words at
//! the positions of elements are values, and no two lead to the same blob. What stands in all other words means nothing.
//!
//! **Readers** see a length, a base, an entry and a word, and none of these changes but under an odd `seq`, except: a word
//! is replaced by another (one store), and the length changes at the end. Where an element was popped, the next one may
//! be written before it is committed; so a reader looks at the length again after the word. One that counts from the end
//! looks whether anything at all has changed between the two.
//!
//! **Crash points** are those of a change (change.rs): each operation is one, of one word (set, append, pop) or of a
//! record. What comes before and after it is a change of its own that nobody sees: more pages, a larger directory, spare
//! pages freed. Larger operations build a new generation (generation.rs).
//!
//! * `place` finds words; `point` is what takes a few nanoseconds; `room` adds and frees pages.
//! * `splice` inserts, deletes and replaces in the middle, as `plan` says; `whole` does what touches all of a list.
//! * `read` copies many elements of one moment; `slice` knows Python's slices; `check` looks at the invariants.
#![forbid(unsafe_code)]
#![allow(
    clippy::inline_always,
    reason = "what takes a few nanoseconds is one piece of code in whatever calls it"
)]
#![allow(
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    reason = "indices are bounded by lengths, and these by memory; distances wrap as they should"
)]

mod api;
mod check;
mod ends;
mod extend;
mod place;
mod plan;
mod point;
mod raw;
mod read;
mod room;
mod roots;
mod slice;
mod splice;
#[cfg(test)]
mod tests;
mod whole;

pub use api::{Iter, List, ListError, ListLock};
pub(crate) use ends::Which;
pub use point::{Added, Exchanged};
pub use raw::RawList;
pub(crate) use raw::{KIND, each_word, renew};
pub(crate) use roots::LEN;
pub use slice::Slice;

use roots::{BASE, CAP, DIRECTORY_AT, ENTRIES, FLOOR, OFFSET, PAGE_BYTES, PEAK, PER, SMALL};
