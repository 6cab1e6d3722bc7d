//! The truth test by what becomes of families: generations, exits in between, other programs.

mod common;

use std::cell::RefCell;

use common::truth::{assert_pss, at_all_levels, data, me, pages_of, session, sums};
use common::{Child, Pages};
use onecopy_meter::{Report, Role};

/// The one child of a process in the report.
fn child_of(report: &Report, parent: u32) -> u32 {
    let rows = report.processes.iter().filter(|row| row.parent == parent);
    let pids: Vec<u32> = rows.map(|row| row.pid).collect();
    assert_eq!(pids.len(), 1, "{report:#?}");
    pids[0]
}

#[test]
fn three_generations_are_charged_for_what_each_wrote() {
    at_all_levels(|proc| {
        let pages = Pages::new(4_096);
        let mut session = session(proc, &pages);
        let idle = Child::after(|| ());
        let (inner, pages) = (RefCell::new(None), &pages);
        let child = Child::in_stages(&[
            &|| pages.write(0..1_000),
            &|| {
                let grandchild = Child::in_stages(&[&|| pages.write(800..1_100), &|| {
                    std::mem::forget(Child::after(|| pages.write(1_000..1_200)));
                }]);
                inner.replace(Some(grandchild));
            },
            &|| inner.borrow().as_ref().unwrap().step(),
        ]);
        assert_eq!(sums(data(&session.read().unwrap())), (4_096, 5_096, 0));
        child.step();
        assert_eq!(sums(data(&session.read().unwrap())), (4_096, 5_396, 0));
        child.step();
        let report = session.read().unwrap();
        let row = data(&report);
        assert_eq!(sums(row), (4_096, 5_596, 0));
        let grandchild = child_of(&report, child.pid());
        let great_grandchild = child_of(&report, grandchild);
        assert_eq!(pages_of(row, me()), [4_096, 0, 0, 0]);
        assert_eq!(pages_of(row, idle.pid()), [4_096, 0, 0, 0]);
        assert_eq!(pages_of(row, child.pid()), [3_096, 1_000, 0, 0]);
        assert_eq!(pages_of(row, grandchild), [3_796, 300, 0, 0]);
        assert_eq!(pages_of(row, great_grandchild), [3_896, 200, 0, 0]);
        assert_pss(&report, pages, 5_596);
    });
}

#[test]
fn a_middle_generation_leaves_its_copies_to_its_children() {
    at_all_levels(|proc| {
        common::reap_orphans();
        let pages = Pages::new(4_096);
        let mut session = session(proc, &pages);
        let idle = Child::after(|| ());
        let child = Child::in_stages(&[&|| pages.write(0..1_000), &|| {
            std::mem::forget(Child::after(|| {
                common::outlive_parent();
                pages.write(800..1_100);
            }));
        }]);
        assert_eq!(sums(data(&session.read().unwrap())), (4_096, 5_096, 0));
        child.step();
        let report = session.read().unwrap();
        assert_eq!(sums(data(&report)), (4_096, 5_396, 0));
        let grandchild = child_of(&report, child.pid());
        drop(child);
        let report = session.read().unwrap();
        let row = data(&report);
        // 800 frames that the dead one wrote, and 300 of its own.
        assert_eq!(sums(row), (4_096, 5_196, 0));
        assert_eq!(pages_of(row, grandchild), [2_996, 1_100, 0, 0]);
        assert_eq!(pages_of(row, idle.pid()), [4_096, 0, 0, 0]);
        let orphan = report.processes.iter().find(|row| row.pid == grandchild);
        let orphan = orphan.unwrap();
        assert_eq!((orphan.parent, orphan.role), (me(), Some(Role::Worker)));
        assert_pss(&report, &pages, 5_196);
        common::end(i32::try_from(grandchild).unwrap());
    });
}

#[test]
fn a_child_that_becomes_another_program_has_nothing_of_it_any_more() {
    at_all_levels(|proc| {
        let pages = Pages::new(4_096);
        let mut session = session(proc, &pages);
        let idle = Child::after(|| ());
        let other = Child::in_stages(&[&|| pages.write(0..700), &|| {
            let words = [c"sleep".as_ptr(), c"1000".as_ptr(), std::ptr::null()];
            // SAFETY: the words end with zeros and their list with a null pointer; on success nothing
            // of this program is left.
            unsafe { libc::execvp(c"sleep".as_ptr(), words.as_ptr()) };
            common::exit(127);
        }]);
        let before = session.read().unwrap();
        assert_eq!(sums(data(&before)), (4_096, 4_796, 0));
        other.step_into_another_program();
        let report = session.read().unwrap();
        let row = data(&report);
        assert_eq!(sums(row), (4_096, 4_096, 0));
        assert_pss(&report, &pages, 4_096);
        assert_eq!(pages_of(row, other.pid()), [0; 4]);
        assert_eq!(pages_of(row, idle.pid()), [4_096, 0, 0, 0]);
        let process = report.processes.iter().find(|row| row.pid == other.pid());
        let process = process.unwrap();
        assert_eq!(process.role, Some(Role::Alone));
        let pages = process.pages.unwrap();
        assert_eq!((pages.inherited, pages.copied), (0, 0), "{process:?}");
        // What it had copied before is forgotten.
        assert_eq!(session.copied(process.identity()), []);
    });
}
