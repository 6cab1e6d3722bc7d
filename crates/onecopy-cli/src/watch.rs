//! The sampler of `onecopy run` for programs that watch themselves.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Result;
use onecopy_meter::{ForkLog, Level, Proc, Report, Session};

use crate::command::run::record::Record;
use crate::command::run::sampler::{Sampler, Seen};
use crate::output::html;

/// A thread that samples a process and its children.
#[derive(Debug)]
pub struct Watch {
    stop: Sender<Instant>,
    thread: JoinHandle<Seen>,
    level: Level,
    forks: ForkLog,
    started: Instant,
    overhead: f64,
}

/// What noting forks may cost before it was saved up: a parent of some GiB may fork a pool of workers at once.
const FORK_CREDIT: Duration = Duration::from_millis(300);

impl Watch {
    /// Starts to sample. `overhead` is the part of one processor that this may take; in `side_folder`
    /// programs leave the names of memory that they want to see.
    #[must_use]
    pub fn start(pid: u32, overhead: f64, side_folder: Option<PathBuf>) -> Self {
        let started = Instant::now();
        let session = Session::new(Proc::default(), pid);
        let level = session.level();
        let forks = session.fork_log();
        let sampler = Sampler::new(session, started, overhead, side_folder, false);
        let (stop, stopped) = channel();
        Self {
            stop,
            thread: thread::spawn(move || sampler.run_with_last_reading(&stopped)),
            level,
            forks,
            started,
            overhead,
        }
    }

    /// Notes that this process is about to fork, and what it has now, as far as the budget goes: only then
    /// can a later reading tell what a child has copied from what both have allocated since.
    pub fn note_fork(&self) {
        let saved = self.started.elapsed().mul_f64(self.overhead);
        // A fork that could not be looked at is judged by what its first reading finds.
        let _ = self.forks.note(&Proc::default(), saved.max(FORK_CREDIT));
    }

    /// Leaves everything as it is: in a forked child there is no thread to stop, and the locks of what it
    /// used may be held for ever.
    pub fn abandon(self) {
        std::mem::forget(self);
    }

    /// Ends the sampling with one last reading.
    ///
    /// # Errors
    /// The sampling thread has panicked.
    pub fn stop(self) -> Result<Watched> {
        // The other end is gone only if the thread has panicked, which joining will say.
        let _ = self.stop.send(Instant::now());
        let seen = self.thread.join();
        let mut seen = seen.map_err(|_| anyhow::anyhow!("the thread that measures has failed"))?;
        let seconds = self.started.elapsed().as_secs_f64();
        seen.overhead.cpu_seconds += self.forks.spent().as_secs_f64();
        seen.overhead.fraction = seen.overhead.cpu_seconds / seconds.max(f64::MIN_POSITIVE);
        let words = Proc::default().command_line(std::process::id());
        let record = crate::command::run::record(words, &seen, self.level, None, None);
        Ok(Watched { record })
    }
}

/// What a [`Watch`] has seen.
#[derive(Debug, Clone)]
pub struct Watched {
    record: Record,
}

impl Watched {
    /// The reading with the most physical memory.
    #[must_use]
    pub fn report(&self) -> Option<&Report> {
        self.record.report.as_ref()
    }

    /// The highest number of copies in any reading.
    #[must_use]
    pub fn max_copies(&self) -> Option<f64> {
        self.record.max_copies
    }

    /// Everything as JSON, in the form of `onecopy run --json`.
    ///
    /// # Errors
    /// Never in practice: there is nothing in it that JSON cannot hold.
    pub fn json(&self) -> Result<String> {
        Ok(serde_json::to_string(&self.record)?)
    }

    /// The report as a page that needs no network.
    ///
    /// # Errors
    /// As [`Watched::json`].
    pub fn html(&self) -> Result<String> {
        let mut page = Vec::new();
        html::write(&mut page, html::Subject::run(&self.record))?;
        Ok(String::from_utf8(page)?)
    }
}
