//! Who is taken for a relative, where addresses are random and where they are not.

mod common;

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use common::{in_a_process, reap_orphans};
use onecopy_meter::{Proc, Report, Role, Session, families};

/// A program that has said what it is, and waits; killed in the end.
struct Program(Child);

impl Program {
    /// Starts a shell and waits for `lines` lines from it and what it forks.
    fn start(script: &str, lines: usize) -> Self {
        let mut child = Command::new("/bin/sh")
            .args(["-c", script])
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        for _ in 0..lines {
            said.next().expect("the shell has ended early").unwrap();
        }
        Self(child)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Whatever it has forked reads from this end, and goes with it.
        drop(self.0.stdin.take());
        // One that has gone already is just as well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A shell, and a part of it that it forks and that executes nothing.
const FAMILY: &str = "exec 3<&0; (echo child; read line <&3; exit) & echo parent; read line; exit";
/// A shell that forks a part of itself, which forks another one and goes: that one is an orphan.
const ORPHANED: &str =
    "exec 3<&0; ( (echo orphan; read line <&3; exit) & ); echo parent; read line; exit";
/// The same program, alone.
const ALONE: &str = "echo alone; read line; exit";

/// Makes `exec` put programs at the same addresses from here on; whether that can be had.
fn without_random_addresses() -> bool {
    // SAFETY: a plain system call without pointers.
    let before = unsafe { libc::personality(0xffff_ffff) };
    let wanted = libc::ADDR_NO_RANDOMIZE.cast_unsigned() | before.cast_unsigned();
    // SAFETY: a plain system call without pointers.
    let done = unsafe { libc::personality(wanted.into()) };
    if done < 0 {
        skip::skipped("addresses are random here whatever one asks for");
    }
    done >= 0
}

fn tree_without_this_process() -> Report {
    let mut session = Session::new(Proc::default(), std::process::id()).without_root();
    let report = session.read().unwrap();
    assert!(report.complete, "{report:#?}");
    let own = std::process::id();
    assert!(report.processes.iter().all(|row| row.pid != own));
    report
}

/// How many parents, workers and lone processes there are.
fn roles(report: &Report) -> [usize; 3] {
    [Role::Parent, Role::Worker, Role::Alone].map(|role| {
        let rows = report.processes.iter();
        rows.filter(|row| row.role == Some(role)).count()
    })
}

/// All processes of the report have their stack at the same place.
fn are_at_one_place(report: &Report) -> bool {
    let rows = report.processes.iter();
    let mut places: Vec<u64> = rows
        .map(|row| Proc::default().stat(row.pid).unwrap().start_stack)
        .collect();
    places.sort_unstable();
    places.dedup();
    places.len() == 1
}

#[test]
fn strangers_at_the_same_addresses_are_no_family() {
    in_a_process(|| {
        if !without_random_addresses() {
            return;
        }
        let _strangers = [(); 3].map(|()| Program::start(ALONE, 1));
        let report = tree_without_this_process();
        assert!(are_at_one_place(&report), "{report:#?}");
        assert_eq!(roles(&report), [0, 0, 3], "{report:#?}");
        // Before, they had made one family of three, with thousands of copied pages.
        assert_eq!(report.tree.copies.wasted, Some(0));
        let glance = Session::new(Proc::default(), std::process::id())
            .without_root()
            .glance()
            .unwrap();
        assert!(!glance.has_family(), "{glance:?}");
    });
}

#[test]
fn families_at_the_same_addresses_are_told_apart() {
    in_a_process(|| {
        if !without_random_addresses() {
            return;
        }
        let _families = [(); 2].map(|()| Program::start(FAMILY, 2));
        let report = tree_without_this_process();
        assert!(are_at_one_place(&report), "{report:#?}");
        assert_eq!(roles(&report), [2, 2, 0], "{report:#?}");
    });
}

#[test]
fn an_orphan_is_of_the_family_that_forked_it() {
    in_a_process(|| {
        reap_orphans();
        let program = Program::start(ORPHANED, 2);
        let report = tree_without_this_process();
        assert_eq!(roles(&report), [1, 1, 0], "{report:#?}");
        let oldest = &report.processes[0];
        assert_eq!(
            (oldest.pid, oldest.role),
            (program.0.id(), Some(Role::Parent))
        );
        assert_eq!(report.processes[1].parent, std::process::id());
    });
}

#[test]
fn an_orphan_that_two_families_may_have_forked_is_said_to_be_one() {
    in_a_process(|| {
        reap_orphans();
        if !without_random_addresses() {
            return;
        }
        let _stranger = Program::start(ORPHANED, 2);
        let _family = Program::start(ORPHANED, 2);
        let report = tree_without_this_process();
        assert!(are_at_one_place(&report), "{report:#?}");
        let limits = &report.limits;
        let said = |limit: &String| limit.contains("may belong to any of several families");
        assert!(limits.iter().any(said), "{limits:?}");
    });
}

#[test]
fn everything_here_is_sorted_into_families() {
    let proc = Proc::default();
    let pids = proc.pids().unwrap().into_iter();
    let stats: Vec<_> = pids.filter_map(|pid| proc.stat(pid).ok()).collect();
    let found = families(&stats);
    for (stat, family) in stats.iter().zip(&found.of) {
        let first = &stats[*family];
        assert_eq!(stat.start_stack, first.start_stack, "{stat:?} {first:?}");
        assert!(stat.start_time_ticks >= first.start_time_ticks || first.is_forked());
    }
}
