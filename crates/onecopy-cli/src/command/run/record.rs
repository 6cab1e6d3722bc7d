//! What `onecopy run` has seen, as data.
#![forbid(unsafe_code)]

use onecopy_meter::{Level, Report};
use serde::{Deserialize, Serialize};

use crate::command::why::Why;

/// The form of [`Record`] as data; changes whenever a field changes its meaning.
pub(crate) const SCHEMA: &str = "onecopy.run/1";

/// How the command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Exit {
    /// Its exit code; `None` when a signal ended it.
    pub(crate) code: Option<i32>,
    /// The signal that ended it.
    pub(crate) signal: Option<i32>,
}

impl Exit {
    /// The exit code of `onecopy run`.
    pub(crate) fn passed_through(self) -> i32 {
        match (self.code, self.signal) {
            (Some(code), _) => code,
            (None, Some(signal)) => 128 + signal,
            (None, None) => super::OWN_FAILURE,
        }
    }
}

/// A reading within a sample; sizes in bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Reading {
    /// Physical copies; `None` when the tree shares nothing or was not complete.
    pub(crate) copies: Option<f64>,
    /// Inherited memory, counted once; `None`, as all other sums, when the tree was not complete.
    pub(crate) once: Option<u64>,
    /// Copied by writing.
    pub(crate) wasted: Option<u64>,
    /// Came after the forks.
    pub(crate) new: Option<u64>,
    /// Shared memory.
    pub(crate) shared: Option<u64>,
    /// Files, as PSS counts them.
    pub(crate) file: Option<u64>,
    /// The sum of these.
    pub(crate) physical: Option<u64>,
    /// ΣPSS.
    pub(crate) sum_pss: Option<u64>,
    /// Whether every living process was read.
    pub(crate) complete: bool,
    /// What it cost, in seconds of processor time.
    pub(crate) cost: f64,
}

impl Reading {
    pub(crate) fn of(report: &Report, cost: f64) -> Self {
        let (copies, page) = (&report.tree.copies, report.page_size);
        let file = report.tree.sum_pss_file;
        let bytes = |pages: Option<u64>| pages.map(|pages| pages * page);
        let counted = bytes(copies.physical_pages());
        Self {
            copies: copies.value,
            once: bytes(copies.unique),
            wasted: bytes(copies.wasted),
            new: bytes(copies.new),
            shared: bytes(copies.shared),
            file,
            physical: counted.zip(file).map(|(counted, file)| counted + file),
            sum_pss: report.tree.sum_pss,
            complete: report.complete,
            cost,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_of_a_part_has_no_sums() {
        let text = include_str!("../../../tests/recorded/report.json");
        let mut report: Report = serde_json::from_str(text).unwrap();
        let whole = serde_json::to_value(Reading::of(&report, 0.5)).unwrap();
        report.complete = false;
        let copies = &mut report.tree.copies;
        copies.value = None;
        for part in [
            &mut copies.unique,
            &mut copies.frames,
            &mut copies.shared,
            &mut copies.new,
            &mut copies.wasted,
            &mut report.tree.sum_pss,
            &mut report.tree.sum_pss_file,
        ] {
            *part = None;
        }
        let part = serde_json::to_value(Reading::of(&report, 0.5)).unwrap();
        for (name, value) in part.as_object().unwrap() {
            let known = ["complete", "cost"].contains(&name.as_str());
            assert_eq!(value.is_null(), !known, "{name}: {value}");
            assert!(!whole[name].is_null(), "{name}");
        }
    }
}

/// The tree at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// Seconds since the command was started.
    pub(crate) t: f64,
    /// Living processes: those that were counted, if all were.
    pub(crate) processes: usize,
    /// ΣRSS, in bytes.
    pub(crate) sum_rss: u64,
    /// Page faults so far, of the processes that are alive.
    pub(crate) faults: u64,
    /// What a count of pages said, if there was one at this moment.
    pub(crate) reading: Option<Reading>,
}

/// What happened to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EventKind {
    /// It was first seen, and a relative by fork was there already.
    Fork,
    /// It was first seen, with a program of its own.
    Start,
    /// It was not there any more.
    Exit,
    /// It has called `onecopy.mark()`.
    Mark,
    /// Its collector looked at all objects.
    Gc,
}

/// Something that happened between two samples, or that a program has marked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Event {
    /// Seconds since the command was started; the moment when it was noticed, or marked.
    pub(crate) t: f64,
    /// What.
    pub(crate) kind: EventKind,
    /// To whom.
    pub(crate) pid: u32,
    /// What the program says of it; of marks and collections only.
    #[serde(default)]
    pub(crate) label: Option<String>,
}

/// What the measuring itself took.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Overhead {
    /// The part of one processor that it might take.
    pub(crate) allowed: f64,
    /// Counts of pages.
    pub(crate) readings: usize,
    /// Looks that counted none.
    #[serde(default)]
    pub(crate) glances: usize,
    /// Processor time in seconds.
    pub(crate) cpu_seconds: f64,
    /// The part of one processor that it took.
    pub(crate) fraction: f64,
    /// The longest single count, in seconds of processor time.
    pub(crate) longest_reading: f64,
}

/// The whole run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) schema: String,
    /// The command and its arguments.
    pub(crate) command: Vec<String>,
    /// How it ended; `None` while it still runs.
    pub(crate) exit: Option<Exit>,
    /// How long it ran, or was watched.
    pub(crate) seconds: f64,
    pub(crate) level: Level,
    pub(crate) overhead: Overhead,
    /// The highest number of copies in any reading, and when that was.
    pub(crate) max_copies: Option<f64>,
    pub(crate) max_copies_t: Option<f64>,
    /// The highest ΣRSS of any sample.
    pub(crate) peak_sum_rss: u64,
    /// The highest physical memory of any complete reading, and when that was.
    pub(crate) peak_physical: Option<u64>,
    pub(crate) peak_physical_t: Option<f64>,
    /// `memory.peak` of the cgroup, if it is the command's own, or why it is not known.
    #[serde(default)]
    pub(crate) cgroup_peak: Option<u64>,
    #[serde(default)]
    pub(crate) cgroup_peak_reason: Option<String>,
    /// Page faults that no whole reading has seen, of all processes that there were: memory that may have been copied
    /// unseen, in pages.
    pub(crate) faults_unseen: u64,
    /// Processes of the command that were still there when it had ended.
    pub(crate) left_behind: Vec<u32>,
    pub(crate) events: Vec<Event>,
    pub(crate) samples: Vec<Sample>,
    /// The reading with the most physical memory, in full, and when it was.
    pub(crate) report: Option<Report>,
    pub(crate) report_t: Option<f64>,
    /// Why pages were copied; `None` without `--why`.
    pub(crate) why: Option<Why>,
    /// Why the largest moment was not counted; `None` when something at least half as large was.
    #[serde(default)]
    pub(crate) not_counted: Option<String>,
    /// Why there is no report.
    pub(crate) reason: Option<String>,
}
