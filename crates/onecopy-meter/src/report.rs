//! What a measurement says: rows per process, sums over the tree, and how far to trust them.
//!
//! **Invariants**
//! - I1: all sizes are bytes.
//! - I2: a sum over the tree is `None` as soon as one living process could not be read; a part is
//!   never shown as the whole.
//! - I3: every process of the tree is in `processes` or in `skipped`, never in neither.
#![forbid(unsafe_code)]

use serde::{Deserialize, Serialize};

use crate::parse::{MemoryCounts, Rollup};

/// The form of [`Report`] as data; changes whenever a field changes its meaning.
pub const SCHEMA: &str = "onecopy.report/1";

/// One process's memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ProcessMemory {
    /// Its id.
    pub pid: u32,
    /// Its parent's id.
    pub parent: u32,
    /// Its name, at most 15 bytes.
    pub name: String,
    /// Threads.
    pub threads: u32,
    /// RSS: pages present, each counted in full however many processes map it.
    pub rss: u64,
    /// PSS: pages present, each divided by the number of its mappings.
    pub pss: u64,
    /// USS: pages that only this process maps.
    pub uss: u64,
    /// Pages mapped more than once.
    pub shared: u64,
    /// The written part of `uss`.
    pub private_dirty: u64,
    /// The anonymous part of PSS; `None` before Linux 5.9.
    pub pss_anon: Option<u64>,
    /// The part of PSS in files; `None` before Linux 5.9.
    pub pss_file: Option<u64>,
    /// The part of PSS in shared memory; `None` before Linux 5.9.
    pub pss_shmem: Option<u64>,
    /// Anonymous memory swapped out.
    pub swap: u64,
    /// The same, divided by its users; `None` before Linux 4.3.
    pub swap_pss: Option<u64>,
}

impl ProcessMemory {
    pub(crate) fn new(stat: &crate::parse::Stat, memory: &Rollup) -> Self {
        let counts: &MemoryCounts = &memory.counts;
        Self {
            pid: stat.pid,
            parent: stat.parent,
            name: stat.name.clone(),
            threads: stat.threads,
            rss: counts.rss,
            pss: counts.pss,
            uss: counts.uss(),
            shared: counts.shared(),
            private_dirty: counts.private_dirty,
            pss_anon: memory.pss_anon,
            pss_file: memory.pss_file,
            pss_shmem: memory.pss_shmem,
            swap: counts.swap,
            swap_pss: counts.swap_pss,
        }
    }
}

/// Why a process of the tree has no row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SkipReason {
    /// It has exited and waits for its parent to notice; it keeps no memory.
    Exited,
    /// It went away while the tree was read, in each of several passes.
    Vanished,
    /// This user may not look into it.
    Denied,
}

/// A process of the tree that has no row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Skipped {
    /// Its id.
    pub pid: u32,
    /// Its name, at most 15 bytes.
    pub name: String,
    /// Why.
    pub reason: SkipReason,
    /// Its RSS, which anybody may read; `None` when even that was gone.
    pub rss: Option<u64>,
}

/// One process's mappings of one store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StoreUse {
    /// The process.
    pub pid: u32,
    /// Address space given to it, which costs nothing.
    pub mapped: u64,
    /// The part that this process has touched.
    pub rss: u64,
    /// The same, divided by its users.
    pub pss: u64,
    /// Pages that this process copied by writing to a private mapping.
    pub copied: u64,
}

/// A store's memory file, counted once however many processes map it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StoreMemory {
    /// The name behind `/memfd:onecopy-`.
    pub id: String,
    /// Major and minor device number; with `inode` the file's identity.
    pub device: (u32, u32),
    /// Inode number.
    pub inode: u64,
    /// Memory that the file occupies, touched or not; `None` when no descriptor of it may be read.
    pub allocated: Option<u64>,
    /// Its length; `None` likewise.
    pub len: Option<u64>,
    /// Who maps it.
    pub users: Vec<StoreUse>,
}

/// How many copies of the tree's data exist, and what the number is made of.
///
/// `copies = (frames + shared) / (unique + shared)`, counted in pages. Libraries and other files
/// are left out: they are one copy anyway, and would flatter the number. The baseline is the oldest
/// process of each fork family **as it is now**: memory that it has freed since the fork, or that
/// both sides allocated at the same place afterwards, is judged wrongly, which
/// [`Report::limits`] says. Memory that is nobody's inheritance is `new` and in neither part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Copies {
    /// 1.00 is one copy; `None` with a `reason`.
    pub value: Option<f64>,
    /// Why there is no value.
    pub reason: Option<String>,
    /// Distinct inherited pages.
    pub unique: u64,
    /// Physical pages behind these, and pages copied out of a store by private writes.
    pub frames: u64,
    /// Distinct pages of shared memory present in some process, or copied from there.
    pub shared: u64,
    /// Private pages that were not inherited.
    pub new: u64,
    /// 1 − the part of ΣPSS that these counts do not explain.
    pub agreement: Option<f64>,
}

/// Sums over the tree.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Tree {
    /// Processes read.
    pub processes: usize,
    /// ΣRSS: what adding up `ps` or `top` would say.
    pub sum_rss: Option<u64>,
    /// ΣPSS: the physical memory of the tree, if all sharers are in it.
    pub sum_pss: Option<u64>,
    /// ΣUSS.
    pub sum_uss: Option<u64>,
    /// Σ of private dirty pages.
    pub sum_private_dirty: Option<u64>,
    /// Σ of the anonymous part of PSS.
    pub sum_pss_anon: Option<u64>,
    /// Σ of the part of PSS in files.
    pub sum_pss_file: Option<u64>,
    /// Σ of the part of PSS in shared memory.
    pub sum_pss_shmem: Option<u64>,
    /// Σ of swapped memory divided by its users.
    pub sum_swap_pss: Option<u64>,
    /// Memory that stores occupy, each counted once; `None` when one could not be read.
    pub allocated: Option<u64>,
    /// How many copies exist.
    pub copies: Copies,
}

/// A process tree's memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: String,
    /// How copies were counted: `B`, from the bits of pagemap that need no privilege.
    pub level: String,
    /// Bytes per page.
    pub page_size: u64,
    /// The process at the top.
    pub root: u32,
    /// Readings it took until no process came or went meanwhile.
    pub passes: u32,
    /// Whether every living process of the tree was read, in one steady pass.
    pub complete: bool,
    /// The sums.
    pub tree: Tree,
    /// The processes, parents before children.
    pub processes: Vec<ProcessMemory>,
    /// Processes without a row, and why.
    pub skipped: Vec<Skipped>,
    /// The stores that the tree maps.
    pub stores: Vec<StoreMemory>,
    /// What the numbers cannot tell here, in plain words.
    pub limits: Vec<String>,
}
