//! Whose rights this process has.
#![forbid(unsafe_code)]

/// The user whose rights this process has, and whose the files and memory files are that it makes.
pub(crate) fn effective() -> u32 {
    rustix::process::geteuid().as_raw()
}
