//! A round: three processes that use a store while words of it change.

use std::io::{Read as _, Write as _};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use onecopy::store::{Chunk, Container};
use onecopy::testing::{set_patience, words_in_use};
use onecopy::{AccessError, AllocateError, AttachError, CreateError, Huge, Object, Store, Token};

use crate::common::{
    HANG, LANE, PATIENCE, Rng, STEPS, WORDS, Words, add, counts, fork, in_child, leave, pass_on,
};

pub(crate) fn access(error: &AccessError) -> usize {
    match error {
        AccessError::Corrupt(_) => 0,
        AccessError::LockTimeout { .. } => 1,
        AccessError::Full { .. } => 3,
        AccessError::Kernel { .. } => 5,
        AccessError::Inherited { .. } | AccessError::NoHolds { .. } => 6,
        _ => 11,
    }
}

pub(crate) fn allocate(error: &AllocateError) -> usize {
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

pub(crate) fn attach(error: &AttachError) -> usize {
    match error {
        AttachError::Access(error) => access(error),
        AttachError::Gone => 2,
        AttachError::NotFound { .. } | AttachError::StoreGone { .. } => 7,
        AttachError::Layout { .. } => 8,
        AttachError::NoAddressSpace { .. } => 9,
        _ => 11,
    }
}

/// An object and the seed of its bytes.
pub(crate) struct Shared {
    object: Object,
    seed: u64,
}

pub(crate) fn fill(bytes: &mut [u8], seed: u64) {
    let mut rng = Rng(seed);
    for chunk in bytes.chunks_mut(8) {
        let word = rng.next().to_le_bytes();
        chunk.copy_from_slice(&word[..chunk.len()]);
    }
}

pub(crate) fn bytes(container: &Container, chunk: Chunk) -> *mut u8 {
    let (base, _) = container.data();
    base.as_ptr().wrapping_add(chunk.offset as usize)
}

pub(crate) fn len_of(seed: u64) -> usize {
    [40, 4_000, 70_000, 200_000][(seed % 4) as usize]
}

pub(crate) fn check(shared: &Shared) {
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
pub(crate) struct Player {
    pub(crate) rng: Rng,
    pub(crate) store: Store,
    pub(crate) has_noticed: bool,
    pub(crate) shared: Vec<Shared>,
    pub(crate) tokens: Vec<(Token, u64)>,
    /// With what this process knows of their chunks.
    pub(crate) containers: Vec<(Container, Vec<Chunk>)>,
}

impl Player {
    pub(crate) fn new(seed: u64, store: Store) -> Self {
        let (shared, tokens) = (Vec::new(), Vec::new());
        Self {
            rng: Rng(seed),
            store,
            has_noticed: false,
            shared,
            tokens,
            containers: Vec::new(),
        }
    }

    pub(crate) fn fail(&mut self, kind: usize) {
        add(&counts().errors[kind]);
        self.has_noticed |= kind == 0;
    }

    pub(crate) fn share(&mut self) {
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

    pub(crate) fn send(&mut self) {
        let at = self.rng.below(self.shared.len());
        let Some(shared) = self.shared.get(at) else {
            return;
        };
        match shared.object.token() {
            Ok(token) => self.tokens.push((token, shared.seed)),
            Err(error) => self.fail(access(&error)),
        }
    }

    pub(crate) fn receive(&mut self) {
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

    pub(crate) fn drop_one(&mut self) {
        if !self.shared.is_empty() {
            let at = self.rng.below(self.shared.len());
            drop(self.shared.swap_remove(at));
        }
    }

    /// Makes a container or lets one grow; the new chunk is filled with its tag.
    pub(crate) fn grow(&mut self) {
        if self.containers.len() < 3 {
            return match Container::new(&self.store, 9, 5_000) {
                Ok(container) => self.containers.push((container, Vec::new())),
                Err(error) => self.fail(allocate(&error)),
            };
        }
        let at = self.rng.below(self.containers.len());
        let (len, tag) = (len_of(self.rng.next()) as u64, self.rng.next() as u8);
        let Some((container, chunks)) = self.containers.get_mut(at) else {
            return;
        };
        match container.add_chunk(len, u32::from(tag)) {
            Ok(chunk) => {
                // SAFETY: the chunk is committed and mapped, and no other process knows of it.
                unsafe { bytes(container, chunk).write_bytes(tag, chunk.len as usize) };
                chunks.push(chunk);
            }
            Err(error) => self.fail(allocate(&error)),
        }
    }

    /// Frees chunks, or drops a whole container.
    pub(crate) fn shrink(&mut self) {
        let at = self.rng.below(self.containers.len());
        let most = self.rng.below(300) as u32;
        let Some((container, chunks)) = self.containers.get_mut(at) else {
            return;
        };
        if most > 255 {
            self.containers.swap_remove(at);
            return;
        }
        // Whichever were freed before an error: none of these is used any more.
        chunks.retain(|chunk| chunk.tag > most);
        if let Err(error) = container.free_chunks(|tag| tag <= most) {
            self.fail(access(&error));
        }
    }

    /// Looks into all chunks, and at the list of the store.
    pub(crate) fn look(&mut self) {
        let mut errors = Vec::new();
        for (container, chunks) in &self.containers {
            for chunk in chunks {
                let at = bytes(container, *chunk);
                let is_right = (0..chunk.len as usize).all(|index| {
                    // SAFETY: within the chunk, which is committed and mapped, and nobody writes to it now.
                    let byte = unsafe { at.wrapping_add(index).read_volatile() };
                    u32::from(byte) == chunk.tag
                });
                if !is_right {
                    add(&counts().wrong);
                    println!("wrong data: {chunk:?} of {container:?}");
                }
            }
            match container.chunks() {
                Ok(listed) if chunks.iter().all(|chunk| listed.contains(chunk)) => {}
                Ok(_) => {
                    add(&counts().wrong);
                    println!("a chunk of {container:?} is gone");
                }
                Err(error) => errors.push(access(&error)),
            }
        }
        for kind in errors {
            self.fail(kind);
        }
    }

    pub(crate) fn step(&mut self) {
        match self.rng.below(22) {
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
                    // Its parent's stay as they are.
                    child.grow();
                    self.shared.iter().for_each(check);
                    child.note();
                });
            }
            15..18 => self.grow(),
            18 => self.shrink(),
            19..21 => self.look(),
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

    pub(crate) fn timed_step(&mut self) {
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
    pub(crate) fn note(&self) {
        if self.has_noticed {
            counts().lanes[LANE.load(Ordering::Relaxed)].store(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn end(mut self) {
        self.note();
        // Half of them end in order, half leave everything behind.
        if self.rng.below(2) == 0 {
            self.shared.clear();
            self.containers.clear();
            drop(self.store);
        } else {
            std::mem::forget(self);
        }
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

pub(crate) fn round(seed: u64) {
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
