//! `onecopy run -- COMMAND`: runs a command, watches its memory, and reports when it has ended.
//!
//! ```text
//! main      start ─▶ wait for the end, or for Ctrl-C ─▶ stop sampling ─▶ report ─▶ exit as it did
//! sampler        └─▶ glance, reading, glance, … ─────────┘
//! ```
//! The command's result is passed through whatever happens here: a report that cannot be written is said
//! on standard error, and turns an exit code of 0 into 125 but no other.
#![forbid(unsafe_code)]

mod budget;
mod cgroup;
mod child;
mod files;
mod marks;
pub(crate) mod record;
pub(crate) mod sampler;
pub(crate) mod side;
pub(crate) mod tags;
mod text;
pub(crate) mod unseen;
mod waiting;

use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use anstream::stderr;
use anyhow::{Context as _, Result};
use onecopy_meter::{Proc, Session};

use crate::cli::meter::RunArguments;
use crate::command::report;
use crate::command::why::recorder::Recorder;
use crate::command::why::{Why, of_their_own};
use crate::output::{say, units};
pub(crate) use budget::pause;
use cgroup::OwnCgroup;
#[cfg(feature = "top")]
pub(crate) use child::ignored;
use child::{Asked, Happening, NotStarted, Running};
use files::Outputs;
use record::{Exit, Record, SCHEMA};
use sampler::{Sampler, Seen};
use side::SideFolder;
use unseen::Gap;

/// The exit code when `run` itself has failed.
pub(crate) const OWN_FAILURE: i32 = 125;

/// Runs the command and returns the exit code.
pub(crate) fn run(arguments: &RunArguments) -> i32 {
    // Reports are written with names that must be good before hours are spent.
    let outputs = match Outputs::open(&arguments.files, arguments.output.as_deref()) {
        Ok(outputs) => outputs,
        Err(error) => {
            say(format_args!("{error:#}"));
            return OWN_FAILURE;
        }
    };
    let side = match SideFolder::create() {
        Ok(side) => Some(side),
        Err(error) => {
            say(format_args!(
                "no folder for tags in {}, so none will be seen: {error}",
                std::env::temp_dir().display()
            ));
            None
        }
    };
    let cgroup = OwnCgroup::find();
    // Before the command is started: events are inherited by what this thread starts.
    let folder = side.as_ref().map(|side| side.path().to_owned());
    // Who has decided about such files already wants them, or none come.
    let remove_maps = std::env::var_os(child::FRAMES).is_none();
    let recorder = arguments
        .why
        .then(|| Recorder::of_children(folder, remove_maps));
    let sees_faults = recorder.as_ref().is_some_and(Recorder::sees_faults);
    let asked = Asked {
        objects: arguments.why,
        frames: remove_maps && sees_faults,
    };
    let of_children = unseen::of_children();
    let running = match child::start(&arguments.command, side.as_ref(), asked) {
        Ok(running) => running,
        Err(NotStarted { code, message }) => {
            say(format_args!("{message}"));
            return code;
        }
    };
    let watching = Watching::start(
        arguments,
        running.started,
        side.as_ref(),
        recorder,
        of_children,
    );
    let watching = watching.map(|watching| Watching {
        cgroup,
        outputs,
        ..watching
    });
    side::remove_stale();
    wait(&running, watching, arguments)
}

/// The sampling thread, and what its findings are needed for.
struct Watching {
    stop: Sender<Instant>,
    thread: JoinHandle<Seen>,
    level: onecopy_meter::Level,
    recorder: Option<Recorder>,
    cgroup: OwnCgroup,
    outputs: Outputs,
}

impl Watching {
    fn start(
        arguments: &RunArguments,
        started: Instant,
        side: Option<&SideFolder>,
        recorder: Option<Recorder>,
        of_children: u64,
    ) -> std::io::Result<Self> {
        let proc: Proc = report::proc(&arguments.measuring);
        let session = Session::new(proc, std::process::id())
            .without_root()
            .from_the_start();
        let level = session.level();
        let side = side.map(|side| side.path().to_owned());
        let rows = arguments.files.csv.is_some();
        let allowed = arguments.overhead() / 100.0;
        let sampler = Sampler::new(session, started, allowed, side, rows)
            .with_faults_since(of_children)
            .feeding(recorder.as_ref().map(Recorder::feed));
        let (stop, stopped) = channel();
        let thread = thread::Builder::new().name("sampler".to_owned());
        Ok(Self {
            stop,
            thread: thread.spawn(move || sampler.run(&stopped))?,
            level,
            recorder,
            cgroup: OwnCgroup::default(),
            outputs: Outputs::default(),
        })
    }

    /// Ends the sampling of what has ended at that moment, or of what still runs.
    fn stop(self, ended: Instant) -> Result<(Seen, Option<Why>, Outputs)> {
        // The other end is gone only if the thread has panicked, which joining will say.
        let _ = self.stop.send(ended);
        let seen = self.thread.join();
        let seen = seen.map_err(|_| anyhow::anyhow!("the thread that measures has failed"))?;
        let why = self.recorder.map(Recorder::stop);
        Ok((seen, why, self.outputs))
    }
}

/// Waits for the end, reports, and returns the exit code. A second Ctrl-C ends the sampling and reports;
/// a third one ends this process, which the thread for signals sees to.
fn wait(running: &Running, watching: std::io::Result<Watching>, arguments: &RunArguments) -> i32 {
    let (mut watching, mut interrupts) = (Some(watching.map_err(Into::into)), 0);
    loop {
        match running.happenings.recv() {
            Ok(Happening::Ended(exit, ended)) => {
                return watching.map_or_else(
                    || exit.passed_through(),
                    |watching| finish(arguments, watching, ended, Some(exit)),
                );
            }
            Ok(Happening::Interrupt) => interrupts += 1,
            // Both threads have panicked.
            Err(_) => return OWN_FAILURE,
        }
        if interrupts == 2
            && let Some(now) = watching.take()
        {
            finish(arguments, now, Instant::now(), None);
            say(format_args!(
                "process {} still runs; waiting for it",
                running.pid
            ));
        }
    }
}

/// Ends the sampling, reports, and says which exit code it comes to.
fn finish(
    arguments: &RunArguments,
    watching: Result<Watching>,
    ended: Instant,
    exit: Option<Exit>,
) -> i32 {
    let passed = exit.map_or(0, Exit::passed_through);
    let done = watching
        .context("nothing was measured: cannot start a thread")
        .and_then(|watching| {
            let level = watching.level;
            let cgroup_peak = watching.cgroup.peak();
            let (seen, mut why, mut outputs) = watching.stop(ended)?;
            if let Some((why, (_, report))) = why.as_mut().zip(seen.report.as_ref()) {
                why.advice.extend(of_their_own(report));
            }
            let words = arguments.command.iter();
            let words = words
                .map(|word| word.to_string_lossy().into_owned())
                .collect();
            let mut record = record(words, &seen, level, exit, why);
            record.cgroup_peak = cgroup_peak.as_ref().ok().copied();
            record.cgroup_peak_reason = cgroup_peak.err();
            outputs.write(&record, &files::Rows(&seen.rows))?;
            print(arguments, &record, &mut outputs)?;
            Ok((record, seen.gaps))
        });
    match done {
        Ok((record, gaps)) => budget(arguments, &record, &gaps, passed),
        Err(error) => {
            say(format_args!("{error:#}"));
            if exit.is_some() {
                say(format_args!("the command itself ended with {passed}"));
            }
            if passed == 0 { OWN_FAILURE } else { passed }
        }
    }
}

fn budget(arguments: &RunArguments, record: &Record, gaps: &[Gap], passed: i32) -> i32 {
    let Some(most) = arguments.measuring.max_copies else {
        return passed;
    };
    let report = record.report.as_ref();
    let unknown = report.and_then(|report| report.tree.copies.reason.as_deref());
    let copies = match record.max_copies {
        // Of the largest moment there is no number: one of a smaller moment says nothing about it.
        Some(copies) if copies <= most && unknown.is_some() => None,
        copies => copies,
    };
    let reason = record.reason.as_deref().or(unknown);
    let is_whole = report.is_some_and(|report| report.complete);
    let (code, why) = report::check(most, copies, reason, is_whole);
    let page_size = report.map_or(0, |report| report.page_size);
    let size = |pages: u64| units::Style::new(arguments.bytes).size(pages * page_size);
    let caveat = || unseen::caveat(most, record.seconds, gaps, size);
    if let Some(why) = why.or_else(caveat) {
        say(format_args!("{why}"));
    }
    if passed == 0 { code } else { passed }
}

pub(crate) fn record(
    words: Vec<String>,
    seen: &Seen,
    level: onecopy_meter::Level,
    exit: Option<Exit>,
    why: Option<Why>,
) -> Record {
    let left_behind = Session::new(Proc::default(), std::process::id())
        .without_root()
        .glance()
        .map(|glance| glance.processes.iter().map(|process| process.pid).collect())
        .unwrap_or_default();
    Record {
        schema: SCHEMA.to_owned(),
        command: words,
        exit,
        seconds: seen.seconds,
        level,
        overhead: seen.overhead.clone(),
        max_copies: seen.max_copies.map(|(_, copies)| copies),
        max_copies_t: seen.max_copies.map(|(t, _)| t),
        peak_sum_rss: seen.peak_sum_rss,
        peak_physical: seen.peak.map(|(_, physical)| physical),
        peak_physical_t: seen.peak.map(|(t, _)| t),
        cgroup_peak: None,
        cgroup_peak_reason: Some(OwnCgroup::NOT_ASKED.to_owned()),
        faults_unseen: seen.faults_unseen,
        left_behind: if exit.is_some() {
            left_behind
        } else {
            Vec::new()
        },
        events: seen.events.clone(),
        samples: seen.samples.clone(),
        report: seen.report.as_ref().map(|(_, report)| report.clone()),
        report_t: seen.report.as_ref().map(|(t, _)| *t),
        why,
        not_counted: seen.not_counted(),
        reason: seen.reason(),
    }
}

/// The report for people, to its file or to standard error, where it may be unwanted.
fn print(arguments: &RunArguments, record: &Record, outputs: &mut Outputs) -> Result<()> {
    let style = units::Style::new(arguments.bytes);
    if outputs.has_text() {
        let mut out = anstream::StripStream::new(Vec::new());
        text::print(&mut out, record, style)?;
        return outputs.write_text(&out.into_inner());
    }
    if arguments.quiet {
        return Ok(());
    }
    match text::print(&mut stderr(), record, style.on(std::io::stderr())) {
        // Whoever reads has had enough, as in any pipeline.
        Err(error) if crate::is_closed_pipe(&error) => Ok(()),
        done => done.context("cannot write the report to standard error"),
    }
}
