//! The parent's side: workers that run.
#![forbid(unsafe_code)]

use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;

use super::error::{ExpectedBytes, ForkError, WorkerError, WorkerId};
use super::frame::{Assembler, Frame, Panic};
use crate::sys::process::{self, Ended, ReadOutcome};

/// Bytes read from one pipe at once; a pipe holds 64 KiB by default (`pipe(7)`).
const READ_BYTES: usize = 1 << 16;

/// Workers that have been started; dropping it kills them.
///
/// It stays on the thread that started the workers, because the kernel ties their lives to it:
///
/// ```compile_fail
/// let running = onecopy::fork::Workers::new(1).start(|worker| worker.index()).unwrap();
/// std::thread::spawn(move || running.join());
/// ```
#[derive(Debug)]
pub struct Running<T> {
    pub(super) handles: Vec<Handle>,
    timeout: Option<Duration>,
    result: PhantomData<T>,
    /// Not `Send` (I3 of the module).
    tied_to_thread: PhantomData<*const ()>,
}

/// One worker, as its parent sees it.
#[derive(Debug)]
pub(super) struct Handle {
    pub(super) id: WorkerId,
    pub(super) deadline: Option<Instant>,
    pidfd: OwnedFd,
    news: OwnedFd,
    control: OwnedFd,
    /// Kept so that a byte to a worker that has died is no SIGPIPE.
    _control_reader: OwnedFd,
    assembler: Assembler,
    /// The last frame of a worker: result, panic, or a failure to say either.
    last: Option<Frame>,
    paused: bool,
    news_ended: bool,
    late: bool,
    ended: Option<Ended>,
}

impl Handle {
    pub(super) fn new(
        id: WorkerId,
        pidfd: OwnedFd,
        news: OwnedFd,
        control: OwnedFd,
        control_reader: OwnedFd,
    ) -> Self {
        Self {
            id,
            deadline: None,
            pidfd,
            news,
            control,
            _control_reader: control_reader,
            assembler: Assembler::default(),
            last: None,
            paused: false,
            news_ended: false,
            late: false,
            ended: None,
        }
    }

    /// Lets a worker that waits go on.
    pub(super) fn let_go(&mut self) -> io::Result<()> {
        self.paused = false;
        process::write_all(self.control.as_fd(), &[1])
    }

    /// Takes in whatever stands in the pipe.
    fn read_news(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        while !self.news_ended {
            match process::read_some(self.news.as_fd(), buffer)? {
                ReadOutcome::Nothing => return Ok(()),
                ReadOutcome::End => self.news_ended = true,
                ReadOutcome::Bytes(count) => {
                    self.assembler.push(buffer.get(..count).unwrap_or_default());
                    while self.last.is_none() {
                        match self.assembler.next() {
                            Some(Frame::Paused) => self.paused = true,
                            Some(frame) => self.last = Some(frame),
                            None => break,
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Kills the worker if its time is over.
    fn enforce_deadline(&mut self, now: Instant) -> io::Result<()> {
        if !self.late && self.deadline.is_some_and(|deadline| deadline <= now) {
            process::kill(self.pidfd.as_fd())?;
            self.late = true;
        }
        Ok(())
    }

    /// Takes the worker off the kernel's list, with everything that it had still written.
    fn finish(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        let ended = process::wait(self.pidfd.as_fd())?;
        self.ended = Some(ended);
        self.paused = false;
        // A process that the worker started may hold the pipe open, so its end is not waited for.
        self.read_news(buffer)
    }

    fn kill_and_wait(&mut self) {
        if self.ended.is_none() {
            // Only a child that is already gone cannot be killed by its pidfd.
            let _ = process::kill(self.pidfd.as_fd());
            self.ended = process::wait(self.pidfd.as_fd())
                .ok()
                .or(Some(Ended::Unknown));
        }
    }

    /// What came out of the worker, once it has ended.
    fn outcome<T: DeserializeOwned>(self, timeout: Option<Duration>) -> Result<T, WorkerError> {
        let worker = self.id;
        match self.last {
            Some(Frame::Result(bytes)) => {
                let decode = |error: postcard::Error| WorkerError::Decode {
                    worker,
                    message: error.to_string(),
                };
                let (result, rest) = postcard::take_from_bytes(&bytes).map_err(decode)?;
                if rest.is_empty() {
                    return Ok(result);
                }
                let message = format!("{} bytes too many", rest.len());
                return Err(WorkerError::Decode { worker, message });
            }
            Some(Frame::Panic(bytes)) => {
                let Panic { message, place } =
                    postcard::from_bytes(&bytes).map_err(|error| WorkerError::Decode {
                        worker,
                        message: format!("its panic cannot be read: {error}"),
                    })?;
                return Err(WorkerError::Panicked {
                    worker,
                    message,
                    place,
                });
            }
            Some(Frame::Encode(bytes)) => {
                let message = String::from_utf8_lossy(&bytes).into_owned();
                return Err(WorkerError::Encode { worker, message });
            }
            Some(Frame::Unknown(byte)) => {
                let message = format!("something else wrote to its pipe (first byte {byte:#04x})");
                return Err(WorkerError::Decode { worker, message });
            }
            Some(Frame::Paused) | None => {}
        }
        match (self.ended, timeout) {
            (_, Some(timeout)) if self.late => Err(WorkerError::TimedOut { worker, timeout }),
            (Some(Ended::Signaled(signal)), _) => Err(WorkerError::Signaled { worker, signal }),
            (Some(Ended::Exited(code)), _) => Err(match self.assembler.unfinished() {
                Some((expected, received_bytes)) => {
                    let expected_bytes = ExpectedBytes(expected);
                    WorkerError::Torn {
                        worker,
                        code,
                        expected_bytes,
                        received_bytes,
                    }
                }
                None => WorkerError::Exited { worker, code },
            }),
            (Some(Ended::Unknown) | None, _) => Err(WorkerError::StatusLost { worker }),
        }
    }
}

/// What a pause means while workers are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Paused {
    /// The worker has come as far as it shall.
    IsEnough,
    /// It is let go on at once.
    GoesOn,
}

impl<T> Running<T> {
    pub(super) fn new(timeout: Option<Duration>, count: usize) -> Self {
        Self {
            handles: Vec::with_capacity(count),
            timeout,
            result: PhantomData,
            tied_to_thread: PhantomData,
        }
    }

    /// Closes what a fresh worker has inherited about its elder siblings, without killing them.
    pub(super) fn forget_handles(&mut self) {
        drop(std::mem::take(&mut self.handles));
    }

    /// The workers' processes, in order. A worker that has ended keeps its number until it is
    /// noticed by [`Running::wait_paused`] or [`Running::join`].
    #[must_use]
    pub fn pids(&self) -> Vec<u32> {
        self.handles.iter().map(|handle| handle.id.pid).collect()
    }

    /// Waits until every worker is in [`Worker::pause`] or has ended, and says how many pause.
    ///
    /// # Errors
    /// The kernel refuses to wait.
    ///
    /// [`Worker::pause`]: super::Worker::pause
    pub fn wait_paused(&mut self) -> Result<usize, ForkError> {
        self.follow(Paused::IsEnough)?;
        Ok(self.handles.iter().filter(|handle| handle.paused).count())
    }

    /// Lets every worker that pauses go on.
    ///
    /// # Errors
    /// The kernel refuses to write to a pipe.
    pub fn resume(&mut self) -> Result<(), ForkError> {
        for handle in self.handles.iter_mut().filter(|handle| handle.paused) {
            handle.let_go().map_err(|source| ForkError::Follow {
                step: "write",
                source,
            })?;
        }
        Ok(())
    }

    /// Waits until every worker has ended and collects the results, in order. Workers that pause are
    /// let go on.
    ///
    /// # Errors
    /// The kernel refuses to wait; the workers are killed then.
    pub fn join(mut self) -> Result<Vec<Result<T, WorkerError>>, ForkError>
    where
        T: DeserializeOwned,
    {
        self.resume()?;
        self.follow(Paused::GoesOn)?;
        let (timeout, handles) = (self.timeout, std::mem::take(&mut self.handles));
        Ok(handles
            .into_iter()
            .map(|handle| handle.outcome(timeout))
            .collect())
    }

    /// Reads, waits and enforces deadlines until every worker has ended, or pauses if that is enough.
    fn follow(&mut self, paused: Paused) -> Result<(), ForkError> {
        let failed = |step| move |source| ForkError::Follow { step, source };
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let now = Instant::now();
            let mut watched: Vec<BorrowedFd<'_>> = Vec::new();
            let mut next_deadline: Option<Instant> = None;
            for handle in self
                .handles
                .iter_mut()
                .filter(|handle| handle.ended.is_none())
            {
                handle
                    .enforce_deadline(now)
                    .map_err(failed("pidfd_send_signal"))?;
            }
            let open = |handle: &&Handle| {
                let enough = handle.paused && paused == Paused::IsEnough;
                handle.ended.is_none() && !enough
            };
            for handle in self.handles.iter().filter(open) {
                watched.push(handle.pidfd.as_fd());
                if !handle.news_ended {
                    watched.push(handle.news.as_fd());
                }
            }
            if watched.is_empty() {
                return Ok(());
            }
            for handle in self.handles.iter().filter(|handle| handle.ended.is_none()) {
                let deadline = handle.deadline.filter(|_| !handle.late);
                next_deadline = next_deadline.into_iter().chain(deadline).min();
            }
            let left = next_deadline.map(|deadline| deadline.saturating_duration_since(now));
            let ready = process::wait_readable(&watched, left).map_err(failed("poll"))?;
            let mut ready = ready.into_iter();
            for handle in &mut self.handles {
                if !open(&&*handle) {
                    continue;
                }
                let has_ended = ready.next().unwrap_or(false);
                let has_news = !handle.news_ended && ready.next().unwrap_or(false);
                if has_news {
                    handle.read_news(&mut buffer).map_err(failed("read"))?;
                }
                if has_ended {
                    handle.finish(&mut buffer).map_err(failed("waitid"))?;
                } else if handle.paused && paused == Paused::GoesOn {
                    handle.let_go().map_err(failed("write"))?;
                }
            }
        }
    }
}

impl<T> Drop for Running<T> {
    fn drop(&mut self) {
        self.handles.iter_mut().for_each(Handle::kill_and_wait);
    }
}
