//! Starts workers.
#![allow(unsafe_code, reason = "fork; the block states its proof")]

use std::io::{self, Write as _};
use std::num::NonZeroUsize;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use serde::{Serialize, de::DeserializeOwned};

use super::error::{ForkError, WorkerError, WorkerId};
use super::running::{Handle, Running};
use super::worker::Worker;
use crate::sys::process::{self, Forked};

/// Runs `work` in `worker_count` forked processes and collects what they return, in order.
///
/// The same as [`Workers::new`] with [`Workers::map`].
///
/// # Errors
/// [`ForkError`] if the workers cannot be started, for instance because this process has other
/// threads. What happens to one worker is in its own `Result`.
pub fn map<T, F>(worker_count: usize, work: F) -> Result<Vec<Result<T, WorkerError>>, ForkError>
where
    T: Serialize + DeserializeOwned,
    F: Fn(usize) -> T,
{
    Workers::new(worker_count).map(work)
}

/// How workers are to be started.
#[derive(Debug, Clone)]
#[must_use]
pub struct Workers {
    count: usize,
    timeout: Option<Duration>,
    allow_threads: bool,
}

impl Workers {
    /// So many workers, without a timeout, refused in a process with other threads.
    pub fn new(count: usize) -> Self {
        Self {
            count,
            timeout: None,
            allow_threads: false,
        }
    }

    /// As many workers as there are processors for this process.
    ///
    /// # Errors
    /// The number of processors cannot be found out.
    pub fn per_processor() -> io::Result<Self> {
        std::thread::available_parallelism()
            .map(NonZeroUsize::get)
            .map(Self::new)
    }

    /// Kills a worker that takes longer, pauses included.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Whether workers may be started although this process has other threads.
    ///
    /// Then the closure must take no lock that such a thread may hold at the moment of the call:
    /// the thread does not exist in the worker, and nobody would ever unlock it. Allocating memory
    /// and printing are safe.
    pub fn allow_threads(mut self, allow: bool) -> Self {
        self.allow_threads = allow;
        self
    }

    /// Runs `work` in every worker, with the worker's index, and collects the results in order.
    ///
    /// # Errors
    /// As [`map`].
    pub fn map<T, F>(&self, work: F) -> Result<Vec<Result<T, WorkerError>>, ForkError>
    where
        T: Serialize + DeserializeOwned,
        F: Fn(usize) -> T,
    {
        self.start(|worker| work(worker.index()))?.join()
    }

    /// Starts `work` in every worker and returns while they run.
    ///
    /// # Errors
    /// As [`map`].
    pub fn start<T, F>(&self, work: F) -> Result<Running<T>, ForkError>
    where
        T: Serialize + DeserializeOwned,
        F: Fn(&Worker) -> T,
    {
        if !self.allow_threads {
            let threads = process::thread_count();
            let thread_count = threads.map_err(|error| self.failed(0, "reading /proc", error))?;
            if thread_count > 1 {
                return Err(ForkError::Threads { thread_count });
            }
        }
        let mut running = Running::new(self.timeout, self.count);
        for index in 0..self.count {
            let handle = self.start_one(index, &mut running, &work)?;
            running.handles.push(handle);
        }
        let deadline = self
            .timeout
            .and_then(|timeout| Instant::now().checked_add(timeout));
        for handle in &mut running.handles {
            handle.deadline = deadline;
            handle
                .let_go()
                .map_err(|error| self.failed(handle.id.index, "write", error))?;
        }
        Ok(running)
    }

    fn start_one<T, F>(
        &self,
        index: usize,
        running: &mut Running<T>,
        work: &F,
    ) -> Result<Handle, ForkError>
    where
        T: Serialize + DeserializeOwned,
        F: Fn(&Worker) -> T,
    {
        let failed = |step| move |error| self.failed(index, step, error);
        let (news, news_writer) = process::pipe().map_err(failed("pipe"))?;
        let (control_reader, control) = process::pipe().map_err(failed("pipe"))?;
        process::set_nonblocking(news.as_fd()).map_err(failed("ioctl"))?;
        let parent = process::own_pid();
        // Held over the fork: no other thread can be in the middle of printing, and nothing that is
        // already in the buffer can be written twice.
        let mut stdout = io::stdout().lock();
        let _ = stdout.flush();
        // SAFETY: the child branch calls `Worker::run`, which ends in `_exit` on every path and
        // lets nothing unwind, so the child never returns into these frames. Before the closure
        // runs, the child takes only locks that no other thread can hold here: stdout's, which this
        // thread holds over the fork, and glibc's own. Either this is the only thread (checked in
        // `start`), or the caller has taken the duty for the closure with `allow_threads`.
        let forked = unsafe { process::fork() };
        drop(stdout);
        match forked.map_err(failed("fork"))? {
            Forked::Child => {
                // The ends that belong to the parent: kept open here, they would hide its death.
                drop((news, control));
                running.forget_handles();
                Worker::new(index, self.count, news_writer, control_reader).run(parent, work)
            }
            Forked::Parent(pid) => {
                let id = WorkerId {
                    index,
                    pid: pid.as_raw_nonzero().get().unsigned_abs(),
                };
                match process::open_pidfd(pid) {
                    Ok(pidfd) => Ok(Handle::new(id, pidfd, news, control, control_reader)),
                    Err(error) => {
                        // It waits for its first byte; with the pipe closed it exits by itself.
                        drop((control, control_reader));
                        process::wait_by_pid(pid);
                        Err(self.failed(index, "pidfd_open", error))
                    }
                }
            }
        }
    }

    fn failed(&self, worker_index: usize, step: &'static str, source: io::Error) -> ForkError {
        ForkError::Start {
            worker_index,
            worker_count: self.count,
            step,
            source,
        }
    }
}
