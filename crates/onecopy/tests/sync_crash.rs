//! What semaphores, locks and barriers are after a process that used them ended behind any of its stores: every unit is there
//! once, every lock is to be had, and nobody passes a barrier with a dead party.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use onecopy::shared::{Barrier, Mutex, Passed, QueueOptions, Released, Semaphore, Took, Turn};
use onecopy::testing::{end_thread_after, in_thread};
use onecopy::{Store, Value};
use rustix::process::{Pid, WaitOptions, waitpid};

const NOW: Option<Duration> = Some(Duration::ZERO);
/// Ends what hangs; nothing is decided by it.
const WATCHDOG: Option<Duration> = Some(Duration::from_mins(2));

fn small() -> Store {
    Store::options().capacity_bytes(1 << 30).create().unwrap()
}

/// Runs `work` in a process of its own, which ends behind the `stores`-th store; whether it came to its end.
fn ends_after(stores: u64, work: impl Fn() + Send + Sync) -> bool {
    // SAFETY: the child only does `work` in a thread, and nothing in it waits for a lock of the standard library that
    // another thread of the parent may have held. It does not unwind into the harness.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let done = catch_unwind(AssertUnwindSafe(|| {
            in_thread(|| {
                end_thread_after(stores);
                // A panic must not leave the thread's C function.
                if catch_unwind(AssertUnwindSafe(&work)).is_err() {
                    // SAFETY: ends this process, without what the parent wants done at its own end.
                    unsafe { libc::_exit(3) };
                }
            })
        }));
        let code = match done {
            Ok(true) => 0,
            Ok(false) => 1,
            Err(_) => 3,
        };
        // SAFETY: ends this process, without what the parent wants done at its own end.
        unsafe { libc::_exit(code) };
    }
    let child = Pid::from_raw(pid).expect("a process can be forked");
    let (_, status) = waitpid(Some(child), WaitOptions::empty()).unwrap().unwrap();
    match status.exit_status() {
        Some(0) => true,
        Some(1) => false,
        _ => panic!("{status:?} after {stores} stores"),
    }
}

/// Calls `check` with 1, 2, 3 … until it says that the work came to its end; how many stores that takes.
fn behind_every_store(mut check: impl FnMut(u64) -> bool) -> u64 {
    let end = (1..200).find(|stores| check(*stores));
    end.expect("the work ends within 200 stores") - 1
}

/// All units are to be had, and no more.
fn has_all(semaphore: &Semaphore, units: u64) {
    for _ in 0..units {
        assert!(semaphore.acquire(WATCHDOG).unwrap());
    }
    assert!(!semaphore.acquire(NOW).unwrap(), "one too many");
    assert_eq!(semaphore.release(units).unwrap(), Released::Yes);
    if semaphore.is_bounded() {
        assert_eq!(semaphore.release(1).unwrap(), Released::TooMany);
    }
}

#[test]
fn no_unit_is_lost_or_made_by_an_end_anywhere() {
    type Step = fn(&Semaphore);
    let steps: [(&str, Step); 4] = [
        ("acquire", |units| assert!(units.acquire(NOW).unwrap())),
        ("acquire twice", |units| {
            assert!(units.acquire(NOW).unwrap());
            assert!(units.acquire(NOW).unwrap());
        }),
        ("acquire and release", |units| {
            assert!(units.acquire(NOW).unwrap());
            units.release(1).unwrap();
        }),
        ("two acquired, one released", |units| {
            assert!(units.acquire(NOW).unwrap());
            assert!(units.acquire(NOW).unwrap());
            units.release(1).unwrap();
        }),
    ];
    let store = small();
    for (name, step) in steps {
        for is_bounded in [false, true] {
            let units = Semaphore::create(&store, 2, is_bounded).unwrap();
            let most = behind_every_store(|stores| {
                let is_done = ends_after(stores, || step(&units));
                has_all(&units, 2);
                is_done
            });
            assert!(most > 3, "{name}");
        }
    }
}

#[test]
fn who_frees_the_units_of_the_dead_may_die_as_well() {
    let store = small();
    let units = Semaphore::create(&store, 2, true).unwrap();
    let take_both = || {
        assert!(units.acquire(WATCHDOG).unwrap());
        assert!(units.acquire(WATCHDOG).unwrap());
    };
    behind_every_store(|stores| {
        assert!(ends_after(0, take_both));
        let is_done = ends_after(stores, || assert!(units.acquire(WATCHDOG).unwrap()));
        has_all(&units, 2);
        is_done
    });
}

/// Somebody gets the lock, and he alone.
fn is_to_be_had(lock: &Mutex) -> Took {
    let took = lock.acquire(WATCHDOG).unwrap().unwrap();
    std::thread::scope(|scope| {
        let other = scope.spawn(|| lock.acquire(NOW).unwrap());
        assert_eq!(other.join().unwrap(), None);
    });
    lock.release().unwrap();
    assert!(!lock.is_held());
    took
}

#[test]
fn no_lock_is_lost_by_an_end_anywhere() {
    type Step = fn(&Mutex);
    let steps: [(&str, Step); 3] = [
        ("acquire", |lock| {
            assert!(lock.acquire(NOW).unwrap().is_some());
        }),
        ("acquire and release", |lock| {
            assert!(lock.acquire(NOW).unwrap().is_some());
            lock.release().unwrap();
        }),
        ("take from the dead", |lock| {
            assert!(lock.acquire(WATCHDOG).unwrap().is_some());
        }),
    ];
    let store = small();
    for (name, step) in steps {
        for is_recursive in [false, true] {
            let lock = Mutex::create(&store, is_recursive).unwrap();
            let mut before = 0;
            behind_every_store(|stores| {
                if name == "take from the dead" {
                    assert!(ends_after(0, || drop(lock.acquire(WATCHDOG))));
                }
                let is_done = ends_after(stores, || step(&lock));
                let took = is_to_be_had(&lock);
                if is_done && name == "acquire and release" {
                    assert_eq!(took, Took::Free, "{name}");
                } else if is_done {
                    assert_eq!(took, Took::FromTheDead, "{name}");
                }
                assert!(lock.deaths() - before <= 2, "a death is counted once");
                before = lock.deaths();
                is_done
            });
        }
    }
}

#[test]
fn a_lock_stays_taken_when_the_thread_that_took_it_ends_and_a_recursive_one_is_told_lost() {
    let store = small();
    let lock = store.lock().unwrap();
    assert!(in_thread(|| assert!(lock.acquire(NOW).unwrap().is_some())));
    assert!(lock.is_held(), "its process lives");
    assert_eq!(lock.acquire(NOW).unwrap(), None);
    // Any other thread may give it back.
    lock.release().unwrap();
    assert_eq!(is_to_be_had(&lock), Took::Free);
    assert_eq!(lock.deaths(), 0);
    // It is lost with its process.
    assert!(ends_after(0, || {
        assert!(in_thread(|| assert!(lock.acquire(NOW).unwrap().is_some())));
    }));
    assert_eq!(is_to_be_had(&lock), Took::FromTheDead);
    assert_eq!(lock.deaths(), 1);
    // Nobody else could ever give this one back.
    let own = store.recursive_lock().unwrap();
    assert!(in_thread(|| assert!(own.acquire(NOW).unwrap().is_some())));
    assert!(!own.is_held());
    assert_eq!(is_to_be_had(&own), Took::FromTheDead);
    assert_eq!(own.deaths(), 1);
}

#[test]
fn who_waits_for_an_item_gets_what_a_dead_process_has_put() {
    let store = small();
    let options = QueueOptions {
        counts: true,
        ..QueueOptions::default()
    };
    let queue = store.queue(options).unwrap();
    let item = Value::Str("a text that needs a block".into());
    // The first sleep is shorter: there is a look after it, however long it takes.
    let a_while = Some(Duration::from_millis(12));
    behind_every_store(|stores| {
        let is_done = ends_after(stores, || assert!(queue.put(&item, NOW).unwrap()));
        let got = queue.get(a_while).unwrap();
        // Takes the lock, and so finishes whatever was begun.
        queue.verify().unwrap();
        assert!(queue.is_empty(), "missed behind {stores} stores");
        assert!(!is_done || got == Some(item.clone()));
        is_done
    });
}

fn pass(barrier: &Barrier) -> Turn {
    match barrier.wait(WATCHDOG, true).unwrap() {
        Turn::Act(round) => {
            barrier.finish(&round, true).unwrap();
            Turn::Done(Passed::Yes(round.number))
        }
        done @ Turn::Done(_) => done,
    }
}

const BROKEN: Turn = Turn::Done(Passed::Broken);

/// Two who live pass it.
fn works(barrier: &Barrier) {
    barrier.reset().unwrap();
    std::thread::scope(|scope| {
        let other = scope.spawn(|| pass(barrier));
        let turns = [pass(barrier), other.join().unwrap()];
        assert!(!turns.contains(&BROKEN), "{turns:?}");
    });
}

#[test]
fn who_comes_to_a_barrier_after_one_that_died_there_never_passes() {
    let store = small();
    let barrier = store.barrier(2).unwrap();
    let mut came = 0;
    // It waits in vain at last, and breaks the barrier.
    behind_every_store(|stores| {
        let is_done = ends_after(stores, || {
            assert_eq!(barrier.wait(NOW, false).unwrap(), BROKEN);
        });
        came += barrier.waiting();
        // Zero waiting: it had not come, and this one waits in vain.
        let patience = if barrier.waiting() == 0 {
            NOW
        } else {
            WATCHDOG
        };
        assert_eq!(barrier.wait(patience, false).unwrap(), BROKEN);
        works(&barrier);
        is_done
    });
    assert!(came > 0, "some died while they waited");
}

#[test]
fn nobody_passes_a_barrier_with_one_that_died_as_the_last() {
    let store = small();
    let barrier = store.barrier(2).unwrap();
    let (mut passed, mut broken) = (0, 0);
    behind_every_store(|stores| {
        let turns = std::thread::scope(|scope| {
            let first = scope.spawn(|| pass(&barrier));
            while barrier.waiting() == 0 {
                std::thread::yield_now();
            }
            let is_done = ends_after(stores, || assert_ne!(pass(&barrier), BROKEN));
            // It had not come: then this is the second.
            let second = (barrier.waiting() == 1 && !barrier.is_broken()).then(|| pass(&barrier));
            let first = first.join().unwrap();
            if let Some(second) = second {
                assert_eq!(first == BROKEN, second == BROKEN, "both or none");
            }
            assert!(!is_done || first != BROKEN);
            (is_done, first)
        });
        passed += u64::from(turns.1 != BROKEN);
        broken += u64::from(turns.1 == BROKEN);
        works(&barrier);
        turns.0
    });
    assert!(passed > 0 && broken > 0);
}

#[test]
fn children_that_have_ended_leave_their_place_to_the_next() {
    let store = small();
    let list = store.list().unwrap();
    // More than a store of this size has places for processes, and nothing else is done meanwhile.
    for _ in 0..300 {
        assert!(ends_after(0, || list.append(&Value::Int(1)).unwrap()));
    }
    assert_eq!(list.len().unwrap(), 300);
}
