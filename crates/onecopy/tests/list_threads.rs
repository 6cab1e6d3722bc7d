//! Lists that several threads use at once. A thread is to a list what a process is: it has the same memory, and a lock word
//! of its own.
#![allow(
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "numbers of elements, far below any limit"
)]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use onecopy::shared::Slice;
use onecopy::{List, ListError, Store, Value};

const ROUNDS: i64 = if cfg!(debug_assertions) { 3000 } else { 60_000 };

fn list() -> List {
    let store = Store::options().capacity_bytes(1 << 33).create().unwrap();
    store.list().unwrap()
}

/// A value that says which it is, of one of the forms that containers keep.
fn value(n: i64) -> Value {
    match n % 4 {
        0 => Value::Str(format!("{n}: a text that needs a block")),
        1 => Value::Bytes(n.to_string().repeat(50).into_bytes()),
        _ => Value::Int(n),
    }
}

fn number(value: &Value) -> i64 {
    let n = match value {
        Value::Int(n) => *n,
        Value::Str(text) => text.split(':').next().unwrap().parse().unwrap(),
        Value::Bytes(bytes) => {
            let text = std::str::from_utf8(bytes).unwrap();
            text[..text.len() / 50].parse().unwrap()
        }
        other => panic!("{other:?} was never written"),
    };
    assert_eq!(*value, self::value(n), "a value that was never written");
    n
}

/// A small random number.
fn random(state: &mut u64, below: i64) -> i64 {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    ((*state >> 33) % below as u64) as i64
}

/// Does `write` in one thread, and `read` in others until it has ended.
fn beside(write: impl FnOnce() + Send, read: impl Fn(&mut u64) + Sync) {
    let is_done = AtomicBool::new(false);
    let (is_done, read) = (&is_done, &read);
    thread::scope(|scope| {
        for nth in 0..2 {
            scope.spawn(move || {
                let mut state = nth;
                while !is_done.load(Ordering::Relaxed) {
                    read(&mut state);
                }
            });
        }
        // Also if it fails, so that the readers end.
        let written = scope.spawn(write).join();
        is_done.store(true, Ordering::Relaxed);
        written.unwrap();
    });
}

/// One element at a time is taken out and put in where it was, so whoever reads finds all others in their order.
#[test]
fn readers_see_each_moment_of_a_list_whose_middle_moves() {
    const LEN: i64 = 2000;
    let list = list();
    list.extend(&(0..LEN).map(value).collect::<Vec<_>>())
        .unwrap();
    let write = || {
        let mut state = 7;
        for _ in 0..ROUNDS {
            let index = random(&mut state, LEN);
            assert_eq!(number(&list.pop(index).unwrap()), index);
            list.insert(index, &value(index)).unwrap();
        }
    };
    let read = |state: &mut u64| {
        for _ in 0..100 {
            let index = random(state, LEN - 1);
            let found = number(&list.get(index).unwrap());
            assert!(found == index || found == index + 1, "{found} at {index}");
            let end = number(&list.get(-1).unwrap());
            assert!(end >= LEN - 2, "{end} at the end");
        }
        let all: Vec<i64> = list.to_vec().unwrap().iter().map(number).collect();
        let missing = all
            .iter()
            .zip(0..)
            .position(|(found, index)| *found != index)
            .unwrap_or(all.len());
        let is_whole = (missing as i64..LEN)
            .skip(1)
            .eq(all.iter().skip(missing).copied());
        assert!(
            is_whole || all.len() as i64 == LEN,
            "{missing} is missing, and not it alone"
        );
        let start = random(state, LEN - 600);
        let part = list
            .slice(Slice::range(Some(start), Some(start + 500)))
            .unwrap();
        assert_eq!(part.len(), 500);
        assert!(
            part.windows(2)
                .all(|pair| (1..=2).contains(&(number(&pair[1]) - number(&pair[0]))))
        );
    };
    beside(write, read);
    list.verify().unwrap();
}

/// The end moves: what is at an index is always the same, or not there.
#[test]
fn readers_see_no_element_before_it_is_appended() {
    let list = list();
    let (committed, begun) = (AtomicU64::new(0), AtomicU64::new(0));
    // Each element says at which round it was appended, and that round has begun when it is read.
    let write = || {
        let mut state = 3;
        for round in 0..ROUNDS {
            for _ in 0..random(&mut state, 4) {
                begun.store(round as u64, Ordering::SeqCst);
                list.append(&value(round)).unwrap();
                committed.store(round as u64, Ordering::SeqCst);
            }
            for _ in 0..random(&mut state, 4) {
                match list.pop(-1) {
                    Ok(value) => assert!(number(&value) <= round),
                    Err(error) => assert!(matches!(error, ListError::NoElement { .. })),
                }
            }
        }
    };
    let read = |state: &mut u64| {
        let index = random(state, 6);
        let index = if random(state, 2) == 0 {
            index
        } else {
            -1 - index
        };
        if let Ok(value) = list.get(index) {
            assert!(number(&value) <= begun.load(Ordering::SeqCst) as i64);
        }
        let all: Vec<i64> = list.to_vec().unwrap().iter().map(number).collect();
        assert!(all.is_sorted(), "{all:?}");
        assert!(
            all.last()
                .is_none_or(|last| *last <= begun.load(Ordering::SeqCst) as i64)
        );
    };
    beside(write, read);
    assert!(committed.load(Ordering::SeqCst) > 0);
    list.verify().unwrap();
}

/// What goes in comes out, once: numbers move from list to list, and their sum stays.
#[test]
fn nothing_is_lost_or_doubled_between_writers() {
    const EACH: i64 = 3;
    let (one, other) = (list(), list());
    let total = AtomicU64::new(0);
    thread::scope(|scope| {
        for nth in 0..EACH {
            let (one, other, total) = (&one, &other, &total);
            scope.spawn(move || {
                let mut state = nth as u64;
                for round in 0..ROUNDS {
                    let amount = random(&mut state, 1000);
                    total.fetch_add(amount as u64, Ordering::Relaxed);
                    match round % 5 {
                        0 => one.append(&Value::Int(amount)).unwrap(),
                        1 => one
                            .insert(random(&mut state, 40), &Value::Int(amount))
                            .unwrap(),
                        2 => other
                            .extend(&[
                                Value::Int(amount),
                                Value::from("0: a text that needs a block"),
                            ])
                            .unwrap(),
                        3 => match other.add(0, amount) {
                            Ok(_) => {}
                            Err(_) => other.insert(0, &Value::Int(amount)).unwrap(),
                        },
                        _ => match one.pop(random(&mut state, 3) - 1) {
                            Ok(Value::Int(old)) => other.append(&Value::Int(old + amount)).unwrap(),
                            _ => one.append(&Value::Int(amount)).unwrap(),
                        },
                    }
                    if round % 50 == 0 {
                        other.extend(&one.take_all().unwrap()).unwrap();
                    }
                    if round % 64 == 0 {
                        one.extend(&other.take_all().unwrap()).unwrap();
                    }
                }
            });
        }
    });
    let both = [one.to_vec().unwrap(), other.to_vec().unwrap()].concat();
    let sum: i64 = both
        .iter()
        .map(|value| if let Value::Int(n) = value { *n } else { 0 })
        .sum();
    assert_eq!(sum as u64, total.load(Ordering::Relaxed));
    one.verify().unwrap();
    other.verify().unwrap();
}

/// A lock that is held over several operations keeps others from changing the list, and nobody from reading it.
#[test]
fn what_is_done_under_the_lock_is_one_step_to_other_writers() {
    let list = list();
    list.append(&Value::Int(0)).unwrap();
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for _ in 0..ROUNDS / 10 {
                    let lock = list.lock(None).unwrap();
                    let again = list.lock(None).unwrap();
                    let Value::Int(n) = list.get(0).unwrap() else {
                        panic!("no int")
                    };
                    list.set(0, &Value::Int(n + 1)).unwrap();
                    drop(again);
                    drop(lock);
                }
            });
        }
    });
    assert_eq!(list.get(0).unwrap(), Value::Int(3 * (ROUNDS / 10)));
}
