//! Lists and dicts whose writer is stopped by SIGSTOP after every single store of an operation, and then killed.
//!
//! While it stands there, this process reads in every way: each read gives the container as it was before the operation or
//! as it is after it, all of them the same one, and none waits for the lock (whoever did would fail at once). When the
//! writer has been killed as well, a successor finds what the readers saw, or the operation done, and goes on.
//!
//! Of operations that store much it takes all stores near both ends, and some of those between (`CRASH_STRIDE=1`: all).
#![allow(
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "numbers of elements, far below any limit"
)]

use std::fmt::Debug;
use std::process::ExitCode;
use std::time::Duration;

use onecopy::shared::{End, Slice};
use onecopy::testing::{end_thread_after, set_patience, stop_process_after, thread_stores_left};
use onecopy::{Dict, List, Store, Value};

type Operation<C> = (&'static str, fn(&C));
/// How many elements, and how often one of them was replaced: until the limbo is full.
type State = (i64, i64);
type Items = Vec<(Value, Value)>;

fn int(n: i64) -> Value {
    Value::Int(n)
}

fn long(n: i64) -> Value {
    Value::Str(format!("a text that needs a block, {n}"))
}

fn mixed(n: i64) -> Value {
    if n % 3 == 0 { long(n) } else { int(n) }
}

/// A container as this test uses it.
trait Subject: Sized {
    type Content: Clone + PartialEq + Debug;
    fn made(store: &Store, state: State) -> Self;
    fn content(&self) -> Self::Content;
    /// What every way of reading says, of a container that is one of `ends`.
    fn read(&self, ends: [&Self::Content; 2]) -> Vec<(&'static str, Self::Content)>;
    fn verify(&self);
    /// Uses the container as a successor does, and leaves it as it was.
    fn use_it(&self);
}

impl Subject for List {
    type Content = Vec<Value>;

    fn made(store: &Store, (size, replaced): State) -> Self {
        let list = store.list().unwrap();
        list.extend(&(0..size).map(mixed).collect::<Vec<_>>())
            .unwrap();
        // Pages that begin in their middle.
        for n in 0..5.min(size) {
            list.insert(size / 2 + n, &mixed(n)).unwrap();
            list.pop(0).unwrap();
        }
        (0..replaced).for_each(|n| list.set(0, &long(n)).unwrap());
        list
    }

    fn content(&self) -> Vec<Value> {
        self.to_vec().unwrap()
    }

    fn read(&self, ends: [&Vec<Value>; 2]) -> Vec<(&'static str, Vec<Value>)> {
        let len = self.len().unwrap() as i64;
        let from_end = (1..=len).rev().map(|back| self.get(-back).unwrap());
        // Searches: which of the two it is follows from what only one of them has.
        let known = |value: &Value| {
            let is_there = self.contains(value).unwrap();
            assert_eq!(is_there, self.position(value).unwrap().is_some());
            is_there
        };
        let only = |one: &Vec<Value>, other: &Vec<Value>| {
            one.iter().find(|value| !other.contains(value)).map(&known)
        };
        let (old, new) = (only(ends[0], ends[1]), only(ends[1], ends[0]));
        let mut reads = vec![
            ("get", (0..len).map(|n| self.get(n).unwrap()).collect()),
            ("get from the end", from_end.collect()),
            ("to_vec", self.to_vec().unwrap()),
            ("slice", self.slice(Slice::range(None, None)).unwrap()),
            ("iter", self.iter().map(Result::unwrap).collect()),
        ];
        reads.extend(old.map(|is_there| ("contains", ends[usize::from(!is_there)].clone())));
        reads.extend(new.map(|is_there| ("contains", ends[usize::from(is_there)].clone())));
        reads
    }

    fn verify(&self) {
        List::verify(self).unwrap();
    }

    fn use_it(&self) {
        self.append(&long(-1)).unwrap();
        self.insert(0, &long(-2)).unwrap();
        assert_eq!(self.pop(-1).unwrap(), long(-1));
        assert_eq!(self.pop(0).unwrap(), long(-2));
    }
}

impl Subject for Dict {
    type Content = Items;

    fn made(store: &Store, (size, replaced): State) -> Self {
        let dict = store.dict().unwrap();
        for n in 0..size {
            dict.set(&key(n), &mixed(n + 1)).unwrap();
        }
        (0..replaced).for_each(|n| dict.set(&key(0), &long(n)).unwrap());
        dict
    }

    fn content(&self) -> Items {
        self.items().unwrap()
    }

    fn read(&self, ends: [&Items; 2]) -> Vec<(&'static str, Items)> {
        let keys = |items: &Items| items.iter().map(|item| item.0.clone()).collect::<Vec<_>>();
        let (keys_before, keys_after) = (keys(ends[0]), keys(ends[1]));
        // By key, in the order of the end that has as many: what was found is compared as a whole.
        let all = if keys_after.len() > keys_before.len() {
            &keys_after
        } else {
            &keys_before
        };
        let by_key = |key: &Value| {
            let value = self.get(key).unwrap();
            assert_eq!(self.contains(key).unwrap(), value.is_some());
            Some((key.clone(), value?))
        };
        let items = self.items().unwrap();
        let values = self.values().unwrap();
        assert_eq!(items.len() as u64, self.len().unwrap());
        let mut reads = vec![
            ("get", all.iter().filter_map(by_key).collect()),
            ("items", items),
            (
                "keys and values",
                self.keys().unwrap().into_iter().zip(values).collect(),
            ),
            (
                "picture",
                self.picture().unwrap().map(Result::unwrap).collect(),
            ),
        ];
        if ends[0].len() != ends[1].len() {
            let is_new = self.len().unwrap() == ends[1].len() as u64;
            reads.push(("len", ends[usize::from(is_new)].clone()));
        }
        reads
    }

    fn verify(&self) {
        Dict::verify(self).unwrap();
    }

    fn use_it(&self) {
        self.set(&long(-1), &long(-2)).unwrap();
        assert_eq!(self.pop(&long(-1)).unwrap(), Some(long(-2)));
    }
}

fn key(n: i64) -> Value {
    if n % 2 == 0 { long(n) } else { int(n) }
}

const ON_LISTS: &[Operation<List>] = &[
    ("append a word", |list| list.append(&int(-7)).unwrap()),
    ("append a text", |list| list.append(&long(-7)).unwrap()),
    ("set to a word", |list| drop(list.set(0, &int(-7)))),
    ("set to a text", |list| drop(list.set(0, &long(-7)))),
    ("insert in front", |list| list.insert(0, &long(-7)).unwrap()),
    ("insert in the middle", |list| {
        list.insert(list.len().unwrap() as i64 / 2, &long(-7))
            .unwrap();
    }),
    ("delete the last", |list| drop(list.pop(-1))),
    ("delete in the middle", |list| {
        drop(list.pop(list.len().unwrap() as i64 / 2));
    }),
];

const ON_DICTS: &[Operation<Dict>] = &[
    ("insert a word", |dict| dict.set(&int(-7), &int(1)).unwrap()),
    ("insert a text", |dict| {
        dict.set(&long(-7), &long(1)).unwrap();
    }),
    ("set to a word", |dict| dict.set(&key(0), &int(-7)).unwrap()),
    ("set to a text", |dict| {
        dict.set(&key(0), &long(-7)).unwrap();
    }),
    ("delete a key", |dict| {
        assert!(dict.delete(&key(0)).unwrap());
    }),
    ("delete the last", |dict| {
        drop(dict.pop_item(End::Last).unwrap());
    }),
    ("add", |dict| drop(dict.add(&key(1), &int(5)).unwrap())),
    ("add to a new key", |dict| {
        drop(dict.add(&int(-7), &int(5)).unwrap());
    }),
];

/// A child that does the operation and stops after its n-th store; `None` if it came to its end.
fn stopped<C>(subject: &C, operation: fn(&C), n: u64) -> Option<i32> {
    // SAFETY: this program has one thread, so the child may do anything.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork failed");
    if pid == 0 {
        set_patience(Duration::MAX);
        stop_process_after(n);
        operation(subject);
        // SAFETY: ends the process without running anything of the parent's.
        unsafe { libc::_exit(0) };
    }
    let status = wait(pid);
    if libc::WIFSTOPPED(status) {
        return Some(pid);
    }
    assert!(
        libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0,
        "{status:#x}"
    );
    None
}

/// Waits until a child has stopped or ended.
fn wait(pid: i32) -> i32 {
    let mut status = 0;
    // SAFETY: `status` is a valid place for the result.
    let waited = unsafe { libc::waitpid(pid, &raw mut status, libc::WUNTRACED) };
    assert_eq!(waited, pid);
    status
}

fn kill(pid: i32) {
    // SAFETY: kill(2) touches no memory; the child was not waited for since it stopped, so the number is its own.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGKILL) }, 0);
    assert!(libc::WIFSIGNALED(wait(pid)));
}

/// Reads in every way: which end they all saw.
fn seen<C: Subject>(subject: &C, ends: [&C::Content; 2], place: &str) -> C::Content {
    let reads = subject.read(ends);
    let first = reads[0].1.clone();
    assert!(
        ends.contains(&&first),
        "{place}: neither before nor after: {first:?}"
    );
    for (way, read) in reads {
        assert_eq!(read, first, "{place}: {way}, beside the first read");
    }
    first
}

/// How many stores an operation does.
fn stores<C>(subject: &C, operation: fn(&C)) -> u64 {
    const MANY: u64 = 1 << 40;
    end_thread_after(MANY);
    operation(subject);
    let stores = MANY - thread_stores_left();
    end_thread_after(0);
    stores
}

fn run<C: Subject>(state: State, operation: Operation<C>, is_full: bool) -> u64 {
    let store = Store::options().capacity_bytes(1 << 33).create().unwrap();
    let twin = C::made(&store, state);
    let before = twin.content();
    let stores = stores(&twin, operation.1);
    let after = twin.content();
    let ends = [&before, &after];
    let every = if is_full { 1 } else { stores / 20 + 1 };
    let mut stops = 0;
    for n in (1..).filter(|n| *n <= 40 || n + 40 > stores || n.is_multiple_of(every)) {
        let place = format!("{} in {state:?}, after store {n}", operation.0);
        let subject = C::made(&store, state);
        let Some(pid) = stopped(&subject, operation.1, n) else {
            assert_eq!(subject.content(), after, "{place}");
            break;
        };
        stops += 1;
        let seen = seen(&subject, ends, &place);
        kill(pid);
        // The first one that needs the lock repairs.
        subject.verify();
        let repaired = self::seen(&subject, ends, &place);
        assert!(
            repaired == seen || repaired == after,
            "{place}: {seen:?} while it was stopped, {repaired:?} after it was killed"
        );
        subject.use_it();
        subject.verify();
        assert_eq!(subject.content(), repaired, "{place}");
    }
    stops
}

fn run_all<C: Subject>(states: &[State], operations: &[Operation<C>]) {
    let is_full = std::env::var("CRASH_STRIDE").is_ok_and(|stride| stride == "1");
    for state in states {
        let stops = operations
            .iter()
            .map(|operation| run(*state, *operation, is_full));
        println!(
            "{} {state:?}: {} stops",
            std::any::type_name::<C>(),
            stops.sum::<u64>()
        );
    }
}

fn main() -> ExitCode {
    // Whoever waits for the lock of one that lives fails at once.
    set_patience(Duration::ZERO);
    run_all(&[(1, 0), (9, 61), (512, 0), (1100, 0)], ON_LISTS);
    run_all(&[(2, 0), (9, 61), (14, 0), (28, 0), (500, 0)], ON_DICTS);
    ExitCode::SUCCESS
}
