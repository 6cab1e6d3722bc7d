//! What only a look into a list's memory shows, and lists whose memory somebody has overwritten.

use super::super::damaged::{self, restore, words};
use super::super::layout::LONG_WRITES;
use super::super::rust_value::Value;
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
    let record = |list: &List| {
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
    assert_eq!(record(&list), 0);
    // Few elements take a short one.
    list.set_slice(stepped(Some(9), 3), &filled(3)).unwrap();
    assert!((1..=1 << 10).contains(&record(&list)), "{}", record(&list));
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

#[test]
fn a_damaged_list_answers_or_says_so() {
    let store = Store::options().capacity_bytes(1 << 33).create().unwrap();
    let list = list(&store);
    list.verify().unwrap();
    damaged::each_word(&list, &list.raw().heap, OPERATIONS, |list| {
        drop(list.pop(3));
    });
    damaged::words_of_head(&list, &list.raw().heap, OPERATIONS, |list| {
        drop(list.pop(3));
    });
    list.verify().unwrap();
}
