//! Waiting for a container's lock: other threads of this interpreter run meanwhile, and Ctrl-C ends it.
#![allow(unsafe_code, reason = "gives the interpreter away from code that slots call")]

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
