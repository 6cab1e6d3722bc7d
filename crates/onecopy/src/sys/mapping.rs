//! A process's two mappings of a memory file, and the few things done to ranges of them.
//!
//! ```text
//! rw:  [ metadata, read-write | guard, no access | data, read-write ]   a base of its own
//! ro:  [ no access            | no access        | data, read-only  ]   another base
//! ```
//! Both bases are 2 MiB aligned, so that a range of the file that starts at a multiple of 2 MiB can
//! be mapped by huge pages in every process. Bases differ between processes: offsets only.
//!
//! **Invariants.** `I1`: `rw` and `ro` are reservations of `capacity` bytes owned by this value until
//! it is dropped or leaked. `I2`: `meta_len <= data_start <= capacity`, all multiples of 4096.
#![allow(
    unsafe_code,
    reason = "mmap, munmap and madvise are the point of this file"
)]

use std::ffi::c_void;
use std::io;
use std::os::fd::BorrowedFd;
use std::ptr::{NonNull, null_mut};

use rustix::mm::{Advice, MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};

/// Alignment of both bases, of large objects, and the size of a huge page on x86-64.
pub(crate) const HUGE_PAGE: u64 = 2 << 20;
/// The page size that offsets and lengths are rounded to.
pub(crate) const PAGE: u64 = 4096;
/// `MADV_COLLAPSE` of Linux 6.1 (`madvise(2)`).
const MADV_COLLAPSE: i32 = 25;

/// An address range without access, 2 MiB aligned, unmapped when dropped.
#[derive(Debug)]
struct Reservation {
    base: NonNull<u8>,
    len: usize,
}

impl Reservation {
    /// Two of `len` bytes, a multiple of 2 MiB, next to each other: one `mmap` for both.
    fn pair(len: u64) -> io::Result<(Self, Self)> {
        let invalid = || io::Error::from(io::ErrorKind::InvalidInput);
        let len = usize::try_from(len).map_err(|_| invalid())?;
        if !len.is_multiple_of(HUGE_PAGE as usize) {
            return Err(invalid());
        }
        let slack = HUGE_PAGE as usize;
        let both = len.checked_mul(2).ok_or_else(invalid)?;
        let padded = both.checked_add(slack).ok_or_else(invalid)?;
        // SAFETY: a fresh anonymous mapping at an address of the kernel's choice touches nothing else.
        let raw = unsafe {
            mmap_anonymous(
                null_mut(),
                padded,
                ProtFlags::empty(),
                MapFlags::PRIVATE | MapFlags::NORESERVE,
            )
        }?;
        let skip = raw.cast::<u8>().align_offset(slack);
        let base = raw.cast::<u8>().wrapping_add(skip);
        let tail = slack - skip;
        if skip > 0 {
            // SAFETY: the first `skip` bytes, whole pages, of the mapping made above, which nobody has an address of
            // but this function, and which `base` leaves out.
            unsafe { munmap(raw, skip) }?;
        }
        if tail > 0 {
            // SAFETY: the last `tail` bytes, whole pages, of the mapping made above: `skip + both + tail` are `padded`.
            // Nobody else has an address of them, and `both` leaves them out.
            unsafe { munmap(base.wrapping_add(both).cast(), tail) }?;
        }
        let at = |base| {
            let base =
                NonNull::new(base).ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))?;
            Ok::<_, io::Error>(Self { base, len })
        };
        // Each half has its own owner from here on (I1).
        Ok((at(base)?, at(base.wrapping_add(len))?))
    }

    fn place(
        &self,
        fd: BorrowedFd<'_>,
        from: u64,
        to: u64,
        prot: ProtFlags,
        sharing: MapFlags,
    ) -> io::Result<()> {
        if from >= to {
            return Ok(());
        }
        assert!(
            to <= self.len as u64,
            "a range past the end of its reservation"
        );
        let address = self
            .base
            .as_ptr()
            .wrapping_add(from as usize)
            .cast::<c_void>();
        let len = (to - from) as usize;
        let flags = sharing | MapFlags::FIXED | MapFlags::NORESERVE;
        // SAFETY: [from, to) lies inside this reservation (asserted), which this value owns (I1), so MAP_FIXED replaces
        // only pages of our own, by others of the same file: what `Mapping` hands out addresses of stays mapped, with
        // the same bytes or, for an object that is being built, copies of them.
        unsafe { mmap(address, len, prot, flags, fd, from) }?;
        // SAFETY: the range that the line above has mapped; the advice changes core dumps only (madvise(2)).
        let _ = unsafe { rustix::mm::madvise(address, len, Advice::LinuxDontDump) };
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        // SAFETY: the range is this value's alone (I1), and whole. What points into it belongs to the store's file or
        // to objects, each of which holds the attachment that owns this mapping, so it has gone before.
        let _ = unsafe { munmap(self.base.as_ptr().cast(), self.len) };
    }
}

// SAFETY: an address and a length of memory that stays mapped until the drop (I1), which any thread may unmap.
unsafe impl Send for Reservation {}
// SAFETY: all methods take `&self` and leave the value unchanged; the addresses in it stay mapped until the drop
// (I1).
unsafe impl Sync for Reservation {}

/// Both mappings of one memory file.
#[derive(Debug)]
pub(crate) struct Mapping {
    rw: Reservation,
    ro: Reservation,
    meta_len: u64,
    data_start: u64,
    capacity: u64,
}

impl Mapping {
    /// Maps `fd` twice. Needs `2 × capacity` bytes of address space.
    pub(crate) fn new(
        fd: BorrowedFd<'_>,
        meta_len: u64,
        data_start: u64,
        capacity: u64,
    ) -> io::Result<Self> {
        assert!(meta_len <= data_start && data_start <= capacity, "I2");
        let (rw, ro) = Reservation::pair(capacity)?;
        let both = ProtFlags::READ | ProtFlags::WRITE;
        rw.place(fd, 0, meta_len, both, MapFlags::SHARED)?;
        rw.place(fd, data_start, capacity, both, MapFlags::SHARED)?;
        ro.place(fd, data_start, capacity, ProtFlags::READ, MapFlags::SHARED)?;
        Ok(Self {
            rw,
            ro,
            meta_len,
            data_start,
            capacity,
        })
    }

    /// Start of the metadata; readable and writable for [`Mapping::meta_len`] bytes.
    pub(crate) fn meta(&self) -> NonNull<u8> {
        self.rw.base
    }

    /// Bytes of metadata.
    pub(crate) fn meta_len(&self) -> u64 {
        self.meta_len
    }

    /// Address of `offset` in the read-write mapping.
    pub(crate) fn write_address(&self, offset: u64) -> *mut u8 {
        self.assert_data(offset, offset);
        self.rw.base.as_ptr().wrapping_add(offset as usize)
    }

    /// Address of `offset` in the read-only alias.
    pub(crate) fn read_address(&self, offset: u64) -> *const u8 {
        self.assert_data(offset, offset);
        self.ro.base.as_ptr().wrapping_add(offset as usize)
    }

    fn assert_data(&self, from: u64, to: u64) {
        assert!(
            self.data_start <= from && from <= to && to <= self.capacity,
            "not in the data area"
        );
    }

    /// Forgets the read-write page table entries of a range; the data stays in the file.
    ///
    /// Otherwise a builder that reads through the alias would count each page twice in its RSS.
    pub(crate) fn zap_write(&self, from: u64, to: u64) {
        self.assert_data(from, to);
        let address = self.write_address(from).cast();
        // SAFETY: on a shared file mapping MADV_DONTNEED drops page table entries, never data
        // (madvise(2)); the range is in our reservation (I1).
        let _ =
            unsafe { rustix::mm::madvise(address, (to - from) as usize, Advice::LinuxDontNeed) };
    }

    /// Turns whole 2 MiB blocks into huge pages, zero-filling holes. Best effort: `false` on the first
    /// block that the kernel refuses (no memory in one piece, Linux before 6.1).
    pub(crate) fn collapse(&self, from: u64, to: u64) -> bool {
        self.assert_data(from, to);
        let (from, to) = (from.next_multiple_of(HUGE_PAGE), to / HUGE_PAGE * HUGE_PAGE);
        let mut block = from;
        while block < to {
            let address = self.write_address(block).cast::<c_void>();
            // SAFETY: the block lies in our own mapping (I1); collapsing changes how pages are backed,
            // not what they hold. rustix has no name for this advice yet, hence libc.
            let refused = unsafe { libc::madvise(address, HUGE_PAGE as usize, MADV_COLLAPSE) };
            if refused != 0 {
                return false;
            }
            block += HUGE_PAGE;
        }
        true
    }

    /// Makes the read-write range private: from now on writes through it are copied, page by page,
    /// and nobody else sees them. Addresses stay valid.
    pub(crate) fn make_private(&self, fd: BorrowedFd<'_>, from: u64, to: u64) -> io::Result<()> {
        self.place_data(fd, from, to, MapFlags::PRIVATE)
    }

    /// Undoes [`Mapping::make_private`].
    pub(crate) fn make_shared(&self, fd: BorrowedFd<'_>, from: u64, to: u64) -> io::Result<()> {
        self.place_data(fd, from, to, MapFlags::SHARED)
    }

    fn place_data(
        &self,
        fd: BorrowedFd<'_>,
        from: u64,
        to: u64,
        flags: MapFlags,
    ) -> io::Result<()> {
        self.assert_data(from, to);
        let rights = ProtFlags::READ | ProtFlags::WRITE;
        self.rw.place(fd, from, to, rights, flags)
    }

    /// Unmaps everything but the metadata, which stays mapped for the life of the process.
    pub(crate) fn leak_metadata(self) {
        let tail = (self.capacity - self.meta_len) as usize;
        let address = self.rw.base.as_ptr().wrapping_add(self.meta_len as usize);
        // SAFETY: the data part of our own reservation (I1, I2), to its end. What points into it belongs to objects,
        // each of which holds the attachment that owned this mapping, so it has gone before. `rw` is forgotten below,
        // so nothing unmaps it twice.
        let _ = unsafe { munmap(address.cast(), tail) };
        let Self { rw, ro, .. } = self;
        std::mem::forget(rw);
        drop(ro);
    }
}

/// A copy-on-write mapping of a range of a memory file: writable, private, unmapped when dropped.
#[derive(Debug)]
pub(crate) struct PrivateRange {
    base: NonNull<u8>,
    len: usize,
}

impl PrivateRange {
    /// Maps `len` bytes of `fd` from `offset` (a multiple of the page size).
    pub(crate) fn new(fd: BorrowedFd<'_>, offset: u64, len: usize) -> io::Result<Self> {
        let mapped = len.max(1).next_multiple_of(PAGE as usize);
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a fresh mapping at an address of the kernel's choice touches nothing else.
        let raw = unsafe {
            mmap(
                null_mut(),
                mapped,
                prot,
                MapFlags::PRIVATE | MapFlags::NORESERVE,
                fd,
                offset,
            )
        }?;
        let base =
            NonNull::new(raw.cast()).ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))?;
        Ok(Self { base, len: mapped })
    }

    /// Start of the writable bytes, which are there as long as this value.
    pub(crate) fn as_mut_ptr(&self) -> *mut u8 {
        self.base.as_ptr()
    }
}

impl Drop for PrivateRange {
    fn drop(&mut self) {
        // SAFETY: `new` made the mapping, of `len` bytes, and this value is its only owner: whoever has its address
        // keeps it (see `as_mut_ptr`).
        let _ = unsafe { munmap(self.base.as_ptr().cast(), self.len) };
    }
}

// SAFETY: an address and a length of memory that stays mapped until the drop, which any thread may unmap.
unsafe impl Send for PrivateRange {}
// SAFETY: the value is never changed after it was made, and `as_mut_ptr` only gives an address: whoever writes
// through it answers for what others do there meanwhile.
unsafe impl Sync for PrivateRange {}
