//! Random damage to the metadata of a store while several processes use it: operations may fail, but no process is
//! killed by a signal or panics, none waits for ever, and no reader sees other bytes than were shared.
//!
//! A round is a fresh store and three processes: one that made it, one forked from it, and one that knows only tokens.
//! Each shares, attaches, reads, drops, forks, starts threads and collects, in an order that follows from the seed; the
//! first also changes three words of the metadata meanwhile. `DAMAGE_ROUNDS` and `DAMAGE_SEED` choose the rounds; what
//! follows is printed: how many rounds noticed the damage, and the errors by kind.

use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use onecopy::testing::{set_patience, words_in_use};
use onecopy::{AccessError, AllocateError, AttachError, CreateError, Huge, Object, Store, Token};

/// What `cargo test` has time for.
const SLICE: Duration = Duration::from_secs(12);
/// Rounds that run at the same time.
const LANES: usize = 3;
/// Operations of a process in a round.
const STEPS: u64 = 40;
/// Words that are damaged in a round.
const WORDS: usize = 3;
const PATIENCE: Duration = Duration::from_millis(100);
/// No operation may take this long, and no round a few of them.
const HANG: Duration = Duration::from_secs(10);

const KINDS: [&str; 12] = [
    "corrupt",
    "lock timeout",
    "gone",
    "full",
    "no memory",
    "kernel",
    "inherited",
    "not found",
    "layout",
    "no address space",
    "verified",
    "other",
];

/// What all processes count, in memory that they share.
#[derive(Default)]
#[repr(C)]
struct Counts {
    operations: AtomicU64,
    errors: [AtomicU64; KINDS.len()],
    /// Whether an error of the lane's round said "corrupt".
    lanes: [AtomicU64; LANES],
    wrong: AtomicU64,
    panics: AtomicU64,
    slow: AtomicU64,
    slowest_ms: AtomicU64,
}

/// The lane that this process belongs to.
static LANE: AtomicUsize = AtomicUsize::new(0);

fn counts() -> &'static Counts {
    static PLACE: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
    let address = *PLACE.get_or_init(|| {
        let both = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        // SAFETY: a fresh mapping at an address of the kernel's choice, never unmapped.
        let place = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                size_of::<Counts>(),
                both,
                flags,
                -1,
                0,
            )
        };
        assert_ne!(place, libc::MAP_FAILED);
        place.addr()
    });
    // SAFETY: mapped for ever, zero-filled, page aligned; all fields are atomics, for which zero is a value.
    unsafe { &*(address as *const Counts) }
}

fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// splitmix64: small, and the same everywhere.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

fn access(error: &AccessError) -> usize {
    match error {
        AccessError::Corrupt(_) => 0,
        AccessError::LockTimeout { .. } => 1,
        AccessError::Full { .. } => 3,
        AccessError::Kernel { .. } => 5,
        AccessError::Inherited { .. } => 6,
        _ => 11,
    }
}

fn allocate(error: &AllocateError) -> usize {
    match error {
        AllocateError::Access(error) | AllocateError::Create(CreateError::Join(error)) => {
            access(error)
        }
        AllocateError::NoMemory { .. } | AllocateError::QuotaExceeded { .. } => 4,
        AllocateError::Full { .. } => 3,
        AllocateError::Kernel { .. } => 5,
        _ => 11,
    }
}

fn attach(error: &AttachError) -> usize {
    match error {
        AttachError::Access(error) => access(error),
        AttachError::Gone => 2,
        AttachError::NotFound { .. } => 7,
        AttachError::Layout { .. } => 8,
        AttachError::NoAddressSpace { .. } => 9,
        _ => 11,
    }
}

/// An object and the seed of its bytes.
struct Shared {
    object: Object,
    seed: u64,
}

fn fill(bytes: &mut [u8], seed: u64) {
    let mut rng = Rng(seed);
    for chunk in bytes.chunks_mut(8) {
        let word = rng.next().to_le_bytes();
        chunk.copy_from_slice(&word[..chunk.len()]);
    }
}

fn len_of(seed: u64) -> usize {
    [40, 4_000, 70_000, 200_000][(seed % 4) as usize]
}

fn check(shared: &Shared) {
    let bytes = shared.object.bytes();
    let mut rng = Rng(shared.seed);
    let right = bytes.len() == len_of(shared.seed)
        && bytes
            .chunks(8)
            .all(|chunk| *chunk == rng.next().to_le_bytes()[..chunk.len()]);
    if !right {
        add(&counts().wrong);
        println!(
            "wrong data: {} bytes of object {}",
            bytes.len(),
            shared.object.id()
        );
    }
}

/// One process of a round.
struct Player {
    rng: Rng,
    store: Store,
    has_noticed: bool,
    shared: Vec<Shared>,
    tokens: Vec<(Token, u64)>,
}

impl Player {
    fn new(seed: u64, store: Store) -> Self {
        let (shared, tokens) = (Vec::new(), Vec::new());
        Self {
            rng: Rng(seed),
            store,
            has_noticed: false,
            shared,
            tokens,
        }
    }

    fn fail(&mut self, kind: usize) {
        add(&counts().errors[kind]);
        self.has_noticed |= kind == 0;
    }

    fn share(&mut self) {
        let seed = self.rng.next();
        let huge = Huge::Never;
        let mut building = match self.store.allocate(len_of(seed), huge) {
            Ok(building) => building,
            Err(error) => return self.fail(allocate(&error)),
        };
        if seed & 32 != 0 {
            return;
        }
        fill(building.as_mut_slice(), seed);
        match building.publish() {
            Ok(object) => self.shared.push(Shared { object, seed }),
            Err(error) => self.fail(access(&error)),
        }
    }

    fn send(&mut self) {
        let at = self.rng.below(self.shared.len());
        let Some(shared) = self.shared.get(at) else {
            return;
        };
        match shared.object.token() {
            Ok(token) => self.tokens.push((token, shared.seed)),
            Err(error) => self.fail(access(&error)),
        }
    }

    fn receive(&mut self) {
        let at = self.rng.below(self.tokens.len());
        let Some((token, seed)) = self.tokens.get(at).copied() else {
            return;
        };
        if self.rng.below(3) > 0 {
            self.tokens.swap_remove(at);
        }
        match Object::attach(&token) {
            Ok(object) => {
                let shared = Shared { object, seed };
                check(&shared);
                self.shared.push(shared);
            }
            Err(error) => self.fail(attach(&error)),
        }
    }

    fn drop_one(&mut self) {
        if !self.shared.is_empty() {
            let at = self.rng.below(self.shared.len());
            drop(self.shared.swap_remove(at));
        }
    }

    fn step(&mut self) {
        match self.rng.below(16) {
            0..3 => self.share(),
            3..5 => self.send(),
            5..8 => self.receive(),
            8..10 => self.drop_one(),
            10..12 => self.shared.iter().for_each(check),
            12 => {
                if let Err(error) = self.store.stats() {
                    self.fail(access(&error));
                }
            }
            13 => {
                let age = (self.rng.below(8) == 0).then_some(Duration::ZERO);
                if let Err(error) = self.store.collect(age) {
                    self.fail(access(&error));
                }
            }
            14 => {
                let seed = self.rng.next();
                in_child(|| {
                    let mut child = Player::new(seed, self.store.clone());
                    child.tokens.clone_from(&self.tokens);
                    self.shared.iter().for_each(check);
                    child.receive();
                    child.share();
                    self.shared.iter().for_each(check);
                    child.note();
                });
            }
            _ => std::thread::scope(|scope| {
                let other = Player::new(self.rng.next(), self.store.clone());
                let done = scope.spawn(move || {
                    let mut other = other;
                    other.share();
                    other.send();
                    other.shared.iter().for_each(check);
                    other.note();
                });
                // A panic is counted by the hook.
                let _ = done.join();
            }),
        }
    }

    fn timed_step(&mut self) {
        let start = Instant::now();
        self.step();
        let ms = start.elapsed().as_millis() as u64;
        let counts = counts();
        add(&counts.operations);
        counts.slowest_ms.fetch_max(ms, Ordering::Relaxed);
        if start.elapsed() > HANG {
            add(&counts.slow);
        }
    }

    /// Tells the other processes of the round that this one saw the damage.
    fn note(&self) {
        if self.has_noticed {
            counts().lanes[LANE.load(Ordering::Relaxed)].store(1, Ordering::Relaxed);
        }
    }

    fn end(mut self) {
        self.note();
        // Half of them end in order, half leave everything behind.
        if self.rng.below(2) == 0 {
            self.shared.clear();
            drop(self.store);
        } else {
            std::mem::forget(self);
        }
    }
}

fn fork() -> i32 {
    // SAFETY: the other threads of this program have ended, so the child may do anything.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork failed");
    pid
}

/// Runs a part in a child and passes on how it ended.
fn in_child(part: impl FnOnce()) {
    let pid = fork();
    if pid == 0 {
        leave(part);
    }
    pass_on(pid);
}

/// The end of a child: 0, or 101 after a panic.
fn leave(part: impl FnOnce()) -> ! {
    let code = i32::from(catch_unwind(AssertUnwindSafe(part)).is_err()) * 101;
    // SAFETY: ends the process without running anything of the parent's.
    unsafe { libc::_exit(code) }
}

/// Waits for a child; a signal that killed it kills this process, too, so that the watcher sees it.
fn pass_on(pid: i32) {
    let mut status = 0;
    // SAFETY: `status` is a valid place for the result.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    if libc::WIFSIGNALED(status) {
        // SAFETY: ends this process; nothing is unwound.
        unsafe { libc::_exit(128 + libc::WTERMSIG(status)) };
    }
    let code = libc::WEXITSTATUS(status);
    if code != 0 {
        // SAFETY: as above.
        unsafe { libc::_exit(code) };
    }
}

/// Changes one word of the metadata, or exchanges two.
fn damage(rng: &mut Rng, store: &Store, file: &Words) {
    let kinds = words_in_use(store);
    let words = |rng: &mut Rng| {
        let used: Vec<_> = kinds.iter().filter(|kind| !kind.1.is_empty()).collect();
        let (_, offsets) = used[rng.below(used.len())];
        offsets[rng.below(offsets.len())]
    };
    let at = words(rng);
    let old = file.get(at);
    match rng.below(6) {
        // The name of a thread that there may be.
        0 if kinds
            .iter()
            .any(|kind| kind.0 == "lock" && kind.1.contains(&at)) =>
        {
            file.set(at, (1 + rng.next() % 6) << 17 | (1 + rng.next() % 3) << 1);
        }
        0 => file.set(at, rng.next()),
        1 => file.set(at, old ^ 1 << rng.below(64)),
        2 => file.set(at, old.wrapping_add(1 + rng.next() % 8)),
        3 => file.set(at, old.wrapping_sub(1 + rng.next() % 8)),
        4 => file.set(at, 0),
        _ => {
            let other = words(rng);
            file.set(at, file.get(other));
            file.set(other, old);
        }
    }
}

fn round(seed: u64) {
    set_patience(PATIENCE);
    let mut rng = Rng(seed);
    let (mut tokens, tokens_in) = std::io::pipe().unwrap();
    let stranger_seed = rng.next();
    // It knows nothing of the store when it begins.
    let stranger = fork();
    if stranger == 0 {
        drop(tokens_in);
        leave(|| stranger_part(stranger_seed, &mut tokens));
    }
    drop(tokens);
    let capacity = [1 << 28, 1 << 33][rng.below(2)];
    let store = Store::options().capacity_bytes(capacity).create().unwrap();
    let words = Words::of(&store);
    let mut player = Player::new(rng.next(), store.clone());
    for _ in 0..8 {
        player.share();
        player.send();
    }
    let mut tokens_in = tokens_in;
    for _ in 0..6 {
        player.send();
        if let Some((token, seed)) = player.tokens.pop() {
            tokens_in.write_all(&token.to_bytes()).unwrap();
            tokens_in.write_all(&seed.to_le_bytes()).unwrap();
        }
    }
    drop(tokens_in);
    let child_seed = rng.next();
    let child = fork();
    if child == 0 {
        player.rng = Rng(child_seed);
        leave(move || play(player, |_| ()));
    }
    let mut when: Vec<_> = (0..WORDS).map(|_| rng.next() % STEPS).collect();
    when.sort_unstable();
    let mut step = 0;
    play(player, |_| {
        while when.first() == Some(&step) {
            when.remove(0);
            damage(&mut rng, &store, &words);
        }
        step += 1;
    });
    drop(store);
    pass_on(child);
    pass_on(stranger);
}

fn play(mut player: Player, mut between: impl FnMut(&Player)) {
    for _ in 0..STEPS {
        between(&player);
        player.timed_step();
    }
    match player.store.verify() {
        Ok(()) => add(&counts().errors[10]),
        Err(error) => player.fail(access(&error)),
    }
    player.end();
}

fn stranger_part(seed: u64, tokens: &mut std::io::PipeReader) {
    let mut bytes = Vec::new();
    tokens.read_to_end(&mut bytes).unwrap();
    let tokens: Vec<_> = bytes
        .chunks_exact(Token::LEN + 8)
        .map(|row| {
            let (token, seed) = row.split_at(Token::LEN);
            (
                Token::from_bytes(token).unwrap(),
                u64::from_le_bytes(seed.try_into().unwrap()),
            )
        })
        .collect();
    for (token, _) in &tokens {
        match Object::attach(token) {
            Ok(object) => {
                let mut player = Player::new(seed, object.store());
                player.tokens = tokens;
                return play(player, |_| ());
            }
            Err(error) => add(&counts().errors[attach(&error)]),
        }
    }
}

const SINGLE: [(&str, fn()); 4] = [
    (
        "verify finds every damaged word",
        verify_finds_every_damaged_word,
    ),
    ("a damaged row is refused", a_damaged_row_is_refused),
    ("no object lies over another", no_object_lies_over_another),
    (
        "a lock that nobody has is found by whom it names",
        a_lock_that_nobody_has_is_found_by_whom_it_names,
    ),
];

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
        leave(|| round(seed));
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
        // SAFETY: as above.
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

fn run(first_seed: u64, rounds: Option<u64>) -> Ends {
    let begin = Instant::now();
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
            let goes_on = match rounds {
                Some(rounds) => next - first_seed < rounds,
                None => begin.elapsed() < SLICE,
            };
            if running.is_none() && goes_on {
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

/// Reads and writes words of a store past all its locks.
struct Words(OwnedFd);

impl Words {
    fn of(store: &Store) -> Self {
        Self(store.duplicate_fd().unwrap())
    }

    fn get(&self, at: u64) -> u64 {
        let mut bytes = [0; 8];
        rustix::io::pread(&self.0, &mut bytes, at).unwrap();
        u64::from_le_bytes(bytes)
    }

    fn set(&self, at: u64, value: u64) {
        rustix::io::pwrite(&self.0, &value.to_le_bytes(), at).unwrap();
    }
}

fn offsets(store: &Store, kind: &str) -> Vec<u64> {
    let mut kinds = words_in_use(store).into_iter();
    kinds.find(|(name, _)| *name == kind).unwrap().1
}

/// Every word of the metadata that means something, damaged in many ways one at a time: `verify` says so.
fn verify_finds_every_damaged_word() {
    let store = Store::options().capacity_bytes(1 << 28).create().unwrap();
    let mut player = Player::new(7, store.clone());
    for _ in 0..30 {
        player.share();
        player.send();
    }
    (0..6).for_each(|_| player.drop_one());
    (0..4).for_each(|_| player.receive());
    store.verify().unwrap();
    let words = Words::of(&store);
    let mut seen = 0;
    for (kind, offsets) in words_in_use(&store) {
        let (row, checked): (usize, &[usize]) = match kind {
            // Nothing is under way, so its list means nothing; the lock is this process's whenever it looks.
            "intent record" => (33, &[0]),
            "lock" => continue,
            // The start of a process's life is for people.
            "process slots" => (5, &[0, 1, 3, 4]),
            // What follows is the life word.
            "thread slots" => (6, &[0]),
            // The age of a free unit means nothing, nor does its object.
            "units" => (3, &[0]),
            _ => (1, &[0]),
        };
        for (index, at) in offsets.into_iter().enumerate() {
            let old = words.get(at);
            if !checked.contains(&(index % row)) {
                continue;
            }
            let changed = (0..64).map(|bit| old ^ 1 << bit);
            for new in changed.chain([old.wrapping_add(1), old.wrapping_sub(1), !old]) {
                words.set(at, new);
                let found = store.verify();
                let is_own_slot = kind == "thread slots" || kind == "process slots";
                assert!(
                    matches!(found, Err(AccessError::Corrupt(_))),
                    "{kind}, word {index} at {at:#x}: {old:#x} -> {new:#x}: {found:?}"
                );
                // Neither does anything else fall over it.
                if !is_own_slot && index % 7 == 0 {
                    let _ = store.stats();
                }
                seen += 1;
            }
            words.set(at, old);
        }
    }
    store.verify().unwrap();
    assert!(seen > 5_000, "{seen}");
}

/// A row whose length or place is wrong is an error for whoever attaches the object, and nobody reads past the file.
fn a_damaged_row_is_refused() {
    let store = Store::options().capacity_bytes(1 << 28).create().unwrap();
    let view = store.share_slice(&[5u8; 100_000]).unwrap();
    let tokens: Vec<_> = (0..3).map(|_| view.token().unwrap()).collect();
    let words = Words::of(&store);
    let row = offsets(&store, "entries");
    for (word, value) in [(1, 1000), (2, 1 << 40), (2, 8), (1, u64::MAX), (3, 0)] {
        let old = words.get(row[word]);
        words.set(row[word], value);
        for token in &tokens {
            let error = Object::attach(token).unwrap_err();
            let expected = row[0];
            assert!(
                matches!(&error, AttachError::Access(AccessError::Corrupt(corrupt)) if corrupt.offset == expected),
                "{error}"
            );
        }
        words.set(row[word], old);
    }
    assert!(view.iter().all(|byte| *byte == 5));
    drop(view);
    store.collect(Some(Duration::ZERO)).unwrap();
    store.verify().unwrap();
}

/// Damage to the hint or to the end of the spans, which an allocation begins from, puts no object over another.
fn no_object_lies_over_another() {
    for (kind, most) in [("counters", 14), ("span words", 64)] {
        for index in 0..most {
            let store = Store::options().capacity_bytes(1 << 28).create().unwrap();
            let first: Vec<_> = (0..8u8)
                .map(|n| store.share_slice(&vec![n; 200_000]).unwrap())
                .collect();
            let words = Words::of(&store);
            let Some(at) = offsets(&store, kind).get(index).copied() else {
                break;
            };
            for value in [0, 1, 2, words.get(at).wrapping_sub(1)] {
                words.set(at, value);
                let more: Vec<_> = (0..8)
                    .map_while(|_| store.share_slice(&[99u8; 70_000]).ok())
                    .collect();
                let whole = first
                    .iter()
                    .zip(0..8)
                    .all(|(view, n)| view.iter().all(|byte| *byte == n));
                assert!(whole, "{kind} {index} := {value}");
                assert!(more.iter().all(|view| view.iter().all(|byte| *byte == 99)));
            }
        }
    }
}

/// A lock word that names a living thread which is not inside: others wait and name it, and its own process, at its
/// next operation, takes the lock.
fn a_lock_that_nobody_has_is_found_by_whom_it_names() {
    let store = Store::options().capacity_bytes(1 << 28).create().unwrap();
    let words = Words::of(&store);
    // The name of this process's thread, as it stands in the word while it is inside.
    let named = 1 << 17 | 1 << 1;
    let at = offsets(&store, "lock")[0];
    in_child(|| {
        set_patience(PATIENCE);
        // After the fork, which is an operation of this process.
        words.set(at, named);
        let error = store.stats().unwrap_err();
        let parent = std::os::unix::process::parent_id();
        assert!(
            matches!(error, AccessError::LockTimeout { pid, .. } if pid == parent),
            "{error}"
        );
    });
    assert_eq!(words.get(at), named | 1, "somebody waits");
    store.stats().unwrap();
    assert_eq!(words.get(at), 0);
    store.verify().unwrap();
}

fn main() -> ExitCode {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().unwrap());
    let seed = number("DAMAGE_SEED").unwrap_or(1);
    let rounds = number("DAMAGE_ROUNDS");
    counts();
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        add(&counts().panics);
        usual(panic);
    }));
    println!("\nrunning {} tests", 1 + SINGLE.len());
    let mut is_good = true;
    for (name, test) in SINGLE {
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
    is_good &= ends.signals.is_empty()
        && ends.hangs.is_empty()
        && ends.failures.is_empty()
        && [&counts.panics, &counts.slow, &counts.wrong]
            .into_iter()
            .all(|count| get(count) == 0);
    let verdict = if is_good { "ok" } else { "FAILED" };
    println!("test damaged metadata gives errors ... {verdict}\n");
    ExitCode::from(u8::from(!is_good))
}
