//! One environment variable, as child processes inherit it.
#![allow(
    unsafe_code,
    reason = "changing the environment is unsafe while others read it"
)]

use std::ffi::CString;

/// The variable's value, if it is set and UTF-8.
pub(crate) fn get(name: &str) -> Option<String> {
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
