//! Scenarios at every level of evidence, and what a report says of one range of memory.

use onecopy_meter::{Level, MappingKind, MappingMemory, PageBytes, Proc, Report, Session, Tag};

use super::{PAGE, Pages, become_nobody, in_a_process};

/// Runs the scenario at each level of evidence that is to be had here.
pub(crate) fn at_all_levels(scenario: impl Fn(Proc)) {
    in_a_process(|| {
        if Proc::default().level() == Level::A {
            scenario(Proc::default());
        } else {
            skip::skipped("level A needs CAP_SYS_ADMIN");
        }
    });
    in_a_process(|| scenario(Proc::default().without_frames()));
    in_a_process(|| {
        if become_nobody() {
            assert_eq!(Proc::default().level(), Level::B);
            scenario(Proc::default());
        }
    });
}

/// A session over this process and its children, with the pages under the name `data`.
pub(crate) fn session(proc: Proc, pages: &Pages) -> Session {
    let mut session = Session::new(proc, std::process::id()).patient();
    let range = pages.range();
    session.set_tags(vec![Tag {
        pid: std::process::id(),
        start_time_ticks: None,
        name: "data".to_owned(),
        start: range.start,
        len: range.end - range.start,
    }]);
    session
}

pub(crate) fn data(report: &Report) -> &MappingMemory {
    assert!(report.complete, "{report:#?}");
    let found = report.mappings.iter().find(|row| row.tagged);
    found.unwrap_or_else(|| panic!("no data in {report:#?}"))
}

/// Distinct pages, frames, new pages.
pub(crate) fn sums(row: &MappingMemory) -> (u64, u64, u64) {
    let sums = row.sums().unwrap();
    (sums.pages, sums.frames, sums.new)
}

/// Pages of a process in the tagged range: shared, copied, last owner, new.
pub(crate) fn pages_of(row: &MappingMemory, pid: u32) -> [u64; 4] {
    let user = row.processes.iter().find(|user| user.pid == pid);
    let bytes = user.map_or_else(PageBytes::default, |user| user.pages);
    // Shared memory is nobody's inheritance.
    if row.kind != MappingKind::SharedMemory {
        let parts = bytes.shared + bytes.copied + bytes.last_owner;
        assert_eq!(bytes.inherited, parts, "{row:?}");
    }
    [bytes.shared, bytes.copied, bytes.last_owner, bytes.new].map(|bytes| bytes / PAGE as u64)
}

pub(crate) fn me() -> u32 {
    std::process::id()
}

/// The kernel's PSS of a range, over all processes of the report, is so many pages. It is no witness of the
/// meter's own: it divides each frame by the number of its mappings. What the checking process has
/// inherited from its harness lies elsewhere.
pub(crate) fn assert_pss(report: &Report, pages: &Pages, expected: u64) {
    let range = pages.range();
    let mut bytes = 0;
    for process in &report.processes {
        let mappings = Proc::default().mappings(process.pid).unwrap();
        let within = mappings
            .iter()
            .filter(|mapping| range.start <= mapping.start && mapping.end <= range.end);
        bytes += within.map(|mapping| mapping.counts.pss).sum::<u64>();
    }
    let found = bytes as f64 / PAGE as f64;
    let wrong = (found - expected as f64).abs() / expected as f64;
    assert!(wrong <= 0.005, "PSS has {found} pages and not {expected}");
}
