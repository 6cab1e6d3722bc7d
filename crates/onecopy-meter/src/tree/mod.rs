//! Finds a process and its descendants, reads them all, and reads again until nobody came, went or lost its
//! memory, and next to nothing moved meanwhile.
//!
//! ```text
//! list ─▶ open each ─▶ read all pages ─▶ look at each again ─▶ list again ─▶ the same, no faults: done
//!  ▲        (bracket.rs) ···························┘                  └─ otherwise, at most PASSES times
//!  └───────────────────────────────────────────────────────────────────┘
//! ```
//! What moved in the pass that is shown is said as its *drift*. A session that is read again and again
//! is not repeated for it: that would cost more than it tells.
//!
//! A process that goes away within a pass has taken its share of PSS from rows already read, so
//! leaving it out would be a part shown as the whole.
#![forbid(unsafe_code)]

mod bracket;
mod files;
mod list;
mod measure;
mod pass;
mod range;
mod report;
mod sums;

use crate::read::Proc;
use crate::report::{Identity, Level, Tag};

pub(crate) use measure::measure;
pub(crate) use range::range;

/// What is to be measured.
pub(crate) struct Subject<'a> {
    pub(crate) proc: &'a Proc,
    pub(crate) root: u32,
    /// Whether its descendants are, too.
    pub(crate) children: bool,
    /// Whether it is part of the tree itself.
    pub(crate) with_root: bool,
    /// Who is not, though what it has started is.
    pub(crate) without: &'a [Identity],
    pub(crate) tags: &'a [Tag],
    pub(crate) level: Level,
    /// Whether it is read again when pages have moved meanwhile.
    pub(crate) patient: bool,
}
