//! The sampler of `onecopy run` for programs that watch themselves.
#![forbid(unsafe_code)]

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
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
    /// Wakes the thread, with the moment.
    wake: Sender<Instant>,
    /// What it was woken for; to end, if there is nothing here.
    wanted: Sender<Sender<Option<Report>>>,
    thread: JoinHandle<Seen>,
    level: Level,
    forks: ForkLog,
    fork_count: AtomicUsize,
    started: Instant,
    overhead: f64,
}

/// How often a reading is begun again that somebody waits for, when processes came or went meanwhile.
const ATTEMPTS: usize = 8;
/// What noting forks may cost before it was saved up: a parent of some GiB may fork a pool of workers at once.
const FORK_CREDIT: Duration = Duration::from_millis(300);

impl Watch {
    /// Starts to sample. `overhead` is the part of one processor that this may take; in `side_folder`
    /// programs leave the names of memory that they want to see. Without `earlier`, descendants that are there already
    /// are left out.
    ///
    /// # Errors
    /// The kernel makes no more threads.
    pub fn start(
        pid: u32,
        overhead: f64,
        side_folder: Option<PathBuf>,
        earlier: bool,
    ) -> io::Result<Self> {
        let started = Instant::now();
        let mut session = Session::new(Proc::default(), pid);
        if !earlier {
            session = session.without_earlier();
        }
        let level = session.level();
        let forks = session.fork_log();
        let sampler = Sampler::new(session, started, overhead, side_folder, false);
        let ((wake, woken), (wanted, wants)) = (channel(), channel());
        let thread = thread::Builder::new().spawn(move || serve(sampler, &woken, &wants))?;
        Ok(Self {
            wake,
            wanted,
            thread,
            level,
            forks,
            fork_count: AtomicUsize::new(0),
            started,
            overhead,
        })
    }

    /// Notes that this process is about to fork, and what it has now, as far as the budget goes: only then
    /// can a later reading tell what a child has copied from what both have allocated since.
    pub fn note_fork(&self) {
        self.fork_count.fetch_add(1, Ordering::Relaxed);
        let saved = self.started.elapsed().mul_f64(self.overhead);
        // A fork that could not be looked at is judged by what its first reading finds.
        let _ = self.forks.note(&Proc::default(), saved.max(FORK_CREDIT));
    }

    /// Reads now, whatever it costs, and returns when that is done. Where processes come and go, it is tried several
    /// times; the report says whether it is whole. `None` if there is nothing to read.
    ///
    /// # Errors
    /// The sampling thread has panicked.
    pub fn read(&self) -> Result<Option<Report>> {
        let failed = || anyhow::anyhow!("the thread that measures has failed");
        let mut report = None;
        for _ in 0..ATTEMPTS {
            let (answer, answered) = channel();
            // In this order: the thread looks here when it is woken.
            self.wanted.send(answer).map_err(|_| failed())?;
            self.wake.send(Instant::now()).map_err(|_| failed())?;
            report = answered.recv().map_err(|_| failed())?;
            if report.as_ref().is_some_and(|report| report.complete) {
                break;
            }
        }
        Ok(report)
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
        let _ = self.wake.send(Instant::now());
        let seen = self.thread.join();
        let mut seen = seen.map_err(|_| anyhow::anyhow!("the thread that measures has failed"))?;
        let seconds = self.started.elapsed().as_secs_f64();
        seen.overhead.cpu_seconds += self.forks.spent().as_secs_f64();
        seen.overhead.fraction = seen.overhead.cpu_seconds / seconds.max(f64::MIN_POSITIVE);
        let words = Proc::default().command_line(std::process::id());
        let record = crate::command::run::record(words, &seen, self.level, None, None);
        Ok(Watched {
            record,
            fork_count: self.fork_count.into_inner(),
            most_copied: seen.most_copied,
            sharers: seen.sharers.len(),
        })
    }
}

/// The sampling thread: samples, and reads whenever it is asked to.
fn serve(
    mut sampler: Sampler,
    woken: &Receiver<Instant>,
    wants: &Receiver<Sender<Option<Report>>>,
) -> Seen {
    loop {
        let moment = sampler.sample(woken);
        let Ok(answer) = wants.try_recv() else {
            sampler.read_now();
            return sampler.finish(moment);
        };
        // Who has asked waits for the answer.
        let _ = answer.send(sampler.read_now());
    }
}

/// What a [`Watch`] has seen.
#[derive(Debug, Clone)]
pub struct Watched {
    record: Record,
    fork_count: usize,
    most_copied: Option<Report>,
    sharers: usize,
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

    /// The reading with the most copies among those in which another process than the root had memory in common with
    /// somebody; `None` if there was no such reading.
    #[must_use]
    pub fn most_copied(&self) -> Option<&Report> {
        self.most_copied.as_ref()
    }

    /// Processes but the root that shared memory with somebody when they were read.
    #[must_use]
    pub fn sharers(&self) -> usize {
        self.sharers
    }

    /// Forks that this process has noted.
    #[must_use]
    pub fn fork_count(&self) -> usize {
        self.fork_count
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
