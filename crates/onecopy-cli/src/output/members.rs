//! The processes of a report in words: how many, in which roles, and why some have no row.
#![forbid(unsafe_code)]

use onecopy_meter::{ProcessMemory, Report, Role, SkipReason, Skipped};

/// `1 parent + 8 workers`, `3 processes`.
pub(crate) fn members(report: &Report) -> String {
    let count = |role| {
        report
            .processes
            .iter()
            .filter(|row| row.role == Some(role))
            .count()
    };
    let (parents, workers, alone) = (count(Role::Parent), count(Role::Worker), count(Role::Alone));
    let mut parts = Vec::new();
    let mut part = |number: usize, one: &str| match number {
        0 => {}
        1 => parts.push(format!("1 {one}")),
        more => {
            let plural = if one.ends_with('s') { "es" } else { "s" };
            parts.push(format!("{more} {one}{plural}"));
        }
    };
    part(parents, "parent");
    part(workers, "worker");
    part(
        alone,
        if parents > 0 {
            "other process"
        } else {
            "process"
        },
    );
    if parts.is_empty() {
        "no processes with memory".to_owned()
    } else {
        parts.join(" + ")
    }
}

/// A process's role in a word.
pub(crate) fn role(process: &ProcessMemory) -> &'static str {
    match process.role {
        Some(Role::Parent) => "parent",
        Some(Role::Worker) => "worker",
        _ => "alone",
    }
}

/// Why a process has no row, as the end of a sentence about it.
pub(crate) fn reason(skipped: &Skipped) -> &'static str {
    match skipped.reason {
        SkipReason::Exited => "has exited and waits for its parent to notice",
        SkipReason::Denied if skipped.foreign == Some(true) => "belongs to somebody else",
        SkipReason::Denied => {
            "may not be looked into: it has more privileges than this one, or is not dumpable"
        }
        SkipReason::KernelThread => "is a kernel thread: it has no memory of its own",
        SkipReason::ParentsMemory => "runs in its parent's memory, where it is counted",
        _ => "went away while the tree was read",
    }
}
