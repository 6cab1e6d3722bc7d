//! Arrays: elements that all processes write, in one process and in several, and what is left of one that died.
#![allow(
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "numbers of elements, far below any limit"
)]

use std::sync::atomic::{AtomicI8, AtomicI64, AtomicU8, AtomicU16, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use onecopy::fork::Workers;
use onecopy::shared::{Number, RawArray, Sum};
use onecopy::testing::{end_thread_after, in_thread};
use onecopy::{Array, ContainerError, List, Store};

/// A forked worker of one test holds what the others have at that moment: one at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn small() -> Store {
    Store::options().capacity_bytes(1 << 33).create().unwrap()
}

fn raw(store: &Store, byte_len: u64) -> RawArray {
    RawArray::create(store, byte_len, 1).unwrap()
}

#[test]
fn elements_lie_in_one_piece_and_their_memory_returns() {
    let _alone = alone();
    let store = small();
    for count in [0usize, 1, 7, 4096, 1 << 20] {
        let array = store.array::<AtomicU16>(count).unwrap();
        assert_eq!(array.len(), count);
        for (index, element) in array.iter().enumerate() {
            assert_eq!(element.swap(index as u16, Ordering::Relaxed), 0);
        }
        let same = Array::<AtomicU16>::attach(&array.token().unwrap()).unwrap();
        let is_right =
            |(index, element): (usize, &AtomicU16)| element.load(Ordering::Relaxed) == index as u16;
        assert!(same.iter().enumerate().all(is_right));
        let stats = store.stats().unwrap();
        assert_eq!((stats.containers, stats.chunks), (1, 0));
        let bytes = (4096 + 2 * count as u64).next_multiple_of(4096);
        assert_eq!(stats.container_bytes, bytes);
        drop(array.clone());
        drop(array);
        assert_eq!(same.len(), count);
        store.verify().unwrap();
    }
    assert_eq!(store.stats().unwrap().allocated_bytes, 0);
    store.verify().unwrap();
}

#[test]
fn what_there_is_no_room_for_leaves_nothing() {
    let _alone = alone();
    let store = small();
    for count in [1 << 33, usize::MAX / 8, usize::MAX] {
        let error = store.array::<AtomicU64>(count).unwrap_err();
        assert!(matches!(error, ContainerError::Allocate(_)), "{error}");
    }
    let limited = Store::options().max_bytes(10_000).create().unwrap();
    let error = limited.array::<AtomicU8>(6000).unwrap_err();
    assert!(error.to_string().contains("quota"), "{error}");
    limited.array::<AtomicU8>(4096).unwrap();
    for store in [store, limited] {
        let stats = store.stats().unwrap();
        assert_eq!(
            (stats.containers, stats.allocated_bytes, stats.dying_objects),
            (0, 0, 0)
        );
        store.verify().unwrap();
    }
}

#[test]
fn only_the_same_type_attaches() {
    let _alone = alone();
    let store = small();
    let array = store.array::<AtomicU64>(1).unwrap();
    let error = Array::<AtomicI64>::attach(&array.token().unwrap()).unwrap_err();
    assert!(error.to_string().contains("an array of u64"), "{error}");
    let error = RawArray::attach(&array.token().unwrap()).unwrap_err();
    assert!(error.to_string().contains("an array of u64"), "{error}");
    let other = raw(&store, 8);
    let error = Array::<AtomicU64>::attach(&other.token().unwrap()).unwrap_err();
    assert!(error.to_string().contains("no Rust array"), "{error}");
    assert!(List::attach(&other.token().unwrap()).is_err());
    let list = store.list().unwrap();
    assert!(RawArray::attach(&list.token().unwrap()).is_err());
}

#[test]
fn sums_are_those_of_the_type() {
    let _alone = alone();
    let store = small();
    let array = raw(&store, 64);
    for width in [1u8, 2, 4, 8] {
        let bits = 8 * u32::from(width);
        let (at, beside) = (u64::from(width), 2 * u64::from(width));
        let most = (1i128 << (bits - 1)) - 1;
        let signed = |amount| array.add_int(at, Number::Signed(width), amount).unwrap();
        assert_eq!(signed(most), Sum::Int(most));
        assert_eq!(signed(1), Sum::TooLarge);
        assert_eq!(signed(-2 * most - 1), Sum::Int(-most - 1));
        assert_eq!(signed(-1), Sum::TooLarge);
        assert_eq!(signed(i128::MIN), Sum::TooLarge);
        assert_eq!(signed(most + 1), Sum::Int(0));
        let unsigned = |amount| array.add_int(at, Number::Unsigned(width), amount).unwrap();
        assert_eq!(unsigned(2 * most + 1), Sum::Int(2 * most + 1));
        assert_eq!(unsigned(1), Sum::TooLarge);
        // The neighbours are as they were.
        for beside in [0, beside] {
            assert_eq!(
                array.add_int(beside, Number::Unsigned(width), 0).unwrap(),
                Sum::Int(0)
            );
        }
        assert_eq!(unsigned(-2 * most - 1), Sum::Int(0));
        assert_eq!(unsigned(-1), Sum::TooLarge);
    }
    assert_eq!(
        array.add_float(8, Number::Float(8), 0.1).unwrap(),
        Sum::Float(0.1)
    );
    assert_eq!(
        array.add_float(8, Number::Float(8), 0.2).unwrap(),
        Sum::Float(0.1 + 0.2)
    );
    let third = f64::from(0.3f32);
    assert_eq!(
        array.add_float(4, Number::Float(4), 0.3).unwrap(),
        Sum::Float(third)
    );
    let most = f64::from(f32::MAX);
    assert_eq!(
        array.add_float(4, Number::Float(4), most).unwrap(),
        Sum::Float(most)
    );
    assert_eq!(
        array.add_float(4, Number::Float(4), most).unwrap(),
        Sum::Float(f64::INFINITY)
    );
    assert_eq!(array.compare_exchange(2, 2, 0, 77).unwrap(), Some(true));
    assert_eq!(array.compare_exchange(2, 2, 0, 78).unwrap(), Some(false));
    assert_eq!(
        array.add_int(2, Number::Signed(2), 0).unwrap(),
        Sum::Int(77)
    );
}

#[test]
fn what_is_no_element_is_refused() {
    let _alone = alone();
    let store = small();
    let array = raw(&store, 20);
    for (at, width) in [
        (1, 2),
        (2, 4),
        (4, 8),
        (16, 8),
        (20, 1),
        (u64::MAX - 7, 8),
        (0, 3),
        (0, 16),
    ] {
        assert_eq!(
            array.add_int(at, Number::Signed(width), 1).unwrap(),
            Sum::NoElement,
            "{at} {width}"
        );
        assert_eq!(array.compare_exchange(at, width, 0, 1).unwrap(), None);
    }
    assert_eq!(
        array.add_int(0, Number::Float(8), 1).unwrap(),
        Sum::NoElement
    );
    assert_eq!(
        array.add_float(0, Number::Float(2), 1.0).unwrap(),
        Sum::NoElement
    );
    assert_eq!(
        array.add_float(0, Number::Signed(8), 1.0).unwrap(),
        Sum::NoElement
    );
    assert_eq!(
        array.add_int(16, Number::Signed(4), 5).unwrap(),
        Sum::Int(5)
    );
    let empty = raw(&store, 0);
    assert_eq!(empty.byte_len(), 0);
    assert_eq!(
        empty.add_int(0, Number::Signed(1), 1).unwrap(),
        Sum::NoElement
    );
}

#[test]
fn nothing_that_processes_add_is_lost() {
    let _alone = alone();
    let store = small();
    let raw = raw(&store, 16);
    let typed = store.array::<AtomicI8>(8).unwrap();
    let results = Workers::new(4)
        .allow_threads(true)
        .timeout(Duration::from_mins(2))
        .map(|worker| {
            for _ in 0..20_000 {
                // Eight neighbours in one word.
                assert_ne!(
                    raw.add_int(2 * (worker as u64 % 4), Number::Unsigned(2), 1)
                        .unwrap(),
                    Sum::NoElement
                );
                assert_ne!(
                    raw.add_float(8, Number::Float(8), 1.0).unwrap(),
                    Sum::NoElement
                );
                typed[worker].fetch_add(1, Ordering::Relaxed);
            }
        })
        .unwrap();
    assert!(results.into_iter().all(|result| result.is_ok()));
    for worker in 0..4 {
        assert_eq!(
            raw.add_int(2 * worker, Number::Unsigned(2), 0).unwrap(),
            Sum::Int(20_000)
        );
        assert_eq!(
            typed[worker as usize].load(Ordering::Relaxed),
            20_000u32 as u8 as i8
        );
    }
    assert_eq!(
        raw.add_float(8, Number::Float(8), 0.0).unwrap(),
        Sum::Float(80_000.0)
    );
    store.verify().unwrap();
}

#[test]
fn a_holder_of_the_lock_that_dies_leaves_it_free() {
    let _alone = alone();
    let store = small();
    let array = raw(&store, 8);
    let lock = array.writer_lock();
    for n in 1.. {
        let is_done = in_thread(|| {
            end_thread_after(n);
            lock.hold(None).unwrap();
            array.add_int(0, Number::Signed(8), 1).unwrap();
            lock.release().unwrap();
        });
        lock.hold(Some(Duration::from_secs(5))).unwrap();
        assert!(lock.is_held_here().unwrap());
        lock.release().unwrap();
        assert!(!lock.is_held().unwrap());
        if is_done {
            assert!(n > 4, "{n} stores");
            break;
        }
    }
    assert!(lock.deaths().unwrap() > 0);
}
