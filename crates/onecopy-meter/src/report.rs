//! What a measurement says: rows per process, sums over the tree, and how far to trust them.
//!
//! **Invariants**
//! - I1: sizes of processes, stores and the tree are bytes; what is counted of copies and of mappings
//!   ([`Copies`], [`MappingMemory`]) are pages of `page_size` bytes, unless a field says otherwise.
//! - I2: a sum over the tree is `None` as soon as one living process could not be read; a part is
//!   never shown as the whole.
//! - I3: every process of the tree is in `processes` or in `skipped`, never in neither.
#![forbid(unsafe_code)]

use serde::{Deserialize, Serialize};

use crate::parse::{MappingKind, MemoryCounts, Rollup};

/// The form of [`Report`] as data; changes whenever a field changes its meaning.
pub const SCHEMA: &str = "onecopy.report/1";

/// What the numbers rest on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Level {
    /// Page frame numbers, which the kernel shows only to a privileged reader (`CAP_SYS_ADMIN`).
    A,
    /// Bit 56 of pagemap, which needs no privilege.
    B,
}

impl std::fmt::Display for Level {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::A => "A",
            Self::B => "B",
        })
    }
}

/// What each fork family is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Baseline {
    /// The process that forked, as it is now: the forks themselves were not seen.
    Now,
    /// The process that forked, as it was when the child was first seen, soon after the fork.
    Fork,
}

/// A named range of a process's memory: an array that a program wants to see in the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tag {
    /// The process that tagged it; its relatives by fork have the same addresses.
    pub pid: u32,
    /// When that process began, in clock ticks since the system did: its pid may come again. `None` stands
    /// for whoever has the pid now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time_ticks: Option<u64>,
    /// What to call it.
    pub name: String,
    /// First address.
    pub start: u64,
    /// Length in bytes.
    pub len: u64,
}

impl Tag {
    /// Whether this process tagged it.
    pub(crate) fn is_of(&self, process: Identity) -> bool {
        let begun = self.start_time_ticks.unwrap_or(process.start_time_ticks);
        (self.pid, begun) == (process.pid, process.start_time_ticks)
    }
}

/// Names one process for ever: a pid may come again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[expect(
    clippy::exhaustive_structs,
    reason = "two numbers, and nothing else, name a process"
)]
pub struct Identity {
    /// Its id.
    pub pid: u32,
    /// When it started, in clock ticks since boot.
    pub start_time_ticks: u64,
}

/// One process's private memory, page by page, in bytes;
/// `inherited = shared + copied + last_owner`.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PageBytes {
    /// Existed when it, or one of its children, was forked.
    pub inherited: u64,
    /// Inherited, and still one frame together with relatives.
    pub shared: u64,
    /// Inherited, and copied by this process's writing.
    pub copied: u64,
    /// Inherited, copied by nobody, and nobody else is left who has it.
    pub last_owner: u64,
    /// Came after the fork.
    pub new: u64,
}

/// What a process is within the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Role {
    /// The oldest of a fork family of several, living or not.
    Parent,
    /// Forked from a relative, which may be gone.
    Worker,
    /// Shares no history with any other process of the tree.
    Alone,
}

/// One process's part of a mapping.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MappingUse {
    /// The process.
    pub pid: u32,
    /// What it has of the mapping; for shared memory, `shared` is all that it touched.
    pub pages: PageBytes,
    /// The mapping in 160 parts from its start to its end: `.` absent, `s` shared, `c` mostly
    /// copied, `+` partly copied, `n` mostly new. Empty for small mappings.
    pub strip: String,
}

/// A mapping, or a tagged range, over all processes of one fork family.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MappingMemory {
    /// A tag, a file, `[heap]`, `anonymous`…
    pub label: String,
    /// What it maps.
    pub kind: MappingKind,
    /// Whether `label` is a tag.
    pub tagged: bool,
    /// First address; `None` for small mappings of one label that were added up.
    pub start: Option<u64>,
    /// Distinct pages: inherited ones, and those of shared memory. `None`, as the other sums, when a
    /// process of the tree could not be read, as it might have the mapping, too.
    pub pages: Option<u64>,
    /// Frames behind these.
    pub frames: Option<u64>,
    /// New pages.
    pub new: Option<u64>,
    /// `frames / pages`; `None` also when nothing of it is inherited or shared.
    pub copies: Option<f64>,
    /// Who has what.
    pub processes: Vec<MappingUse>,
}

/// The sums of a mapping over all processes, in pages.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct MappingSums {
    /// As [`MappingMemory::pages`].
    pub pages: u64,
    /// As [`MappingMemory::frames`].
    pub frames: u64,
    /// As [`MappingMemory::new`].
    pub new: u64,
}

impl MappingMemory {
    /// The sums, if they are known.
    #[must_use]
    pub fn sums(&self) -> Option<MappingSums> {
        Some(MappingSums {
            pages: self.pages?,
            frames: self.frames?,
            new: self.new?,
        })
    }

    /// Leaves only what each process has: the sums would be parts.
    pub(crate) fn withhold_sums(&mut self) {
        (self.pages, self.frames, self.new, self.copies) = (None, None, None, None);
    }
}

/// One process's memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ProcessMemory {
    /// Its id.
    pub pid: u32,
    /// Its parent's id.
    pub parent: u32,
    /// When it started, in clock ticks since boot: with the pid it names one process for ever.
    pub start_time_ticks: u64,
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
    /// What it is within the tree; absent in a reading of one process by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// What its pages are; absent likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pages: Option<PageBytes>,
}

impl ProcessMemory {
    /// What names it for ever.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity {
            pid: self.pid,
            start_time_ticks: self.start_time_ticks,
        }
    }

    pub(crate) fn new(stat: &crate::parse::Stat, memory: &Rollup) -> Self {
        let counts: &MemoryCounts = &memory.counts;
        Self {
            pid: stat.pid,
            parent: stat.parent,
            start_time_ticks: stat.start_time_ticks,
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
            role: None,
            pages: None,
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
    /// It went away, was killed, or lost its memory to another program (`exec`) while the tree was read, in each of several
    /// passes.
    Vanished,
    /// This process may not look into it; [`Skipped::foreign`] says whose it is.
    Denied,
    /// It is a thread of the kernel, which has no memory of its own.
    KernelThread,
    /// It runs in the address space of its parent, where its memory is counted: it has not executed its
    /// program yet (`vfork(2)`), or was made for that (`CLONE_VM`).
    ParentsMemory,
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
    /// Whether it belongs to another user than the one who asks. If not, it was refused because it has more privileges
    /// than this process or is not dumpable (ptrace(2)). `None` where that is not known, and for all other reasons.
    #[serde(default)]
    pub foreign: Option<bool>,
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
/// are left out: they are one copy anyway, and would flatter the number. With [`Baseline::Now`],
/// memory that the parent has freed since the fork, or that both sides allocated at the same place
/// afterwards, is judged wrongly, which [`Report::limits`] says. Memory that is nobody's inheritance is `new` and in neither part.
///
/// There is no number where it would speak of next to nothing: `frames + shared` must be at least one page in a hundred
/// of all, files left out. Processes that were started anew and unpickle their data have a few KiB of semaphores in
/// common, one copy of them, and all else is `new`, be it equal in each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Copies {
    /// 1.00 is one copy; `None` with a `reason`.
    pub value: Option<f64>,
    /// Why there is no value.
    pub reason: Option<String>,
    /// Distinct inherited pages. `None`, as all that follows, when not every process could be read.
    pub unique: Option<u64>,
    /// Physical pages behind these, and pages copied out of a store by private writes.
    pub frames: Option<u64>,
    /// Distinct pages of shared memory present in some process, or copied from there.
    pub shared: Option<u64>,
    /// Private pages that were not inherited.
    pub new: Option<u64>,
    /// `frames − unique`: pages that exist because somebody wrote.
    pub wasted: Option<u64>,
    /// Pages that a copy for each process would take beyond `frames`.
    pub saved: Option<u64>,
    /// The part of `frames` that only PSS tells of: frames shared by some, but not all, of the
    /// processes that have the page, after forks that were not seen.
    pub by_pss: Option<u64>,
    /// 1 − the part of ΣPSS that these counts do not explain.
    pub agreement: Option<f64>,
}

impl Copies {
    /// Pages of memory behind all this, files left out; `None` when not every process could be read.
    #[must_use]
    pub fn physical_pages(&self) -> Option<u64> {
        Some(self.frames? + self.shared? + self.new?)
    }
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
    /// How copies were counted.
    pub level: Level,
    /// What fork families are compared with.
    pub baseline: Baseline,
    /// Bytes per page.
    pub page_size: u64,
    /// The process at the top.
    pub root: u32,
    /// Readings it took until no process came, went or lost its memory, and next to no page moved, meanwhile.
    pub passes: u32,
    /// Pages that were written, allocated or given back while the tree was read, as page faults and RSS
    /// tell; those of the reading itself are not in it. In a single reading at level A also those that the kernel moved
    /// to other frames meanwhile, anywhere on the machine: such a page may be counted as two.
    pub drift: u64,
    /// Whether every living process of the tree was read, in one steady pass: all of them were there, with all their
    /// memory and the same program, until the last page was read.
    pub complete: bool,
    /// The sums.
    pub tree: Tree,
    /// The processes, parents before children.
    pub processes: Vec<ProcessMemory>,
    /// Processes without a row, and why.
    pub skipped: Vec<Skipped>,
    /// The stores that the tree maps.
    pub stores: Vec<StoreMemory>,
    /// What the pages belong to, the largest first.
    pub mappings: Vec<MappingMemory>,
    /// What the numbers cannot tell here, in plain words.
    pub limits: Vec<String>,
}
