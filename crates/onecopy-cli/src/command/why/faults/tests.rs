//! Programs, pages and stacks from events that are made up.
#![forbid(unsafe_code)]

use super::*;

const MS: u64 = 1_000_000;

fn faults(events: &[(u64, u32, Kind)]) -> Faults {
    let mut faults = Faults::new(false);
    for (ms, pid, kind) in events {
        let (pid, kind) = (*pid, kind.clone());
        faults.event(Event {
            ns: faults.began_ns + ms * MS,
            pid,
            kind,
        });
    }
    faults
}

fn at(page: u64, code: u64) -> Kind {
    Kind::Fault(page * Proc::default().page_size(), vec![code])
}

fn code(faults: &Faults, pid: u32, ms: u32, page: u64) -> Option<u64> {
    let program = faults.at(pid, ms)?;
    let stack = faults.stack_at(program, page)?;
    Some(faults.stacks.get(stack)[0].offset)
}

// Pids beyond what the kernel gives, so that no real process's mappings are read.
const PARENT: u32 = 1 << 24;
const CHILD: u32 = PARENT + 1;
const STRANGER: u32 = PARENT + 2;

#[test]
fn what_happened_before_any_fork_explains_nothing() {
    let faults = faults(&[
        (1, PARENT, Kind::Fork(1)),
        (2, PARENT, at(7, 0x10)),
        (3, CHILD, Kind::Fork(PARENT)),
        (4, PARENT, at(8, 0x20)),
    ]);
    assert_eq!(code(&faults, PARENT, 9, 7), None);
    assert_eq!(code(&faults, PARENT, 9, 8), Some(0x20));
    // Both have a frame of their own now; the parent wrote.
    assert_eq!(code(&faults, CHILD, 9, 8), Some(0x20));
}

#[test]
fn only_relatives_explain_each_others_pages() {
    let faults = faults(&[
        (1, PARENT, Kind::Fork(1)),
        (1, STRANGER, Kind::Fork(1)),
        (2, CHILD, Kind::Fork(PARENT)),
        (2, STRANGER + 1, Kind::Fork(STRANGER)),
        (3, STRANGER, at(7, 0x10)),
    ]);
    assert_eq!(code(&faults, CHILD, 9, 7), None);
    assert_eq!(code(&faults, STRANGER + 1, 9, 7), Some(0x10));
}

#[test]
fn another_program_and_another_process_with_the_same_pid_begin_anew() {
    let faults = faults(&[
        (1, PARENT, Kind::Fork(1)),
        (2, CHILD, Kind::Fork(PARENT)),
        (3, CHILD, at(7, 0x10)),
        (4, CHILD, Kind::Exec),
        (5, CHILD, at(7, 0x20)),
        (6, CHILD, Kind::Exit),
        (8, CHILD, Kind::Fork(PARENT)),
        (9, CHILD, at(7, 0x30)),
    ]);
    assert_eq!(code(&faults, CHILD, 3, 7), Some(0x10));
    // The program that was started has no relatives, so nothing is copied.
    assert_eq!(code(&faults, CHILD, 5, 7), None);
    assert_eq!(code(&faults, CHILD, 9, 7), Some(0x30));
    assert!(faults.at(CHILD, 5).unwrap().origin.parent.is_none());
    assert_eq!(
        faults
            .at(CHILD, 9)
            .unwrap()
            .origin
            .parent
            .as_ref()
            .unwrap()
            .pid,
        PARENT
    );
}

#[test]
fn ten_thousand_short_workers_leave_nothing_behind() {
    let mut faults = faults(&[(1, PARENT, Kind::Fork(1))]);
    for number in 0..10_000 {
        let (pid, ms) = (CHILD + number, u64::from(number) * 3 + 2);
        for (ms, kind) in [
            (ms, Kind::Fork(PARENT)),
            (ms + 1, at(7, u64::from(number))),
            (ms + 1, Kind::Exit),
        ] {
            faults.event(Event {
                ns: faults.began_ns + ms * MS,
                pid,
                kind,
            });
        }
        faults.forget_ended(u32::try_from(ms + 2).unwrap(), &HashSet::new(), |_| true);
        assert!(faults.len() <= 2);
    }
    assert_eq!((faults.page_count, faults.current.len()), (0, 1));
    faults.page_count = 0;
    assert!(faults.stacks.len() <= 1 << 16);
}

#[test]
fn stacks_that_are_still_needed_stay_what_they_are() {
    let mut faults = faults(&[(1, PARENT, Kind::Fork(1)), (2, CHILD, Kind::Fork(PARENT))]);
    for number in 0..1u64 << 17 {
        let kind = at(number % 5, number);
        faults.event(Event {
            ns: faults.began_ns + 3 * MS,
            pid: CHILD,
            kind,
        });
    }
    faults.forget_stacks();
    assert_eq!(faults.stacks.len(), 5);
    let last = (1u64 << 17) - 1;
    assert_eq!(code(&faults, CHILD, 9, last % 5), Some(last));
}

#[test]
fn processes_whose_fork_or_end_was_lost_are_told_by_the_system() {
    let mut child = std::process::Command::new("cat")
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut faults = faults(&[]);
    for pid in [child.id(), std::process::id(), CHILD] {
        faults.event(Event {
            ns: faults.began_ns + MS,
            pid,
            kind: at(7, 0x10),
        });
    }
    // It runs another program than this process, so its faults explain nothing; but it is known.
    assert!(faults.at(child.id(), 9).is_some());
    assert!(faults.at(std::process::id(), 9).is_none());
    assert_eq!((code(&faults, child.id(), 9, 7), faults.len()), (None, 2));
    let proc = Proc::default();
    assert_eq!(
        faults
            .forget_ended(9, &HashSet::new(), |pid| proc.stat(pid).is_ok())
            .len(),
        1
    );
    drop(child.stdin.take());
    child.wait().unwrap();
    assert_eq!(
        faults
            .forget_ended(9, &HashSet::new(), |pid| proc.stat(pid).is_ok())
            .len(),
        1
    );
    assert_eq!(faults.len(), 0);
}

#[test]
fn who_has_ended_but_was_not_settled_is_kept() {
    let mut faults = faults(&[
        (1, PARENT, Kind::Fork(1)),
        (2, CHILD, Kind::Fork(PARENT)),
        (3, CHILD, at(7, 0x10)),
        (4, CHILD, Kind::Exit),
    ]);
    // Its end was reported, and the look at the tree that began later still found it.
    faults.forget_ended(9, &HashSet::from([PARENT, CHILD]), |_| true);
    assert_eq!(code(&faults, CHILD, 3, 7), Some(0x10));
    faults.forget_ended(9, &HashSet::from([PARENT]), |_| true);
    assert!(faults.at(CHILD, 3).is_none());
}
