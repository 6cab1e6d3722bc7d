//! The meter on real processes: forked children in known states, measured from outside.

mod common;

use std::os::fd::AsRawFd as _;
use std::time::{Duration, Instant};

use common::{Child, PAGE, Pages, become_nobody, fork, in_a_process, memory_file};
use onecopy_meter::{MeterError, Proc, SkipReason};

/// Looks until there is what the test is about; a hang fails.
fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let watchdog = Instant::now() + Duration::from_mins(2);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < watchdog, "waited in vain until {what}");
        std::thread::yield_now();
    }
}

/// A parent of 16,384 pages and four children that overwrite 10,500 of them between themselves.
fn forked_tree_is_counted() {
    let pages = Pages::new(16_384);
    let children: Vec<Child> = [1_000, 2_000, 3_000, 4_500]
        .into_iter()
        .map(|count| Child::after(|| pages.write(0..count)))
        .collect();
    let report = onecopy_meter::tree(std::process::id()).unwrap();
    assert!(report.complete, "{report:#?}");
    assert_eq!(report.processes.len(), 5);
    let copies = &report.tree.copies;
    // A family's own stack and heap come on top: some dozens of pages.
    let (frames, unique) = (copies.frames.unwrap(), copies.unique.unwrap());
    assert!((26_884..29_384).contains(&frames), "{copies:?}");
    assert!((16_384..18_384).contains(&unique), "{copies:?}");
    let value = copies.value.unwrap();
    assert!((value - 26_884.0 / 16_384.0).abs() < 0.1, "{copies:?}");
    assert!(copies.agreement.unwrap() > 0.99, "{copies:?}");
    assert!(report.tree.sum_rss.unwrap() > 80_000 * PAGE as u64);
    let pids: Vec<u32> = std::iter::once(std::process::id())
        .chain(children.iter().map(Child::pid))
        .collect();
    let range = onecopy_meter::range(&pids, pages.range()).unwrap();
    let found = (range.unique, range.frames, range.new);
    assert_eq!(found, (Some(16_384), Some(26_884), Some(0)));
    // PSS is cut to whole KiB in each of the five processes.
    assert!(
        range.agreement.is_none_or(|agreement| agreement > 0.9998),
        "{range:?}"
    );
    for (child, count) in children.iter().zip([1_000u64, 2_000, 3_000, 4_500]) {
        let row = report
            .processes
            .iter()
            .find(|row| row.pid == child.pid())
            .unwrap();
        assert!(
            row.uss >= count * 4096 && row.uss < (count + 600) * 4096,
            "{row:?}"
        );
        assert_eq!(row.parent, std::process::id());
    }
}

#[test]
fn copied_pages_of_forked_children_are_counted_exactly() {
    in_a_process(forked_tree_is_counted);
}

#[test]
fn the_same_needs_no_privilege() {
    in_a_process(|| {
        if become_nobody() {
            forked_tree_is_counted();
        }
    });
}

/// Of a tree that was read in part, no sum is there, and none is zero.
fn assert_no_sums(report: &onecopy_meter::Report) {
    let value = serde_json::to_value(report).unwrap();
    let (tree, copies) = (&value["tree"], &value["tree"]["copies"]);
    for (name, sum) in tree.as_object().unwrap() {
        let is_sum = !["copies", "processes"].contains(&name.as_str());
        assert!(!is_sum || sum.is_null(), "{name}: {sum}");
    }
    for (name, part) in copies.as_object().unwrap() {
        assert_eq!(part.is_null(), name != "reason", "{name}: {part}");
    }
    for row in value["mappings"].as_array().unwrap() {
        for name in ["pages", "frames", "new", "copies"] {
            assert!(row[name].is_null(), "{row}");
        }
        assert!(row["processes"].is_array());
    }
}

#[test]
fn a_tree_with_a_process_of_somebody_else_has_rows_but_no_sums() {
    in_a_process(|| {
        if !become_nobody() {
            return;
        }
        let pages = Pages::new(1_024);
        let _readable = Child::after(|| pages.write(0..100));
        let hidden = Child::after(|| {
            // Neither its own user nor a relative may look into it without privileges.
            common::control(libc::PR_SET_DUMPABLE, 0);
        });
        let report = onecopy_meter::tree(std::process::id()).unwrap();
        assert!(!report.complete);
        assert_no_sums(&report);
        assert!(report.processes[0].pages.is_some());
        assert!(!report.mappings.is_empty());
        let skipped = report.skipped.iter().find(|row| row.pid == hidden.pid());
        assert_eq!(skipped.unwrap().reason, SkipReason::Denied);
        // It is one's own all the same.
        assert_eq!(skipped.unwrap().foreign, Some(false));
        let limits = report.limits.join("\n");
        assert!(limits.contains("not dumpable"), "{limits}");
        assert!(!limits.contains("somebody else"), "{limits}");
    });
}

#[test]
fn nobody_may_not_look_into_root_and_is_told_so() {
    let owner = std::process::id();
    in_a_process(|| {
        if !become_nobody() {
            return;
        }
        let error = onecopy_meter::process(owner).unwrap_err();
        assert!(
            matches!(error, MeterError::Denied { pid, .. } if pid == owner),
            "{error}"
        );
        let report = Proc::default().alone(owner).unwrap();
        assert!(!report.complete);
        assert_eq!(report.tree.sum_pss, None);
        assert_no_sums(&report);
        assert_eq!(report.skipped.len(), 1);
        assert_eq!(report.skipped[0].reason, SkipReason::Denied);
        assert_eq!(report.skipped[0].foreign, Some(true));
        assert!(report.skipped[0].rss.unwrap() > 0);
        assert!(
            report
                .limits
                .iter()
                .any(|limit| limit.contains(&owner.to_string()))
        );
    });
}

/// Every process of the report is a kernel thread, and nothing is missing.
fn assert_only_kernel_threads(report: &onecopy_meter::Report) {
    assert!(report.complete, "{report:#?}");
    assert!(report.processes.is_empty() && !report.skipped.is_empty());
    for skipped in &report.skipped {
        assert_eq!(skipped.reason, SkipReason::KernelThread, "{skipped:?}");
    }
    assert_eq!(
        (report.tree.sum_pss, report.tree.sum_rss),
        (Some(0), Some(0))
    );
    // No memory at all agrees with nothing.
    assert_eq!(report.tree.copies.agreement, None);
    assert_eq!(report.tree.copies.value, None);
}

#[test]
fn a_text_cut_short_by_a_process_that_is_ending_is_no_error() {
    let root = std::env::temp_dir().join(format!("onecopy-ending-{}", std::process::id()));
    let folder = root.join("7");
    std::fs::create_dir_all(&folder).unwrap();
    let captured = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/captured");
    let read = |name: &str| std::fs::read_to_string(format!("{captured}/{name}")).unwrap();
    std::fs::write(folder.join("pagemap"), "").unwrap();
    std::fs::write(folder.join("smaps_rollup"), read("smaps_rollup")).unwrap();
    std::fs::write(folder.join("smaps"), "7f0000000000-7f00").unwrap();
    let (_, rest) = read("stat")
        .split_once(") ")
        .map(|(a, b)| (a.len(), b.to_owned()))
        .unwrap();
    let mut fields: Vec<&str> = rest.trim_end().split(' ').collect();
    let none = "SigPnd:\t0000000000000000\nShdPnd:\t0000000000000000\n";
    let kill = "SigPnd:\t0000000000000000\nShdPnd:\t0000000000000100\n";
    // A sound process; one in exit_mm, which is no zombie yet; one that was killed.
    for (flags, status, is_ending) in [
        ("4194304", none, false),
        ("4194308", none, true),
        ("4194304", kill, true),
    ] {
        fields[6] = flags;
        let stat = format!("7 (x) {}\n", fields.join(" "));
        std::fs::write(folder.join("stat"), stat).unwrap();
        std::fs::write(folder.join("status"), status).unwrap();
        let report = Proc::at(&root, 4096).tree(7);
        assert_eq!(report.is_ok(), is_ending, "{report:#?}");
        if let Ok(report) = report {
            assert!(!report.complete);
            assert_eq!(report.skipped[0].reason, SkipReason::Vanished);
        }
    }
    std::fs::remove_dir_all(&root).unwrap();
}

#[test]
fn captured_kernel_threads_are_no_gap_in_the_tree() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/captured/kernel");
    let report = Proc::at(root, 4096).tree(2).unwrap();
    assert_only_kernel_threads(&report);
    assert_eq!(report.skipped.len(), 3);
    assert_eq!(report.passes, 1);
    assert!(matches!(
        Proc::at(root, 4096).process(2),
        Err(MeterError::KernelThread { pid: 2 })
    ));
}

#[test]
fn kernel_threads_of_this_machine_are_no_gap_in_the_tree() {
    let Some(kthreadd) = Proc::default()
        .stat(2)
        .ok()
        .filter(|stat| stat.name == "kthreadd")
    else {
        skip::skipped("process 2 is not kthreadd here, as in most containers");
        return;
    };
    assert!(kthreadd.is_kernel_thread());
    // Threads of the kernel come and go, but seldom all the time.
    let report = until("kernel threads neither come nor go", || {
        Some(onecopy_meter::tree(2).unwrap()).filter(|report| report.complete)
    });
    assert_only_kernel_threads(&report);
}

#[test]
fn an_exited_child_is_shown_and_leaves_the_sums_whole() {
    in_a_process(|| {
        let Some(pid) = fork() else {
            common::exit(0);
        };
        let child = u32::try_from(pid).unwrap();
        until("the child has exited", || {
            let stat = Proc::default().stat(child).unwrap();
            stat.has_exited().then_some(())
        });
        let report = onecopy_meter::tree(std::process::id()).unwrap();
        assert!(report.complete && report.tree.sum_pss.is_some());
        assert_eq!(report.skipped[0].pid, child);
        assert_eq!(report.skipped[0].reason, SkipReason::Exited);
        assert!(matches!(
            onecopy_meter::process(child),
            Err(MeterError::Gone { .. })
        ));
        // SAFETY: a null pointer asks for no status.
        unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
        assert!(matches!(
            onecopy_meter::process(child),
            Err(MeterError::Gone { .. })
        ));
        assert!(matches!(
            onecopy_meter::tree(child),
            Err(MeterError::Gone { .. })
        ));
    });
}

#[test]
fn a_store_is_counted_once_with_its_untouched_memory() {
    in_a_process(|| {
        let (count, len) = (256, 256 * PAGE);
        let file = memory_file(c"onecopy-0123", count);
        // SAFETY: a plain system call without pointers.
        let filled = unsafe { libc::fallocate(file.as_raw_fd(), 0, 0, len.cast_signed() as i64) };
        assert_eq!(filled, 0);
        let shared = Pages::of_file(&file, count, libc::MAP_SHARED);
        shared.write(0..64);
        let _reader = Child::after(|| shared.write(0..64));
        let private = Pages::of_file(&file, count, libc::MAP_PRIVATE);
        let _copier = Child::after(|| private.write(0..32));
        let report = onecopy_meter::tree(std::process::id()).unwrap();
        assert_eq!(report.stores.len(), 1, "{report:#?}");
        let store = &report.stores[0];
        assert_eq!(store.id, "0123");
        assert_eq!(store.allocated, Some(len as u64));
        assert_eq!(report.tree.allocated, Some(len as u64));
        assert_eq!(store.len, Some(len as u64));
        assert_eq!(store.users.len(), 3);
        let copied: Vec<u64> = store.users.iter().map(|user| user.copied).collect();
        assert_eq!(copied, [0, 0, 32 * 4096]);
        assert_eq!(store.users[0].mapped, 2 * len as u64);
        assert_eq!(report.tree.copies.shared, Some(64));
    });
}

#[test]
fn a_tree_that_never_holds_still_is_said_to_be_incomplete_or_is_read_whole() {
    in_a_process(|| {
        // A child that forks short-lived children without pause, and waits for each.
        let _forker = Child::after(|| {
            if fork().is_none() {
                common::die_with_parent();
                loop {
                    let Some(short_lived) = fork() else {
                        common::exit(0);
                    };
                    // SAFETY: a null pointer asks for no status.
                    unsafe { libc::waitpid(short_lived, std::ptr::null_mut(), 0) };
                }
            }
        });
        for _ in 0..5 {
            let report = onecopy_meter::tree(std::process::id()).unwrap();
            let vanished = report
                .skipped
                .iter()
                .any(|row| row.reason == SkipReason::Vanished);
            assert!(!(report.complete && vanished), "{report:#?}");
            assert_eq!(report.complete, report.tree.sum_pss.is_some());
            if !report.complete {
                assert_no_sums(&report);
            }
            assert!(report.processes.len() >= 3, "{report:#?}");
        }
    });
}

#[test]
fn what_moves_while_a_tree_is_read_is_said_and_read_again() {
    in_a_process(|| {
        let pages = Pages::new(4_096);
        let still = onecopy_meter::tree(std::process::id()).unwrap();
        // What reading allocates is not counted.
        assert_eq!((still.drift, still.passes), (0, 1), "{still:#?}");
        let _writer = Child::after(|| {
            // A process of its own, as the child has to sleep.
            if fork().is_none() {
                common::die_with_parent();
                loop {
                    pages.give_back(0..4_096);
                    pages.write(0..4_096);
                }
            }
        });
        // A writer that does not get a processor meanwhile moves nothing.
        let restless = until("something moves", || {
            let report = onecopy_meter::tree(std::process::id()).unwrap();
            Some(report).filter(|report| report.drift > 0)
        });
        let note = format!("{} page", restless.drift);
        let limits = &restless.limits;
        assert!(
            limits.iter().any(|limit| limit.starts_with(&note)),
            "{limits:?}"
        );
        assert!(restless.passes <= 4 && restless.complete, "{restless:#?}");
    });
}

#[test]
fn a_session_says_what_moves_and_is_not_read_again_for_it() {
    in_a_process(|| {
        let pages = Pages::new(4_096);
        let _writer = Child::after(|| {
            if fork().is_none() {
                common::die_with_parent();
                loop {
                    pages.give_back(0..4_096);
                    pages.write(0..4_096);
                }
            }
        });
        let mut session = onecopy_meter::Session::new(Proc::default(), std::process::id());
        until("something moves", || {
            let report = session.read().unwrap();
            assert_eq!(report.passes, 1, "{report:#?}");
            (report.drift > 4_096 / 100).then_some(())
        });
    });
}

#[test]
fn a_single_process_shares_nothing_and_says_why_there_is_no_number() {
    in_a_process(|| {
        let report = onecopy_meter::tree(std::process::id()).unwrap();
        assert_eq!(report.tree.copies.value, None);
        assert!(
            report
                .tree
                .copies
                .reason
                .as_ref()
                .unwrap()
                .contains("shares nothing")
        );
        let text = serde_json::to_string(&report).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["schema"], "onecopy.report/1");
        assert!(value["tree"]["copies"]["value"].is_null());
        assert_eq!(
            serde_json::from_str::<onecopy_meter::Report>(&text).unwrap(),
            report
        );
    });
}

#[test]
fn zero_pages_and_reserved_address_space_are_no_memory() {
    in_a_process(|| {
        let pages = Pages::new(64);
        // Four TiB reserved, of which three pages are read and one is written.
        let (protection, flags) = (
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
        );
        let len = 4 << 40;
        // SAFETY: the kernel chooses the place, so no memory in use is replaced.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, flags, -1, 0) };
        assert_ne!(start, libc::MAP_FAILED);
        let start = start.cast::<u8>();
        // SAFETY: `place` is below `len` wherever this is used, and so within the mapping.
        let at = |place: usize| unsafe { start.add(place) };
        for place in [0, len / 2, len - PAGE] {
            // SAFETY: mapped and readable.
            assert_eq!(unsafe { at(place).read_volatile() }, 0);
        }
        // SAFETY: mapped and writable, and nothing refers to it.
        unsafe { at(len / 4).write_volatile(1) };
        let child = Child::after(|| pages.write(0..1));
        // Reading a table of a thousand million pages would take minutes and 8 GiB.
        let part = start.addr() as u64..start.addr() as u64 + len as u64;
        let copies = onecopy_meter::range(&[std::process::id(), child.pid()], part).unwrap();
        assert_eq!((copies.unique, copies.frames), (Some(1), Some(1)));
    });
}

#[test]
fn the_machine_and_a_missing_proc_are_told_apart() {
    let memory = onecopy_meter::meminfo().unwrap();
    assert!(memory.available <= memory.total && memory.shmem <= memory.cached);
    let nowhere = Proc::at("/nonexistent", 4096);
    assert!(matches!(nowhere.meminfo(), Err(MeterError::Read { .. })));
    assert!(matches!(nowhere.tree(1), Err(MeterError::Gone { pid: 1 })));
}
