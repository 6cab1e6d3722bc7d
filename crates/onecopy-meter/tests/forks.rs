//! A process that notes its forks: what came before and what after is known however late the first reading is.
#![allow(
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block
)]

mod common;

use std::time::Duration;

use common::{Child, PAGE, Pages, become_nobody, in_a_process};
use onecopy_meter::{Level, Proc, Report, Session, Tag};

const PLENTY: Duration = Duration::from_mins(1);

fn at_all_levels(scenario: impl Fn(Proc)) {
    in_a_process(|| {
        if Proc::default().level() == Level::A {
            scenario(Proc::default());
        } else {
            eprintln!("skipped: level A needs CAP_SYS_ADMIN");
        }
    });
    in_a_process(|| scenario(Proc::default().without_frames()));
    in_a_process(|| {
        if become_nobody() {
            scenario(Proc::default());
        }
    });
}

fn session(proc: Proc, pages: &Pages) -> Session {
    let mut session = Session::new(proc, std::process::id());
    let range = pages.range();
    session.set_tags(vec![Tag {
        pid: std::process::id(),
        name: "data".to_owned(),
        start: range.start,
        len: range.end - range.start,
    }]);
    session
}

/// Distinct pages, frames, new pages; and per process what it copied and what is new.
fn counts(report: &Report, pids: &[u32]) -> ([u64; 3], Vec<[u64; 2]>) {
    assert!(report.complete, "{report:#?}");
    let row = report.mappings.iter().find(|row| row.tagged).unwrap();
    let of = |pid: &u32| {
        let user = row.processes.iter().find(|user| user.pid == *pid);
        user.map_or([0, 0], |user| {
            [user.pages.copied, user.pages.new].map(|bytes| bytes / PAGE as u64)
        })
    };
    (
        [row.pages, row.frames, row.new].map(|sum| sum.unwrap()),
        pids.iter().map(of).collect(),
    )
}

#[test]
fn a_noted_fork_tells_copied_from_new_at_the_first_reading() {
    let proc = Proc::default();
    if !proc.can_scan() {
        eprintln!("skipped: this kernel has no PAGEMAP_SCAN (Linux 6.7), so forks are not noted");
        return;
    }
    at_all_levels(|proc| {
        let pages = Pages::reserved(3_000);
        pages.write(0..1_000);
        let mut session = session(proc.clone(), &pages);
        let log = session.fork_log();
        log.note(&proc, PLENTY).unwrap();
        let idle = Child::after(|| ());
        log.note(&proc, PLENTY).unwrap();
        let busy = Child::after(|| {
            pages.write(0..100);
            pages.write(1_000..1_200);
        });
        pages.write(500..530);
        pages.write(1_000..1_500);
        pages.write(2_000..2_300);
        let pids = [std::process::id(), idle.pid(), busy.pid()];
        for _ in 0..2 {
            let (sums, each) = counts(&session.read().unwrap(), &pids);
            assert_eq!(sums, [1_000, 1_130, 1_000]);
            assert_eq!(each, [[30, 800], [0, 0], [100, 200]]);
        }
    });
}

#[test]
fn what_came_between_the_note_and_the_fork_is_inherited_while_it_is_shared() {
    if !Proc::default().can_scan() {
        eprintln!("skipped: this kernel has no PAGEMAP_SCAN (Linux 6.7), so forks are not noted");
        return;
    }
    at_all_levels(|proc| {
        let pages = Pages::reserved(2_000);
        pages.write(0..1_000);
        let mut session = session(proc.clone(), &pages);
        session.fork_log().note(&proc, PLENTY).unwrap();
        pages.write(1_000..1_500);
        let child = Child::after(|| ());
        let pids = [std::process::id(), child.pid()];
        let (sums, each) = counts(&session.read().unwrap(), &pids);
        assert_eq!(sums, [1_500, 1_500, 0]);
        assert_eq!(each, [[0, 0], [0, 0]]);
    });
}

#[test]
fn forks_of_children_that_note_nothing_are_judged_as_before() {
    if !Proc::default().can_scan() {
        eprintln!("skipped: this kernel has no PAGEMAP_SCAN (Linux 6.7), so forks are not noted");
        return;
    }
    at_all_levels(|proc| {
        let pages = Pages::reserved(2_000);
        pages.write(0..1_000);
        let mut session = session(proc.clone(), &pages);
        session.fork_log().note(&proc, PLENTY).unwrap();
        let child = Child::in_stages(&[&|| pages.write(0..200), &|| {
            std::mem::forget(Child::after(|| pages.write(100..400)));
        }]);
        let pids = [std::process::id(), child.pid()];
        let (sums, _) = counts(&session.read().unwrap(), &pids);
        assert_eq!(sums, [1_000, 1_200, 0]);
        child.step();
        let report = session.read().unwrap();
        let grandchild = report
            .processes
            .iter()
            .find(|row| row.parent == child.pid());
        let pids = [child.pid(), grandchild.unwrap().pid];
        let (sums, each) = counts(&report, &pids);
        assert_eq!(sums, [1_000, 1_500, 0]);
        assert_eq!(each, [[200, 0], [300, 0]]);
    });
}
