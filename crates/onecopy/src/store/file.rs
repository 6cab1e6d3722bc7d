//! One memory file as this process sees it: descriptor, mappings, what its header and counters say.
//!
//! **Invariants.** `I1`: the header was checked, so `geometry` fits the file. `I2`: a table word is
//! touched only below what its `Counter::…Table` says is committed; a span's bytes only after
//! [`StoreFile::commit_data`] (grow.rs), but for readers of containers, which may follow an offset of a moment ago. So no access
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
use crate::error::{AccessError, AttachError, Corrupt, CreateError};
use crate::primitive::{AtomicU64, Ordering};
use crate::sys::mapping::{Mapping, PAGE};
use crate::sys::memory::MemoryFile;
use crate::sys::{life, memory, user};

/// Capacities to try, largest first: empty address space costs nothing until it is refused.
const CAPACITIES: [u64; 5] = [1 << 40, 1 << 36, 1 << 33, 1 << 30, MIN_CAPACITY];

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
    // Under a limit of the address space the two mappings take no more than half of it.
    let quarter = (memory::address_space_limit() / 4).max(1);
    let largest = largest.min(possible(1 << quarter.ilog2()));
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
        // SAFETY: `meta_len` bytes, whole pages, are mapped read-write from `meta()`, which is page aligned, until the
        // owner of this file drops it, and with it every `Mem`, or leaks the metadata. All accesses in every process go
        // through `Mem`, or are to life words, which only their threads and the kernel write, as atomics.
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

    /// Makes and locks the calling thread's life word in `slot`.
    pub(crate) fn start_life(&self, slot: u64) -> bool {
        let place = self.mem.life_place(self.life_offset(slot));
        // SAFETY: `life_place` lies in the metadata, aligned to 64 as thread slots are, with room for a life word
        // (asserted there). `threads::try_claim`, the only caller, has just made the slot CLAIMED by compare-and-swap,
        // and only if no living thread had it, so nobody else has a mutex there. The metadata stay mapped until
        // `end_life` has succeeded, or for ever (`attached::close` asks `has_lives`).
        unsafe { life::lock(place) }
    }

    /// Unlocks the calling thread's life word in `slot`; `false` if it must stay mapped.
    pub(crate) fn end_life(&self, slot: u64) -> bool {
        let place = self.mem.life_place(self.life_offset(slot));
        // SAFETY: the metadata are mapped as long as `self`; so are those of all stores in which this thread has a life
        // word (`start_life`). There are no references to them but those to atomics that `Mem` makes.
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
