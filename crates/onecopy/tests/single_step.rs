//! Lists and dicts whose writer is killed between any two instructions of an operation.
//!
//! A child does the operation up to its m-th store to shared memory, takes n single steps from there (`ptrace`), and is
//! killed by SIGKILL: at every instruction up to the next store, whatever the processor and the compiler made of the order.
//! This process then takes the lock over, as any other would, checks every invariant, finds the container as it was or as
//! it should be, and goes on.
//!
//! It takes a few instructions of each operation; with `STEP_STRIDE=1` every one, which is for a release build.
#![allow(
    clippy::cast_possible_wrap,
    reason = "numbers of elements, far below any limit"
)]

use std::fmt::Debug;
use std::process::ExitCode;
use std::time::Duration;

use onecopy::testing::{end_thread_after, set_patience, stop_process_from, thread_stores_left};
use onecopy::{Dict, List, Store, Value};

/// Places at which an operation ends, unless all are wanted, and instructions after a store up to which they lie.
const FEW: u64 = 24;
/// See [`FEW`].
const NEAR: u64 = 61;

type Operation<C> = (&'static str, fn(&C));

fn long(n: i64) -> Value {
    Value::Str(format!("a text that needs a block, {n}"))
}

fn mixed(n: i64) -> Value {
    if n % 3 == 0 { long(n) } else { Value::Int(n) }
}

/// A container as this test uses it.
trait Subject: Sized {
    type Content: Clone + PartialEq + Debug;
    fn made(store: &Store, size: i64) -> Self;
    fn content(&self) -> Self::Content;
    fn verify(&self);
    /// Uses the container as a successor does, and leaves it as it was. What a process does once is done then.
    fn use_it(&self);
}

impl Subject for List {
    type Content = Vec<Value>;

    fn made(store: &Store, size: i64) -> Self {
        let list = store.list().unwrap();
        list.extend(&(0..size).map(mixed).collect::<Vec<_>>())
            .unwrap();
        list
    }

    fn content(&self) -> Vec<Value> {
        self.to_vec().unwrap()
    }

    fn verify(&self) {
        List::verify(self).unwrap();
    }

    fn use_it(&self) {
        self.insert(0, &long(-1)).unwrap();
        assert_eq!(self.pop(0).unwrap(), long(-1));
    }
}

impl Subject for Dict {
    type Content = Vec<(Value, Value)>;

    fn made(store: &Store, size: i64) -> Self {
        let dict = store.dict().unwrap();
        for n in 0..size {
            dict.set(&mixed(n), &mixed(n + 1)).unwrap();
        }
        dict
    }

    fn content(&self) -> Vec<(Value, Value)> {
        self.items().unwrap()
    }

    fn verify(&self) {
        Dict::verify(self).unwrap();
    }

    fn use_it(&self) {
        self.set(&long(-1), &long(-1)).unwrap();
        assert!(self.delete(&long(-1)).unwrap());
    }
}

const ON_LISTS: &[Operation<List>] = &[
    ("append a word", |list| {
        list.append(&Value::Int(-7)).unwrap();
    }),
    ("append a text", |list| list.append(&long(-7)).unwrap()),
    ("set to a word", |list| {
        list.set(1, &Value::Int(-7)).unwrap();
    }),
    ("set to a text", |list| list.set(0, &long(-7)).unwrap()),
    ("insert", |list| list.insert(3, &long(-7)).unwrap()),
    ("delete", |list| drop(list.pop(3).unwrap())),
];

const ON_DICTS: &[Operation<Dict>] = &[
    ("insert", |dict| dict.set(&long(-7), &long(1)).unwrap()),
    ("set to a word", |dict| {
        dict.set(&mixed(0), &Value::Int(-7)).unwrap();
    }),
    ("set to a text", |dict| {
        dict.set(&mixed(0), &long(-7)).unwrap();
    }),
    ("delete", |dict| assert!(dict.delete(&mixed(0)).unwrap())),
    ("add", |dict| {
        drop(dict.add(&Value::Int(-7), &Value::Int(5)).unwrap());
    }),
];

/// A child that has stopped after its `stores`-th store of the operation, 0 for right before it; `None` if tracing is
/// forbidden.
fn child<C: Subject>(subject: &C, operation: fn(&C), stores: u64) -> Option<i32> {
    // SAFETY: this program has one thread, so the child may do anything.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork failed");
    if pid == 0 {
        subject.use_it();
        // SAFETY: PTRACE_TRACEME uses none of the other arguments and touches no memory.
        let traced = unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) };
        if traced == 0 {
            stop_process_from(stores.max(1));
            if stores == 0 {
                // SAFETY: raise(3) touches no memory of ours; the parent goes on with this process.
                unsafe { libc::raise(libc::SIGSTOP) };
            }
            operation(subject);
        }
        // SAFETY: ends the process without running anything of the parent's.
        unsafe { libc::_exit(i32::from(traced != 0)) };
    }
    let status = wait(pid);
    if libc::WIFSTOPPED(status) {
        assert_eq!(libc::WSTOPSIG(status), libc::SIGSTOP);
        return Some(pid);
    }
    assert!(
        libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 1,
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

/// Lets a child take single steps and kills it then; whether it took all of them before its next store or its end.
fn walk_and_kill(pid: i32, steps: u64) -> bool {
    for _ in 0..steps {
        // SAFETY: PTRACE_SINGLESTEP uses none of the other arguments and touches no memory of this process.
        let stepped = unsafe { libc::ptrace(libc::PTRACE_SINGLESTEP, pid, 0, 0) };
        assert_eq!(stepped, 0, "a child that cannot be stepped");
        let status = wait(pid);
        if libc::WIFEXITED(status) {
            assert_eq!(libc::WEXITSTATUS(status), 0);
            return false;
        }
        assert!(libc::WIFSTOPPED(status), "{status:#x}");
        if libc::WSTOPSIG(status) == libc::SIGSTOP {
            kill(pid);
            return false;
        }
        assert_eq!(libc::WSTOPSIG(status), libc::SIGTRAP);
    }
    kill(pid);
    true
}

fn kill(pid: i32) {
    // SAFETY: kill(2) touches no memory; the child was not waited for since it stopped, so the number is its own.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGKILL) }, 0);
    assert!(libc::WIFSIGNALED(wait(pid)));
}

/// What an operation makes of a container, on both sides.
struct Case<'a, C: Subject> {
    store: &'a Store,
    size: i64,
    operation: Operation<C>,
    before: C::Content,
    after: C::Content,
}

impl<C: Subject> Case<'_, C> {
    /// Ends it `steps` instructions after a store, and looks; whether there are so many before the next, `None` if tracing
    /// is forbidden.
    fn end(&self, stores: u64, steps: u64) -> Option<bool> {
        let name = self.operation.0;
        let place = format!("{name} in {}, store {stores}, {steps} on", self.size);
        // Each child has a slot in the store, until somebody finds that it is dead.
        self.store.collect(None).unwrap();
        let subject = C::made(self.store, self.size);
        let took_all = walk_and_kill(child(&subject, self.operation.1, stores)?, steps);
        // The first one that needs the lock repairs.
        subject.verify();
        let found = subject.content();
        assert!(
            found == self.before || found == self.after,
            "{place}: {found:?}"
        );
        subject.use_it();
        subject.verify();
        assert_eq!(subject.content(), found, "{place}");
        Some(took_all)
    }
}

/// Ends an operation at a few instructions, or at each in `stride`; how many ends there were, `None` if tracing is
/// forbidden.
fn run<C: Subject>(size: i64, operation: Operation<C>, stride: Option<u64>) -> Option<u64> {
    const MANY: u64 = 1 << 40;
    let store = Store::options().capacity_bytes(1 << 33).create().unwrap();
    let twin = C::made(&store, size);
    let before = twin.content();
    twin.use_it();
    end_thread_after(MANY);
    operation.1(&twin);
    let stores = MANY - thread_stores_left();
    end_thread_after(0);
    let after = twin.content();
    assert_ne!(before, after, "{}", operation.0);
    let case = Case {
        store: &store,
        size,
        operation,
        before,
        after,
    };
    let mut ends = 0;
    if let Some(stride) = stride {
        for store in 0..stores {
            let mut steps = store % stride;
            while case.end(store, steps)? {
                steps += stride;
                ends += 1;
            }
            ends += 1;
        }
    } else {
        for nth in 0..FEW {
            // Other instructions for each operation.
            let steps = (nth * 17 + operation.0.len() as u64 * 7) % NEAR;
            case.end(nth * stores / FEW, steps)?;
            ends += 1;
        }
    }
    println!("{} in {size}: {stores} stores, {ends} ends", operation.0);
    Some(ends)
}

fn run_all<C: Subject>(sizes: &[i64], operations: &[Operation<C>], stride: Option<u64>) -> bool {
    sizes.iter().all(|size| {
        let ends = operations
            .iter()
            .map(|operation| run(*size, *operation, stride));
        ends.sum::<Option<u64>>().is_some()
    })
}

/// Binds this process and its children to one processor: a step is two switches, which cost ten times as much between two.
fn use_one_processor() {
    // SAFETY: zeros are an empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: sched_getcpu(3) touches no memory of ours.
    let here = unsafe { libc::sched_getcpu() };
    // SAFETY: the set is valid, and the kernel's numbers lie within it.
    unsafe { libc::CPU_SET(here.unsigned_abs() as usize, &mut set) };
    // SAFETY: the set is a valid place of the size that is given. Where it is refused, all is only slower.
    unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) };
}

fn main() -> ExitCode {
    if !cfg!(target_arch = "x86_64") {
        // Elsewhere an atomic may be a loop that no traced process gets out of.
        skip::skipped("single steps: only on x86-64");
        return ExitCode::SUCCESS;
    }
    let stride = std::env::var("STEP_STRIDE").ok();
    let stride = stride.map(|stride| stride.parse().expect("STEP_STRIDE is a number"));
    use_one_processor();
    // Nobody but the dead is waited for.
    set_patience(Duration::from_secs(5));
    let (lists, dicts): (&[i64], &[i64]) = match stride {
        None => (&[9], &[9]),
        Some(_) => (&[9, 512], &[9, 14, 28]),
    };
    let is_permitted = run_all(lists, ON_LISTS, stride) && run_all(dicts, ON_DICTS, stride);
    if !is_permitted {
        skip::skipped("single steps: this process may not trace its children");
    }
    ExitCode::SUCCESS
}
