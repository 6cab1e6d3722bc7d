//! Large values are objects of the store, which containers refer to.

use std::time::Duration;

use onecopy::shared::{Cell, End, Incoming, Kind, QueueOptions, Slice};
use onecopy::store::Stats;
use onecopy::{ContainerError, Dict, List, ListError, Store, Value};

const MIB: usize = 1 << 20;
/// The longest value that is a block of its container.
const MOST: usize = 2 * MIB - 64;

fn store() -> Store {
    Store::options().capacity_bytes(1 << 30).create().unwrap()
}

/// Objects, references to them, and bytes that the store has given out.
fn taken(store: &Store) -> (u64, u64, u64) {
    let Stats {
        live_objects,
        references,
        allocated_bytes,
        ..
    } = store.stats().unwrap();
    (live_objects, references, allocated_bytes)
}

fn bytes(letter: u8, len: usize) -> Value {
    vec![letter; len].into()
}

/// Values of so many bytes, of every kind that can be large.
fn of_len(len: usize) -> Vec<Value> {
    vec![
        bytes(7, len),
        Value::Pickle(vec![8; len]),
        "a".repeat(len).into(),
        "é".repeat(len).into(),
        "語".repeat(len / 2).into(),
        "🦀".repeat(len / 4).into(),
    ]
}

#[test]
fn values_of_any_length_come_back_and_those_above_two_mebibytes_are_objects() {
    for (len, are_large) in [(MOST - 4, false), (MOST, false), (MOST + 4, true)] {
        let store = store();
        let (list, dict, queue) = (
            store.list().unwrap(),
            store.dict().unwrap(),
            store.queue(QueueOptions::default()).unwrap(),
        );
        // Texts of Rust programs are made character by character, which takes longest.
        let values = of_len(len);
        let values = &values[if are_large { 0..6 } else { 0..2 }];
        let (key, value) = (Value::Int(1), &values[1]);
        list.extend(values).unwrap();
        dict.set(&key, value).unwrap();
        queue.put(value, None).unwrap();
        let count = values.len() as u64;
        let expected = if are_large { count + 2 } else { 0 };
        let (objects, references, _) = taken(&store);
        assert_eq!((objects, references), (expected, expected), "{len}");
        assert_eq!(list.to_vec().unwrap(), values);
        assert_eq!(list.get(1).unwrap(), values[1]);
        assert_eq!(dict.values().unwrap(), std::slice::from_ref(value));
        assert_eq!(dict.pop(&key).unwrap().as_ref(), Some(value));
        let got = queue.get(Some(Duration::ZERO)).unwrap();
        assert_eq!(got.as_ref(), Some(value));
        assert_eq!(taken(&store).1, expected.saturating_sub(2), "{len}");
        list.verify().unwrap();
        dict.verify().unwrap();
        for stats in store.containers().unwrap() {
            let has = u64::from(stats.kind.to_string() == "List" && are_large);
            assert_eq!(stats.large_values, has * count, "{stats:?}");
            assert!(stats.large_bytes >= has * count * MOST as u64, "{stats:?}");
        }
        store.verify().unwrap();
    }
}

type Step = fn(&List, &Dict, &Cell);

#[test]
fn a_value_that_is_replaced_or_deleted_gives_all_its_bytes_back_at_once() {
    let store = store();
    let (list, dict) = (store.list().unwrap(), store.dict().unwrap());
    let cell = Cell::create(&store).unwrap();
    // What a container needs for itself it has after the first time.
    let fill = |letter| {
        let value = bytes(letter, 2 * MIB);
        list.extend(&[value.clone(), Value::Int(1), value.clone()])
            .unwrap();
        dict.set(&"one".into(), &value).unwrap();
        dict.set(&"other".into(), &value).unwrap();
        cell.set(&Incoming::Blob(Kind::Bytes, &vec![letter; 2 * MIB]))
            .unwrap();
    };
    let empty = || {
        list.clear().unwrap();
        dict.clear().unwrap();
        cell.set(&Incoming::of_bytes(b"")).unwrap();
    };
    fill(1);
    empty();
    let before = taken(&store);
    assert_eq!((before.0, before.1), (0, 0));
    let steps: [Step; 8] = [
        |list, dict, _| {
            list.delete_slice(Slice::range(None, None)).unwrap();
            dict.clear().unwrap();
        },
        |list, dict, _| {
            list.replace(&[Value::Int(1), Value::Int(2)]).unwrap();
            dict.update(&[("one".into(), 1.into()), ("other".into(), 2.into())])
                .unwrap();
        },
        |list, dict, _| {
            list.set(0, &Value::None).unwrap();
            list.set(2, &"a text that needs a block".into()).unwrap();
            dict.set(&"one".into(), &Value::None).unwrap();
            dict.delete(&"other".into()).unwrap();
        },
        |list, dict, _| {
            assert_eq!(list.pop(-1).unwrap(), list.pop(0).unwrap());
            assert!(dict.pop(&"one".into()).unwrap().is_some());
            assert!(dict.pop_item(End::Last).unwrap().is_some());
        },
        |list, _, _| {
            for _ in 0..5 {
                list.set(0, &bytes(9, 3 * MIB)).unwrap();
            }
        },
        |list, _, _| assert_eq!(list.take_all().unwrap().len(), 3),
        |list, _, _| list.reverse().unwrap(),
        |_, dict, cell| {
            let old = Incoming::Blob(Kind::Bytes, &vec![2; 2 * MIB]);
            let other = Incoming::Blob(Kind::Bytes, &vec![3; 2 * MIB]);
            assert!(!cell.compare_exchange(&other, &old).unwrap());
            assert!(cell.compare_exchange(&old, &other).unwrap());
            let exchanged = dict.compare_exchange(&"one".into(), &bytes(2, 2 * MIB), &Value::None);
            assert!(exchanged.unwrap());
        },
    ];
    for (index, step) in steps.into_iter().enumerate() {
        fill(2);
        assert_eq!(taken(&store).1, 5, "step {index}");
        step(&list, &dict, &cell);
        list.verify().unwrap();
        dict.verify().unwrap();
        cell.verify().unwrap();
        store.verify().unwrap();
        empty();
        assert_eq!(taken(&store), before, "step {index}");
    }
    // One at a time: what a value takes is back as soon as it is replaced.
    list.append(&bytes(1, 8 * MIB)).unwrap();
    let one = taken(&store);
    for letter in 0..20 {
        list.set(0, &bytes(letter, 8 * MIB)).unwrap();
        assert_eq!(taken(&store), one);
    }
}

#[test]
fn without_memory_nothing_has_happened() {
    let store = Store::options()
        .capacity_bytes(1 << 30)
        .max_bytes(16 << 20)
        .create()
        .unwrap();
    let (list, dict) = (store.list().unwrap(), store.dict().unwrap());
    list.append(&bytes(1, 2 * MIB)).unwrap();
    dict.set(&Value::None, &bytes(2, 2 * MIB)).unwrap();
    let before = taken(&store);
    let huge = bytes(3, 64 << 20);
    let is_no_memory = |result: Result<(), ListError>| {
        matches!(
            result,
            Err(ListError::Container(ContainerError::Allocate(_)))
        )
    };
    assert!(is_no_memory(list.append(&huge)));
    assert!(is_no_memory(list.set(0, &huge)));
    // The first of these could be had.
    assert!(is_no_memory(
        list.extend(&[bytes(4, 2 * MIB), huge.clone()])
    ));
    assert!(is_no_memory(list.set_slice(
        Slice::range(None, None),
        std::slice::from_ref(&huge)
    )));
    assert!(dict.set(&Value::None, &huge).is_err());
    assert!(
        dict.update(&[(1.into(), bytes(4, 2 * MIB)), (2.into(), huge)])
            .is_err()
    );
    assert_eq!(list.to_vec().unwrap(), [bytes(1, 2 * MIB)]);
    assert_eq!(dict.items().unwrap(), [(Value::None, bytes(2, 2 * MIB))]);
    assert_eq!(taken(&store), before);
    list.verify().unwrap();
    dict.verify().unwrap();
    store.verify().unwrap();
}

#[test]
fn a_reader_beside_a_writer_sees_whole_values() {
    const SIZE: usize = 2 * MIB;
    let store = store();
    let list = store.list().unwrap();
    list.extend(&[bytes(0, SIZE), Value::None]).unwrap();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for letter in 0..40u8 {
                list.set(0, &bytes(letter, SIZE)).unwrap();
                list.insert(1, &bytes(letter, SIZE)).unwrap();
                list.pop(1).unwrap();
            }
        });
        let (mut reads, mut newest) = (0, 0);
        while !writer.is_finished() || reads < 20 {
            for value in list.to_vec().unwrap().iter().chain([&list.get(0).unwrap()]) {
                let Value::Bytes(read) = value else { continue };
                assert!(*read == vec![read[0]; SIZE]);
                assert!(read[0] >= newest, "an older value after a newer one");
                newest = read[0];
            }
            reads += 1;
        }
    });
    list.clear().unwrap();
    assert_eq!(taken(&store).0, 0);
    store.verify().unwrap();
}

#[test]
fn keys_stay_where_they_are() {
    let store = store();
    let (dict, set) = (store.dict().unwrap(), store.set().unwrap());
    let key = Value::Str("k".repeat(2 * MIB));
    dict.set(&key, &Value::Int(1)).unwrap();
    set.insert(&key).unwrap();
    assert_eq!(taken(&store).0, 0);
    assert_eq!(dict.get(&key).unwrap(), Some(Value::Int(1)));
    assert!(set.contains(&key).unwrap());
    // An int of so many digits is added to where it is.
    let digits = Value::BigInt(vec![1; 2 * MIB]);
    dict.set(&Value::None, &digits).unwrap();
    assert_eq!(taken(&store).0, 0);
    assert_eq!(dict.get(&Value::None).unwrap(), Some(digits));
}
