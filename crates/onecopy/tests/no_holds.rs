//! A fork child that could be given no holds: every way into a container is closed, since others may free its memory.
#![allow(
    unsafe_code,
    reason = "children are forked by hand, without a free descriptor"
)]

use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use onecopy::fork::Workers;
use onecopy::shared::{Number, RawArray};
use onecopy::store::Container;
use onecopy::{
    AccessError, AllocateError, Array, AttachError, ContainerError, DictError, ListError, Store,
    Value,
};

/// A forked worker of one test holds what the others have at that moment: one at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn small() -> Store {
    Store::options().capacity_bytes(1 << 33).create().unwrap()
}

/// Runs `work` in such a child, of a worker that has one thread. `false` from it, or a panic, fails.
fn without_holds(work: impl Fn() -> bool + Sync) {
    let result = Workers::new(1)
        .allow_threads(true)
        .timeout(Duration::from_mins(2))
        .map(|_| {
            let limit = |most| {
                let limit = libc::rlimit {
                    rlim_cur: most,
                    rlim_max: 1000,
                };
                // SAFETY: `limit` is initialised, and setrlimit(2) only reads it.
                let limited = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
                assert_eq!(limited, 0);
            };
            limit(0);
            // SAFETY: this process has one thread, so the child may do anything.
            let child = unsafe { libc::fork() };
            if child == 0 {
                limit(1000);
                let work = std::panic::AssertUnwindSafe(&work);
                let done = std::panic::catch_unwind(work).unwrap_or(false);
                // SAFETY: ends the process without running anything of the parent's.
                unsafe { libc::_exit(i32::from(!done)) }
            }
            let mut status = 0;
            // SAFETY: `status` is a valid place for the result.
            assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
            (libc::WIFEXITED(status), libc::WEXITSTATUS(status))
        });
    assert_eq!(result.unwrap().pop().unwrap().unwrap(), (true, 0));
}

fn is_refused(error: &AccessError) -> bool {
    matches!(error, AccessError::NoHolds { .. })
}

/// Whether an operation was refused for the right reason.
trait Refused {
    fn refused(&self) -> bool;
}

impl<T> Refused for Result<T, ContainerError> {
    fn refused(&self) -> bool {
        matches!(self, Err(ContainerError::Access(error)) if is_refused(error))
    }
}

impl<T> Refused for Result<T, ListError> {
    fn refused(&self) -> bool {
        matches!(self, Err(ListError::Container(ContainerError::Access(error))) if is_refused(error))
    }
}

impl<T> Refused for Result<T, DictError> {
    fn refused(&self) -> bool {
        matches!(self, Err(DictError::Container(ContainerError::Access(error))) if is_refused(error))
    }
}

fn all_refused(results: &[&dyn Refused]) -> bool {
    for (index, result) in results.iter().enumerate() {
        if !result.refused() {
            eprintln!("operation {index} was not refused");
        }
    }
    results.iter().all(|result| result.refused())
}

#[test]
fn chunks_are_neither_listed_nor_added() {
    let _alone = alone();
    let store = small();
    let container = Container::new(&store, 0, 4096).unwrap();
    container.add_chunk(1, 1).unwrap();
    let token = container.token().unwrap();
    without_holds(|| {
        let inherited = [
            container.chunks().map(|_| ()),
            container.free_chunks(|_| true).map(|_| ()),
            container.token().map(|_| ()),
        ];
        let mut refused = inherited
            .iter()
            .all(|result| is_refused(result.as_ref().unwrap_err()));
        let added = container.add_chunk(1, 1).unwrap_err();
        refused &= matches!(&added, AllocateError::Access(error) if is_refused(error));
        let attached = Container::attach(&token).unwrap_err();
        refused &= matches!(&attached, AttachError::Access(error) if is_refused(error));
        refused
    });
    store.collect(Some(Duration::ZERO)).unwrap();
    let chunks = container.chunks().unwrap();
    assert_eq!(
        chunks.iter().map(|chunk| chunk.tag).collect::<Vec<_>>(),
        [1]
    );
    store.verify().unwrap();
}

#[test]
fn lists_dicts_and_values_are_neither_read_nor_written() {
    let _alone = alone();
    let store = small();
    let (list, dict) = (store.list().unwrap(), store.dict().unwrap());
    let text = Value::from("a text that needs a block");
    list.extend(&[Value::Int(1), text.clone()]).unwrap();
    dict.set(&text, &Value::Int(1)).unwrap();
    let moment = list.raw().chunk(0, 9).unwrap().moment().unwrap();
    let lock = list.raw().writer_lock();
    lock.hold(None).unwrap();
    without_holds(|| {
        let of_list: [&dyn Refused; 12] = [
            &list.len(),
            &list.get(0),
            &list.get(-1),
            &list.to_vec(),
            &list.iter().next().unwrap(),
            &list.set(0, &Value::None),
            &list.append(&Value::None),
            &list.clear(),
            &list.lock(None).map(|_| ()),
            &lock.is_held(),
            &lock.deaths(),
            &lock.release(),
        ];
        let of_dict: [&dyn Refused; 8] = [
            &dict.len(),
            &dict.get(&text),
            &dict.contains(&Value::Int(5)),
            &dict.items(),
            &dict.picture().map(|_| ()),
            &dict.set(&text, &Value::None),
            &dict.delete(&text),
            &dict.update(&[(text.clone(), Value::None)]),
        ];
        all_refused(&of_list) && all_refused(&of_dict) && !list.raw().is_now(moment)
    });
    lock.release().unwrap();
    assert!(list.raw().is_now(moment));
    assert_eq!(list.to_vec().unwrap(), [Value::Int(1), text]);
    list.verify().unwrap();
    dict.verify().unwrap();
}

#[test]
fn an_array_has_no_elements_and_old_addresses_lead_to_copies() {
    let _alone = alone();
    let store = small();
    let typed = store.array::<AtomicU16>(100).unwrap();
    let raw = RawArray::create(&store, 64, 8).unwrap();
    let before: &[AtomicU16] = &typed;
    let old = raw.address().unwrap().addr();
    let token = typed.token().unwrap();
    without_holds(|| {
        before[3].store(7, Ordering::Relaxed);
        let of_array: [&dyn Refused; 6] = [
            &raw.address(),
            &raw.add_int(0, Number::Signed(8), 1),
            &raw.add_float(8, Number::Float(8), 1.0),
            &raw.compare_exchange(0, 8, 0, 1),
            &raw.writer_lock().hold(None),
            &raw.token(),
        ];
        let attached = Array::<AtomicU16>::attach(&token);
        let is_attached = matches!(
            attached, Err(ContainerError::Attach(AttachError::Access(error))) if is_refused(&error)
        );
        // What is built here is seen by others nevertheless.
        let shared = store.share_slice(&[1u64, 2, 3]).unwrap();
        let child = onecopy::View::<[u64]>::attach(&shared.token().unwrap()).unwrap();
        typed.is_empty() && all_refused(&of_array) && is_attached && *child == [1, 2, 3]
    });
    assert_eq!(raw.address().unwrap().addr(), old);
    assert!(
        before
            .iter()
            .all(|element| element.load(Ordering::Relaxed) == 0)
    );
    assert_eq!(typed.len(), 100);
    store.collect(Some(Duration::ZERO)).unwrap();
    store.verify().unwrap();
}
