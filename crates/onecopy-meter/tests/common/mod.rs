//! Processes in known states, for the tests of the meter.
#![allow(dead_code, reason = "each test program uses a part of it")]

pub(crate) mod truth;

use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

pub(crate) const PAGE: usize = 4096;
const HUGE: usize = 512;
/// Ends a hang, never a result.
pub(crate) const HANG_SECONDS: u32 = 300;

/// Page-aligned memory of its own mapping, of which nothing else knows.
///
/// Invariant: `count` pages from `start` on were mapped by `map` or `attached`, readable and writable, and
/// stay so but for what `unmap` and the like take away, after which nobody may write there. No reference
/// to them is ever made.
pub(crate) struct Pages {
    start: *mut u8,
    count: usize,
}

impl Pages {
    /// Private memory, filled with ones.
    pub(crate) fn new(count: usize) -> Self {
        let pages = Self::reserved(count);
        pages.write(0..count);
        pages
    }

    /// Not written yet, and never in huge pages.
    pub(crate) fn reserved(count: usize) -> Self {
        let pages = Self::anonymous(count, libc::MAP_PRIVATE);
        pages.advise(0..count, libc::MADV_NOHUGEPAGE);
        pages
    }

    /// Shared between all that are forked from here, and not written yet.
    pub(crate) fn shared(count: usize) -> Self {
        Self::anonymous(count, libc::MAP_SHARED)
    }

    /// In huge pages; the count is in small ones.
    pub(crate) fn huge(count: usize) -> Self {
        let around = std::mem::ManuallyDrop::new(Self::anonymous(count + HUGE, libc::MAP_PRIVATE));
        let skip = around.start.align_offset(HUGE * PAGE) / PAGE;
        let start = around.at(skip);
        let pages = Self { start, count };
        pages.advise(0..count, libc::MADV_HUGEPAGE);
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

    fn anonymous(count: usize, flags: i32) -> Self {
        Self::map(count, flags | libc::MAP_ANONYMOUS, -1)
    }

    /// A mapping of a file that has as many pages.
    pub(crate) fn of_file(file: &OwnedFd, count: usize, flags: i32) -> Self {
        Self::map(count, flags, file.as_raw_fd())
    }

    fn map(count: usize, flags: i32, file: i32) -> Self {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let len = count * PAGE;
        // SAFETY: the kernel chooses the place, so no memory in use is replaced.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, flags, file, 0) };
        assert_ne!(start, libc::MAP_FAILED, "{}", io::Error::last_os_error());
        Self {
            start: start.cast(),
            count,
        }
    }

    /// System V shared memory, which goes with the last process that has it.
    pub(crate) fn system_v(count: usize) -> Self {
        // SAFETY: a plain system call without pointers.
        let id = unsafe { libc::shmget(libc::IPC_PRIVATE, count * PAGE, 0o600) };
        assert!(id >= 0, "{}", io::Error::last_os_error());
        // SAFETY: the kernel chooses the place, so no memory in use is replaced.
        let start = unsafe { libc::shmat(id, std::ptr::null(), 0) };
        assert_ne!(start.addr(), usize::MAX, "{}", io::Error::last_os_error());
        // SAFETY: IPC_RMID takes no argument; the memory stays for those who have it.
        unsafe { libc::shmctl(id, libc::IPC_RMID, std::ptr::null_mut()) };
        Self {
            start: start.cast(),
            count,
        }
    }

    /// The address of a page, or of the end.
    fn at(&self, page: usize) -> *mut u8 {
        assert!(page <= self.count);
        // SAFETY: not beyond the end of what was mapped in one piece (the type's invariant).
        unsafe { self.start.add(page * PAGE) }
    }

    pub(crate) fn write(&self, pages: Range<usize>) {
        assert!(pages.end <= self.count);
        for page in pages {
            let place = self.at(page);
            // SAFETY: mapped and writable (the type's invariant); volatile, as other processes look.
            unsafe { place.write_volatile(1) };
        }
    }

    pub(crate) fn read(&self, pages: Range<usize>) {
        assert!(pages.end <= self.count);
        for page in pages {
            let place = self.at(page);
            // SAFETY: mapped and readable (the type's invariant).
            unsafe { place.read_volatile() };
        }
    }

    fn advise(&self, pages: Range<usize>, advice: i32) -> bool {
        let (start, len) = (self.at(pages.start), pages.len() * PAGE);
        assert!(pages.end <= self.count);
        // SAFETY: advice about memory that nothing refers to (the type's invariant) can at most empty it.
        unsafe { libc::madvise(start.cast(), len, advice) == 0 }
    }

    /// Lets the kernel have pages back, for this process alone.
    pub(crate) fn give_back(&self, pages: Range<usize>) {
        assert!(self.advise(pages, libc::MADV_DONTNEED));
    }

    /// Keeps pages from being swapped out; whether that is allowed.
    pub(crate) fn lock(&self, pages: Range<usize>) -> bool {
        let (start, len) = (self.at(pages.start), pages.len() * PAGE);
        assert!(pages.end <= self.count);
        // SAFETY: the range is mapped (the type's invariant); its contents stay what they are.
        unsafe { libc::mlock(start.cast(), len) == 0 }
    }

    /// Unmaps pages, which must not be touched any more.
    pub(crate) fn unmap(&self, pages: Range<usize>) {
        let (start, len) = (self.at(pages.start), pages.len() * PAGE);
        assert!(pages.end <= self.count);
        // SAFETY: nothing refers to these pages (the type's invariant).
        assert_eq!(unsafe { libc::munmap(start.cast(), len) }, 0);
    }

    /// Makes the mapping of the first half, whose other half was unmapped, as large as both.
    pub(crate) fn grow_again(&self) {
        let (half, whole) = (self.count / 2 * PAGE, self.count * PAGE);
        // SAFETY: the first half is mapped; without MREMAP_MAYMOVE it stays in place, and the kernel
        // refuses if anything else has come behind it.
        let start = unsafe { libc::mremap(self.start.cast(), half, whole, 0) };
        assert_eq!(start, self.start.cast(), "{}", io::Error::last_os_error());
    }

    /// Moves pages to where another, as large one has its own, which go. Neither may be touched there.
    pub(crate) fn move_to(&self, pages: Range<usize>, other: &Self) {
        assert!(pages.end <= self.count && pages.len() == other.count);
        let (from, len) = (self.at(pages.start), pages.len() * PAGE);
        let (to, flags) = (other.start, libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED);
        // SAFETY: both ranges are mapped and of this length, and nothing refers to either (the type's
        // invariant).
        let start = unsafe { libc::mremap(from.cast(), len, len, flags, to) };
        assert_eq!(start, to.cast(), "{}", io::Error::last_os_error());
    }

    pub(crate) fn range(&self) -> Range<u64> {
        let start = self.start.addr() as u64;
        start..start + (self.count * PAGE) as u64
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: nothing refers to these pages (the type's invariant). Where some are gone already, the
        // kernel takes the rest.
        unsafe { libc::munmap(self.start.cast(), self.count * PAGE) };
    }
}

/// A memory file of so many pages.
pub(crate) fn memory_file(name: &std::ffi::CStr, count: usize) -> OwnedFd {
    // SAFETY: the name ends with a zero and outlives the call.
    let file = unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC) };
    assert!(file >= 0, "{}", io::Error::last_os_error());
    // SAFETY: the kernel has just made this descriptor, for nobody else.
    let file = unsafe { OwnedFd::from_raw_fd(file) };
    std::fs::File::from(file.try_clone().unwrap())
        .set_len((count * PAGE) as u64)
        .unwrap();
    file
}

/// A forked child that does its work in stages, and waits; killed and waited for in the end.
pub(crate) struct Child {
    pid: i32,
    go: OwnedFd,
    done: OwnedFd,
}

impl Child {
    /// Forks; the child runs `work`, says so, and sleeps. `work` must not allocate or lock much: the
    /// test process has other threads.
    pub(crate) fn after(work: impl Fn()) -> Self {
        Self::in_stages(&[&work])
    }

    /// The same, and the child does the later stages, one at each [`Child::step`].
    pub(crate) fn in_stages(stages: &[&dyn Fn()]) -> Self {
        let ((ready, done), (go, start)) = (pipe(), pipe());
        let Some(pid) = fork() else {
            // The ends that belong to the parent: a read must see its death.
            drop((ready, start));
            die_with_parent();
            for (number, stage) in stages.iter().enumerate() {
                if number > 0 && !receive(&go) {
                    break;
                }
                stage();
                send(&done);
            }
            sleep_for_ever();
        };
        drop((done, go));
        let child = Self {
            pid,
            go: start,
            done: ready,
        };
        assert!(receive(&child.done), "the child died on the way");
        child
    }

    /// Lets the child do its next stage, and waits for it.
    pub(crate) fn step(&self) {
        send(&self.go);
        assert!(receive(&self.done), "the child died on the way");
    }

    /// Lets the child do its next stage.
    pub(crate) fn go(&self) {
        send(&self.go);
    }

    /// Lets the child do its next stage, which is to become another program, and waits for that.
    pub(crate) fn step_into_another_program(&self) {
        send(&self.go);
        assert!(
            !receive(&self.done),
            "the child has not become another program"
        );
    }

    pub(crate) fn pid(&self) -> u32 {
        u32::try_from(self.pid).unwrap()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        end(self.pid);
    }
}

/// Kills a child of this process, or one that it has become the parent of, and waits for it.
pub(crate) fn end(pid: i32) {
    // SAFETY: it is this process's child and was not waited for, so the number is still its own.
    if unsafe { libc::kill(pid, libc::SIGKILL) } != 0 {
        // Gone, or another user's by now: to wait for that one would be for ever.
        return;
    }
    // SAFETY: a null pointer asks for no status.
    unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
}

/// Forks; `None` in the child.
pub(crate) fn fork() -> Option<i32> {
    // SAFETY: the children of these tests use what they have, and call nothing that a thread which was
    // not forked may hold a lock of: glibc looks after its own.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "{}", io::Error::last_os_error());
    (pid != 0).then_some(pid)
}

/// Ends a forked process without running what belongs to the one it was forked from.
pub(crate) fn exit(code: i32) -> ! {
    // SAFETY: ends the process; nothing follows.
    unsafe { libc::_exit(code) }
}

/// A child in this process's own address space, which sleeps until it is killed.
pub(crate) fn clone_in_own_memory() -> i32 {
    extern "C" fn sleep(_: *mut libc::c_void) -> libc::c_int {
        loop {
            // SAFETY: takes nothing and touches no memory of the parent.
            unsafe { libc::pause() };
        }
    }
    const STACK: usize = 64 << 10;
    let stack = Box::leak(vec![0u128; STACK / 16].into_boxed_slice());
    // SAFETY: the stack is leaked, so it outlives the child, and nobody else uses it; its end is aligned to
    // 16 bytes. The child calls one system call over and over, and takes no lock of this process.
    let pid = unsafe {
        let top = stack.as_mut_ptr_range().end.cast();
        libc::clone(
            sleep,
            top,
            libc::CLONE_VM | libc::SIGCHLD,
            std::ptr::null_mut(),
        )
    };
    assert!(pid > 0, "{}", std::io::Error::last_os_error());
    pid
}

pub(crate) fn sleep_for_ever() -> ! {
    loop {
        // SAFETY: a plain system call without pointers.
        unsafe { libc::pause() };
    }
}

/// So that a child goes when its parent does.
pub(crate) fn die_with_parent() {
    control(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
}

/// So that a child stays when its parent goes; the watchdog ends it if nobody else does.
pub(crate) fn outlive_parent() {
    control(libc::PR_SET_PDEATHSIG, 0);
    watchdog();
}

/// This process becomes the parent of orphans, as under `onecopy run`.
pub(crate) fn reap_orphans() {
    control(libc::PR_SET_CHILD_SUBREAPER, 1);
}

/// `prctl` with a number.
pub(crate) fn control(option: i32, value: i32) {
    // SAFETY: the options used here take a number and no pointer.
    let done = unsafe { libc::prctl(option, value) };
    assert_eq!(done, 0, "{}", io::Error::last_os_error());
}

fn watchdog() {
    // SAFETY: a plain system call without pointers; the default action of SIGALRM ends the process.
    unsafe { libc::alarm(HANG_SECONDS) };
}

fn send(end: &OwnedFd) {
    // SAFETY: one byte is readable at this address.
    unsafe { libc::write(end.as_raw_fd(), b"r".as_ptr().cast(), 1) };
}

/// Whether a byte came, and not the end.
fn receive(end: &OwnedFd) -> bool {
    let mut byte = 0u8;
    // SAFETY: one byte is writable at this address.
    let count = unsafe { libc::read(end.as_raw_fd(), (&raw mut byte).cast(), 1) };
    count == 1
}

pub(crate) fn pipe() -> (OwnedFd, OwnedFd) {
    let mut ends = [0; 2];
    // SAFETY: there is room for two descriptors.
    let made = unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) };
    assert_eq!(made, 0, "{}", io::Error::last_os_error());
    // SAFETY: the kernel has just made both, for nobody else.
    let own = |end| unsafe { OwnedFd::from_raw_fd(end) };
    (own(ends[0]), own(ends[1]))
}

/// Runs `check` in a forked process of its own, so that other tests' children are not in the tree.
pub(crate) fn in_a_process(check: impl Fn()) {
    let done = answer_of_a_process(|| {
        check();
        true
    });
    assert!(done);
}

/// The same for a check that answers something.
///
/// The kernel may give a page another frame at any time, when memory is short or in pieces. A page that moves while its
/// processes are read is counted twice, and no scenario can know. The kernel counts such moves, so a check that failed
/// while there were some is done again.
pub(crate) fn answer_of_a_process(check: impl Fn() -> bool) -> bool {
    const REPEATS: u32 = 5;
    for _ in 0..REPEATS {
        let moved = moved_pages();
        let failure = match end_of_a_process(&check) {
            Ok(answer) => return answer,
            Err(failure) => failure,
        };
        let moved = moved_pages() - moved;
        assert_ne!(moved, 0, "{failure}");
        eprintln!("done again: {failure}, but the kernel moved {moved} pages meanwhile");
    }
    panic!("failed {REPEATS} times, and the kernel moved pages each time");
}

/// Pages that the kernel has moved to other frames since it started (`pgmigrate_success` of `proc_vmstat(5)`).
fn moved_pages() -> u64 {
    let counts = std::fs::read_to_string("/proc/vmstat").unwrap();
    let count = counts
        .lines()
        .find_map(|line| line.strip_prefix("pgmigrate_success "));
    count.map_or(0, |count| count.parse().unwrap())
}

/// What a check in a forked process answers, or why it does not.
fn end_of_a_process(check: impl Fn() -> bool) -> Result<bool, &'static str> {
    const NO: i32 = 3;
    take_over_panics();
    let Some(pid) = fork() else {
        IS_FORKED.store(true, Ordering::Relaxed);
        // Its children die with it.
        watchdog();
        let answer = std::panic::catch_unwind(std::panic::AssertUnwindSafe(check));
        exit(answer.map_or(1, |yes| if yes { 0 } else { NO }));
    };
    let mut status = 0;
    // SAFETY: there is room for the status.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    let hung = libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGALRM;
    assert!(
        !hung,
        "the checking process hung for {HANG_SECONDS} seconds"
    );
    match status {
        0 => Ok(true),
        _ if libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == NO => Ok(false),
        _ => Err("the checking process failed; its panic is above"),
    }
}

static IS_FORKED: AtomicBool = AtomicBool::new(false);

/// Panics of forked processes go to the standard error straight away: the harness would keep their text to itself. The
/// hook is set before anybody forks, since a forked process must not wait for a lock of the standard library: the thread
/// that holds it, because it is panicking itself, was not forked.
fn take_over_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !IS_FORKED.load(Ordering::Relaxed) {
                return usual(panic);
            }
            let text = format!("{panic}\n");
            // SAFETY: as many bytes are readable at this address.
            unsafe { libc::write(libc::STDERR_FILENO, text.as_ptr().cast(), text.len()) };
        }));
    });
}

pub(crate) fn become_nobody() -> bool {
    // SAFETY: a plain system call without pointers.
    if unsafe { libc::geteuid() } != 0 {
        skip::skipped("needs root to become nobody");
        return false;
    }
    // SAFETY: a list of no groups is not read.
    assert_eq!(unsafe { libc::setgroups(0, std::ptr::null()) }, 0);
    // SAFETY: a plain system call without pointers.
    assert_eq!(unsafe { libc::setresgid(65534, 65534, 65534) }, 0);
    // SAFETY: a plain system call without pointers.
    assert_eq!(unsafe { libc::setresuid(65534, 65534, 65534) }, 0);
    // Changing the user makes a process unreadable even for itself (PR_SET_DUMPABLE(2const)).
    control(libc::PR_SET_DUMPABLE, 1);
    true
}
