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
    // SAFETY: dlsym(3) reads a string that ends in a zero, as `CStr` does, and searches the loaded libraries for it.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    if found.is_null() {
        return None;
    }
    // SAFETY: `found` is a variable of this frame, as large as `F` (asserted) and aligned as pointers are. It is not
    // null and the address of a function of type `F`, as this function asks, so it is a value of that type.
    Some(unsafe { (&raw const found).cast::<F>().read() })
}
