//! One environment variable, as child processes inherit it.
//!
//! A program that runs with more rights than whoever started it (set-user-id, set-group-id, file capabilities:
//! `AT_SECURE` in `getauxval(3)`) reads none: its environment was written by somebody with fewer rights.
#![allow(
    unsafe_code,
    reason = "changing the environment is unsafe while others read it, and getauxval has no safe form"
)]

use std::ffi::CString;

/// Whether the environment was written by somebody with fewer rights than this program has.
pub(crate) fn is_untrusted() -> bool {
    // SAFETY: getauxval(3) takes a number and reads what the kernel gave to this process at exec; an unknown number
    // gives 0.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// The variable's value, if it is set and UTF-8 and the environment is to be believed.
pub(crate) fn get(name: &str) -> Option<String> {
    if is_untrusted() {
        return None;
    }
    std::env::var(name).ok()
}

/// Sets the variable for this process and the children it will start.
pub(crate) fn set(name: &str, value: &str) {
    let (Ok(name), Ok(value)) = (CString::new(name), CString::new(value)) else {
        return;
    };
    // SAFETY: both are valid C strings, and setenv(3) locks against other calls of itself. It is not safe
    // against a getenv in another thread at the same moment (glibc before 2.41 may move the array of
    // pointers); as for any program that sets a variable, this rests on its happening once, when the
    // default store is chosen, which Python does with the GIL held, as `os.environ` does.
    unsafe { libc::setenv(name.as_ptr(), value.as_ptr(), 1) };
}
