//! What a stack says about the reason of a write, and what can be done about it.
//!
//! Advice is given only for what the evidence names: a function of the collector on top of the stacks, one
//! of the interpreter that counts references, or objects with reference counts on the copied pages.
#![forbid(unsafe_code)]

use onecopy_meter::Report;
use serde::{Deserialize, Serialize};

use super::Why;
use super::names::Named;

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
/// Parts of names of the interpreter's functions that change an object because the program says so.
const STORES: [&str; 10] = [
    "ass_sub", "ass_item", "setitem", "set_item", "append", "insert", "extend", "update", "resize",
    "setattr",
];
/// Parts of names of functions that give memory out and take it back.
const ALLOCATORS: [&str; 5] = ["malloc", "calloc", "realloc", "_free", "alloc"];
/// The part of the copied pages from which on something is worth advice, in percent.
const WORTH: f64 = 5.0;
/// Pages of each process from which on it is: an interpreter writes to a megabyte of its own in any case.
const WORTH_PAGES: u64 = 256;

/// The innermost frames decide: everything in a Python program is called by the interpreter.
pub(super) fn cause(named: &Named) -> Cause {
    let is_collector = |name: &str| {
        COLLECTOR.contains(&name)
            || name.starts_with("gc_collect")
            || name.starts_with("_PyGC_")
            || name.starts_with("gc_mark")
    };
    let first = named.stack.first().map(String::as_str).unwrap_or_default();
    let lower = first.to_ascii_lowercase();
    let has = |parts: &[&str]| parts.iter().any(|part| lower.contains(part));
    if named.stack.iter().take(4).any(|name| is_collector(name)) {
        Cause::GarbageCollector
    } else if !named.has_name {
        Cause::Other
    } else if has(&ALLOCATORS)
        || first == "free"
        || first.contains("ReInit")
        || first.contains("fork")
    {
        Cause::Allocation
    } else if named.in_interpreter && !has(&STORES) {
        Cause::Interpreter
    } else {
        Cause::Other
    }
}

/// What can be done about it.
pub(super) fn advice(why: &Why, nameless: u64) -> Vec<String> {
    let by = |cause| -> u64 {
        let rows = why.stacks.iter().filter(|row| row.cause == cause);
        rows.map(|row| row.pages).sum()
    };
    // None of what is too little.
    let part = |pages: u64| {
        let worth = pages >= WORTH_PAGES * why.processes;
        if worth {
            100.0 * pages as f64 / why.pages.max(1) as f64
        } else {
            0.0
        }
    };
    let (collector, interpreter, nameless) = (
        part(by(Cause::GarbageCollector)),
        part(by(Cause::Interpreter)),
        part(nameless),
    );
    let counted = why
        .objects
        .as_ref()
        .map_or(0, super::objects::Objects::counted_bytes);
    let types = why.objects.iter().flat_map(|objects| &objects.types);
    let what = types
        .clone()
        .find(|row| row.counted)
        .map_or_else(String::new, |row| {
            format!(", most of them {} objects", row.name)
        });
    let share = "onecopy.share() the data, which is then read without counting, or onecopy.freeze() it before the fork";
    let mut advice = Vec::new();
    if collector >= WORTH {
        advice.push(format!(
            "{collector:.0} % were copied by the garbage collector: call gc.freeze() before the fork, or gc.disable() \
             in the workers"
        ));
    }
    if interpreter >= WORTH {
        advice.push(format!(
            "{interpreter:.0} % were copied by reference counts{what}: {share}"
        ));
    }
    if nameless >= WORTH {
        advice.push(format!(
            "{nameless:.0} % were copied by the interpreter, whose functions have no names here: reference counts and \
             the garbage collector cannot be told apart; {share}; gc.freeze() before the fork helps against the \
             collector"
        ));
    }
    if why.stacks.is_empty() && counted > why.processes.max(1) << 20 {
        advice.push(format!(
            "objects with reference counts lie on the copied pages{what}: whether reading them was what copied, or \
             the garbage collector, only page faults tell; {share}; gc.freeze() before the fork helps against the \
             collector alone"
        ));
    }
    advice
}

/// What is to be said where copying is not what memory goes into: in a pool that was started anew, say.
pub(crate) fn of_their_own(report: &Report) -> Option<String> {
    let copies = &report.tree.copies;
    let is_unrelated = report.complete && report.processes.len() > 1 && copies.value.is_none();
    (is_unrelated && copies.new > Some(0)).then(|| {
        "next to nothing was inherited: what each process has, it has made, loaded or unpickled itself; \
         onecopy.share() gives all of them one copy, and `onecopy why PID --content` compares what they have"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(names: &[&str], in_interpreter: bool) -> Named {
        Named {
            stack: names.iter().map(ToString::to_string).collect(),
            in_interpreter,
            has_name: !names[0].contains(".so") && names[0] != "?",
        }
    }

    #[test]
    fn advice_is_about_what_is_much() {
        let why = |processes, collector, interpreter| Why {
            processes,
            pages: collector + interpreter,
            stacks: [
                (Cause::GarbageCollector, collector),
                (Cause::Interpreter, interpreter),
            ]
            .map(|(cause, pages)| super::super::WhyRow {
                stack: Vec::new(),
                pages,
                cause,
            })
            .to_vec(),
            ..Why::default()
        };
        let lines = |why: &Why, nameless| advice(why, nameless).join("\n");
        let both = lines(&why(4, 10_000, 10_000), 0);
        assert!(
            both.contains("50 % were copied by the garbage collector: call gc.freeze()"),
            "{both}"
        );
        assert!(
            both.contains("50 % were copied by reference counts: onecopy.share()"),
            "{both}"
        );
        // A megabyte in each process is what interpreters write whatever the program does.
        assert_eq!(lines(&why(4, 200, 1_000), 0), "");
        // Much, but next to nothing of the whole.
        let one = lines(&why(4, 100_000, 2_000), 0);
        assert!(
            one.contains("garbage collector") && !one.contains("reference counts"),
            "{one}"
        );
        let nameless = lines(&why(1, 0, 0), 5_000);
        assert!(nameless.contains("cannot be told apart"), "{nameless}");
    }

    #[test]
    fn causes_are_told_from_the_innermost_frames() {
        let python: [(&[&str], Cause); 8] = [
            (
                &["visit_decref", "list_traverse", "gc_collect_main"],
                Cause::GarbageCollector,
            ),
            (&["update_refs", "PyGC_Collect"], Cause::GarbageCollector),
            (
                &["_PyEval_EvalFrameDefault", "gc_like (file.py)"],
                Cause::Interpreter,
            ),
            (&["list_subscript"], Cause::Interpreter),
            (&["_PyObject_Malloc", "PyList_New"], Cause::Allocation),
            (
                &["bytearray_ass_subscript", "_PyEval_EvalFrameDefault"],
                Cause::Other,
            ),
            (&["list_append"], Cause::Other),
            // Without symbols nothing tells counting from collecting.
            (&["libpython3.13.so.1.0"], Cause::Other),
        ];
        for (stack, expected) in python {
            assert_eq!(cause(&named(stack, true)), expected, "{stack:?}");
        }
        let elsewhere: [&[&str]; 3] = [
            &["memset", "_PyEval_EvalFrameDefault"],
            &["DOUBLE_add"],
            &["?"],
        ];
        for stack in elsewhere {
            assert_eq!(cause(&named(stack, false)), Cause::Other, "{stack:?}");
        }
    }

    #[test]
    fn where_nothing_is_inherited_sharing_is_the_advice() {
        let text = include_str!("../../../tests/recorded/report.json");
        let mut report: Report = serde_json::from_str(text).unwrap();
        assert!(report.tree.copies.value.is_some() && report.processes.len() > 1);
        assert_eq!(of_their_own(&report), None);
        (report.tree.copies.value, report.tree.copies.new) = (None, Some(40_000));
        assert!(of_their_own(&report).unwrap().contains("onecopy.share()"));
        // One process alone has nobody to share with, and of a part nothing is known.
        let mut alone = report.clone();
        alone.processes.truncate(1);
        assert_eq!(of_their_own(&alone), None);
        report.complete = false;
        assert_eq!(of_their_own(&report), None);
    }
}
