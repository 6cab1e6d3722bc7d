//! Processes: fork, the pipes and descriptors to talk to a child, its death and its exit status.
//!
//! A child is named by its pidfd as well as by its pid, so that a signal or a wait can never hit
//! another process that got the same number (`pidfd_open(2)`).
#![allow(
    unsafe_code,
    reason = "fork and _exit have no safe form; each block states its proof"
)]

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions};

/// How long a thread that has been joined may still be listed by the kernel.
const THREAD_EXIT_GRACE: Duration = Duration::from_millis(50);

/// Which side of a fork this is.
#[derive(Debug)]
pub(crate) enum Forked {
    /// The new process.
    Child,
    /// The old one, and the new one's id.
    Parent(Pid),
}

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It exited with this code.
    Exited(i32),
    /// This signal killed it.
    Signaled(i32),
    /// Somebody else has waited for it, or SIGCHLD is ignored.
    Unknown,
}

/// Makes a copy of this process, with the calling thread only.
///
/// # Safety
/// - In the child, only the calling thread exists. If other threads existed before, the child must
///   not rely on anything that they may have left in the middle of a change or locked; glibc's
///   allocator is safe, because glibc's fork holds its locks.
/// - The child must not return through the caller's frames: it ends in [`exit_now`].
pub(crate) unsafe fn fork() -> io::Result<Forked> {
    // SAFETY: fork(2) has no memory preconditions of its own: both processes continue with equal
    // memory. What a child of a process with threads may do is the caller's duty, passed on above.
    let pid = unsafe { libc::fork() };
    match pid {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Forked::Child),
        // `from_raw` is `None` only for 0, which is the child.
        pid => Ok(Pid::from_raw(pid).map_or(Forked::Child, Forked::Parent)),
    }
}

/// Ends this process without running destructors or `atexit` functions and without writing out
/// anybody's buffers: those belong to the process that was copied.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: _exit(2) takes no pointers, cannot fail and does not return; it runs no code of the
    // program, so no invariant of the program can be seen broken afterwards.
    unsafe { libc::_exit(code) }
}

/// Makes the kernel kill this process when the thread that forked it ends; `false` when `parent`
/// is gone already, which the request would not notice (`PR_SET_PDEATHSIG(2const)`).
pub(crate) fn die_with_parent(parent: Pid) -> io::Result<bool> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    Ok(rustix::process::getppid() == Some(parent))
}

/// This process's id.
pub(crate) fn own_pid() -> Pid {
    rustix::process::getpid()
}

/// Threads of this process.
///
/// A thread that was joined just now can be listed for an instant longer, because the kernel wakes
/// the joiner before it takes the thread off its list; so more than one is looked at again.
pub(crate) fn thread_count() -> io::Result<usize> {
    let until = Instant::now() + THREAD_EXIT_GRACE;
    loop {
        let count = fs::read_dir("/proc/self/task")?.count();
        if count <= 1 || Instant::now() >= until {
            return Ok(count);
        }
        std::thread::yield_now();
    }
}

/// A pipe that no program started by exec inherits: reading end, writing end.
pub(crate) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?)
}

/// Makes reads from a pipe return at once when there is nothing.
pub(crate) fn set_nonblocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    Ok(rustix::io::ioctl_fionbio(fd, true)?)
}

/// What a read from a non-blocking pipe found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadOutcome {
    /// So many bytes.
    Bytes(usize),
    /// Nothing yet.
    Nothing,
    /// Every writing end is closed.
    End,
}

/// Reads what is there.
pub(crate) fn read_some(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<ReadOutcome> {
    match rustix::io::retry_on_intr(|| rustix::io::read(fd, &mut *buffer)) {
        Ok(0) => Ok(ReadOutcome::End),
        Ok(count) => Ok(ReadOutcome::Bytes(count)),
        Err(Errno::AGAIN) => Ok(ReadOutcome::Nothing),
        Err(error) => Err(error.into()),
    }
}

/// Writes everything, waiting for room.
pub(crate) fn write_all(fd: BorrowedFd<'_>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let count = rustix::io::retry_on_intr(|| rustix::io::write(fd, bytes))?;
        bytes = bytes.get(count..).unwrap_or_default();
    }
    Ok(())
}

/// Names a child so that the name cannot pass to another process.
pub(crate) fn open_pidfd(pid: Pid) -> io::Result<OwnedFd> {
    Ok(rustix::process::pidfd_open(pid, PidfdFlags::empty())?)
}

/// Kills a child; one that has ended is no error.
pub(crate) fn kill(pidfd: BorrowedFd<'_>) -> io::Result<()> {
    match rustix::process::pidfd_send_signal(pidfd, Signal::KILL) {
        Ok(()) | Err(Errno::SRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Waits for a child to end and takes it off the kernel's list.
pub(crate) fn wait(pidfd: BorrowedFd<'_>) -> io::Result<Ended> {
    let wait = || rustix::process::waitid(WaitId::PidFd(pidfd), WaitIdOptions::EXITED);
    match rustix::io::retry_on_intr(wait) {
        Ok(Some(status)) => Ok(match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => Ended::Exited(code),
            (None, Some(signal)) => Ended::Signaled(signal),
            (None, None) => Ended::Unknown,
        }),
        Ok(None) | Err(Errno::CHILD) => Ok(Ended::Unknown),
        Err(error) => Err(error.into()),
    }
}

/// Waits until one of `fds` can be read or has ended, or `timeout` is over; says which are ready.
pub(crate) fn wait_readable<F: AsFd>(
    fds: &[F],
    timeout: Option<Duration>,
) -> io::Result<Vec<bool>> {
    let mut polled: Vec<PollFd<'_>> = fds
        .iter()
        .map(|fd| PollFd::new(fd, PollFlags::IN))
        .collect();
    let until = timeout.map(|timeout| Instant::now() + timeout);
    loop {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        match rustix::event::poll(&mut polled, left.as_ref()) {
            Ok(_) => return Ok(polled.iter().map(|fd| !fd.revents().is_empty()).collect()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Waits for a child that has no pidfd; it is known to end by itself.
pub(crate) fn wait_by_pid(pid: Pid) {
    let wait = || rustix::process::waitid(WaitId::Pid(pid), WaitIdOptions::EXITED);
    // ECHILD means that it is off the list already, which is all that is wanted.
    let _ = rustix::io::retry_on_intr(wait);
}
