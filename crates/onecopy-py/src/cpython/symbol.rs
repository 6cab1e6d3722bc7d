//! Functions that the interpreter exports and no header declares for us.
#![allow(unsafe_code, reason = "turns an address into a function")]

use std::ffi::CStr;

/// The function of this name in the running process, if there is one. Looked up, not linked: a Python without it can
/// still import the module.
///
/// # Safety
/// - `F` is a function pointer type, and the function of this name has it.
pub(crate) unsafe fn find<F: Copy>(name: &CStr) -> Option<F> {
    const { assert!(size_of::<F>() == size_of::<*mut libc::c_void>()) };
    // SAFETY: a search among the loaded libraries for a name (dlsym(3)).
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    if found.is_null() {
        return None;
    }
    // SAFETY: a function pointer has the size of an address, and `F` is its type, as this function asks.
    Some(unsafe { (&raw const found).cast::<F>().read() })
}
