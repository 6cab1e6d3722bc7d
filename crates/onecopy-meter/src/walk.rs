//! Reads the page tables of a fork family side by side, and hands every address to the account.
//!
//! ```text
//! mappings of all members ─▶ spans within which no member's mapping changes ─▶ windows of pages
//!                                     └▶ row                                      └▶ Account::page
//! ```
//! Reading by address and not by process keeps the moments at which two processes are looked at close
//! together, and the memory that this takes small.
//!
//! **Invariant** I1: bit 56 of a page behind a huge-page entry is not believed. Since Linux 6.15 the
//! kernel shows the first page's bit for all of them. Instead, the page counts as mapped once if smaps
//! finds nothing in the whole mapping that is mapped twice, and as mapped twice otherwise.
#![forbid(unsafe_code)]

use std::fs::File;
use std::ops::Range;

use crate::account::{Account, Row, SharedPages};
use crate::error::MeterError;
use crate::ioctl::Region;
use crate::page_set::PageSet;
use crate::page_sums::{PageSums, ProcessPages};
use crate::parse::{Mapping, MappingKind, PageState, Stat};
use crate::read::Proc;
use crate::report::Tag;
use crate::span::holding;

/// Pages read at once of each member: 32 KiB of its pagemap.
const WINDOW: u64 = 4096;
/// Mappings with fewer pages get no strip.
const STRIP_FROM: u64 = 256;

/// A process whose pages are to be counted.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) stat: Stat,
    pub(crate) mappings: Vec<Mapping>,
    pub(crate) pagemap: File,
    /// Whether it went away while its pages were read.
    pub(crate) lost: bool,
}

impl Read {
    /// The mapping that covers an address, if its pages are counted.
    fn covering(&self, address: u64) -> Option<&Mapping> {
        holding(&self.mappings, address).filter(|mapping| is_counted(mapping))
    }
}

/// Files are one copy anyway, except the pages that a private mapping has made its own.
fn is_counted(mapping: &Mapping) -> bool {
    let present = mapping.counts.rss > 0;
    match mapping.kind() {
        MappingKind::Special => false,
        MappingKind::File => present && !mapping.is_shared() && mapping.counts.anonymous > 0,
        _ => present,
    }
}

/// One family's pages.
pub(crate) struct Walk<'a> {
    proc: &'a Proc,
    members: &'a mut [Read],
    tags: &'a [Tag],
    account: &'a mut Account,
    shared: &'a mut SharedPages,
}

/// A member's part in a span.
struct Column {
    member: usize,
    regions: Vec<Region>,
    /// Regions before this one lie before the window.
    next: usize,
    /// What huge-page entries are taken for (I1).
    huge_mapped_once: bool,
    huge_unsure: bool,
    states: Vec<PageState>,
}

/// A mapping of shared memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shared {
    device: (u32, u32),
    inode: u64,
    /// The file's page at the span's start.
    page: u64,
    /// Whether writes stay with the process (`MAP_PRIVATE`).
    is_private: bool,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(
        proc: &'a Proc,
        members: &'a mut [Read],
        tags: &'a [Tag],
        account: &'a mut Account,
        shared: &'a mut SharedPages,
    ) -> Self {
        Self {
            proc,
            members,
            tags,
            account,
            shared,
        }
    }

    /// Counts everything within `part`.
    pub(crate) fn run(&mut self, part: &Range<u64>) -> Result<(), MeterError> {
        for span in self.spans(part) {
            let covering: Vec<usize> = (0..self.members.len())
                .filter(|member| self.members[*member].covering(span.start).is_some())
                .collect();
            let Some(first) = covering.first() else {
                continue;
            };
            let Some(mapping) = self.members[*first].covering(span.start).cloned() else {
                continue;
            };
            let mut columns = Vec::with_capacity(covering.len());
            for member in covering {
                columns.extend(self.column(member, &span)?);
            }
            if columns.iter().any(|column| !column.regions.is_empty()) {
                let row = self.row(&mapping, &span);
                self.span(&span, row, columns)?;
            }
        }
        Ok(())
    }

    /// Ranges within which no member's mapping and no tag begins or ends.
    fn spans(&self, part: &Range<u64>) -> Vec<Range<u64>> {
        let page = self.proc.page_size();
        let mut edges: Vec<u64> = Vec::new();
        for mapping in self.members.iter().flat_map(|member| &member.mappings) {
            if is_counted(mapping) {
                let range = mapping.start.max(part.start)..mapping.end.min(part.end);
                if !range.is_empty() {
                    edges.extend([range.start, range.end]);
                }
            }
        }
        for tag in self.tags {
            let end = tag
                .start
                .saturating_add(tag.len)
                .div_ceil(page)
                .saturating_mul(page);
            edges.extend([tag.start / page * page, end]);
        }
        edges.sort_unstable();
        edges.dedup();
        edges.windows(2).map(|pair| pair[0]..pair[1]).collect()
    }

    fn column(&mut self, member: usize, span: &Range<u64>) -> Result<Option<Column>, MeterError> {
        let read = &mut self.members[member];
        if read.lost {
            return Ok(None);
        }
        let Some(counts) = read.covering(span.start).map(|mapping| mapping.counts) else {
            return Ok(None);
        };
        let found = self
            .proc
            .present(read.stat.pid, &read.pagemap, span.clone());
        let mut regions = match found {
            Ok(Some(regions)) => regions,
            Ok(None) => {
                self.account.counts.special_known = false;
                vec![Region::all(span.clone())]
            }
            Err(MeterError::Gone { .. }) => {
                read.lost = true;
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        regions.retain(|region| !region.is_zero_page());
        Ok(Some(Column {
            member,
            regions,
            next: 0,
            huge_mapped_once: counts.shared() == 0,
            huge_unsure: counts.shared() > 0 && counts.uss() > 0,
            states: Vec::new(),
        }))
    }

    /// The row of a span: the mapping's, or that of the tag that covers it.
    fn row(&mut self, mapping: &Mapping, span: &Range<u64>) -> usize {
        let page = self.proc.page_size();
        let covers = |tag: &&Tag| {
            tag.start / page * page <= span.start
                && span.end <= tag.start.saturating_add(tag.len).div_ceil(page) * page
        };
        // The last one counts: what had a name before may be gone, and its memory another's.
        let tag = self.tags.iter().rfind(covers);
        let (label, start, end) = match tag {
            Some(tag) => (
                tag.name.clone(),
                tag.start / page,
                tag.start.saturating_add(tag.len).div_ceil(page),
            ),
            None => (label(mapping), mapping.start / page, mapping.end / page),
        };
        let known =
            self.account.rows.iter().rposition(|row| {
                row.start == start && row.len == end - start && row.label == label
            });
        if let Some(row) = known {
            return row;
        }
        let members = self.members.len();
        let len = end - start;
        self.account.rows.push(Row {
            label,
            kind: mapping.kind(),
            tagged: tag.is_some(),
            start,
            len,
            sums: PageSums::default(),
            shared: 0,
            members: vec![ProcessPages::default(); members],
            strips: vec![Vec::new(); if len < STRIP_FROM { 0 } else { members }],
        });
        self.account.rows.len() - 1
    }

    fn span(
        &mut self,
        span: &Range<u64>,
        row: usize,
        columns: Vec<Column>,
    ) -> Result<(), MeterError> {
        let page = self.proc.page_size();
        // Pages of shared memory that somebody has here, counted from the span's start.
        let mut union = PageSet::default();
        let (mut kinds, mut private) = (Vec::new(), Vec::new());
        for column in columns {
            match self.shared_at(column.member, span.start) {
                Some(file) if !file.is_private => {
                    self.shared_column(span, row, &column, file, &mut union);
                }
                file => {
                    kinds.push(file);
                    private.push(column);
                }
            }
        }
        let mut start = span.start;
        loop {
            // Jumps over what nobody has.
            let next = private.iter().filter_map(|column| {
                let region = column.regions[column.next..]
                    .iter()
                    .find(|region| region.end > start)?;
                Some(region.start.max(start))
            });
            let Some(from) = next.min().filter(|from| *from < span.end) else {
                break;
            };
            let window = from..span.end.min(from.saturating_add(WINDOW * page));
            for column in &mut private {
                self.fill(column, &window)?;
            }
            self.count(span, row, &window, &private, &kinds, &mut union);
            start = window.end;
        }
        self.account.rows[row].shared += union.len();
        Ok(())
    }

    fn shared_at(&self, member: usize, address: u64) -> Option<Shared> {
        let mapping = self.members[member].covering(address)?;
        (mapping.kind() == MappingKind::SharedMemory).then(|| Shared {
            device: mapping.device,
            inode: mapping.inode,
            page: (mapping.offset + (address - mapping.start)) / self.proc.page_size(),
            is_private: !mapping.is_shared(),
        })
    }

    /// Pages of a shared mapping are one frame each, whoever has them; no bit needs to be looked at.
    fn shared_column(
        &mut self,
        span: &Range<u64>,
        row: usize,
        column: &Column,
        file: Shared,
        union: &mut PageSet,
    ) {
        let page = self.proc.page_size();
        for region in &column.regions {
            let pages = (region.start - span.start) / page..(region.end - span.start) / page;
            self.account.rows[row].members[column.member].shared += pages.end - pages.start;
            self.shared
                .file(file.device, file.inode)
                .insert_all(file.page + pages.start..file.page + pages.end);
            union.insert_all(pages);
        }
    }

    /// Reads what a member has within the window, and leaves out what is no memory.
    fn fill(&mut self, column: &mut Column, window: &Range<u64>) -> Result<(), MeterError> {
        let page = self.proc.page_size();
        let count = ((window.end - window.start) / page) as usize;
        column.states.clear();
        column.states.resize(count, PageState::ABSENT);
        let read = &mut self.members[column.member];
        while let Some(region) = column.regions.get(column.next) {
            if region.end <= window.start {
                column.next += 1;
                continue;
            }
            break;
        }
        let within: Vec<Region> = column.regions[column.next..]
            .iter()
            .take_while(|region| region.start < window.end)
            .copied()
            .collect();
        let (Some(first), Some(last)) = (within.first(), within.last()) else {
            return Ok(());
        };
        let range = first.start.max(window.start)..last.end.min(window.end);
        let pages = match self.proc.pages(read.stat.pid, &read.pagemap, range.clone()) {
            Ok(pages) => pages,
            Err(MeterError::Gone { .. }) => Vec::new(),
            Err(error) => return Err(error),
        };
        if (pages.len() as u64) < (range.end - range.start) / page {
            // The kernel gives an empty page table once the process has ended.
            read.lost = true;
            return Ok(());
        }
        for region in within {
            let part = region.start.max(window.start)..region.end.min(window.end);
            for address in (part.start..part.end).step_by(page as usize) {
                let state = pages[((address - range.start) / page) as usize];
                let state = if region.is_huge() {
                    self.account.counts.huge_unsure += u64::from(column.huge_unsure);
                    state.with_mapped_once(column.huge_mapped_once)
                } else {
                    state
                };
                column.states[((address - window.start) / page) as usize] = state;
            }
        }
        Ok(())
    }

    fn count(
        &mut self,
        span: &Range<u64>,
        row: usize,
        window: &Range<u64>,
        columns: &[Column],
        kinds: &[Option<Shared>],
        union: &mut PageSet,
    ) {
        let page = self.proc.page_size();
        let (mut private, mut copies) = (Vec::new(), Vec::new());
        for index in 0..((window.end - window.start) / page) as usize {
            private.clear();
            copies.clear();
            let number = window.start / page + index as u64;
            for (column, kind) in columns.iter().zip(kinds) {
                let state = column.states[index];
                if !state.is_present() {
                    continue;
                }
                let of_file = state.is_file_or_shared();
                if let Some(file) = kind {
                    // A private copy proves the page that it was copied from.
                    let offset = number - span.start / page;
                    let pages = self.shared.file(file.device, file.inode);
                    pages.insert(file.page + offset);
                    union.insert(offset);
                    if of_file {
                        self.account.rows[row].members[column.member].shared += 1;
                    } else {
                        copies.push((column.member, state));
                    }
                } else if !of_file {
                    private.push((column.member, state));
                }
            }
            if !private.is_empty() {
                self.account.page(row, number, &private);
            }
            if !copies.is_empty() {
                self.account.private_copy(row, number, &copies);
            }
        }
    }
}

/// What a mapping is called: as its program calls it, as the kernel does, or what kind it is.
fn label(mapping: &Mapping) -> String {
    if let Some(given) = mapping.given_name().filter(|name| !name.is_empty()) {
        return given.to_owned();
    }
    let name = mapping.name.as_str();
    match mapping.kind() {
        MappingKind::Anonymous if name.is_empty() => "anonymous".to_owned(),
        _ if name.is_empty() => "unnamed".to_owned(),
        _ => name.strip_suffix(" (deleted)").unwrap_or(name).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::smaps;

    #[test]
    fn memory_is_called_what_its_program_calls_it() {
        let captured = include_str!("../tests/captured/smaps");
        let labels = |text: &str| -> Vec<String> {
            let mappings = smaps(text.as_bytes()).unwrap();
            mappings.iter().map(label).collect()
        };
        let before = labels(captured);
        // The one without a name, and the file that a store is.
        let place = before
            .iter()
            .position(|label| label == "anonymous")
            .unwrap();
        let named = captured.replace("00:00 0 \n", "00:00 0    [anon:model weights]\n");
        let after = labels(&named);
        assert_eq!(after[place], "model weights");
        assert!(after.iter().zip(&before).filter(|(a, b)| a != b).count() == 1);
    }
}
