//! Queues, locks, semaphores, events, conditions and barriers: what they do, what is left by threads that end after every
//! single store, and what happens when processes that use them are killed.

#![allow(
    clippy::cast_possible_wrap,
    reason = "numbers of items, far below any limit"
)]

use std::collections::HashSet;
use std::io::{Read as _, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use onecopy::shared::{Condition, Mutex, Passed, Queue, QueueOptions, Released, Took, Turn};
use onecopy::testing::{end_thread_after, in_thread, thread_stores_left};
use onecopy::{ContainerError, Store, Value};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

const NOW: Option<Duration> = Some(Duration::ZERO);
/// Ends what hangs; nothing is decided by it.
const WATCHDOG: Option<Duration> = Some(Duration::from_mins(2));

fn small() -> Store {
    Store::options().capacity_bytes(1 << 30).create().unwrap()
}

fn long(n: i64) -> Value {
    Value::Str(format!("a text that needs a block, {n}"))
}

fn queue(store: &Store) -> Queue {
    store.queue(QueueOptions::default()).unwrap()
}

fn joinable(store: &Store) -> Queue {
    let options = QueueOptions {
        counts: true,
        ..QueueOptions::default()
    };
    store.queue(options).unwrap()
}

/// Forks; the child does something and ends, however it ends.
fn forked(work: impl FnOnce()) -> Pid {
    // SAFETY: the child only runs `work`; nothing in it waits for a lock of the standard library that another thread of the
    // parent may have held.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        // A panic must not unwind into the harness, of which the child has a copy.
        let has_worked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).is_ok();
        // SAFETY: ends this process, without what the parent wants done at its own end.
        unsafe { libc::_exit(i32::from(!has_worked)) };
    }
    Pid::from_raw(pid).expect("a process can be forked")
}

/// Waits for the end of a child; whether it came to the end of its work.
fn has_worked(child: Pid) -> bool {
    let (_, status) = waitpid(Some(child), WaitOptions::empty()).unwrap().unwrap();
    status.exit_status() == Some(0)
}

fn kill(child: Pid) {
    kill_process(child, Signal::KILL).unwrap();
    assert!(!has_worked(child));
}

/// A process that does something, says so, and then stays until it is killed.
fn staying(work: impl FnOnce()) -> Pid {
    let (mut reader, mut writer) = std::io::pipe().unwrap();
    let child = forked(|| {
        work();
        writer.write_all(b"x").unwrap();
        loop {
            std::thread::park();
        }
    });
    drop(writer);
    // If it dies, its end of the pipe closes.
    reader.read_exact(&mut [0]).unwrap();
    child
}

#[test]
fn items_come_in_order_and_each_once() {
    let store = small();
    let queue = queue(&store);
    for n in 0..3000 {
        let item = if n % 2 == 0 { Value::Int(n) } else { long(n) };
        assert!(queue.put(&item, NOW).unwrap());
    }
    queue.verify().unwrap();
    assert_eq!(queue.len(), 3000);
    for n in 0..3000 {
        let item = if n % 2 == 0 { Value::Int(n) } else { long(n) };
        assert_eq!(queue.get(NOW).unwrap(), Some(item));
    }
    assert_eq!(queue.get(NOW).unwrap(), None);
    queue.verify().unwrap();
}

#[test]
fn a_stack_gives_the_last_item_first_and_a_bound_is_kept() {
    let store = small();
    let options = QueueOptions {
        most: 2,
        is_stack: true,
        ..QueueOptions::default()
    };
    let queue = store.queue(options).unwrap();
    assert!(queue.put(&1.into(), NOW).unwrap());
    assert!(queue.put(&2.into(), NOW).unwrap());
    assert!(!queue.put(&3.into(), NOW).unwrap());
    assert_eq!(queue.get(NOW).unwrap(), Some(2.into()));
    assert!(queue.put(&3.into(), NOW).unwrap());
    assert_eq!(queue.get(NOW).unwrap(), Some(3.into()));
}

#[test]
fn what_is_leased_comes_back_when_its_process_dies() {
    let store = small();
    let queue = joinable(&store);
    for n in 0..3 {
        queue.put(&long(n), NOW).unwrap();
    }
    let taker = queue.clone();
    let child = staying(|| {
        let (item, lease) = taker.lease(NOW).unwrap().unwrap();
        assert_eq!(item, long(0));
        assert!(!lease.is_again);
        let (_, second) = taker.lease(NOW).unwrap().unwrap();
        assert!(taker.done(&second).unwrap());
        assert!(!taker.done(&second).unwrap(), "a lease ends once");
    });
    queue.verify().unwrap();
    assert_eq!(queue.len(), 1);
    let (item, lease) = queue.lease(NOW).unwrap().unwrap();
    assert_eq!(item, long(2));
    assert!(queue.done(&lease).unwrap());
    assert_eq!(queue.get(NOW).unwrap(), None, "its process lives");
    assert!(!queue.join(NOW).unwrap());
    kill(child);
    let (item, lease) = queue.lease(WATCHDOG).unwrap().unwrap();
    assert_eq!(item, long(0));
    assert!(lease.is_again);
    assert!(queue.give_back(&lease).unwrap());
    assert!(!queue.done(&lease).unwrap());
    queue.verify().unwrap();
    let (_, lease) = queue.lease(NOW).unwrap().unwrap();
    assert!(queue.done(&lease).unwrap());
    assert!(queue.join(WATCHDOG).unwrap());
    queue.verify().unwrap();
}

#[test]
fn threads_pass_every_item_on_exactly_once() {
    const EACH: i64 = 5_000;
    let store = small();
    let options = QueueOptions {
        most: 64,
        ..QueueOptions::default()
    };
    let queue = store.queue(options).unwrap();
    let got = std::thread::scope(|scope| {
        for first in [0, EACH] {
            let queue = &queue;
            scope.spawn(move || {
                for n in first..first + EACH {
                    assert!(queue.put(&Value::Int(n), WATCHDOG).unwrap());
                }
            });
        }
        let takers = [(); 2].map(|()| {
            scope.spawn(|| {
                let took = (0..EACH).map(|_| queue.get(WATCHDOG).unwrap().unwrap());
                took.collect::<Vec<_>>()
            })
        });
        takers.map(|taker| taker.join().unwrap())
    });
    let mut all = HashSet::new();
    for took in got {
        let mut last = [-1; 2];
        for item in took {
            let Value::Int(n) = item else {
                panic!("{item:?}")
            };
            assert!(all.insert(n));
            let last = &mut last[usize::from(n >= EACH)];
            assert!(*last < n, "one producer's items come in order");
            *last = n;
        }
    }
    assert_eq!(all.len() as i64, 2 * EACH);
    queue.verify().unwrap();
}

#[test]
fn a_thread_that_ends_anywhere_leaves_an_operation_done_or_not_begun() {
    type Step = fn(&Queue);
    let steps: [(&str, Step, i64); 5] = [
        ("put", |queue| drop(queue.put(&long(7), NOW)), 1),
        ("get", |queue| drop(queue.get(NOW)), -1),
        ("lease", |queue| drop(queue.lease(NOW)), -1),
        (
            "lease and done",
            |queue| {
                let (_, lease) = queue.lease(NOW).unwrap().unwrap();
                assert!(queue.done(&lease).unwrap());
            },
            -1,
        ),
        (
            "lease and give back",
            |queue| {
                let (_, lease) = queue.lease(NOW).unwrap().unwrap();
                assert!(queue.give_back(&lease).unwrap());
            },
            0,
        ),
    ];
    let store = small();
    for (name, step, change) in steps {
        let mut stores = 1;
        loop {
            let queue = joinable(&store);
            for n in 0..4 {
                queue.put(&long(n), NOW).unwrap();
            }
            let is_done = in_thread(|| {
                end_thread_after(stores);
                step(&queue);
            });
            queue.verify().unwrap();
            let len = queue.len() as i64 - 4;
            assert!(
                len == 0 || len == change || name == "lease and give back" && len == -1,
                "{name}, after {stores} stores: {len}"
            );
            let item = queue.get(NOW).unwrap().unwrap();
            assert!(item == long(0) || item == long(1), "{item:?}");
            if is_done {
                assert_eq!(len, change, "{name}");
                break;
            }
            stores += 1;
        }
        assert!(stores > 3, "{name}");
    }
    assert_eq!(thread_stores_left(), 0);
}

#[test]
fn a_lock_keeps_others_out_and_is_given_back_by_anybody() {
    let store = small();
    let lock = store.lock().unwrap();
    assert_eq!(lock.acquire(NOW).unwrap(), Some(Took::Free));
    assert!(lock.is_held() && lock.is_held_here().unwrap());
    assert_eq!(lock.acquire(NOW).unwrap(), None, "it is taken once");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            assert!(!lock.is_held_here().unwrap());
            assert_eq!(lock.acquire(NOW).unwrap(), None);
            lock.release().unwrap();
        });
    });
    assert!(!lock.is_held());
    assert!(matches!(lock.release(), Err(ContainerError::NotHeld)));
}

#[test]
fn a_recursive_lock_is_its_threads_own() {
    let store = small();
    let lock = store.recursive_lock().unwrap();
    for _ in 0..3 {
        assert_eq!(lock.acquire(NOW).unwrap(), Some(Took::Free));
    }
    let elsewhere = || {
        std::thread::scope(|scope| {
            let other = scope.spawn(|| {
                assert!(matches!(lock.release(), Err(ContainerError::NotHeld)));
                let took = lock.acquire(NOW).unwrap();
                if took.is_some() {
                    lock.release().unwrap();
                }
                took
            });
            other.join().unwrap()
        })
    };
    for _ in 0..3 {
        assert_eq!(elsewhere(), None);
        lock.release().unwrap();
    }
    assert_eq!(elsewhere(), Some(Took::Free));
    assert_eq!(lock.deaths(), 0);
}

#[test]
fn the_lock_of_a_dead_process_is_taken_and_told() {
    let store = small();
    for is_recursive in [false, true] {
        let lock = if is_recursive {
            store.recursive_lock().unwrap()
        } else {
            store.lock().unwrap()
        };
        let child = staying(|| assert!(lock.acquire(NOW).unwrap().is_some()));
        assert_eq!(lock.acquire(NOW).unwrap(), None);
        kill(child);
        assert_eq!(lock.acquire(WATCHDOG).unwrap(), Some(Took::FromTheDead));
        assert_eq!(lock.deaths(), 1);
        lock.release().unwrap();
        assert!(!lock.is_held());
    }
}

#[test]
fn nobody_starves_behind_a_thread_that_takes_the_lock_again_at_once() {
    let store = small();
    let lock = store.lock().unwrap();
    let rounds = AtomicU64::new(0);
    let taken = AtomicU64::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..5 {
                assert!(lock.acquire(WATCHDOG).unwrap().is_some());
                taken.fetch_add(1, Ordering::SeqCst);
                lock.release().unwrap();
            }
        });
        scope.spawn(|| {
            // Gives it away only by the time it takes to take it again.
            while taken.load(Ordering::SeqCst) < 5 {
                assert!(lock.acquire(WATCHDOG).unwrap().is_some());
                rounds.fetch_add(1, Ordering::Relaxed);
                lock.release().unwrap();
            }
        });
    });
    assert!(!lock.is_held());
}

#[test]
fn units_are_counted_bounded_and_those_of_the_dead_come_back() {
    let store = small();
    let bounded = onecopy::shared::Semaphore::create(&store, 2, true).unwrap();
    assert_eq!(bounded.release(1).unwrap(), Released::TooMany);
    let child = staying(|| {
        assert!(bounded.acquire(NOW).unwrap());
        assert!(bounded.acquire(NOW).unwrap());
        assert!(!bounded.acquire(NOW).unwrap());
    });
    assert_eq!(bounded.units(), 0);
    kill(child);
    assert!(bounded.acquire(WATCHDOG).unwrap());
    assert_eq!((bounded.units(), bounded.deaths()), (1, 2));
    assert_eq!(bounded.release(1).unwrap(), Released::Yes);
    assert_eq!(bounded.release(1).unwrap(), Released::TooMany);
}

#[test]
fn units_that_are_signals_stay_taken() {
    let store = small();
    let signals = store.semaphore(0).unwrap();
    assert_eq!(signals.release(3).unwrap(), Released::Yes);
    kill(staying(|| assert!(signals.acquire(NOW).unwrap())));
    assert!(signals.acquire(NOW).unwrap());
    assert!(signals.acquire(NOW).unwrap());
    assert!(
        !signals.acquire(Some(Duration::from_millis(300))).unwrap(),
        "the dead one has used its signal"
    );
    // One that begins with units becomes one when a process gives back what it has not.
    let tickets = store.semaphore(1).unwrap();
    kill(staying(|| {
        assert_eq!(tickets.release(1).unwrap(), Released::Yes);
    }));
    assert_eq!(tickets.units(), 2);
}

#[test]
fn an_event_wakes_all_also_when_it_is_taken_back_at_once() {
    let store = small();
    let event = store.event().unwrap();
    assert!(!event.wait(NOW).unwrap());
    let waiting = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let waiters = [(); 3].map(|()| {
            scope.spawn(|| {
                waiting.fetch_add(1, Ordering::SeqCst);
                event.wait(WATCHDOG).unwrap()
            })
        });
        while waiting.load(Ordering::SeqCst) < 3 {
            std::thread::yield_now();
        }
        event.set().unwrap();
        for waiter in waiters {
            assert!(waiter.join().unwrap());
        }
    });
    assert!(event.is_set());
    event.clear().unwrap();
    assert!(!event.is_set());
}

/// Waits until something is so.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < WATCHDOG.unwrap(), "in vain: {what}");
        std::thread::yield_now();
    }
}

/// Takes the lock, waits for the condition and gives the lock back; whether it was woken.
fn wait_once(lock: &Mutex, condition: &Condition) -> bool {
    assert!(lock.acquire(WATCHDOG).unwrap().is_some());
    let woken = condition.wait(lock, WATCHDOG).unwrap();
    assert!(lock.is_held_here().unwrap());
    lock.release().unwrap();
    woken
}

#[test]
fn a_condition_wakes_as_many_as_it_is_told() {
    let store = small();
    let (lock, condition) = (store.lock().unwrap(), store.condition().unwrap());
    assert!(matches!(
        condition.wait(&lock, NOW),
        Err(ContainerError::NotHeld)
    ));
    std::thread::scope(|scope| {
        let waiters = [(); 2].map(|()| scope.spawn(|| wait_once(&lock, &condition)));
        until("both wait", || condition.waiting() == 2);
        assert_eq!(condition.notify(1).unwrap(), 1);
        assert_eq!(condition.notify(5).unwrap(), 1);
        for waiter in waiters {
            assert!(waiter.join().unwrap());
        }
    });
    let child = forked(|| assert!(wait_once(&lock, &condition)));
    until("a process waits", || condition.waiting() == 1);
    assert_eq!(condition.notify(1).unwrap(), 1);
    assert!(has_worked(child));
    assert_eq!(condition.waiting(), 0);
}

/// The first waiter ends after its n-th store, for each n: before it waits, while it does, after it was woken, while it takes
/// the lock again. Whoever waits next gets the wake-up that it had, and the lock. Only what it had got when its wait was
/// over died with it.
#[test]
fn what_a_dead_waiter_had_goes_to_the_next() {
    let store = small();
    // A lock that is lost with its thread.
    let lock = store.recursive_lock().unwrap();
    let condition = store.condition().unwrap();
    let mut is_done = false;
    let (mut stores, mut passed_on) = (0, 0);
    while !is_done {
        stores += 1;
        std::thread::scope(|scope| {
            let first = scope.spawn(|| {
                in_thread(|| {
                    end_thread_after(stores);
                    assert!(wait_once(&lock, &condition));
                    end_thread_after(0);
                })
            });
            until("the first one waits, or is dead", || {
                condition.waiting() == 1 || first.is_finished()
            });
            let next = scope.spawn(|| wait_once(&lock, &condition));
            until("the next one waits", || {
                let others = usize::from(!first.is_finished());
                assert_eq!(condition.notify(0).unwrap(), 0);
                condition.waiting() == others + 1
            });
            assert_eq!(condition.notify(1).unwrap(), 1, "after {stores} stores");
            is_done = first.join().unwrap();
            let got = condition.notify(1).unwrap();
            assert!(got == 1 || !is_done, "after {stores} stores");
            passed_on += 1 - got;
            assert!(next.join().unwrap(), "after {stores} stores");
        });
        assert_eq!(condition.waiting(), 0);
    }
    // But for the store that frees its place and those that give both locks back.
    assert!(passed_on > 10, "{passed_on} of {stores}");
}

#[test]
fn a_barrier_lets_all_go_on_at_once_and_again() {
    let store = small();
    let barrier = store.barrier(3).unwrap();
    let acted = AtomicU64::new(0);
    for round in 1..=20 {
        let mut numbers = std::thread::scope(|scope| {
            let parties = [(); 3].map(|()| {
                scope.spawn(|| match barrier.wait(WATCHDOG, true).unwrap() {
                    Turn::Act(round) => {
                        acted.fetch_add(1, Ordering::SeqCst);
                        barrier.finish(&round, true).unwrap();
                        round.number
                    }
                    Turn::Done(Passed::Yes(number)) => number,
                    Turn::Done(Passed::Broken) => panic!("broken"),
                })
            });
            parties.map(|party| party.join().unwrap())
        });
        numbers.sort_unstable();
        assert_eq!(numbers, [0, 1, 2]);
        assert_eq!(acted.load(Ordering::SeqCst), round);
    }
    assert_eq!(barrier.waiting(), 0);
}

#[test]
fn a_barrier_breaks_by_a_death_and_by_impatience_and_is_mended_by_reset() {
    let store = small();
    let barrier = store.barrier(3).unwrap();
    let stopped = staying(|| ());
    let waiting = forked(|| drop(barrier.wait(WATCHDOG, false)));
    until("it waits", || barrier.waiting() == 1);
    kill(waiting);
    let turn = barrier.wait(WATCHDOG, false).unwrap();
    assert_eq!(turn, Turn::Done(Passed::Broken));
    assert_eq!((barrier.is_broken(), barrier.deaths()), (true, 1));
    kill(stopped);
    barrier.reset().unwrap();
    let turn = barrier.wait(NOW, false).unwrap();
    assert_eq!(turn, Turn::Done(Passed::Broken), "nobody else came");
    assert_eq!(barrier.deaths(), 1);
    barrier.reset().unwrap();
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| barrier.wait(WATCHDOG, false).unwrap());
        until("it waits", || barrier.waiting() == 1);
        barrier.reset().unwrap();
        assert_eq!(waits.join().unwrap(), Turn::Done(Passed::Broken));
    });
    assert!(!barrier.is_broken());
}

#[test]
fn queues_and_locks_are_kept_by_what_they_are_in() {
    let store = small();
    let (queue, list) = (queue(&store), store.list().unwrap());
    for n in 0..3 {
        let inner = store.queue(QueueOptions::default()).unwrap();
        inner.put(&long(n), NOW).unwrap();
        let reference = Value::Reference(inner.reference());
        assert!(queue.put(&reference, NOW).unwrap());
        list.append(&reference).unwrap();
    }
    queue.verify().unwrap();
    let objects = || store.stats().unwrap().containers;
    assert_eq!(objects(), 5);
    list.clear().unwrap();
    // Two are taken, one of them for a lease; all that is left of the third is that it is in the queue.
    let (first, lease) = queue.lease(NOW).unwrap().unwrap();
    let second = queue.get(NOW).unwrap().unwrap();
    queue.verify().unwrap();
    for (n, item) in [(0, &first), (1, &second)] {
        let Value::Reference(reference) = item else {
            panic!("{item:?}")
        };
        let inner = Queue::of_reference(reference).unwrap().unwrap();
        assert_eq!(inner.get(NOW).unwrap(), Some(long(n)));
    }
    assert_eq!(objects(), 5);
    drop((first, second));
    assert_eq!(objects(), 4, "the leased one is kept");
    assert!(queue.done(&lease).unwrap());
    assert_eq!(objects(), 3);
    queue.verify().unwrap();
    drop(queue);
    assert_eq!(objects(), 1);
}

#[test]
fn a_lock_that_somebody_else_has_given_back_is_nobodys() {
    let store = small();
    let lock = store.lock().unwrap();
    lock.acquire(NOW).unwrap();
    std::thread::scope(|scope| {
        // Starves, and gives up.
        let waiter = scope.spawn(|| lock.acquire(Some(Duration::from_millis(400))).unwrap());
        // Given back twice, as anybody may; whoever has it in between is not the waiter.
        while !waiter.is_finished() {
            if lock.is_held() {
                lock.release().unwrap();
            }
            lock.acquire(NOW).unwrap();
            std::thread::yield_now();
        }
        if waiter.join().unwrap().is_some() {
            return;
        }
        // The waiter has left no trace.
        assert!(lock.is_held_here().unwrap() || lock.acquire(WATCHDOG).unwrap().is_some());
    });
}

#[test]
fn a_waiter_that_dies_has_never_had_the_lock() {
    let store = small();
    let lock = store.lock().unwrap();
    lock.acquire(NOW).unwrap();
    let waiting = forked(|| drop(lock.acquire(WATCHDOG)));
    // It has asked others to stand back by then, or not: both are right.
    std::thread::sleep(Duration::from_millis(60));
    kill(waiting);
    lock.release().unwrap();
    assert_eq!(lock.acquire(WATCHDOG).unwrap(), Some(Took::Free));
    assert_eq!(lock.deaths(), 0);
}

#[test]
fn the_last_one_to_come_finds_who_has_died_before() {
    let store = small();
    let barrier = store.barrier(2).unwrap();
    let waiting = forked(|| drop(barrier.wait(WATCHDOG, false)));
    until("it waits", || barrier.waiting() == 1);
    kill(waiting);
    let turn = barrier.wait(WATCHDOG, false).unwrap();
    assert_eq!(turn, Turn::Done(Passed::Broken));
    assert_eq!(barrier.deaths(), 1);
}

#[test]
fn an_action_of_a_round_that_was_reset_ends_no_other() {
    let store = small();
    let barrier = store.barrier(1).unwrap();
    let Turn::Act(old) = barrier.wait(NOW, true).unwrap() else {
        panic!("alone it is the last")
    };
    barrier.reset().unwrap();
    let Turn::Act(new) = barrier.wait(NOW, true).unwrap() else {
        panic!("a new round")
    };
    barrier.finish(&old, false).unwrap();
    assert!(!barrier.is_broken());
    barrier.finish(&new, true).unwrap();
    assert_eq!(
        barrier.wait(NOW, false).unwrap(),
        Turn::Done(Passed::Yes(0))
    );
}

#[test]
fn a_bounded_semaphore_of_nothing_stays_so() {
    let store = small();
    let nothing = onecopy::shared::Semaphore::create(&store, 0, true).unwrap();
    assert_eq!(nothing.release(1).unwrap(), Released::TooMany);
    assert!(nothing.is_bounded());
}

#[test]
fn many_units_are_taken_and_given_back_in_one_step() {
    const MANY: u64 = 100_000;
    let store = small();
    let units = onecopy::shared::Semaphore::create(&store, MANY, true).unwrap();
    let child = staying(|| {
        for _ in 0..MANY {
            assert!(units.acquire(NOW).unwrap());
        }
        assert!(!units.acquire(NOW).unwrap());
        assert_eq!(units.release(MANY / 2).unwrap(), Released::Yes);
    });
    assert_eq!(units.units(), MANY / 2);
    kill(child);
    for _ in 0..=MANY / 2 {
        assert!(units.acquire(WATCHDOG).unwrap());
    }
    assert_eq!(units.deaths(), MANY / 2);
    assert_eq!(units.release(MANY / 2 + 1).unwrap(), Released::Yes);
    assert_eq!(units.units(), MANY);
}

#[test]
fn a_semaphore_of_more_units_than_can_be_given_back_is_refused() {
    let store = small();
    for units in [u64::from(u32::MAX) + 1, u64::MAX] {
        for is_bounded in [false, true] {
            let made = onecopy::shared::Semaphore::create(&store, units, is_bounded);
            let is_refused = matches!(made, Err(ContainerError::Full { what: "units", .. }));
            assert!(is_refused, "{units}");
        }
    }
    let most = onecopy::shared::Semaphore::create(&store, u32::MAX.into(), true).unwrap();
    assert_eq!(most.release(1).unwrap(), Released::TooMany);
    assert!(most.acquire(NOW).unwrap());
    assert_eq!(most.release(1).unwrap(), Released::Yes);
}

#[test]
fn who_comes_while_the_last_one_acts_breaks_no_round() {
    let store = small();
    let barrier = store.barrier(2).unwrap();
    std::thread::scope(|scope| {
        let first = scope.spawn(|| barrier.wait(WATCHDOG, true).unwrap());
        until("it waits", || barrier.waiting() == 1);
        let Turn::Act(round) = barrier.wait(WATCHDOG, true).unwrap() else {
            panic!("it is the last")
        };
        // Of the next round, and without patience: it leaves.
        let early = barrier.wait(NOW, true).unwrap();
        assert_eq!(early, Turn::Done(Passed::Broken));
        barrier.finish(&round, true).unwrap();
        assert_eq!(first.join().unwrap(), Turn::Done(Passed::Yes(0)));
    });
    assert!(!barrier.is_broken());
}
