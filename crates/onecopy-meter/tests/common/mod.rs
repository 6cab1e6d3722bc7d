//! Processes in known states, for the tests of the meter.
#![allow(
    dead_code,
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block
)]

use std::io::{self, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};

pub(crate) const PAGE: usize = 4096;
const HUGE: usize = 512;
const HANG_SECONDS: u32 = 300;

/// Page-aligned private memory of its own mapping, filled with ones.
pub(crate) struct Pages {
    start: *mut u8,
    count: usize,
}

impl Pages {
    pub(crate) fn new(count: usize) -> Self {
        let pages = Self::reserved(count);
        pages.write(0..count);
        pages
    }

    /// Not written yet, and never in huge pages.
    pub(crate) fn reserved(count: usize) -> Self {
        let pages = Self::map(count, libc::MAP_PRIVATE);
        unsafe { libc::madvise(pages.start.cast(), count * PAGE, libc::MADV_NOHUGEPAGE) };
        pages
    }

    /// Shared between all that are forked from here, and not written yet.
    pub(crate) fn shared(count: usize) -> Self {
        Self::map(count, libc::MAP_SHARED)
    }

    /// In huge pages; the count is in small ones.
    pub(crate) fn huge(count: usize) -> Self {
        let around = std::mem::ManuallyDrop::new(Self::map(count + HUGE, libc::MAP_PRIVATE));
        let skip = around.start.align_offset(HUGE * PAGE);
        let pages = Self {
            start: unsafe { around.start.add(skip) },
            count,
        };
        unsafe { libc::madvise(pages.start.cast(), count * PAGE, libc::MADV_HUGEPAGE) };
        pages.write(0..count);
        pages
    }

    /// Whether [`Pages::huge`] gets what it asks for.
    pub(crate) fn huge_pages_are_to_be_had() -> bool {
        let pages = Self::huge(HUGE);
        let mappings = onecopy_meter::mappings(std::process::id()).unwrap();
        let start = pages.range().start;
        let mut covering = mappings
            .iter()
            .filter(|mapping| mapping.start <= start && start < mapping.end);
        covering.any(|mapping| mapping.counts.anonymous_huge > 0)
    }

    fn map(count: usize, flags: i32) -> Self {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = flags | libc::MAP_ANONYMOUS;
        let start =
            unsafe { libc::mmap(std::ptr::null_mut(), count * PAGE, protection, flags, -1, 0) };
        assert_ne!(start, libc::MAP_FAILED);
        Self {
            start: start.cast(),
            count,
        }
    }

    pub(crate) fn write(&self, pages: std::ops::Range<usize>) {
        assert!(pages.end <= self.count);
        for page in pages {
            unsafe { self.start.add(page * PAGE).write_volatile(1) };
        }
    }
}

impl Pages {
    /// Lets the kernel have pages back, for this process alone.
    pub(crate) fn give_back(&self, pages: std::ops::Range<usize>) {
        assert!(pages.end <= self.count);
        let (start, len) = (pages.start * PAGE, pages.len() * PAGE);
        // SAFETY: `start` lies within the mapping (the assertion above).
        let start = unsafe { self.start.add(start) };
        // SAFETY: these pages belong to the mapping, which nothing refers to but `write` by address.
        let done = unsafe { libc::madvise(start.cast(), len, libc::MADV_DONTNEED) };
        assert_eq!(done, 0);
    }

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
pub(crate) struct Child {
    pid: i32,
    go: OwnedFd,
    done: OwnedFd,
}

impl Child {
    /// Forks; the child runs `work`, says so, and sleeps. `work` must not allocate or lock much: the
    /// test process has other threads.
    pub(crate) fn after(work: impl FnOnce()) -> Self {
        Self::in_steps(work, || ())
    }

    /// The same, and the child does `next` when it is told to by [`Child::step`].
    pub(crate) fn in_steps(work: impl FnOnce(), next: impl FnOnce()) -> Self {
        let ((ready, done), (go, start)) = (pipe(), pipe());
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0, "{}", io::Error::last_os_error());
        if pid == 0 {
            // The ends that belong to the parent: a read must see its death.
            drop((ready, start));
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
            work();
            send(&done);
            if receive(&go) {
                next();
                send(&done);
            }
            loop {
                unsafe { libc::pause() };
            }
        }
        drop((done, go));
        let child = Self {
            pid,
            go: start,
            done: ready,
        };
        assert!(receive(&child.done), "the child died on the way");
        child
    }

    /// Lets the child do its second part, and waits for it.
    pub(crate) fn step(&self) {
        send(&self.go);
        assert!(receive(&self.done), "the child died on the way");
    }

    pub(crate) fn pid(&self) -> u32 {
        u32::try_from(self.pid).unwrap()
    }
}

/// So that a child that loops goes when its parent does.
pub(crate) fn die_with_parent() {
    // SAFETY: a plain system call without pointers.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
}

fn send(end: &OwnedFd) {
    unsafe { libc::write(end.as_raw_fd(), b"r".as_ptr().cast(), 1) };
}

/// Whether a byte came, and not the end.
fn receive(end: &OwnedFd) -> bool {
    let mut byte = 0u8;
    let count = unsafe { libc::read(end.as_raw_fd(), (&raw mut byte).cast(), 1) };
    count == 1
}

impl Drop for Child {
    fn drop(&mut self) {
        unsafe { libc::kill(self.pid, libc::SIGKILL) };
        unsafe { libc::waitpid(self.pid, std::ptr::null_mut(), 0) };
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
        // Ends a hang, never a result; its children die with it (PR_SET_PDEATHSIG).
        unsafe { libc::alarm(HANG_SECONDS) };
        // The harness would keep the text of this process's panic to itself.
        std::panic::set_hook(Box::new(|panic| {
            let _ = writeln!(io::stderr(), "{panic}");
        }));
        let passed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(check)).is_ok();
        unsafe { libc::_exit(i32::from(!passed)) };
    }
    let mut status = 0;
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    let hung = libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGALRM;
    assert!(
        !hung,
        "the checking process hung for {HANG_SECONDS} seconds"
    );
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
