//! Sleeping on a word of shared memory, and waking who sleeps (`futex(2)`).
#![forbid(unsafe_code)]

use std::time::Duration;

use crate::primitive::AtomicU32;

/// Sleeps while `*word == expected`, at most `timeout`. Wakes spuriously; the caller looks again.
#[cfg(not(loom))]
pub(crate) fn wait(word: &AtomicU32, expected: u32, timeout: Duration) {
    use rustix::thread::futex;
    let timeout = rustix::time::Timespec {
        tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(timeout.subsec_nanos()),
    };
    // Not FUTEX_PRIVATE: the word may be shared between processes. An error means "look again".
    let _ = futex::wait(word, futex::Flags::empty(), expected, Some(&timeout));
}

/// Wakes one sleeper of `word`.
#[cfg(not(loom))]
pub(crate) fn wake(word: &AtomicU32) {
    let _ = rustix::thread::futex::wake(word, rustix::thread::futex::Flags::empty(), 1);
}

/// Wakes so many sleepers of `word` at most; how many there were.
#[cfg(not(loom))]
pub(crate) fn wake_many(word: &AtomicU32, most: u32) -> usize {
    rustix::thread::futex::wake(word, rustix::thread::futex::Flags::empty(), most).unwrap_or(0)
}

/// Under loom a wait is a chance for the other thread to run.
#[cfg(loom)]
pub(crate) fn wait(_word: &AtomicU32, _expected: u32, _timeout: Duration) {
    loom::thread::yield_now();
}

/// Under loom nobody sleeps.
#[cfg(loom)]
pub(crate) fn wake(_word: &AtomicU32) {}
