//! Who shares what: counts physical and distinct pages over a tree, from bits that need no
//! privilege (level B).
//!
//! A page of one process at one address is the first of these that fits:
//!
//! | state | when |
//! |---|---|
//! | file, shared | it belongs to a file or to shared memory: keyed by file and offset, one frame |
//! | zero, absent | counts nowhere |
//! | copy | private mapping of shared memory, and the page is this process's own: a frame more |
//! | inherited | the family's oldest process has a page at this address, or it is mapped twice |
//! | new | everything else |
//!
//! Of the inherited pages at one address, those mapped more than once are one frame together, and
//! every page mapped once is a frame of its own. Processes are one family when they have the same
//! bottom of the stack: `exec` draws a new one, `fork` keeps it.
//!
//! **Invariants**
//! - I1: a family's oldest process is added before its children.
//! - I2: a page mapped by a huge-page entry is never taken for mapped once: since Linux 6.15 the
//!   kernel shows the first page's bit for all of them.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::ops::Range;

use crate::error::MeterError;
use crate::ioctl::Region;
use crate::parse::{Mapping, MappingKind, PageState, Stat};
use crate::read::Proc;

/// Pages per chunk of a table; 2 MiB where pages have 4 KiB.
const CHUNK: usize = 512;
/// Bytes of address space read at once: 512 KiB of pagemap where pages have 4 KiB.
const STEP: u64 = 256 << 20;

/// Pages of one file, by chunk.
type Bitmap = HashMap<u64, [u64; CHUNK / 64]>;

const AT_BASELINE: u16 = 1;
const MAPPED_TWICE: u16 = 2;
const ONE_OWN: u16 = 4;

/// Page counts over a whole tree.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PageCounts {
    pub(crate) unique: u64,
    pub(crate) frames: u64,
    pub(crate) shared: u64,
    pub(crate) new: u64,
    /// Pages behind huge-page entries, whose bits say less.
    pub(crate) huge: u64,
    /// Whether the kernel could tell zero pages and huge-page entries.
    pub(crate) special_known: bool,
}

/// The tables while processes are added.
#[derive(Debug)]
pub(crate) struct Account {
    page_size: u64,
    /// Members per family, so that a family of one has nothing inherited.
    families: HashMap<u64, Family>,
    /// Pages of shared memory by (device, inode).
    files: HashMap<((u32, u32), u64), Bitmap>,
    huge: u64,
    special_known: bool,
}

#[derive(Debug, Default)]
struct Family {
    members: usize,
    /// Private pages, by address.
    inherited: Table,
    /// Own pages in private mappings of shared memory, by address.
    copied: Table,
}

#[derive(Debug, Default)]
struct Table {
    chunks: HashMap<u64, Box<[u16; CHUNK]>>,
}

impl Table {
    fn cell(&mut self, page: u64) -> &mut u16 {
        let chunk = self.chunks.entry(page / CHUNK as u64);
        &mut chunk.or_insert_with(|| Box::new([0; CHUNK]))[(page % CHUNK as u64) as usize]
    }

    fn cells(&self) -> impl Iterator<Item = u16> {
        self.chunks
            .values()
            .flat_map(|chunk| chunk.iter().copied())
            .filter(|cell| *cell != 0)
    }
}

impl Account {
    pub(crate) fn new(page_size: u64) -> Self {
        Self {
            page_size,
            families: HashMap::new(),
            files: HashMap::new(),
            huge: 0,
            special_known: true,
        }
    }

    /// Adds one process (I1), or what it has within `part`.
    pub(crate) fn add(
        &mut self,
        proc: &Proc,
        stat: &Stat,
        mappings: &[Mapping],
        part: Range<u64>,
    ) -> Result<(), MeterError> {
        let pagemap = proc.open_pagemap(stat.pid)?;
        // Without a stack address nothing can be said about relatives: a family of its own.
        let family = if stat.start_stack == 0 {
            u64::from(stat.pid)
        } else {
            stat.start_stack
        };
        let first = {
            let family = self.families.entry(family).or_default();
            family.members += 1;
            family.members == 1
        };
        for mapping in mappings.iter().filter(|mapping| mapping.counts.rss > 0) {
            if is_only_a_file(mapping) {
                continue;
            }
            let range = mapping.start.max(part.start)..mapping.end.min(part.end);
            if range.is_empty() {
                continue;
            }
            let present = proc.present(stat.pid, &pagemap, range.clone())?;
            self.special_known &= present.is_some();
            for region in present.unwrap_or_else(|| vec![Region::all(range)]) {
                if region.is_zero_page() {
                    continue;
                }
                let mut from = region.start;
                while from < region.end {
                    let to = region.end.min(from.saturating_add(STEP));
                    let pages = proc.pages(stat.pid, &pagemap, from..to)?;
                    self.add_pages(family, first, mapping, from, &pages, region.is_huge());
                    from = to;
                }
            }
        }
        Ok(())
    }

    fn add_pages(
        &mut self,
        family: u64,
        first: bool,
        mapping: &Mapping,
        start: u64,
        pages: &[PageState],
        huge: bool,
    ) {
        let shared_memory = mapping.kind() == MappingKind::SharedMemory;
        let family = self.families.entry(family).or_default();
        let mut file = shared_memory.then(|| {
            self.files
                .entry((mapping.device, mapping.inode))
                .or_default()
        });
        for (index, state) in (0u64..).zip(pages).filter(|(_, state)| state.is_present()) {
            let address = start + index * self.page_size;
            if let Some(file) = &mut file {
                let offset = (mapping.offset + (address - mapping.start)) / self.page_size;
                let bit = (offset % CHUNK as u64) as usize;
                // A private copy proves the page it was copied from.
                file.entry(offset / CHUNK as u64).or_default()[bit / 64] |= 1 << (bit % 64);
            }
            if mapping.is_shared() || state.is_file_or_shared() {
                continue;
            }
            self.huge += u64::from(huge);
            let table = if shared_memory {
                &mut family.copied
            } else {
                &mut family.inherited
            };
            let cell = table.cell(address / self.page_size);
            if first {
                *cell |= AT_BASELINE;
            }
            if state.is_mapped_once() && !huge {
                *cell = cell.saturating_add(ONE_OWN);
            } else {
                *cell |= MAPPED_TWICE;
            }
        }
    }

    /// The sums.
    pub(crate) fn finish(&self) -> PageCounts {
        let mut counts = PageCounts {
            huge: self.huge,
            special_known: self.special_known,
            ..PageCounts::default()
        };
        for family in self.families.values() {
            for cell in family.inherited.cells() {
                let (own, together) = split(cell);
                if family.members > 1 && cell & (AT_BASELINE | MAPPED_TWICE) != 0 {
                    counts.unique += 1;
                    counts.frames += own + together;
                } else {
                    counts.new += own + together;
                }
            }
            for cell in family.copied.cells() {
                let (own, together) = split(cell);
                counts.frames += own + together;
            }
        }
        let bits = self.files.values().flat_map(HashMap::values).flatten();
        counts.shared = bits.map(|word| u64::from(word.count_ones())).sum();
        counts
    }
}

/// Own frames, and the frame that the others have together (0 or 1).
fn split(cell: u16) -> (u64, u64) {
    (
        u64::from(cell / ONE_OWN),
        u64::from(cell & MAPPED_TWICE != 0),
    )
}

/// Files are one copy anyway, except the pages that a private mapping has made its own.
fn is_only_a_file(mapping: &Mapping) -> bool {
    match mapping.kind() {
        MappingKind::Special => true,
        MappingKind::File => mapping.is_shared() || mapping.counts.anonymous == 0,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::{pagemap, smaps};

    const PRESENT: u64 = 1 << 63;
    const OWN: u64 = PRESENT | 1 << 56;
    const OF_FILE: u64 = PRESENT | 1 << 61;

    fn pages(words: &[u64]) -> Vec<PageState> {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        pagemap(&bytes[..]).unwrap()
    }

    fn mapping(number: usize) -> Mapping {
        let text = include_str!("../tests/captured/smaps");
        smaps(text.as_bytes()).unwrap().remove(number)
    }

    fn add(account: &mut Account, family: u64, mapping: &Mapping, words: &[u64]) {
        let members = &mut account.families.entry(family).or_default().members;
        *members += 1;
        let first = *members == 1;
        account.add_pages(family, first, mapping, mapping.start, &pages(words), false);
    }

    #[test]
    fn a_written_page_is_a_frame_more_and_the_rest_is_one() {
        let (mut account, anonymous) = (Account::new(4096), mapping(4));
        add(&mut account, 7, &anonymous, &[PRESENT, PRESENT, OWN, 0]);
        add(&mut account, 7, &anonymous, &[PRESENT, PRESENT, OWN, OWN]);
        let counts = account.finish();
        // Two shared, one copied, and one that only the child has, at a place the parent has not.
        assert_eq!((counts.unique, counts.frames, counts.new), (3, 4, 1));
    }

    #[test]
    fn processes_of_different_families_inherit_nothing_from_each_other() {
        let (mut account, anonymous) = (Account::new(4096), mapping(4));
        add(&mut account, 7, &anonymous, &[OWN, OWN]);
        add(&mut account, 8, &anonymous, &[OWN, OWN]);
        let counts = account.finish();
        assert_eq!((counts.unique, counts.frames, counts.new), (0, 0, 4));
    }

    #[test]
    fn shared_memory_counts_once_and_private_copies_of_it_count_each() {
        let (mut account, private, shared) = (Account::new(4096), mapping(2), mapping(3));
        add(&mut account, 7, &shared, &[OF_FILE, OF_FILE, 0]);
        add(&mut account, 8, &shared, &[OF_FILE, 0, 0]);
        add(&mut account, 9, &private, &[OWN, OF_FILE, OWN]);
        let counts = account.finish();
        assert_eq!((counts.shared, counts.frames, counts.unique), (3, 2, 0));
    }

    #[test]
    fn pages_of_huge_entries_never_count_as_own() {
        let (mut account, anonymous) = (Account::new(4096), mapping(4));
        for _ in 0..2 {
            account.families.entry(7).or_default().members += 1;
            let (ordinary, huge) = (pages(&[OWN]), pages(&[OWN, OWN]));
            account.add_pages(7, true, &anonymous, anonymous.start, &ordinary, false);
            account.add_pages(7, true, &anonymous, anonymous.start + 8192, &huge, true);
        }
        let counts = account.finish();
        assert_eq!((counts.unique, counts.frames, counts.huge), (3, 4, 4));
    }
}
