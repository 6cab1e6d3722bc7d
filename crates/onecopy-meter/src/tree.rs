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

use crate::account::{Account, PageCounts};
use crate::error::MeterError;
use crate::parse::{Mapping, MappingKind, Stat};
use crate::read::Proc;
use crate::report::{
    Copies, ProcessMemory, Report, SCHEMA, SkipReason, Skipped, StoreMemory, StoreUse, Tree,
};

/// Readings of a tree that will not hold still.
const PASSES: u32 = 4;

/// Measures `root` and all its descendants.
pub(crate) fn measure(proc: &Proc, root: u32, children: bool) -> Result<Report, MeterError> {
    let mut passes = 1;
    loop {
        let before = list(proc, root, children)?;
        let pass = Pass::read(proc, &before)?;
        let steady =
            !pass.vanished() && identities(&list(proc, root, children)?) == identities(&before);
        if steady || passes == PASSES {
            return pass.report(proc, root, passes, steady);
        }
        passes += 1;
    }
}

/// The process and its descendants, parents before children and older before younger.
fn list(proc: &Proc, root: u32, children: bool) -> Result<Vec<Stat>, MeterError> {
    let first = proc.stat(root)?;
    if !children {
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
        found.push(stat);
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
}

impl Pass {
    fn read(proc: &Proc, list: &[Stat]) -> Result<Self, MeterError> {
        let mut account = Account::new(proc.page_size());
        let mut pass = Self {
            processes: Vec::with_capacity(list.len()),
            skipped: Vec::new(),
            stores: BTreeMap::new(),
            pages: PageCounts::default(),
        };
        for stat in list {
            let skip = |reason| Skipped {
                pid: stat.pid,
                name: stat.name.clone(),
                reason,
                rss: proc.statm(stat.pid).ok().map(|sizes| sizes.rss),
            };
            if stat.has_exited() {
                pass.skipped.push(skip(SkipReason::Exited));
                continue;
            }
            let read = || {
                let rollup = proc.rollup(stat.pid)?;
                Ok((rollup, proc.mappings(stat.pid)?))
            };
            match read().and_then(|(rollup, mappings)| {
                account.add(proc, stat, &mappings, 0..u64::MAX)?;
                Ok((rollup, mappings))
            }) {
                Ok((rollup, mappings)) => {
                    pass.processes.push(ProcessMemory::new(stat, &rollup));
                    pass.add_stores(proc, stat.pid, &mappings);
                }
                Err(MeterError::Gone { .. }) => pass.skipped.push(skip(SkipReason::Vanished)),
                Err(MeterError::Denied { .. }) => pass.skipped.push(skip(SkipReason::Denied)),
                // A text that ends in the middle is what a process leaves that dies while read.
                Err(error) => match proc.stat(stat.pid) {
                    Ok(now) if !now.has_exited() => return Err(error),
                    _ => pass.skipped.push(skip(SkipReason::Vanished)),
                },
            }
        }
        pass.pages = account.finish();
        Ok(pass)
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
        self,
        proc: &Proc,
        root: u32,
        passes: u32,
        steady: bool,
    ) -> Result<Report, MeterError> {
        let denied = self
            .skipped
            .iter()
            .any(|skipped| skipped.reason == SkipReason::Denied);
        let complete = steady && !denied;
        let stores: Vec<StoreMemory> = self.stores.into_values().collect();
        let limits = limits(proc, &self.skipped, &self.pages, steady, &stores);
        let mut tree = sums(&self.processes, complete)?;
        tree.allocated = stores.iter().map(|store| store.allocated).sum();
        if !complete {
            tree.allocated = None;
        }
        tree.copies = copies(&self.pages, &tree, proc.page_size(), complete);
        Ok(Report {
            schema: SCHEMA.to_owned(),
            level: "B".to_owned(),
            page_size: proc.page_size(),
            root,
            passes,
            complete,
            tree,
            processes: self.processes,
            skipped: self.skipped,
            stores,
            limits,
        })
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
            agreement: None,
        },
    })
}

/// Counts the pages of one address range, in processes of which the oldest comes first.
pub(crate) fn range(proc: &Proc, pids: &[u32], part: Range<u64>) -> Result<Copies, MeterError> {
    let page = proc.page_size();
    let part = part.start / page * page..part.end.div_ceil(page).saturating_mul(page);
    let mut account = Account::new(page);
    let mut pss = Some(0u64);
    for pid in pids {
        let (stat, mappings) = (proc.stat(*pid)?, proc.mappings(*pid)?);
        if stat.has_exited() {
            return Err(MeterError::Gone { pid: *pid });
        }
        account.add(proc, &stat, &mappings, part.clone())?;
        let touching = |mapping: &&Mapping| mapping.start < part.end && mapping.end > part.start;
        for mapping in mappings.iter().filter(touching) {
            let inside = part.start <= mapping.start && mapping.end <= part.end;
            // The kernel does not say how the PSS of a mapping is spread over it.
            pss = pss
                .filter(|_| inside)
                .and_then(|sum| sum.checked_add(mapping.counts.pss));
        }
    }
    let pages = account.finish();
    let distinct = pages.unique + pages.shared;
    let value = (distinct > 0).then(|| (pages.frames + pages.shared) as f64 / distinct as f64);
    let reason = "nothing in this range is inherited or shared memory";
    let counted = (pages.frames + pages.new + pages.shared) * page;
    Ok(Copies {
        value,
        reason: value.is_none().then(|| reason.to_owned()),
        unique: pages.unique,
        frames: pages.frames,
        shared: pages.shared,
        new: pages.new,
        agreement: pss.map(|pss| agreement(counted, pss)),
    })
}

/// 1 − the part of `pss` that `counted` does not explain.
fn agreement(counted: u64, pss: u64) -> f64 {
    1.0 - counted.abs_diff(pss) as f64 / pss.max(1) as f64
}

fn copies(pages: &PageCounts, tree: &Tree, page_size: u64, complete: bool) -> Copies {
    let distinct = pages.unique + pages.shared;
    let (value, reason) = if !complete {
        (None, Some("not every process of the tree could be read"))
    } else if distinct == 0 {
        (
            None,
            Some("the tree shares nothing: no fork family and no shared memory in it"),
        )
    } else {
        (
            Some((pages.frames + pages.shared) as f64 / distinct as f64),
            None,
        )
    };
    let agreement = tree.sum_pss.zip(tree.sum_pss_file).map(|(pss, file)| {
        agreement(
            (pages.frames + pages.new + pages.shared) * page_size + file,
            pss,
        )
    });
    Copies {
        value,
        reason: reason.map(str::to_owned),
        unique: pages.unique,
        frames: pages.frames,
        shared: pages.shared,
        new: pages.new,
        agreement,
    }
}

fn limits(
    proc: &Proc,
    skipped: &[Skipped],
    pages: &PageCounts,
    steady: bool,
    stores: &[StoreMemory],
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
    limits.push(
        "copies: the baseline is each fork family's oldest process as it is now; memory that \
         processes received by other ways than fork or shared memory counts as new"
            .to_owned(),
    );
    if pages.huge > 0 {
        limits.push(format!(
            "{} pages are mapped by huge-page entries, whose bit 56 is not used: copies of whole \
             huge pages are missed",
            pages.huge
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
