//! Whose rights this process has.
#![allow(unsafe_code, reason = "getresuid has no safe wrapper")]

use rustix::thread::CapabilitySet;

/// The user whose rights this process has, and whose the memory files are that it makes.
pub(crate) fn effective() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Whether this process can never have another effective user, whatever it calls (`credentials(7)`): its real,
/// effective and saved user are one, and it has no right to choose another. Its fork children neither.
pub(crate) fn is_fixed() -> bool {
    let (mut real, mut effective, mut saved) = (0, 0, 0);
    // SAFETY: three valid places for the results.
    let asked = unsafe { libc::getresuid(&raw mut real, &raw mut effective, &raw mut saved) };
    asked == 0
        && real == effective
        && effective == saved
        && rustix::thread::capabilities(None)
            .is_ok_and(|sets| !sets.permitted.contains(CapabilitySet::SETUID))
}
