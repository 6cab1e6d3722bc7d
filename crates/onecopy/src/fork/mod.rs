//! Worker processes over copy-on-write memory: run a closure in forked copies of this process and
//! collect what it returns.
//!
//! A forked worker sees everything that its parent had in memory, without copying it; a page is
//! copied when one side writes to it. So a closure may simply use large data by reference:
//!
//! ```standalone_crate
//! use onecopy::fork::Workers;
//!
//! let table: Vec<u64> = (0..10_000).collect();
//! let workers = Workers::new(4);
//! let sums = workers.map(|worker| table[worker * 2_500..][..2_500].iter().sum::<u64>())?;
//! let total: u64 = sums.into_iter().sum::<Result<u64, _>>()?;
//! assert_eq!(total, 49_995_000);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! ```text
//! parent   start ──▶ fork × n ──▶ go ──▶ collect frames, notice deaths, kill the late ──▶ results
//! worker             └▶ wait for go ──▶ closure ──▶ frame(result | panic) ──▶ _exit
//! ```
//!
//! Results travel through a pipe as serde data (postcard). The parent reads all pipes at once, so
//! results of any size cannot block each other.
//!
//! **What a worker is.** It has the calling thread only, at the point of the call. It ends in
//! `_exit`: no destructor and no `atexit` function of the parent runs twice. What the parent had
//! printed but not yet written out is written before the fork, and what the worker prints is written
//! out when its closure returns or panics.
//!
//! **Panics.** In a worker, the panic hook is replaced: a panic of the closure prints nothing and
//! arrives as [`WorkerError::Panicked`] with its message and place; a panic in a thread that the
//! closure started is none of the closure's, and goes to the hook that was there before. With
//! `panic = "abort"` the worker dies by SIGABRT, which arrives as [`WorkerError::Signaled`].
//!
//! **Invariants**
//! - I1: a worker never returns into its caller's frames.
//! - I2: every worker that was started is waited for, exactly once: by [`Running::join`], or killed
//!   first by dropping [`Running`].
//! - I3: a worker does not outlive the thread that started it: the kernel kills it
//!   (`PR_SET_PDEATHSIG`), and it exits by itself when that thread was gone before it could ask.
//!   This is why [`Running`] cannot be sent to another thread.
//! - I4: a result counts only when all of it has arrived; then it counts however the worker ends.

mod error;
mod frame;
mod running;
mod worker;
mod workers;

pub use error::{ForkError, Place, WorkerError, WorkerId};
pub use running::Running;
pub use worker::Worker;
pub use workers::{Workers, map};
