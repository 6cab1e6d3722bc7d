//! Every operation of a dict, its thread ended after every single store to the container; and whoever takes the dict over
//! ended after every single store of that.
//!
//! `CRASH_STRIDE=k` takes every k-th store of the second one (1 = all, and all of the operations that store hundreds).

use super::super::index::room;
use super::super::*;
use super::{Model, Step, fixed, int, long};
use crate::shared::Value;
use crate::shared::rust_value::Values;
use crate::shared::value::{Incoming, Word};
use crate::store::Store;
use crate::testing::{end_thread_after, in_thread, thread_stores_left};

type Prepare = fn(&Dict);

fn set(dict: &Dict, key: i64, value: &Value) {
    dict.set(&int(key), value).unwrap();
}

fn mixed(dict: &Dict, keys: std::ops::Range<i64>) {
    for key in keys {
        let value = if key % 3 == 0 { long(key) } else { int(key) };
        let key = if key % 2 == 0 { long(key) } else { int(key) };
        dict.set(&key, &value).unwrap();
    }
}

/// The key that operations add.
const NEW: i64 = 7001;

/// Whether the next new key needs more than its slot.
fn is_full(dict: &Dict) -> bool {
    let raw = dict.raw();
    let locked = raw.heap.lock().unwrap();
    let encoded = int(NEW);
    let found = encoded
        .with_incoming(|key| raw.find_locked(&locked, &raw.key(key)))
        .unwrap();
    !room(&locked, &found, 0).unwrap()
}

fn fill(dict: &Dict, at_least: i64) {
    mixed(dict, 0..at_least);
    let mut key = 1001;
    while !is_full(dict) {
        set(dict, key, &int(key));
        key += 2;
    }
}

const STATES: &[(&str, Prepare)] = &[
    ("empty", |_| {}),
    ("one", |dict| mixed(dict, 0..1)),
    ("a full small segment", |dict| fill(dict, 4)),
    ("a full segment", |dict| fill(dict, 15)),
    ("segments, one of them full", |dict| fill(dict, 40)),
    ("segments, many slots deleted", |dict| {
        fill(dict, 40);
        (1..40)
            .step_by(2)
            .for_each(|key| assert!(dict.delete(&int(key)).unwrap()));
    }),
    ("a full limbo", |dict| {
        mixed(dict, 0..4);
        (0..61).for_each(|n| dict.set(&long(0), &long(n)).unwrap());
    }),
    ("nearly all places are holes", |dict| {
        mixed(dict, 0..24);
        (1..22).for_each(|key| {
            assert!(
                dict.delete(&if key % 2 == 0 { long(key) } else { int(key) })
                    .unwrap()
            );
        });
    }),
    ("too large for its keys", |dict| {
        mixed(dict, 0..60);
        let thin = |dict: &Dict| {
            let raw = dict.raw();
            let slots = index::Root(raw.heap.words.relaxed(raw.heap.head + INDEX)).slots();
            dict.len().unwrap() * 10 < slots + 10
        };
        let mut key = 59;
        while !thin(dict) {
            assert!(
                dict.delete(&if key % 2 == 0 { long(key) } else { int(key) })
                    .unwrap()
            );
            key -= 1;
        }
    }),
    ("slow hashes", |dict| {
        mixed(dict, 0..9);
        Step::Slow.run(dict, &mut Model(dict.items().unwrap()));
    }),
];

const OPERATIONS: &[(&str, Prepare)] = &[
    ("set a new key", |dict| set(dict, NEW, &int(1))),
    ("set a new long key", |dict| {
        dict.set(&long(NEW), &long(1)).unwrap();
    }),
    ("set a new key of another form", |dict| {
        dict.set(&Value::Float(NEW as f64), &long(1)).unwrap();
    }),
    ("set a key to a word", |dict| {
        dict.set(&long(0), &int(1)).unwrap();
    }),
    ("set a key to a blob", |dict| {
        dict.set(&long(0), &long(1)).unwrap();
    }),
    ("set a default", |dict| {
        done(dict.set_default(&int(NEW), &long(1)));
    }),
    ("delete", |dict| done(dict.delete(&long(0)))),
    ("pop", |dict| done(dict.pop(&int(1)))),
    ("pop the first", |dict| {
        done(dict.pop_item(End::First));
    }),
    ("pop the last", |dict| {
        done(dict.pop_item(End::Last));
    }),
    ("add", |dict| done(dict.add(&int(NEW), &int(3)))),
    ("add to a wide int", |dict| {
        done(dict.add(&int(1), &Value::Int(i64::MAX)));
    }),
    ("exchange", |dict| {
        done(dict.compare_exchange(&long(0), &long(0), &long(5)));
    }),
    ("update", |dict| {
        let keys = [
            int(NEW),
            long(0),
            int(NEW + 2),
            long(NEW),
            int(1),
            int(NEW + 4),
            long(0),
            int(NEW + 6),
        ];
        let items = keys
            .iter()
            .enumerate()
            .map(|(n, key)| (key.clone(), if n % 2 == 0 { long(9) } else { int(9) }));
        dict.update(&items.collect::<Vec<_>>()).unwrap();
    }),
    ("move to the end", |dict| {
        done(dict.move_to_end(&long(0)));
    }),
    ("clear", |dict| dict.clear().unwrap()),
    ("close gaps", |dict| {
        Step::CloseGaps.run(dict, &mut Model::default());
    }),
    ("slow hashes", |dict| {
        Step::Slow.run(dict, &mut Model::default());
    }),
];

fn done<T>(result: Result<T, DictError>) {
    result.unwrap();
}

fn stride() -> u64 {
    std::env::var("CRASH_STRIDE").map_or(61, |text| text.parse().unwrap())
}

fn made(store: &Store, prepare: Prepare) -> Dict {
    let dict = fixed(store);
    prepare(&dict);
    dict
}

fn check(dict: &Dict, ends: [&[(Value, Value)]; 2], place: &str) {
    let keys: Vec<&Value> = ends[0].iter().chain(ends[1]).map(|item| &item.0).collect();
    let read: Vec<_> = keys.iter().map(|key| dict.get(key).unwrap()).collect();
    let (len, items) = (dict.len().unwrap(), dict.items().unwrap());
    assert!(
        ends.contains(&items.as_slice()),
        "{place}: neither before nor after: {items:?}"
    );
    assert_eq!(len, items.len() as u64, "{place}: its length");
    for (key, read) in keys.iter().zip(read) {
        let item = items.iter().find(|item| item.0 == **key);
        assert_eq!(
            read.as_ref(),
            item.map(|item| &item.1),
            "{place}: what was read one by one"
        );
    }
    dict.verify()
        .unwrap_or_else(|error| panic!("{place}: {error}"));
    // What nobody has seen yet may happen with the repair; what was seen stays.
    let repaired = dict.items().unwrap();
    assert!(
        repaired == items || repaired == ends[1],
        "{place}: {items:?} before the repair, {repaired:?} after it"
    );
    for n in 0..10 {
        dict.set(&long(8000 + n), &long(n)).unwrap();
        assert_eq!(
            dict.pop_item(End::First).unwrap().is_some(),
            n >= 0,
            "{place}"
        );
    }
    for key in &keys {
        done(dict.delete(key));
    }
    dict.verify()
        .unwrap_or_else(|error| panic!("{place}, later: {error}"));
    dict.clear().unwrap();
    dict.verify()
        .unwrap_or_else(|error| panic!("{place}, at the end: {error}"));
}

/// Ends the operation after its n-th store; whether it got that far.
fn abandon(dict: &Dict, operation: Prepare, n: u64) -> bool {
    !in_thread(|| {
        end_thread_after(n);
        operation(dict);
    })
}

/// How many stores an operation does.
fn stores(dict: &Dict, operation: Prepare) -> u64 {
    const MANY: u64 = 1 << 40;
    end_thread_after(MANY);
    operation(dict);
    let left = thread_stores_left();
    end_thread_after(0);
    MANY - left
}

/// All of the stores; of many, all near the ends, and some of those between that only differ in their place.
fn places(stores: u64) -> impl Iterator<Item = u64> {
    let every = if stride() == 1 { 1 } else { stores / 20 + 1 };
    (1..=stores).filter(move |n| *n <= 24 || stores - n < 48 || n.is_multiple_of(every))
}

fn run(state: (&str, Prepare), operation: (&str, Prepare)) -> (u64, u64) {
    let store = Store::options().capacity_bytes(1 << 33).create().unwrap();
    let before = made(&store, state.1).items().unwrap();
    let dict = made(&store, state.1);
    (operation.1)(&dict);
    let after = dict.items().unwrap();
    let ends = [before.as_slice(), after.as_slice()];
    let (mut ended, mut taken_over) = (0, 0);
    for n in places(stores(&made(&store, state.1), operation.1)) {
        let place = format!("{} in {}, after store {n}", operation.0, state.0);
        let dict = made(&store, state.1);
        assert!(abandon(&dict, operation.1, n), "{place}");
        ended += 1;
        check(&dict, ends, &place);
        for m in (1 + n % stride()..).step_by(stride() as usize) {
            let dict = made(&store, state.1);
            assert!(abandon(&dict, operation.1, n), "{place}");
            if !abandon(&dict, |dict| dict.verify().unwrap(), m) {
                break;
            }
            taken_over += 1;
            check(&dict, ends, &format!("{place}, taken over until store {m}"));
        }
    }
    (ended, taken_over)
}

#[test]
fn abandoned_after_every_store() {
    let (mut ended, mut taken_over) = (0, 0);
    for state in STATES {
        for operation in OPERATIONS {
            let counts = run(*state, *operation);
            ended += counts.0;
            taken_over += counts.1;
        }
    }
    println!("{ended} abandoned operations, {taken_over} of them with an abandoned successor");
}

/// What sets more keys than a record takes, or replaces all of them.
const OF_MANY: &[(&str, Prepare)] = &[
    ("update many", |dict| dict.update(&many()).unwrap()),
    ("update many that are there", |dict| {
        let keys = dict.items().unwrap().into_iter();
        let items: Vec<_> = keys
            .filter(|item| is_int(&item.1))
            .map(|item| (item.0, int(77)))
            .collect();
        assert!(items.len() > 8);
        dict.update(&items).unwrap();
    }),
    ("replace", |dict| {
        let (raw, many) = (dict.raw(), many());
        let encoded: Vec<_> = many
            .iter()
            .map(|(key, value)| (key.encode(), value.encode()))
            .collect();
        let items: Vec<_> = encoded
            .iter()
            .map(|(key, value)| (raw.key(key.incoming()), value.incoming()))
            .collect();
        raw.replace(&items).unwrap();
    }),
    ("add many", |dict| {
        let raw = dict.raw();
        let keys: Vec<_> = (0..40).map(|n| int(2 * n + 1)).collect();
        let encoded: Vec<_> = keys.iter().map(Value::encode).collect();

        let amount = Incoming::Word(Word::of_int(1 << 40).unwrap());
        let items: Vec<_> = encoded
            .iter()
            .map(|key| (raw.key(key.incoming()), amount))
            .filter(|(key, _)| {
                raw.get(key, &Values)
                    .unwrap()
                    .is_none_or(|value| matches!(value, Ok(Value::Int(_))))
            })
            .collect();
        assert!(items.len() > 30 && raw.add_all(&items).unwrap());
    }),
];

fn is_int(value: &Value) -> bool {
    matches!(value, Value::Int(_))
}

/// Some keys that are there and some that are not.
fn many() -> Vec<(Value, Value)> {
    let key = |n| {
        if n % 2 == 0 {
            long(n)
        } else {
            int(n + 4000 * (n % 3))
        }
    };
    (0..40).map(|n| (key(n), long(n + 1))).collect()
}

#[test]
fn many_keys_are_one_step() {
    let store = Store::options().capacity_bytes(1 << 33).create().unwrap();
    let prepare = STATES[3].1;
    for (name, operation) in OF_MANY {
        let before = made(&store, prepare).items().unwrap();
        let dict = made(&store, prepare);
        let stores = stores(&dict, *operation);
        let after = dict.items().unwrap();
        // What is built and nobody can reach is much the same; the change that shows it is at the end.
        let few = |n: &u64| stores - n < 24 || n.is_multiple_of(stores / 8 + 1);
        for n in (1..=stores).filter(few) {
            let dict = made(&store, prepare);
            let place = format!("{name}, after store {n} of {stores}");
            assert!(abandon(&dict, *operation, n), "{place}");
            check(&dict, [&before, &after], &place);
        }
    }
}
