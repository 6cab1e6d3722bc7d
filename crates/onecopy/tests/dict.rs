//! Dicts of many keys: what growing, shrinking and churning do to their memory, and several processes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use onecopy::fork::Workers;
use onecopy::shared::{End, Part};
use onecopy::{Counter, Dict, Set, Store, Value};

const KEYS: i64 = if cfg!(debug_assertions) {
    60_000
} else {
    1_000_000
};

fn store() -> Store {
    Store::options().capacity_bytes(1 << 36).create().unwrap()
}

fn key(n: i64) -> Value {
    Value::Str(format!("key-{n:012}"))
}

fn allocated(store: &Store) -> u64 {
    store.stats().unwrap().allocated_bytes
}

fn filled(store: &Store) -> Dict {
    let dict = store.dict().unwrap();
    for n in 0..KEYS {
        dict.set(&key(n), &Value::Int(n)).unwrap();
    }
    dict
}

#[test]
fn a_dict_that_shrinks_gives_its_memory_back() {
    let store = store();
    let dict = filled(&store);
    dict.verify().unwrap();
    let full = allocated(&store);
    assert!(full < KEYS as u64 * 100, "{full} bytes for {KEYS} keys");
    for n in 0..KEYS {
        if n % 100 != 0 {
            assert!(dict.delete(&key(n)).unwrap());
        }
    }
    dict.verify().unwrap();
    let few = allocated(&store);
    assert!(few < full / 5, "{few} of {full} bytes are left");
    assert_eq!(dict.len().unwrap(), KEYS as u64 / 100);
    let expected = (0..KEYS).step_by(100).map(|n| (key(n), Value::Int(n)));
    assert!(dict.items().unwrap().into_iter().eq(expected));
    // What is added later comes last.
    dict.set(&key(1), &Value::None).unwrap();
    assert_eq!(
        dict.pop_item(End::Last).unwrap(),
        Some((key(1), Value::None))
    );
    dict.clear().unwrap();
    assert!(allocated(&store) <= 4 << 16);
    dict.verify().unwrap();
}

#[test]
fn a_queue_of_keys_stays_small() {
    let store = store();
    let dict = store.dict().unwrap();
    let mut most = 0;
    for n in 0..KEYS {
        dict.set(&key(n), &Value::Int(n)).unwrap();
        if n >= 100 {
            let first = dict.pop_item(End::First).unwrap();
            assert_eq!(first, Some((key(n - 100), Value::Int(n - 100))));
        }
        if n % 1000 == 0 {
            most = most.max(allocated(&store));
        }
    }
    assert!(most <= 6 << 16, "{most} bytes");
    dict.verify().unwrap();
}

#[test]
fn keys_that_come_and_go_take_no_more_memory() {
    let store = store();
    let dict = store.dict().unwrap();
    let len = KEYS / 20;
    for n in 0..len {
        dict.set(&key(n), &Value::Int(n)).unwrap();
    }
    let before = allocated(&store);
    for n in 0..KEYS {
        assert!(dict.delete(&key(n)).unwrap());
        dict.set(&key(n + len), &Value::Int(n + len)).unwrap();
    }
    let after = allocated(&store);
    assert!(after < before * 2, "{before}, then {after} bytes");
    let expected = (KEYS..KEYS + len).map(|n| (key(n), Value::Int(n)));
    assert!(dict.items().unwrap().into_iter().eq(expected));
    dict.verify().unwrap();
}

/// Copies of a large dict that is written to all the time hold up no writer for long, and have all that stays.
#[test]
fn copies_beside_writers_have_what_is_always_there() {
    let store = store();
    let dict = filled(&store);
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        let (is_done, dict) = (&is_done, &dict);
        let writer = scope.spawn(move || {
            let mut n = 0i64;
            while !is_done.load(Ordering::Relaxed) {
                dict.set(&Value::Int(n % 50), &key(n)).unwrap();
                dict.delete(&Value::Int((n + 25) % 50)).unwrap();
                n += 1;
            }
        });
        for _ in 0..3 {
            let picture = dict.raw().picture(Part::Keys).unwrap();
            let strs = picture
                .iter()
                .filter(|key| matches!(key, onecopy::shared::Incoming::Blob(..)));
            assert_eq!(i64::try_from(strs.count()).unwrap(), KEYS);
        }
        is_done.store(true, Ordering::Relaxed);
        writer.join().unwrap();
    });
    dict.verify().unwrap();
}

#[test]
fn processes_add_to_one_counter() {
    const EACH: i64 = 5000;
    let counter = store().counter().unwrap();
    let tokens: Vec<_> = (0..3).map(|_| counter.token().unwrap()).collect();
    let workers = Workers::new(3)
        .allow_threads(true)
        .timeout(Duration::from_mins(2));
    let sums = workers
        .map(|worker| {
            let counter = Counter::attach(&tokens[worker]).unwrap();
            (0..EACH)
                .map(|n| counter.add(&key(n % 7), 1 + n % 3).unwrap())
                .max()
                .unwrap()
        })
        .unwrap();
    assert!(sums.into_iter().all(|sum| sum.is_ok()));
    let expected: i64 = (0..EACH).map(|n| 1 + n % 3).sum();
    assert_eq!(counter.total().unwrap(), 3 * expected);
    let common = counter.most_common(3).unwrap();
    assert!(common.len() == 3 && common[0].1 >= common[1].1 && common[1].1 >= common[2].1);
    assert_eq!(
        counter.take(&key(0)).unwrap() + counter.total().unwrap(),
        3 * expected
    );
    counter.dict().verify().unwrap();
}

#[test]
fn a_token_of_another_container_is_refused() {
    let store = store();
    let list = store.list().unwrap();
    assert!(Dict::attach(&list.token().unwrap()).is_err());
    let set = store.set().unwrap();
    set.extend(&[Value::from(1), Value::from("a"), Value::from(1.0)])
        .unwrap();
    let same = Set::attach(&set.token().unwrap()).unwrap();
    assert_eq!(same.to_vec().unwrap(), [Value::from(1), Value::from("a")]);
    assert_eq!(same.pop(End::First).unwrap(), Some(Value::from(1)));
    assert_eq!(set.len().unwrap(), 1);
}
