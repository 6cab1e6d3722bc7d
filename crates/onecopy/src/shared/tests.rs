//! What only a look into a container's memory shows, of any kind of container.

use super::cell::Cell;
use super::heap::Heap;
use super::layout::{
    ARMED, CHANGES, GENERATION, IS_LONG, LONG, LONG_WRITES, PIN, ROOT1, SEEN, SEQ,
};
use super::rust_value::{Value, Values};
use super::value::Word;
use super::{ContainerError, Dict, List, QueueOptions, RawQueue};
use crate::store::{SPAN, Store};

const MIB: usize = 1 << 20;

fn store_of(bytes: u64) -> Store {
    Store::options().capacity_bytes(bytes).create().unwrap()
}

fn is_corrupt<T>(result: &Result<T, ContainerError>) -> bool {
    matches!(result, Err(ContainerError::Corrupt(_)))
}

fn put(cell: &Cell, value: &Value) {
    value.with_incoming(|incoming| cell.set(&incoming)).unwrap();
}

/// Bytes of a container's chunks.
fn chunk_bytes(heap: &Heap) -> u64 {
    let chunks = heap.container.chunks().unwrap();
    chunks.iter().map(|chunk| chunk.len).sum()
}

#[test]
fn generations_go_round() {
    let list = store_of(1 << 30).list().unwrap();
    let mut model: Vec<Value> = (0..40_000).map(Value::Int).collect();
    list.extend(&model).unwrap();
    list.reverse().unwrap();
    model.reverse();
    let heap = &list.raw().heap;
    // Two before the last, as the chunks' tags would be.
    let chunks = heap.container.chunks().unwrap();
    heap.words.store(heap.head + GENERATION, (1 << 31) - 3);
    for round in 0..6 {
        list.reverse().unwrap();
        model.reverse();
        let now = heap.container.chunks().unwrap();
        assert!(!now.is_empty() && now.len() <= chunks.len(), "{round}");
        list.verify().unwrap();
        assert_eq!(list.to_vec().unwrap(), model, "{round}");
    }
    // Small enough for the run that the first generation began with, and beyond it.
    list.clear().unwrap();
    list.extend(&model).unwrap();
    list.verify().unwrap();
    assert_eq!(list.to_vec().unwrap(), model);
}

#[test]
fn a_pin_is_a_log_of_the_container_or_nothing_is_written() {
    let store = store_of(1 << 30);
    let cells = [(); 4].map(|()| Cell::create(&store).unwrap());
    for cell in cells.iter().take(3) {
        let heap = &cell.heap;
        let (words, run) = (heap.words, heap.own_bytes());
        let next = heap.head + run;
        let others: Vec<u64> = (next..next + SPAN)
            .step_by(8)
            .map(|at| words.relaxed(at))
            .collect();
        let thread = u64::from(heap.container.thread().unwrap());
        for back in [8, 16, 64, 72, 128, 136, 192] {
            let pin = heap.head + run - back;
            let before = words.relaxed(pin);
            words.store(pin, thread);
            words.store(heap.head + PIN, pin);
            put(cell, &Value::Int(7));
            put(cell, &Value::Str("a text that needs a block".into()));
            words.store(heap.head + PIN, 0);
            words.store(pin, before);
        }
        for (at, word) in (next..).step_by(8).zip(others) {
            assert_eq!(words.relaxed(at), word, "{}", at - next);
        }
    }
}

#[test]
fn a_long_record_that_is_none_is_not_followed() {
    let store = store_of(1 << 30);
    let cell = Cell::create(&store).unwrap();
    let heap = &cell.heap;
    put(&cell, &Value::Int(1));
    let root = |at, value| heap.words.store(heap.head + at, value);
    let magic = heap.words.relaxed(heap.head);
    let inside = heap.head + 32768;
    for (len, at, writes) in [
        (1 << 47, 1 << 60, u64::MAX),
        (1, 1 << 60, u64::MAX),
        (1 << 20, inside, 1 << 47),
        (1 << 47, inside, u64::MAX),
    ] {
        for seen in [0, 1] {
            root(ARMED, IS_LONG | seen << SEEN | len);
            root(LONG, at);
            root(LONG_WRITES, writes);
            root(SEQ, 1);
            assert!(is_corrupt(&cell.set(&super::Incoming::Word(Word::NONE))));
            // A reader goes past the writer, or for the lock.
            assert!(is_corrupt(&cell.get(&Values)));
            root(SEQ, 0);
            root(CHANGES, 1);
            drop(cell.get(&Values));
            root(CHANGES, 0);
        }
    }
    assert_eq!(heap.words.relaxed(heap.head), magic);
    for at in [ARMED, LONG, LONG_WRITES] {
        root(at, 0);
    }
    assert_eq!(cell.get(&Values).unwrap().unwrap(), Value::Int(1));
    cell.verify().unwrap();
}

#[test]
fn a_length_beyond_all_memory_is_damage() {
    let list = store_of(1 << 30).list().unwrap();
    let heap = &list.raw().heap;
    for len in [1 << 63, u64::MAX, 1 << 49] {
        heap.words.store(heap.head + ROOT1, len);
        assert!(is_corrupt(&list.raw().len()), "{len}");
    }
    heap.words.store(heap.head + ROOT1, 0);
    assert_eq!(list.raw().len().unwrap(), 0);
}

#[test]
fn what_an_operation_has_locked_is_not_taken_by_its_user() {
    let list = store_of(1 << 30).list().unwrap();
    let heap = &list.raw().heap;
    let lock = list.raw().writer_lock();
    let inside = heap.lock().unwrap();
    assert!(lock.hold(None).is_err());
    assert!(lock.release().is_err());
    assert!(lock.is_held_here().unwrap());
    drop(inside);
    assert!(!lock.is_held().unwrap());
    lock.hold(None).unwrap();
    lock.hold(None).unwrap();
    list.append(&Value::Int(1)).unwrap();
    lock.release().unwrap();
    assert!(lock.is_held_here().unwrap());
    lock.release().unwrap();
    assert!(!lock.is_held().unwrap());
}

/// Objects until not a page is left.
fn fill(store: &Store) -> Vec<crate::Object> {
    let mut kept = Vec::new();
    let mut bytes = 1 << 20;
    while bytes >= 4096 {
        match store.allocate(bytes, crate::store::Huge::Never) {
            Ok(building) => kept.push(building.publish().unwrap()),
            Err(_) => bytes /= 2,
        }
    }
    kept
}

fn texts(count: i64) -> Vec<Value> {
    (0..count)
        .map(|n| Value::Str(format!("a text that needs a block, {n}")))
        .collect()
}

#[test]
fn emptying_needs_no_memory() {
    type Emptied = fn(&List) -> bool;
    let ways: [Emptied; 4] = [
        |list| list.clear().is_ok(),
        |list| list.delete_slice(super::Slice::range(None, None)).is_ok(),
        |list| list.replace(&[]).is_ok(),
        |list| {
            let backwards = super::Slice {
                start: None,
                stop: None,
                step: -1,
            };
            list.delete_slice(backwards).is_ok()
        },
    ];
    for count in [400, 3000] {
        for (nth, empty) in ways.iter().enumerate() {
            let store = store_of(8 << 20);
            let list = store.list().unwrap();
            list.extend(&texts(count)).unwrap();
            let kept = fill(&store);
            assert!(empty(&list), "{count} {nth}");
            assert_eq!(list.len().unwrap(), 0);
            list.verify().unwrap();
            // A list of one chunk keeps it for what comes next.
            let kept_bytes = if count == 400 { 64 << 10 } else { 0 };
            assert!(chunk_bytes(&list.raw().heap) <= kept_bytes, "{count} {nth}");
            list.extend(&texts(50)).unwrap();
            list.clear().unwrap();
            drop(kept);
            list.extend(&texts(count)).unwrap();
            list.verify().unwrap();
            assert_eq!(list.to_vec().unwrap(), texts(count));
        }
    }
    let store = store_of(8 << 20);
    let dict = store.dict().unwrap();
    for text in texts(3000) {
        dict.set(&text, &text).unwrap();
    }
    let kept = fill(&store);
    dict.clear().unwrap();
    dict.verify().unwrap();
    assert_eq!(chunk_bytes(&dict.raw().heap), 0);
    dict.set(&Value::Int(1), &Value::Int(2)).unwrap();
    dict.clear().unwrap();
    assert!(dict.is_empty().unwrap());
    dict.verify().unwrap();
    drop(kept);
}

/// What containers of one value after the other take, at the most and when all is gone.
#[test]
fn memory_of_long_values_comes_back() {
    let store = store_of(1 << 30);
    let value = |nth: usize| Value::Bytes(vec![7; MIB - 1 - nth * 49_999 % (MIB - 70_000)]);
    let limit = |vary: bool| {
        if vary {
            10 * MIB as u64
        } else {
            5 * MIB as u64
        }
    };
    for vary in [false, true] {
        let length = |nth: usize| value(if vary { nth } else { 0 });
        let cell = Cell::create(&store).unwrap();
        let dict: Dict = store.dict().unwrap();
        let list: List = store.list().unwrap();
        let queue = RawQueue::create(&store, QueueOptions::default()).unwrap();
        let key = Value::from("key");
        list.append(&Value::None).unwrap();
        let heaps = [
            &cell.heap,
            &dict.raw().heap,
            &list.raw().heap,
            &queue.list.heap,
        ];
        for nth in 0..20 {
            let value = length(nth);
            put(&cell, &value);
            dict.set(&key, &value).unwrap();
            list.append(&value).unwrap();
            list.pop(1).unwrap();
            list.set(0, &value).unwrap();
            value
                .with_incoming(|incoming| queue.put(&incoming, None))
                .unwrap();
            drop(queue.get(&Values, None).unwrap());
            if nth % 3 == 0 {
                dict.delete(&key).unwrap();
            }
            for (which, heap) in heaps.iter().enumerate() {
                let bytes = chunk_bytes(heap);
                assert!(bytes <= limit(vary), "{which} {nth}: {bytes}");
            }
        }
        cell.verify().unwrap();
        dict.verify().unwrap();
        list.verify().unwrap();
        queue.verify().unwrap();
        put(&cell, &Value::Int(0));
        dict.delete(&key).unwrap();
        list.set(0, &Value::Int(0)).unwrap();
        for (which, heap) in heaps.iter().enumerate() {
            let bytes = chunk_bytes(heap);
            assert!(bytes <= 3 * MIB as u64, "{which}: {bytes}");
        }
        assert_eq!(cell.get(&Values).unwrap().unwrap(), Value::Int(0));
        cell.verify().unwrap();
        dict.verify().unwrap();
        list.verify().unwrap();
        queue.verify().unwrap();
    }
}

/// A queue's bells are words that others sleep on: references, which large values are, are counted elsewhere.
#[test]
fn references_and_bells_are_different_words() {
    let store = store_of(1 << 30);
    let queue = RawQueue::create(&store, QueueOptions::default()).unwrap();
    let heap = &queue.list.heap;
    // The bell of items: five sleep, and it has never rung.
    let bell = heap.head + 256;
    heap.words.store(bell, 5 << 32);
    let large = Value::Bytes(vec![7; 2 * MIB]);
    large
        .with_incoming(|incoming| queue.put(&incoming, None))
        .unwrap();
    assert_eq!(heap.words.relaxed(bell), 5 << 32 | 1);
    drop(queue.get(&Values, None).unwrap());
    assert_eq!(heap.words.relaxed(bell), 5 << 32 | 1);
    queue.verify().unwrap();
}
