//! Waiting for a container's lock: other threads of this interpreter run meanwhile, and Ctrl-C ends it. And what must not
//! run while the lock is held.
#![allow(
    unsafe_code,
    reason = "gives the interpreter away from code that slots call"
)]

use pyo3::ffi;

/// Called around each sleep. Attached threads give the interpreter away; a signal's handler that raises ends the wait.
fn sleep(nap: &mut dyn FnMut()) -> bool {
    // SAFETY: asks about the calling thread alone.
    if unsafe { ffi::PyGILState_Check() } == 0 {
        nap();
        return true;
    }
    // SAFETY: the thread is attached, as was just asked.
    let state = unsafe { ffi::PyEval_SaveThread() };
    nap();
    // SAFETY: the state that this thread gave away above.
    unsafe { ffi::PyEval_RestoreThread(state) };
    // SAFETY: attached again.
    unsafe { ffi::PyErr_CheckSignals() == 0 }
}

/// Sets the hook for this process.
pub(super) fn install() {
    // A second interpreter is refused before this (cpython/main.rs), so the first call is the only one.
    onecopy::shared::set_sleep_hook(sleep);
}

/// While it lives, making objects collects no garbage: that would run finalizers, which are code of others. From 3.12 on
/// the evaluation loop alone collects.
pub(super) struct Quiet {
    was_on: bool,
}

impl Quiet {
    pub(super) fn new() -> Self {
        let was_on = !cfg!(Py_3_12) && {
            // SAFETY: called by methods of Python objects, so by a thread that is attached.
            unsafe { ffi::PyGC_Disable() == 1 }
        };
        Self { was_on }
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        if self.was_on {
            // SAFETY: the guard is dropped by the method that made it, in whose thread, which is attached, it stays.
            unsafe { ffi::PyGC_Enable() };
        }
    }
}
