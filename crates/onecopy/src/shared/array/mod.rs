//! Arrays: elements in one piece, which all processes read and write where they lie.
//!
//! ```text
//! own run of spans:   head, one page (layout.rs)  |  elements
//! root 3: bytes of an element, for reports        root 4: the type of the elements of a Rust array, 0 of any other
//! from 1024 on, of any other: bytes of a description, and the description
//! ```
//! An array has no heap and no record: an element is one store of its own width, done or not begun. What belongs
//! together is written under the lock, and a writer that dies in it leaves what it had written.
//!
//! **Invariants.** `I1`: a container of this kind is as long as its head and its elements together, all of it committed, and
//! neither grows nor moves. `I3`: in a fork child that could be given no holds (container.rs I3) it has no elements, and who
//! had their addresses before the fork writes to private pages. `I2`: a Rust array's elements are accessed as its atomics and in no other width, by every
//! process: its type stands in its head, and only the same type attaches. Those of any other array are written by code that
//! this crate knows nothing of; here they are accessed as whole words.
//!
//! **Crash points.** A writer that dies while it makes an array leaves a container that it alone held.
//!
//! * `memory` makes and finds arrays; `typed` is for Rust programs, `raw` for elements that other code knows.

mod memory;
mod raw;
mod typed;

pub(crate) use memory::{ITEM_BYTES, KIND, count};
pub use raw::{Number, RawArray, Sum};
pub use typed::{Array, Element};
