//! A tree that is looked at again and again.
//!
//! A *reading* counts pages and costs up to 100 ms per GiB. A *glance* reads only what every user may
//! read at once, and says whether a reading is worth it.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::ops::Range;

use crate::error::MeterError;
use crate::family::families;
use crate::forks::ForkLog;
use crate::history::History;
use crate::kcmp;
use crate::page_set::PageSet;
use crate::parse::Stat;
use crate::read::Proc;
use crate::report::{Identity, Level, Report, Tag};
use crate::tree::{self, Subject};

/// Seconds of processor time that a reading takes per GiB of RSS in small and in huge pages, rounded up.
const SMALL_COST: f64 = 0.100;
const HUGE_COST: f64 = 0.020;
/// Mappings and bytes of each that are looked at for an estimate.
const PROBES: usize = 4;
const PROBE: u64 = 32 << 20;

/// One process at a glance.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Seen {
    /// Its id.
    pub pid: u32,
    /// When it started, in clock ticks since boot.
    pub start_time_ticks: u64,
    /// Its parent's id.
    pub parent: u32,
    /// Its name.
    pub name: String,
    /// Its RSS in bytes, which may lag by some pages.
    pub rss: u64,
    /// Page faults that needed no disk: each copied or new page is one.
    pub faults: u64,
    /// Equal within a fork family, and at one glance only.
    pub family: u64,
}

impl Seen {
    /// What names it for ever.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity {
            pid: self.pid,
            start_time_ticks: self.start_time_ticks,
        }
    }
}

/// The tree at a glance; costs some ten microseconds per process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Glance {
    /// Living processes, parents before children.
    pub processes: Vec<Seen>,
}

impl Glance {
    /// ΣRSS: what adding up `ps` would say.
    #[must_use]
    pub fn sum_rss(&self) -> u64 {
        self.processes.iter().map(|seen| seen.rss).sum()
    }

    /// Page faults of all processes so far.
    #[must_use]
    pub fn faults(&self) -> u64 {
        self.processes.iter().map(|seen| seen.faults).sum()
    }

    /// Whether any two processes are relatives by fork.
    #[must_use]
    pub fn has_family(&self) -> bool {
        let mut numbers: Vec<u64> = self.processes.iter().map(|seen| seen.family).collect();
        numbers.sort_unstable();
        numbers.windows(2).any(|pair| pair[0] == pair[1])
    }
}

/// A process and its descendants, and what earlier readings found in them.
#[derive(Debug)]
pub struct Session {
    proc: Proc,
    root: u32,
    level: Level,
    history: History,
    tags: Vec<Tag>,
    with_root: bool,
    without: Vec<Identity>,
    patient: bool,
}

impl Session {
    /// A session for the tree below `root`.
    #[must_use]
    pub fn new(proc: Proc, root: u32) -> Self {
        let level = proc.level();
        Self {
            proc,
            root,
            level,
            history: History::default(),
            tags: Vec::new(),
            with_root: true,
            without: Vec::new(),
            patient: false,
        }
    }

    /// Reads up to four times when pages move while the tree is read, as [`tree`](crate::tree) does, and
    /// not only twice when processes come or go. For readings that are seldom made.
    #[must_use]
    pub fn patient(mut self) -> Self {
        self.patient = true;
        self
    }

    /// Leaves the root itself out: the tree is what it has started.
    #[must_use]
    pub fn without_root(mut self) -> Self {
        self.with_root = false;
        self
    }

    /// Leaves the descendants out that are there already: the tree is the root, and what comes from now on.
    #[must_use]
    pub fn without_earlier(mut self) -> Self {
        // A root that is gone has none.
        let there = self.glance().unwrap_or_default();
        let others = there.processes.iter().filter(|seen| seen.pid != self.root);
        self.without = others.map(Seen::identity).collect();
        self
    }

    /// Says that the tree has been watched from its first process on, so that no fork was missed.
    #[must_use]
    pub fn from_the_start(mut self) -> Self {
        self.history.begun = true;
        self
    }

    /// The log in which processes of the tree that can may note their forks.
    #[must_use]
    pub fn fork_log(&self) -> ForkLog {
        self.history.forks.clone()
    }

    /// The evidence that readings rest on.
    #[must_use]
    pub fn level(&self) -> Level {
        self.level
    }

    /// Names ranges of memory. Where some overlap, the last one counts.
    pub fn set_tags(&mut self, mut tags: Vec<Tag>) {
        // Whoever writes them may write anything; no memory lies up there.
        tags.retain(|tag| {
            tag.start
                .checked_add(tag.len)
                .is_some_and(|end| end < 1 << 63)
        });
        self.tags = tags;
    }

    /// Looks at the tree without counting pages.
    ///
    /// # Errors
    /// The root is gone, or `/proc` holds something unexpected.
    pub fn glance(&self) -> Result<Glance, MeterError> {
        self.proc.stat(self.root)?;
        let (mut glance, mut stats) = (Glance::default(), Vec::new());
        let mut queue = VecDeque::from([self.root]);
        while let Some(pid) = queue.pop_front() {
            let Ok(stat) = self.proc.stat(pid) else {
                continue;
            };
            let Ok(sizes) = self.proc.statm(stat.thread) else {
                continue;
            };
            let mut children = self
                .proc
                .children(pid)
                .unwrap_or_else(|| self.children_by_parent(pid));
            children.sort_unstable();
            queue.extend(children);
            let without_memory =
                stat.has_exited() || sizes.size == 0 || self.has_parents_memory(&stat);
            let is_left_out = self.without.contains(&stat.identity());
            if is_left_out || without_memory || (pid == self.root && !self.with_root) {
                continue;
            }
            glance.processes.push(Seen {
                pid,
                start_time_ticks: stat.start_time_ticks,
                parent: stat.parent,
                name: stat.name.clone(),
                rss: sizes.rss,
                faults: stat.minor_faults,
                family: 0,
            });
            stats.push(stat);
        }
        // A pid, as 0 stands for no family where this is used.
        for (seen, family) in glance.processes.iter_mut().zip(families(&stats).of) {
            seen.family = u64::from(stats[family].pid);
        }
        Ok(glance)
    }

    /// Whether it has its parent's memory, as it has not executed its program yet (`vfork(2)`).
    fn has_parents_memory(&self, stat: &Stat) -> bool {
        stat.pid != self.root
            && stat.is_forked()
            && kcmp::same_address_space(stat.parent, stat.pid) == Some(true)
    }

    /// The children of a process where the kernel does not list children (`CONFIG_PROC_CHILDREN`).
    fn children_by_parent(&self, parent: u32) -> Vec<u32> {
        let pids = self.proc.pids().unwrap_or_default().into_iter();
        pids.filter(|pid| self.proc.stat(*pid).is_ok_and(|stat| stat.parent == parent))
            .collect()
    }

    /// What a reading of the tree would cost, in seconds of processor time, from the sizes in a glance and
    /// a look at how much of the largest process lies in huge pages, which cost much less.
    #[must_use]
    pub fn estimate(&self, glance: &Glance) -> f64 {
        let gib = glance.sum_rss() as f64 / f64::from(1 << 30);
        let largest = glance.processes.iter().max_by_key(|process| process.rss);
        let huge = largest.map_or(0.0, |process| self.huge_part(process.pid));
        gib * (huge * HUGE_COST + (1.0 - huge) * SMALL_COST)
    }

    /// The part of a process's memory that is in huge pages, from the start of its largest mappings.
    fn huge_part(&self, pid: u32) -> f64 {
        let Ok(mut mappings) = self.proc.maps(pid) else {
            return 0.0;
        };
        mappings.retain(|mapping| !mapping.is_shared() && mapping.inode == 0);
        mappings.sort_by_key(|mapping| std::cmp::Reverse(mapping.byte_len()));
        let Ok(pagemap) = self.proc.open_pagemap(pid) else {
            return 0.0;
        };
        let (mut all, mut huge) = (1, 0);
        for mapping in mappings.iter().take(PROBES) {
            let range = probe(mapping.start, mapping.end);
            let regions = self.proc.present(pid, &pagemap, range).ok().flatten();
            for region in regions.unwrap_or_default() {
                let len = region.end - region.start;
                all += len;
                huge += if region.is_huge() { len } else { 0 };
            }
        }
        huge as f64 / all as f64
    }

    /// Counts pages, and remembers them for the next reading.
    ///
    /// # Errors
    /// As [`tree`](crate::tree).
    pub fn read(&mut self) -> Result<Report, MeterError> {
        let subject = Subject {
            proc: &self.proc,
            root: self.root,
            children: true,
            with_root: self.with_root,
            without: &self.without,
            tags: &self.tags,
            level: self.level,
            patient: self.patient,
        };
        tree::measure(&subject, Some(&mut self.history))
    }

    /// Address ranges of the pages that a process had copied at the last reading.
    #[must_use]
    pub fn copied(&self, process: Identity) -> Vec<Range<u64>> {
        let page_size = self.proc.page_size();
        let mut ranges: Vec<Range<u64>> = Vec::new();
        for page in self
            .history
            .copied(process)
            .into_iter()
            .flat_map(PageSet::iter)
        {
            let start = page * page_size;
            match ranges.last_mut() {
                Some(last) if last.end == start => last.end += page_size,
                _ => ranges.push(start..start + page_size),
            }
        }
        ranges
    }
}

/// The part of a mapping that is looked at. The last one, vsyscall, is at the end of all addresses.
fn probe(start: u64, end: u64) -> Range<u64> {
    start..end.min(start.saturating_add(PROBE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mapping_at_the_end_of_all_addresses_is_looked_at_as_well() {
        let (start, end) = (0xffff_ffff_ff60_0000, 0xffff_ffff_ff60_1000);
        assert_eq!(probe(start, end), start..end);
        assert_eq!(probe(4096, 1 << 40), 4096..4096 + PROBE);
    }
}
