//! Random damage to the metadata of a store while several processes use it: operations may fail, but no process is
//! killed by a signal or panics, none waits for ever, and no reader sees other bytes than were shared.
//!
//! A round is a fresh store and three processes: one that made it, one forked from it, and one that knows only tokens.
//! Each shares, attaches, reads, drops, forks, starts threads and collects, in an order that follows from the seed; the
//! first also changes three words of the metadata meanwhile. `DAMAGE_ROUNDS` and `DAMAGE_SEED` choose the rounds; what
//! follows is printed: how many rounds noticed the damage, and the errors by kind. Of the usual rounds some must notice.

use std::panic::catch_unwind;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

mod common;
mod rounds;
mod single;

use common::{HANG, KINDS, LANE, LANES, add, counts, fork, leave};

/// What `cargo test` has time for: some ten seconds of an idle machine.
const USUAL_ROUNDS: u64 = 150;

/// A round under way: its process, which leads a group, and when it began.
struct Running {
    pid: i32,
    seed: u64,
    start: Instant,
}

/// How the rounds ended.
#[derive(Default)]
struct Ends {
    rounds: u64,
    noticed: u64,
    signals: Vec<(u64, i32)>,
    hangs: Vec<u64>,
    failures: Vec<(u64, i32)>,
}

fn start(lane: usize, seed: u64) -> Running {
    counts().lanes[lane].store(0, Ordering::Relaxed);
    let pid = fork();
    if pid == 0 {
        LANE.store(lane, Ordering::Relaxed);
        // SAFETY: takes numbers only; makes this process the leader of a group of its own.
        unsafe { libc::setpgid(0, 0) };
        leave(|| rounds::round(seed));
    }
    Running {
        pid,
        seed,
        start: Instant::now(),
    }
}

/// Looks at a round; whether it has ended.
fn look(lane: usize, running: &Running, ends: &mut Ends) -> bool {
    let mut status = 0;
    // SAFETY: `status` is a valid place for the result.
    let ended =
        unsafe { libc::waitpid(running.pid, &raw mut status, libc::WNOHANG) } == running.pid;
    let is_late = running.start.elapsed() > 6 * HANG;
    if !ended && !is_late {
        return false;
    }
    // SAFETY: takes numbers only; the group is this round's, and its leader has not been waited for before this.
    unsafe { libc::kill(-running.pid, libc::SIGKILL) };
    if !ended {
        // SAFETY: `status` is a valid place for the result.
        unsafe { libc::waitpid(running.pid, &raw mut status, 0) };
        ends.hangs.push(running.seed);
    } else if libc::WIFSIGNALED(status) {
        ends.signals.push((running.seed, libc::WTERMSIG(status)));
    } else {
        match libc::WEXITSTATUS(status) {
            0 => {}
            code @ 129.. => ends.signals.push((running.seed, code - 128)),
            code => ends.failures.push((running.seed, code)),
        }
    }
    ends.rounds += 1;
    ends.noticed += counts().lanes[lane].load(Ordering::Relaxed);
    true
}

fn run(first_seed: u64, rounds: u64) -> Ends {
    let mut ends = Ends::default();
    let mut next = first_seed;
    let mut lanes: Vec<Option<Running>> = (0..LANES).map(|_| None).collect();
    loop {
        for (lane, running) in lanes.iter_mut().enumerate() {
            if running
                .as_ref()
                .is_some_and(|round| look(lane, round, &mut ends))
            {
                *running = None;
            }
            if running.is_none() && next - first_seed < rounds {
                *running = Some(start(lane, next));
                next += 1;
            }
        }
        if lanes.iter().all(Option::is_none) {
            return ends;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn main() -> ExitCode {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().unwrap());
    let seed = number("DAMAGE_SEED").unwrap_or(1);
    let rounds = number("DAMAGE_ROUNDS").unwrap_or(USUAL_ROUNDS);
    counts();
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        add(&counts().panics);
        usual(panic);
    }));
    println!("\nrunning {} tests", 1 + single::TESTS.len());
    let mut is_good = true;
    for (name, test) in single::TESTS {
        let is_ok = catch_unwind(test).is_ok();
        is_good &= is_ok;
        println!("test {name} ... {}", if is_ok { "ok" } else { "FAILED" });
    }
    let ends = run(seed, rounds);
    let counts = counts();
    let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let errors: Vec<_> = KINDS
        .iter()
        .zip(&counts.errors)
        .map(|(kind, count)| format!("{kind} {}", get(count)))
        .collect();
    println!(
        "{} rounds from seed {seed}, {} operations, the slowest {} ms; damage noticed in {} rounds\noutcomes: {}\n\
         wrong data {}, panics {}, slow operations {}, signals {:?}, hangs {:?}, failures {:?}",
        ends.rounds,
        get(&counts.operations),
        get(&counts.slowest_ms),
        ends.noticed,
        errors.join(", "),
        get(&counts.wrong),
        get(&counts.panics),
        get(&counts.slow),
        ends.signals,
        ends.hangs,
        ends.failures,
    );
    // A few rounds by themselves may hit nothing that anybody reads.
    let is_tried = get(&counts.operations) > 0 && (ends.noticed > 0 || rounds < USUAL_ROUNDS);
    is_good &= is_tried
        && ends.signals.is_empty()
        && ends.hangs.is_empty()
        && ends.failures.is_empty()
        && [&counts.panics, &counts.slow, &counts.wrong]
            .into_iter()
            .all(|count| get(count) == 0);
    let verdict = if is_good { "ok" } else { "FAILED" };
    println!("test damaged metadata gives errors ... {verdict}\n");
    ExitCode::from(u8::from(!is_good))
}
