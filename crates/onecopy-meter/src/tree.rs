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

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::ops::Range;

use crate::account::{Account, PageCounts, SharedPages};
use crate::by_pss;
use crate::error::MeterError;
use crate::history::{self, History};
use crate::parse::{Mapping, MappingKind, Rollup, Stat};
use crate::read::Proc;
use crate::report::{
    Baseline, Copies, Level, MappingMemory, ProcessMemory, Report, Role, SCHEMA, SkipReason,
    Skipped, StoreMemory, StoreUse, Tag, Tree,
};
use crate::rows;
use crate::walk::{Read, Walk};

/// Readings of a tree that will not hold still.
const PASSES: u32 = 4;

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

/// Measures the subject; with a `history`, compares it with what was known and remembers it.
pub(crate) fn measure(
    subject: &Subject<'_>,
    mut history: Option<&mut History>,
) -> Result<Report, MeterError> {
    let mut passes = 1;
    loop {
        let before = list(subject)?;
        let mut known = history.as_deref().cloned().unwrap_or_default();
        known.keep_only(&before.iter().map(history::identity).collect::<Vec<_>>());
        let pass = Pass::read(subject, &before, &mut known, history.is_some())?;
        let now = list(subject)?;
        let steady = !pass.vanished() && identities(&now) == identities(&before);
        // Who is read again and again is read again soon.
        let most = if history.is_some() {
            PASSES / 2
        } else {
            PASSES
        };
        if steady || passes == most {
            let baseline = if known.begun {
                Baseline::Fork
            } else {
                Baseline::Now
            };
            if let Some(history) = &mut history {
                known.begun = true;
                **history = known;
            }
            return pass.report(subject, passes, steady, baseline);
        }
        passes += 1;
    }
}

/// The process and its descendants, parents before children and older before younger.
fn list(subject: &Subject<'_>) -> Result<Vec<Stat>, MeterError> {
    let (proc, root) = (subject.proc, subject.root);
    let first = proc.stat(root)?;
    if !subject.children {
        return Ok(vec![first]);
    }
    let mut by_parent: HashMap<u32, Vec<Stat>> = HashMap::new();
    for pid in proc.pids()? {
        match proc.stat(pid) {
            Ok(stat) if pid != root => by_parent.entry(stat.parent).or_default().push(stat),
            // Came and went between two system calls, or is hidden: nobody's child to us.
            Ok(_) | Err(MeterError::Gone { .. } | MeterError::Denied { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    let mut found = Vec::new();
    let mut queue = VecDeque::from([first]);
    while let Some(stat) = queue.pop_front() {
        let mut next = by_parent.remove(&stat.pid).unwrap_or_default();
        next.sort_by_key(|child| (child.start_time_ticks, child.pid));
        queue.extend(next);
        if subject.with_root || stat.pid != root {
            found.push(stat);
        }
    }
    Ok(found)
}

/// What names the same processes for ever, exited ones included.
fn identities(list: &[Stat]) -> HashSet<(u32, u64, bool)> {
    list.iter()
        .map(|stat| (stat.pid, stat.start_time_ticks, stat.has_exited()))
        .collect()
}

/// One reading of the tree.
struct Pass {
    processes: Vec<ProcessMemory>,
    skipped: Vec<Skipped>,
    stores: BTreeMap<((u32, u32), u64), StoreMemory>,
    pages: PageCounts,
    mappings: Vec<MappingMemory>,
    /// Frames that only PSS tells of.
    by_pss: u64,
}

impl Pass {
    fn read(
        subject: &Subject<'_>,
        list: &[Stat],
        history: &mut History,
        keep: bool,
    ) -> Result<Self, MeterError> {
        let proc = subject.proc;
        let mut pass = Self {
            processes: Vec::with_capacity(list.len()),
            skipped: Vec::new(),
            stores: BTreeMap::new(),
            pages: PageCounts {
                special_known: true,
                ..PageCounts::default()
            },
            mappings: Vec::new(),
            by_pss: 0,
        };
        let mut families: Vec<Vec<Read>> = Vec::new();
        for stat in list {
            if stat.has_exited() {
                pass.skip(proc, stat, SkipReason::Exited);
                continue;
            }
            match open(proc, stat) {
                Ok((rollup, read)) => {
                    pass.processes.push(ProcessMemory::new(stat, &rollup));
                    pass.add_stores(proc, stat.pid, &read.mappings);
                    join_family(&mut families, read);
                }
                Err(MeterError::Gone { .. }) => pass.skip(proc, stat, SkipReason::Vanished),
                Err(MeterError::Denied { .. }) => pass.skip(proc, stat, SkipReason::Denied),
                // A text that ends in the middle is what a process leaves that dies while read.
                Err(error) => match proc.stat(stat.pid) {
                    Ok(now) if !now.has_exited() => return Err(error),
                    _ => pass.skip(proc, stat, SkipReason::Vanished),
                },
            }
        }
        let mut shared = SharedPages::default();
        for mut members in families {
            let stats: Vec<&Stat> = members.iter().map(|read| &read.stat).collect();
            let by_frame = subject.level == Level::A;
            let mut account = Account::new(history.members(&stats), by_frame, keep);
            let of_family = |tag: &&Tag| members.iter().any(|read| read.stat.pid == tag.pid);
            let tags: Vec<Tag> = subject.tags.iter().filter(of_family).cloned().collect();
            Walk::new(proc, &mut members, &tags, &mut account, &mut shared).run(&(0..u64::MAX))?;
            if !by_frame {
                pass.by_pss += by_pss::correct(proc, &mut account, &members);
            }
            pass.add_family(&mut account, &members, proc);
            let stats: Vec<Stat> = members.into_iter().map(|read| read.stat).collect();
            history.remember(&stats, &mut account.members);
        }
        pass.pages.shared = shared.count();
        pass.mappings
            .sort_by_key(|row| std::cmp::Reverse(row.frames + row.new));
        Ok(pass)
    }

    fn skip(&mut self, proc: &Proc, stat: &Stat, reason: SkipReason) {
        self.skipped.push(Skipped {
            pid: stat.pid,
            name: stat.name.clone(),
            reason,
            rss: proc.statm(stat.pid).ok().map(|sizes| sizes.rss),
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
                self.skip(proc, &read.stat, SkipReason::Vanished);
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

    fn vanished(&self) -> bool {
        self.skipped
            .iter()
            .any(|skipped| skipped.reason == SkipReason::Vanished)
    }

    fn add_stores(&mut self, proc: &Proc, pid: u32, mappings: &[Mapping]) {
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
                let file = proc.memory_file(pid, mapping.device, mapping.inode);
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

    fn report(
        mut self,
        subject: &Subject<'_>,
        passes: u32,
        steady: bool,
        baseline: Baseline,
    ) -> Result<Report, MeterError> {
        let proc = subject.proc;
        let denied = self
            .skipped
            .iter()
            .any(|skipped| skipped.reason == SkipReason::Denied);
        let complete = steady && !denied;
        let stores: Vec<StoreMemory> = std::mem::take(&mut self.stores).into_values().collect();
        let mut tree = sums(&self.processes, complete)?;
        let agreement = explained(&self.pages, &tree, proc.page_size());
        let mut limits = limits(proc, &self.skipped, &self.pages, steady, &stores, baseline);
        let by_pss = self.by_pss;
        if by_pss > 0 {
            limits.push(format!(
                "{by_pss} frames are known from PSS alone: processes wrote to inherited pages and then \
                 forked; who wrote them cannot be said without frame numbers"
            ));
        }
        tree.allocated = stores.iter().map(|store| store.allocated).sum();
        if !complete {
            tree.allocated = None;
        }
        tree.copies = copies(&self.pages, complete);
        tree.copies.by_pss = by_pss;
        tree.copies.agreement = agreement;
        Ok(Report {
            schema: SCHEMA.to_owned(),
            level: subject.level,
            baseline,
            page_size: proc.page_size(),
            root: subject.root,
            passes,
            complete,
            tree,
            processes: self.processes,
            skipped: self.skipped,
            stores,
            mappings: self.mappings,
            limits,
        })
    }
}

/// What is needed to read a process's pages.
fn open(proc: &Proc, stat: &Stat) -> Result<(Rollup, Read), MeterError> {
    let rollup = proc.rollup(stat.pid)?;
    let read = Read {
        stat: stat.clone(),
        mappings: proc.mappings(stat.pid)?,
        pagemap: proc.open_pagemap(stat.pid)?,
        lost: false,
    };
    Ok((rollup, read))
}

/// Processes are one family when they have the same bottom of the stack: `exec` draws a new one,
/// `fork` keeps it. Where it is not shown, nothing can be said about relatives.
fn join_family(families: &mut Vec<Vec<Read>>, read: Read) {
    let bottom = read.stat.start_stack;
    let related = |family: &&mut Vec<Read>| bottom != 0 && family[0].stat.start_stack == bottom;
    match families.iter_mut().find(related) {
        Some(family) => family.push(read),
        None => families.push(vec![read]),
    }
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

fn sums(processes: &[ProcessMemory], complete: bool) -> Result<Tree, MeterError> {
    // A field that one kernel does not tell is unknown for the sum as well.
    let sum = |what, get: fn(&ProcessMemory) -> Option<u64>| {
        if !complete {
            return Ok(None);
        }
        let mut total = 0u64;
        for process in processes {
            let Some(value) = get(process) else {
                return Ok(None);
            };
            total = total.checked_add(value).ok_or(MeterError::Overflow {
                what,
                processes: processes.len(),
            })?;
        }
        Ok(Some(total))
    };
    Ok(Tree {
        processes: processes.len(),
        sum_rss: sum("RSS", |process| Some(process.rss))?,
        sum_pss: sum("PSS", |process| Some(process.pss))?,
        sum_uss: sum("USS", |process| Some(process.uss))?,
        sum_private_dirty: sum("private dirty pages", |process| Some(process.private_dirty))?,
        sum_pss_anon: sum("anonymous PSS", |process| process.pss_anon)?,
        sum_pss_file: sum("file PSS", |process| process.pss_file)?,
        sum_pss_shmem: sum("shared-memory PSS", |process| process.pss_shmem)?,
        sum_swap_pss: sum("swap", |process| process.swap_pss)?,
        allocated: None,
        copies: Copies {
            value: None,
            reason: None,
            unique: 0,
            frames: 0,
            shared: 0,
            new: 0,
            wasted: 0,
            saved: 0,
            by_pss: 0,
            agreement: None,
        },
    })
}

/// Counts the pages of one address range, in processes of which the oldest comes first.
pub(crate) fn range(
    proc: &Proc,
    pids: &[u32],
    part: Range<u64>,
    level: Level,
) -> Result<Copies, MeterError> {
    let page = proc.page_size();
    let part = part.start / page * page..part.end.div_ceil(page).saturating_mul(page);
    let mut pss = Some(0u64);
    let mut families = Vec::new();
    for pid in pids {
        let stat = proc.stat(*pid)?;
        if stat.has_exited() {
            return Err(MeterError::Gone { pid: *pid });
        }
        let (_, read) = open(proc, &stat)?;
        let touching = |mapping: &&Mapping| mapping.start < part.end && mapping.end > part.start;
        for mapping in read.mappings.iter().filter(touching) {
            let inside = part.start <= mapping.start && mapping.end <= part.end;
            // The kernel does not say how the PSS of a mapping is spread over it.
            pss = pss
                .filter(|_| inside)
                .and_then(|sum| sum.checked_add(mapping.counts.pss));
        }
        join_family(&mut families, read);
    }
    let (mut pages, mut shared) = (PageCounts::default(), SharedPages::default());
    for mut members in families {
        let stats: Vec<&Stat> = members.iter().map(|read| &read.stat).collect();
        let members_of = History::default().members(&stats);
        let mut account = Account::new(members_of, level == Level::A, false);
        Walk::new(proc, &mut members, &[], &mut account, &mut shared).run(&part)?;
        if let Some(lost) = members.iter().find(|read| read.lost) {
            return Err(MeterError::Gone { pid: lost.stat.pid });
        }
        pages.add(&account.counts);
    }
    pages.shared = shared.count();
    let mut copies = copies(&pages, true);
    if copies.value.is_none() {
        copies.reason = Some("nothing in this range is inherited or shared memory".to_owned());
    }
    let counted = pages.frames_and_new() * page;
    copies.agreement = pss.map(|pss| agreement(counted, pss));
    Ok(copies)
}

/// 1 − the part of `pss` that `counted` does not explain.
fn agreement(counted: u64, pss: u64) -> f64 {
    1.0 - counted.abs_diff(pss) as f64 / pss.max(1) as f64
}

fn explained(pages: &PageCounts, tree: &Tree, page_size: u64) -> Option<f64> {
    let (pss, file) = tree.sum_pss.zip(tree.sum_pss_file)?;
    Some(agreement(pages.frames_and_new() * page_size + file, pss))
}

fn copies(pages: &PageCounts, complete: bool) -> Copies {
    let sums = &pages.sums;
    let distinct = sums.unique + pages.shared;
    let (value, reason) = if !complete {
        (None, Some("not every process of the tree could be read"))
    } else if distinct == 0 {
        (
            None,
            Some("the tree shares nothing: no fork family and no shared memory in it"),
        )
    } else {
        (
            Some((sums.frames + pages.shared) as f64 / distinct as f64),
            None,
        )
    };
    Copies {
        value,
        reason: reason.map(str::to_owned),
        unique: sums.unique,
        frames: sums.frames,
        shared: pages.shared,
        new: sums.new,
        wasted: sums.frames - sums.unique,
        saved: sums.present.saturating_sub(sums.frames),
        by_pss: 0,
        agreement: None,
    }
}

fn limits(
    proc: &Proc,
    skipped: &[Skipped],
    pages: &PageCounts,
    steady: bool,
    stores: &[StoreMemory],
    baseline: Baseline,
) -> Vec<String> {
    let mut limits = Vec::new();
    let denied: Vec<String> = skipped
        .iter()
        .filter(|skipped| skipped.reason == SkipReason::Denied)
        .map(|skipped| skipped.pid.to_string())
        .collect();
    if !denied.is_empty() {
        limits.push(format!(
            "processes {} belong to somebody else: no sums, because a part is not the whole",
            denied.join(", ")
        ));
    }
    if !steady {
        limits.push(format!(
            "processes came or went in each of {PASSES} readings: no sums"
        ));
    }
    if proc.hides_processes() {
        limits.push(
            "/proc hides processes of other users (hidepid): children of theirs are not seen"
                .to_owned(),
        );
    }
    if baseline == Baseline::Now {
        limits.push(
            "copies: the baseline is each process that forked as it is now; memory that both sides \
             allocated at the same place after the fork counts as copied, and memory that came by other \
             ways than fork or shared memory as new"
                .to_owned(),
        );
    }
    if pages.huge_unsure > 0 {
        limits.push(format!(
            "{} pages are mapped by huge-page entries of mappings that are partly shared; their bit 56 \
             is not used, and copies of whole huge pages may be missed",
            pages.huge_unsure
        ));
    }
    if !pages.special_known {
        limits.push(
            "this kernel cannot tell zero pages and huge-page entries apart (before Linux 6.7)"
                .to_owned(),
        );
    }
    for store in stores.iter().filter(|store| store.allocated.is_none()) {
        limits.push(format!(
            "store {}: no descriptor of it may be read, so its size is unknown",
            store.id
        ));
    }
    limits
}
