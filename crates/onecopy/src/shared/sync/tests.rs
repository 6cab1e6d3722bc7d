//! What threads do to each other between two steps of an operation: each test stops one at a step, and lets others go on.

use std::cell::RefCell;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use super::stored::Stored as _;
use super::waiters::{FREE, WAITING, Waiters};
use super::{Barrier, Condition, Mutex, Passed, Turn};
use crate::primitive::Ordering;
use crate::shared::heap::Heap;
use crate::shared::{ContainerError, set_sleep_hook};
use crate::store::Store;
use crate::testing::{
    end_thread_after, in_thread, interrupt_after, interrupt_after_store, thread_stores_left,
    was_interrupted,
};

const NOW: Option<Duration> = Some(Duration::ZERO);
/// Ends what hangs; nothing is decided by it.
const WATCHDOG: Option<Duration> = Some(Duration::from_mins(2));
const BROKEN: Turn = Turn::Done(Passed::Broken);

fn small() -> Store {
    Store::options().capacity_bytes(1 << 30).create().unwrap()
}

fn places_taken(heap: &Heap) -> usize {
    Waiters(heap).taken().unwrap().len()
}

/// A thread that stops at a step until it may go on.
struct Stopped {
    /// Ends when the thread goes past without stopping.
    is_there: Receiver<()>,
    go_on: Sender<()>,
}

/// What a thread does at the step where it is to stop, and how others see it there.
fn stop() -> (impl FnOnce() + Send + 'static, Stopped) {
    let (there, is_there) = channel();
    let (go_on, goes_on) = channel::<()>();
    let step = move || {
        there.send(()).unwrap();
        // An error is a reason to go on, too.
        let _ = goes_on.recv();
    };
    (step, Stopped { is_there, go_on })
}

/// Does `work` in a thread that stops behind its `stores`-th store, unless the lock is taken there; and says what came of it
/// and whether there are so many stores.
fn stopping<T: Send + 'static>(
    heap: &Heap,
    stores: u64,
    work: impl FnOnce() -> T + Send + 'static,
) -> (thread::JoinHandle<(T, bool)>, Stopped) {
    let (step, stopped) = stop();
    let heap = heap.clone();
    let thread = thread::spawn(move || {
        interrupt_after_store(stores, move || {
            if !heap.is_locked().unwrap() {
                step();
            }
        });
        let made = work();
        let is_over = thread_stores_left() > 0;
        end_thread_after(0);
        (made, is_over)
    });
    (thread, stopped)
}

fn pass(barrier: &Barrier, acts: bool) -> Turn {
    match barrier.wait(WATCHDOG, acts).unwrap() {
        Turn::Act(round) => {
            barrier.finish(&round, true).unwrap();
            Turn::Done(Passed::Yes(round.number))
        }
        done @ Turn::Done(_) => done,
    }
}

/// The first one's time ends at each of its loads, while the last one is behind each of its stores.
#[test]
fn all_pass_a_barrier_or_none_whenever_the_time_of_one_ends() {
    let barrier = small().barrier(2).unwrap();
    let mut passed = 0;
    for stores in 1.. {
        let mut is_over = true;
        for loads in 1.. {
            barrier.reset().unwrap();
            let (there, last) = channel();
            let other = barrier.clone();
            interrupt_after(loads, move || {
                if other.waiting() == 0 || other.heap().is_locked().unwrap() {
                    return;
                }
                let same = other.clone();
                let (thread, stopped) = stopping(other.heap(), stores, move || pass(&same, false));
                let _ = stopped.is_there.recv();
                there.send((thread, stopped.go_on)).unwrap();
            });
            let first = barrier.wait(NOW, false).unwrap();
            let is_done = !was_interrupted();
            if let Ok((thread, go_on)) = last.try_recv() {
                drop(go_on);
                let (last, ended) = thread.join().unwrap();
                let at = format!("at load {loads}, behind store {stores}");
                assert_eq!(first == BROKEN, last == BROKEN, "{at}");
                assert_eq!(first == BROKEN, barrier.is_broken(), "{at}");
                passed += u64::from(first != BROKEN);
                is_over &= ended;
            }
            if is_done {
                break;
            }
        }
        if is_over {
            break;
        }
    }
    assert!(passed > 10, "{passed}");
    assert_eq!(places_taken(barrier.heap()), 0);
}

thread_local! {
    /// What the next sleep of this thread is instead: a signal's handler, which ends the wait.
    static SIGNAL: RefCell<Option<Box<dyn FnOnce()>>> = const { RefCell::new(None) };
}

fn sleeps(nap: &mut dyn FnMut()) -> bool {
    if let Some(signal) = SIGNAL.take() {
        signal();
        // It ends each further sleep as well.
        SIGNAL.set(Some(Box::new(|| ())));
        return false;
    }
    nap();
    true
}

/// A thread that lives until this is dropped.
struct Living<T> {
    made: Receiver<T>,
    _end: Sender<()>,
}

/// Does `work` in a thread whose first sleep is ended by a signal, once it may go on.
fn signalled<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> (Living<T>, Stopped) {
    set_sleep_hook(sleeps);
    let (step, stopped) = stop();
    let (making, made) = channel();
    let (end, ends) = channel::<()>();
    thread::spawn(move || {
        SIGNAL.set(Some(Box::new(step)));
        making.send(work()).unwrap();
        let _ = ends.recv();
    });
    (Living { made, _end: end }, stopped)
}

fn is_interrupted<T: std::fmt::Debug>(result: &Result<T, ContainerError>) {
    assert!(
        matches!(result, Err(ContainerError::Interrupted)),
        "{result:?}"
    );
}

#[test]
fn nobody_passes_a_barrier_with_one_that_has_left_while_its_lock_was_taken() {
    let barrier = small().barrier(2).unwrap();
    let other = barrier.clone();
    let (thread, stopped) = signalled(move || other.wait(WATCHDOG, false));
    stopped.is_there.recv().unwrap();
    barrier.heap().user_lock(Duration::ZERO).unwrap();
    drop(stopped.go_on);
    is_interrupted(&thread.made.recv().unwrap());
    barrier.heap().user_unlock().unwrap();
    assert_eq!(barrier.wait(WATCHDOG, false).unwrap(), BROKEN);
    assert_eq!(barrier.deaths(), 0, "it lives");
    barrier.reset().unwrap();
    assert_eq!(barrier.wait(NOW, false).unwrap(), BROKEN, "alone");
    assert_eq!(places_taken(barrier.heap()), 0);
}

#[test]
fn a_signal_that_comes_when_all_are_there_breaks_no_barrier() {
    let barrier = small().barrier(2).unwrap();
    let other = barrier.clone();
    let (thread, stopped) = signalled(move || other.wait(WATCHDOG, false));
    stopped.is_there.recv().unwrap();
    let passed = Turn::Done(Passed::Yes(1));
    assert_eq!(barrier.wait(NOW, false).unwrap(), passed);
    drop(stopped.go_on);
    is_interrupted(&thread.made.recv().unwrap());
    assert!(!barrier.is_broken());
}

/// Waits for a condition; the lock is given back if it is held afterwards.
fn wait(lock: &Mutex, condition: &Condition) -> Result<bool, ContainerError> {
    lock.acquire(WATCHDOG)?;
    let woken = condition.wait(lock, WATCHDOG);
    if lock.is_held_here()? {
        lock.release()?;
    }
    woken
}

#[test]
fn who_leaves_a_condition_while_its_lock_is_taken_takes_no_wake_up_with_it() {
    let store = small();
    let (lock, condition) = (store.lock().unwrap(), store.condition().unwrap());
    let (other, same) = (lock.clone(), condition.clone());
    let (thread, stopped) = signalled(move || wait(&other, &same));
    stopped.is_there.recv().unwrap();
    condition.heap().user_lock(Duration::ZERO).unwrap();
    drop(stopped.go_on);
    is_interrupted(&thread.made.recv().unwrap());
    condition.heap().user_unlock().unwrap();
    assert_eq!(places_taken(condition.heap()), 0);
    assert_eq!(condition.notify(1).unwrap(), 0);
}

#[test]
fn a_wake_up_that_comes_with_a_signal_goes_to_the_next() {
    for is_locked in [false, true] {
        let store = small();
        let (lock, condition) = (store.lock().unwrap(), store.condition().unwrap());
        let waits = || {
            let (lock, condition) = (lock.clone(), condition.clone());
            signalled(move || wait(&lock, &condition))
        };
        let (first, first_sleeps) = waits();
        first_sleeps.is_there.recv().unwrap();
        let (next, next_sleeps) = waits();
        next_sleeps.is_there.recv().unwrap();
        assert_eq!(condition.notify(1).unwrap(), 1);
        assert_eq!(condition.waiting(), 1);
        if is_locked {
            condition.heap().user_lock(Duration::ZERO).unwrap();
        }
        drop(first_sleeps.go_on);
        is_interrupted(&first.made.recv().unwrap());
        if is_locked {
            condition.heap().user_unlock().unwrap();
            // Whoever comes next looks after it.
            assert_eq!(condition.notify(0).unwrap(), 0);
        }
        assert_eq!(condition.waiting(), 0, "the next one was woken");
        drop(next_sleeps.go_on);
        is_interrupted(&next.made.recv().unwrap());
        assert_eq!(places_taken(condition.heap()), 0);
    }
}

/// A thread that was woken has died; whoever wakes another in its stead dies behind each of its stores.
#[test]
fn a_wake_up_is_passed_on_by_whoever_comes_if_one_dies_passing_it_on() {
    let condition = small().condition().unwrap();
    let heap = condition.heap();
    let me = heap.container.thread().unwrap();
    for stores in 1.. {
        let mut woken = None;
        assert!(in_thread(|| {
            let thread = heap.container.thread().unwrap();
            condition.join(thread).unwrap();
            assert_eq!(condition.notify(1).unwrap(), 1);
            woken = Some(condition.join(me).unwrap());
        }));
        let woken = woken.unwrap();
        assert_eq!(condition.waiting(), 1);
        let is_over = in_thread(|| {
            end_thread_after(stores);
            condition.notify(0).unwrap();
        });
        condition.notify(0).unwrap();
        let state = Waiters(heap).state(woken).load(Ordering::Acquire);
        assert_ne!(state, WAITING, "lost behind store {stores}");
        Waiters(heap).tell(woken, FREE).unwrap();
        assert_eq!(places_taken(heap), 0);
        if is_over {
            break;
        }
    }
}

/// `set` stops behind each of its stores; another clears the event and waits, and `set` goes on at each load of that.
#[test]
fn an_event_that_was_cleared_before_the_wait_began_was_not_set_during_it() {
    let event = small().event().unwrap();
    let mut cleared = 0;
    for stores in 1.. {
        let mut is_over = true;
        for loads in 1.. {
            event.clear().unwrap();
            let same = event.clone();
            let (thread, stopped) = stopping(event.heap(), stores, move || same.set().unwrap());
            let is_there = stopped.is_there.recv().is_ok();
            let is_done = if is_there && event.is_set() {
                event.clear().unwrap();
                cleared += 1;
                let (ended, end) = channel();
                interrupt_after(loads, move || {
                    drop(stopped.go_on);
                    ended.send(thread.join().unwrap()).unwrap();
                });
                assert!(
                    !event.wait(NOW).unwrap(),
                    "at load {loads}, behind store {stores}"
                );
                is_over = false;
                // Otherwise the interruption is dropped, and the thread goes on by that.
                !was_interrupted() || end.try_recv().is_err()
            } else {
                drop(stopped.go_on);
                is_over &= thread.join().unwrap().1;
                true
            };
            if is_done {
                break;
            }
        }
        if is_over {
            break;
        }
    }
    assert!(cleared > 5, "{cleared}");
}
