//! Copies of whole containers beside writers that never let them be: each is of one moment, and nobody waits for it.
//!
//! The reader is interrupted after every few loads; meanwhile others change the container, in the same thread, so nothing
//! here depends on time. The log of what is overwritten is small here, so some copies are begun anew and end under the lock.
#![allow(
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "numbers of elements, far below any limit"
)]

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::mpsc::channel;
use std::time::Duration;

use onecopy::shared::WriterLock;
use onecopy::testing::{
    end_thread_after, in_thread, interrupt_after, set_patience, was_interrupted,
};
use onecopy::{Dict, List, Store, Value};

type Act<C> = fn(&C, i64);
type Content = Vec<Value>;

fn int(n: i64) -> Value {
    Value::Int(n)
}

fn long(n: i64) -> Value {
    Value::Str(format!("a text that needs a block, {n}"))
}

fn mixed(n: i64) -> Value {
    if n % 3 == 0 { long(n) } else { int(n) }
}

trait Subject: Clone + Send + Sync + 'static {
    fn made(store: &Store, size: i64) -> Self;
    /// All of it, as its long reads give it.
    fn copy(&self) -> Content;
    fn lock(&self) -> WriterLock;
    fn verify(&self);
}

impl Subject for List {
    fn made(store: &Store, size: i64) -> Self {
        let list = store.list().unwrap();
        list.extend(&(0..size).map(mixed).collect::<Vec<_>>())
            .unwrap();
        list
    }
    fn copy(&self) -> Content {
        self.to_vec().unwrap()
    }
    fn lock(&self) -> WriterLock {
        self.raw().writer_lock()
    }
    fn verify(&self) {
        List::verify(self).unwrap();
    }
}

impl Subject for Dict {
    fn made(store: &Store, size: i64) -> Self {
        let dict = store.dict().unwrap();
        for n in 0..size {
            dict.set(&mixed(n), &mixed(n + 1)).unwrap();
        }
        dict
    }
    fn copy(&self) -> Content {
        let items = self.items().unwrap().into_iter();
        items.flat_map(|item| [item.0, item.1]).collect()
    }
    fn lock(&self) -> WriterLock {
        self.raw().writer_lock()
    }
    fn verify(&self) {
        Dict::verify(self).unwrap();
    }
}

const LIST: &[Act<List>] = &[
    |list, n| list.set(n % 7, &int(-n)).unwrap(),
    |list, n| list.set(-1, &long(-n)).unwrap(),
    |list, n| list.append(&long(-n)).unwrap(),
    |list, _| drop(list.pop(0).unwrap()),
    |list, n| list.set(n * 37 % 100, &long(-n)).unwrap(),
    |list, _| drop(list.pop(-1).unwrap()),
    |list, n| list.append(&int(-n)).unwrap(),
    |list, n| list.insert(5, &long(-n)).unwrap(),
    |list, n| list.set(n * 61 % 390, &int(-n)).unwrap(),
    |list, n| list.set(n * 89 % 390, &int(-n)).unwrap(),
    |list, _| drop(list.pop(-1).unwrap()),
    |list, n| list.append(&long(-n)).unwrap(),
];

const DICT: &[Act<Dict>] = &[
    |dict, n| dict.set(&mixed(n % 7), &int(-n)).unwrap(),
    |dict, n| dict.set(&mixed(n * 37 % 100), &long(-n)).unwrap(),
    |dict, n| dict.set(&long(-n), &long(n)).unwrap(),
    |dict, n| _ = dict.delete(&mixed(n % 50)).unwrap(),
    |dict, n| dict.set(&mixed(n % 50), &mixed(n)).unwrap(),
    |dict, n| _ = dict.delete(&long(2 - n)).unwrap(),
    |dict, n| dict.set(&mixed(n * 61 % 390), &int(-n)).unwrap(),
    |dict, n| dict.set(&mixed(n * 89 % 390), &int(-n)).unwrap(),
];

/// Changes that write more words than the log holds, or move everything.
const LARGE_ON_LISTS: &[Act<List>] = &[
    |list, n| {
        list.insert(list.len().unwrap() as i64 / 2, &long(n))
            .unwrap();
    },
    |list, _| list.reverse().unwrap(),
    |list, n| {
        list.extend(&(0..600).map(|m| long(m + n)).collect::<Vec<_>>())
            .unwrap();
    },
    |list, _| list.clear().unwrap(),
    |list, n| {
        list.extend(&(0..900).map(|m| mixed(m + n)).collect::<Vec<_>>())
            .unwrap();
    },
];

const LARGE_ON_DICTS: &[Act<Dict>] = &[
    |dict, n| {
        let items: Vec<_> = (0..300).map(|m| (int(m + n), long(m))).collect();
        dict.update(&items).unwrap();
    },
    |dict, _| dict.clear().unwrap(),
    |dict, n| (0..40).for_each(|m| dict.set(&mixed(m + n), &mixed(m)).unwrap()),
];

/// What others do to a container while it is copied, and all the states that it had.
struct Others<C: 'static> {
    subject: C,
    acts: &'static [Act<C>],
    every: u64,
    done: i64,
    most: i64,
    /// Interruptions in which the reader had the lock.
    held: u64,
    states: Vec<Content>,
}

/// Interrupts the reader after its next few loads, and so on.
fn arm<C: Subject>(others: &Rc<RefCell<Others<C>>>) {
    let every = others.borrow().every;
    let later = Rc::clone(others);
    interrupt_after(every, move || {
        let (subject, act, n) = {
            let mut others = later.borrow_mut();
            if others.subject.lock().is_held().unwrap() {
                others.held += 1;
                (None, None, 0)
            } else if others.done == others.most {
                return;
            } else {
                others.done += 1;
                let act = others.acts[others.done as usize % others.acts.len()];
                (Some(others.subject.clone()), Some(act), others.done)
            }
        };
        if let (Some(subject), Some(act)) = (subject, act) {
            act(&subject, n);
            let state = subject.copy();
            later.borrow_mut().states.push(state);
        }
        arm(&later);
    });
}

/// Copies a container beside others; how often these found it locked, and what they did.
fn copy_beside<C: Subject>(
    subject: &C,
    acts: &'static [Act<C>],
    every: u64,
    most: i64,
) -> (u64, i64) {
    let others = Rc::new(RefCell::new(Others {
        subject: subject.clone(),
        acts,
        every,
        done: 0,
        most,
        held: 0,
        states: vec![subject.copy()],
    }));
    arm(&others);
    let copy = subject.copy();
    let _ = was_interrupted();
    let others = others.borrow();
    assert!(
        others.states.contains(&copy),
        "a copy of no moment, after {} changes every {every} loads",
        others.done
    );
    subject.verify();
    (others.held, others.done)
}

/// No writer finds the lock taken more often because there is more to copy.
fn nobody_waits<C: Subject>(acts: &'static [Act<C>]) {
    let store = Store::options().capacity_bytes(1 << 33).create().unwrap();
    let loads_under_lock = [400, 4_000].map(|size| {
        let (held, done) = copy_beside(&C::made(&store, size), acts, 1, 200);
        assert_eq!(done, 200, "the copy of {size} was over too early");
        held
    });
    assert!(loads_under_lock[1] < 100, "{loads_under_lock:?}");
    assert!(
        loads_under_lock[1] <= loads_under_lock[0] + 20,
        "{loads_under_lock:?}"
    );
}

#[test]
fn no_writer_of_a_list_waits_for_a_copy() {
    nobody_waits::<List>(LIST);
}

#[test]
fn no_writer_of_a_dict_waits_for_a_copy() {
    nobody_waits::<Dict>(DICT);
}

fn one_moment<C: Subject>(acts: &'static [Act<C>], large: &'static [Act<C>]) {
    let store = Store::options().capacity_bytes(1 << 33).create().unwrap();
    let mut done = 0;
    for every in [1, 2, 5, 13, 40, 170, 600] {
        done += copy_beside(&C::made(&store, 600), acts, every, 50).1;
        done += copy_beside(&C::made(&store, 600), large, every, 20).1;
    }
    assert!(done > 250, "{done} changes");
}

#[test]
fn a_copy_of_a_list_is_of_one_moment() {
    one_moment::<List>(LIST, LARGE_ON_LISTS);
}

#[test]
fn a_copy_of_a_dict_is_of_one_moment() {
    one_moment::<Dict>(DICT, LARGE_ON_DICTS);
}

/// Disturbs a reader until it has pinned the container, and does `last` soon after; the states until then.
fn when_pinned<C: Subject>(
    store: &Store,
    subject: &C,
    disturb: Act<C>,
    last: impl FnOnce() + 'static,
) -> Rc<RefCell<Vec<Content>>> {
    fn again<C: Subject>(
        (store, subject, chunks): (Store, C, u64),
        disturb: Act<C>,
        states: Rc<RefCell<Vec<Content>>>,
        last: impl FnOnce() + 'static,
    ) {
        interrupt_after(150, move || {
            if !subject.lock().is_held().unwrap() {
                // A log is a chunk.
                if store.stats().unwrap().chunks > chunks {
                    return last();
                }
                disturb(&subject, 5);
                disturb(&subject, 6);
                states.borrow_mut().push(subject.copy());
            }
            again((store, subject, chunks), disturb, states, last);
        });
    }
    (0..70).for_each(|n| disturb(subject, n));
    let states = Rc::new(RefCell::new(vec![subject.copy()]));
    let chunks = store.stats().unwrap().chunks;
    let known = (store.clone(), subject.clone(), chunks);
    again(known, disturb, Rc::clone(&states), last);
    states
}

/// Of a dying writer's stores, one in so many is the last; `CRASH_STRIDE=1`: each.
fn stride() -> usize {
    std::env::var("CRASH_STRIDE").map_or(17, |stride| stride.parse().expect("a number"))
}

fn writers_die<C: Subject>(disturb: Act<C>, acts: &[Act<C>]) {
    let store = Store::options().capacity_bytes(1 << 33).create().unwrap();
    for act in acts.iter().copied() {
        for stores in (1..).step_by(stride()) {
            let subject = C::made(&store, 520);
            let (other, is_over) = (subject.clone(), Rc::new(Cell::new(false)));
            let over = Rc::clone(&is_over);
            let states = when_pinned(&store, &subject, disturb, move || {
                over.set(in_thread(|| {
                    end_thread_after(stores);
                    act(&other, 3);
                }));
                // A successor replays, and goes on.
                disturb(&other, 77);
            });
            let copy = subject.copy();
            assert!(was_interrupted(), "the copy was over too early");
            assert!(states.borrow().contains(&copy), "after store {stores}");
            subject.verify();
            if is_over.get() {
                break;
            }
        }
    }
}

#[test]
fn a_copy_of_a_list_beside_writers_that_die() {
    writers_die::<List>(LIST[4], &[LIST[4], LIST[2], LIST[3], LIST[7]]);
}

#[test]
fn a_copy_of_a_dict_beside_writers_that_die() {
    writers_die::<Dict>(DICT[1], &[DICT[1], DICT[2], DICT[3]]);
}

#[test]
fn the_end_of_a_copy_does_not_wait_for_the_lock() {
    let store = Store::options().capacity_bytes(1 << 33).create().unwrap();
    let list = List::made(&store, 700);
    let lock = Subject::lock(&list);
    let (release, released) = channel::<()>();
    let (hold, told) = channel();
    let holder = std::thread::spawn(move || {
        told.recv().unwrap();
        lock.hold(None).unwrap();
        released.recv().unwrap();
        lock.release().unwrap();
    });
    let lock = Subject::lock(&list);
    let states = when_pinned(&store, &list, LIST[4], move || {
        hold.send(()).unwrap();
        while !lock.is_held().unwrap() {
            std::thread::yield_now();
        }
    });
    let chunks = store.stats().unwrap().chunks;
    let copy = list.copy();
    assert!(was_interrupted() && Subject::lock(&list).is_held().unwrap());
    assert!(states.borrow().contains(&copy));
    release.send(()).unwrap();
    holder.join().unwrap();
    // The log is left, and no writer minds; the next copy takes it away.
    LIST[4](&list, 3);
    assert_eq!(store.stats().unwrap().chunks, chunks + 1);
    copy_beside(&list, &LIST[4..5], 100, 100);
    assert_eq!(store.stats().unwrap().chunks, chunks);
}

#[test]
fn a_reader_that_stops_is_overtaken() {
    let store = Store::options().capacity_bytes(1 << 33).create().unwrap();
    let list = List::made(&store, 700);
    set_patience(Duration::ZERO);
    // One reader is in the middle of its copy while another begins and ends its own.
    let (first, other_store) = (list.clone(), store.clone());
    let copies = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&copies);
    let states = when_pinned(&store, &list, LIST[4], move || {
        std::thread::scope(|threads| {
            let other = threads.spawn(|| {
                let second = first.clone();
                let states = when_pinned(&other_store, &second, LIST[8], || ());
                let copy = second.copy();
                assert!(was_interrupted());
                assert!(states.borrow().contains(&copy));
                copy
            });
            seen.borrow_mut().push(other.join().unwrap());
        });
    });
    let copy = list.copy();
    assert_eq!(copies.borrow().len(), 1);
    // It was begun anew, after the other.
    assert!(!states.borrow().contains(&copy));
    assert_eq!(copy, list.copy());
    Subject::verify(&list);
}

/// What others do to a list that is pinned leaves its memory as it was, for the reader.
#[test]
fn memory_that_others_use_again_is_still_read() {
    let large = || Value::Bytes(vec![7; 16 << 10]);
    let renew: Act<List> = |list, n| {
        list.clear().unwrap();
        list.append(&int(n)).unwrap();
    };
    let insert: Act<List> = |list, n| {
        let middle = list.len().unwrap() as i64 / 2;
        (0..3).for_each(|m| list.insert(middle + m, &int(n)).unwrap());
    };
    let extend: Act<List> = |list, n| {
        list.set(-1, &int(n)).unwrap();
        (0..70).for_each(|n| list.set(0, &long(n)).unwrap());
        list.extend(&(0..90).map(long).collect::<Vec<_>>()).unwrap();
    };
    let append: Act<List> = |list, n| {
        drop(list.pop(-1).unwrap());
        list.append(&long(n)).unwrap();
    };
    for (what, act, size) in [
        ("append", append, 500),
        ("renew", renew, 20_000),
        ("insert", insert, 1_500),
        ("extend", extend, 100),
    ] {
        let store = Store::options().capacity_bytes(1 << 33).create().unwrap();
        let list = List::made(&store, size);
        list.append(&large()).unwrap();
        let other = list.clone();
        let states = when_pinned(&store, &list, LIST[0], move || act(&other, 3));
        let copy = list.copy();
        assert!(was_interrupted(), "{what}: the copy was over too early");
        assert!(states.borrow().contains(&copy), "{what}");
        Subject::verify(&list);
    }
}

#[test]
fn a_reader_that_dies_leaves_nothing_behind() {
    let store = Store::options().capacity_bytes(1 << 33).create().unwrap();
    let list = List::made(&store, 700);
    (0..70).for_each(|n| LIST[4](&list, n));
    let before = store.stats().unwrap();
    let is_over = in_thread(|| {
        let reader = list.clone();
        when_pinned(&store, &reader, LIST[4], move || {
            // SAFETY: exit(2) ends this thread alone, and nobody uses its stack any more: nothing is unwound.
            unsafe { libc::syscall(libc::SYS_exit, 0) };
        });
        drop(reader.copy());
    });
    assert!(!is_over);
    list.set(0, &int(1)).unwrap();
    let after = store.stats().unwrap();
    assert_eq!(
        (after.chunks, after.container_bytes),
        (before.chunks, before.container_bytes)
    );
    Subject::verify(&list);
    // The next one pins it again.
    let states = when_pinned(&store, &list, LIST[4], || ());
    let copy = list.copy();
    assert!(was_interrupted());
    assert!(states.borrow().contains(&copy));
}
