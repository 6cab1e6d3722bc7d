//! Who shares what: the pages of all members of a fork family at one address, sorted into frames.
//!
//! A page of one process at one address is the first of these that fits:
//!
//! | state | when |
//! |---|---|
//! | file, shared | it belongs to a file or to shared memory: keyed by file and offset, one frame |
//! | zero, absent | counts nowhere |
//! | private copy | private mapping of shared memory, and the page is this process's own: a frame more |
//! | inherited | it existed when the process was forked, or when one of its children was |
//! | new | everything else |
//!
//! Inherited pages at one address that have the same *frame key* are one frame. At level A the key is
//! the page frame number. At level B it is the process itself for a page that is mapped once, and for
//! all others the ancestor that is known to have written the page before it forked (none for most: one
//! frame together).
//!
//! Of the frames at one address one is the original: of those that nobody is known to have written, the
//! one that needs the fewest writes by others to explain who has what, or else that of the oldest
//! process. Every other frame was **copied** by the oldest of its processes. An original frame with a
//! single process left was not copied; that process is its **last owner**.
//!
//! **Invariants**
//! - I1: members of a family are numbered oldest first, parents before children.
//! - I2: bit 56 of pages behind huge-page entries was replaced by what smaps says of the mapping, as
//!   since Linux 6.15 the kernel shows the first page's bit for all of them (see `walk.rs`).
//! - I3: per process `inherited = shared + copied + last_owner`; over the tree
//!   `frames − unique = Σ copied`, and at level B what only PSS tells of (see `by_pss.rs`).
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::sync::Arc;

use crate::page_set::PageSet;
use crate::page_sums::{PageSums, ProcessPages};
use crate::parse::PageState;

/// Says in a frame key that the page is mapped once, by the member whose number is added.
const OWN_KEY: u64 = 1 << 63;

/// Pages over a whole tree.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct PageCounts {
    pub(crate) sums: PageSums,
    /// Pages of shared memory that somebody has, or copied from.
    pub(crate) shared: u64,
    /// Pages behind huge-page entries of mappings that are partly shared: their bits say less.
    pub(crate) huge_unsure: u64,
    /// Whether the kernel could tell zero pages and huge-page entries.
    pub(crate) special_known: bool,
}

impl PageCounts {
    /// Adds another family's; pages of shared memory are counted over all of them.
    pub(crate) fn add(&mut self, family: &Self) {
        self.sums += family.sums;
        self.huge_unsure += family.huge_unsure;
        self.special_known &= family.special_known;
    }

    /// Pages of memory that all this takes, files left out.
    pub(crate) fn frames_and_new(&self) -> u64 {
        self.sums.frames + self.sums.new + self.shared
    }
}

/// One member of a family while its pages are counted.
#[derive(Debug, Default)]
pub(crate) struct Member {
    /// Pages that existed when it, or one of its children, was forked; `None` when no fork of it was
    /// seen.
    pub(crate) base: Option<Arc<PageSet>>,
    /// The member that forked it, if alive.
    pub(crate) parent: Option<usize>,
    /// For a member without `base`: the member from which it inherits, as that one is now.
    pub(crate) source: Option<usize>,
    /// Whether another member's `source` is this one.
    pub(crate) is_source: bool,
    /// Whether its `base` was noted just before the fork. What came between the note and the fork is told by being
    /// mapped twice.
    pub(crate) noted: bool,
    /// For a member with a `source`: what it is found to have inherited.
    pub(crate) found_base: PageSet,
    /// Pages written before a fork by itself or an ancestor, with the writer's key; youngest first.
    pub(crate) lineage: Vec<(Arc<PageSet>, u64)>,
    /// Pages that it copied.
    pub(crate) copied: PageSet,
    pub(crate) pages: ProcessPages,
}

/// How many parts a strip of a mapping has.
pub(crate) const STRIP: usize = 160;

/// Pages of one member in one part of a mapping.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) shared: u32,
    pub(crate) own: u32,
    pub(crate) new: u32,
}

/// One mapping, or one tagged range, of a family.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) label: String,
    pub(crate) kind: crate::parse::MappingKind,
    pub(crate) tagged: bool,
    /// First page and number of pages.
    pub(crate) start: u64,
    pub(crate) len: u64,
    pub(crate) sums: PageSums,
    /// Pages of shared memory present in some process, for a mapping of it.
    pub(crate) shared: u64,
    /// Per member; empty for one that has nothing of it.
    pub(crate) members: Vec<ProcessPages>,
    pub(crate) strips: Vec<Vec<Part>>,
}

impl Row {
    fn part(&mut self, member: usize, page: u64) -> Option<&mut Part> {
        let strip = self.strips.get_mut(member)?;
        if strip.is_empty() {
            strip.resize(STRIP, Part::default());
        }
        let index = page.saturating_sub(self.start) as usize * STRIP / self.len.max(1) as usize;
        strip.get_mut(index.min(STRIP - 1))
    }
}

#[derive(Debug, Clone, Copy)]
struct Group {
    key: u64,
    /// The oldest member in it.
    first: usize,
    members: usize,
    alone: bool,
    /// Whether the page is known to have been written before its `first` forked.
    written: bool,
}

/// The tables of one family while its pages are counted.
#[derive(Debug)]
pub(crate) struct Account {
    /// Whether frame numbers are to be used as keys.
    by_frame: bool,
    pub(crate) members: Vec<Member>,
    pub(crate) rows: Vec<Row>,
    pub(crate) counts: PageCounts,
    /// Whether sets of pages are kept for later readings.
    keep: bool,
    groups: Vec<Group>,
    /// Members that inherited the page at hand.
    heirs: Vec<usize>,
    /// Per member, the last page that it was found to have, plus one.
    seen: Vec<u64>,
    /// Per member, the group of its page; only the heirs' are of the page at hand.
    group_of: Vec<usize>,
}

impl Account {
    pub(crate) fn new(members: Vec<Member>, by_frame: bool, keep: bool) -> Self {
        Self {
            seen: vec![0; members.len()],
            by_frame,
            members,
            rows: Vec::new(),
            counts: PageCounts {
                special_known: true,
                ..PageCounts::default()
            },
            keep,
            groups: Vec::new(),
            heirs: Vec::new(),
            group_of: Vec::new(),
        }
    }

    /// Counts what the members have at one address of private memory; `states` holds only pages that
    /// are present and no file's, oldest member first.
    pub(crate) fn page(&mut self, row: usize, page: u64, states: &[(usize, PageState)]) {
        self.groups.clear();
        self.heirs.clear();
        for &(number, _) in states {
            self.seen[number] = page + 1;
        }
        for &(number, state) in states {
            let inherited = self.inherits(number, page, state);
            let row = &mut self.rows[row];
            if !inherited {
                self.members[number].pages.new += 1;
                row.members[number].new += 1;
                row.sums.new += 1;
                self.counts.sums.new += 1;
                if let Some(part) = row.part(number, page) {
                    part.new += 1;
                }
                continue;
            }
            for pages in [&mut self.members[number].pages, &mut row.members[number]] {
                pages.inherited += 1;
                pages.shared += 1;
            }
            self.heirs.push(number);
            self.join(number, page, state);
        }
        let Some(original) = self.original() else {
            return;
        };
        let sums = [&mut self.counts.sums, &mut self.rows[row].sums];
        let present: usize = self.groups.iter().map(|group| group.members).sum();
        for sums in sums {
            sums.unique += 1;
            sums.frames += self.groups.len() as u64;
            sums.present += present as u64;
        }
        for index in 0..self.groups.len() {
            let group = self.groups[index];
            if index == original && !(group.alone && group.members == 1) {
                continue;
            }
            let row = &mut self.rows[row];
            let copied = index != original;
            for pages in [
                &mut self.members[group.first].pages,
                &mut row.members[group.first],
            ] {
                pages.shared -= 1;
                *(if copied {
                    &mut pages.copied
                } else {
                    &mut pages.last_owner
                }) += 1;
            }
            if copied {
                if let Some(part) = row.part(group.first, page) {
                    part.own += 1;
                }
                if self.keep {
                    self.members[group.first].copied.insert(page);
                }
            }
        }
        self.shade(row, page, original);
    }

    /// Marks, for the strips, who has the page without having copied it.
    fn shade(&mut self, row: usize, page: u64, original: usize) {
        if self.rows[row].strips.is_empty() {
            return;
        }
        for &number in &self.heirs {
            let mut others = self.groups.iter().enumerate();
            if !others.any(|(index, group)| index != original && group.first == number)
                && let Some(part) = self.rows[row].part(number, page)
            {
                part.shared += 1;
            }
        }
    }

    fn inherits(&mut self, number: usize, page: u64, state: PageState) -> bool {
        let member = &mut self.members[number];
        if let Some(source) = member.source {
            // Written or not: what the source has at this address was there to be inherited. What is
            // mapped twice and is not the source's was, before the source let go of it.
            let inherited = !state.is_mapped_once() || self.seen[source] == page + 1;
            if inherited && self.keep {
                member.found_base.insert(page);
            }
            return inherited;
        }
        member.is_source
            || member.noted && !state.is_mapped_once()
            || member.base.as_ref().is_some_and(|base| base.contains(page))
    }

    /// The frame key, and whether the frame is known to be the writing of a member.
    fn key(&self, number: usize, page: u64, state: PageState) -> (u64, bool) {
        let mut writers = self.members[number].lineage.iter();
        let writer = writers
            .find(|(written, _)| written.contains(page))
            .map(|(_, writer)| *writer);
        if self.by_frame && state.frame() != 0 {
            (state.frame(), writer.is_some())
        } else if state.is_mapped_once() {
            (OWN_KEY | number as u64, false)
        } else {
            (writer.unwrap_or(0), writer.is_some())
        }
    }

    fn join(&mut self, number: usize, page: u64, state: PageState) {
        let (key, written) = self.key(number, page, state);
        let known = self.groups.iter().position(|group| group.key == key);
        let index = known.unwrap_or_else(|| {
            self.groups.push(Group {
                key,
                first: number,
                members: 0,
                alone: state.is_mapped_once(),
                written: false,
            });
            self.groups.len() - 1
        });
        self.groups[index].members += 1;
        self.groups[index].written |= written;
        self.group_of.resize(self.members.len(), 0);
        self.group_of[number] = index;
    }

    fn original(&self) -> Option<usize> {
        if self.groups.len() < 2 {
            return (!self.groups.is_empty()).then_some(0);
        }
        // A member whose parent has another frame either wrote it or has what the parent had when it
        // forked: the frame with the most of these is cheapest to take for the original.
        let mut roots = vec![0usize; self.groups.len()];
        for number in &self.heirs {
            let group = self.group_of[*number];
            let parent = self.members[*number].parent;
            let with_parent = parent.is_some_and(|parent| {
                self.heirs.contains(&parent) && self.group_of[parent] == group
            });
            roots[group] += usize::from(!with_parent);
        }
        let groups = self.groups.iter().enumerate();
        groups
            .max_by_key(|(index, group)| (!group.written, roots[*index], usize::MAX - group.first))
            .map(|(index, _)| index)
    }

    /// Counts a page that a private mapping of shared memory made its own.
    pub(crate) fn private_copy(&mut self, row: usize, page: u64, states: &[(usize, PageState)]) {
        self.groups.clear();
        for &(number, state) in states {
            self.join(number, page, state);
        }
        for group in &self.groups {
            for pages in [
                &mut self.members[group.first].pages,
                &mut self.rows[row].members[group.first],
            ] {
                pages.copied += 1;
                pages.inherited += 1;
            }
            if self.keep {
                self.members[group.first].copied.insert(page);
            }
            if let Some(part) = self.rows[row].part(group.first, page) {
                part.own += 1;
            }
        }
        for sums in [&mut self.counts.sums, &mut self.rows[row].sums] {
            sums.frames += self.groups.len() as u64;
            sums.private_copies += self.groups.len() as u64;
            sums.present += states.len() as u64;
        }
    }
}

/// Pages of shared memory, counted once whoever maps them and where.
#[derive(Debug, Default)]
pub(crate) struct SharedPages {
    files: HashMap<((u32, u32), u64), PageSet>,
}

impl SharedPages {
    pub(crate) fn file(&mut self, device: (u32, u32), inode: u64) -> &mut PageSet {
        self.files.entry((device, inode)).or_default()
    }

    pub(crate) fn count(&self) -> u64 {
        self.files.values().map(PageSet::len).sum()
    }
}

#[cfg(test)]
#[path = "account/tests.rs"]
mod tests;
