//! Dicts that several threads use at once. A thread is to a dict what a process is: it has the same memory, and a lock word
//! of its own.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread;

use super::super::*;
use super::{dict, int, long};
use crate::shared::Value;

const ROUNDS: i64 = if cfg!(debug_assertions) {
    10_000
} else {
    100_000
};

/// A small random number.
fn random(state: &mut u64, below: i64) -> i64 {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    ((*state >> 33) % below as u64) as i64
}

fn beside(writers: &[&(dyn Fn(u64) + Sync)], read: &(dyn Fn(&mut u64) + Sync)) {
    let is_done = &AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut state = 99;
            let mut reads = 0;
            while reads < 10 || !is_done.load(Ordering::Relaxed) {
                read(&mut state);
                reads += 1;
            }
        });
        let writers: Vec<_> = (1..)
            .zip(writers)
            .map(|(nth, write)| scope.spawn(move || write(nth)))
            .collect();
        let ends: Vec<_> = writers
            .into_iter()
            .map(thread::ScopedJoinHandle::join)
            .collect();
        is_done.store(true, Ordering::Relaxed);
        for end in ends {
            end.unwrap();
        }
    });
}

/// What is added is either taken by somebody or still there.
#[test]
fn nothing_that_is_added_is_lost_beside_deletions() {
    const KEYS: i64 = 50;
    let dict = dict();
    let (added, taken) = (AtomicI64::new(0), AtomicI64::new(0));
    let key = |n: i64| if n % 2 == 0 { int(n) } else { long(n) };
    let add = |nth: u64| {
        let mut state = nth;
        for _ in 0..ROUNDS {
            let amount = 1 + random(&mut state, 5);
            dict.add(&key(random(&mut state, KEYS)), &int(amount))
                .unwrap();
            added.fetch_add(amount, Ordering::Relaxed);
        }
    };
    let count = |value: Option<Value>| match value {
        Some(Value::Int(amount)) => drop(taken.fetch_add(amount, Ordering::Relaxed)),
        Some(other) => panic!("{other:?} was never added"),
        None => {}
    };
    let take = |nth: u64| {
        let mut state = nth;
        for _ in 0..ROUNDS {
            match random(&mut state, 6) {
                0 => count(dict.pop_item(End::First).unwrap().map(|item| item.1)),
                1 => count(dict.pop_item(End::Last).unwrap().map(|item| item.1)),
                2 => drop(dict.move_to_end(&key(random(&mut state, KEYS))).unwrap()),
                _ => count(dict.pop(&key(random(&mut state, KEYS))).unwrap()),
            }
        }
    };
    beside(&[&add, &add, &take, &take], &|state| {
        let key = key(random(state, KEYS));
        assert!(matches!(
            dict.get(&key).unwrap(),
            None | Some(Value::Int(1..))
        ));
    });
    for (_, value) in dict.items().unwrap() {
        count(Some(value));
    }
    assert_eq!(added.into_inner(), taken.into_inner());
    dict.verify().unwrap();
}

/// Readers see of each key a value that was written for it, in copies each key once, and the two of a pair always together.
#[test]
fn readers_see_what_was_written() {
    const KEYS: i64 = 200;
    let dict = dict();
    let value = |key: i64, round: i64| match round % 3 {
        0 => Value::Str(format!(
            "{key}: a text that needs a block, of round {round}"
        )),
        1 => Value::Int(key),
        _ => Value::Bytes(format!("{key}: {}", "x".repeat(round as usize % 90)).into_bytes()),
    };
    let key_of = |value: &Value| -> i64 {
        match value {
            Value::Int(key) => *key,
            Value::Str(text) => text.split(':').next().unwrap().parse().unwrap(),
            Value::Bytes(bytes) => std::str::from_utf8(bytes)
                .unwrap()
                .split(':')
                .next()
                .unwrap()
                .parse()
                .unwrap(),
            other => panic!("{other:?} was never written"),
        }
    };
    // These are always there.
    for key in 0..10 {
        dict.set(&int(key), &value(key, 0)).unwrap();
    }
    let write = |nth: u64| {
        let mut state = nth;
        for round in 0..ROUNDS {
            let key = 10 + random(&mut state, KEYS - 10);
            match random(&mut state, 8) {
                0..4 => dict.set(&int(key), &value(key, round)).unwrap(),
                4 | 5 => drop(dict.delete(&int(key)).unwrap()),
                6 => dict.set(&int(key % 10), &value(key % 10, round)).unwrap(),
                _ => {
                    let pair = [(long(1), int(round)), (long(2), int(round))];
                    dict.update(&pair).unwrap();
                }
            }
        }
    };
    beside(&[&write, &write], &|state| {
        for _ in 0..50 {
            let key = random(state, KEYS);
            if let Some(value) = dict.get(&int(key)).unwrap() {
                assert_eq!(key_of(&value), key);
            } else {
                assert!(key >= 10, "{key} is gone");
            }
        }
        let items = dict.items().unwrap();
        let pair = |key: &Value| items.iter().find(|item| item.0 == *key).map(|item| &item.1);
        assert_eq!(pair(&long(1)), pair(&long(2)));
        let mut seen = HashSet::new();
        for (key, value) in &items {
            if let Value::Int(key) = key {
                assert_eq!(key_of(value), *key);
                assert!(seen.insert(*key), "{key} twice");
            }
        }
        assert!((0..10).all(|key| seen.contains(&key)));
        let mut always: Vec<i64> = Vec::new();
        for item in dict.picture().unwrap() {
            match item.unwrap() {
                (Value::Int(key), value) if key < 10 => {
                    assert_eq!(key_of(&value), key);
                    always.push(key);
                }
                _ => {}
            }
        }
        assert_eq!(always, (0..10).collect::<Vec<_>>());
    });
    dict.verify().unwrap();
}
