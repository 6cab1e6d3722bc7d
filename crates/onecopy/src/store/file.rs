//! One memory file as this process sees it: descriptor, mappings, growth.
//!
//! **Invariants.** `I1`: the header was checked, so `geometry` fits the file. `I2`: a table word is
//! touched only below what its `Counter::…Table` says is committed; a span's bytes only after
//! [`StoreFile::commit_data`], but for readers of containers, which may follow an offset of a moment ago. So no access
//! can raise SIGBUS for lack of memory. `I3`: the file never shrinks (it is sealed) and is as long as the mapping from
//! the start, or as its maker's limit of file sizes, but at least `data_start` bytes: no access to the metadata can raise
//! SIGBUS for being past the end either, nor one to the data below [`StoreFile::data_len`], whatever a damaged word says.
#![allow(unsafe_code, reason = "the mapping is turned into metadata words here")]

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use super::Uuid;
use super::check;
use super::layout::{Counter, Geometry, Header, MAX_CAPACITY, MIN_CAPACITY};
use super::mem::Mem;
use crate::error::{AccessError, AllocateError, AttachError, Corrupt, CreateError};
use crate::primitive::{AtomicU64, Ordering};
use crate::sys::mapping::{HUGE_PAGE, Mapping, PAGE};
use crate::sys::memory::MemoryFile;
use crate::sys::{life, memory, user};

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
/// Capacities to try, largest first: empty address space costs nothing until it is refused.
const CAPACITIES: [u64; 3] = [1 << 40, 1 << 36, 1 << 33];

/// The capacities to try: the one that is asked for, or all that reach little further than a file of this process may.
fn capacities(wanted: Option<u64>) -> Vec<u64> {
    let possible = |bytes: u64| bytes.clamp(MIN_CAPACITY, MAX_CAPACITY);
    if let Some(bytes) = wanted {
        let bytes = bytes.checked_next_power_of_two().unwrap_or(MAX_CAPACITY);
        return vec![possible(bytes)];
    }
    // The tables' places grow with the capacity, so a smaller store needs smaller offsets. It reaches beyond the limit,
    // so that it is the limit that is named when there is no room left.
    let limit = memory::file_size_limit().min(MAX_CAPACITY);
    let largest = possible(limit.saturating_add(1).next_power_of_two());
    let mut all: Vec<u64> = CAPACITIES.iter().map(|bytes| largest.min(*bytes)).collect();
    all.dedup();
    all
}

/// An open, mapped and checked memory file.
#[derive(Debug)]
pub(crate) struct StoreFile {
    pub(crate) fd: OwnedFd,
    pub(crate) mapping: Mapping,
    pub(crate) mem: Mem,
    pub(crate) geometry: Geometry,
    pub(crate) uuid: Uuid,
    owner_uid: u32,
    /// The file is at least so long.
    known_len: AtomicU64,
}

impl StoreFile {
    /// Makes a new store, of `capacity` bytes per mapping or of what the address space allows.
    pub(crate) fn create(capacity: Option<u64>, max_bytes: u64) -> Result<Self, CreateError> {
        let kernel = |step| move |source: io::Error| CreateError::Kernel { step, source };
        let uuid = Uuid::random().map_err(kernel("getrandom"))?;
        let fd = memory::create(&uuid.file_name()).map_err(kernel("memfd_create"))?;
        let capacities = capacities(capacity);
        for capacity in &capacities {
            let Some(geometry) = Geometry::new(*capacity) else {
                continue;
            };
            let Ok(file) = Self::map(&fd, geometry) else {
                continue;
            };
            let (mapping, mem) = file;
            // Empty, but for what is committed: I3.
            let len = geometry.capacity.min(memory::file_size_limit());
            let len = len.max(geometry.data_start);
            memory::lengthen(fd.as_fd(), len).map_err(kernel("ftruncate"))?;
            memory::commit(fd.as_fd(), 0, PAGE).map_err(kernel("fallocate"))?;
            let slots = geometry.threads.saturating_sub(geometry.processes);
            memory::commit(fd.as_fd(), geometry.processes, slots).map_err(kernel("fallocate"))?;
            let header = Header {
                uuid: uuid.0,
                geometry,
            };
            for (index, word) in header.words().iter().enumerate() {
                mem.set((index as u64).saturating_mul(8), *word);
            }
            for counter in Counter::ALL {
                let value = if counter == Counter::MaxBytes {
                    max_bytes
                } else {
                    0
                };
                mem.set(counter.offset(), counter.word(value.min(Counter::MAX)));
            }
            return Ok(Self {
                fd,
                mapping,
                mem,
                geometry,
                uuid,
                owner_uid: user::effective(),
                known_len: AtomicU64::new(len),
            });
        }
        Err(CreateError::NoAddressSpace {
            smallest: capacities.last().copied().unwrap_or(0),
        })
    }

    /// Takes over a memory file that another process made.
    pub(crate) fn open(file: MemoryFile, expected: Uuid) -> Result<Self, AttachError> {
        let MemoryFile { fd, owner_uid } = file;
        let layout = |what| AttachError::Layout {
            store: expected,
            what,
        };
        let mut bytes = [0; PAGE as usize];
        let read = rustix::io::pread(&fd, &mut bytes, 0).map_err(|source| AccessError::Kernel {
            store: expected,
            step: "pread",
            source: source.into(),
        })?;
        let header = Header::parse(bytes.get(..read).unwrap_or_default()).map_err(layout)?;
        if header.uuid != expected.0 {
            return Err(layout("it is another store"));
        }
        let geometry = header.geometry;
        let len = memory::len(fd.as_fd()).unwrap_or(0);
        if len < geometry.data_start {
            return Err(layout("the file is shorter than its tables"));
        }
        let (mapping, mem) =
            Self::map(&fd, geometry).map_err(|source| AttachError::NoAddressSpace {
                store: expected,
                capacity: geometry.capacity,
                source,
            })?;
        Ok(Self {
            fd,
            mapping,
            mem,
            geometry,
            uuid: expected,
            owner_uid,
            known_len: AtomicU64::new(len),
        })
    }

    /// Whether the file has `end` bytes: past its end an access would raise SIGBUS.
    pub(crate) fn reaches(&self, end: u64) -> bool {
        // Relaxed: the file never shrinks, so an old value only means a look at the file.
        if end <= self.known_len.load(Ordering::Relaxed) {
            return true;
        }
        let len = memory::len(self.fd.as_fd()).unwrap_or(0);
        self.known_len.fetch_max(len, Ordering::Relaxed);
        end <= len
    }

    /// Bytes of the data area that the file has.
    pub(crate) fn data_len(&self) -> u64 {
        let start = self.geometry.data_start;
        // Looks at the file unless all of it is known.
        self.reaches(self.geometry.capacity);
        // Relaxed: see `reaches`.
        self.known_len.load(Ordering::Relaxed).saturating_sub(start)
    }

    /// Reads a counter.
    pub(crate) fn counter(&self, counter: Counter) -> Result<u64, Corrupt> {
        let at = counter.offset();
        check::value(at, Counter::BITS, self.mem.get(at))
            .ok_or_else(|| self.corrupt(at, "a counter that fails its check"))
    }

    /// Reads a high-water mark: no more rows than the table has, and than are committed.
    pub(crate) fn high(&self, counter: Counter) -> Result<u64, Corrupt> {
        let high = self.counter(counter)?;
        let (rows, bytes, committed) = self.geometry.table_of(counter);
        let is_committed = match committed {
            Some(committed) => high.saturating_mul(bytes) <= self.counter(committed)?,
            None => true,
        };
        if high > rows || !is_committed {
            return Err(self.corrupt(counter.offset(), "more rows than its table has"));
        }
        Ok(high)
    }

    /// Whether this process, with the rights that it has *now*, may go on using the store: its own user's, or
    /// root's, who can read this process's memory anyway. A process that dropped its privileges so stays in the
    /// family of its parent; one that gained some leaves that of the user it was.
    ///
    /// # Errors
    /// [`AttachError::ForeignOwner`].
    pub(crate) fn check_owner(&self) -> Result<(), AttachError> {
        if self.owner_uid == 0 {
            return Ok(());
        }
        // Asked each time, 0.1–0.2 µs: even a process without any rights can become another user, in a user namespace.
        let expected_uid = user::effective();
        if self.owner_uid == expected_uid {
            return Ok(());
        }
        Err(AttachError::ForeignOwner {
            store: self.uuid,
            owner_uid: self.owner_uid,
            expected_uid,
        })
    }

    fn map(fd: &OwnedFd, geometry: Geometry) -> io::Result<(Mapping, Mem)> {
        let Geometry {
            meta_len,
            data_start,
            capacity,
            ..
        } = geometry;
        let mapping = Mapping::new(fd.as_fd(), meta_len, data_start, capacity)?;
        // SAFETY: `meta_len` bytes are mapped read-write from `meta()`, page aligned, until the owner
        // of this file drops it or leaks the metadata; all accesses in every process go through `Mem`
        // or are the life words, which only their threads and the kernel write.
        let mem = unsafe { Mem::new(mapping.meta(), mapping.meta_len()) };
        Ok((mapping, mem))
    }

    /// Describes bytes that break an invariant.
    pub(crate) fn corrupt(&self, offset: u64, what: &'static str) -> Corrupt {
        Corrupt {
            store: self.uuid,
            offset,
            what,
        }
    }

    /// A life word's address, for the thread that owns the slot.
    pub(crate) fn life_offset(&self, slot: u64) -> u64 {
        self.geometry
            .thread(slot)
            .saturating_add(super::layout::THREAD_LIFE)
    }

    /// Commits the pages of a table up to `needed` bytes from its start. Concurrent calls are harmless.
    pub(crate) fn commit_table(
        &self,
        table: u64,
        counter: Counter,
        needed: u64,
    ) -> Result<(), AccessError> {
        self.commit_table_at(table, counter.offset(), needed)
    }

    /// The same, where the committed length stands at `watermark`.
    pub(crate) fn commit_table_at(
        &self,
        table: u64,
        watermark: u64,
        needed: u64,
    ) -> Result<(), AccessError> {
        let value = |word| check::value_or_zero(watermark, Counter::BITS, word);
        let committed = value(self.mem.get(watermark))
            .ok_or_else(|| self.corrupt(watermark, "a committed length that fails its check"))?;
        if committed >= needed {
            return Ok(());
        }
        let end = needed.next_multiple_of(TABLE_STEP);
        let end = end.min(self.geometry.meta_len.saturating_sub(table));
        memory::commit(
            self.fd.as_fd(),
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
        memory::commit(self.fd.as_fd(), from, committed).map_err(|source| {
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
                if memory::commit(self.fd.as_fd(), block, PAGE).is_err() {
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
        memory::punch(self.fd.as_fd(), from, len.next_multiple_of(PAGE))
    }

    /// Makes and locks the calling thread's life word in `slot`.
    pub(crate) fn start_life(&self, slot: u64) -> bool {
        let place = self.mem.life_place(self.life_offset(slot));
        // SAFETY: the caller owns `slot` (threads.rs claims it by compare-and-swap and only when no
        // living thread has it); metadata stays mapped until `end_life` succeeded or for ever.
        unsafe { life::lock(place) }
    }

    /// Unlocks the calling thread's life word in `slot`; `false` if it must stay mapped.
    pub(crate) fn end_life(&self, slot: u64) -> bool {
        let place = self.mem.life_place(self.life_offset(slot));
        // SAFETY: the metadata is mapped; so is that of all stores in which this thread has a life word (see `start_life`).
        unsafe { life::unlock(place) }
    }

    /// Whether threads of this process may have life words in the metadata.
    pub(crate) fn has_lives(&self) -> bool {
        life::has_any(self.mapping.meta(), self.mapping.meta_len())
    }

    /// The descriptor for mapping and growing.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
