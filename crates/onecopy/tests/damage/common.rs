//! What the processes of all rounds count, chance, forks, and words behind the store's back.

use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use onecopy::Store;
use onecopy::testing::words_in_use;

/// Rounds that run at the same time.
pub(crate) const LANES: usize = 3;
/// Operations of a process in a round.
pub(crate) const STEPS: u64 = 40;
/// Words that are damaged in a round.
pub(crate) const WORDS: usize = 3;
pub(crate) const PATIENCE: Duration = Duration::from_millis(100);
/// No operation may take this long, and no round a few of them.
pub(crate) const HANG: Duration = Duration::from_secs(20);

pub(crate) const KINDS: [&str; 12] = [
    "corrupt",
    "lock timeout",
    "gone",
    "full",
    "no memory",
    "kernel",
    "inherited",
    "not found",
    "layout",
    "no address space",
    "verified",
    "other",
];

/// What all processes count, in memory that they share.
#[derive(Default)]
#[repr(C)]
pub(crate) struct Counts {
    pub(crate) operations: AtomicU64,
    pub(crate) errors: [AtomicU64; KINDS.len()],
    /// Whether an error of the lane's round said "corrupt".
    pub(crate) lanes: [AtomicU64; LANES],
    pub(crate) wrong: AtomicU64,
    pub(crate) panics: AtomicU64,
    pub(crate) slow: AtomicU64,
    pub(crate) slowest_ms: AtomicU64,
}

/// The lane that this process belongs to.
pub(crate) static LANE: AtomicUsize = AtomicUsize::new(0);

pub(crate) fn counts() -> &'static Counts {
    pub(crate) static PLACE: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
    let address = *PLACE.get_or_init(|| {
        let both = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        // SAFETY: a fresh mapping at an address of the kernel's choice, never unmapped.
        let place = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                size_of::<Counts>(),
                both,
                flags,
                -1,
                0,
            )
        };
        assert_ne!(place, libc::MAP_FAILED);
        place.addr()
    });
    // SAFETY: mapped for ever, zero-filled, page aligned; all fields are atomics, for which zero is a value.
    unsafe { &*(address as *const Counts) }
}

pub(crate) fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// splitmix64: small, and the same everywhere.
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

pub(crate) fn fork() -> i32 {
    // SAFETY: the other threads of this program have ended, so the child may do anything.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork failed");
    pid
}

/// Runs a part in a child and passes on how it ended.
pub(crate) fn in_child(part: impl FnOnce()) {
    let pid = fork();
    if pid == 0 {
        leave(part);
    }
    pass_on(pid);
}

/// The end of a child: 0, or 101 after a panic.
pub(crate) fn leave(part: impl FnOnce()) -> ! {
    let code = i32::from(catch_unwind(AssertUnwindSafe(part)).is_err()) * 101;
    // SAFETY: ends the process without running anything of the parent's.
    unsafe { libc::_exit(code) }
}

/// Waits for a child; a signal that killed it kills this process, too, so that the watcher sees it.
pub(crate) fn pass_on(pid: i32) {
    let mut status = 0;
    // SAFETY: `status` is a valid place for the result.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    if libc::WIFSIGNALED(status) {
        // SAFETY: ends this process; nothing is unwound.
        unsafe { libc::_exit(128 + libc::WTERMSIG(status)) };
    }
    let code = libc::WEXITSTATUS(status);
    if code != 0 {
        // SAFETY: ends this process; nothing is unwound.
        unsafe { libc::_exit(code) };
    }
}

/// Reads and writes words of a store past all its locks.
pub(crate) struct Words(OwnedFd);

impl Words {
    pub(crate) fn of(store: &Store) -> Self {
        Self(store.duplicate_fd().unwrap())
    }

    pub(crate) fn get(&self, at: u64) -> u64 {
        let mut bytes = [0; 8];
        rustix::io::pread(&self.0, &mut bytes, at).unwrap();
        u64::from_le_bytes(bytes)
    }

    pub(crate) fn set(&self, at: u64, value: u64) {
        rustix::io::pwrite(&self.0, &value.to_le_bytes(), at).unwrap();
    }
}

pub(crate) fn offsets(store: &Store, kind: &str) -> Vec<u64> {
    let mut kinds = words_in_use(store).into_iter();
    kinds.find(|(name, _)| *name == kind).unwrap().1
}
