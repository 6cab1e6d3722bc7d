//! Registers the store's handlers with `pthread_atfork(3)`.
#![allow(unsafe_code, reason = "pthread_atfork has no safe wrapper")]

use std::io;
use std::sync::OnceLock;

/// Registers the three handlers once per process; children inherit them.
///
/// The handlers must not unwind: an unwind out of an `extern "C"` function aborts.
pub(crate) fn register(
    prepare: extern "C" fn(),
    parent: extern "C" fn(),
    child: extern "C" fn(),
) -> io::Result<()> {
    static RESULT: OnceLock<i32> = OnceLock::new();
    let code = *RESULT.get_or_init(|| {
        // SAFETY: the handlers are functions of this library, which is never unloaded: it leaves
        // thread-local destructors behind, so glibc pins it (dlclose(3), RTLD_NODELETE).
        unsafe { libc::pthread_atfork(Some(prepare), Some(parent), Some(child)) }
    });
    if code == 0 {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(code))
    }
}
