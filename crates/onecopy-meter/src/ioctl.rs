//! The one question that `/proc` answers only by ioctl: where pages are present at all, which of them
//! are the zero page, and which are mapped by huge-page entries (`PAGEMAP_SCAN(2const)`, Linux 6.7).
//! Reading `pagemap` instead takes eight bytes for every page of address space, present or not, and a
//! store reserves far more address space than it fills.
#![allow(
    unsafe_code,
    reason = "rustix has no binding for PAGEMAP_SCAN; this file is the only one"
)]

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd as _;

/// A run of pages of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Region {
    /// First address.
    pub(crate) start: u64,
    /// First address behind it.
    pub(crate) end: u64,
    categories: u64,
}

impl Region {
    /// A range of which nothing more is known.
    pub(crate) fn all(range: Range<u64>) -> Self {
        Self {
            start: range.start,
            end: range.end,
            categories: 0,
        }
    }

    /// Whether a huge-page entry maps it.
    pub(crate) fn is_huge(&self) -> bool {
        self.categories & HUGE != 0
    }

    /// Whether the zero page stands there, which is memory of nobody.
    pub(crate) fn is_zero_page(&self) -> bool {
        self.categories & PFNZERO != 0
    }
}

/// `struct pm_scan_arg` of `linux/fs.h`.
#[derive(Debug, Default)]
#[repr(C)]
struct ScanArgument {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    vec: u64,
    vec_len: u64,
    max_pages: u64,
    category_inverted: u64,
    category_mask: u64,
    category_anyof_mask: u64,
    return_mask: u64,
}

const _: () = assert!(size_of::<ScanArgument>() == 96 && size_of::<Region>() == 24);

const PRESENT: u64 = 1 << 3;
const PFNZERO: u64 = 1 << 5;
const HUGE: u64 = 1 << 6;
const BATCH: usize = 512;

/// Finds the present pages of `range` in the process whose pagemap is open, in order.
///
/// # Errors
/// `ENOTTY` on kernels before 6.7; `ESRCH` once the process is gone.
pub(crate) fn present(pagemap: &File, range: Range<u64>) -> io::Result<Vec<Region>> {
    let mut found = Vec::new();
    let mut batch = vec![
        Region {
            start: 0,
            end: 0,
            categories: 0
        };
        BATCH
    ];
    let mut start = range.start;
    while start < range.end {
        let mut argument = ScanArgument {
            size: size_of::<ScanArgument>() as u64,
            start,
            end: range.end,
            vec: batch.as_mut_ptr().expose_provenance() as u64,
            vec_len: BATCH as u64,
            category_mask: PRESENT,
            return_mask: PFNZERO | HUGE,
            ..ScanArgument::default()
        };
        let request = libc::_IOWR::<ScanArgument>(u32::from(b'f'), 16);
        // SAFETY: `pagemap` is an open descriptor for the whole call, and the request is made from
        // the argument's own type, whose size and layout are those of `struct pm_scan_arg` (the
        // assertion above). The kernel writes only to `argument`, which is exclusively borrowed,
        // and at most `vec_len` regions of 24 bytes at `vec`: `batch` has BATCH of them, is
        // exclusively owned and outlives the call, its address is exposed, and every bit pattern is
        // a valid `Region`. Any other ioctl on another kind of file would have to share this number
        // to do otherwise; callers pass only files opened as `/proc/PID/pagemap`.
        let count = unsafe { libc::ioctl(pagemap.as_raw_fd(), request, &raw mut argument) };
        let Ok(count) = usize::try_from(count) else {
            let error = io::Error::last_os_error();
            if error.kind() == io::ErrorKind::Interrupted {
                continue;
            }
            return Err(error);
        };
        found.extend(batch.iter().take(count));
        if argument.walk_end <= start {
            break;
        }
        start = argument.walk_end;
    }
    Ok(found)
}
