//! Who else has the pages of a file, or of shared memory, that one process maps at some addresses.
//!
//! Processes that were not forked from each other map the same memory at other addresses, so the file and
//! the place in it are what is compared. A mapping alone proves nothing: a forked child has all of its
//! parent's. What counts is a page in the process's own page table, which it has once it has read there.
#![forbid(unsafe_code)]

use std::ops::Range;

use crate::error::MeterError;
use crate::parse::Mapping;
use crate::read::Proc;

/// A part of a file.
struct Part {
    device: (u32, u32),
    inode: u64,
    bytes: Range<u64>,
}

impl Proc {
    /// Those of `others` that have a page of what `owner` maps from files within `range`.
    ///
    /// # Errors
    /// The owner is gone or may not be looked into. Others that cannot be read are left out.
    pub fn sharers(
        &self,
        owner: u32,
        range: Range<u64>,
        others: &[u32],
    ) -> Result<Vec<u32>, MeterError> {
        let parts: Vec<Part> = self
            .maps(owner)?
            .iter()
            .filter(|mapping| mapping.inode != 0)
            .filter_map(|mapping| part_of_file(mapping, &range))
            .collect();
        if parts.is_empty() {
            return Ok(Vec::new());
        }
        let has = |pid: &&u32| self.has_any(**pid, &parts).unwrap_or(false);
        Ok(others.iter().filter(has).copied().collect())
    }

    fn has_any(&self, pid: u32, parts: &[Part]) -> Result<bool, MeterError> {
        let pagemap = self.open_pagemap(pid)?;
        for mapping in self.maps(pid)? {
            for part in parts {
                if (mapping.device, mapping.inode) != (part.device, part.inode) {
                    continue;
                }
                let Some(range) = addresses(&mapping, &part.bytes) else {
                    continue;
                };
                let found = if let Some(regions) = self.present(pid, &pagemap, range.clone())? {
                    !regions.is_empty()
                } else {
                    let mut pages = self.pages(pid, &pagemap, range)?.into_iter();
                    pages.any(crate::parse::PageState::is_present)
                };
                if found {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}

/// What of a file lies behind the part of a mapping that is in `range`.
fn part_of_file(mapping: &Mapping, range: &Range<u64>) -> Option<Part> {
    let inside = mapping.start.max(range.start)..mapping.end.min(range.end);
    (inside.start < inside.end).then(|| {
        let place = |address| mapping.offset.saturating_add(address - mapping.start);
        Part {
            device: mapping.device,
            inode: mapping.inode,
            bytes: place(inside.start)..place(inside.end),
        }
    })
}

/// Where a mapping has a part of its file.
fn addresses(mapping: &Mapping, bytes: &Range<u64>) -> Option<Range<u64>> {
    let end = mapping.offset.saturating_add(mapping.byte_len());
    let inside = mapping.offset.max(bytes.start)..end.min(bytes.end);
    (inside.start < inside.end).then(|| {
        let place = |offset: u64| mapping.start + (offset - mapping.offset);
        place(inside.start)..place(inside.end)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(range: Range<u64>, offset: u64) -> Mapping {
        let text = format!(
            "{:x}-{:x} r--s {offset:08x} 00:01 77 /memfd:x (deleted)\n",
            range.start, range.end
        );
        crate::parse::maps(text.as_bytes()).unwrap().remove(0)
    }

    #[test]
    fn a_part_is_found_again_at_other_addresses() {
        let here = mapping(0x10_000..0x30_000, 0x4000);
        let there = mapping(0x7_0000..0x8_0000, 0x1_0000);
        let part = part_of_file(&here, &(0x1f_000..0x21_000)).unwrap();
        assert_eq!(part.bytes, 0x13_000..0x15_000);
        assert_eq!(addresses(&there, &part.bytes), Some(0x73_000..0x75_000));
        assert_eq!(addresses(&there, &(0..0x1_0000)), None);
        assert!(part_of_file(&here, &(0x30_000..0x31_000)).is_none());
    }
}
