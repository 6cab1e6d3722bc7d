//! A process's pages: its page table, and the memory files that it has open.
#![forbid(unsafe_code)]

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::ops::Range;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};

use rustix::io::Errno;

use super::{Proc, failure, is, parse_failure};
use crate::error::MeterError;
use crate::ioctl;
use crate::parse::{self, PageState};
use crate::report::Level;
use crate::testing;

/// A memory file as `stat` sees it through a process's file descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MemoryFile {
    /// Its length.
    pub(crate) len_bytes: u64,
    /// Memory it occupies.
    pub(crate) allocated_bytes: u64,
}

impl Proc {
    /// The evidence that this kernel shows to this process. User ids say nothing about it: root of
    /// a user namespace sees no frame numbers, and a capability may be had without being root.
    #[must_use]
    pub fn level(&self) -> Level {
        if self.force_bits {
            return Level::B;
        }
        let own = std::process::id();
        let here = std::ptr::from_ref(&own).addr() as u64;
        let page = here / self.page_size * self.page_size;
        let state = self
            .open_pagemap(own)
            .and_then(|pagemap| self.pages(own, &pagemap, page..page + self.page_size));
        match state.as_deref() {
            Ok([state]) if state.frame() != 0 => Level::A,
            _ => Level::B,
        }
    }

    /// Whether the kernel tells zero pages and huge-page entries (`PAGEMAP_SCAN`, Linux 6.7).
    #[must_use]
    pub fn can_scan(&self) -> bool {
        let own = std::process::id();
        let here = std::ptr::from_ref(&own).addr() as u64 / self.page_size * self.page_size;
        let found = self
            .open_pagemap(own)
            .and_then(|pagemap| self.present(own, &pagemap, here..here + self.page_size));
        matches!(found, Ok(Some(_)))
    }

    /// Opens the page table of a process for [`Proc::pages`].
    pub(crate) fn open_pagemap(&self, pid: u32) -> Result<File, MeterError> {
        self.open(pid, "pagemap")
    }

    /// Where in `range` pages are present; `None` where the kernel cannot tell (before Linux 6.7).
    pub(crate) fn present(
        &self,
        pid: u32,
        pagemap: &File,
        range: Range<u64>,
    ) -> Result<Option<Vec<ioctl::Region>>, MeterError> {
        testing::step(pid);
        match ioctl::present(pagemap, range) {
            Ok(regions) => Ok(Some(regions)),
            Err(error) if is(&error, &[Errno::NOTTY, Errno::INVAL]) => Ok(None),
            Err(error) => Err(failure(pid, &self.path(pid, "pagemap"), error)),
        }
    }

    /// The pages of `range`, page by page.
    pub(crate) fn pages(
        &self,
        pid: u32,
        pagemap: &File,
        range: Range<u64>,
    ) -> Result<Vec<PageState>, MeterError> {
        let start = range.start / self.page_size * 8;
        let count = range.end.div_ceil(self.page_size) * 8 - start;
        let source = Section {
            pid,
            file: pagemap,
            offset: start,
        }
        .take(count);
        parse::pagemap(source)
            .map_err(|error| parse_failure(pid, &self.path(pid, "pagemap"), error))
    }

    /// The memory file with this device and inode, through any of the process's descriptors.
    pub(crate) fn memory_file(
        &self,
        pid: u32,
        device: (u32, u32),
        inode: u64,
    ) -> Option<MemoryFile> {
        for entry in fs::read_dir(self.path(pid, "fd")).ok()?.flatten() {
            let Ok(target) = fs::read_link(entry.path()) else {
                continue;
            };
            if !target
                .as_os_str()
                .as_encoded_bytes()
                .starts_with(b"/memfd:onecopy-")
            {
                continue;
            }
            let Ok(data) = fs::metadata(entry.path()) else {
                continue;
            };
            let found = (rustix::fs::major(data.dev()), rustix::fs::minor(data.dev()));
            if found == device && data.ino() == inode {
                // The unit of st_blocks is 512 bytes whatever the block size (stat(3type)).
                let allocated_bytes = data.blocks().saturating_mul(512);
                return Some(MemoryFile {
                    len_bytes: data.len(),
                    allocated_bytes,
                });
            }
        }
        None
    }
}

/// Reads a file from an offset on without moving anybody's position.
struct Section<'a> {
    pid: u32,
    file: &'a File,
    offset: u64,
}

impl io::Read for Section<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        testing::step(self.pid);
        let count = self.file.read_at(buffer, self.offset)?;
        self.offset += count as u64;
        Ok(count)
    }
}

/// Whether the address space whose page table is open still has all that its program left in it: the kernel
/// gives no entry of one that nobody uses any more.
pub(crate) fn has_memory(pid: u32, pagemap: &File) -> bool {
    testing::step(pid);
    let entry = pagemap.read_at(&mut [0; 8], 0);
    entry.is_ok_and(|count| count == 8)
}
