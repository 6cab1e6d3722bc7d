//! Every operation of a list, its thread ended after every single store to the container; and whoever takes the list over
//! ended after every single store of that.
//!
//! Afterwards the list is as before the operation or as after it, all that is read before anybody has repaired it agrees,
//! also an iterator that has read ahead before the operation, and every block of its heap is in exactly one place (`List::verify`).
//!
//! `CRASH_STRIDE=k` takes every k-th store of the second one (1 = all, and all of the operations that store thousands).
#![allow(
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "numbers of elements, far below any limit"
)]

use onecopy::shared::{Iter, Slice};
use onecopy::testing::{end_thread_after, in_thread, thread_stores_left};
use onecopy::{List, Store, Value};

type Step = fn(&List);

fn int(n: i64) -> Value {
    Value::Int(n)
}

fn long(n: i64) -> Value {
    Value::Str(format!("a text that needs a block, {n}"))
}

fn mixed(count: i64) -> Vec<Value> {
    (0..count)
        .map(|n| if n % 3 == 0 { long(n) } else { int(n) })
        .collect()
}

fn range(start: i64, stop: i64) -> Slice {
    Slice::range(Some(start), Some(stop))
}

const OPERATIONS: &[(&str, Step)] = &[
    ("append a word", |list| list.append(&int(7)).unwrap()),
    ("append a blob", |list| list.append(&long(7)).unwrap()),
    ("set a word", |list| drop(list.set(0, &int(7)))),
    ("set a blob", |list| drop(list.set(0, &long(7)))),
    ("set the last", |list| drop(list.set(-1, &long(7)))),
    ("pop the last", |list| drop(list.pop(-1))),
    ("pop the first", |list| drop(list.pop(0))),
    ("pop from the middle", |list| {
        drop(list.pop(list.len().unwrap() as i64 / 2));
    }),
    ("insert in front", |list| list.insert(0, &long(7)).unwrap()),
    ("insert a word in the middle", |list| {
        list.insert(list.len().unwrap() as i64 / 2, &int(7))
            .unwrap();
    }),
    ("insert a blob behind the first", |list| {
        list.insert(1, &long(7)).unwrap();
    }),
    ("extend by words", |list| {
        list.extend(&[int(1), int(2), int(3)]).unwrap();
    }),
    ("extend by blobs", |list| list.extend(&mixed(20)).unwrap()),
    ("replace a slice by more", |list| {
        list.set_slice(range(1, 3), &mixed(7)).unwrap();
    }),
    ("replace a slice by less", |list| {
        list.set_slice(range(1, 9), &mixed(2)).unwrap();
    }),
    ("delete a slice", |list| {
        list.delete_slice(range(2, 7)).unwrap();
    }),
    ("delete every third", |list| {
        list.delete_slice(Slice {
            start: None,
            stop: None,
            step: 3,
        })
        .unwrap();
    }),
    ("replace every second", |list| {
        let slice = Slice {
            start: None,
            stop: Some(8),
            step: 2,
        };
        let count = list.slice(slice).unwrap().len();
        list.set_slice(slice, &vec![long(7); count]).unwrap();
    }),
    ("reverse", |list| list.reverse().unwrap()),
    ("replace all", |list| list.replace(&mixed(5)).unwrap()),
    ("replace all by many", |list| {
        list.replace(&mixed(600)).unwrap();
    }),
    ("clear", |list| list.clear().unwrap()),
    ("take all", |list| drop(list.take_all().unwrap())),
    ("add", |list| drop(list.add(-1, 5))),
    ("exchange", |list| {
        if let Ok(old) = list.get(0) {
            assert!(list.compare_exchange(0, &old, &long(8)).unwrap());
        }
    }),
    ("remove", |list| assert!(list.remove(&int(4)).is_ok())),
];

fn stride() -> u64 {
    std::env::var("CRASH_STRIDE").map_or(11, |text| text.parse().unwrap())
}

fn made(store: &Store, prepare: Step) -> List {
    let list = store.list().unwrap();
    prepare(&list);
    list
}

/// What is read one by one, past a change that nobody finishes.
fn read_past(list: &List) -> Vec<Value> {
    (0..list.len().unwrap() as i64)
        .map(|index| list.get(index).unwrap())
        .collect()
}

fn check(list: &List, ahead: Iter<'_>, ends: [&[Value]; 2], place: &str) {
    let read = read_past(list);
    let at_the_end = list.get(-1).ok();
    assert_eq!(
        read.last(),
        at_the_end.as_ref(),
        "{place}: the last element"
    );
    let rest: Vec<Value> = ahead.map(Result::unwrap).collect();
    let given = usize::from(!ends[0].is_empty());
    assert_eq!(
        read.get(given..).unwrap_or(&[]),
        rest,
        "{place}: what an iterator had read ahead"
    );
    let all = list.to_vec().unwrap();
    assert!(
        ends.contains(&all.as_slice()),
        "{place}: neither before nor after: {all:?}"
    );
    assert_eq!(read, all, "{place}: what was read one by one");
    list.verify()
        .unwrap_or_else(|error| panic!("{place}: {error}"));
    // What nobody has seen yet may happen with the repair; what was seen stays.
    let repaired = list.to_vec().unwrap();
    assert!(
        repaired == all || repaired == ends[1],
        "{place}: {all:?} before the repair, {repaired:?} after it"
    );
    list.append(&long(9)).unwrap();
    list.insert(0, &long(10)).unwrap();
    assert_eq!(list.pop(-1).unwrap(), long(9), "{place}");
    assert_eq!(list.pop(0).unwrap(), long(10), "{place}");
    list.verify()
        .unwrap_or_else(|error| panic!("{place}: {error}"));
    list.clear().unwrap();
    list.verify()
        .unwrap_or_else(|error| panic!("{place}: {error}"));
}

/// An iterator that has read ahead, and given one element.
fn ahead(list: &List) -> Iter<'_> {
    let mut iter = list.iter();
    drop(iter.next());
    iter
}

/// Ends the operation after its n-th store; whether it got that far.
fn abandon(list: &List, operation: Step, n: u64) -> bool {
    !in_thread(|| {
        end_thread_after(n);
        operation(list);
    })
}

/// How many stores an operation does.
fn stores(list: &List, operation: Step) -> u64 {
    const MANY: u64 = 1 << 40;
    end_thread_after(MANY);
    operation(list);
    let stores = MANY - thread_stores_left();
    end_thread_after(0);
    stores
}

/// All of the stores; in a list whose making takes long, all near the ends, where changes begin and are committed, and some
/// of the many between, which only differ in their place.
fn places(stores: u64, is_long: bool) -> impl Iterator<Item = u64> {
    let (near, some) = if is_long && stride() > 1 {
        (12, 20)
    } else {
        (60, 100)
    };
    let every = if stride() == 1 { 1 } else { stores / some + 1 };
    (1..=stores).filter(move |n| *n <= near || stores - n < near || n.is_multiple_of(every))
}

/// Stores after which a successor ends: the farther, the fewer, and others for each store that it takes over from.
fn successor_places(n: u64, is_long: bool) -> impl Iterator<Item = u64> {
    let stride = if is_long && stride() > 1 {
        7 * stride()
    } else {
        stride()
    };
    let next = move |m: &u64| Some(m + stride + if stride == 1 { 0 } else { m / 2 });
    std::iter::successors(Some(1 + n % stride), next)
}

fn run(state: (&str, Step), operation: (&str, Step)) -> (u64, u64) {
    let store = Store::options().capacity_bytes(1 << 33).create().unwrap();
    let before = made(&store, state.1).to_vec().unwrap();
    let list = made(&store, state.1);
    (operation.1)(&list);
    let after = list.to_vec().unwrap();
    let ends = [before.as_slice(), after.as_slice()];
    let (mut ended, mut taken_over) = (0, 0);
    let stores = stores(&made(&store, state.1), operation.1);
    // Most of many stores are those of one loop, which differ in their place alone.
    let is_long = before.len() > 100 || stores > 1000;
    for n in places(stores, is_long) {
        let place = format!("{} in {}, after store {n}", operation.0, state.0);
        let list = made(&store, state.1);
        let iter = ahead(&list);
        assert!(abandon(&list, operation.1, n), "{place}");
        ended += 1;
        check(&list, iter, ends, &place);
        for m in successor_places(n, is_long) {
            let list = made(&store, state.1);
            let iter = ahead(&list);
            assert!(abandon(&list, operation.1, n), "{place}");
            if !abandon(&list, |list| list.verify().unwrap(), m) {
                break;
            }
            taken_over += 1;
            check(
                &list,
                iter,
                ends,
                &format!("{place}, taken over until store {m}"),
            );
        }
    }
    (ended, taken_over)
}

/// Ends all operations whose names begin so.
fn run_all(state: (&str, Step), which: &str) {
    let (mut ended, mut taken_over) = (0, 0);
    for operation in OPERATIONS
        .iter()
        .filter(|operation| operation.0.starts_with(which))
    {
        let counts = run(state, *operation);
        ended += counts.0;
        taken_over += counts.1;
    }
    println!(
        "{}: {ended} abandoned operations, {taken_over} abandoned successors",
        state.0
    );
}

macro_rules! states {
    ($($name:ident $which:literal: $prepare:expr;)*) => {
        $(#[test]
        fn $name() {
            run_all((stringify!($name), $prepare), $which);
        })*
    };
}

states! {
    empty "": |_| {};
    one "": |list| list.append(&long(0)).unwrap();
    nine "": |list| list.extend(&mixed(9)).unwrap();
    a_page "": |list| list.extend(&mixed(512)).unwrap();
    turned_pages "": |list| {
        list.extend(&mixed(1023)).unwrap();
        for n in 0..5 {
            list.insert(200 * n, &int(n)).unwrap();
            list.pop(0).unwrap();
        }
        list.append(&int(1)).unwrap();
    };
    a_full_limbo "": |list| {
        list.extend(&mixed(4)).unwrap();
        for n in 0..61 {
            list.set(0, &long(n)).unwrap();
        }
    };
    a_full_directory "append": |list| {
        list.extend(&vec![int(5); 14 * 512]).unwrap();
    };
}
