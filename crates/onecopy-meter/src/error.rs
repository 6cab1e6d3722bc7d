//! Why something could not be measured.
#![forbid(unsafe_code)]

use std::io;
use std::path::PathBuf;

use crate::parse::ParseError;

/// Why a process or the machine could not be measured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MeterError {
    /// The process does not exist, or has exited and keeps no memory.
    #[error("process {pid} is gone")]
    Gone {
        /// The process.
        pid: u32,
    },
    /// `/proc` is that of another pid namespace, so that its numbers mean other processes.
    #[error(
        "/proc is not of this process's pid namespace: process {pid} is called {} there; mount its own \
         (mount -t proc proc /proc, or unshare --mount-proc)",
        crate::read::name_of(found.as_deref())
    )]
    OtherNamespace {
        /// This process.
        pid: u32,
        /// What it is called there, if anything.
        found: Option<PathBuf>,
    },
    /// The process is a thread of the kernel.
    #[error("process {pid} is a kernel thread, which has no memory of its own")]
    KernelThread {
        /// The process.
        pid: u32,
    },
    /// The process belongs to somebody else, has more privileges, or has made itself unreadable (`PR_SET_DUMPABLE`).
    #[error("process {pid} may not be looked into ({}): {}", path.display(), crate::read::way_in(*pid))]
    Denied {
        /// The process.
        pid: u32,
        /// What was refused.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A file of /proc could not be read for another reason.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A file of /proc holds something unexpected.
    #[error("{}: {source}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// The line and what was expected there.
        source: ParseError,
    },
    /// Adding up exceeded 64 bits: the numbers cannot be true.
    #[error("the sum of {what} over {processes} processes exceeds 64 bits")]
    Overflow {
        /// What was added up.
        what: &'static str,
        /// Over how many processes.
        processes: usize,
    },
}
