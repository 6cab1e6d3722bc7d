//! What several threads see of a list or a dict at the same time is what they could have seen if each operation had
//! happened at one moment between its beginning and its end.
//!
//! Threads do a few operations each and note when each began and ended. A search (Wing and Gong, 1993) then looks for an
//! order that keeps to these times and gives a plain model the same results.
//!
//! `HISTORIES=n` records more of them.
#![allow(
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "numbers of elements, far below any limit"
)]

use std::collections::HashSet;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use onecopy::shared::{End, Slice};
use onecopy::{Dict, List, Store, Value};

const THREADS: u64 = 3;
const OPERATIONS: u64 = 6;

fn histories() -> u64 {
    let default = if cfg!(debug_assertions) {
        2_000
    } else {
        20_000
    };
    std::env::var("HISTORIES").map_or(default, |text| text.parse().unwrap())
}

/// What an operation gave: numbers, in an order; nothing at all if there was no such element.
type Given = Option<Vec<i64>>;

/// What can be done to a container, and to the model of it.
trait Operation: Copy + Debug + Send + Sync {
    type Real: Sync;
    type Model: Clone + Debug + Eq + Hash;

    fn any(random: &mut u64) -> Self;
    fn run(self, real: &Self::Real) -> Given;
    fn apply(self, model: &mut Self::Model) -> Given;
}

#[derive(Debug, Clone)]
struct Event<O> {
    operation: O,
    given: Given,
    began: u64,
    ended: u64,
}

fn below(random: &mut u64, most: i64) -> i64 {
    *random = random
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    ((*random >> 33) % most as u64) as i64
}

/// Odd numbers need a block.
fn value(n: i64) -> Value {
    if n % 2 == 0 {
        Value::Int(n)
    } else {
        Value::Str(format!("{n}: a text that needs a block"))
    }
}

fn number(value: &Value) -> i64 {
    match value {
        Value::Int(n) => *n,
        Value::Str(text) => text.split(':').next().unwrap().parse().unwrap(),
        other => panic!("{other:?} was never written"),
    }
}

/// Lets threads do what chance wants, at the same time.
fn record<O: Operation>(real: &O::Real, seed: u64) -> Vec<Event<O>> {
    let (clock, barrier) = (AtomicU64::new(0), Barrier::new(THREADS as usize));
    let live = |thread: u64| {
        let mut random = seed.wrapping_mul(THREADS).wrapping_add(thread);
        below(&mut random, 2);
        let operations: Vec<O> = (0..OPERATIONS).map(|_| O::any(&mut random)).collect();
        barrier.wait();
        let events = operations.into_iter().map(|operation| {
            for _ in 0..below(&mut random, 40) {
                std::hint::spin_loop();
            }
            let began = clock.fetch_add(1, Ordering::SeqCst);
            let given = operation.run(real);
            let ended = clock.fetch_add(1, Ordering::SeqCst);
            Event {
                operation,
                given,
                began,
                ended,
            }
        });
        events.collect::<Vec<_>>()
    };
    thread::scope(|scope| {
        let live = &live;
        let threads: Vec<_> = (0..THREADS)
            .map(|nth| scope.spawn(move || live(nth)))
            .collect();
        let events = threads.into_iter().map(|thread| thread.join().unwrap());
        events.flatten().collect()
    })
}

/// Whether the events that are not in `done` yet can have happened to the model in some order.
fn is_possible<O: Operation>(
    events: &[Event<O>],
    done: u64,
    model: &O::Model,
    failed: &mut HashSet<(u64, O::Model)>,
) -> bool {
    let left = || (0..events.len()).filter(|nth| done >> nth & 1 == 0);
    let Some(first_end) = left().map(|nth| events[nth].ended).min() else {
        return true;
    };
    if failed.contains(&(done, model.clone())) {
        return false;
    }
    for nth in left() {
        let event = &events[nth];
        let mut next = model.clone();
        // Whatever began after another one's end came after it.
        if event.began < first_end
            && event.operation.apply(&mut next) == event.given
            && is_possible(events, done | 1 << nth, &next, failed)
        {
            return true;
        }
    }
    failed.insert((done, model.clone()));
    false
}

fn check<O: Operation>(make: impl Fn() -> O::Real, start: impl Fn(&O::Real) -> O::Model) {
    let mut overlaps = 0u64;
    for seed in 0..histories() {
        let real = make();
        let model = start(&real);
        let mut events = record::<O>(&real, seed);
        events.sort_by_key(|event| event.began);
        overlaps += events
            .windows(2)
            .filter(|pair| pair[1].began < pair[0].ended)
            .count() as u64;
        assert!(
            is_possible(&events, 0, &model, &mut HashSet::new()),
            "seed {seed}: no order of these events gives {model:?} these results: {events:#?}"
        );
    }
    println!("{overlaps} pairs of operations at the same time");
}

#[test]
fn the_search_finds_what_is_impossible() {
    let event = |operation, given: Option<i64>, began, ended| Event {
        operation,
        given: Some(given.into_iter().collect()),
        began,
        ended,
    };
    let new_then_old = [
        event(OfList::Set(0, 2), None, 0, 5),
        event(OfList::Get(0), Some(2), 1, 2),
        event(OfList::Get(0), Some(1), 3, 4),
    ];
    assert!(!is_possible(
        &new_then_old,
        0,
        &vec![1],
        &mut HashSet::new()
    ));
    let mut old_then_new = new_then_old;
    (old_then_new[1].given, old_then_new[2].given) = (Some(vec![1]), Some(vec![2]));
    assert!(is_possible(&old_then_new, 0, &vec![1], &mut HashSet::new()));
}

#[derive(Debug, Clone, Copy)]
enum OfList {
    Append(i64),
    Extend(i64),
    Insert(i64, i64),
    Set(i64, i64),
    Get(i64),
    Pop(i64),
    Tail,
    All,
    Len,
    Reverse,
}

fn place(index: i64, len: usize) -> Option<usize> {
    let index = if index < 0 { index + len as i64 } else { index };
    usize::try_from(index).ok().filter(|index| *index < len)
}

fn numbers(values: &[Value]) -> Vec<i64> {
    values.iter().map(number).collect()
}

impl Operation for OfList {
    type Real = List;
    type Model = Vec<i64>;

    fn any(random: &mut u64) -> Self {
        let (n, index) = (below(random, 1000), below(random, 5) - 2);
        match below(random, 20) {
            0..3 => Self::Append(n),
            3 => Self::Extend(n),
            4 => Self::Insert(index.abs(), n),
            5..8 => Self::Set(index, n),
            8..12 => Self::Get(index),
            12..15 => Self::Pop(index),
            15 => Self::Tail,
            16..18 => Self::All,
            18 => Self::Len,
            _ => Self::Reverse,
        }
    }

    fn run(self, list: &List) -> Given {
        let nothing = Some(Vec::new());
        match self {
            Self::Append(n) => list.append(&value(n)).unwrap(),
            Self::Extend(n) => list.extend(&[value(n), value(n + 1)]).unwrap(),
            Self::Insert(index, n) => list.insert(index, &value(n)).unwrap(),
            Self::Set(index, n) => return list.set(index, &value(n)).ok().and(nothing),
            Self::Get(index) => return Some(vec![number(&list.get(index).ok()?)]),
            Self::Pop(index) => return Some(vec![number(&list.pop(index).ok()?)]),
            Self::Tail => {
                return Some(numbers(&list.slice(Slice::range(Some(-2), None)).unwrap()));
            }
            Self::All => return Some(numbers(&list.to_vec().unwrap())),
            Self::Len => return Some(vec![list.len().unwrap() as i64]),
            Self::Reverse => list.reverse().unwrap(),
        }
        nothing
    }

    fn apply(self, list: &mut Vec<i64>) -> Given {
        let nothing = Some(Vec::new());
        match self {
            Self::Append(n) => list.push(n),
            Self::Extend(n) => list.extend([n, n + 1]),
            Self::Insert(index, n) => list.insert(list.len().min(index as usize), n),
            Self::Set(index, n) => {
                let place = place(index, list.len())?;
                list[place] = n;
            }
            Self::Get(index) => return Some(vec![list[place(index, list.len())?]]),
            Self::Pop(index) => return Some(vec![list.remove(place(index, list.len())?)]),
            Self::Tail => return Some(list[list.len().saturating_sub(2)..].to_vec()),
            Self::All => return Some(list.clone()),
            Self::Len => return Some(vec![list.len() as i64]),
            Self::Reverse => list.reverse(),
        }
        nothing
    }
}

#[test]
fn lists() {
    let store = Store::options().capacity_bytes(1 << 33).create().unwrap();
    let make = || {
        let list = store.list().unwrap();
        list.extend(&[value(1), value(2)]).unwrap();
        list
    };
    check::<OfList>(make, |list| numbers(&list.to_vec().unwrap()));
}

#[derive(Debug, Clone, Copy)]
enum OfDict {
    Set(i64, i64),
    SetDefault(i64, i64),
    Update(i64, i64),
    Get(i64),
    Contains(i64),
    Pop(i64),
    PopLast,
    Add(i64, i64),
    MoveToEnd(i64),
    Items,
    Len,
}

/// The key of a sum.
const SUM: i64 = 100;

impl Operation for OfDict {
    type Real = Dict;
    type Model = Vec<(i64, i64)>;

    fn any(random: &mut u64) -> Self {
        let (n, key) = (below(random, 1000), below(random, 4));
        match below(random, 20) {
            0..4 => Self::Set(key, n),
            4 => Self::SetDefault(key, n),
            5 => Self::Update(key, n),
            6..9 => Self::Get(key),
            9 => Self::Contains(key),
            10..13 => Self::Pop(key),
            13 => Self::PopLast,
            14..16 => Self::Add(SUM + key % 2, 2 * n),
            16 => Self::MoveToEnd(key),
            17..19 => Self::Items,
            _ => Self::Len,
        }
    }

    fn run(self, dict: &Dict) -> Given {
        let given = |value: Option<Value>| Some(vec![number(&value?)]);
        match self {
            Self::Set(key, n) => dict.set(&value(key), &value(n)).unwrap(),
            Self::SetDefault(key, n) => {
                return given(dict.set_default(&value(key), &value(n)).unwrap());
            }
            Self::Update(key, n) => {
                let item = |key| (value(key), value(n));
                dict.update(&[item(key), item(key + 1)]).unwrap();
            }
            Self::Get(key) => return given(dict.get(&value(key)).unwrap()),
            Self::Contains(key) => {
                return Some(vec![i64::from(dict.contains(&value(key)).unwrap())]);
            }
            Self::Pop(key) => return given(dict.pop(&value(key)).unwrap()),
            Self::PopLast => {
                let (key, value) = dict.pop_item(End::Last).unwrap()?;
                return Some(numbers(&[key, value]));
            }
            Self::Add(key, n) => return given(dict.add(&value(key), &Value::Int(n)).ok()),
            Self::MoveToEnd(key) => {
                return Some(vec![i64::from(dict.move_to_end(&value(key)).unwrap())]);
            }
            Self::Items => {
                let items = dict.items().unwrap().into_iter();
                let items: Vec<_> = items.flat_map(|item| [item.0, item.1]).collect();
                return Some(numbers(&items));
            }
            Self::Len => return Some(vec![dict.len().unwrap() as i64]),
        }
        Some(Vec::new())
    }

    fn apply(self, dict: &mut Vec<(i64, i64)>) -> Given {
        let find = |dict: &[(i64, i64)], key| dict.iter().position(|item| item.0 == key);
        let set = |dict: &mut Vec<(i64, i64)>, key, n| match find(dict, key) {
            Some(at) => dict[at].1 = n,
            None => dict.push((key, n)),
        };
        match self {
            Self::Set(key, n) => set(dict, key, n),
            Self::SetDefault(key, n) => {
                let found = find(dict, key).map(|at| vec![dict[at].1]);
                if found.is_none() {
                    dict.push((key, n));
                }
                return found;
            }
            Self::Update(key, n) => [key, key + 1].into_iter().for_each(|key| set(dict, key, n)),
            Self::Get(key) => return Some(vec![dict[find(dict, key)?].1]),
            Self::Contains(key) => return Some(vec![i64::from(find(dict, key).is_some())]),
            Self::Pop(key) => return Some(vec![dict.remove(find(dict, key)?).1]),
            Self::PopLast => {
                let (key, n) = dict.pop()?;
                return Some(vec![key, n]);
            }
            Self::Add(key, n) => {
                let sum = find(dict, key).map_or(0, |at| dict[at].1) + n;
                set(dict, key, sum);
                return Some(vec![sum]);
            }
            Self::MoveToEnd(key) => {
                let found = find(dict, key);
                if let Some(at) = found {
                    let item = dict.remove(at);
                    dict.push(item);
                }
                return Some(vec![i64::from(found.is_some())]);
            }
            Self::Items => return Some(dict.iter().flat_map(|item| [item.0, item.1]).collect()),
            Self::Len => return Some(vec![dict.len() as i64]),
        }
        Some(Vec::new())
    }
}

#[test]
fn dicts() {
    let store = Store::options().capacity_bytes(1 << 33).create().unwrap();
    let make = || {
        let dict = store.dict().unwrap();
        dict.set(&value(0), &value(1)).unwrap();
        dict
    };
    check::<OfDict>(make, |_| vec![(0, 1)]);
}
