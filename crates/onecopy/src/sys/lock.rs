//! Locks that the kernel keeps: between threads of one process, and of open file descriptions.
//!
//! [`LocalLock`] excludes threads of one process and can be held across `fork` (the guard of a
//! `std` mutex could not be given back in the child). [`OfdLock`] says whether a process is alive: the kernel drops it when the last
//! descriptor of its description closes, however the process died (`fcntl(2)`, open file
//! description locks; unlike record locks they are not lost when another descriptor closes).
#![allow(unsafe_code, reason = "fcntl with struct flock has no safe wrapper")]

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::time::Duration;

use rustix::io::Errno;

use super::futex::{wait, wake};
use crate::primitive::{AtomicU32, Ordering};

const FREE: u32 = 0;
const HELD: u32 = 1;
const HELD_WAITED_FOR: u32 = 2;

/// A futex mutex for the threads of one process, without a guard.
#[derive(Debug)]
pub(crate) struct LocalLock(AtomicU32);

impl LocalLock {
    /// A free lock.
    pub(crate) const fn new() -> Self {
        Self(AtomicU32::new(FREE))
    }

    /// Waits until the lock is this thread's.
    pub(crate) fn lock(&self) {
        // Acquire: pairs with Release in `unlock`.
        if self
            .0
            .compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
        {
            return;
        }
        // Acquire: pairs with Release in `unlock`.
        while self.0.swap(HELD_WAITED_FOR, Ordering::Acquire) != FREE {
            wait(&self.0, HELD_WAITED_FOR, Duration::from_secs(1));
        }
    }

    /// Gives the lock back. Only its holder may call this, or the holder's fork child.
    pub(crate) fn unlock(&self) {
        // Release: publishes everything done under the lock; pairs with Acquire in `lock`.
        if self.0.swap(FREE, Ordering::Release) == HELD_WAITED_FOR {
            wake(&self.0);
        }
    }
}

/// A write lock on one byte of a file, owned by an open file description.
pub(crate) struct OfdLock;

impl OfdLock {
    /// Takes the lock of `byte` for the description behind `fd`; `false` when somebody else has it.
    pub(crate) fn try_take(fd: BorrowedFd<'_>, byte: u64) -> io::Result<bool> {
        let mut range = Self::range(byte)?;
        match Self::fcntl(fd, libc::F_OFD_SETLK, &mut range) {
            Ok(()) => Ok(true),
            Err(error) => match error.raw_os_error().map(Errno::from_raw_os_error) {
                Some(Errno::AGAIN | Errno::ACCESS) => Ok(false),
                _ => Err(error),
            },
        }
    }

    /// Gives the lock of `byte` back.
    pub(crate) fn release(fd: BorrowedFd<'_>, byte: u64) -> io::Result<()> {
        let mut range = Self::range(byte)?;
        range.l_type = libc::F_UNLCK as libc::c_short;
        Self::fcntl(fd, libc::F_OFD_SETLK, &mut range)
    }

    /// Whether another description holds the lock of `byte`.
    pub(crate) fn is_held_by_another(fd: BorrowedFd<'_>, byte: u64) -> io::Result<bool> {
        let mut range = Self::range(byte)?;
        Self::fcntl(fd, libc::F_OFD_GETLK, &mut range)?;
        Ok(i32::from(range.l_type) != libc::F_UNLCK)
    }

    fn range(byte: u64) -> io::Result<libc::flock> {
        let start =
            i64::try_from(byte).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(libc::flock {
            l_type: libc::F_WRLCK as libc::c_short,
            l_whence: libc::SEEK_SET as libc::c_short,
            l_start: start,
            l_len: 1,
            // Must be 0 for locks of open file descriptions (fcntl(2)).
            l_pid: 0,
        })
    }

    fn fcntl(fd: BorrowedFd<'_>, command: i32, range: &mut libc::flock) -> io::Result<()> {
        loop {
            // SAFETY: these commands read and write one `struct flock`, which `range` is, exclusively borrowed for the
            // whole call (fcntl(2)).
            let result = unsafe { libc::fcntl(fd.as_raw_fd(), command, std::ptr::from_mut(range)) };
            if result != -1 {
                return Ok(());
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use super::*;
    use crate::sys::memory;

    #[test]
    fn a_lock_of_a_description_ends_with_it() {
        let first = memory::create("onecopy-test").unwrap();
        let second = memory::reopen(first.as_fd()).unwrap();
        assert!(OfdLock::try_take(first.as_fd(), 1 << 40).unwrap());
        assert!(!OfdLock::try_take(second.as_fd(), 1 << 40).unwrap());
        assert!(OfdLock::is_held_by_another(second.as_fd(), 1 << 40).unwrap());
        assert!(!OfdLock::is_held_by_another(first.as_fd(), 1 << 40).unwrap());
        drop(first);
        assert!(!OfdLock::is_held_by_another(second.as_fd(), 1 << 40).unwrap());
        assert!(OfdLock::try_take(second.as_fd(), 1 << 40).unwrap());
        OfdLock::release(second.as_fd(), 1 << 40).unwrap();
    }

    #[test]
    fn the_local_lock_excludes() {
        static LOCK: LocalLock = LocalLock::new();
        let total = std::sync::Arc::new(std::sync::Mutex::new(0u32));
        let mut inside = std::cell::Cell::new(0u32);
        let pointer = std::ptr::from_mut(&mut inside) as usize;
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let total = std::sync::Arc::clone(&total);
                std::thread::spawn(move || {
                    for _ in 0..10_000 {
                        LOCK.lock();
                        // SAFETY: the address of `inside`, which outlives the threads, as they are joined below, and
                        // which only the holder of the lock touches meanwhile.
                        let cell = unsafe { &*(pointer as *const std::cell::Cell<u32>) };
                        cell.set(cell.get() + 1);
                        LOCK.unlock();
                    }
                    *total.lock().unwrap() += 10_000;
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(
            (inside.get_mut(), *total.lock().unwrap()),
            (&mut 40_000, 40_000)
        );
    }
}
