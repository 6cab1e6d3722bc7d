//! Readers that are interrupted after every single load from a container, and what writers do meanwhile: several whole
//! operations, or one that never gets beyond its n-th store.
//!
//! What a reader gives is what the container was at a moment while it read. Whoever reads after it sees no older state,
//! although the writer is stopped for ever. Operations of a dict look a key up before they take the lock, so they are
//! interrupted there as well: what they give and leave is what some order gives and leaves.
//!
//! `CRASH_STRIDE=k` stops a writer at every k-th load (1 = all).

use std::cell::Cell;
use std::rc::Rc;

use onecopy::shared::Slice;
use onecopy::testing::{
    end_thread_after, in_thread, interrupt_after, thread_stores_left, was_interrupted,
};
use onecopy::{Dict, List, Store, Value};

fn int(n: i64) -> Value {
    Value::Int(n)
}

fn long(n: i64) -> Value {
    Value::Str(format!("a text that needs a block, {n}"))
}

type Act<C> = fn(&C);
type Read<C> = fn(&C) -> Vec<Value>;
type Named<T> = &'static [(&'static str, T)];

/// A container, how it begins, what is done to it and how it is read.
struct Case<C: 'static> {
    make: fn(&Store) -> C,
    writers: Named<&'static [Act<C>]>,
    readers: Named<Read<C>>,
    verify: Act<C>,
}

impl<C: Clone + Send + Sync> Case<C> {
    /// What a reader gives before, between and after the operations.
    fn possible(&self, store: &Store, writer: &[Act<C>], read: Read<C>) -> Vec<Vec<Value>> {
        let container = (self.make)(store);
        let mut possible = vec![read(&container)];
        for operation in writer {
            operation(&container);
            possible.push(read(&container));
        }
        possible
    }

    /// All operations while a reader is off its processor.
    fn whole(&self) -> u64 {
        let store = Store::options().capacity_bytes(1 << 33).create().unwrap();
        let mut interrupted = 0;
        for (name, writer) in self.writers {
            for (reader, read) in self.readers {
                let possible = self.possible(&store, writer, *read);
                for load in 1.. {
                    let container = (self.make)(&store);
                    let meanwhile = container.clone();
                    interrupt_after(load, move || run(&meanwhile, writer));
                    let given = read(&container);
                    if !was_interrupted() {
                        break;
                    }
                    interrupted += 1;
                    assert!(
                        possible.contains(&given),
                        "{reader} beside {name} after load {load}: {given:?} is none of {possible:?}"
                    );
                    (self.verify)(&container);
                }
            }
        }
        assert!(interrupted > 0);
        interrupted
    }

    /// One operation that stops after its n-th store while a reader is off its processor.
    fn stopped(&self) -> u64 {
        let store = Store::options().capacity_bytes(1 << 33).create().unwrap();
        let mut interrupted = 0;
        for (name, writer) in self.writers {
            let act = writer[0];
            let ends: Vec<_> = self
                .readers
                .iter()
                .map(|reader| self.possible(&store, &writer[..1], reader.1))
                .collect();
            let ends = Ends {
                readers: self.readers,
                ends: &ends,
            };
            for store_no in 1..=stores(&(self.make)(&store), act) {
                for nth in 0..self.readers.len() {
                    for load in (1 + store_no % stride()..).step_by(stride() as usize) {
                        let container = (self.make)(&store);
                        let meanwhile = container.clone();
                        interrupt_after(load, move || stop(&meanwhile, act, store_no));
                        let given = (self.readers[nth].1)(&container);
                        if !was_interrupted() {
                            break;
                        }
                        interrupted += 1;
                        let place = format!("{name}, stopped after store {store_no}, load {load}");
                        ends.check(&container, nth, &given, &place);
                    }
                }
            }
        }
        assert!(interrupted > 0);
        interrupted
    }
}

/// What each reader gives before an operation and after it.
struct Ends<'a, C: 'static> {
    readers: Named<Read<C>>,
    ends: &'a [Vec<Vec<Value>>],
}

impl<C> Ends<'_, C> {
    /// Whether the `nth` reader has seen the operation; `None` if it cannot tell.
    fn is_seen(&self, nth: usize, given: &Vec<Value>, place: &str) -> Option<bool> {
        let ends = &self.ends[nth];
        let reader = self.readers[nth].0;
        assert!(
            ends.contains(given),
            "{place}: {reader} is {given:?}, none of {ends:?}"
        );
        (ends[0] != ends[1]).then(|| *given == ends[1])
    }

    /// Whoever reads after a reader that has seen the operation sees it, whatever they read.
    fn check(&self, container: &C, nth: usize, given: &Vec<Value>, place: &str) {
        let mut witness = (self.is_seen(nth, given, place) == Some(true)).then_some(nth);
        for (later, (reader, read)) in self.readers.iter().enumerate() {
            match self.is_seen(later, &read(container), place) {
                Some(true) => witness = Some(later),
                Some(false) => assert!(
                    witness.is_none(),
                    "{place}: {reader} does not show what this has seen: {:?}",
                    witness.map(|nth| self.readers[nth].0)
                ),
                None => {}
            }
        }
    }
}

fn run<C>(container: &C, acts: &[Act<C>]) {
    for act in acts {
        act(container);
    }
}

fn stride() -> u64 {
    std::env::var("CRASH_STRIDE").map_or(11, |text| text.parse().unwrap())
}

/// How many stores an operation does.
fn stores<C>(container: &C, act: Act<C>) -> u64 {
    const MANY: u64 = 1 << 40;
    end_thread_after(MANY);
    act(container);
    let stores = MANY - thread_stores_left();
    end_thread_after(0);
    stores
}

fn stop<C: Send + Sync>(container: &C, act: Act<C>, store_no: u64) {
    in_thread(|| {
        end_thread_after(store_no);
        act(container);
    });
}

fn given(value: Option<Value>) -> Vec<Value> {
    value.into_iter().collect()
}

const LISTS: Case<List> = Case {
    make: |store| {
        let list = store.list().unwrap();
        list.extend(&[int(1), long(2), int(3)]).unwrap();
        list
    },
    writers: &[
        (
            "an append and two sets",
            &[
                |list| list.append(&long(4)).unwrap(),
                |list| list.set(2, &long(5)).unwrap(),
                |list| list.set(2, &int(6)).unwrap(),
            ],
        ),
        (
            "sets, each of the other half",
            &[
                |list| list.set(0, &long(4)).unwrap(),
                |list| list.set(2, &long(5)).unwrap(),
                |list| list.set(0, &int(6)).unwrap(),
            ],
        ),
        (
            "pops and appends",
            &[
                |list| drop(list.pop(-1).unwrap()),
                |list| drop(list.pop(-1).unwrap()),
                |list| list.append(&int(4)).unwrap(),
                |list| list.append(&int(5)).unwrap(),
            ],
        ),
        (
            "insertions and deletions",
            &[
                |list| list.insert(0, &int(4)).unwrap(),
                |list| drop(list.pop(1).unwrap()),
                |list| list.insert(1, &long(5)).unwrap(),
            ],
        ),
        (
            "a deletion and an extension",
            &[
                |list| list.delete_slice(Slice::range(Some(0), Some(2))).unwrap(),
                |list| list.extend(&[int(4), long(5)]).unwrap(),
            ],
        ),
        (
            "an extension and a reversal",
            &[
                |list| list.extend(&[int(4), long(5)]).unwrap(),
                |list| list.reverse().unwrap(),
            ],
        ),
        ("a clear", &[|list| list.clear().unwrap()]),
    ],
    readers: &[
        ("the first", |list| given(list.get(0).ok())),
        ("the third", |list| given(list.get(2).ok())),
        ("the last", |list| given(list.get(-1).ok())),
        ("the last but one", |list| given(list.get(-2).ok())),
        ("the length", |list| {
            vec![int(i64::try_from(list.len().unwrap()).unwrap())]
        }),
        ("a copy", |list| list.to_vec().unwrap()),
        ("the end", |list| {
            list.slice(Slice::range(Some(-2), None)).unwrap()
        }),
    ],
    verify: |list| list.verify().unwrap(),
};

const DICTS: Case<Dict> = Case {
    make: |store| {
        let dict = store.dict().unwrap();
        dict.set(&int(1), &int(1)).unwrap();
        dict.set(&long(2), &long(2)).unwrap();
        dict
    },
    writers: &[
        (
            "sets of both keys",
            &[
                |dict| dict.set(&int(1), &long(3)).unwrap(),
                |dict| dict.set(&long(2), &int(4)).unwrap(),
                |dict| dict.set(&int(1), &int(5)).unwrap(),
            ],
        ),
        (
            "a deletion and insertions",
            &[
                |dict| {
                    dict.delete(&int(1)).unwrap();
                },
                |dict| dict.set(&int(3), &long(3)).unwrap(),
                |dict| dict.set(&int(1), &int(5)).unwrap(),
            ],
        ),
        (
            "an insertion and deletions",
            &[
                |dict| dict.set(&long(3), &long(3)).unwrap(),
                |dict| drop(dict.pop(&int(1)).unwrap()),
                |dict| drop(dict.pop(&long(2)).unwrap()),
            ],
        ),
        (
            "an addition and a move",
            &[
                |dict| drop(dict.add(&int(1), &int(10))),
                |dict| {
                    dict.move_to_end(&int(1)).unwrap();
                },
            ],
        ),
        (
            "an update of three",
            &[|dict| {
                let items = [int(1), int(3), long(4)].map(|key| (key, long(9)));
                dict.update(&items).unwrap();
            }],
        ),
        ("a clear", &[|dict| dict.clear().unwrap()]),
    ],
    readers: &[
        ("one key", |dict| given(dict.get(&int(1)).unwrap())),
        ("the other key", |dict| given(dict.get(&long(2)).unwrap())),
        ("a key that may come", |dict| {
            given(dict.get(&int(3)).unwrap())
        }),
        ("whether a key is there", |dict| {
            vec![Value::Bool(dict.contains(&int(1)).unwrap())]
        }),
        ("the length", |dict| {
            vec![int(i64::try_from(dict.len().unwrap()).unwrap())]
        }),
        ("the keys", |dict| dict.keys().unwrap()),
        ("the items", items),
    ],
    verify: |dict| dict.verify().unwrap(),
};

/// Operations and what they give.
const CHANGES: Named<Read<Dict>> = &[
    ("set", |dict| {
        dict.set(&int(1), &long(7)).unwrap();
        Vec::new()
    }),
    ("set a new key", |dict| {
        dict.set(&int(3), &long(7)).unwrap();
        Vec::new()
    }),
    ("set what is not there", |dict| {
        given(dict.set_default(&int(3), &int(7)).unwrap())
    }),
    ("set what is there", |dict| {
        given(dict.set_default(&int(1), &int(7)).unwrap())
    }),
    ("pop", |dict| given(dict.pop(&int(1)).unwrap())),
    ("delete", |dict| {
        vec![Value::Bool(dict.delete(&long(2)).unwrap())]
    }),
    ("add", |dict| given(dict.add(&int(1), &int(100)).ok())),
    ("add to a new key", |dict| {
        given(dict.add(&int(3), &int(100)).ok())
    }),
    ("exchange", |dict| {
        vec![Value::Bool(
            dict.compare_exchange(&int(1), &int(1), &int(7)).unwrap(),
        )]
    }),
    ("move", |dict| {
        vec![Value::Bool(dict.move_to_end(&int(1)).unwrap())]
    }),
];

fn items(dict: &Dict) -> Vec<Value> {
    let items = dict.items().unwrap().into_iter();
    items.flat_map(|item| [item.0, item.1]).collect()
}

/// What an operation gives, and the dict afterwards, if it comes after so many of the others.
fn between(
    store: &Store,
    others: &[Act<Dict>],
    after: usize,
    change: Read<Dict>,
) -> (Vec<Value>, Vec<Value>) {
    let dict = (DICTS.make)(store);
    let (first, then) = others.split_at(after);
    run(&dict, first);
    let given = change(&dict);
    run(&dict, then);
    (given, items(&dict))
}

#[test]
fn operations_of_dicts_beside_others() {
    let store = Store::options().capacity_bytes(1 << 33).create().unwrap();
    let mut interrupted = 0;
    for (name, others) in DICTS.writers {
        for (what, change) in CHANGES {
            let possible: Vec<_> = (0..=others.len())
                .map(|after| between(&store, others, after, *change))
                .collect();
            for load in 1.. {
                let dict = (DICTS.make)(&store);
                let (meanwhile, is_over) = (dict.clone(), Rc::new(Cell::new(false)));
                let is_held = Rc::clone(&is_over);
                interrupt_after(load, move || {
                    is_held.set(meanwhile.raw().writer_lock().is_held().unwrap());
                    if !is_held.get() {
                        run(&meanwhile, others);
                    }
                });
                let given = change(&dict);
                if !was_interrupted() || is_over.get() {
                    break;
                }
                interrupted += 1;
                let result = (given, items(&dict));
                assert!(
                    possible.contains(&result),
                    "{what} beside {name} after load {load}: {result:?} is none of {possible:?}"
                );
                dict.verify().unwrap();
            }
        }
    }
    assert!(interrupted > 0);
    println!("{interrupted} interrupted operations");
}

#[test]
fn lists_beside_whole_operations() {
    println!("{} interrupted readers", LISTS.whole());
}

#[test]
fn lists_beside_stopped_writers() {
    println!("{} interrupted readers", LISTS.stopped());
}

#[test]
fn dicts_beside_whole_operations() {
    println!("{} interrupted readers", DICTS.whole());
}

#[test]
fn dicts_beside_stopped_writers() {
    println!("{} interrupted readers", DICTS.stopped());
}

#[test]
fn a_read_that_is_begun_anew_is_counted() {
    let store = Store::options().capacity_bytes(1 << 33).create().unwrap();
    let list = (LISTS.make)(&store);
    let meanwhile = list.clone();
    let before = onecopy::shared::retries();
    // After the counter and the length, before the element.
    interrupt_after(2, move || meanwhile.insert(0, &int(-1)).unwrap());
    drop(list.get(1).unwrap());
    assert!(was_interrupted());
    assert!(onecopy::shared::retries() > before);
}
