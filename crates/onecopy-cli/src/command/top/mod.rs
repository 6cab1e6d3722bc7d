//! `onecopy top [PID]`: a tree's memory while it changes.
//!
//! ```text
//! reading ─▶ State ─▶ lines of text (screen.rs) ─▶ terminal (live.rs, feature `top`)
//!    ▲         ▲ keys                           └▶ or standard output, once, when it is no terminal
//!    └─────────┘ not before 100 × the last reading's cost
//! ```
#![forbid(unsafe_code)]

#[cfg(feature = "top")]
mod live;
mod screen;
#[cfg(feature = "top")]
mod signals;

use std::collections::HashMap;
use std::io::{IsTerminal as _, Write};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use onecopy_meter::parse::Stat;
use onecopy_meter::{Identity, Proc, Report, Session, SkipReason, families};

use crate::OK;
use crate::cli::meter::TopArguments;
use crate::command::report;
use crate::command::run::tags::Tags;
use crate::command::run::{pause, sampler::cpu_time, side};

/// Numbers of copies that are kept for the line in the head.
const KEPT: usize = 12;

/// What rows are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum View {
    Processes,
    Mappings,
    /// Tagged ranges only.
    Objects,
}

/// What rows are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Tree,
    Shared,
    Copied,
    New,
    Rate,
}

impl Sort {
    fn next(self) -> Self {
        match self {
            Self::Tree => Self::Copied,
            Self::Copied => Self::Rate,
            Self::Rate => Self::New,
            Self::New => Self::Shared,
            Self::Shared => Self::Tree,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Tree => "tree",
            Self::Shared => "shared",
            Self::Copied => "copied",
            Self::New => "new",
            Self::Rate => "copy/s",
        }
    }
}

/// Everything that the screen shows.
#[derive(Debug)]
struct State {
    report: Report,
    /// Ages in seconds.
    ages: HashMap<u32, u64>,
    /// Bytes copied per second between the last two readings in which nobody went away.
    rates: HashMap<u32, u64>,
    /// The later of the two, and when it was.
    rated: Rated,
    /// The last numbers of copies.
    copies: Vec<Option<f64>>,
    view: View,
    sort: Sort,
    paused: bool,
    /// What went wrong at the last attempt.
    failure: Option<String>,
}

/// Bytes that each process had copied at a moment.
#[derive(Debug, Clone)]
struct Rated {
    moment: Instant,
    copied: HashMap<Identity, u64>,
}

/// The tree, and when it may be read again.
struct Source {
    session: Session,
    tags: Option<Tags>,
    overhead: f64,
    every: Duration,
    last: Instant,
    next: Instant,
}

/// Shows the tree until told to quit, or prints it once.
pub(crate) fn run(arguments: &TopArguments, out: &mut dyn Write) -> Result<i32> {
    let proc = report::proc(&arguments.measuring);
    let pid = match arguments.pid {
        Some(pid) => pid,
        None => largest_family(&proc)?,
    };
    let mut source = Source {
        tags: side::folder_of(pid).map(Tags::new),
        session: Session::new(proc, pid),
        overhead: arguments.overhead / 100.0,
        every: Duration::from_secs_f64(arguments.every),
        last: Instant::now(),
        next: Instant::now(),
    };
    let state = source.first()?;
    report::check_root(pid, &state.report)?;
    #[cfg(feature = "top")]
    if std::io::stdout().is_terminal() && std::io::stdin().is_terminal() {
        live::run(source, state)?;
        return Ok(OK);
    }
    for line in screen::lines(&state, 100, usize::MAX).lines {
        writeln!(out, "{line}")?;
    }
    Ok(report::verdict(&arguments.measuring, &state.report))
}

impl Source {
    fn read(&mut self) -> Result<Report> {
        let before = cpu_time();
        if let Some(tags) = &mut self.tags {
            self.session.set_tags(tags.read());
        }
        let report = self.session.read();
        let cost = cpu_time().saturating_sub(before);
        self.last = Instant::now();
        self.next = self.last + self.every.max(pause(cost, self.overhead));
        Ok(report?)
    }

    fn first(&mut self) -> Result<State> {
        let report = self.read()?;
        let copies = vec![report.tree.copies.value];
        Ok(State {
            ages: ages(&report),
            rates: HashMap::new(),
            rated: Rated {
                moment: self.last,
                copied: copied(&report),
            },
            copies,
            report,
            view: View::Processes,
            sort: Sort::Tree,
            paused: false,
            failure: None,
        })
    }

    /// Reads again, if it is time.
    #[cfg(feature = "top")]
    fn refresh(&mut self, state: &mut State) {
        if state.paused || Instant::now() < self.next {
            return;
        }
        match self.read() {
            Ok(report) => {
                state.rate(&report, self.last);
                state.copies.push(report.tree.copies.value);
                if state.copies.len() > KEPT {
                    state.copies.remove(0);
                }
                state.ages = ages(&report);
                state.report = report;
                state.failure = None;
            }
            Err(error) => {
                state.failure = Some(format!("{error:#}"));
                self.next = Instant::now() + self.every;
            }
        }
    }
}

#[cfg_attr(not(feature = "top"), allow(dead_code))]
impl State {
    /// Compares what was copied with the reading before, unless a relative went away while this one was made: then it
    /// says less than there is, and the next one would seem to jump.
    fn rate(&mut self, report: &Report, moment: Instant) {
        let mut skipped = report.skipped.iter();
        if skipped.any(|skipped| skipped.reason == SkipReason::Vanished) {
            self.rates.clear();
            return;
        }
        let now = Rated {
            moment,
            copied: copied(report),
        };
        let before = std::mem::replace(&mut self.rated, now);
        let seconds = (moment - before.moment).as_secs_f64().max(1e-3);
        let rates = self.rated.copied.iter().map(|(process, bytes)| {
            let old = before.copied.get(process).copied().unwrap_or(0);
            #[expect(clippy::cast_sign_loss, reason = "neither is negative")]
            let rate = (bytes.saturating_sub(old) as f64 / seconds) as u64;
            (process.pid, rate)
        });
        self.rates = rates.collect();
    }
}

fn copied(report: &Report) -> HashMap<Identity, u64> {
    let rows = report.processes.iter();
    rows.map(|row| (row.identity(), row.pages.unwrap_or_default().copied))
        .collect()
}

fn ages(report: &Report) -> HashMap<u32, u64> {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime).tv_sec;
    let now = u64::try_from(now).unwrap_or(0);
    let ticks = rustix::param::clock_ticks_per_second().max(1);
    let age = |start: u64| now.saturating_sub(start / ticks);
    let rows = report.processes.iter();
    rows.map(|row| (row.pid, age(row.start_time_ticks)))
        .collect()
}

/// The oldest of the fork family with the most memory that this user may look into.
fn largest_family(proc: &Proc) -> Result<u32> {
    let stats = proc
        .pids()?
        .into_iter()
        .filter_map(|pid| proc.stat(pid).ok());
    let stats: Vec<_> = stats
        .filter(|stat| stat.start_stack != 0 && !stat.has_exited())
        .collect();
    let mut members: HashMap<usize, Vec<&Stat>> = HashMap::new();
    for (stat, family) in stats.iter().zip(families(&stats).of) {
        members.entry(family).or_default().push(stat);
    }
    let several = members.into_values().filter(|family| family.len() > 1);
    let largest = several.max_by_key(|family| -> u64 {
        let rss = family.iter().map(|stat| stat.rss_pages);
        rss.sum()
    });
    let members = largest.into_iter().flatten();
    members
        .min_by_key(|stat| (stat.start_time_ticks, stat.is_forked(), stat.pid))
        .map(|stat| stat.pid)
        .context("no processes here are forked from each other: name the one to look at")
}
