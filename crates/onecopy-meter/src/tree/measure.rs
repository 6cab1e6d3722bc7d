//! Passes over the tree, until one can be believed.
//!
//! `/proc` is not read at one moment. What happened meanwhile is seen by looking at the processes once
//! more: who came, went, or lost its memory (see `bracket.rs`), and how many page faults they took or pages they
//! gave back. The second look costs microseconds per process, whatever their size.
//!
//! The kernel may also give a page another frame, when free memory is in pieces, and a page of two processes that is
//! moved between its two readings would be two frames. It counts such moves, of the whole machine alone.
#![forbid(unsafe_code)]

use std::collections::HashMap;

use super::Subject;
use super::bracket::looks;
use super::list::list;
use super::pass::Pass;
use super::report::{Reading, report};
use crate::error::MeterError;
use crate::history::{self, History};
use crate::parse::Stat;
use crate::report::{Baseline, Level, Report};

/// Readings of a tree that will not hold still.
const PASSES: u32 = 4;
/// Of so many pages one may move before a tree is read again for it.
const TOLERANCE: u64 = 1_000;

/// One pass, and what happened during it.
struct Attempt {
    pass: Pass,
    /// What is to be remembered if this pass is the one.
    known: History,
    /// Whether nobody came, went or lost its memory.
    steady: bool,
    /// Pages that moved.
    drift: u64,
    /// Whether these are too many.
    moved: bool,
}

impl Attempt {
    fn make(subject: &Subject<'_>, history: Option<&History>) -> Result<Self, MeterError> {
        // Looked at before and after all else, so that nothing of it is taken for another thread's.
        let own = subject.proc.own_faults();
        let migrated = migrated(subject);
        let before = list(subject)?;
        let mut known = history.cloned().unwrap_or_default();
        known.keep_only(&before.iter().map(history::program).collect::<Vec<_>>());
        let pass = Pass::read(subject, &before, &mut known, history.is_some())?;
        let now = list(subject)?;
        let own = subject.proc.own_faults().saturating_sub(own);
        let migrated = self::migrated(subject).saturating_sub(migrated);
        let drift = drift(&before, &now, own);
        let pages: u64 = before.iter().map(|stat| stat.rss_pages).sum();
        Ok(Self {
            steady: !pass.vanished() && looks(&now) == looks(&before),
            moved: drift > pages / TOLERANCE || migrated > 0,
            pass,
            known,
            drift: drift + migrated.min(pages),
        })
    }
}

/// Pages of the machine that have got other frames since it started. Only who compares frames and will read once more
/// asks, as the answer takes the kernel some ten microseconds.
fn migrated(subject: &Subject<'_>) -> u64 {
    if subject.patient && subject.level == Level::A {
        subject.proc.migrated()
    } else {
        0
    }
}

/// Measures the subject; with a `history`, compares it with what was known and remembers it.
pub(crate) fn measure(
    subject: &Subject<'_>,
    mut history: Option<&mut History>,
) -> Result<Report, MeterError> {
    // Who is read again and again is read again soon.
    let most = if subject.patient { PASSES } else { PASSES / 2 };
    let (mut passes, mut best) = (0, None::<Attempt>);
    loop {
        let attempt = Attempt::make(subject, history.as_deref())?;
        passes += 1;
        let again = !attempt.steady || (attempt.moved && subject.patient);
        // The last one, unless one before it was better.
        let rank = |attempt: &Attempt| (attempt.steady, std::cmp::Reverse(attempt.drift));
        if best
            .as_ref()
            .is_none_or(|best| rank(&attempt) >= rank(best))
        {
            best = Some(attempt);
        }
        if let Some(mut found) = best.take_if(|_| !again || passes == most) {
            let reading = Reading {
                passes,
                steady: found.steady,
                drift: found.drift,
                baseline: if found.known.has_missed_forks() {
                    Baseline::Now
                } else {
                    Baseline::Fork
                },
            };
            if let Some(history) = &mut history {
                found.known.begun = true;
                **history = found.known;
            }
            return report(subject, found.pass, &reading);
        }
    }
}

/// Pages that moved between two looks at the same processes. `own` are the faults of the thread that
/// looks: what reading allocates is gone when it is done, so it is not counted, and this process's RSS
/// says nothing either.
fn drift(before: &[Stat], now: &[Stat], own: u64) -> u64 {
    let now: HashMap<(u32, u64), &Stat> = now
        .iter()
        .map(|stat| ((stat.pid, stat.start_time_ticks), stat))
        .collect();
    let moved = before.iter().filter_map(|was| {
        let is = now.get(&(was.pid, was.start_time_ticks))?;
        let faults = is.minor_faults.saturating_sub(was.minor_faults);
        Some(if was.pid == std::process::id() {
            faults.saturating_sub(own)
        } else {
            faults.max(is.rss_pages.abs_diff(was.rss_pages))
        })
    });
    moved.sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::stat;

    fn at(pid: u32, faults: u64, rss: u64) -> Stat {
        let text = include_str!("../../tests/captured/stat");
        let mut stat = stat(text.as_bytes()).unwrap();
        (stat.pid, stat.minor_faults, stat.rss_pages) = (pid, faults, rss);
        stat
    }

    #[test]
    fn faults_and_pages_given_back_are_drift_and_own_reading_is_not() {
        let own = std::process::id();
        // Numbers of processes end at 2^22.
        let (writes, frees) = (1 << 23, (1 << 23) + 1);
        let before = [at(writes, 5, 100), at(frees, 7, 100), at(own, 9, 100)];
        let now = [at(writes, 45, 110), at(frees, 7, 40), at(own, 29, 300)];
        assert_eq!(drift(&before, &now, 17), 40 + 60 + 3);
        assert_eq!(drift(&before, &before, 0), 0);
        // One that is gone has moved nothing; the pass is repeated for another reason.
        assert_eq!(drift(&before, &now[..1], 0), 40);
    }
}
