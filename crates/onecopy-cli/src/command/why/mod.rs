//! Why pages were copied: which code wrote to them, and which objects lie on them.
//!
//! ```text
//! faults (program, page → stack) ──┐
//! copied pages of each process   ──┼─▶ stacks weighted by copied pages, the rest unattributed ─▶ advice
//! object tables (address → type) ──┘   objects on copied pages, by type
//! ```
//! The sums are over all processes that were seen, each as it was when it was last read with copied pages.
//! Of those that have ended only the sums are kept.
#![forbid(unsafe_code)]

mod cause;
pub(crate) mod content;
mod elf;
mod faults;
mod ledger;
mod names;
pub(crate) mod objects;
mod perf_map;
mod python_stack;
pub(crate) mod recorder;
mod refused;
mod rings;
mod verb;

use serde::{Deserialize, Serialize};

pub(crate) use cause::{Cause, of_their_own};
pub(crate) use ledger::{Copied, OTHERS};
pub(crate) use refused::refused;
pub(crate) use verb::run;

/// Pages copied by one stack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct WhyRow {
    /// Innermost function first.
    pub(crate) stack: Vec<String>,
    pub(crate) pages: u64,
    pub(crate) cause: Cause,
}

/// A part of the Python program.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PythonRow {
    /// Innermost function first.
    pub(crate) stack: Vec<String>,
    /// The part of the copied pages whose faults were looked at in this way.
    pub(crate) fraction: f64,
}

/// A mapping, or a tag.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct MappingRow {
    pub(crate) label: String,
    /// Copied bytes over all processes.
    pub(crate) bytes: u64,
}

/// Why pages were copied.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Why {
    /// Processes with copied pages, those that have ended included.
    #[serde(default)]
    pub(crate) processes: u64,
    /// Pages that they had copied when each was last read with any.
    pub(crate) pages: u64,
    /// The part of them that no fault explains.
    pub(crate) unattributed: u64,
    /// Faults that could not be recorded.
    pub(crate) lost: u64,
    /// Most pages first.
    pub(crate) stacks: Vec<WhyRow>,
    /// Python functions that were running, from every 61st fault; empty where the interpreter does not
    /// show them (before CPython 3.12).
    pub(crate) python: Vec<PythonRow>,
    /// What the pages belong to, most bytes first.
    #[serde(default)]
    pub(crate) mappings: Vec<MappingRow>,
    /// Objects on copied pages, by type; `None` without a table of them.
    pub(crate) objects: Option<objects::Objects>,
    /// What can be done about it.
    pub(crate) advice: Vec<String>,
    /// Why there are no stacks.
    pub(crate) reason: Option<String>,
}
