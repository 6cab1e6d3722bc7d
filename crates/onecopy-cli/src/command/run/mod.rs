//! `onecopy run -- COMMAND`: runs a command, watches its memory, and reports when it has ended.
//!
//! ```text
//! main      start ─▶ wait for the end, or for Ctrl-C ─▶ stop sampling ─▶ report ─▶ exit as it did
//! sampler        └─▶ glance, reading, glance, … ─────────┘
//! ```
//! The command's result is passed through whatever happens here: a report that cannot be written is said
//! on standard error, and turns an exit code of 0 into 125 but no other.
#![forbid(unsafe_code)]

mod child;
mod files;
pub(crate) mod record;
pub(crate) mod sampler;
pub(crate) mod tags;

use std::io::Write;
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};

use anstream::stderr;
use anyhow::{Context as _, Result};
use onecopy_meter::{Proc, Session};

use crate::cli::meter::RunArguments;
use crate::command::report;
use crate::command::why::Why;
use crate::command::why::recorder::Recorder;
use crate::output::{report as text, say, units, why as printed};
use child::{Happening, NotStarted, Running};
use record::{Exit, Record, SCHEMA};
use sampler::{Sampler, Seen};
use tags::SideFolder;

/// The exit code when `run` itself has failed.
pub(crate) const OWN_FAILURE: i32 = 125;
/// The exit code after a third Ctrl-C: 128 and SIGINT.
const INTERRUPTED: i32 = 130;

/// Runs the command and returns the exit code.
pub(crate) fn run(arguments: &RunArguments) -> i32 {
    // Reports are written with names that must be good before hours are spent.
    if let Err(error) = files::check(&arguments.files, arguments.output.as_deref()) {
        say(format_args!("{error:#}"));
        return OWN_FAILURE;
    }
    let side = match SideFolder::create() {
        Ok(side) => Some(side),
        Err(error) => {
            say(format_args!(
                "no folder for tags, so none will be seen: {error}"
            ));
            None
        }
    };
    // Before the command is started: events are inherited by what this thread starts.
    let folder = side.as_ref().map(|side| side.path().to_owned());
    // Who has decided about such files already wants them, or none come.
    let remove_maps = std::env::var_os("PYTHONPERFSUPPORT").is_none();
    let recorder = arguments
        .why
        .then(|| Recorder::of_children(folder, remove_maps));
    let running = match child::start(
        &arguments.command,
        side.as_ref().map(SideFolder::path),
        arguments.why,
    ) {
        Ok(running) => running,
        Err(NotStarted { code, message }) => {
            say(format_args!("{message}"));
            return code;
        }
    };
    let watching = Watching::start(arguments, side.as_ref(), recorder);
    let (exit, watching) = wait(&running, watching, arguments);
    let (Some(exit), watching) = (exit, watching) else {
        return INTERRUPTED;
    };
    let Some(watching) = watching else {
        return exit.passed_through();
    };
    finish(arguments, watching, Some(exit))
}

/// The sampling thread.
struct Watching {
    stop: Sender<()>,
    thread: JoinHandle<Seen>,
    recorder: Option<Recorder>,
    level: onecopy_meter::Level,
}

impl Watching {
    fn start(
        arguments: &RunArguments,
        side: Option<&SideFolder>,
        recorder: Option<Recorder>,
    ) -> Self {
        let proc: Proc = report::proc(&arguments.measuring);
        let session = Session::new(proc, std::process::id())
            .without_root()
            .from_the_start();
        let level = session.level();
        let folder = side.map(|side| side.path().to_owned());
        let rows = arguments.files.csv.is_some();
        let sampler = Sampler::new(session, arguments.overhead / 100.0, folder, rows)
            .feeding(recorder.as_ref().map(Recorder::feed));
        let (stop, stopped) = channel();
        Self {
            stop,
            thread: thread::spawn(move || sampler.run(&stopped)),
            recorder,
            level,
        }
    }

    fn stop(self) -> Result<(Seen, Option<Why>)> {
        // The other end is gone only if the thread has panicked, which joining will say.
        let _ = self.stop.send(());
        let seen = self.thread.join();
        let seen = seen.map_err(|_| anyhow::anyhow!("the thread that measures has failed"))?;
        let why = self.recorder.map(Recorder::stop);
        Ok((seen, why))
    }
}

/// Waits for the end. A second Ctrl-C ends the sampling and reports, a third one ends this process.
fn wait(
    running: &Running,
    watching: Watching,
    arguments: &RunArguments,
) -> (Option<Exit>, Option<Watching>) {
    let (mut watching, mut interrupts) = (Some(watching), 0);
    loop {
        match running.happenings.recv() {
            Ok(Happening::Ended(exit)) => return (Some(exit), watching),
            Ok(Happening::Interrupt) => interrupts += 1,
            Err(_) => return (None, watching),
        }
        match (interrupts, watching.take()) {
            (2, Some(now)) => {
                finish(arguments, now, None);
                say(format_args!(
                    "process {} still runs; waiting for it",
                    running.pid
                ));
            }
            (3.., _) => return (None, None),
            (_, still) => watching = still,
        }
    }
}

/// Ends the sampling, reports, and says which exit code it comes to.
fn finish(arguments: &RunArguments, watching: Watching, exit: Option<Exit>) -> i32 {
    let passed = exit.map_or(0, Exit::passed_through);
    let level = watching.level;
    let done = watching.stop().and_then(|(seen, why)| {
        let rows = files::Rows(&seen.rows);
        let words = arguments.command.iter();
        let words = words
            .map(|word| word.to_string_lossy().into_owned())
            .collect();
        let record = record(words, &seen, level, exit, why);
        files::write(&arguments.files, &record, &rows)?;
        print(arguments, &record)?;
        Ok(record)
    });
    match done {
        Ok(record) => budget(arguments, &record, passed),
        Err(error) => {
            say(format_args!("{error:#}"));
            say(format_args!("the command itself ended with {passed}"));
            if passed == 0 { OWN_FAILURE } else { passed }
        }
    }
}

fn budget(arguments: &RunArguments, record: &Record, passed: i32) -> i32 {
    let Some(most) = arguments.measuring.max_copies else {
        return passed;
    };
    let reason = record.reason.as_deref().or_else(|| {
        let report = record.report.as_ref()?;
        report.tree.copies.reason.as_deref()
    });
    let (code, why) = report::check(most, record.max_copies, reason);
    if let Some(why) = why {
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
    let reason = seen.report.is_none().then(|| match &seen.failure {
        Some(failure) => format!("no reading succeeded: {failure}"),
        None => "the command ended before it could be looked at".to_owned(),
    });
    let seconds = seen.samples.last().map_or(0.0, |sample| sample.t);
    Record {
        schema: SCHEMA.to_owned(),
        command: words,
        exit,
        seconds,
        level,
        overhead: seen.overhead.clone(),
        max_copies: seen.max_copies.map(|(_, copies)| copies),
        max_copies_t: seen.max_copies.map(|(t, _)| t),
        peak_sum_rss: seen.peak_sum_rss,
        peak_physical: seen.peak.map(|(_, physical)| physical),
        peak_physical_t: seen.peak.map(|(t, _)| t),
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
        reason,
    }
}

/// The report for people.
fn print(arguments: &RunArguments, record: &Record) -> Result<()> {
    if arguments.quiet {
        return Ok(());
    }
    let style = units::Style::new(arguments.bytes);
    match &arguments.output {
        None => printed(&mut stderr(), record, style),
        Some(path) => {
            let mut text = anstream::StripStream::new(Vec::new());
            printed(&mut text, record, style)?;
            std::fs::write(path, text.into_inner())
                .with_context(|| format!("cannot write {}", path.display()))
        }
    }
}

fn printed(out: &mut dyn Write, record: &Record, style: units::Style) -> Result<()> {
    if let Some(report) = &record.report {
        let heading = text::Heading {
            moment: Some(format!(
                "{:.1} s, read at {:.1} s",
                record.seconds,
                record.report_t.unwrap_or_default()
            )),
            lines: lines(record, report.page_size, style),
        };
        text::report(out, report, &heading, style)?;
        if let Some(why) = &record.why {
            printed::why(out, why, report.page_size, style)?;
        }
    } else {
        let reason = record.reason.as_deref().unwrap_or("no reason is known");
        writeln!(
            out,
            "── onecopy ─ {:.1} s ─ nothing measured: {reason}",
            record.seconds
        )?;
    }
    if !record.left_behind.is_empty() {
        let pids: Vec<String> = record.left_behind.iter().map(u32::to_string).collect();
        writeln!(out, "  note: still running: processes {}", pids.join(", "))?;
    }
    out.flush()?;
    Ok(())
}

fn lines(record: &Record, page_size: u64, style: units::Style) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    let mut line = |name: &str, text: String| lines.push((name.to_owned(), text));
    if let (Some(physical), Some(t)) = (record.peak_physical, record.peak_physical_t) {
        let most = match (record.max_copies, record.max_copies_t) {
            (Some(copies), Some(t)) => format!("; most copies {copies:.2} × at {t:.1} s"),
            _ => String::new(),
        };
        line(
            "peak",
            format!(
                "{:<12} at {t:.1} s; sum of RSS at most {}{most}",
                style.size(physical),
                style.size(record.peak_sum_rss)
            ),
        );
    }
    let overhead = &record.overhead;
    line(
        "measuring",
        format!(
            "{} readings and {} glances took {:.2} % of one processor",
            overhead.readings,
            record.samples.len(),
            overhead.fraction * 100.0
        ),
    );
    let counted = record
        .report
        .as_ref()
        .and_then(|report| report.tree.sum_rss);
    if record.peak_sum_rss / 2 > counted.unwrap_or(0) {
        // Rounded up, as the sampler's own estimate is.
        let cost = record.peak_sum_rss as f64 / f64::from(1 << 30) * 0.1;
        let percent = (100.0 * cost / record.seconds.max(0.1)).ceil().min(100.0);
        line(
            "NOT COUNTED",
            format!(
                "the largest moment, with {} of RSS: counting it takes up to {cost:.1} s, more than --overhead {} \
                 allows in this time; --overhead {percent} would do",
                style.size(record.peak_sum_rss),
                overhead.allowed * 100.0
            ),
        );
    }
    // What one reading allocates is no more than this.
    if record.faults_unseen > 256 {
        line(
            "unseen",
            format!(
                "{} page faults after the last reading: up to {} more may have been copied; a larger \
                 --overhead looks more often and sooner",
                units::grouped(record.faults_unseen),
                style.size(record.faults_unseen * page_size)
            ),
        );
    }
    lines
}
