//! What only a look into a list's memory shows, and lists whose memory somebody has overwritten.

use super::super::heap::Heap;
use super::super::layout::{LOCK, LONG_WRITES, SLEEPERS};
use super::super::value::Value;
use super::*;
use crate::store::Store;

type Step = fn(&List);

fn filled(count: i64) -> Vec<Value> {
    let text = |n| Value::Str(format!("a text that needs a block, {n}"));
    (0..count)
        .map(|n| if n % 3 == 0 { text(n) } else { Value::Int(n) })
        .collect()
}

/// A list of two pages that begin somewhere, blobs, limbo and a long record, all in the container's own run.
fn list(store: &Store) -> List {
    let list = store.list().unwrap();
    for value in filled(700) {
        list.append(&value).unwrap();
    }
    for n in 0..9 {
        list.insert(100 * n, &Value::from("a text that needs a block"))
            .unwrap();
        list.pop(0).unwrap();
    }
    list.set(5, &Value::Int(5)).unwrap();
    list.delete_slice(Slice::range(Some(30), Some(150)))
        .unwrap();
    list
}

#[test]
fn a_long_slice_with_a_step_leaves_no_long_record() {
    let store = Store::options().capacity_bytes(1 << 33).create().unwrap();
    let list = store.list().unwrap();
    let mut model: Vec<Value> = (0..70_000).map(Value::Int).collect();
    model.splice(0..300, filled(300));
    list.extend(&model).unwrap();
    let words = |list: &List| {
        let heap = &list.raw().heap;
        heap.words.relaxed(heap.head + LONG_WRITES)
    };
    let mut values: Vec<Value> = (0..35_000).map(|n| Value::Int(-n)).collect();
    values.splice(0..300, filled(300));
    list.set_slice(stepped(None, -2), &values).unwrap();
    for (nth, value) in values.into_iter().enumerate() {
        model[69_999 - 2 * nth] = value;
    }
    assert_eq!(list.to_vec().unwrap(), model);
    assert_eq!(words(&list), 0);
    // Few elements take a short one.
    list.set_slice(stepped(Some(9), 3), &filled(3)).unwrap();
    assert!((1..=1 << 10).contains(&words(&list)), "{}", words(&list));
    list.verify().unwrap();
}

#[test]
fn an_iterator_ends_after_an_error() {
    let store = Store::options().capacity_bytes(1 << 33).create().unwrap();
    let list = list(&store);
    let heap = &list.raw().heap;
    let before = words(heap);
    let directory = heap.words.relaxed(heap.head + DIRECTORY_AT);
    heap.words
        .store(heap.head + DIRECTORY_AT, directory.wrapping_add(1 << 20));
    let found: Vec<_> = list.iter().take(10).collect();
    restore(heap, &before);
    assert!(matches!(found.as_slice(), [Err(_)]), "{found:?}");
    list.verify().unwrap();
}

fn stepped(end: Option<i64>, step: i64) -> Slice {
    Slice {
        start: None,
        stop: end,
        step,
    }
}

/// Whatever comes of each of these, it comes to an end.
const OPERATIONS: &[Step] = &[
    |list| drop((0..600).map(|index| list.get(index)).collect::<Vec<_>>()),
    |list| drop(list.to_vec()),
    |list| drop(list.iter().take(5000).collect::<Vec<_>>()),
    |list| drop(list.slice(stepped(None, -3))),
    |list| drop(list.set(5, &Value::from("a text that needs a block, too"))),
    |list| drop(list.append(&Value::from("a text that needs a block, too"))),
    |list| drop(list.append(&Value::None)),
    |list| drop(list.extend(&filled(600))),
    |list| drop(list.pop(-1)),
    |list| drop(list.pop(0)),
    |list| drop(list.insert(300, &Value::from("a text that needs a block, too"))),
    |list| drop(list.delete_slice(Slice::range(Some(20), Some(300)))),
    |list| drop(list.delete_slice(stepped(None, 2))),
    |list| drop(list.set_slice(stepped(Some(9), 3), &filled(3))),
    |list| drop(list.reverse()),
    |list| drop(list.replace(&filled(5))),
    |list| drop(list.replace(&filled(900))),
    |list| drop(list.clear()),
    |list| drop(list.compare_exchange(3, &Value::Int(3), &Value::from("another text, also long"))),
    |list| drop(list.verify()),
];

fn words(heap: &Heap) -> Vec<u64> {
    (0..heap.own_bytes())
        .step_by(8)
        .map(|at| heap.words.relaxed(heap.head + at))
        .collect()
}

fn restore(heap: &Heap, words: &[u64]) {
    for (at, word) in (heap.head..).step_by(8).zip(words) {
        if heap.words.relaxed(at) != *word {
            heap.words.store(at, *word);
        }
    }
    heap.container.free_chunks(|_| true).unwrap();
}

/// What the places hold instead: bits turned, nothing, everything, an offset of something else, and what only looks right.
fn instead(word: u64, nth: usize, others: &[u64]) -> u64 {
    match nth % 8 {
        0 => 0,
        1 => u64::MAX,
        2 => word ^ 1 << (nth / 8 % 64),
        3 => word.wrapping_add(8),
        4 => word.wrapping_sub(512),
        5 => word << 16,
        6 => others[nth.wrapping_mul(7919) % others.len()],
        _ => word ^ 0xff << (nth / 8 % 8 * 8),
    }
}

#[test]
fn a_damaged_list_answers_or_says_so() {
    let store = Store::options().capacity_bytes(1 << 33).create().unwrap();
    let list = list(&store);
    list.verify().unwrap();
    let heap = &list.raw().heap;
    let before = words(heap);
    assert!(heap.container.chunks().unwrap().is_empty());
    let used: Vec<usize> = (0..before.len())
        .filter(|index| before[*index] != 0)
        .collect();
    let rounds = if cfg!(debug_assertions) { 1 } else { 8 };
    let mut nth = 0;
    for round in 0..rounds {
        for index in &used {
            let at = 8 * *index as u64;
            if at == LOCK || at == SLEEPERS & !7 {
                continue;
            }
            // The head's words are few, and each is in the way of everything.
            let every = if at < 256 { 1 } else { OPERATIONS.len() };
            for operation in OPERATIONS.iter().skip(nth % every).step_by(every) {
                nth += 1;
                heap.words.store(
                    heap.head + at,
                    instead(before[*index], nth + round, &before),
                );
                operation(&list);
                drop(list.pop(3));
                restore(heap, &before);
            }
        }
    }
    assert!(nth > 1000, "{nth}");
    list.verify().unwrap();
}
