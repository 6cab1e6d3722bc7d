//! The truth test by kinds of memory: every way to have pages, with known numbers of them written.

mod common;

use std::os::fd::OwnedFd;

use common::truth::{assert_pss, at_all_levels, data, me, pages_of, session, sums};
use common::{Child, Pages, memory_file};
use onecopy_meter::MappingKind;

/// Three children touch different parts of shared memory, of which this process has some.
fn shared_is_one_copy(make: impl Fn() -> Pages) {
    at_all_levels(|proc| {
        let shared = make();
        shared.write(0..600);
        let mut session = session(proc, &shared);
        let counts = [100, 700, 1_000];
        let children = counts.map(|count| Child::after(|| shared.write(0..count)));
        let report = session.read().unwrap();
        let row = data(&report);
        assert_eq!(row.kind, MappingKind::SharedMemory);
        assert_eq!(sums(row), (1_000, 1_000, 0));
        assert_eq!(report.tree.copies.shared, Some(1_000));
        for (child, count) in children.iter().zip(counts) {
            assert_eq!(pages_of(row, child.pid()), [count as u64, 0, 0, 0]);
        }
        assert_eq!(pages_of(row, me()), [600, 0, 0, 0]);
        assert_pss(&report, &shared, 1_000);
    });
}

/// A file of the kernel's, opened for reading and writing.
fn opened(path: &str) -> OwnedFd {
    let mut options = std::fs::OpenOptions::new();
    let file = options.read(true).write(true).open(path);
    file.unwrap_or_else(|error| panic!("{path}: {error}"))
        .into()
}

#[test]
fn memory_files_are_one_copy() {
    shared_is_one_copy(|| {
        let file = memory_file(c"truth", 1_024);
        Pages::of_file(&file, 1_024, libc::MAP_SHARED)
    });
}

#[test]
fn shared_mappings_of_dev_zero_are_one_copy() {
    shared_is_one_copy(|| Pages::of_file(&opened("/dev/zero"), 1_024, libc::MAP_SHARED));
}

#[test]
fn system_v_shared_memory_is_one_copy() {
    shared_is_one_copy(|| Pages::system_v(1_024));
}

#[test]
fn files_in_dev_shm_are_one_copy() {
    let path = format!("/dev/shm/onecopy-truth-{}", me());
    shared_is_one_copy(|| {
        let path = format!("{path}-{}", me());
        let file = std::fs::File::create_new(&path).unwrap();
        file.set_len(1_024 * 4_096).unwrap();
        let pages = Pages::of_file(&opened(&path), 1_024, libc::MAP_SHARED);
        std::fs::remove_file(&path).unwrap();
        pages
    });
}

#[test]
fn private_mappings_of_dev_zero_are_memory_as_any_other() {
    at_all_levels(|proc| {
        let pages = Pages::of_file(&opened("/dev/zero"), 1_024, libc::MAP_PRIVATE);
        pages.write(0..1_024);
        let mut session = session(proc, &pages);
        let child = Child::after(|| pages.write(0..300));
        let _idle = Child::after(|| ());
        let report = session.read().unwrap();
        let row = data(&report);
        assert_eq!(row.kind, MappingKind::Anonymous);
        assert_eq!(sums(row), (1_024, 1_324, 0));
        assert_eq!(pages_of(row, child.pid()), [724, 300, 0, 0]);
        assert_pss(&report, &pages, 1_324);
    });
}

#[test]
fn private_writes_to_a_memory_file_are_copies_of_its_pages() {
    at_all_levels(|proc| {
        let file = memory_file(c"truth", 1_024);
        // Pages of the file that nobody maps are in no PSS.
        let shared = Pages::of_file(&file, 1_024, libc::MAP_SHARED);
        shared.write(0..1_024);
        let private = Pages::of_file(&file, 1_024, libc::MAP_PRIVATE);
        let mut session = session(proc, &private);
        let [first, second] = [300, 200].map(|count| Child::after(|| private.write(0..count)));
        let report = session.read().unwrap();
        let row = data(&report);
        // 300 pages of the file, and 500 private ones besides.
        assert_eq!(sums(row), (300, 800, 0));
        assert_eq!(pages_of(row, first.pid()), [0, 300, 0, 0]);
        assert_eq!(pages_of(row, second.pid()), [0, 200, 0, 0]);
        assert_eq!(pages_of(row, me()), [0; 4]);
        assert_pss(&report, &private, 500);
    });
}

#[test]
fn private_copies_of_a_memory_file_are_shared_by_fork_and_copied_again() {
    at_all_levels(|proc| {
        let file = memory_file(c"truth", 1_024);
        // Pages of the file that nobody maps are in no PSS.
        let shared = Pages::of_file(&file, 1_024, libc::MAP_SHARED);
        shared.write(0..1_024);
        let private = Pages::of_file(&file, 1_024, libc::MAP_PRIVATE);
        private.write(0..100);
        let mut session = session(proc, &private);
        let child = Child::after(|| private.write(50..100));
        let report = session.read().unwrap();
        let row = data(&report);
        assert_eq!(sums(row), (100, 250, 0));
        assert_eq!(pages_of(row, me()), [0, 100, 0, 0]);
        assert_eq!(pages_of(row, child.pid())[1], 50);
        assert_pss(&report, &private, 150);
    });
}

#[test]
fn a_parent_that_writes_to_huge_pages_is_charged_for_small_ones() {
    if !Pages::huge_pages_are_to_be_had() {
        skip::skipped("this kernel gives no transparent huge pages");
        return;
    }
    // With and without the first page of a huge one, and whole ones.
    for written in [0..3, 5..8, 700..1_900] {
        at_all_levels(|proc| {
            let pages = Pages::huge(4_096);
            let mut session = session(proc, &pages);
            let children = [(); 2].map(|()| Child::after(|| ()));
            pages.write(written.clone());
            let count = written.len() as u64;
            let report = session.read().unwrap();
            let row = data(&report);
            assert_eq!(sums(row), (4_096, 4_096 + count, 0), "{written:?}");
            assert_eq!(pages_of(row, me()), [4_096 - count, count, 0, 0]);
            assert_pss(&report, &pages, 4_096 + count);
            for child in &children {
                assert_eq!(pages_of(row, child.pid()), [4_096, 0, 0, 0]);
            }
        });
    }
}

#[test]
fn locked_pages_are_shared_until_a_child_locks_them_itself() {
    at_all_levels(|proc| {
        let pages = Pages::new(1_024);
        if !pages.lock(0..1_024) {
            skip::skipped("this user may not lock four MiB (RLIMIT_MEMLOCK)");
            return;
        }
        let mut session = session(proc, &pages);
        let idle = Child::after(|| ());
        // Locking writable private memory writes to it, as the kernel makes sure of every page.
        let locks = Child::after(|| assert!(pages.lock(0..100)));
        let report = session.read().unwrap();
        let row = data(&report);
        assert_eq!(sums(row), (1_024, 1_124, 0));
        assert_eq!(pages_of(row, idle.pid()), [1_024, 0, 0, 0]);
        assert_eq!(pages_of(row, locks.pid()), [924, 100, 0, 0]);
        assert_pss(&report, &pages, 1_124);
    });
}

#[test]
fn memory_that_is_unmapped_given_back_or_grown_after_the_fork_is_no_copy() {
    at_all_levels(|proc| {
        let pages = Pages::new(4_096);
        pages.unmap(2_048..4_096);
        let mut session = session(proc, &pages);
        let _idle = Child::after(|| ());
        let smaller = Child::after(|| pages.unmap(0..1_000));
        let emptier = Child::after(|| pages.give_back(0..500));
        let larger = Child::after(|| {
            pages.grow_again();
            pages.write(2_048..2_100);
        });
        let report = session.read().unwrap();
        let row = data(&report);
        assert_eq!(sums(row), (2_048, 2_048, 52));
        assert_eq!(pages_of(row, smaller.pid()), [1_048, 0, 0, 0]);
        assert_eq!(pages_of(row, emptier.pid()), [1_548, 0, 0, 0]);
        assert_eq!(pages_of(row, larger.pid()), [2_048, 0, 0, 52]);
        assert_pss(&report, &pages, 2_100);
        assert_eq!(pages_of(row, me()), [2_048, 0, 0, 0]);
    });
}

#[test]
fn what_a_parent_lets_go_of_is_its_childs_last_and_no_copy() {
    at_all_levels(|proc| {
        let pages = Pages::new(2_048);
        let mut session = session(proc, &pages);
        let child = Child::after(|| ());
        // The fork is seen while both have everything.
        assert_eq!(sums(data(&session.read().unwrap())), (2_048, 2_048, 0));
        pages.unmap(0..600);
        let report = session.read().unwrap();
        let row = data(&report);
        assert_eq!(sums(row), (2_048, 2_048, 0));
        assert_eq!(pages_of(row, child.pid()), [1_448, 0, 600, 0]);
        assert_pss(&report, &pages, 2_048);
    });
}

#[test]
fn moved_pages_are_counted_at_both_places_and_the_agreement_shows_it() {
    at_all_levels(|proc| {
        let (pages, place) = (Pages::new(8_192), Pages::reserved(2_048));
        let mut session = session(proc, &pages);
        let _idle = Child::after(|| ());
        let before = session.read().unwrap();
        let agreed = before.tree.copies.agreement.unwrap();
        let mover = Child::after(|| pages.move_to(0..2_048, &place));
        let report = session.read().unwrap();
        let row = data(&report);
        // Where they were, nothing has changed for the others.
        assert_eq!(sums(row), (8_192, 8_192, 0));
        assert_eq!(pages_of(row, mover.pid()), [6_144, 0, 0, 0]);
        // They are counted where they are now as well, but no frames stand behind that.
        let pss: u64 = report.processes.iter().map(|row| row.pss).sum();
        let missing = (2_048 * common::PAGE) as f64 / pss as f64;
        let agreement = report.tree.copies.agreement.unwrap();
        assert!(agreement < agreed - missing / 2.0, "{agreed} {agreement}");
    });
}

#[test]
fn a_name_given_to_memory_is_its_label() {
    common::in_a_process(|| {
        let pages = Pages::new(1_024);
        let range = pages.range();
        // SAFETY: the kernel only reads the name, which ends with a zero and outlives the call.
        let named = unsafe {
            libc::prctl(
                libc::PR_SET_VMA,
                libc::PR_SET_VMA_ANON_NAME,
                range.start,
                range.end - range.start,
                c"weights".as_ptr(),
            )
        };
        if named != 0 {
            skip::skipped("this kernel gives no names to memory (CONFIG_ANON_VMA_NAME)");
            return;
        }
        let report = onecopy_meter::tree(me()).unwrap();
        let mut rows = report.mappings.iter();
        let row = rows.find(|row| row.label == "weights");
        assert_eq!(row.unwrap().new, Some(1_024), "{report:#?}");
    });
}

#[test]
fn swapped_memory_is_none_where_there_is_no_swap() {
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap();
    let total = memory.lines().find(|line| line.starts_with("SwapTotal:"));
    if total.is_none_or(|line| line.split_whitespace().nth(1) != Some("0")) {
        skip::skipped("there is swap here, and whether pages go there is the kernel's choice");
        return;
    }
    at_all_levels(|proc| {
        let pages = Pages::new(512);
        let report = session(proc, &pages).read().unwrap();
        assert_eq!(report.tree.sum_swap_pss, Some(0));
        assert!(report.processes.iter().all(|row| row.swap == 0));
    });
}
