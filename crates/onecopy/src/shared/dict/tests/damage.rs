//! Dicts whose memory somebody has overwritten.

use super::super::super::damaged;
use super::super::*;
use super::{fixed, int, long};
use crate::shared::Value;
use crate::store::Store;

type Step = fn(&Dict);

/// A dict of several segments, holes, blobs, limbo and a long record, all in the container's own run.
fn filled(store: &Store) -> Dict {
    let dict = fixed(store);
    for n in 0..70 {
        let key = if n % 2 == 0 { int(n) } else { long(n) };
        dict.set(&key, &if n % 3 == 0 { long(n) } else { int(n) })
            .unwrap();
    }
    dict.set(&Value::Float(100.0), &int(5)).unwrap();
    for n in (0..40).step_by(4) {
        assert!(dict.delete(&int(n)).unwrap());
    }
    dict
}

/// Whatever comes of each of these, it comes to an end.
const OPERATIONS: &[Step] = &[
    |dict| {
        drop(
            (0..70)
                .map(|n| (dict.get(&int(n)), dict.get(&long(n))))
                .collect::<Vec<_>>(),
        );
    },
    |dict| drop((0..70).map(|n| dict.contains(&int(n))).collect::<Vec<_>>()),
    |dict| drop((dict.items(), dict.len())),
    |dict| drop(dict.picture().map(Iterator::count)),
    |dict| {
        drop(
            (300..330)
                .map(|n| dict.set(&int(n), &long(n)))
                .collect::<Vec<_>>(),
        );
    },
    |dict| {
        drop(
            (300..330)
                .map(|n| dict.set(&long(n), &int(n)))
                .collect::<Vec<_>>(),
        );
    },
    |dict| {
        drop(
            (0..70)
                .map(|n| dict.set(&int(n), &long(n)))
                .collect::<Vec<_>>(),
        );
    },
    |dict| drop((0..70).map(|n| dict.delete(&long(n))).collect::<Vec<_>>()),
    |dict| drop((0..70).map(|n| dict.pop(&int(n))).collect::<Vec<_>>()),
    |dict| {
        drop(
            (0..20)
                .map(|_| dict.pop_item(End::First))
                .collect::<Vec<_>>(),
        );
    },
    |dict| {
        drop(
            (0..70)
                .map(|_| dict.pop_item(End::Last))
                .collect::<Vec<_>>(),
        );
    },
    |dict| {
        drop(
            (0..70)
                .map(|n| dict.add(&int(n), &Value::Int(i64::MAX)))
                .collect::<Vec<_>>(),
        );
    },
    |dict| {
        drop(
            (0..70)
                .map(|n| dict.compare_exchange(&long(n), &long(n), &int(n)))
                .collect::<Vec<_>>(),
        );
    },
    |dict| {
        drop(
            (0..70)
                .map(|n| dict.move_to_end(&long(n)))
                .collect::<Vec<_>>(),
        );
    },
    |dict| drop(dict.update(&(30..300).map(|n| (int(n), long(n))).collect::<Vec<_>>())),
    |dict| drop(dict.clear()),
    |dict| {
        drop(
            dict.raw()
                .heap
                .lock()
                .map(|locked| dict.raw().rebuild(&locked, true)),
        );
    },
    |dict| {
        drop(
            dict.raw()
                .heap
                .lock()
                .map(|locked| dict.raw().close_gaps(&locked)),
        );
    },
    |dict| drop(dict.verify()),
];

#[test]
fn a_damaged_dict_answers_or_says_so() {
    let store = Store::options().capacity_bytes(1 << 33).create().unwrap();
    let dict = filled(&store);
    dict.verify().unwrap();
    damaged::each_word(&dict, &dict.raw().heap, OPERATIONS, |dict| {
        drop((dict.get(&int(6)), dict.get(&long(7))));
    });
    damaged::words_of_head(&dict, &dict.raw().heap, OPERATIONS, |dict| {
        drop((dict.get(&int(6)), dict.get(&long(7))));
    });
    dict.verify().unwrap();
}

#[test]
fn an_index_that_is_too_deep_is_found_at_once() {
    let store = Store::options().capacity_bytes(1 << 33).create().unwrap();
    let dict = filled(&store);
    let heap = &dict.raw().heap;
    let before = heap.words.relaxed(heap.head + INDEX);
    assert!(index::Root(before).depth() > 0);
    for depth in [28, 31] {
        heap.words
            .store(heap.head + INDEX, before & !(31 << 52) | depth << 52);
        let error = dict.verify().unwrap_err().to_string();
        assert!(error.contains("too deep"), "{error}");
    }
    // One that is not too deep for any dict is too deep for this directory.
    heap.words
        .store(heap.head + INDEX, before & !(31 << 52) | 20 << 52);
    let error = dict.verify().unwrap_err().to_string();
    assert!(error.contains("shorter"), "{error}");
    heap.words.store(heap.head + INDEX, before);
    dict.verify().unwrap();
}

#[test]
fn an_update_without_memory_counts_no_slots() {
    let options = Store::options().capacity_bytes(1 << 30);
    let store = options.max_bytes(8 << 20).create().unwrap();
    let dict = fixed(&store);
    (0..5).for_each(|n| dict.set(&int(n), &int(n)).unwrap());
    let counts = |dict: &Dict| {
        let locked = dict.raw().heap.lock().unwrap();
        let root = index::Root(locked.root(INDEX));
        let segments = index::segments(&locked, root).unwrap().into_iter();
        let counts = segments.map(|segment| index::counted(&locked, segment.0).unwrap());
        counts.sum::<u64>()
    };
    // Room is made by the first.
    let large = Value::Bytes(vec![0; 16 << 20]);
    let items = |large: &Value| {
        [
            (int(10), int(1)),
            (int(11), int(1)),
            (int(12), large.clone()),
        ]
    };
    dict.update(&items(&large)).unwrap_err();
    let before = counts(&dict);
    for _ in 0..9 {
        dict.update(&items(&large)).unwrap_err();
    }
    assert_eq!(counts(&dict), before);
    dict.update(&items(&int(1))).unwrap();
    assert_eq!(counts(&dict), before + 3);
    dict.verify().unwrap();
}

#[test]
fn segments_larger_than_any_are_not_split() {
    use super::super::INDEX;
    let store = Store::options().capacity_bytes(1 << 33).create().unwrap();
    for log in [6, 7, 15] {
        let dict = filled(&store);
        let heap = &dict.raw().heap;
        let root = heap.words.relaxed(heap.head + INDEX);
        // The first slots say that it is full.
        let segment = root & ((1 << 48) - 1);
        let wide = root & !(15 << 48 | 31 << 52) | log << 48;
        heap.words.store(heap.head + INDEX, wide);
        heap.words.store(segment, 2 + 8 * 1000);
        let set: Vec<_> = (500..540)
            .map(|n| dict.set(&int(n), &int(n)).is_ok())
            .collect();
        assert!(set.contains(&false), "{log}");
    }
}
