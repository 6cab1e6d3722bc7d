//! Looks at the tree while the command runs, and never more than the budget allows.
//!
//! ```text
//! glance (statm, stat: microseconds) ─▶ something moved, and the last reading's cost × 100 is over?
//!    ▲ not before its own cost × 100           └▶ reading (pages: up to 100 ms per GiB)
//!    └──────────────────────────────────────────────┘
//! ```
//! What it may cost is in [`budget`](super::budget). Costs are processor time of the sampling thread.
//!
//! A tree that consists of one process shares nothing, so counting its pages tells little: that is done
//! only as long as it is cheap, so that the first fork finds the budget unspent.
#![forbid(unsafe_code)]

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use onecopy_meter::{Glance, Identity, MappingKind, ProcessMemory, Report, Session};
use rustix::time::{ClockId, clock_gettime};

use super::budget::{Budget, Wanted, pause};
use super::record::{Event, EventKind, Overhead, Reading, Sample};
use super::tags::Tags;
use super::unseen::{self, Gap, Unseen};
use super::waiting::Waiting;
use super::{marks, side};
use crate::command::why::recorder::Feed;

/// Samples that are kept; beyond, every second one is dropped.
const SAMPLES: usize = 4_000;
/// The shortest pause between two glances.
const SHORTEST: Duration = Duration::from_millis(20);
/// The longest.
const LONGEST: Duration = Duration::from_secs(30);
/// Glances for which a reading waits until no process comes or goes; the first one does not wait.
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
    /// How long it was watched.
    pub(crate) seconds: f64,
    pub(crate) overhead: Overhead,
    pub(crate) max_copies: Option<(f64, f64)>,
    pub(crate) peak_sum_rss: u64,
    pub(crate) peak: Option<(f64, u64)>,
    /// The reading with the most physical memory of a family, or else of anything.
    pub(crate) report: Option<(f64, Report)>,
    pub(crate) faults_unseen: u64,
    /// When they were, from each reading with a number of copies to the next.
    pub(crate) gaps: Vec<Gap>,
    /// The reading with the most copies among those in which somebody shared memory with another.
    pub(crate) most_copied: Option<Report>,
    /// Who shared memory with another in any complete reading, the root left out.
    pub(crate) sharers: BTreeSet<Identity>,
    pub(crate) failure: Option<String>,
    /// Why nothing has been read yet.
    pub(crate) waiting: Option<Waiting>,
    /// Why the moment with the highest ΣRSS was not read, if it was not.
    pub(crate) uncounted: Option<Waiting>,
    /// Every process at every complete reading, for CSV.
    pub(crate) rows: Vec<(f64, Report)>,
}

/// The sampling thread's state.
pub(crate) struct Sampler {
    session: Session,
    started: Instant,
    budget: Budget,
    /// Where programs leave what they want to be seen.
    side_folder: Option<PathBuf>,
    tags: Option<Tags>,
    keep_rows: bool,
    /// Who wants to know what each process has copied.
    why: Option<Feed>,
    seen: Seen,
    known: HashMap<(u32, u64), u64>,
    unseen: Unseen,
    next_reading: Instant,
    /// What the last reading took.
    last_cost: Duration,
    /// Glances in a row at which a process had come or gone.
    unsettled: u32,
    /// The glance at the last reading.
    read_at: Glance,
    /// The highest ΣRSS of a family that was read.
    largest_read: u64,
}

impl Sampler {
    /// A sampler of what was started at that moment.
    pub(crate) fn new(
        session: Session,
        started: Instant,
        allowed: f64,
        side_folder: Option<PathBuf>,
        keep_rows: bool,
    ) -> Self {
        Self {
            session,
            started,
            budget: Budget::new(allowed),
            tags: side_folder.clone().map(Tags::new),
            side_folder,
            keep_rows,
            why: None,
            seen: Seen::default(),
            known: HashMap::new(),
            unseen: Unseen::new(unseen::of_children()),
            next_reading: started,
            last_cost: Duration::ZERO,
            unsettled: 0,
            read_at: Glance::default(),
            largest_read: 0,
        }
    }

    /// Tells what each process has copied.
    pub(crate) fn feeding(mut self, why: Option<Feed>) -> Self {
        self.why = why;
        self
    }

    /// Counts faults of children from what they were when the command was started.
    pub(super) fn with_faults_since(mut self, of_children: u64) -> Self {
        self.unseen = Unseen::new(of_children);
        self
    }

    /// Samples until told to stop, with the moment when it ended, or until the other side is gone.
    pub(crate) fn run(mut self, stop: &Receiver<Instant>) -> Seen {
        let ended = self.sample(stop);
        self.finish(ended)
    }

    /// Reads whatever it costs, as somebody waits for it. Returns the report, if there is one.
    pub(crate) fn read_now(&mut self) -> Option<Report> {
        let glance = self.session.glance().ok()?;
        self.seen.overhead.glances += 1;
        let t = self.started.elapsed().as_secs_f64();
        self.unseen.see(&glance);
        let estimate = self.session.estimate(&glance);
        let reading = self.read(t, &glance, estimate);
        self.add_sample(t, &glance, reading.as_ref());
        reading.map(|(_, report)| report)
    }

    /// Samples until a message comes, or until the other side is gone.
    pub(crate) fn sample(&mut self, stop: &Receiver<Instant>) -> Instant {
        loop {
            let before = cpu_time();
            let read_for = self.tick();
            let cost = cpu_time().saturating_sub(before).saturating_sub(read_for);
            let pause = pause(cost, self.budget.allowed() * GLANCES).clamp(SHORTEST, LONGEST);
            match stop.recv_timeout(pause) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(ended) => return ended,
                Err(RecvTimeoutError::Disconnected) => return Instant::now(),
            }
        }
    }

    /// Everything that was seen until that moment.
    pub(crate) fn finish(mut self, ended: Instant) -> Seen {
        if let Some(why) = self.why.take() {
            why.finish();
        }
        // Which of the processes have ended, for what their parents have been told of them.
        if let Ok(glance) = self.session.glance() {
            self.unseen.see(&glance);
        }
        (self.seen.faults_unseen, self.seen.gaps) =
            std::mem::take(&mut self.unseen).finish(unseen::of_children());
        self.seen.seconds = ended.duration_since(self.started).as_secs_f64();
        marks::add(
            &mut self.seen.events,
            self.side_folder.as_deref(),
            self.started,
        );
        let elapsed = self.started.elapsed().as_secs_f64();
        let overhead = &mut self.seen.overhead;
        overhead.allowed = self.budget.allowed();
        // The thread was started for this alone.
        overhead.cpu_seconds = cpu_time().as_secs_f64();
        overhead.fraction = overhead.cpu_seconds / elapsed.max(f64::MIN_POSITIVE);
        self.seen
    }

    /// Looks once, and says how much of its time went into a reading.
    fn tick(&mut self) -> Duration {
        let began_ns = Feed::now_ns();
        // A root that is gone is this process itself ending, and no failure of the command's.
        let Ok(glance) = self.session.glance() else {
            return Duration::ZERO;
        };
        self.seen.overhead.glances += 1;
        let t = self.started.elapsed().as_secs_f64();
        let is_first = self.known.is_empty();
        let before = self.seen.events.len();
        self.note_events(t, &glance);
        self.unseen.see(&glance);
        if let Some(why) = &mut self.why {
            why.alive(&glance, began_ns);
        }
        if self.seen.events.len() > before && !is_first {
            self.unsettled += 1;
        } else {
            self.unsettled = 0;
        }
        if glance.processes.is_empty() {
            return Duration::ZERO;
        }
        let due = self.due(&glance);
        let waiting = due.err();
        let sum_rss = glance.sum_rss();
        if sum_rss > self.seen.peak_sum_rss {
            self.seen.peak_sum_rss = sum_rss;
            self.seen.uncounted = waiting;
        } else if sum_rss == self.seen.peak_sum_rss && waiting != Some(Waiting::Still) {
            // The same moment still, and perhaps counted now.
            self.seen.uncounted = waiting;
        }
        self.seen.waiting = waiting;
        let Ok(estimate) = due else {
            self.add_sample(t, &glance, None);
            return Duration::ZERO;
        };
        let reading = self.read(t, &glance, estimate);
        self.add_sample(t, &glance, reading.as_ref());
        self.last_cost
    }

    fn add_sample(&mut self, t: f64, glance: &Glance, found: Option<&(Reading, Report)>) {
        let (mut processes, mut sum_rss) = (glance.processes.len(), glance.sum_rss());
        // Since the glance, processes may have gone for which the reading was begun again.
        if let Some((_, report)) = found.filter(|(reading, _)| reading.complete) {
            processes = report.processes.len();
            sum_rss = report.tree.sum_rss.unwrap_or(sum_rss);
        }
        self.seen.peak_sum_rss = self.seen.peak_sum_rss.max(sum_rss);
        self.seen.samples.push(Sample {
            t,
            processes,
            sum_rss,
            faults: glance.faults(),
            reading: found.map(|(reading, _)| reading.clone()),
        });
        if self.seen.samples.len() > SAMPLES {
            let mut keep = false;
            self.seen.samples.retain(|sample| {
                keep = !keep;
                keep || sample.reading.is_some()
            });
        }
    }

    /// What a reading is estimated to cost that is due now, or why it has to wait.
    fn due(&self, glance: &Glance) -> Result<f64, Waiting> {
        let (sum_rss, is_alone) = (glance.sum_rss(), glance.processes.len() < 2);
        let moved = glance.faults() != self.read_at.faults()
            || sum_rss != self.read_at.sum_rss()
            || glance.processes.len() != self.read_at.processes.len();
        if !moved {
            return Err(Waiting::Still);
        }
        if is_alone && self.seen.report.is_some() && sum_rss > CHEAP {
            return Err(Waiting::Alone);
        }
        // While processes come and go, a reading would have to be repeated. But where they always do,
        // the first one must not wait for ever.
        if self.seen.report.is_some() && (1..=PATIENCE).contains(&self.unsettled) {
            return Err(Waiting::Unsettled);
        }
        let wait = self.next_reading.saturating_duration_since(Instant::now());
        if wait > Duration::ZERO {
            return Err(Waiting::TooSoon {
                cost: self.last_cost,
                wait,
            });
        }
        let wanted = if !is_alone && sum_rss / 2 > self.largest_read {
            Wanted::First
        } else {
            Wanted::Again
        };
        // It may have to be repeated then.
        let times = if self.unsettled > 0 { 2 } else { 1 };
        let estimate = self.session.estimate(glance);
        let price = self.budget.price(estimate) * times;
        let (spent, elapsed) = (cpu_time(), self.started.elapsed());
        let limit = self.budget.limit(elapsed, wanted);
        if spent + price <= limit {
            return Ok(estimate);
        }
        Err(Waiting::TooCostly {
            price,
            left: limit.saturating_sub(spent),
            would_do: Budget::would_do(spent + price, elapsed),
        })
    }

    fn read(&mut self, t: f64, glance: &Glance, estimate: f64) -> Option<(Reading, Report)> {
        let before = cpu_time();
        if let Some(tags) = &mut self.tags {
            self.session.set_tags(tags.read());
        }
        if let Some(why) = &mut self.why {
            why.begin(glance);
        }
        let result = self.session.read();
        let cost = cpu_time().saturating_sub(before);
        self.last_cost = cost;
        self.next_reading = Instant::now() + self.budget.pause_after(cost);
        let overhead = &mut self.seen.overhead;
        overhead.readings += 1;
        overhead.longest_reading = overhead.longest_reading.max(cost.as_secs_f64());
        let report = match result {
            Ok(report) => {
                self.seen.failure = None;
                report
            }
            Err(error) => {
                self.seen.failure = Some(error.to_string());
                return None;
            }
        };
        if report.processes.is_empty() {
            // All had ended before they were read.
            return None;
        }
        let sum_rss = glance.sum_rss();
        self.budget.learn(sum_rss, estimate, cost, report.passes);
        if glance.processes.len() > 1 && report.complete {
            self.largest_read = self.largest_read.max(sum_rss);
        }
        self.read_at = glance.clone();
        self.unseen.read(t, &report);
        let reading = Reading::of(&report, cost.as_secs_f64());
        self.keep(t, &reading, report.clone());
        if let Some(folder) = &self.side_folder {
            side::write_readings(folder, self.seen.overhead.readings);
        }
        Some((reading, report))
    }

    fn keep(&mut self, t: f64, reading: &Reading, report: Report) {
        let seen = &mut self.seen;
        if let Some(copies) = reading.copies
            && seen.max_copies.is_none_or(|(_, most)| copies > most)
        {
            seen.max_copies = Some((t, copies));
        }
        let sharers = sharers(&report);
        let most = seen
            .most_copied
            .as_ref()
            .and_then(|most| most.tree.copies.value);
        if !sharers.is_empty() && reading.copies.is_some() && reading.copies > most {
            seen.most_copied = Some(report.clone());
        }
        seen.sharers.extend(sharers);
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
            // Among readings of a part, the one that saw most.
            let read: u64 = report.processes.iter().map(|process| process.pss).sum();
            (
                report.complete,
                has_company(report),
                copies.physical_pages(),
                read,
            )
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
                label: None,
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
            label: None,
        }));
        self.known = now;
    }
}

/// Whether anything in the tree is shared, be it too little for a number. One process with a store of its own has a
/// number of copies as well, and before it forks may have more memory than all will have later; that moment is not
/// what the report is about.
fn has_company(report: &Report) -> bool {
    let copies = &report.tree.copies;
    let is_shared = copies.unique.zip(copies.shared);
    is_shared.is_some_and(|(unique, shared)| unique + shared > 0) && report.processes.len() > 1
}

/// Who has memory in common with another process, or had it and copied it, the root left out. Nobody can be said to
/// share where not all were read.
fn sharers(report: &Report) -> Vec<Identity> {
    let shares = |pid| {
        let mut rows = report.mappings.iter();
        rows.any(|row| {
            let mut users = row.processes.iter().filter(|user| user.pid == pid);
            row.kind == MappingKind::SharedMemory && users.any(|user| user.pages.shared > 0)
        })
    };
    let others = report
        .processes
        .iter()
        .filter(|row| row.pid != report.root && report.complete);
    let found =
        others.filter(|row| row.pages.is_some_and(|pages| pages.inherited > 0) || shares(row.pid));
    found.map(ProcessMemory::identity).collect()
}

/// Processor time of this thread.
pub(crate) fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

#[cfg(test)]
mod tests {
    use onecopy_meter::Proc;

    use super::*;

    fn sampler() -> Sampler {
        let session = Session::new(Proc::default(), std::process::id());
        Sampler::new(session, Instant::now(), 0.01, None, false)
    }

    #[test]
    fn a_sample_counts_the_processes_that_its_reading_has_counted() {
        let mut sampler = sampler();
        let text = include_str!("../../../tests/recorded/report.json");
        let mut report: Report = serde_json::from_str(text).unwrap();
        assert!(report.complete && report.processes.len() > 1);
        let before = sampler.session.glance().unwrap();
        let count = report.processes.len();
        let sample = |sampler: &mut Sampler, report: &Report| {
            let found = (Reading::of(report, 0.0), report.clone());
            sampler.add_sample(0.0, &before, Some(&found));
            sampler.seen.samples.pop().unwrap()
        };
        let whole = sample(&mut sampler, &report);
        assert_eq!(whole.processes, count);
        assert_eq!(Some(whole.sum_rss), report.tree.sum_rss);
        assert!(sampler.seen.peak_sum_rss >= whole.sum_rss);
        report.complete = false;
        assert_eq!(
            sample(&mut sampler, &report).processes,
            before.processes.len()
        );
    }

    #[test]
    fn the_first_reading_does_not_wait_until_nobody_comes_or_goes() {
        let mut sampler = sampler();
        let glance = sampler.session.glance().unwrap();
        sampler.unsettled = 3;
        assert!(sampler.due(&glance).is_ok());
        let report = sampler.session.read().unwrap();
        sampler.seen.report = Some((0.0, report));
        assert_eq!(sampler.due(&glance), Err(Waiting::Unsettled));
        sampler.unsettled = PATIENCE + 1;
        assert_ne!(sampler.due(&glance), Err(Waiting::Unsettled));
        sampler.unsettled = 0;
        sampler.next_reading = Instant::now() + LONGEST;
        let due = sampler.due(&glance);
        assert!(matches!(due, Err(Waiting::TooSoon { .. })), "{due:?}");
        sampler.read_at = glance.clone();
        assert_eq!(sampler.due(&glance), Err(Waiting::Still));
    }
}
