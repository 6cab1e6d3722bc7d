//! What can go wrong with all workers, and with one.
#![forbid(unsafe_code)]

use std::fmt;
use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Why workers could not be started or followed. None is left behind.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ForkError {
    /// The process has other threads.
    #[error(
        "this process has {thread_count} threads, and fork copies only the calling one: a lock that \
         another thread holds at this moment would stay locked in the workers for ever; start the \
         workers before the threads, or say allow_threads(true) if the closure takes no such lock"
    )]
    Threads {
        /// How many, the calling one included.
        thread_count: usize,
    },
    /// The kernel refused to make one of the workers.
    #[error("cannot start worker {worker_index} of {worker_count}: {step} failed: {source}")]
    Start {
        /// Which worker.
        worker_index: usize,
        /// How many were asked for.
        worker_count: usize,
        /// The system call.
        step: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// The kernel refused while the workers ran; they have been killed.
    #[error("cannot follow the workers: {step} failed: {source}")]
    Follow {
        /// The system call.
        step: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

/// Which worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WorkerId {
    /// 0 for the first.
    pub index: usize,
    /// Its process.
    pub pid: u32,
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "worker {} (process {})", self.index, self.pid)
    }
}

/// A place in source code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Path as the compiler saw it.
    pub file: String,
    /// 1 for the first.
    pub line: u32,
    /// 1 for the first.
    pub column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// Why a worker has no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// Its closure panicked.
    #[error("{worker} panicked{}: {message}", place.as_ref().map(|p| format!(" at {p}")).unwrap_or_default())]
    Panicked {
        /// The worker.
        worker: WorkerId,
        /// What the panic said.
        message: String,
        /// Where; `None` for a payload thrown by `resume_unwind`.
        place: Option<Place>,
    },
    /// A signal killed it.
    #[error("{worker} was killed by {}{}", signal_name(*signal), signal_hint(*signal))]
    Signaled {
        /// The worker.
        worker: WorkerId,
        /// The signal's number.
        signal: i32,
    },
    /// It ended by itself before its closure returned.
    #[error("{worker} exited with code {code} before its closure returned")]
    Exited {
        /// The worker.
        worker: WorkerId,
        /// Its exit code; 0 too means that no result was written.
        code: i32,
    },
    /// It took too long and was killed.
    #[error("{worker} took longer than {timeout:?} and was killed")]
    TimedOut {
        /// The worker.
        worker: WorkerId,
        /// What it was allowed.
        timeout: Duration,
    },
    /// It exited in the middle of writing its result.
    #[error(
        "{worker} exited with code {code} after {received_bytes} of {expected_bytes} bytes of its result"
    )]
    Torn {
        /// The worker.
        worker: WorkerId,
        /// Its exit code.
        code: i32,
        /// Bytes that it announced; `None` if not even that arrived whole.
        expected_bytes: ExpectedBytes,
        /// Bytes that arrived.
        received_bytes: u64,
    },
    /// The result could not be turned into bytes.
    #[error("the result of {worker} cannot be serialized: {message}")]
    Encode {
        /// The worker.
        worker: WorkerId,
        /// What the serializer said.
        message: String,
    },
    /// The bytes could not be turned into a result, or are of no known form.
    #[error("the result of {worker} cannot be read: {message}")]
    Decode {
        /// The worker.
        worker: WorkerId,
        /// What the deserializer said.
        message: String,
    },
    /// It ended, and its exit status was lost.
    #[error(
        "{worker} ended without a result, and its exit status is lost: SIGCHLD is ignored, or \
         something else in this process waits for every child"
    )]
    StatusLost {
        /// The worker.
        worker: WorkerId,
    },
}

impl WorkerError {
    /// The worker.
    #[must_use]
    pub fn worker(&self) -> WorkerId {
        match self {
            Self::Panicked { worker, .. }
            | Self::Signaled { worker, .. }
            | Self::Exited { worker, .. }
            | Self::TimedOut { worker, .. }
            | Self::Torn { worker, .. }
            | Self::Encode { worker, .. }
            | Self::Decode { worker, .. }
            | Self::StatusLost { worker } => *worker,
        }
    }
}

/// Length of a result, if its announcement arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpectedBytes(pub Option<u64>);

impl fmt::Display for ExpectedBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(count) => write!(f, "{count}"),
            None => f.write_str("an unknown number of"),
        }
    }
}

fn signal_name(signal: i32) -> String {
    let name = match signal {
        libc::SIGABRT => "SIGABRT",
        libc::SIGALRM => "SIGALRM",
        libc::SIGBUS => "SIGBUS",
        libc::SIGFPE => "SIGFPE",
        libc::SIGHUP => "SIGHUP",
        libc::SIGILL => "SIGILL",
        libc::SIGINT => "SIGINT",
        libc::SIGKILL => "SIGKILL",
        libc::SIGPIPE => "SIGPIPE",
        libc::SIGQUIT => "SIGQUIT",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGSYS => "SIGSYS",
        libc::SIGTERM => "SIGTERM",
        libc::SIGTRAP => "SIGTRAP",
        libc::SIGXCPU => "SIGXCPU",
        _ => return format!("signal {signal}"),
    };
    format!("{name} (signal {signal})")
}

fn signal_hint(signal: i32) -> &'static str {
    match signal {
        libc::SIGKILL => "; if nobody sent it, the kernel ran out of memory (see dmesg)",
        libc::SIGABRT => "; a panic while panicking, or panic = \"abort\", ends like this",
        libc::SIGSEGV => "; a stack that overflowed ends like this too",
        _ => "",
    }
}
