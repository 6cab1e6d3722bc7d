//! One reading of the tree: its processes, its stores, its pages.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use super::Subject;
use super::bracket::{has_kept_its_memory, is_ending};
use super::files::Files;
use crate::account::{Account, PageCounts, SharedPages};
use crate::by_pss;
use crate::error::MeterError;
use crate::family;
use crate::history::History;
use crate::kcmp;
use crate::parse::{Mapping, MappingKind, Rollup, Stat};
use crate::read::Proc;
use crate::report::{
    Level, MappingMemory, ProcessMemory, Role, SkipReason, Skipped, StoreMemory, StoreUse, Tag,
};
use crate::rows;
use crate::walk::{Read, Walk};

/// One reading of the tree.
pub(super) struct Pass {
    pub(super) processes: Vec<ProcessMemory>,
    pub(super) skipped: Vec<Skipped>,
    /// Who went away or lost its memory.
    lost: Vec<Stat>,
    pub(super) stores: BTreeMap<((u32, u32), u64), StoreMemory>,
    pub(super) files: Files,
    pub(super) pages: PageCounts,
    pub(super) mappings: Vec<MappingMemory>,
    /// Frames that only PSS tells of.
    pub(super) by_pss: u64,
    /// Processes that several families might have forked.
    pub(super) doubtful: usize,
}

impl Pass {
    pub(super) fn read(
        subject: &Subject<'_>,
        list: &[Stat],
        history: &mut History,
        keep: bool,
    ) -> Result<Self, MeterError> {
        let proc = subject.proc;
        let mut pass = Self {
            processes: Vec::with_capacity(list.len()),
            skipped: Vec::new(),
            lost: Vec::new(),
            stores: BTreeMap::new(),
            files: Files::default(),
            pages: PageCounts {
                special_known: true,
                ..PageCounts::default()
            },
            mappings: Vec::new(),
            by_pss: 0,
            doubtful: 0,
        };
        let mut reads = Vec::new();
        for stat in list {
            if stat.has_exited() {
                pass.skip(proc, stat, SkipReason::Exited);
                continue;
            }
            if stat.is_kernel_thread() {
                pass.skip(proc, stat, SkipReason::KernelThread);
                continue;
            }
            if has_parents_memory(stat, list) {
                pass.skip(proc, stat, SkipReason::ParentsMemory);
                continue;
            }
            match open(proc, stat) {
                Ok((rollup, read)) => {
                    pass.processes.push(ProcessMemory::new(stat, &rollup));
                    pass.add_stores(proc, stat, &read.mappings);
                    pass.files.add(stat.pid, &read.mappings);
                    reads.push(read);
                }
                Err(MeterError::Gone { .. }) => pass.lose(proc, stat),
                Err(MeterError::Denied { .. }) => pass.skip(proc, stat, SkipReason::Denied),
                // A text that ends in the middle is what a process leaves that dies while read.
                Err(error) => match proc.stat(stat.pid) {
                    Ok(now) if !is_ending(proc, &now) => return Err(error),
                    _ => pass.lose(proc, stat),
                },
            }
        }
        pass.count(subject, reads, history, keep)?;
        Ok(pass)
    }

    /// Counts the pages of everybody who was opened, and looks whether they have kept their memory meanwhile.
    fn count(
        &mut self,
        subject: &Subject<'_>,
        reads: Vec<Read>,
        history: &mut History,
        keep: bool,
    ) -> Result<(), MeterError> {
        let proc = subject.proc;
        let mut shared = SharedPages::default();
        let (families, doubtful) = in_families(reads);
        self.doubtful = doubtful;
        let mut counted = Vec::with_capacity(families.len());
        for mut members in families {
            let stats: Vec<&Stat> = members.iter().map(|read| &read.stat).collect();
            let by_frame = subject.level == Level::A;
            let mut account = Account::new(history.members(&stats), by_frame, keep);
            let of_family = |tag: &&Tag| members.iter().any(|read| tag.is_of(read.stat.identity()));
            let tags: Vec<Tag> = subject.tags.iter().filter(of_family).cloned().collect();
            Walk::new(proc, &mut members, &tags, &mut account, &mut shared).run(&(0..u64::MAX))?;
            if !by_frame {
                self.by_pss += by_pss::correct(proc, &mut account, &members);
            }
            counted.push((members, account));
        }
        // Not before all pages were read: those of one depend on the others'.
        for read in counted.iter_mut().flat_map(|(members, _)| members) {
            read.lost = !has_kept_its_memory(proc, read);
        }
        for (members, mut account) in counted {
            self.add_family(&mut account, &members, proc);
            // What is known of relatives of one that was lost would be a part.
            if self.has_all_relatives(&members) {
                let stats: Vec<Stat> = members.into_iter().map(|read| read.stat).collect();
                history.remember(&stats, &mut account.members);
            }
        }
        self.pages.shared = shared.count();
        self.mappings.sort_by_key(|row| {
            let sums = row.sums().unwrap_or_default();
            std::cmp::Reverse(sums.frames + sums.new)
        });
        Ok(())
    }

    fn lose(&mut self, proc: &Proc, stat: &Stat) {
        self.lost.push(stat.clone());
        self.skip(proc, stat, SkipReason::Vanished);
    }

    /// Whether none of the lost may have been a relative by fork.
    fn has_all_relatives(&self, members: &[Read]) -> bool {
        let place = |stat: &Stat| (stat.start_stack, stat.start_code);
        let mut places = self.lost.iter().map(place);
        !places.any(|lost| members.iter().any(|read| place(&read.stat) == lost))
    }

    fn skip(&mut self, proc: &Proc, stat: &Stat, reason: SkipReason) {
        // Who has lost its memory had some.
        let sizes = proc.statm(stat.thread).ok();
        let sizes = sizes.filter(|sizes| sizes.size > 0 || reason != SkipReason::Vanished);
        self.skipped.push(Skipped {
            pid: stat.pid,
            name: stat.name.clone(),
            reason,
            rss: sizes.map(|sizes| sizes.rss),
            foreign: proc
                .is_foreign(stat.pid)
                .filter(|_| reason == SkipReason::Denied),
        });
    }

    /// Takes over what was counted in one family.
    fn add_family(&mut self, account: &mut Account, members: &[Read], proc: &Proc) {
        let page_size = proc.page_size();
        self.pages.add(&account.counts);
        for (number, (read, member)) in members.iter().zip(&account.members).enumerate() {
            let pid = read.stat.pid;
            if read.lost {
                self.processes.retain(|row| row.pid != pid);
                self.lose(proc, &read.stat);
                continue;
            }
            if let Some(row) = self.processes.iter_mut().find(|row| row.pid == pid) {
                row.pages = Some(member.pages.to_bytes(page_size));
                row.role = Some(match (number, members.len(), &member.base) {
                    (0, 1, None) => Role::Alone,
                    (0, _, _) => Role::Parent,
                    _ => Role::Worker,
                });
            }
        }
        let pids: Vec<u32> = members.iter().map(|read| read.stat.pid).collect();
        self.mappings.extend(rows::summed(
            std::mem::take(&mut account.rows),
            &pids,
            page_size,
        ));
    }

    pub(super) fn vanished(&self) -> bool {
        !self.lost.is_empty()
    }

    fn add_stores(&mut self, proc: &Proc, stat: &Stat, mappings: &[Mapping]) {
        let pid = stat.pid;
        for mapping in mappings {
            let Some(id) = store_id(mapping) else {
                continue;
            };
            let key = (mapping.device, mapping.inode);
            let store = self.stores.entry(key).or_insert_with(|| StoreMemory {
                id: id.to_owned(),
                device: mapping.device,
                inode: mapping.inode,
                allocated: None,
                len: None,
                users: Vec::new(),
            });
            if store.allocated.is_none() {
                let file = proc.memory_file(stat.thread, mapping.device, mapping.inode);
                store.allocated = file.map(|file| file.allocated_bytes);
                store.len = file.map(|file| file.len_bytes);
            }
            if store.users.last().is_none_or(|user| user.pid != pid) {
                store.users.push(StoreUse {
                    pid,
                    mapped: 0,
                    rss: 0,
                    pss: 0,
                    copied: 0,
                });
            }
            if let Some(user) = store.users.last_mut() {
                user.mapped = user.mapped.saturating_add(mapping.byte_len());
                user.rss = user.rss.saturating_add(mapping.counts.rss);
                user.pss = user.pss.saturating_add(mapping.counts.pss);
                user.copied = user.copied.saturating_add(mapping.counts.anonymous);
            }
        }
    }
}

/// Whether a process runs in the address space of its parent, which is counted as well.
pub(crate) fn has_parents_memory(stat: &Stat, list: &[Stat]) -> bool {
    let mut others = list.iter();
    stat.is_forked()
        && others.any(|other| other.pid == stat.parent && other.start_code == stat.start_code)
        && kcmp::same_address_space(stat.parent, stat.pid) == Some(true)
}

/// Families, each oldest first, parents before children; and how many processes may belong to several.
pub(super) fn in_families(reads: Vec<Read>) -> (Vec<Vec<Read>>, usize) {
    let stats: Vec<Stat> = reads.iter().map(|read| read.stat.clone()).collect();
    let found = family::families(&stats);
    let mut members: BTreeMap<usize, Vec<(usize, Read)>> = BTreeMap::new();
    for ((number, read), family) in reads.into_iter().enumerate().zip(found.of) {
        members.entry(family).or_default().push((number, read));
    }
    let families = members.into_values().map(|mut family| {
        // Moments are ticks: what began in the same one is told apart by who may have forked whom.
        family.sort_by_key(|(number, read)| {
            let stat = &read.stat;
            (stat.start_time_ticks, stat.is_forked(), *number)
        });
        family.into_iter().map(|(_, read)| read).collect()
    });
    (families.collect(), found.doubtful)
}

/// What is needed to read a process's pages.
pub(super) fn open(proc: &Proc, stat: &Stat) -> Result<(Rollup, Read), MeterError> {
    // Opened before all else: that the other files were of the same address space is seen by it later.
    let pagemap = proc.open_pagemap(stat.thread)?;
    let rollup = proc.rollup(stat.thread)?;
    let read = Read {
        stat: stat.clone(),
        mappings: proc.mappings(stat.thread)?,
        pagemap,
        lost: false,
    };
    Ok((rollup, read))
}

/// The name behind `/memfd:onecopy-`, if the mapping is one of a store.
fn store_id(mapping: &Mapping) -> Option<&str> {
    let named = mapping.kind() == MappingKind::SharedMemory;
    let id = mapping
        .name
        .strip_prefix("/memfd:onecopy-")
        .filter(|_| named)?;
    Some(id.strip_suffix(" (deleted)").unwrap_or(id))
}
