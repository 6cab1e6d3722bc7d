//! A process's memory itself, for those who compare pages by what is in them.
#![forbid(unsafe_code)]

use std::fs::File;
use std::ops::Range;

use crate::error::MeterError;
use crate::ioctl::Region;
use crate::parse::Mapping;
use crate::read::Proc;

/// Bytes of address space whose page table is read at once.
const AT_ONCE: u64 = 256 << 20;

impl Proc {
    /// Opens a process's memory for reading at its own addresses. The kernel asks for the right to trace it
    /// (`ptrace(2)`), which is more than the right to read its page table.
    ///
    /// # Errors
    /// The process is gone, or may not be traced.
    pub fn memory(&self, pid: u32) -> Result<File, MeterError> {
        self.open(pid, "mem")
    }

    /// Where pages are that belong to one process alone: private, no file's, and mapped once. Huge pages are
    /// left out unless `with_huge`, because of a process with relatives nobody can tell whether they are
    /// shared.
    ///
    /// # Errors
    /// The process is gone or belongs to somebody else.
    pub fn own_pages(&self, pid: u32, with_huge: bool) -> Result<Vec<Range<u64>>, MeterError> {
        let page_size = self.page_size();
        let pagemap = self.open_pagemap(pid)?;
        let mut found: Vec<Range<u64>> = Vec::new();
        let mut add = |range: Range<u64>| match found.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => found.push(range),
        };
        // The last mapping, vsyscall, is the kernel's, and no page table says anything about it.
        let is_private = |mapping: &&Mapping| !mapping.is_shared() && mapping.start < 1 << 63;
        for mapping in self.maps(pid)?.iter().filter(is_private) {
            let mut start = mapping.start;
            while start < mapping.end {
                let part = start..mapping.end.min(start.saturating_add(AT_ONCE));
                start = part.end;
                let regions = self.present(pid, &pagemap, part.clone())?;
                for region in regions.unwrap_or_else(|| vec![Region::all(part)]) {
                    if region.is_zero_page() || (region.is_huge() && !with_huge) {
                        continue;
                    }
                    let states = self.pages(pid, &pagemap, region.start..region.end)?;
                    for (address, state) in (region.start..).step_by(page_size as usize).zip(states)
                    {
                        let is_alone = state.is_mapped_once() || region.is_huge();
                        if state.is_present() && !state.is_file_or_shared() && is_alone {
                            add(address..address + page_size);
                        }
                    }
                }
            }
        }
        Ok(found)
    }
}
