//! Worker processes in every way in which they can end. The test harness has threads, so most tests
//! allow them; what needs a process without threads runs in a forked one.

use std::cell::Cell;
use std::io::{Read as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use onecopy::fork::{ForkError, Running, Worker, WorkerError, Workers};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Long enough for anything that is not stuck.
const WATCHDOG: Duration = Duration::from_mins(2);

/// Sends a signal to a worker.
fn kill(pid: u32, signal: i32) {
    // SAFETY: kill(2) touches no memory. `pid` is a worker that was not waited for, so the number is still its own.
    let sent = unsafe { libc::kill(pid.cast_signed(), signal) };
    assert_eq!(sent, 0, "{}", std::io::Error::last_os_error());
}

/// Leaves the process as a program does that runs nothing at its end.
fn exit_now(code: i32) -> ! {
    // SAFETY: _exit(2) never returns and touches no memory.
    unsafe { libc::_exit(code) }
}

fn workers(count: usize) -> Workers {
    Workers::new(count).allow_threads(true).timeout(WATCHDOG)
}

/// Runs one worker and returns why it failed.
fn failure<T: Serialize + DeserializeOwned + std::fmt::Debug>(
    work: impl Fn(&Worker) -> T,
) -> WorkerError {
    let mut results = workers(1).start(work).unwrap().join().unwrap();
    results.pop().unwrap().unwrap_err()
}

fn is_listed(pid: u32) -> bool {
    std::path::Path::new(&format!("/proc/{pid}")).exists()
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let until = Instant::now() + WATCHDOG;
    while !condition() {
        assert!(Instant::now() < until, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn state(pid: u32) -> Option<char> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    text[text.rfind(')')? + 2..].chars().next()
}

/// Runs `check` in a worker, which is a process without other threads.
fn in_a_process_of_one_thread(check: impl Fn()) {
    workers(1).map(|_| check()).unwrap().pop().unwrap().unwrap();
}

#[test]
fn workers_read_the_parents_memory_and_answer_in_order() {
    let data: Vec<u64> = (0..1000).collect();
    let sums = workers(4)
        .map(|index| data[index * 250..][..250].iter().sum::<u64>())
        .unwrap();
    let sums: Vec<u64> = sums.into_iter().map(Result::unwrap).collect();
    assert_eq!(sums, [31_125, 93_625, 156_125, 218_625]);
}

#[test]
fn what_a_worker_writes_stays_its_own() {
    let cell = Cell::new(1);
    let seen = workers(3).map(|index| {
        cell.set(cell.get() + index);
        cell.get()
    });
    let seen: Vec<usize> = seen.unwrap().into_iter().map(Result::unwrap).collect();
    assert_eq!((seen, cell.get()), (vec![1, 2, 3], 1));
}

fn family_store() -> onecopy::Store {
    let options = onecopy::Store::options().capacity_bytes(1 << 36);
    options.create().unwrap()
}

/// `make torture` sets FORKS to 5,000.
#[test]
fn children_one_after_another_leave_nothing_in_the_store() {
    let forks = std::env::var("FORKS").map_or(60, |text| text.parse().unwrap());
    in_a_process_of_one_thread(|| {
        let store = family_store();
        let shared = store.share_slice(&[1u64, 2, 3]).unwrap();
        let before = store.stats().unwrap().occupied_bytes;
        for _ in 0..forks {
            let seen = workers(1).map(|_| shared[2]).unwrap();
            assert_eq!(seen[0].as_ref().unwrap(), &3);
        }
        let left = store.stats().unwrap().occupied_bytes - before;
        assert!(left <= 128 << 10, "{forks} forks leave {left} bytes");
        store.verify().unwrap();
    });
}

#[test]
fn what_children_at_the_same_time_have_left_is_collected() {
    in_a_process_of_one_thread(|| {
        let store = family_store();
        // So many handles that a child's table has more than a page.
        let views: Vec<_> = (0..600u64)
            .map(|number| store.share_slice(&[number]).unwrap())
            .collect();
        let before = store.stats().unwrap().occupied_bytes;
        let mut running = workers(40)
            .start(|worker| {
                let number = views[worker.index()][0];
                worker.pause();
                number
            })
            .unwrap();
        assert_eq!(running.wait_paused().unwrap(), 40);
        let with_all = store.stats().unwrap();
        assert_eq!(with_all.processes, 41);
        assert!(with_all.occupied_bytes >= before + 40 * 8192);
        drop(running);
        assert_eq!(store.collect(None).unwrap().processes, 40);
        let left = store.stats().unwrap().occupied_bytes.saturating_sub(before);
        assert!(left <= 64 << 10, "{left} bytes are left");
        store.verify().unwrap();
    });
}

#[test]
fn no_workers_is_no_work() {
    assert!(
        onecopy::fork::Workers::new(0)
            .allow_threads(true)
            .map(|_| ())
            .unwrap()
            .is_empty()
    );
}

#[test]
fn results_of_a_hundred_mebibytes_do_not_block_each_other() {
    let fill = |index: usize| ["a", "b", "c"][index].repeat(100 << 20);
    let results = workers(3).map(fill).unwrap();
    for (index, result) in results.into_iter().enumerate() {
        assert!(result.unwrap() == fill(index), "result {index} differs");
    }
}

#[test]
fn a_panic_arrives_with_message_and_place_and_the_others_with_results() {
    let line = line!() + 2;
    let results = workers(3).map(|index| {
        assert!(index != 1, "worker {index} cannot go on");
        index
    });
    let results = results.unwrap();
    assert_eq!(results[0].as_ref().unwrap(), &0);
    assert_eq!(results[2].as_ref().unwrap(), &2);
    let error = results[1].as_ref().unwrap_err();
    let WorkerError::Panicked {
        worker,
        message,
        place: Some(place),
    } = error
    else {
        panic!("{error}")
    };
    assert_eq!(
        (worker.index, message.as_str()),
        (1, "worker 1 cannot go on")
    );
    assert_eq!((place.file.as_str(), place.line), (file!(), line));
    let text = error.to_string();
    assert!(
        text.contains("worker 1 (process ") && text.contains("tests/fork.rs:"),
        "{text}"
    );
}

/// Panics when it is dropped.
struct Bomb;
impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("in a destructor")
    }
}

#[test]
fn panics_without_text_or_without_hook_arrive_too() {
    let error = failure::<()>(|_| std::panic::panic_any(7_u8));
    assert!(
        matches!(&error, WorkerError::Panicked { place: Some(_), .. }),
        "{error}"
    );
    let error = failure::<()>(|_| std::panic::resume_unwind(Box::new("thrown")));
    assert!(
        matches!(&error, WorkerError::Panicked { message, place: None, .. } if message == "thrown"),
        "{error}"
    );
    let error = failure(|_| drop(Bomb));
    assert!(error.to_string().contains("in a destructor"), "{error}");
    // A second panic while the first unwinds aborts the process: it is reported as what it is.
    let error = failure::<()>(|_| {
        let _bomb = Bomb;
        panic!("first")
    });
    assert!(
        matches!(
            error,
            WorkerError::Signaled {
                signal: libc::SIGABRT,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn a_panic_that_the_closure_catches_is_its_own_affair() {
    let results = workers(1).map(|_| std::panic::catch_unwind(|| panic!("caught")).is_err());
    assert!(results.unwrap().pop().unwrap().unwrap());
}

#[test]
fn panics_print_nothing_and_output_is_written_once() {
    // The harness captures what tests print, so the output of a process of its own is looked at.
    let program = std::env::current_exe().unwrap();
    let output = std::process::Command::new(program)
        .args([
            "--exact",
            "--nocapture",
            "--ignored",
            "prints_from_parent_and_workers",
        ])
        .output()
        .unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{stdout}\n{stderr}");
    for (text, times) in [
        ("before the fork", 1),
        ("from a worker", 2),
        ("not quite", 1),
    ] {
        assert_eq!(stdout.matches(text).count(), times, "{text:?} in {stdout}");
    }
    assert!(
        !stderr.contains("panicked") && !stdout.contains("quiet"),
        "{stdout}\n{stderr}"
    );
}

#[test]
#[ignore = "run by panics_print_nothing_and_output_is_written_once"]
fn prints_from_parent_and_workers() {
    let mut out = std::io::stdout();
    write!(out, "before the fork, no newline").unwrap();
    let results = workers(3).map(|index| {
        if index == 2 {
            write!(std::io::stdout(), "not quite ").unwrap();
            panic!("quiet");
        }
        write!(std::io::stdout(), " from a worker ").unwrap();
    });
    assert!(matches!(
        results.unwrap()[2],
        Err(WorkerError::Panicked { .. })
    ));
}

fn assert_killed(error: &WorkerError) {
    let is_killed =
        matches!(error, WorkerError::Signaled { signal, .. } if *signal == libc::SIGKILL);
    assert!(is_killed, "{error}");
}

#[test]
fn a_killed_worker_is_reported_with_its_signal() {
    let error = failure(|_| {
        kill(std::process::id(), libc::SIGKILL);
    });
    assert_killed(&error);
    assert!(error.to_string().contains("SIGKILL (signal 9)"), "{error}");
    // Rust's own handler, which looks for overflows of the stack, lets the first one pass.
    let error = failure::<()>(|_| {
        loop {
            kill(std::process::id(), libc::SIGSEGV);
        }
    });
    assert!(
        matches!(
            error,
            WorkerError::Signaled {
                signal: libc::SIGSEGV,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn exits_are_reported_with_their_code_even_zero() {
    for code in [3, 0] {
        let error = failure::<()>(|_| exit_now(code));
        assert!(
            matches!(error, WorkerError::Exited { code: found, .. } if found == code),
            "{error}"
        );
    }
}

#[test]
fn a_worker_that_takes_too_long_is_killed_and_reaped() {
    // The other one is done in time, which on a busy machine may be much.
    let is_done_in = |limit| {
        let running = workers(2).timeout(limit).start(|worker| {
            if worker.index() == 1 {
                loop {
                    std::thread::sleep(WATCHDOG);
                }
            }
        });
        let running = running.unwrap();
        let pids = running.pids();
        let results = running.join().unwrap();
        assert!(
            matches!(results[1], Err(WorkerError::TimedOut { timeout, .. }) if timeout == limit),
            "{results:?}"
        );
        assert!(pids.into_iter().all(|pid| !is_listed(pid)));
        results[0].is_ok()
    };
    let mut limits = [50, 500, 5_000, 120_000]
        .map(Duration::from_millis)
        .into_iter();
    assert!(limits.any(is_done_in));
}

#[test]
fn a_timeout_reaches_workers_that_pause() {
    let mut running = workers(2)
        .timeout(Duration::from_millis(50))
        .start(|worker| {
            if worker.index() == 0 {
                worker.pause();
                worker.pause();
            }
            loop {
                std::thread::sleep(WATCHDOG);
            }
        })
        .unwrap();
    assert!(running.wait_paused().unwrap() <= 1);
    let results: Vec<Result<(), _>> = running.join().unwrap();
    assert!(
        results
            .iter()
            .all(|result| matches!(result, Err(WorkerError::TimedOut { .. })))
    );
}

#[test]
fn a_result_cut_off_by_an_exit_is_torn() {
    extern "C" fn leave(_signal: i32) {
        exit_now(0);
    }
    // Nobody reads yet, so the worker fills the pipe and blocks in the middle of its result.
    let running: Running<String> = workers(1)
        .start(|_| {
            // SAFETY: the handler has the type that signal(2) asks for, and calls _exit(2) alone, which it may.
            unsafe { libc::signal(libc::SIGUSR1, leave as *const () as libc::sighandler_t) };
            "x".repeat(10 << 20)
        })
        .unwrap();
    let pid = running.pids()[0];
    let in_write = || {
        std::fs::read_to_string(format!("/proc/{pid}/syscall"))
            .is_ok_and(|text| text.starts_with(&format!("{} ", libc::SYS_write)))
    };
    wait_until("the pipe is full", || in_write() && state(pid) == Some('S'));
    kill(pid, libc::SIGUSR1);
    wait_until("the worker has left", || state(pid) == Some('Z'));
    let error = running.join().unwrap().pop().unwrap().unwrap_err();
    let WorkerError::Torn {
        code: 0,
        expected_bytes,
        received_bytes,
        ..
    } = error
    else {
        panic!("{error}")
    };
    assert!(expected_bytes.0.unwrap() > 10 << 20);
    assert!(
        received_bytes > 0 && received_bytes < 10 << 20,
        "{received_bytes}"
    );
}

#[test]
fn a_result_cut_off_by_a_kill_is_a_death_by_signal() {
    let running: Running<String> = workers(1).start(|_| "x".repeat(10 << 20)).unwrap();
    let pid = running.pids()[0];
    kill(pid, libc::SIGKILL);
    let error = running.join().unwrap().pop().unwrap().unwrap_err();
    assert_killed(&error);
}

#[derive(Debug, Deserialize)]
struct Stubborn;
impl Serialize for Stubborn {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("I will not"))
    }
}

#[derive(Debug, Serialize)]
struct OneWay(u8);
impl<'de> Deserialize<'de> for OneWay {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(serde::de::Error::custom("no way back"))
    }
}

#[test]
fn results_that_serde_cannot_carry_are_errors_of_their_own() {
    let error = failure(|_| Stubborn);
    assert!(matches!(error, WorkerError::Encode { .. }), "{error}");
    let error = failure(|_| OneWay(1));
    assert!(matches!(error, WorkerError::Decode { .. }), "{error}");
}

#[test]
fn a_process_that_a_worker_leaves_behind_does_not_keep_its_parent_waiting() {
    let results = workers(1).map(|_| {
        // SAFETY: a worker has one thread, and its child does nothing but pause.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            // Holds the result pipe open until somebody kills it.
            loop {
                // SAFETY: pause(2) touches no memory.
                unsafe { libc::pause() };
            }
        }
        pid
    });
    let left_behind = results.unwrap().pop().unwrap().unwrap();
    // Its parent is gone and nobody has killed it: the number is still its own.
    kill(left_behind.cast_unsigned(), libc::SIGKILL);
}

#[test]
fn paused_workers_can_be_looked_at_together_and_go_on() {
    let mut running = workers(3)
        .start(|worker| {
            worker.pause();
            worker.pause();
            worker.index() * 10 + worker.count()
        })
        .unwrap();
    for _ in 0..2 {
        assert_eq!(running.wait_paused().unwrap(), 3);
        assert_eq!(running.wait_paused().unwrap(), 3);
        assert!(running.pids().into_iter().all(is_listed));
        running.resume().unwrap();
    }
    let results: Vec<usize> = running
        .join()
        .unwrap()
        .into_iter()
        .map(Result::unwrap)
        .collect();
    assert_eq!(results, [3, 13, 23]);
}

#[test]
fn a_worker_that_dies_while_others_pause_is_not_waited_for() {
    let mut running = workers(3)
        .start(|worker| {
            assert!(worker.index() != 1, "gone");
            worker.pause();
        })
        .unwrap();
    assert_eq!(running.wait_paused().unwrap(), 2);
    // Killed in its pause: going on is no error and no SIGPIPE.
    let victim = running.pids()[0];
    kill(victim, libc::SIGKILL);
    let results = running.join().unwrap();
    assert!(
        matches!(results[0], Err(WorkerError::Signaled { .. })),
        "{results:?}"
    );
    assert!(
        matches!(results[1], Err(WorkerError::Panicked { .. })),
        "{results:?}"
    );
    assert!(results[2].is_ok());
}

#[test]
fn joining_lets_each_paused_worker_go_on_without_the_others() {
    let (reader, writer) = std::io::pipe().unwrap();
    let running = workers(2).start(|worker| {
        let mut byte = [0];
        if worker.index() == 0 {
            worker.pause();
            (&writer).write_all(&[7]).unwrap();
        } else {
            (&reader).read_exact(&mut byte).unwrap();
        }
        byte[0]
    });
    let results: Vec<u8> = running
        .unwrap()
        .join()
        .unwrap()
        .into_iter()
        .map(Result::unwrap)
        .collect();
    assert_eq!(results, [0, 7]);
}

#[test]
fn dropping_the_running_workers_kills_and_reaps_them() {
    let running = workers(3)
        .start(|_| {
            loop {
                std::thread::sleep(WATCHDOG);
            }
        })
        .unwrap();
    let running: Running<()> = running;
    let pids = running.pids();
    assert!(pids.iter().all(|pid| is_listed(*pid)));
    drop(running);
    assert!(pids.iter().all(|pid| !is_listed(*pid)));
}

#[test]
fn workers_die_with_their_parent() {
    let (reader, writer) = std::io::pipe().unwrap();
    let parents: Running<()> = workers(1)
        .start(|_| {
            let running: Running<()> = workers(2)
                .start(|_| {
                    loop {
                        std::thread::sleep(WATCHDOG);
                    }
                })
                .unwrap();
            let pids: Vec<String> = running.pids().iter().map(ToString::to_string).collect();
            (&writer)
                .write_all((pids.join(" ") + "\n").as_bytes())
                .unwrap();
            loop {
                std::thread::sleep(WATCHDOG);
            }
        })
        .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(reader), &mut line).unwrap();
    let pids: Vec<u32> = line
        .split_whitespace()
        .map(|pid| pid.parse().unwrap())
        .collect();
    assert_eq!(pids.len(), 2);
    // Killed, not asked: nothing of the parent's own code can end its workers.
    drop(parents);
    for pid in pids {
        wait_until("the workers are dead", || {
            matches!(state(pid), None | Some('Z' | 'X'))
        });
    }
}

#[test]
fn a_process_with_threads_is_refused_and_told_why() {
    in_a_process_of_one_thread(|| {
        assert_eq!(
            onecopy::fork::map(1, |_| 5)
                .unwrap()
                .pop()
                .unwrap()
                .unwrap(),
            5
        );
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let other = scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    std::thread::park();
                }
            });
            let error = onecopy::fork::map(1, |_| ()).unwrap_err();
            assert!(
                matches!(error, ForkError::Threads { thread_count: 2 }),
                "{error}"
            );
            assert!(error.to_string().contains("allow_threads(true)"), "{error}");
            stop.store(true, Ordering::Relaxed);
            other.thread().unpark();
        });
        // The joined thread may still be on the kernel's list for an instant.
        for _ in 0..200 {
            std::thread::spawn(|| ()).join().unwrap();
            onecopy::fork::map(1, |_| ()).unwrap();
        }
    });
}

#[test]
fn nothing_is_left_behind_not_even_after_a_start_that_failed() {
    in_a_process_of_one_thread(|| {
        let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
        let before = descriptors();
        for _ in 0..20 {
            let results = workers(4).map(|index| if index % 2 == 0 { panic!("x") } else { index });
            assert_eq!(results.unwrap().len(), 4);
        }
        // Whoever started the tests may have left descriptors open, so the limit is told from the highest.
        let numbers = std::fs::read_dir("/proc/self/fd").unwrap();
        let highest = numbers.map(|entry| {
            entry
                .unwrap()
                .file_name()
                .to_str()
                .unwrap()
                .parse::<u64>()
                .unwrap()
        });
        let few = highest.max().unwrap() + 10;
        let limit = libc::rlimit {
            rlim_cur: few,
            rlim_max: few,
        };
        // SAFETY: `limit` is initialised, and setrlimit(2) only reads it.
        let limited = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
        assert_eq!(limited, 0);
        let error = workers(100).map(|index| index).unwrap_err();
        let ForkError::Start {
            worker_index,
            source,
            ..
        } = &error
        else {
            panic!("{error}")
        };
        assert!(*worker_index > 0 && *worker_index < 99, "{error}");
        assert_eq!(source.raw_os_error(), Some(libc::EMFILE), "{error}");
        assert_eq!(descriptors(), before);
        // Without children, waiting for any of them is ECHILD.
        // SAFETY: a null pointer asks for no status.
        let waited = unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) };
        assert_eq!(waited, -1);
    });
}

#[test]
fn interrupting_signals_and_ignored_child_signals_do_not_lose_results() {
    extern "C" fn nothing(_signal: i32) {}
    in_a_process_of_one_thread(|| {
        // SAFETY: zeroes are a valid `sigaction`: the default action, an empty mask, no flags.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = nothing as *const () as libc::sighandler_t;
        // SAFETY: `action` is initialised and only read; its handler does nothing; the old action is not wanted.
        let set =
            unsafe { libc::sigaction(libc::SIGALRM, &raw const action, std::ptr::null_mut()) };
        assert_eq!(set, 0);
        let every = libc::timeval {
            tv_sec: 0,
            tv_usec: 500,
        };
        let timer = libc::itimerval {
            it_interval: every,
            it_value: every,
        };
        // SAFETY: `timer` is initialised and only read; the old one is not wanted.
        let set =
            unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut()) };
        assert_eq!(set, 0);
        let results = workers(3).map(|_| "x".repeat(5 << 20)).unwrap();
        assert!(
            results
                .into_iter()
                .all(|result| result.unwrap().len() == 5 << 20)
        );
        // SAFETY: signal(2) with SIG_IGN installs no handler.
        unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
        assert_eq!(workers(1).map(|_| 5).unwrap().pop().unwrap().unwrap(), 5);
        let error = failure::<()>(|_| exit_now(1));
        assert!(matches!(error, WorkerError::StatusLost { .. }), "{error}");
    });
}

/// Says in a file that it was dropped.
struct Marker<'a>(&'a std::fs::File);

impl Drop for Marker<'_> {
    fn drop(&mut self) {
        self.0.write_all(b"dropped\n").unwrap();
    }
}

#[test]
fn nothing_of_the_parents_is_dropped_or_run_at_exit_in_a_worker() {
    let path = std::env::temp_dir().join(format!("onecopy-fork-{}", std::process::id()));
    let file = std::fs::File::options()
        .create_new(true)
        .append(true)
        .open(&path)
        .unwrap();
    {
        let _marker = Marker(&file);
        for result in workers(4).map(|index| index).unwrap() {
            result.unwrap();
        }
        let _ = workers(2).map::<(), _>(|_| panic!("unwinding stops before the parent's frames"));
    }
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(text, "dropped\n");
}
