//! What a process had when it forked, noted by that process itself just before.
//!
//! Without a note, a child's baseline is what its parent has when the child is first read. Memory that
//! both have allocated at one address in between looks as if it had been copied, and what the parent
//! alone has allocated as if it had been inherited.
//!
//! ```text
//! about to fork ─▶ note: time, pages present   (or only the time, when looking would cost too much)
//!                     └▶ child first read: the last note of its parent before it started is its base
//! ```
//! **Invariant** I1: every fork leaves a note. The last one before a child's start is then that of its own
//! fork; one without pages says that nothing is known. A fork that leaves none, by C code that does not tell
//! the interpreter, is told by the time that lies between.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::param::clock_ticks_per_second;
use rustix::time::{ClockId, clock_gettime};

use crate::error::MeterError;
use crate::page_set::PageSet;
use crate::parse::{MappingKind, Stat};
use crate::read::Proc;

/// Notes that are kept: children are read within a second or two.
const NOTES: usize = 1_024;
/// Seconds from a note to the start of the child: copying page tables takes some 10 ms per GiB, and
/// the machine may be busy.
const LONGEST_FORK: u64 = 10;

/// The forks of processes that note them; clones are the same log.
#[derive(Debug, Clone, Default)]
pub struct ForkLog(Arc<Mutex<Notes>>);

#[derive(Debug, Default)]
struct Notes {
    notes: VecDeque<Note>,
    spent: Duration,
}

#[derive(Debug)]
struct Note {
    pid: u32,
    /// Clock ticks since boot, as in `/proc/PID/stat`.
    ticks: u64,
    pages: Option<Arc<PageSet>>,
}

impl ForkLog {
    /// Notes that this process is about to fork. Its pages are looked at, unless this would bring what all
    /// notes have cost above `allowed`, judged by the last one.
    ///
    /// # Errors
    /// `/proc` cannot be read. The fork is noted nevertheless.
    pub fn note(&self, proc: &Proc, allowed: Duration) -> Result<(), MeterError> {
        let pid = std::process::id();
        let begun = Instant::now();
        let found = estimate(proc, pid).and_then(|cost| {
            if cost + self.spent() <= allowed {
                present(proc, pid)
            } else {
                Ok(None)
            }
        });
        let (pages, result) = match found {
            Ok(pages) => (pages, Ok(())),
            Err(error) => (None, Err(error)),
        };
        let mut log = self.lock();
        log.spent += begun.elapsed();
        if log.notes.len() == NOTES {
            log.notes.pop_front();
        }
        log.notes.push_back(Note {
            pid,
            ticks: now(),
            pages: pages.map(Arc::new),
        });
        result
    }

    /// What notes have cost so far.
    #[must_use]
    pub fn spent(&self) -> Duration {
        self.lock().spent
    }

    /// The pages that `parent` had when it forked `child`, if it has noted them.
    pub(crate) fn base(&self, parent: u32, child: &Stat) -> Option<Arc<PageSet>> {
        let log = self.lock();
        let start = child.start_time_ticks;
        let mut before = log.notes.iter().rev();
        let note = before.find(|note| note.pid == parent && note.ticks <= start)?;
        if start - note.ticks > LONGEST_FORK * clock_ticks_per_second() {
            return None;
        }
        note.pages.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Notes> {
        // Notes are whole whenever the lock is free.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What looking at this process will cost: ten milliseconds per GiB.
fn estimate(proc: &Proc, pid: u32) -> Result<Duration, MeterError> {
    let gib = proc.statm(pid)?.rss as f64 / f64::from(1 << 30);
    Ok(Duration::from_secs_f64(gib * 0.010))
}

/// Private pages, those that only show the zero page left out; `None` where the kernel cannot tell quickly.
fn present(proc: &Proc, pid: u32) -> Result<Option<PageSet>, MeterError> {
    let (pagemap, page_size) = (proc.open_pagemap(pid)?, proc.page_size());
    let mut pages = PageSet::default();
    for mapping in proc.maps(pid)? {
        if mapping.is_shared() || mapping.kind() == MappingKind::Special {
            continue;
        }
        let Some(regions) = proc.present(pid, &pagemap, mapping.start..mapping.end)? else {
            return Ok(None);
        };
        for region in regions.iter().filter(|region| !region.is_zero_page()) {
            pages.insert_all(region.start / page_size..region.end / page_size);
        }
    }
    Ok(Some(pages))
}

/// Clock ticks since boot.
fn now() -> u64 {
    let time = clock_gettime(ClockId::Boottime);
    let per_second = clock_ticks_per_second();
    let (seconds, nanoseconds) = (time.tv_sec.cast_unsigned(), time.tv_nsec.cast_unsigned());
    seconds * per_second + nanoseconds * per_second / 1_000_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn child(start: u64) -> Stat {
        let text = std::fs::read_to_string("/proc/self/stat").unwrap();
        let mut child = crate::parse::stat(text.as_bytes()).unwrap();
        child.start_time_ticks = start;
        child
    }

    #[test]
    fn a_fork_is_noted_whatever_cannot_be_read() {
        let log = ForkLog::default();
        let nowhere = Proc::at("/no/such/folder", 4096);
        assert!(log.note(&nowhere, Duration::MAX).is_err());
        // The note before it says nothing of this fork.
        assert_eq!(log.lock().notes.len(), 1);
    }

    #[test]
    fn the_last_note_before_the_start_counts() {
        let log = ForkLog::default();
        let set = |page| {
            let mut pages = PageSet::default();
            pages.insert(page);
            Arc::new(pages)
        };
        for (pid, ticks, pages) in [
            (1, 100, Some(set(1))),
            (1, 110, Some(set(2))),
            (2, 111, Some(set(3))),
            (1, 120, None),
        ] {
            log.lock().notes.push_back(Note { pid, ticks, pages });
        }
        let base = |parent, start| log.base(parent, &child(start));
        assert_eq!(base(1, 99), None);
        assert_eq!(base(1, 100), Some(set(1)));
        assert_eq!(base(1, 119), Some(set(2)));
        assert_eq!(base(1, 120), None); // noted, and not looked at
        assert_eq!(base(2, 1_000), Some(set(3)));
        assert_eq!(base(2, 112 + 10 * clock_ticks_per_second()), None); // some other fork
        assert_eq!(base(3, 120), None);
    }

    #[test]
    fn notes_stop_where_their_budget_ends() {
        let log = ForkLog::default();
        let pages = |log: &ForkLog| log.lock().notes.back().unwrap().pages.clone();
        log.note(&Proc::default(), Duration::ZERO).unwrap();
        assert_eq!(pages(&log), None);
        log.note(&Proc::default(), Duration::from_mins(1)).unwrap();
        let own = &raw const log;
        if Proc::default().can_scan() {
            assert!(
                pages(&log)
                    .unwrap()
                    .contains(own.addr() as u64 / Proc::default().page_size())
            );
        }
        assert!(log.spent() > Duration::ZERO);
        for _ in 0..2 * NOTES {
            log.note(&Proc::default(), Duration::ZERO).unwrap();
        }
        assert_eq!(log.lock().notes.len(), NOTES);
    }
}
