//! Page faults that no reading has seen: what may have been copied unseen.
//!
//! ```text
//!            reading 1      reading 2            end
//! process A  ────┼──────────────┼─────── x ───────┤   x after the last reading
//! process B      ┼──── y ──┤                          y between two, as it ended before it was read again
//! process C                        ├── z ──┤          z of one that was never read
//! ```
//! A page cannot be copied without a fault, so that the sum of x, y and z is the most that was copied unseen. What
//! the processes took between their last glance and their end is known when they have been waited for: this
//! process's own count of faults of children has all of them, those included that nobody ever saw.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::fs;

use onecopy_meter::{Glance, Report};

/// Faults that are not worth a word: one reading allocates as much.
pub(crate) const FEW: u64 = 256;

/// One process.
#[derive(Debug, Clone, Copy, Default)]
struct Process {
    /// Its faults when it was last read.
    read: u64,
    /// Its faults when it was last seen.
    last: u64,
}

impl Process {
    fn unseen(self) -> u64 {
        self.last.saturating_sub(self.read)
    }
}

/// From a reading with a number of copies to the next one, or to the end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Gap {
    /// Seconds since the start.
    pub(crate) t: f64,
    /// What the reading has found, in pages: the copies, and what they are copies of.
    pub(crate) frames: u64,
    pub(crate) distinct: u64,
    /// Pages that may have been copied since, and that no reading has seen.
    pub(crate) unseen: u64,
}

impl Gap {
    /// Whether there may have been more copies than that.
    fn may_break(&self, most: f64) -> bool {
        let worst = (self.frames + self.unseen) as f64 / self.distinct.max(1) as f64;
        self.unseen > FEW && worst > most
    }
}

/// The faults of all processes, those that have ended included.
#[derive(Debug, Default)]
pub(super) struct Unseen {
    /// Faults of this process's children before the command was one.
    before: u64,
    alive: HashMap<(u32, u64), Process>,
    /// All faults of those that have ended, as they were last seen.
    ended: u64,
    /// Those of them that no reading has seen, before the first gap.
    early: u64,
    gaps: Vec<Gap>,
}

impl Unseen {
    pub(super) fn new(before: u64) -> Self {
        Self {
            before,
            ..Self::default()
        }
    }

    /// Takes over what a glance tells.
    pub(super) fn see(&mut self, glance: &Glance) {
        let mut before = std::mem::take(&mut self.alive);
        for seen in &glance.processes {
            let key = (seen.pid, seen.start_time_ticks);
            let mut process = before.remove(&key).unwrap_or_default();
            process.last = process.last.max(seen.faults);
            self.alive.insert(key, process);
        }
        for process in before.into_values() {
            self.ended += process.last;
            self.add(process.unseen());
        }
    }

    fn add(&mut self, unseen: u64) {
        match self.gaps.last_mut() {
            Some(gap) => gap.unseen += unseen,
            None => self.early += unseen,
        }
    }

    /// Takes over a reading that came just after the last glance.
    pub(super) fn read(&mut self, t: f64, report: &Report) {
        if !report.complete {
            return;
        }
        for row in &report.processes {
            if let Some(process) = self.alive.get_mut(&(row.pid, row.start_time_ticks)) {
                process.read = process.last;
            }
        }
        let copies = &report.tree.copies;
        let parts = copies.unique.zip(copies.frames).zip(copies.shared);
        if let (Some(_), Some(((unique, frames), shared))) = (copies.value, parts) {
            self.gaps.push(Gap {
                t,
                frames: frames + shared,
                distinct: unique + shared,
                unseen: std::mem::take(&mut self.early),
            });
        }
    }

    /// All that was unseen, and when. To be called after the last glance, as `of_children` is taken after it.
    pub(super) fn finish(mut self, of_children: u64) -> (u64, Vec<Gap>) {
        let late = of_children
            .saturating_sub(self.before)
            .saturating_sub(self.ended);
        let alive: u64 = self.alive.values().map(|process| process.unseen()).sum();
        self.add(alive + late);
        let unseen: u64 = self.gaps.iter().map(|gap| gap.unseen).sum();
        (unseen + self.early, self.gaps)
    }
}

/// Faults of all children of this process that have ended and been waited for, and of theirs, since it began; 0 where
/// the kernel does not say.
pub(super) fn of_children() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    parse(&stat).unwrap_or(0)
}

/// `PID (NAME) STATE PARENT …`: the ninth field after the name, which may hold anything.
fn parse(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    fields.split(' ').nth(8)?.parse().ok()
}

/// What there is to say of a number that held at every reading: when more may have been copied unseen than it allows.
pub(super) fn caveat(
    most: f64,
    seconds: f64,
    gaps: &[Gap],
    size: impl Fn(u64) -> String,
) -> Option<String> {
    let last = gaps.last()?;
    let is_last_alone = !gaps
        .iter()
        .take(gaps.len() - 1)
        .any(|gap| gap.may_break(most));
    let more = if !is_last_alone {
        let unseen = gaps.iter().map(|gap| gap.unseen).sum();
        format!(
            "up to {} more may have been copied since, or by processes that ended before they were read again",
            size(unseen)
        )
    } else if last.may_break(most) {
        format!(
            "up to {} more may have been copied since",
            size(last.unseen)
        )
    } else {
        return None;
    };
    Some(format!(
        "--max-copies {most} held at every reading, the last at {:.1} s of {seconds:.1} s; {more}",
        last.t
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn glance(processes: &[(u32, u64)]) -> Glance {
        // The form is the meter's own: a glance at this process, with other numbers.
        let session =
            onecopy_meter::Session::new(onecopy_meter::Proc::default(), std::process::id());
        let one = session.glance().unwrap().processes.swap_remove(0);
        let mut glance = Glance::default();
        glance.processes = processes
            .iter()
            .map(|(pid, faults)| {
                let mut seen = one.clone();
                (seen.pid, seen.start_time_ticks, seen.faults) = (*pid, 7, *faults);
                seen
            })
            .collect();
        glance
    }

    /// A whole reading of processes, with 1,000 distinct pages in as many frames.
    fn report(pids: &[u32]) -> Report {
        let text = include_str!("../../../tests/recorded/report.json");
        let mut report: Report = serde_json::from_str(text).unwrap();
        let row = report.processes[0].clone();
        report.processes = pids
            .iter()
            .map(|pid| {
                let mut row = row.clone();
                (row.pid, row.start_time_ticks) = (*pid, 7);
                row
            })
            .collect();
        report.complete = true;
        let copies = &mut report.tree.copies;
        (copies.value, copies.unique) = (Some(1.0), Some(1_000));
        (copies.frames, copies.shared) = (Some(1_000), Some(0));
        report
    }

    #[test]
    fn faults_of_processes_that_have_ended_are_not_forgotten() {
        let mut unseen_faults = Unseen::new(50);
        unseen_faults.see(&glance(&[(1, 100), (2, 10)]));
        unseen_faults.read(0.5, &report(&[1, 2]));
        // The second goes on and ends, a third comes and ends unread: the sum over the living falls.
        unseen_faults.see(&glance(&[(1, 100), (2, 3_010)]));
        unseen_faults.see(&glance(&[(1, 100), (3, 400)]));
        unseen_faults.see(&glance(&[(1, 120)]));
        unseen_faults.read(1.5, &report(&[1]));
        unseen_faults.see(&glance(&[(1, 125)]));
        unseen_faults.see(&glance(&[]));
        // What was waited for: 3,010 + 400 + 125, and 7 that the glances had missed.
        let (unseen, gaps) = unseen_faults.finish(50 + 3_010 + 400 + 125 + 7);
        assert_eq!(unseen, 3_000 + 400 + 5 + 7);
        let of_gaps: Vec<u64> = gaps.iter().map(|gap| gap.unseen).collect();
        assert_eq!(of_gaps, [3_400, 12]);
    }

    #[test]
    fn a_reading_of_a_part_has_seen_nothing() {
        let mut unseen_faults = Unseen::default();
        unseen_faults.see(&glance(&[(1, 1_000)]));
        let mut part = report(&[1]);
        part.complete = false;
        unseen_faults.read(0.5, &part);
        // Children that are still alive have not been waited for.
        assert_eq!(unseen_faults.finish(0), (1_000, Vec::new()));
    }

    #[test]
    fn a_budget_that_may_have_been_broken_unseen_has_its_caveat() {
        let gap = |t, unseen| Gap {
            t,
            frames: 1_000,
            distinct: 1_000,
            unseen,
        };
        let said = |gaps: &[Gap]| caveat(1.5, 4.9, gaps, |pages| format!("{pages} pages"));
        assert_eq!(
            said(&[gap(0.2, 400), gap(0.7, 501)]).unwrap(),
            "--max-copies 1.5 held at every reading, the last at 0.7 s of 4.9 s; up to 501 pages more may have \
             been copied since"
        );
        assert_eq!(said(&[gap(0.2, 400), gap(0.7, 500)]), None);
        let earlier = said(&[gap(0.2, 900), gap(0.7, 100)]).unwrap();
        assert!(earlier.contains("up to 1000 pages more"), "{earlier}");
        assert!(
            earlier.contains("ended before they were read again"),
            "{earlier}"
        );
        assert_eq!(said(&[]), None);
        // Next to nothing is not said, however small the data are.
        let small = Gap {
            frames: 10,
            distinct: 10,
            ..gap(0.1, FEW)
        };
        assert_eq!(said(&[small]), None);
    }

    #[test]
    fn the_field_is_found_behind_any_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 1100 22333 4 5 6 7\n";
        assert_eq!(parse(stat), Some(22_333));
        assert_eq!(parse("7 (sh) S 1"), None);
    }
}
