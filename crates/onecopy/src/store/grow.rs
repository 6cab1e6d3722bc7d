//! How a store's file grows and shrinks: pages for tables and objects, committed before they are touched (file.rs I2),
//! and given back.
#![forbid(unsafe_code)]

use std::io;

use super::check;
use super::file::StoreFile;
use super::layout::Counter;
use crate::error::{AccessError, AllocateError};
use crate::primitive::{AtomicU64, Ordering};
use crate::sys::mapping::{HUGE_PAGE, PAGE};
use crate::sys::memory;

/// Whether an object of 2 MiB and more is kept in huge pages.
///
/// Huge pages make page tables 512 times smaller and the first touch in a worker about eight times
/// faster. They are always best effort: an object that does not get them works all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Huge {
    /// Where it pays: objects of at least 2 MiB.
    #[default]
    Auto,
    /// The same for now; kept apart so that the threshold of `Auto` may change.
    Always,
    /// Small pages only.
    Never,
}

/// Tables grow in steps of this many bytes.
const TABLE_STEP: u64 = 64 << 10;
/// After how many bytes of new objects the limits of the machine and the cgroup are looked at again.
const ASK_BYTES: u64 = 1 << 20;
/// Bytes committed by this process since then.
static UNASKED: AtomicU64 = AtomicU64::new(0);

impl StoreFile {
    /// Commits the pages of a table up to `needed` bytes from its start. Concurrent calls are harmless.
    pub(crate) fn commit_table(
        &self,
        table: u64,
        counter: Counter,
        needed: u64,
    ) -> Result<(), AccessError> {
        self.commit_table_at(table, counter.offset(), needed, TABLE_STEP)
    }

    /// The same of the handle table of a process, which doubles until it grows by steps: there are thousands of them.
    pub(crate) fn commit_handles(
        &self,
        table: u64,
        watermark: u64,
        needed: u64,
    ) -> Result<(), AccessError> {
        let step = needed.next_power_of_two().clamp(PAGE, TABLE_STEP);
        self.commit_table_at(table, watermark, needed, step)
    }

    /// The same, in steps of `step` bytes, where the committed length stands at `watermark`.
    fn commit_table_at(
        &self,
        table: u64,
        watermark: u64,
        needed: u64,
        step: u64,
    ) -> Result<(), AccessError> {
        let value = |word| check::value_or_zero(watermark, Counter::BITS, word);
        let committed = value(self.mem.get(watermark))
            .ok_or_else(|| self.corrupt(watermark, "a committed length that fails its check"))?;
        if committed >= needed {
            return Ok(());
        }
        let end = needed.next_multiple_of(step);
        let end = end.min(self.geometry.meta_len.saturating_sub(table));
        memory::commit(
            self.fd(),
            table.saturating_add(committed),
            end.saturating_sub(committed),
        )
        .map_err(|source| AccessError::Kernel {
            store: self.uuid,
            step: "fallocate",
            source,
        })?;
        // Two processes may do this at once (thread slots); the larger value stays.
        self.mem.raise(watermark, |old| {
            let is_less = value(old).is_some_and(|old| old < end);
            is_less.then_some(check::with(watermark, Counter::BITS, end))
        });
        Ok(())
    }

    /// Commits the pages of an object: `len` bytes from span `first`, in huge pages where possible.
    pub(crate) fn commit_data(
        &self,
        first: u64,
        len: u64,
        huge: Huge,
    ) -> Result<(), AllocateError> {
        if len == 0 {
            return Ok(());
        }
        // Asking costs 20 µs, so small objects are asked for together.
        // Relaxed: a sum, nothing is ordered by it.
        let unasked = UNASKED
            .fetch_add(len, Ordering::Relaxed)
            .saturating_add(len);
        if unasked >= ASK_BYTES {
            UNASKED.store(0, Ordering::Relaxed);
            if let Some((available, limit)) = memory::available()
                && available < len
            {
                return Err(AllocateError::NoMemory {
                    requested: len,
                    available,
                    limit,
                });
            }
        }
        let from = self.geometry.span_data(first);
        let committed = len.next_multiple_of(PAGE);
        if huge != Huge::Never && len >= HUGE_PAGE {
            self.collapse_holes(from, committed);
        }
        memory::commit(self.fd(), from, committed).map_err(|source| {
            if source.kind() == io::ErrorKind::FileTooLarge {
                AllocateError::NoMemory {
                    requested: len,
                    available: memory::file_size_limit().saturating_sub(from),
                    limit: memory::FILE_SIZE_LIMIT,
                }
            } else if memory::is_out_of_memory(&source) {
                let (available, limit) = memory::available().unwrap_or((0, "the kernel"));
                AllocateError::NoMemory {
                    requested: len,
                    available,
                    limit,
                }
            } else {
                AllocateError::Kernel {
                    requested: len,
                    source,
                }
            }
        })
    }

    /// Makes huge pages out of holes: cheaper than committing small pages and collapsing them later,
    /// since nothing is copied (measured, 2-vCPU Linux 6.18 VM, 1 GiB: 0.45 s against 0.4 s for small
    /// pages, but then a memcpy into them takes 0.1–0.4 s instead of 0.7–2 s). A block with no page at
    /// all is refused by the kernel, so one page of each is committed first.
    fn collapse_holes(&self, from: u64, len: u64) {
        const STEP: u64 = 64 << 20;
        let end = from.saturating_add(len & !(HUGE_PAGE - 1));
        let mut at = from;
        while at < end {
            let stop = at.saturating_add(STEP).min(end);
            let mut block = at;
            while block < stop {
                if memory::commit(self.fd(), block, PAGE).is_err() {
                    return;
                }
                block = block.saturating_add(HUGE_PAGE);
            }
            if !self.mapping.collapse(at, stop) {
                return;
            }
            at = stop;
        }
    }

    /// Gives the pages of an object back to the kernel.
    pub(crate) fn punch_data(&self, first: u64, len: u64) -> io::Result<()> {
        let from = self.geometry.span_data(first);
        memory::punch(self.fd(), from, len.next_multiple_of(PAGE))
    }
}
