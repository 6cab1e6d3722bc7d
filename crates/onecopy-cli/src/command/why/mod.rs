//! Why pages were copied: which code wrote to them, and which objects lie on them.
//!
//! ```text
//! faults (process, page → stack) ─┐
//! copied pages of each process  ──┼─▶ stacks weighted by copied pages, the rest unattributed ─▶ advice
//! object table (address → type) ──┘   objects on copied pages, by type
//! ```
//! Advice is given only for what the evidence names: a collector's function on top of the stacks, or
//! reference-counted objects on the copied pages.
#![forbid(unsafe_code)]

mod elf;
pub(crate) mod faults;
pub(crate) mod objects;
mod verb;

use std::collections::HashMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use elf::Names;
use faults::{Faults, Frame, NO_FILE};
pub(crate) use verb::run;

/// Python functions of a stack that are kept.
const FUNCTIONS: usize = 6;
/// Stacks that are kept; the rest are added up.
const ROWS: usize = 200;

/// What made a process write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Cause {
    /// Python's cyclic garbage collector, which writes to the head of every object it looks at.
    GarbageCollector,
    /// The interpreter's own code: it counts references to objects that are only read.
    Interpreter,
    /// Memory being given out or taken back on pages that hold other things as well.
    Allocation,
    /// Anything else.
    Other,
}

/// Pages copied by one stack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct WhyRow {
    /// Innermost function first.
    pub(crate) stack: Vec<String>,
    pub(crate) pages: u64,
    pub(crate) cause: Cause,
}

/// A part of the Python program.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PythonRow {
    /// Innermost function first.
    pub(crate) stack: Vec<String>,
    /// The part of the copied pages whose faults were looked at in this way.
    pub(crate) fraction: f64,
}

/// Why pages were copied.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Why {
    /// Copied pages that were looked at.
    pub(crate) pages: u64,
    /// The part of them that no fault explains.
    pub(crate) unattributed: u64,
    /// Faults that could not be recorded.
    pub(crate) lost: u64,
    /// Most pages first.
    pub(crate) stacks: Vec<WhyRow>,
    /// Python functions that were running, from every 61st fault; empty where the interpreter does not
    /// show them (before CPython 3.12).
    pub(crate) python: Vec<PythonRow>,
    /// Objects on copied pages, by type; `None` without a table of them.
    pub(crate) objects: Option<objects::Objects>,
    /// What can be done about it.
    pub(crate) advice: Vec<String>,
    /// Why there are no stacks.
    pub(crate) reason: Option<String>,
}

/// Why there are no faults.
pub(crate) fn refused(error: &std::io::Error) -> String {
    format!("page faults may not be watched here (perf_event_open): {error}")
}

/// Ranges that each process has copied.
pub(crate) type Copied = HashMap<u32, Vec<Range<u64>>>;

/// Joins what was copied with the faults that did it, and with the objects that lie there.
pub(crate) fn join(
    copied: &Copied,
    faults: Result<&Faults, &str>,
    table: Option<&objects::Table>,
    page_size: u64,
) -> Why {
    let pages_of = |ranges: &[Range<u64>]| -> u64 {
        ranges
            .iter()
            .map(|range| (range.end - range.start) / page_size)
            .sum()
    };
    let pages = copied.values().map(|ranges| pages_of(ranges)).sum();
    let mut why = Why {
        pages,
        unattributed: pages,
        lost: 0,
        stacks: Vec::new(),
        python: Vec::new(),
        objects: table.map(|table| table.join(copied, page_size)),
        advice: Vec::new(),
        reason: faults.err().map(str::to_owned),
    };
    if let Ok(faults) = faults {
        why.lost = faults.lost + faults.dropped;
        let mut names = Names::default();
        why.stacks = stacks(copied, faults, page_size, &mut names);
        why.python = python_rows(copied, faults, page_size, &mut names);
        let explained: u64 = why.stacks.iter().map(|row| row.pages).sum();
        why.unattributed = pages.saturating_sub(explained);
    }
    why.advice = advice(&why);
    why
}

/// The stack that wrote to a page which counts as copied by this process. It may be a relative's: when
/// parent and child have a frame each, nothing but a fault tells which of the two wrote.
fn fault_at(faults: &Faults, pid: u32, page: u64) -> Option<u32> {
    if let Some(fault) = faults.pages.get(&pid).and_then(|pages| pages.get(&page)) {
        return Some(fault.stack);
    }
    let forked_ms = *faults.first_ms.get(&pid)?;
    let others = faults.pages.iter().filter(|(other, _)| **other != pid);
    let mut later =
        others.filter_map(|(_, pages)| pages.get(&page).filter(|fault| fault.ms >= forked_ms));
    later.next().map(|fault| fault.stack)
}

fn stacks(copied: &Copied, faults: &Faults, page_size: u64, names: &mut Names) -> Vec<WhyRow> {
    let mut weights: HashMap<u32, u64> = HashMap::new();
    for (pid, ranges) in copied {
        for range in ranges {
            for page in range.start / page_size..range.end / page_size {
                if let Some(stack) = fault_at(faults, *pid, page) {
                    *weights.entry(stack).or_default() += 1;
                }
            }
        }
    }
    let pids: Vec<u32> = faults.pages.keys().copied().collect();
    let mut rows: HashMap<Vec<String>, u64> = HashMap::new();
    for (stack, pages) in weights {
        let frames = faults
            .stacks
            .get(stack as usize)
            .map(Vec::as_slice)
            .unwrap_or_default();
        *rows.entry(named(frames, faults, &pids, names)).or_default() += pages;
    }
    let mut rows: Vec<WhyRow> = rows
        .into_iter()
        .map(|(stack, pages)| WhyRow {
            cause: cause(&stack),
            stack,
            pages,
        })
        .collect();
    rows.sort_by(|a, b| b.pages.cmp(&a.pages).then_with(|| a.stack.cmp(&b.stack)));
    if rows.len() > ROWS {
        let rest: u64 = rows.drain(ROWS..).map(|row| row.pages).sum();
        rows.push(WhyRow {
            stack: vec!["… other stacks".to_owned()],
            pages: rest,
            cause: Cause::Other,
        });
    }
    rows
}

/// Python functions on the stacks of faults at copied pages.
fn python_rows(
    copied: &Copied,
    faults: &Faults,
    page_size: u64,
    names: &mut Names,
) -> Vec<PythonRow> {
    let pids: Vec<u32> = faults.pages.keys().copied().collect();
    let mut rows: HashMap<Vec<String>, u64> = HashMap::new();
    for (pid, page, addresses) in &faults.compiled {
        let ranges = copied.get(pid).map(Vec::as_slice).unwrap_or_default();
        let address = page * page_size;
        let index = ranges.partition_point(|range| range.end <= address);
        if ranges.get(index).is_none_or(|range| range.start > address) {
            continue;
        }
        let mut stack: Vec<String> = Vec::new();
        for address in addresses {
            // A return address lies behind its call.
            let name = names.compiled(&pids, address - 1);
            let name = name
                .filter(|name| name.starts_with("py::"))
                .map(|name| python(&name));
            stack.extend(name.filter(|name| stack.last() != Some(name)));
        }
        stack.truncate(FUNCTIONS);
        if !stack.is_empty() {
            *rows.entry(stack).or_default() += 1;
        }
    }
    let all: u64 = rows.values().sum();
    let mut rows: Vec<PythonRow> = rows
        .into_iter()
        .map(|(stack, count)| PythonRow {
            stack,
            fraction: count as f64 / all.max(1) as f64,
        })
        .collect();
    rows.sort_by(|a, b| {
        b.fraction
            .total_cmp(&a.fraction)
            .then_with(|| a.stack.cmp(&b.stack))
    });
    rows.truncate(ROWS);
    rows
}

/// Names of the frames, those of Python in their own form: `function (file)`.
fn named(frames: &[Frame], faults: &Faults, pids: &[u32], names: &mut Names) -> Vec<String> {
    let mut stack: Vec<String> = Vec::new();
    for (depth, frame) in frames.iter().enumerate() {
        let name = if frame.file == NO_FILE {
            names.compiled(pids, frame.offset).map(|name| python(&name))
        } else {
            faults.files.get(frame.file as usize).map(|path| {
                let file = path.rsplit('/').next().unwrap_or(path);
                // A return address may lie behind the end of a function that never returns.
                let offset = frame.offset - u64::from(depth > 0 && frame.offset > 0);
                names
                    .function(path, offset)
                    .unwrap_or_else(|| file.to_owned())
            })
        };
        let name = name.unwrap_or_else(|| "?".to_owned());
        if stack.last() != Some(&name) {
            stack.push(name);
        }
    }
    while stack.len() > 1 && stack.last().is_some_and(|name| name == "?") {
        stack.pop();
    }
    stack
}

/// `py::function:/path/to/file.py` as CPython writes it.
fn python(name: &str) -> String {
    match name
        .strip_prefix("py::")
        .and_then(|rest| rest.split_once(':'))
    {
        Some((function, path)) => {
            let file = path.rsplit('/').next().unwrap_or(path);
            format!("{function} ({file})")
        }
        None => name.to_owned(),
    }
}

/// Functions of CPython's collector, in the versions that are supported.
const COLLECTOR: [&str; 14] = [
    "update_refs",
    "subtract_refs",
    "visit_decref",
    "visit_reachable",
    "move_unreachable",
    "move_legacy_finalizers",
    "deduce_unreachable",
    "untrack_tuples",
    "untrack_dicts",
    "clear_unreachable_mask",
    "mark_alive",
    "mark_reachable",
    "visit_add_to_container",
    "move_to_reachable",
];

fn cause(stack: &[String]) -> Cause {
    let is_collector = |name: &str| {
        COLLECTOR.contains(&name)
            || name.starts_with("gc_collect")
            || name.starts_with("_PyGC_")
            || name.starts_with("gc_mark")
    };
    let is_python = |name: &str| {
        name.starts_with("Py")
            || name.starts_with("_Py")
            || name.starts_with("libpython")
            || name.starts_with("python3")
    };
    let is_allocator = |name: &str| {
        let name = name.to_ascii_lowercase();
        ["malloc", "calloc", "realloc", "_free", "alloc"]
            .iter()
            .any(|part| name.contains(part))
            || name == "free"
    };
    // The innermost frames decide: everything in a Python program is called by the interpreter.
    let first = stack.first().map(String::as_str).unwrap_or_default();
    if stack.iter().take(4).any(|name| is_collector(name)) {
        Cause::GarbageCollector
    } else if is_allocator(first) || first.contains("ReInit") || first.contains("fork") {
        Cause::Allocation
    } else if stack.iter().any(|name| is_python(name)) {
        Cause::Interpreter
    } else {
        Cause::Other
    }
}

fn advice(why: &Why) -> Vec<String> {
    let by = |cause| -> u64 {
        let rows = why.stacks.iter().filter(|row| row.cause == cause);
        rows.map(|row| row.pages).sum()
    };
    let part = |pages: u64| 100.0 * pages as f64 / why.pages.max(1) as f64;
    let mut advice = Vec::new();
    let collector = by(Cause::GarbageCollector);
    if part(collector) >= 5.0 {
        advice.push(format!(
            "{:.0} % were copied by the garbage collector: call gc.freeze() before the fork, or gc.disable() in \
             the workers",
            part(collector)
        ));
    }
    let counted = why.objects.as_ref().map(objects::Objects::counted_bytes);
    let interpreter = by(Cause::Interpreter);
    let largest = why
        .objects
        .as_ref()
        .and_then(|objects| objects.types.first());
    if part(interpreter) >= 5.0
        || (why.stacks.is_empty() && counted.is_some_and(|bytes| bytes > 1 << 20))
    {
        let what = largest.map_or_else(String::new, |row| {
            format!(", most of them {} objects", row.name)
        });
        let percent = if why.stacks.is_empty() {
            "Pages with reference-counted objects".to_owned()
        } else {
            format!("{:.0} %", part(interpreter))
        };
        advice.push(format!(
            "{percent} were copied by reference counts{what}: onecopy.share() the data, which is then read without \
             counting, or onecopy.freeze() it before the fork"
        ));
    }
    advice
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn causes_are_told_from_the_innermost_frames() {
        let cases = [
            (
                stack(&["visit_decref", "list_traverse", "gc_collect_main"]),
                Cause::GarbageCollector,
            ),
            (
                stack(&["update_refs", "PyGC_Collect"]),
                Cause::GarbageCollector,
            ),
            (
                stack(&["_PyEval_EvalFrameDefault", "gc_like (file.py)"]),
                Cause::Interpreter,
            ),
            (
                stack(&["_PyObject_Malloc", "PyList_New"]),
                Cause::Allocation,
            ),
            (stack(&["memset", "main"]), Cause::Other),
            (stack(&["?"]), Cause::Other),
        ];
        for (stack, expected) in cases {
            assert_eq!(cause(&stack), expected, "{stack:?}");
        }
    }

    #[test]
    fn pages_without_a_fault_stay_unattributed_and_earn_no_advice() {
        let mut faults = Faults::default();
        faults.stacks.push(vec![Frame {
            file: NO_FILE,
            offset: 1,
        }]);
        let fault = faults::Fault { stack: 0, ms: 5 };
        faults.pages.insert(7, [(2, fault), (9, fault)].into());
        let copied: Copied = [
            (7, std::iter::once(4096..3 * 4096).collect()),
            (8, std::iter::once(0..4096).collect()),
        ]
        .into();
        let why = join(&copied, Ok(&faults), None, 4096);
        assert_eq!((why.pages, why.unattributed), (3, 2));
        assert_eq!(why.stacks[0].pages, 1);
        assert!(why.advice.is_empty() && why.objects.is_none());
        let without = join(&copied, Err("not allowed"), None, 4096);
        assert_eq!(
            (without.unattributed, without.reason.as_deref()),
            (3, Some("not allowed"))
        );
    }
}
