//! What a pass comes to, and what it cannot tell.
#![forbid(unsafe_code)]

use super::Subject;
use super::pass::Pass;
use super::sums::{beside_files, explained, of_tree, sums};
use crate::error::MeterError;
use crate::read::Proc;
use crate::report::{Baseline, MappingMemory, Report, SCHEMA, SkipReason, StoreMemory};

/// How the pass that is reported came about.
pub(super) struct Reading {
    /// Passes that were made.
    pub(super) passes: u32,
    /// Whether nobody came, went or lost its memory during the one that is shown.
    pub(super) steady: bool,
    /// Pages that moved during it.
    pub(super) drift: u64,
    pub(super) baseline: Baseline,
}

/// Puts a pass into the form that is shown.
pub(super) fn report(
    subject: &Subject<'_>,
    mut pass: Pass,
    reading: &Reading,
) -> Result<Report, MeterError> {
    let proc = subject.proc;
    let denied = pass
        .skipped
        .iter()
        .any(|skipped| skipped.reason == SkipReason::Denied);
    let complete = reading.steady && !denied;
    let stores: Vec<StoreMemory> = std::mem::take(&mut pass.stores).into_values().collect();
    let mut tree = sums(&pass.processes, complete)?;
    let mut limits = limits(proc, &pass, reading, &stores);
    if complete {
        tree.allocated = stores.iter().map(|store| store.allocated).sum();
        let agreement = explained(&pass.pages, &tree, proc.page_size());
        tree.copies = of_tree(&pass.pages, pass.by_pss, proc.page_size());
        tree.copies.agreement = agreement;
        if let Some(files) = pass.files.said() {
            if tree.copies.value.is_some() {
                limits.push(format!(
                    "files that several processes read in place are one copy, and left out: {files}"
                ));
            }
            beside_files(&mut tree.copies, &files);
        }
    } else {
        pass.mappings
            .iter_mut()
            .for_each(MappingMemory::withhold_sums);
    }
    Ok(Report {
        schema: SCHEMA.to_owned(),
        level: subject.level,
        baseline: reading.baseline,
        page_size: proc.page_size(),
        root: subject.root,
        passes: reading.passes,
        drift: reading.drift,
        complete,
        tree,
        processes: pass.processes,
        skipped: pass.skipped,
        stores,
        mappings: pass.mappings,
        limits,
    })
}

/// Processes without a row, and why there are no sums then.
fn gap(pids: &[String], one: &str, several: &str) -> Option<String> {
    let (noun, why) = match pids.len() {
        0 => return None,
        1 => ("process", one),
        _ => ("processes", several),
    };
    let pids = pids.join(", ");
    Some(format!(
        "{noun} {pids} {why}: no sums, because a part is not the whole"
    ))
}

/// Processes that may not be looked into.
fn gaps(pass: &Pass) -> Vec<String> {
    let denied = |is_foreign: bool| -> Vec<String> {
        let skipped = pass.skipped.iter();
        skipped
            .filter(|skipped| skipped.reason == SkipReason::Denied)
            .filter(|skipped| (skipped.foreign == Some(true)) == is_foreign)
            .map(|skipped| skipped.pid.to_string())
            .collect()
    };
    let gaps = [
        (
            denied(true),
            "belongs to somebody else",
            "belong to somebody else",
        ),
        (
            denied(false),
            "may not be looked into, as it has more privileges or is not dumpable",
            "may not be looked into, as they have more privileges or are not dumpable",
        ),
    ];
    let gaps = gaps.iter();
    gaps.filter_map(|(pids, one, several)| gap(pids, one, several))
        .collect()
}

/// What came, went or moved while the tree was read.
fn movements(reading: &Reading) -> Vec<String> {
    let mut limits = Vec::new();
    if !reading.steady {
        limits.push(match reading.passes {
            1 => "processes came, went or lost their memory while the tree was read: no sums"
                .to_owned(),
            passes => format!(
                "processes came, went or lost their memory in each of {passes} readings: no sums"
            ),
        });
    }
    if reading.drift > 0 {
        let (drift, noun) = (
            reading.drift,
            if reading.drift == 1 { "page" } else { "pages" },
        );
        limits.push(match reading.passes {
            1 => format!("{drift} {noun} moved while the tree was read"),
            passes => format!(
                "{drift} {noun} moved while the tree was read, in the steadiest of {passes} readings"
            ),
        });
    }
    limits
}

fn limits(proc: &Proc, pass: &Pass, reading: &Reading, stores: &[StoreMemory]) -> Vec<String> {
    let (mut limits, pages) = (gaps(pass), &pass.pages);
    limits.extend(movements(reading));
    if pass.doubtful > 0 {
        limits.push(format!(
            "{} processes may belong to any of several families, as addresses are not random here and \
             their parents are gone: they are taken for relatives of none",
            pass.doubtful
        ));
    }
    if proc.hides_processes() {
        limits.push(
            "/proc hides processes of other users (hidepid): children of theirs are not seen"
                .to_owned(),
        );
    }
    if reading.baseline == Baseline::Now {
        limits.push(
            "copies: the baseline is each process that forked as it is now; memory that both sides \
             allocated at the same place after the fork counts as copied, and memory that came by other \
             ways than fork or shared memory as new"
                .to_owned(),
        );
    }
    if pages.huge_unsure > 0 {
        limits.push(format!(
            "{} pages are mapped by huge-page entries of mappings that are partly shared; their bit 56 \
             is not used, and copies of whole huge pages may be missed",
            pages.huge_unsure
        ));
    }
    if !pages.special_known {
        limits.push(
            "this kernel cannot tell zero pages and huge-page entries apart (before Linux 6.7)"
                .to_owned(),
        );
    }
    for store in stores.iter().filter(|store| store.allocated.is_none()) {
        limits.push(format!(
            "store {}: no descriptor of it may be read, so its size is unknown",
            store.id
        ));
    }
    if pass.by_pss > 0 {
        limits.push(format!(
            "{} frames are known from PSS alone: processes wrote to inherited pages and then \
             forked; who wrote them cannot be said without frame numbers",
            pass.by_pss
        ));
    }
    limits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_without_a_row_is_no_processes() {
        let said = |pids: &[&str]| {
            let pids: Vec<String> = pids.iter().map(|&pid| pid.to_owned()).collect();
            gap(&pids, "belongs", "belong")
        };
        assert_eq!(said(&[]), None);
        let one = "process 1 belongs: no sums, because a part is not the whole";
        assert_eq!(said(&["1"]).as_deref(), Some(one));
        let two = "processes 1, 2 belong: no sums, because a part is not the whole";
        assert_eq!(said(&["1", "2"]).as_deref(), Some(two));
    }
}
