//! The truth test: programs that fork and write known numbers of pages, and what the meter says of them,
//! with frame numbers (root), without them (root), and as an unprivileged user.

mod common;

use common::truth::{at_all_levels, data, me, pages_of, session, sums};
use common::{Child, PAGE, Pages, clone_in_own_memory, end, in_a_process};
use onecopy_meter::{Identity, Level, Proc, Session, SkipReason, Tag};

#[test]
fn each_writer_is_charged_exactly_what_it_wrote() {
    at_all_levels(|proc| {
        let pages = Pages::new(16_384);
        let mut session = session(proc, &pages);
        let counts = [1_000, 2_000, 3_000, 4_000];
        let children = counts.map(|count| Child::after(|| pages.write(6_000..6_000 + count)));
        pages.write(0..500);
        let report = session.read().unwrap();
        let row = data(&report);
        assert_eq!(sums(row), (16_384, 26_884, 0));
        for (child, count) in children.iter().zip(counts) {
            let count = count as u64;
            assert_eq!(pages_of(row, child.pid()), [16_384 - count, count, 0, 0]);
            let process = report.processes.iter().find(|row| row.pid == child.pid());
            let process = process.unwrap().identity();
            let ranges = session.copied(process);
            let within = ranges.iter().filter(|range| {
                let pages = pages.range();
                pages.start <= range.start && range.end <= pages.end
            });
            let bytes: u64 = within.map(|range| range.end - range.start).sum();
            assert_eq!(bytes, count * PAGE as u64);
            // Another process that gets the same number has copied nothing.
            let next = Identity {
                start_time_ticks: process.start_time_ticks + 1,
                ..process
            };
            assert_eq!(session.copied(next), []);
        }
        // Nobody else is left who has the original of what all four wrote.
        assert_eq!(pages_of(row, me()), [14_884, 500, 1_000, 0]);
        assert!(report.tree.copies.agreement.unwrap() > 0.995, "{report:#?}");
        assert_eq!(report.tree.copies.by_pss, Some(0));
    });
}

#[test]
fn a_sibling_that_exits_takes_its_copies_along_and_leaves_a_last_owner() {
    at_all_levels(|proc| {
        let pages = Pages::new(4_096);
        let mut session = session(proc, &pages);
        let first = Child::after(|| pages.write(0..1_000));
        let second = Child::after(|| pages.write(500..600));
        let before = session.read().unwrap();
        assert_eq!(sums(data(&before)), (4_096, 5_196, 0));
        drop(first);
        let after = session.read().unwrap();
        assert_eq!(sums(data(&after)), (4_096, 4_196, 0));
        assert_eq!(pages_of(data(&after), second.pid()), [3_996, 100, 0, 0]);
        drop(second);
        let alone = session.read().unwrap();
        // Everything is mapped once now, and nothing was copied.
        assert_eq!(sums(data(&alone)), (4_096, 4_096, 0));
        assert_eq!(pages_of(data(&alone), me()), [0, 0, 4_096, 0]);
        assert!((alone.tree.copies.value.unwrap() - 1.0).abs() < 1e-9);
    });
}

#[test]
fn forks_of_forks_are_counted_like_the_others() {
    at_all_levels(|proc| {
        let pages = Pages::new(4_096);
        let mut session = session(proc, &pages);
        let _idle = Child::after(|| ());
        // The child writes 1,000 pages and, once it was measured, forks a grandchild that writes 300,
        // 200 of them the child's.
        let child = Child::in_stages(&[&|| pages.write(0..1_000), &|| {
            std::mem::forget(Child::after(|| pages.write(800..1_100)));
        }]);
        assert_eq!(sums(data(&session.read().unwrap())), (4_096, 5_096, 0));
        child.step();
        let report = session.read().unwrap();
        let row = data(&report);
        assert_eq!(sums(row), (4_096, 5_396, 0));
        assert_eq!(pages_of(row, child.pid()), [3_096, 1_000, 0, 0]);
        let grandchild = report
            .processes
            .iter()
            .find(|row| row.parent == child.pid())
            .unwrap();
        assert_eq!(pages_of(row, grandchild.pid), [3_796, 300, 0, 0]);
    });
}

#[test]
fn forks_of_forks_that_nobody_saw_are_counted_by_pss() {
    at_all_levels(|proc| {
        let pages = Pages::new(4_096);
        // As long as others have the original, its pages are mapped twice, as the child's are.
        let _idle = Child::after(|| ());
        let _child = Child::after(|| {
            pages.write(0..1_000);
            std::mem::forget(Child::after(|| pages.write(900..1_000)));
        });
        let report = proc.tree(me()).unwrap();
        let copies = &report.tree.copies;
        // The family's own stack and heap come on top of 5,196 frames for 4,096 pages.
        let around = copies.frames.unwrap() - copies.unique.unwrap();
        assert!((1_100..1_250).contains(&around), "{copies:?}");
        // 900 of the child's pages are still one frame together with the grandchild.
        let expected = if report.level == Level::A {
            0..1
        } else {
            850..950
        };
        assert!(expected.contains(&copies.by_pss.unwrap()), "{copies:?}");
    });
}

#[test]
fn what_both_sides_allocate_after_the_fork_is_new_and_not_copied() {
    at_all_levels(|proc| {
        let later = Pages::reserved(512);
        let mut session = session(proc, &later);
        let children =
            [100, 200].map(|count| Child::in_stages(&[&|| (), &|| later.write(0..count)]));
        // The forks are seen while nothing is there yet.
        session.read().unwrap();
        later.write(0..512);
        for child in &children {
            child.step();
        }
        let report = session.read().unwrap();
        let row = data(&report);
        assert_eq!(sums(row), (0, 0, 812));
        assert_eq!(pages_of(row, children[1].pid()), [0, 0, 0, 200]);
    });
}

#[test]
fn single_pages_of_huge_pages_are_copied_alone() {
    if !Pages::huge_pages_are_to_be_had() {
        skip::skipped("this kernel gives no transparent huge pages");
        return;
    }
    // With and without the first page of a huge one, whose bit newer kernels show for all of them.
    for written in [5..8, 0..3, 512..1_024, 700..1_900] {
        at_all_levels(|proc| {
            let pages = Pages::huge(4_096);
            let mut session = session(proc, &pages);
            let child = Child::after(|| pages.write(written.clone()));
            let idle = Child::after(|| ());
            let count = written.len() as u64;
            let report = session.read().unwrap();
            let row = data(&report);
            assert_eq!(sums(row), (4_096, 4_096 + count, 0), "{written:?}");
            assert_eq!(pages_of(row, child.pid()), [4_096 - count, count, 0, 0]);
            assert_eq!(pages_of(row, idle.pid()), [4_096, 0, 0, 0]);
            assert_eq!(pages_of(row, me()), [4_096, 0, 0, 0]);
        });
    }
}

#[test]
fn shared_mappings_are_one_copy_however_many_touch_them() {
    at_all_levels(|proc| {
        let shared = Pages::shared(1_024);
        shared.write(0..600);
        let mut session = session(proc, &shared);
        let _readers = [100, 700, 1_000].map(|count| Child::after(|| shared.write(0..count)));
        let report = session.read().unwrap();
        let row = data(&report);
        assert_eq!(sums(row), (1_000, 1_000, 0));
        assert_eq!(report.tree.copies.shared, Some(1_000));
    });
}

#[test]
fn a_report_of_the_same_state_is_the_same_at_both_levels() {
    in_a_process(|| {
        if Proc::default().level() != Level::A {
            skip::skipped("level A needs CAP_SYS_ADMIN");
            return;
        }
        let pages = Pages::new(8_192);
        let _children = [3_000, 1, 8_192].map(|count| Child::after(|| pages.write(0..count)));
        let frames = Proc::default().tree(me()).unwrap();
        let bits = Proc::default().without_frames().tree(me()).unwrap();
        assert_eq!((frames.level, bits.level), (Level::A, Level::B));
        let (a, b) = (&frames.tree.copies, &bits.tree.copies);
        // Measuring itself allocates a little in the parent.
        let close = |a: Option<u64>, b: Option<u64>| {
            let (a, b) = (a.unwrap(), b.unwrap());
            a.abs_diff(b) as f64 <= 0.005 * a as f64 + 64.0
        };
        assert!(
            close(a.frames, b.frames) && close(a.unique, b.unique),
            "{a:?} {b:?}"
        );
        let (a, b) = (a.value.unwrap(), b.value.unwrap());
        assert!((a / b - 1.0).abs() < 0.005, "{a} {b}");
    });
}

#[test]
fn one_address_space_is_one_copy_however_many_processes_run_in_it() {
    at_all_levels(|proc| {
        let pages = Pages::reserved(1_000);
        pages.write(0..1_000);
        let second = clone_in_own_memory();
        let child = Child::after(|| pages.write(0..100));
        let mut session = session(proc, &pages);
        let glance = session.glance().unwrap();
        let report = session.read().unwrap();
        end(second);
        assert_eq!(glance.processes.len(), 2, "RSS is not counted twice either");
        assert_eq!(sums(data(&report)), (1_000, 1_100, 0));
        let second = report
            .skipped
            .iter()
            .find(|skipped| i64::from(skipped.pid) == i64::from(second));
        assert_eq!(second.unwrap().reason, SkipReason::ParentsMemory);
        let pids: Vec<u32> = report.processes.iter().map(|row| row.pid).collect();
        assert_eq!(pids, [std::process::id(), child.pid()]);
        // Half, where one address space is counted twice; some of it is shared with whoever runs the tests.
        let agreement = report.tree.copies.agreement.unwrap();
        assert!(agreement > 0.75, "{:?}", report.tree);
    });
}

#[test]
fn where_tags_overlap_the_last_one_counts() {
    in_a_process(|| {
        let pages = Pages::reserved(1_000);
        pages.write(0..1_000);
        let tag = |name: &str, first: u64, count: u64| Tag {
            pid: std::process::id(),
            start_time_ticks: None,
            name: name.to_owned(),
            start: pages.range().start + first * PAGE as u64,
            len: count * PAGE as u64,
        };
        // Memory of some that are gone is what the arena has now, and an array lies in it.
        let before = [tag("gone", 0, 400), tag("gone too", 900, 50)];
        let now = [tag("arena", 0, 1_000), tag("array", 300, 300)];
        let mut session = Session::new(Proc::default(), std::process::id());
        session.set_tags([before, now].concat());
        let report = session.read().unwrap();
        let named = report.mappings.iter().filter(|row| row.tagged);
        let mut named: Vec<_> = named.map(|row| (row.label.as_str(), row.new)).collect();
        named.sort_unstable();
        assert_eq!(named, [("arena", Some(700)), ("array", Some(300))]);
    });
}

#[test]
fn a_tag_of_a_process_that_had_the_pid_before_is_left_out() {
    in_a_process(|| {
        let pages = Pages::reserved(100);
        pages.write(0..100);
        let mut session = Session::new(Proc::default(), std::process::id());
        let began = session.glance().unwrap().processes[0].start_time_ticks;
        let mut is_named = |start_time_ticks| {
            let range = pages.range();
            session.set_tags(vec![Tag {
                pid: std::process::id(),
                start_time_ticks,
                name: "data".to_owned(),
                start: range.start,
                len: range.end - range.start,
            }]);
            let report = session.read().unwrap();
            report.mappings.iter().any(|row| row.tagged)
        };
        assert!(is_named(None));
        assert!(is_named(Some(began)));
        assert!(!is_named(Some(began - 1)));
        // Nor is anything at the end of all addresses.
        session.set_tags(vec![Tag {
            pid: std::process::id(),
            start_time_ticks: None,
            name: "nothing".to_owned(),
            start: u64::MAX - 10,
            len: 10,
        }]);
        let report = session.read().unwrap();
        assert!(report.mappings.iter().all(|row| !row.tagged));
    });
}
