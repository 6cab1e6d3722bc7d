//! How many copies of your data exist: memory accounting of process trees from `/proc`.
//!
//! Tools that add up RSS count shared memory once per process. This crate reads what the kernel
//! itself accounts: RSS, PSS and USS of every process in a tree, the memory files of onecopy stores,
//! and, page by page, how many physical pages stand behind each distinct one. It needs no privilege
//! for the caller's own processes, changes nothing in them, and depends on nothing that it measures.
//!
//! ```
//! let report = onecopy_meter::tree(std::process::id())?;
//! assert!(report.complete);
//! assert!(report.tree.sum_pss <= report.tree.sum_rss);
//! # Ok::<(), onecopy_meter::MeterError>(())
//! ```
//!
//! A process that cannot be read is shown with its reason in [`Report::skipped`] and leaves the sums
//! `None`; nothing is ever counted as zero because it could not be seen.
#![deny(unsafe_code)]

mod account;
mod by_pss;
mod content;
mod error;
mod family;
mod forks;
mod history;
mod ioctl;
mod kcmp;
mod page_set;
mod page_sums;
pub mod parse;
mod read;
mod report;
mod rows;
mod session;
mod sharers;
mod span;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(not(feature = "testing"))]
mod testing;
mod tree;
mod walk;

use std::ops::Range;

pub use error::MeterError;
pub use family::{Families, families};
pub use forks::ForkLog;
pub use parse::{Mapping, MappingKind, Meminfo, MemoryCounts};
pub use read::Proc;
pub use report::{
    Baseline, Copies, Identity, Level, MappingMemory, MappingSums, MappingUse, PageBytes,
    ProcessMemory, Report, Role, SCHEMA, SkipReason, Skipped, StoreMemory, StoreUse, Tag, Tree,
};
pub use session::{Glance, Seen, Session};
pub use span::{Span, holding};

/// Measures a process and all its descendants.
///
/// # Errors
/// The process does not exist, or `/proc` holds something unexpected. Descendants that are gone or
/// belong to somebody else are no error: they are in [`Report::skipped`].
pub fn tree(pid: u32) -> Result<Report, MeterError> {
    Proc::default().tree(pid)
}

/// Measures one process.
///
/// # Errors
/// The process is gone, belongs to somebody else, or `/proc` holds something unexpected.
pub fn process(pid: u32) -> Result<ProcessMemory, MeterError> {
    Proc::default().process(pid)
}

/// Measures one process's mappings, each by itself.
///
/// # Errors
/// As [`process`].
pub fn mappings(pid: u32) -> Result<Vec<Mapping>, MeterError> {
    Proc::default().mappings(pid)
}

/// Counts how many copies of the memory in one address range exist in the given processes, of which
/// the oldest comes first. Unlike [`tree`], it leaves everything else out.
///
/// # Errors
/// As [`process`], for any of them.
pub fn range(pids: &[u32], range: Range<u64>) -> Result<Copies, MeterError> {
    let proc = Proc::default();
    tree::range(&proc, pids, range, proc.level())
}

/// Measures the machine.
///
/// # Errors
/// `/proc/meminfo` cannot be read, lacks a field, or uses a unit other than kB.
pub fn meminfo() -> Result<Meminfo, MeterError> {
    Proc::default().meminfo()
}

impl Proc {
    /// Measures a process and all its descendants, as [`tree`].
    pub fn tree(&self, pid: u32) -> Result<Report, MeterError> {
        tree::measure(&self.subject(pid, true), None)
    }

    /// Measures one process, with the same report as for a tree.
    pub fn alone(&self, pid: u32) -> Result<Report, MeterError> {
        tree::measure(&self.subject(pid, false), None)
    }

    fn subject(&self, root: u32, children: bool) -> tree::Subject<'_> {
        tree::Subject {
            proc: self,
            root,
            children,
            with_root: true,
            without: &[],
            tags: &[],
            level: self.level(),
            patient: true,
        }
    }

    /// Counts copies in one address range, as [`range`].
    pub fn range(&self, pids: &[u32], range: Range<u64>) -> Result<Copies, MeterError> {
        tree::range(self, pids, range, self.level())
    }

    /// Measures one process, as [`process`].
    pub fn process(&self, pid: u32) -> Result<ProcessMemory, MeterError> {
        let stat = self.stat_with_memory(pid)?;
        Ok(ProcessMemory::new(&stat, &self.rollup(stat.thread)?))
    }
}
