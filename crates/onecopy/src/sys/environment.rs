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
    // SAFETY: both are valid C strings. setenv(3) locks against other setenv calls and glibc never frees
    // an old environment block, so a concurrent getenv of another variable reads a valid string. The
    // variable is set when the default store is chosen and after a fork, by its only thread.
    unsafe { libc::setenv(name.as_ptr(), value.as_ptr(), 1) };
}
