//! Crash points: with the feature `testing`, a process can ask to be killed after its n-th store to
//! the metadata of a store, and a thread to be ended, or its process stopped, after its n-th store to a container, or to
//! do something else there or after its n-th load; a process can be less patient with holders of its lock, and learn where its
//! words stand; and a thread can look around after each step of writing a file. Without the feature everything here is
//! empty.
#![cfg_attr(not(feature = "testing"), forbid(unsafe_code))]
#![cfg_attr(
    loom,
    allow(
        dead_code,
        unreachable_pub,
        unused_imports,
        reason = "loom takes a part"
    )
)]

#[cfg(feature = "testing")]
pub use armed::{
    arm, disarm, end_thread_after, in_thread, interrupt_after, interrupt_after_store, set_patience,
    stop_process_after, stop_process_from, thread_stores_left, was_interrupted, words_in_use,
};

#[cfg(not(feature = "testing"))]
pub(crate) fn stored() {}

#[cfg(not(feature = "testing"))]
#[inline(always)]
pub(crate) fn container_stored() {}

#[cfg(not(feature = "testing"))]
#[inline(always)]
pub(crate) fn container_loaded() {}

#[cfg(not(feature = "testing"))]
pub(crate) fn patience(usual: std::time::Duration) -> std::time::Duration {
    usual
}

#[cfg(not(any(test, feature = "testing")))]
pub(crate) fn step(_: &'static str) {}

#[cfg(any(test, feature = "testing"))]
pub(crate) use steps::step;
#[cfg(any(test, feature = "testing"))]
pub use steps::{ignore_steps, watch_steps};

#[cfg(any(test, feature = "testing"))]
mod steps {
    use std::cell::RefCell;

    type Look = Box<dyn FnMut(&'static str)>;

    thread_local! {
        static LOOK: RefCell<Option<Look>> = const { RefCell::new(None) };
    }

    /// Calls `look` after each step in which this thread writes a file, with its name.
    pub fn watch_steps(look: impl FnMut(&'static str) + 'static) {
        LOOK.set(Some(Box::new(look)));
    }

    /// Takes [`watch_steps`] back.
    pub fn ignore_steps() {
        LOOK.set(None);
    }

    pub(crate) fn step(name: &'static str) {
        // Not while it looks: it may write files itself.
        let Some(mut look) = LOOK.take() else { return };
        look(name);
        LOOK.set(Some(look));
    }
}

#[cfg(feature = "testing")]
pub(crate) use armed::{container_loaded, container_stored, patience, stored};

#[cfg(feature = "testing")]
#[allow(unsafe_code, reason = "a thread ends here as a kill would end it")]
mod armed {
    use std::cell::{Cell, RefCell};
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    static LEFT: AtomicU64 = AtomicU64::new(0);
    static PATIENCE_MS: AtomicU64 = AtomicU64::new(u64::MAX);

    /// From now on this process waits for a living holder of a store's lock this long at most.
    pub fn set_patience(patience: Duration) {
        let ms = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
        PATIENCE_MS.store(ms, Ordering::SeqCst);
    }

    pub(crate) fn patience(usual: Duration) -> Duration {
        usual.min(Duration::from_millis(PATIENCE_MS.load(Ordering::Relaxed)))
    }

    /// Offsets in the memory file of the words of its metadata that are in use, by kind.
    #[must_use]
    pub fn words_in_use(store: &crate::Store) -> Vec<(&'static str, Vec<u64>)> {
        crate::store::words_in_use(store)
    }

    /// Kills this process by SIGKILL right after its `stores`-th store from now (1 is the next one).
    pub fn arm(stores: u64) {
        LEFT.store(stores, Ordering::SeqCst);
    }

    /// Takes [`arm`] back and returns how many stores were left.
    pub fn disarm() -> u64 {
        LEFT.swap(0, Ordering::SeqCst)
    }

    thread_local! {
        static THREAD_LEFT: Cell<u64> = const { Cell::new(0) };
        static STOPS: Cell<bool> = const { Cell::new(false) };
        /// The count of stores that the next one begins with again.
        static AGAIN: Cell<u64> = const { Cell::new(0) };
    }

    /// Ends the calling thread right after its `stores`-th store to a container from now, as if it had been killed: it
    /// unwinds and drops nothing. 0 takes it back.
    pub fn end_thread_after(stores: u64) {
        THREAD_LEFT.set(stores);
    }

    /// Stops this process by SIGSTOP right after the calling thread's `stores`-th store to a container from now.
    pub fn stop_process_after(stores: u64) {
        STOPS.set(true);
        THREAD_LEFT.set(stores);
    }

    /// The same, and again after each store that follows.
    pub fn stop_process_from(stores: u64) {
        AGAIN.set(1);
        stop_process_after(stores);
    }

    /// How many stores are left to a thread that called [`end_thread_after`].
    #[must_use]
    pub fn thread_stores_left() -> u64 {
        THREAD_LEFT.get()
    }

    type Work = Box<dyn FnOnce()>;

    thread_local! {
        static LOADS_LEFT: Cell<u64> = const { Cell::new(0) };
        static INTERRUPT: RefCell<Option<Work>> = const { RefCell::new(None) };
        static AT_STORE: RefCell<Option<Work>> = const { RefCell::new(None) };
    }

    /// Does `work` right after the calling thread's `stores`-th store to a container from now: what others do while it is off
    /// its processor there.
    pub fn interrupt_after_store(stores: u64, work: impl FnOnce() + 'static) {
        AT_STORE.set(Some(Box::new(work)));
        THREAD_LEFT.set(stores);
    }

    /// Does `work` right after the `loads`-th load of a word of a container by the calling thread: what others do while a
    /// reader is off its processor there.
    pub fn interrupt_after(loads: u64, work: impl FnOnce() + 'static) {
        INTERRUPT.set(Some(Box::new(work)));
        LOADS_LEFT.set(loads);
    }

    /// Whether the work of [`interrupt_after`] was done; takes it back if not.
    #[must_use]
    pub fn was_interrupted() -> bool {
        LOADS_LEFT.set(0);
        INTERRUPT.take().is_none()
    }

    #[inline]
    pub(crate) fn container_loaded() {
        let left = LOADS_LEFT.get();
        if left == 0 {
            return;
        }
        LOADS_LEFT.set(left - 1);
        if left == 1
            && let Some(work) = INTERRUPT.take()
        {
            work();
        }
    }

    /// Runs `work` in a thread that may end in the middle of it; whether it came to its end.
    ///
    /// # Panics
    /// No thread can be made.
    pub fn in_thread<F: FnMut() + Send>(work: F) -> bool {
        struct Work<F> {
            work: F,
            is_done: bool,
        }
        extern "C" fn run<F: FnMut()>(argument: *mut std::ffi::c_void) -> *mut std::ffi::c_void {
            // SAFETY: the argument is the `Work` below, which nobody else uses before this thread has ended.
            let work = unsafe { &mut *argument.cast::<Work<F>>() };
            (work.work)();
            end_thread_after(0);
            work.is_done = true;
            std::ptr::null_mut()
        }
        let mut work = Work {
            work,
            is_done: false,
        };
        let mut thread = 0;
        let argument = (&raw mut work).cast();
        // SAFETY: `thread` is a valid place, `run` fits, and `argument` outlives the thread, which is waited for.
        let error =
            unsafe { libc::pthread_create(&raw mut thread, std::ptr::null(), run::<F>, argument) };
        assert_eq!(error, 0);
        // SAFETY: the thread was made above and is joined once. The kernel says when it has ended, however it does.
        let error = unsafe { libc::pthread_join(thread, std::ptr::null_mut()) };
        assert_eq!(error, 0);
        work.is_done
    }

    pub(crate) fn container_stored() {
        stored();
        let left = THREAD_LEFT.get();
        if left == 0 {
            return;
        }
        THREAD_LEFT.set(left - 1);
        if left > 1 {
            return;
        }
        if let Some(work) = AT_STORE.take() {
            work();
        } else if STOPS.get() {
            THREAD_LEFT.set(AGAIN.get());
            let me = rustix::process::getpid();
            let _ = rustix::process::kill_process(me, rustix::process::Signal::STOP);
        } else {
            // SAFETY: exit(2) ends this thread alone. Nobody uses its stack or what it owns any more: what it lent to others
            // stays where it is, since nothing is unwound or freed.
            unsafe { libc::syscall(libc::SYS_exit, 0) };
        }
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
