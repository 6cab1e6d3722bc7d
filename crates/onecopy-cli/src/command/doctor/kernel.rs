//! Asks the kernel for what only system calls tell.
#![allow(
    unsafe_code,
    reason = "rustix has no bindings for PROCMAP_QUERY and UFFDIO_API"
)]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;

use rustix::mm::{UserfaultfdFlags, userfaultfd};

/// `struct procmap_query` of `linux/fs.h`.
#[derive(Debug, Default)]
#[repr(C)]
struct ProcmapQuery {
    size: u64,
    query_flags: u64,
    query_addr: u64,
    vma_start: u64,
    vma_end: u64,
    vma_flags: u64,
    vma_page_size: u64,
    vma_offset: u64,
    inode: u64,
    dev_major: u32,
    dev_minor: u32,
    vma_name_size: u32,
    build_id_size: u32,
    vma_name_addr: u64,
    build_id_addr: u64,
}

/// `struct uffdio_api` of `linux/userfaultfd.h`.
#[derive(Debug, Default)]
#[repr(C)]
struct UffdioApi {
    api: u64,
    features: u64,
    ioctls: u64,
}

const _: () = assert!(size_of::<ProcmapQuery>() == 104 && size_of::<UffdioApi>() == 24);

const UFFD_API: u64 = 0xaa;
const UFFD_FEATURE_WP_UNPOPULATED: u64 = 1 << 13;
const UFFD_FEATURE_WP_ASYNC: u64 = 1 << 15;
const UFFD_USER_MODE_ONLY: u32 = 1;

/// The mapping that covers an address of this process, as `PROCMAP_QUERY` tells it.
pub(super) fn mapping_at(address: u64) -> io::Result<std::ops::Range<u64>> {
    let maps = File::open("/proc/self/maps")?;
    let mut query = ProcmapQuery {
        size: size_of::<ProcmapQuery>() as u64,
        query_addr: address,
        ..ProcmapQuery::default()
    };
    let request = libc::_IOWR::<ProcmapQuery>(u32::from(b'f'), 17);
    // SAFETY: `maps` is open for the whole call. The request is made from the argument's own type, whose
    // layout is that of `struct procmap_query` (the assertion above); the kernel writes to it alone, as
    // no room for a name or a build id is offered, and every bit pattern of it is valid.
    let done = unsafe { libc::ioctl(maps.as_raw_fd(), request, &raw mut query) };
    if done < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(query.vma_start..query.vma_end)
}

/// Whether userfaultfd would tell written pages without anybody who answers its faults.
pub(super) fn userfaultfd_tells_writes() -> io::Result<()> {
    let flags = UserfaultfdFlags::CLOEXEC | UserfaultfdFlags::from_bits_retain(UFFD_USER_MODE_ONLY);
    // SAFETY: no memory is ever registered with the descriptor, which is closed below.
    let descriptor = unsafe { userfaultfd(flags) }?;
    let mut wanted = UffdioApi {
        api: UFFD_API,
        features: UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED,
        ioctls: 0,
    };
    let request = libc::_IOWR::<UffdioApi>(0xaa, 0x3f);
    // SAFETY: the descriptor is open for the whole call. The request is made from the argument's own type,
    // whose layout is that of `struct uffdio_api` (the assertion above); the kernel writes to it alone,
    // and every bit pattern of it is valid.
    let done = unsafe { libc::ioctl(descriptor.as_raw_fd(), request, &raw mut wanted) };
    if done < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
