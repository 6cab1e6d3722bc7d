//! Crash points: with the feature `testing`, a process can ask to be killed after its n-th store to
//! the metadata of a store. Without the feature everything here is empty.
#![cfg_attr(not(feature = "testing"), forbid(unsafe_code))]

#[cfg(feature = "testing")]
pub use armed::{arm, disarm};

#[cfg(not(feature = "testing"))]
pub(crate) fn stored() {}

#[cfg(feature = "testing")]
pub(crate) use armed::stored;

#[cfg(feature = "testing")]
mod armed {
    use std::sync::atomic::{AtomicU64, Ordering};

    static LEFT: AtomicU64 = AtomicU64::new(0);

    /// Kills this process by SIGKILL right after its `stores`-th store from now (1 is the next one).
    pub fn arm(stores: u64) {
        LEFT.store(stores, Ordering::SeqCst);
    }

    /// Takes [`arm`] back and returns how many stores were left.
    pub fn disarm() -> u64 {
        LEFT.swap(0, Ordering::SeqCst)
    }

    pub(crate) fn stored() {
        if LEFT.load(Ordering::Relaxed) == 0 {
            return;
        }
        if LEFT.fetch_sub(1, Ordering::SeqCst) == 1 {
            let _ = rustix::process::kill_process(
                rustix::process::getpid(),
                rustix::process::Signal::KILL,
            );
            loop {
                std::thread::park();
            }
        }
    }
}
