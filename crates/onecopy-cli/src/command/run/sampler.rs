//! Looks at the tree while the command runs, and never more than the budget allows.
//!
//! ```text
//! glance (statm, stat: microseconds) ─▶ something moved, and the last reading's cost × 100 is over?
//!    ▲ not before its own cost × 100           └▶ reading (pages: milliseconds per GiB)
//!    └──────────────────────────────────────────────┘
//! ```
//! All of it together stays within the budget, but for a credit that lets programs be read that run
//! for less than a minute: a reading that is estimated to cost more than has been saved up so far waits. With the default
//! budget of one percent, a reading never comes sooner than a hundred times the last
//! one's cost. Costs are processor time of the sampling thread.
//!
//! A tree that consists of one process shares nothing, so counting its pages tells little: that is done
//! only as long as it is cheap, so that the first fork finds the budget unspent.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use onecopy_meter::{Glance, Report, Session};
use rustix::time::{ClockId, clock_gettime};

use super::record::{Event, EventKind, Overhead, Reading, Sample};
use super::tags;
use crate::command::why::recorder::Feed;

/// Samples that are kept; beyond, every second one is dropped.
const SAMPLES: usize = 4_000;
/// The shortest pause between two glances.
const SHORTEST: Duration = Duration::from_millis(20);
/// The longest.
const LONGEST: Duration = Duration::from_secs(1);
/// Processor time that may be spent before it was saved up: what the default budget saves in a minute.
const CREDIT: Duration = Duration::from_millis(600);
/// Glances for which a reading waits until no process comes or goes.
const PATIENCE: u32 = 8;
/// The part of the budget that glances may take.
const GLANCES: f64 = 0.3;
/// RSS of a single process up to which its pages are counted before it has any relative.
const CHEAP: u64 = 128 << 20;

/// Everything that was seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) samples: Vec<Sample>,
    pub(crate) events: Vec<Event>,
    pub(crate) overhead: Overhead,
    pub(crate) max_copies: Option<(f64, f64)>,
    pub(crate) peak_sum_rss: u64,
    pub(crate) peak: Option<(f64, u64)>,
    /// The reading with the most physical memory of a family, or else of anything.
    pub(crate) report: Option<(f64, Report)>,
    pub(crate) faults_unseen: u64,
    pub(crate) failure: Option<String>,
    /// Every process at every complete reading, for CSV.
    pub(crate) rows: Vec<(f64, Report)>,
}

/// The sampling thread's state.
pub(crate) struct Sampler {
    session: Session,
    started: Instant,
    /// The part of one processor that may be used.
    allowed: f64,
    /// Where tagged ranges are written to.
    side_folder: Option<PathBuf>,
    keep_rows: bool,
    /// Who wants to know what each process has copied.
    why: Option<Feed>,
    seen: Seen,
    known: HashMap<(u32, u64), u64>,
    next_reading: Instant,
    /// Glances in a row at which a process had come or gone.
    unsettled: u32,
    /// The glance at the last reading.
    read_at: Glance,
}

impl Sampler {
    pub(crate) fn new(
        session: Session,
        allowed: f64,
        side_folder: Option<PathBuf>,
        keep_rows: bool,
    ) -> Self {
        let now = Instant::now();
        Self {
            session,
            started: now,
            allowed,
            side_folder,
            keep_rows,
            why: None,
            seen: Seen::default(),
            known: HashMap::new(),
            next_reading: now,
            unsettled: 0,
            read_at: Glance::default(),
        }
    }

    /// Tells what each process has copied.
    pub(crate) fn feeding(mut self, why: Option<Feed>) -> Self {
        self.why = why;
        self
    }

    /// Samples until told to stop, or until the other side is gone.
    pub(crate) fn run(mut self, stop: &Receiver<()>) -> Seen {
        self.sample(stop);
        self.finish()
    }

    /// The same, and reads once more at the end: for trees that are still there then.
    pub(crate) fn run_with_last_reading(mut self, stop: &Receiver<()>) -> Seen {
        self.sample(stop);
        if let Ok(glance) = self.session.glance() {
            let t = self.started.elapsed().as_secs_f64();
            let reading = self.read(t, &glance);
            self.add_sample(t, &glance, reading);
        }
        self.finish()
    }

    fn sample(&mut self, stop: &Receiver<()>) {
        loop {
            let before = cpu_time();
            self.tick();
            let cost = cpu_time().saturating_sub(before);
            let pause = cost
                .div_f64(self.allowed * GLANCES)
                .clamp(SHORTEST, LONGEST);
            match stop.recv_timeout(pause) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(RecvTimeoutError::Disconnected) => break,
            }
        }
    }

    fn finish(mut self) -> Seen {
        if let Some(why) = self.why.take() {
            why.finish();
        }
        let elapsed = self.started.elapsed().as_secs_f64();
        let overhead = &mut self.seen.overhead;
        overhead.allowed = self.allowed;
        // The thread was started for this alone.
        overhead.cpu_seconds = cpu_time().as_secs_f64();
        overhead.fraction = overhead.cpu_seconds / elapsed.max(f64::MIN_POSITIVE);
        self.seen
    }

    fn pause_after(&self, cost: Duration) -> Duration {
        cost.div_f64(self.allowed)
    }

    fn tick(&mut self) {
        let began_ns = Feed::now_ns();
        // A root that is gone is this process itself ending, and no failure of the command's.
        let Ok(glance) = self.session.glance() else {
            return;
        };
        let t = self.started.elapsed().as_secs_f64();
        let before = self.seen.events.len();
        self.note_events(t, &glance);
        if let Some(why) = &mut self.why {
            why.alive(&glance, began_ns);
        }
        if self.seen.events.len() > before {
            self.unsettled += 1;
        } else {
            self.unsettled = 0;
        }
        if glance.processes.is_empty() {
            return;
        }
        self.seen.peak_sum_rss = self.seen.peak_sum_rss.max(glance.sum_rss());
        let reading = self
            .reading_is_due(&glance)
            .then(|| self.read(t, &glance))
            .flatten();
        self.add_sample(t, &glance, reading);
    }

    fn add_sample(&mut self, t: f64, glance: &Glance, reading: Option<Reading>) {
        self.seen.faults_unseen = glance.faults().saturating_sub(self.read_at.faults());
        self.seen.samples.push(Sample {
            t,
            processes: glance.processes.len(),
            sum_rss: glance.sum_rss(),
            faults: glance.faults(),
            reading,
        });
        if self.seen.samples.len() > SAMPLES {
            let mut keep = false;
            self.seen.samples.retain(|sample| {
                keep = !keep;
                keep || sample.reading.is_some()
            });
        }
    }

    fn reading_is_due(&self, glance: &Glance) -> bool {
        let alone = glance.processes.len() < 2;
        if alone && (self.seen.report.is_some() && glance.sum_rss() > CHEAP) {
            return false;
        }
        let moved = glance.faults() != self.read_at.faults()
            || glance.sum_rss() != self.read_at.sum_rss()
            || glance.processes.len() != self.read_at.processes.len();
        // While processes come and go, a reading would have to be repeated.
        let settled = self.unsettled == 0 || self.unsettled > PATIENCE;
        moved && settled && Instant::now() >= self.next_reading && self.can_be_afforded(glance)
    }

    fn can_be_afforded(&self, glance: &Glance) -> bool {
        let saved = self.started.elapsed().mul_f64(self.allowed).max(CREDIT);
        let estimate = self.session.estimate(glance);
        cpu_time() + Duration::from_secs_f64(estimate) <= saved
    }

    fn read(&mut self, t: f64, glance: &Glance) -> Option<Reading> {
        let before = cpu_time();
        if let Some(folder) = &self.side_folder {
            self.session.set_tags(tags::read(folder));
        }
        if let Some(why) = &mut self.why {
            why.begin(glance);
        }
        let result = self.session.read();
        let cost = cpu_time().saturating_sub(before);
        self.next_reading = Instant::now() + self.pause_after(cost);
        let overhead = &mut self.seen.overhead;
        overhead.readings += 1;
        overhead.longest_reading = overhead.longest_reading.max(cost.as_secs_f64());
        let report = match result {
            Ok(report) => report,
            Err(error) => {
                self.seen.failure = Some(error.to_string());
                return None;
            }
        };
        self.read_at = glance.clone();
        let reading = Reading::of(&report, cost.as_secs_f64());
        self.keep(t, &reading, report);
        if let Some(folder) = &self.side_folder {
            tags::write_readings(folder, self.seen.overhead.readings);
        }
        Some(reading)
    }

    fn keep(&mut self, t: f64, reading: &Reading, report: Report) {
        let seen = &mut self.seen;
        if let Some(copies) = reading.copies
            && seen.max_copies.is_none_or(|(_, most)| copies > most)
        {
            seen.max_copies = Some((t, copies));
        }
        if let Some(physical) = reading.physical
            && seen.peak.is_none_or(|(_, most)| physical > most)
        {
            seen.peak = Some((t, physical));
        }
        if let Some(why) = &mut self.why {
            why.read(&self.session, &report);
        }
        let weight = |report: &Report| {
            let copies = &report.tree.copies;
            let physical = copies.frames + copies.new + copies.shared;
            (report.complete, copies.value.is_some(), physical)
        };
        let best = seen.report.as_ref().map(|(_, best)| weight(best));
        if best.is_none_or(|best| weight(&report) >= best) {
            seen.report = Some((t, report.clone()));
        }
        if self.keep_rows {
            seen.rows.push((t, report));
        }
    }

    fn note_events(&mut self, t: f64, glance: &Glance) {
        let mut now = HashMap::new();
        for process in &glance.processes {
            let identity = (process.pid, process.start_time_ticks);
            now.insert(identity, process.family);
            if self.known.contains_key(&identity) {
                continue;
            }
            let mut others = glance.processes.iter();
            let related = process.family != 0
                && others.any(|other| other.pid != process.pid && other.family == process.family);
            self.seen.events.push(Event {
                t,
                kind: if related {
                    EventKind::Fork
                } else {
                    EventKind::Start
                },
                pid: process.pid,
            });
        }
        let gone = self
            .known
            .keys()
            .filter(|identity| !now.contains_key(identity));
        self.seen.events.extend(gone.map(|(pid, _)| Event {
            t,
            kind: EventKind::Exit,
            pid: *pid,
        }));
        self.known = now;
    }
}

/// Processor time of this thread.
pub(crate) fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}
