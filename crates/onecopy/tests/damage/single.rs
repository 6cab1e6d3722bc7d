//! Damage of one kind each, with what must come of it.

use std::time::Duration;

use onecopy::testing::{set_patience, words_in_use};
use onecopy::{AccessError, AttachError, Object, Store};

use crate::common::{PATIENCE, Words, in_child, offsets};
use crate::rounds::Player;

type Test = (&'static str, fn());

pub(crate) const TESTS: [Test; 5] = [
    (
        "verify finds every damaged word",
        verify_finds_every_damaged_word,
    ),
    ("a damaged row is refused", a_damaged_row_is_refused),
    ("no object lies over another", no_object_lies_over_another),
    (
        "a lock that nobody has is found by whom it names",
        a_lock_that_nobody_has_is_found_by_whom_it_names,
    ),
    (
        "a store that cannot be joined is left without a trace",
        a_store_that_cannot_be_joined_is_left_without_a_trace,
    ),
];

/// Every word of the metadata that means something, damaged in many ways one at a time: `verify` says so.
fn verify_finds_every_damaged_word() {
    let store = Store::options().capacity_bytes(1 << 28).create().unwrap();
    let mut player = Player::new(7, store.clone());
    for _ in 0..30 {
        player.share();
        player.send();
    }
    (0..6).for_each(|_| player.drop_one());
    (0..4).for_each(|_| player.receive());
    (0..12).for_each(|_| player.grow());
    assert!(store.stats().unwrap().chunks > 5);
    store.verify().unwrap();
    let words = Words::of(&store);
    let mut seen = 0;
    for (kind, offsets) in words_in_use(&store) {
        let (row, checked): (usize, &[usize]) = match kind {
            // Nothing is under way, so its list means nothing; the lock is this process's whenever it looks.
            "intent record" => (33, &[0]),
            "lock" => continue,
            // The start of a process's life is for people.
            "process slots" => (5, &[0, 1, 3, 4]),
            // What follows is the life word.
            "thread slots" => (6, &[0]),
            // What else a free unit holds means nothing.
            "units" => (4, &[0]),
            _ => (1, &[0]),
        };
        let mut next_run = 0;
        for (index, at) in offsets.into_iter().enumerate() {
            let old = words.get(at);
            // Words inside a run of spans mean nothing either.
            let is_inside = kind == "span words" && index < next_run;
            if is_inside || !checked.contains(&(index % row)) {
                continue;
            }
            next_run = index + (old & 0x7fff_ffff) as usize;
            let changed = (0..64).map(|bit| old ^ 1 << bit);
            for new in changed.chain([old.wrapping_add(1), old.wrapping_sub(1), !old]) {
                words.set(at, new);
                let found = store.verify();
                let is_own_slot = kind == "thread slots" || kind == "process slots";
                assert!(
                    matches!(found, Err(AccessError::Corrupt(_))),
                    "{kind}, word {index} at {at:#x}: {old:#x} -> {new:#x}: {found:?}"
                );
                // Neither does anything else fall over it.
                if !is_own_slot && index % 7 == 0 {
                    let _ = store.stats();
                }
                seen += 1;
            }
            words.set(at, old);
        }
    }
    store.verify().unwrap();
    assert!(seen > 5_000, "{seen}");
}

/// A row whose length or place is wrong is an error for whoever attaches the object, and nobody reads past the file.
fn a_damaged_row_is_refused() {
    let store = Store::options().capacity_bytes(1 << 28).create().unwrap();
    let view = store.share_slice(&vec![5u8; 100_000]).unwrap();
    let tokens: Vec<_> = (0..3).map(|_| view.token().unwrap()).collect();
    let words = Words::of(&store);
    let row = offsets(&store, "entries");
    for (word, value) in [(1, 1000), (2, 1 << 40), (2, 8), (1, u64::MAX), (3, 0)] {
        let old = words.get(row[word]);
        words.set(row[word], value);
        for token in &tokens {
            let error = Object::attach(token).unwrap_err();
            let expected = row[0];
            assert!(
                matches!(&error, AttachError::Access(AccessError::Corrupt(corrupt)) if corrupt.offset == expected),
                "{error}"
            );
        }
        words.set(row[word], old);
    }
    assert!(view.iter().all(|byte| *byte == 5));
    drop(view);
    store.collect(Some(Duration::ZERO)).unwrap();
    store.verify().unwrap();
}

/// Damage to the hint or to the end of the spans, which an allocation begins from, puts no object over another.
fn no_object_lies_over_another() {
    for (kind, most) in [("counters", 14), ("span words", 64)] {
        for index in 0..most {
            let store = Store::options().capacity_bytes(1 << 28).create().unwrap();
            let first: Vec<_> = (0..8u8)
                .map(|n| store.share_slice(&vec![n; 200_000]).unwrap())
                .collect();
            let words = Words::of(&store);
            let Some(at) = offsets(&store, kind).get(index).copied() else {
                break;
            };
            for value in [0, 1, 2, words.get(at).wrapping_sub(1)] {
                words.set(at, value);
                let more: Vec<_> = (0..8)
                    .map_while(|_| store.share_slice(&vec![99u8; 70_000]).ok())
                    .collect();
                let whole = first
                    .iter()
                    .zip(0..8)
                    .all(|(view, n)| view.iter().all(|byte| *byte == n));
                assert!(whole, "{kind} {index} := {value}");
                assert!(more.iter().all(|view| view.iter().all(|byte| *byte == 99)));
            }
        }
    }
}

/// A lock word that names a living thread which is not inside: others wait and name it, and its own process, at its
/// next operation, takes the lock.
fn a_lock_that_nobody_has_is_found_by_whom_it_names() {
    let store = Store::options().capacity_bytes(1 << 28).create().unwrap();
    let words = Words::of(&store);
    // The name of this process's thread, as it stands in the word while it is inside.
    let named = 1 << 17 | 1 << 1;
    let at = offsets(&store, "lock")[0];
    in_child(|| {
        set_patience(PATIENCE);
        // After the fork, which is an operation of this process.
        words.set(at, named);
        let error = store.stats().unwrap_err();
        let parent = std::os::unix::process::parent_id();
        assert!(
            matches!(error, AccessError::LockTimeout { pid, .. } if pid == parent),
            "{error}"
        );
    });
    assert_eq!(words.get(at), named | 1, "somebody waits");
    store.stats().unwrap();
    assert_eq!(words.get(at), 0);
    store.verify().unwrap();
}

/// Joining fails as often as one tries, and descriptors and mappings stay what they were.
fn a_store_that_cannot_be_joined_is_left_without_a_trace() {
    let store = Store::options().capacity_bytes(1 << 28).create().unwrap();
    let (words, uuid) = (Words::of(&store), store.uuid());
    let at = offsets(&store, "lock")[0];
    in_child(|| {
        set_patience(Duration::from_millis(1));
        let descriptor = store.duplicate_fd().unwrap();
        drop(store);
        // Of the parent's thread, which lives and is not inside.
        words.set(at, 1 << 17 | 1 << 1);
        let counts = || ["fd", "map_files"].map(|what| entries(&format!("/proc/self/{what}")));
        let before = counts();
        for _ in 0..20 {
            let error = Store::from_fd(descriptor.try_clone().unwrap(), uuid).unwrap_err();
            assert!(
                matches!(error, AttachError::Access(AccessError::LockTimeout { .. })),
                "{error}"
            );
        }
        assert_eq!(counts(), before);
    });
}

fn entries(folder: &str) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}
