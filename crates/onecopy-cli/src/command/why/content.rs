//! What is in the pages: copies that still hold what the original holds, and memory that several processes
//! hold alike.
//!
//! ```text
//! copied page ─▶ the same page of the process it was forked from, or of the next older relative that has
//!                not copied it ─▶ equal: needless, a reference count went up and down
//! own page    ─▶ hash ─▶ known from another process: a duplicate
//! ```
//! Memory is read in chunks, and of pages only hashes are kept: when they become too many, every second one
//! is dropped, again and again, and the sums are estimates. A process that goes on writing meanwhile may
//! differ by what it has just written.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::fs::File;
use std::hash::{BuildHasher as _, RandomState};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;

use onecopy_meter::{Mapping, MeterError, Proc, Tag, holding};
use serde::{Deserialize, Serialize};

use super::Copied;

/// Pages that are read at once.
const CHUNK: u64 = 64;
/// Hashes that are kept: 64 MiB of tables.
const MOST: usize = 1 << 21;
/// Rows that are kept.
const ROWS: usize = 200;

/// Copied pages of a mapping, or of a tag.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NeedlessRow {
    pub(crate) label: String,
    /// Copied pages that could be compared, over all processes.
    pub(crate) pages: u64,
    /// Those that hold what the original holds.
    pub(crate) needless: u64,
}

/// A process whose memory may not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Denied {
    pub(crate) pid: u32,
    pub(crate) reason: String,
}

/// What was found in the pages of a tree.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Content {
    /// Copied pages that could be compared.
    pub(crate) pages: u64,
    /// Those that hold what the original holds.
    pub(crate) needless: u64,
    /// Copied pages without an original that anybody still has, or that could be read.
    pub(crate) unknown: u64,
    /// By mapping, most needless copies first.
    pub(crate) mappings: Vec<NeedlessRow>,
    /// Pages that belong to one process alone, over all processes.
    pub(crate) own: u64,
    /// Those that are the same as one of another process, the first of each not counted.
    pub(crate) duplicates: u64,
    /// Those that hold nothing but zeros, which are in neither of the two.
    pub(crate) zeros: u64,
    /// Whether `duplicates` is an estimate.
    pub(crate) estimated: bool,
    /// Who could not be read, and why.
    pub(crate) denied: Vec<Denied>,
}

/// A process to be looked into; of relatives, the oldest comes first.
struct Subject<'a> {
    parent: u32,
    copied: &'a Copied,
}

/// Looks into all processes that were read. `parents` are those of each.
pub(super) fn look(
    proc: &Proc,
    copied: &[Copied],
    parents: &HashMap<u32, u32>,
    tags: &[Tag],
) -> Content {
    let parent = |pid| parents.get(&pid).copied().unwrap_or(0);
    let subjects = copied.iter().map(|copied| Subject {
        parent: parent(copied.pid),
        copied,
    });
    let subjects: Vec<Subject<'_>> = subjects.collect();
    let mut content = Content::default();
    let mut open = HashMap::new();
    for subject in &subjects {
        let pid = subject.copied.pid;
        match proc.memory(pid) {
            Ok(file) => {
                open.insert(
                    pid,
                    Memory {
                        file,
                        page_size: proc.page_size(),
                    },
                );
            }
            Err(error) => content.deny(pid, &error),
        }
    }
    needless(proc, &subjects, tags, &open, &mut content);
    duplicates(proc, &subjects, &open, &mut content);
    content
}

impl Content {
    fn deny(&mut self, pid: u32, error: &MeterError) {
        let reason = match error {
            // Nothing is left to be read.
            MeterError::Gone { .. } => return,
            MeterError::Denied { source, .. } => format!(
                "its memory may not be read ({source}): that takes the right to trace it, as the same user and \
                 with kernel.yama.ptrace_scope at 0, or CAP_SYS_PTRACE"
            ),
            other => other.to_string(),
        };
        self.denied.push(Denied { pid, reason });
    }
}

/// An opened `/proc/PID/mem`.
struct Memory {
    file: File,
    page_size: u64,
}

/// Some pages, of which not all may be there.
struct Pages {
    bytes: Vec<u8>,
    is_there: Vec<bool>,
    page_size: usize,
}

impl Pages {
    fn get(&self, index: usize) -> Option<&[u8]> {
        let is_there = self.is_there.get(index).copied().unwrap_or(false);
        is_there
            .then(|| self.bytes.chunks(self.page_size).nth(index))
            .flatten()
    }
}

impl Memory {
    fn pages(&self, range: &Range<u64>) -> Pages {
        let page_size = self.page_size as usize;
        let mut bytes = vec![0; (range.end - range.start) as usize];
        let count = bytes.len() / page_size;
        let is_there = if self.file.read_exact_at(&mut bytes, range.start).is_ok() {
            vec![true; count]
        } else {
            let pages = range
                .clone()
                .step_by(page_size)
                .zip(bytes.chunks_mut(page_size));
            pages
                .map(|(start, page)| self.file.read_exact_at(page, start).is_ok())
                .collect()
        };
        Pages {
            bytes,
            is_there,
            page_size,
        }
    }
}

fn chunks(ranges: &[Range<u64>], page_size: u64) -> impl Iterator<Item = Range<u64>> {
    let step = CHUNK * page_size;
    ranges.iter().flat_map(move |range| {
        let starts = range.clone().step_by(step as usize);
        starts.map(move |start| start..range.end.min(start + step))
    })
}

/// Compares copied pages with their originals.
fn needless(
    proc: &Proc,
    subjects: &[Subject<'_>],
    tags: &[Tag],
    open: &HashMap<u32, Memory>,
    content: &mut Content,
) {
    let page_size = proc.page_size();
    let mut rows: HashMap<String, NeedlessRow> = HashMap::new();
    for (number, subject) in subjects.iter().enumerate() {
        let copied = subject.copied;
        let all: u64 = copied
            .ranges
            .iter()
            .map(|range| (range.end - range.start) / page_size)
            .sum();
        let Some(memory) = open.get(&copied.pid) else {
            content.unknown += all;
            continue;
        };
        let maps = proc.maps(copied.pid).unwrap_or_default();
        let relatives = originals(subjects, number);
        let mut compared = 0;
        for chunk in chunks(&copied.ranges, page_size) {
            let own = memory.pages(&chunk);
            let mut theirs: HashMap<u32, Pages> = HashMap::new();
            for (index, address) in chunk.clone().step_by(page_size as usize).enumerate() {
                let mut holders = relatives
                    .iter()
                    .filter(|other| holding(&other.ranges, address).is_none());
                // When all have copied it, the process that forked has what is nearest to the original.
                let forked = relatives
                    .first()
                    .filter(|first| first.pid == subject.parent);
                let Some((holder, page)) = holders.next().or(forked).zip(own.get(index)) else {
                    continue;
                };
                let Some(other) = open.get(&holder.pid) else {
                    continue;
                };
                let original = theirs
                    .entry(holder.pid)
                    .or_insert_with(|| other.pages(&chunk));
                if let Some(original) = original.get(index) {
                    let row = rows
                        .entry(label(tags, &maps, copied, subjects, address))
                        .or_default();
                    row.pages += 1;
                    row.needless += u64::from(page == original);
                    compared += 1;
                }
            }
        }
        content.unknown += all - compared;
    }
    content.pages = rows.values().map(|row| row.pages).sum();
    content.needless = rows.values().map(|row| row.needless).sum();
    let rows = rows
        .into_iter()
        .map(|(label, row)| NeedlessRow { label, ..row });
    content.mappings = rows.collect();
    content.mappings.sort_by(|a, b| {
        b.needless
            .cmp(&a.needless)
            .then_with(|| a.label.cmp(&b.label))
    });
    content.mappings.truncate(ROWS);
}

/// Those of the same family who may have the original of a page: the process that forked this one, then
/// the others.
fn originals<'a>(subjects: &'a [Subject<'_>], number: usize) -> Vec<&'a Copied> {
    let subject = &subjects[number];
    let is_related = |other: &&Subject<'_>| {
        other.copied.family == subject.copied.family
            && other.copied.family != 0
            && other.copied.pid != subject.copied.pid
    };
    let mut found: Vec<&Subject<'_>> = subjects.iter().filter(is_related).collect();
    found.sort_by_key(|other| other.copied.pid != subject.parent);
    found.into_iter().map(|other| other.copied).collect()
}

fn label(
    tags: &[Tag],
    maps: &[Mapping],
    copied: &Copied,
    subjects: &[Subject<'_>],
    address: u64,
) -> String {
    let is_of_family = |tag: &Tag| {
        let mut all = subjects.iter().map(|subject| subject.copied);
        all.any(|other| other.pid == tag.pid && other.family == copied.family)
    };
    let tag = tags.iter().find(|tag| {
        (tag.start..tag.start.saturating_add(tag.len)).contains(&address) && is_of_family(tag)
    });
    if let Some(tag) = tag {
        return tag.name.clone();
    }
    match holding(maps, address) {
        Some(mapping) if !mapping.name.is_empty() => mapping.name.clone(),
        _ => "anonymous".to_owned(),
    }
}

/// Hashes of pages, and who had them first.
struct Hashes {
    state: RandomState,
    known: HashMap<u64, Known>,
    /// Of hashes, those are kept whose lowest bits are zero, so many.
    dropped_bits: u32,
    most: usize,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    /// The process that had it first.
    first: usize,
    count: u64,
    /// Whether another one has it, too.
    is_shared: bool,
}

impl Hashes {
    fn new(most: usize) -> Self {
        Self {
            state: RandomState::new(),
            known: HashMap::new(),
            dropped_bits: 0,
            most,
        }
    }

    fn is_kept(&self, hash: u64) -> bool {
        hash & ((1 << self.dropped_bits) - 1) == 0
    }

    fn add(&mut self, process: usize, page: &[u8]) {
        let hash = self.state.hash_one(page);
        if !self.is_kept(hash) {
            return;
        }
        let known = self.known.entry(hash).or_insert(Known {
            first: process,
            count: 0,
            is_shared: false,
        });
        known.count += 1;
        known.is_shared |= known.first != process;
        while self.known.len() > self.most {
            self.dropped_bits += 1;
            let mask = (1 << self.dropped_bits) - 1;
            self.known.retain(|hash, _| hash & mask == 0);
        }
    }

    /// Pages that are the same as one of another process, but for the first of each.
    fn duplicates(&self) -> u64 {
        let shared = self.known.values().filter(|known| known.is_shared);
        shared.map(|known| known.count - 1).sum::<u64>() << self.dropped_bits
    }
}

/// Counts pages that several processes hold alike.
fn duplicates(
    proc: &Proc,
    subjects: &[Subject<'_>],
    open: &HashMap<u32, Memory>,
    content: &mut Content,
) {
    let page_size = proc.page_size();
    let mut hashes = Hashes::new(MOST);
    for (number, subject) in subjects.iter().enumerate() {
        let pid = subject.copied.pid;
        let Some(memory) = open.get(&pid) else {
            continue;
        };
        let is_alone = originals(subjects, number).is_empty();
        let ranges = match proc.own_pages(pid, is_alone) {
            Ok(ranges) => ranges,
            Err(error) => {
                content.deny(pid, &error);
                continue;
            }
        };
        for chunk in chunks(&ranges, page_size) {
            let pages = memory.pages(&chunk);
            for page in (0..pages.is_there.len()).filter_map(|index| pages.get(index)) {
                content.own += 1;
                if page.iter().all(|byte| *byte == 0) {
                    content.zeros += 1;
                } else {
                    hashes.add(number, page);
                }
            }
        }
    }
    content.duplicates = hashes.duplicates();
    content.estimated = hashes.dropped_bits > 0;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duplicates_are_between_processes_and_the_first_does_not_count() {
        let mut hashes = Hashes::new(1000);
        let page = |number: u64| number.to_le_bytes();
        for process in 0..3 {
            for number in 0..10 {
                hashes.add(process, &page(number));
            }
        }
        // Twice in one process, and nowhere else.
        hashes.add(0, &page(77));
        hashes.add(0, &page(77));
        assert_eq!((hashes.duplicates(), hashes.dropped_bits), (20, 0));
    }

    #[test]
    fn more_pages_than_there_is_room_for_are_estimated() {
        let mut hashes = Hashes::new(1 << 10);
        for process in 0..2 {
            for number in 0..1u64 << 16 {
                hashes.add(process, &number.to_le_bytes());
            }
            assert!(hashes.known.len() <= 1 << 10);
        }
        let found = hashes.duplicates() as f64 / f64::from(1 << 16);
        // A sample of at least 512 is off by a third once in ten thousand billion times.
        assert!(
            (0.67..1.33).contains(&found) && hashes.dropped_bits >= 6,
            "{found}"
        );
    }

    #[test]
    fn who_may_not_be_read_is_named_with_the_reason_and_who_is_gone_is_not() {
        let mut content = Content::default();
        let path = std::path::PathBuf::from("/proc/7/mem");
        let source = std::io::Error::from_raw_os_error(rustix::io::Errno::ACCESS.raw_os_error());
        content.deny(
            7,
            &MeterError::Denied {
                pid: 7,
                path,
                source,
            },
        );
        content.deny(8, &MeterError::Gone { pid: 8 });
        assert_eq!(content.denied.len(), 1);
        assert_eq!(content.denied[0].pid, 7);
        assert!(
            content.denied[0].reason.contains("CAP_SYS_PTRACE"),
            "{content:?}"
        );
        // Pages of a process that cannot be opened are unknown, and not needed or needless.
        let copied = [Copied {
            pid: 1 << 23,
            ranges: std::iter::once(0..3 * Proc::default().page_size()).collect(),
            ..Copied::default()
        }];
        let found = look(&Proc::default(), &copied, &HashMap::new(), &[]);
        assert_eq!((found.unknown, found.pages, found.own), (3, 0, 0));
    }
}
