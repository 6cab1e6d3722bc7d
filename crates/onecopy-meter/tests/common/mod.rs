//! Processes in known states, for the tests of the meter.
#![allow(
    dead_code,
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block
)]

use std::io::{self, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};

pub(crate) const PAGE: usize = 4096;

/// Page-aligned private memory of its own mapping, filled with ones.
pub(crate) struct Pages {
    start: *mut u8,
    count: usize,
}

impl Pages {
    pub(crate) fn new(count: usize) -> Self {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let start =
            unsafe { libc::mmap(std::ptr::null_mut(), count * PAGE, protection, flags, -1, 0) };
        assert_ne!(start, libc::MAP_FAILED);
        unsafe { libc::madvise(start, count * PAGE, libc::MADV_NOHUGEPAGE) };
        let pages = Self {
            start: start.cast(),
            count,
        };
        pages.write(0..count);
        pages
    }

    pub(crate) fn write(&self, pages: std::ops::Range<usize>) {
        assert!(pages.end <= self.count);
        for page in pages {
            unsafe { self.start.add(page * PAGE).write_volatile(1) };
        }
    }
}

impl Pages {
    pub(crate) fn range(&self) -> std::ops::Range<u64> {
        let start = self.start.addr() as u64;
        start..start + (self.count * PAGE) as u64
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        unsafe { libc::munmap(self.start.cast(), self.count * PAGE) };
    }
}

/// A forked child that has done its work and waits; killed and waited for in the end.
pub(crate) struct Child(i32);

impl Child {
    /// Forks; the child runs `work`, says so, and sleeps. `work` must not allocate or lock much: the
    /// test process has other threads.
    pub(crate) fn after(work: impl FnOnce()) -> Self {
        let (reader, writer) = pipe();
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0, "{}", io::Error::last_os_error());
        if pid == 0 {
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
            work();
            unsafe { libc::write(writer.as_raw_fd(), b"r".as_ptr().cast(), 1) };
            loop {
                unsafe { libc::pause() };
            }
        }
        drop(writer);
        let mut byte = 0u8;
        let count = unsafe { libc::read(reader.as_raw_fd(), (&raw mut byte).cast(), 1) };
        assert_eq!((count, byte), (1, b'r'), "the child died on the way");
        Self(pid)
    }

    pub(crate) fn pid(&self) -> u32 {
        u32::try_from(self.0).unwrap()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        unsafe { libc::kill(self.0, libc::SIGKILL) };
        unsafe { libc::waitpid(self.0, std::ptr::null_mut(), 0) };
    }
}

pub(crate) fn pipe() -> (OwnedFd, OwnedFd) {
    use std::os::fd::FromRawFd as _;
    let mut ends = [0; 2];
    assert_eq!(
        unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) },
        0
    );
    unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) }
}

/// Runs `check` in a forked process of its own, so that other tests' children are not in the tree.
pub(crate) fn in_a_process(check: impl FnOnce()) {
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        // The harness would keep the text of this process's panic to itself.
        std::panic::set_hook(Box::new(|panic| {
            let _ = writeln!(io::stderr(), "{panic}");
        }));
        let passed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(check)).is_ok();
        unsafe { libc::_exit(i32::from(!passed)) };
    }
    let mut status = 0;
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    assert_eq!(status, 0, "the checking process failed; its panic is above");
}

pub(crate) fn become_nobody() -> bool {
    if unsafe { libc::geteuid() } != 0 {
        eprintln!("skipped: needs root to become nobody");
        return false;
    }
    assert_eq!(unsafe { libc::setgroups(0, std::ptr::null()) }, 0);
    assert_eq!(unsafe { libc::setresgid(65534, 65534, 65534) }, 0);
    assert_eq!(unsafe { libc::setresuid(65534, 65534, 65534) }, 0);
    // Changing the user makes a process unreadable even for itself (PR_SET_DUMPABLE(2const)).
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 1) }, 0);
    true
}

