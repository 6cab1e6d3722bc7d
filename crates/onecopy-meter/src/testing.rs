//! Steps of a reading: with the feature `testing`, a test can have something happen just before the n-th
//! time that its thread asks the kernel about certain processes. Without the feature everything here is empty.
#![forbid(unsafe_code)]

#[cfg(feature = "testing")]
pub use armed::{arm, disarm};

#[cfg(not(feature = "testing"))]
pub(crate) fn step(_pid: u32) {}

#[cfg(feature = "testing")]
pub(crate) use armed::step;

#[cfg(feature = "testing")]
mod armed {
    use std::cell::RefCell;

    struct Armed {
        pids: Vec<u32>,
        /// Steps before the one that matters.
        before: u64,
        action: Box<dyn FnOnce()>,
    }

    thread_local! {
        static ARMED: RefCell<Option<Armed>> = const { RefCell::new(None) };
    }

    /// Runs `action` just before this thread's `step`-th look at any of `pids` from now (1 is the next one).
    pub fn arm(pids: &[u32], step: u64, action: impl FnOnce() + 'static) {
        let armed = Armed {
            pids: pids.to_vec(),
            before: step.saturating_sub(1),
            action: Box::new(action),
        };
        ARMED.set(Some(armed));
    }

    /// Takes [`arm`] back, and says whether the action has run.
    #[must_use]
    pub fn disarm() -> bool {
        ARMED.take().is_none()
    }

    pub(crate) fn step(pid: u32) {
        let now = ARMED.with_borrow_mut(|slot| match slot {
            Some(armed) if armed.pids.contains(&pid) && armed.before > 0 => {
                armed.before -= 1;
                None
            }
            Some(armed) if armed.pids.contains(&pid) => slot.take(),
            _ => None,
        });
        if let Some(armed) = now {
            (armed.action)();
        }
    }
}
