//! A process that notes its forks: what came before and what after is known however late the first reading is.

mod common;

use std::time::Duration;

use common::truth::{at_all_levels, data, pages_of, session, sums};
use common::{Child, Pages};
use onecopy_meter::{Baseline, Proc, Report};

const PLENTY: Duration = Duration::from_mins(1);

/// Does the work at each level of what the kernel shows, if it can note forks.
fn where_forks_are_noted(work: impl Fn(Proc)) {
    if Proc::default().can_scan() {
        at_all_levels(work);
    } else {
        skip::skipped("this kernel has no PAGEMAP_SCAN (Linux 6.7), so forks are not noted");
    }
}

/// Distinct pages, frames, new pages; and per process what it copied and what is new.
fn counts(report: &Report, pids: &[u32]) -> ((u64, u64, u64), Vec<[u64; 2]>) {
    let row = data(report);
    let each = pids.iter().map(|pid| {
        let [_, copied, _, new] = pages_of(row, *pid);
        [copied, new]
    });
    (sums(row), each.collect())
}

#[test]
fn a_noted_fork_tells_copied_from_new_at_the_first_reading() {
    where_forks_are_noted(|proc| {
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
            assert_eq!(sums, (1_000, 1_130, 1_000));
            assert_eq!(each, [[30, 800], [0, 0], [100, 200]]);
        }
    });
}

#[test]
fn whoever_was_there_before_is_left_out_and_changes_nothing() {
    where_forks_are_noted(|proc| {
        let pages = Pages::reserved(1_000);
        pages.write(0..1_000);
        let earlier = Child::after(|| pages.write(0..200));
        let mut session = session(proc.clone(), &pages).without_earlier();
        session.fork_log().note(&proc, PLENTY).unwrap();
        let later = Child::after(|| pages.write(300..400));
        let pids = [std::process::id(), later.pid()];
        for _ in 0..2 {
            let glance = session.glance().unwrap();
            assert!(
                glance
                    .processes
                    .iter()
                    .all(|seen| seen.pid != earlier.pid())
            );
            let report = session.read().unwrap();
            assert!(report.complete && report.processes.iter().all(|row| row.pid != earlier.pid()));
            let (sums, each) = counts(&report, &pids);
            assert_eq!(sums, (1_000, 1_100, 0));
            assert_eq!(each, [[0, 0], [100, 0]]);
        }
    });
}

#[test]
fn what_came_between_the_note_and_the_fork_is_inherited_while_it_is_shared() {
    where_forks_are_noted(|proc| {
        let pages = Pages::reserved(2_000);
        pages.write(0..1_000);
        let mut session = session(proc.clone(), &pages);
        session.fork_log().note(&proc, PLENTY).unwrap();
        pages.write(1_000..1_500);
        let child = Child::after(|| ());
        let pids = [std::process::id(), child.pid()];
        let (sums, each) = counts(&session.read().unwrap(), &pids);
        assert_eq!(sums, (1_500, 1_500, 0));
        assert_eq!(each, [[0, 0], [0, 0]]);
    });
}

#[test]
fn forks_of_children_that_note_nothing_are_judged_as_before() {
    where_forks_are_noted(|proc| {
        let pages = Pages::reserved(2_000);
        pages.write(0..1_000);
        let mut session = session(proc.clone(), &pages);
        session.fork_log().note(&proc, PLENTY).unwrap();
        let child = Child::in_stages(&[&|| pages.write(0..200), &|| {
            std::mem::forget(Child::after(|| pages.write(100..400)));
        }]);
        let pids = [std::process::id(), child.pid()];
        let (sums, _) = counts(&session.read().unwrap(), &pids);
        assert_eq!(sums, (1_000, 1_200, 0));
        child.step();
        let report = session.read().unwrap();
        let grandchild = report
            .processes
            .iter()
            .find(|row| row.parent == child.pid());
        let pids = [child.pid(), grandchild.unwrap().pid];
        let (sums, each) = counts(&report, &pids);
        assert_eq!(sums, (1_000, 1_500, 0));
        assert_eq!(each, [[200, 0], [300, 0]]);
    });
}

#[test]
fn the_baseline_is_the_fork_once_every_fork_that_was_missed_is_over() {
    at_all_levels(|proc| {
        let pages = Pages::reserved(100);
        pages.write(0..100);
        let missed = Child::after(|| ());
        let mut session = session(proc, &pages);
        let mut baseline = || session.read().unwrap().baseline;
        assert_eq!(baseline(), Baseline::Now);
        let seen = Child::after(|| ());
        assert_eq!(
            baseline(),
            Baseline::Now,
            "of one child nobody saw the fork"
        );
        drop(missed);
        assert_eq!(baseline(), Baseline::Fork);
        drop(seen);
        assert_eq!(baseline(), Baseline::Fork);
    });
}
