//! What `Store::containers` says of containers: which there are, and what their memory is used for.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use onecopy::{ContainerKind, ContainerStats, Store, Value};

fn small() -> Store {
    Store::options().capacity_bytes(1 << 33).create().unwrap()
}

fn text(n: usize) -> Value {
    // Its block has 112 bytes and a header.
    Value::from(format!("{n:0100}").as_str())
}

const BLOCK: u64 = 120;

fn only(store: &Store) -> ContainerStats {
    let found = store.containers().unwrap();
    assert_eq!(found.len(), 1);
    let stats = found[0];
    assert_eq!(
        stats.bytes,
        stats.live_bytes + stats.free_bytes + stats.limbo_bytes
    );
    assert_eq!(stats.bytes, store.stats().unwrap().container_bytes);
    stats
}

#[test]
fn every_kind_is_named_with_its_length_and_who_has_it() {
    let store = small();
    assert_eq!(store.containers().unwrap(), []);
    let list = store.list().unwrap();
    list.extend(&[Value::from(1), Value::from(2), Value::from(3)])
        .unwrap();
    let dict = store.dict().unwrap();
    dict.set(&Value::from("a"), &Value::from(1)).unwrap();
    let set = store.set().unwrap();
    set.insert(&Value::from(5)).unwrap();
    set.insert(&Value::from(6)).unwrap();
    let counter = store.counter().unwrap();
    counter.add(&Value::from("word"), 3).unwrap();
    let array = store.array::<AtomicU32>(70_000).unwrap();
    let token = array.token().unwrap();
    let view = store.share_slice(&[1u8]).unwrap();
    let found = store.containers().unwrap();
    let kinds: Vec<_> = found.iter().map(|row| (row.kind, row.len)).collect();
    let expected = [
        (ContainerKind::List, 3),
        (ContainerKind::Dict, 1),
        (ContainerKind::Set, 2),
        (ContainerKind::Counter, 1),
        (ContainerKind::Array, 70_000),
    ];
    assert_eq!(kinds, expected);
    let interests: Vec<_> = found.iter().map(|row| (row.holds, row.units)).collect();
    assert_eq!(interests, [(1, 0), (1, 0), (1, 0), (1, 0), (1, 1)]);
    let of_array = found[4];
    assert_eq!(
        (of_array.bytes, of_array.free_bytes, of_array.limbo_bytes),
        (4096 + 280_000u64.next_multiple_of(4096), 0, 0)
    );
    let all: u64 = found.iter().map(|row| row.bytes).sum();
    assert_eq!(all, store.stats().unwrap().container_bytes);
    drop((list, dict, set, counter, array, view));
    assert_eq!(store.containers().unwrap().len(), 1, "its token keeps it");
    drop(onecopy::Array::<AtomicU32>::attach(&token).unwrap());
    assert_eq!(store.containers().unwrap(), []);
}

#[test]
fn a_container_that_refers_to_others_is_named_too() {
    let store = small();
    let (list, dict) = (store.list().unwrap(), store.dict().unwrap());
    for _ in 0..3 {
        list.append(&Value::Reference(dict.reference())).unwrap();
    }
    dict.set(&Value::None, &Value::Reference(list.reference()))
        .unwrap();
    let found = store.containers().unwrap();
    let seen: Vec<_> = found
        .iter()
        .map(|stats| (stats.kind.to_string(), stats.len, stats.large_values))
        .collect();
    assert_eq!(seen, [("List".to_owned(), 3, 0), ("Dict".to_owned(), 1, 0)]);
}

#[test]
fn blocks_are_live_then_in_limbo_then_free() {
    let store = small();
    let list = store.list().unwrap();
    let empty = only(&store);
    assert_eq!((empty.len, empty.limbo_bytes, empty.chunks), (0, 0, 0));
    let values: Vec<_> = (0..2000).map(text).collect();
    for value in &values {
        list.append(value).unwrap();
    }
    let full = only(&store);
    assert_eq!((full.len, full.limbo_bytes), (2000, 0));
    assert!(full.chunks > 0 && full.live_bytes > empty.live_bytes + 2000 * BLOCK);
    for index in 0..10 {
        list.set(index, &Value::from(0)).unwrap();
    }
    let ten = only(&store);
    assert_eq!(ten.limbo_bytes, 10 * BLOCK);
    assert_eq!(ten.live_bytes, full.live_bytes - 10 * BLOCK);
    assert_eq!(ten.free_bytes, full.free_bytes);
    for index in 10..2000 {
        list.set(index, &Value::from(0)).unwrap();
    }
    let ints = only(&store);
    assert_eq!(ints.live_bytes, full.live_bytes - 2000 * BLOCK);
    assert!(ints.limbo_bytes <= 64 * BLOCK);
    assert_eq!(ints.bytes, full.bytes);
    // What is free is taken again.
    for (index, value) in values.iter().enumerate() {
        list.set(index.cast_signed() as i64, value).unwrap();
    }
    let again = only(&store);
    assert_eq!(again.bytes, full.bytes);
    // Those in limbo were not, so some came from a new run.
    assert!((full.live_bytes..full.live_bytes + BLOCK).contains(&again.live_bytes));
    list.clear().unwrap();
    let cleared = only(&store);
    assert_eq!(cleared.len, 0);
    assert!(cleared.bytes < full.bytes && cleared.live_bytes < 100_000);
}

#[test]
fn nobody_is_disturbed_and_nothing_is_damaged_beside_writers() {
    let store = small();
    let (list, dict) = (store.list().unwrap(), store.dict().unwrap());
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for round in 0..30 {
                for n in 0..300 {
                    list.append(&text(n)).unwrap();
                    dict.set(&text(n), &text(round)).unwrap();
                }
                list.clear().unwrap();
                dict.clear().unwrap();
            }
            done.store(true, Ordering::Release);
        });
        let mut looks = 0;
        while !done.load(Ordering::Acquire) || looks == 0 {
            for row in store.containers().unwrap() {
                assert_eq!(row.bytes, row.live_bytes + row.free_bytes + row.limbo_bytes);
            }
            looks += 1;
        }
        writer.join().unwrap();
    });
    list.verify().unwrap();
    dict.verify().unwrap();
    store.verify().unwrap();
}
