//! Adds up what processes have copied, and why, so that only the living ones take memory.
//!
//! Each process is settled once: when it has ended, or at the end of the recording. What is added is the
//! pages that it had copied when it was last read with any, joined with the faults of its program and its
//! relatives, and with the table of objects of its family.
#![forbid(unsafe_code)]

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::path::PathBuf;

use onecopy_meter::holding;

use super::cause::{self, Cause};
use super::faults::{Faults, Frame, NO_FILE, Program};
use super::names::Names;
use super::objects::{Objects, Sums, Tables};
use super::python_stack;
use super::{MappingRow, PythonRow, Why, WhyRow};

/// Stacks that are told apart while adding up; the smallest are dropped into one.
const STACKS: usize = 4_096;
/// Rows that a record keeps of each kind; the rest are added up.
const ROWS: usize = 200;
/// The row of stacks that are not told apart.
pub(crate) const OTHERS: &str = "… other stacks";

/// What a process had copied.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Copied {
    pub(crate) pid: u32,
    /// Bottom of the stack: equal within a fork family.
    pub(crate) family: u64,
    /// When it was read, on the monotonic clock.
    pub(crate) read_ns: u64,
    pub(crate) ranges: Vec<Range<u64>>,
    /// What the pages belong to: label and bytes.
    pub(crate) mappings: Vec<(String, u64)>,
}

/// The sums so far.
#[derive(Debug)]
pub(crate) struct Ledger {
    page_size: u64,
    names: Names,
    tables: Tables,
    processes: u64,
    pages: u64,
    attributed: u64,
    /// Pages written by code of the interpreter that has no name.
    nameless: u64,
    stacks: HashMap<Vec<String>, (Cause, u64)>,
    python: HashMap<Vec<String>, u64>,
    objects: Sums,
    mappings: HashMap<String, u64>,
}

impl Ledger {
    /// Nothing yet. Tables of objects are looked for in that folder.
    pub(crate) fn new(folder: Option<PathBuf>, page_size: u64) -> Self {
        Self {
            page_size,
            names: Names::default(),
            tables: Tables::new(folder),
            processes: 0,
            pages: 0,
            attributed: 0,
            nameless: 0,
            stacks: HashMap::new(),
            python: HashMap::new(),
            objects: Sums::default(),
            mappings: HashMap::new(),
        }
    }

    /// Adds what a process had copied, with the faults that were recorded.
    pub(super) fn settle(&mut self, copied: &Copied, faults: Option<&Faults>) {
        let pages: u64 = copied
            .ranges
            .iter()
            .map(|range| (range.end - range.start) / self.page_size)
            .sum();
        if pages == 0 {
            return;
        }
        self.processes += 1;
        self.pages += pages;
        for (label, bytes) in &copied.mappings {
            *self.mappings.entry(label.clone()).or_default() += bytes;
        }
        let table = self.tables.of(copied.pid, copied.family);
        self.objects.add(table, &copied.ranges);
        let program = faults
            .and_then(|faults| Some((faults, faults.at(copied.pid, faults.ms(copied.read_ns))?)));
        if let Some((faults, program)) = program {
            self.names.maps.refresh(&program.origin);
            self.add_stacks(copied, faults, program);
            self.add_python(copied, faults, program);
        }
    }

    /// Forgets the names that a program compiled which has ended.
    pub(super) fn forget(&mut self, origin: &super::perf_map::Origin) {
        self.names.maps.forget(origin);
    }

    fn add_stacks(&mut self, copied: &Copied, faults: &Faults, program: &Program) {
        let mut weights: HashMap<u32, u64> = HashMap::new();
        for range in &copied.ranges {
            for page in range.start / self.page_size..range.end / self.page_size {
                if let Some(stack) = faults.stack_at(program, page) {
                    *weights.entry(stack).or_default() += 1;
                }
            }
        }
        for (stack, pages) in weights {
            let frames = faults.stacks.get(stack);
            let named = self.names.chain(frames, faults, &program.origin);
            let cause = cause::cause(&named);
            self.attributed += pages;
            if named.in_interpreter && !named.has_name && cause == Cause::Other {
                self.nameless += pages;
            }
            self.stacks.entry(named.stack).or_insert((cause, 0)).1 += pages;
        }
        if self.stacks.len() > STACKS {
            shrink(&mut self.stacks, STACKS / 2);
        }
    }

    fn add_python(&mut self, copied: &Copied, faults: &Faults, program: &Program) {
        let is_copied = |page: u64| holding(&copied.ranges, page * self.page_size).is_some();
        let stacks = program.words.iter().filter(|(page, _)| is_copied(**page));
        for (_, words) in stacks {
            let frames = words
                .found
                .iter()
                .map(|(_, frame)| *frame)
                .chain([words.running]);
            let frames = frames.filter(|frame| frame.file != NO_FILE);
            let loops: HashSet<Frame> = frames
                .filter(|frame| self.names.is_loop(*frame, faults))
                .collect();
            let file = loops.iter().next().map(|frame| frame.file);
            let Some(distance) = file.and_then(|file| self.names.distance(file, faults)) else {
                continue;
            };
            let addresses = python_stack::running(words, distance, |frame| loops.contains(frame));
            let stack = self.names.functions(&addresses, &program.origin);
            if !stack.is_empty() && (self.python.len() < STACKS || self.python.contains_key(&stack))
            {
                *self.python.entry(stack).or_default() += 1;
            }
        }
    }

    /// The sums, as they are shown. `reason` says why there are no faults.
    pub(crate) fn finish(self, lost: u64, reason: Option<String>) -> Why {
        let mut stacks = self.stacks;
        if stacks.len() > ROWS {
            shrink(&mut stacks, ROWS);
        }
        let mut rows: Vec<WhyRow> = stacks
            .into_iter()
            .map(|(stack, (cause, pages))| WhyRow {
                stack,
                pages,
                cause,
            })
            .collect();
        rows.sort_by(|a, b| b.pages.cmp(&a.pages).then_with(|| a.stack.cmp(&b.stack)));
        let all: u64 = self.python.values().sum();
        let mut python: Vec<PythonRow> = self
            .python
            .into_iter()
            .map(|(stack, count)| PythonRow {
                stack,
                fraction: count as f64 / all.max(1) as f64,
            })
            .collect();
        python.sort_by(|a, b| {
            b.fraction
                .total_cmp(&a.fraction)
                .then_with(|| a.stack.cmp(&b.stack))
        });
        python.truncate(ROWS);
        let mut mappings: Vec<MappingRow> = self
            .mappings
            .into_iter()
            .map(|(label, bytes)| MappingRow { label, bytes })
            .collect();
        mappings.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.label.cmp(&b.label)));
        mappings.truncate(ROWS);
        let objects: Option<Objects> = self.objects.finish();
        let mut why = Why {
            processes: self.processes,
            pages: self.pages,
            unattributed: self.pages - self.attributed,
            lost,
            stacks: rows,
            python,
            mappings,
            objects,
            reason,
            ..Why::default()
        };
        why.advice = cause::advice(&why, self.nameless);
        why
    }
}

/// Keeps the stacks with most pages, and adds the others up.
fn shrink(stacks: &mut HashMap<Vec<String>, (Cause, u64)>, keep: usize) {
    let others = vec![OTHERS.to_owned()];
    let before = stacks.remove(&others).map_or(0, |(_, pages)| pages);
    let mut rows: Vec<_> = stacks.drain().collect();
    rows.sort_by(|a, b| b.1.1.cmp(&a.1.1).then_with(|| a.0.cmp(&b.0)));
    let rest: u64 = rows
        .drain(keep.min(rows.len())..)
        .map(|(_, (_, pages))| pages)
        .sum();
    stacks.extend(rows);
    stacks.insert(others, (Cause::Other, before + rest));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copied(pid: u32, range: Range<u64>) -> Copied {
        Copied {
            pid,
            ranges: std::iter::once(range).collect(),
            ..Copied::default()
        }
    }

    #[test]
    fn the_total_is_every_process_at_its_last_reading_and_without_faults_unattributed() {
        let mut ledger = Ledger::new(None, 4096);
        ledger.settle(&copied(7, 4096..3 * 4096), None);
        ledger.settle(&copied(8, 0..4096), None);
        // The same pid again is another process.
        ledger.settle(&copied(7, 0..4096), None);
        ledger.settle(&copied(9, 0..0), None);
        let why = ledger.finish(0, Some("not allowed".to_owned()));
        assert_eq!((why.processes, why.pages, why.unattributed), (3, 4, 4));
        assert!(why.advice.is_empty() && why.stacks.is_empty() && why.objects.is_none());
        assert_eq!(why.reason.as_deref(), Some("not allowed"));
    }

    #[test]
    fn many_stacks_become_few_and_no_page_is_lost() {
        let mut stacks: HashMap<Vec<String>, (Cause, u64)> = (1..=100u64)
            .map(|number| (vec![number.to_string()], (Cause::Other, number)))
            .collect();
        shrink(&mut stacks, 10);
        shrink(&mut stacks, 10);
        assert_eq!(stacks.len(), 11);
        assert_eq!(stacks.values().map(|(_, pages)| pages).sum::<u64>(), 5050);
        assert_eq!(stacks[&vec!["100".to_owned()]], (Cause::Other, 100));
    }
}
