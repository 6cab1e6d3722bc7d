//! Finds a process and its descendants, reads them all, and reads again until nobody came or went
//! meanwhile.
//!
//! ```text
//! list (pid, start time) ─▶ read each ─▶ list again ─▶ same list, nobody vanished: done
//!        ▲                                   └─ otherwise, at most PASSES times
//!        └───────────────────────────────────┘
//! ```
//! A process that goes away within a pass has taken its share of PSS from rows already read, so
//! leaving it out would be a part shown as the whole.
#![forbid(unsafe_code)]

mod family;
mod list;
mod measure;
mod pass;
mod range;
mod report;
mod sums;

use crate::read::Proc;
use crate::report::{Level, Tag};

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
    pub(crate) tags: &'a [Tag],
    pub(crate) level: Level,
}
