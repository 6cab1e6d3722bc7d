//! A model of reading the past (past.rs): the same loads, stores and orders over two words and a ring of two entries. Run
//! by `make loom`. Whoever has the lock is told by a mutex: the lock word has a model of its own.

use loom::sync::atomic::{AtomicU64, Ordering, fence};
use loom::sync::{Arc, Mutex};
use loom::thread;

const GIVEN_UP: u64 = u64::MAX;
const MOST: u64 = 2;

struct Container {
    lock: Mutex<()>,
    pin: AtomicU64,
    written: AtomicU64,
    taken: AtomicU64,
    /// Which word, and what it was.
    ring: [[AtomicU64; 2]; MOST as usize],
    words: [AtomicU64; 2],
}

impl Container {
    fn new() -> Self {
        let word = || AtomicU64::new(0);
        Self {
            lock: Mutex::new(()),
            pin: word(),
            written: word(),
            taken: word(),
            ring: [[word(), word()], [word(), word()]],
            words: [word(), word()],
        }
    }

    /// `Locked::set`, or a write of `Change::commit`.
    fn set(&self, which: usize, value: u64) {
        let _locked = self.lock.lock().unwrap();
        if self.pin.load(Ordering::Relaxed) != 0 {
            self.log(which);
        }
        self.words[which].store(value, Ordering::Release);
    }

    /// `Heap::log`.
    fn log(&self, which: usize) {
        let written = self.written.load(Ordering::Relaxed);
        let taken = self.taken.load(Ordering::Acquire);
        if written.wrapping_sub(taken) >= MOST {
            self.written.store(GIVEN_UP, Ordering::Release);
            self.pin.store(0, Ordering::Release);
            return;
        }
        let [at, old] = &self.ring[(written % MOST) as usize];
        at.store(which as u64, Ordering::Release);
        old.store(self.words[which].load(Ordering::Relaxed), Ordering::Release);
        self.written.store(written + 1, Ordering::Release);
    }

    /// `Heap::pin`: what the words are at this moment.
    fn pin(&self) -> [u64; 2] {
        let _locked = self.lock.lock().unwrap();
        self.pin.store(1, Ordering::Release);
        [0, 1].map(|which| self.words[which].load(Ordering::Relaxed))
    }
}

/// `Past`.
#[derive(Default)]
struct Past {
    taken: u64,
    old: [Option<u64>; 2],
}

impl Past {
    /// `Past::load`.
    fn load(&mut self, container: &Container, which: usize) -> Option<u64> {
        loop {
            if let Some(old) = self.old[which] {
                return Some(old);
            }
            let word = container.words[which].load(Ordering::Acquire);
            fence(Ordering::Acquire);
            let written = container.written.load(Ordering::Acquire);
            if written == self.taken {
                return Some(word);
            }
            self.take(container, written)?;
        }
    }

    /// `Past::take`.
    fn take(&mut self, container: &Container, written: u64) -> Option<()> {
        if written == GIVEN_UP || written - self.taken > MOST {
            return None;
        }
        for nth in self.taken..written {
            let [at, old] = &container.ring[(nth % MOST) as usize];
            let at = at.load(Ordering::Relaxed) as usize;
            self.old[at].get_or_insert(old.load(Ordering::Relaxed));
        }
        self.taken = written;
        container.taken.store(written, Ordering::Release);
        Some(())
    }
}

#[test]
fn what_is_read_was_there_at_one_moment() {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(|| {
        let container = Arc::new(Container::new());
        let theirs = Arc::clone(&container);
        let writer = thread::spawn(move || {
            for (which, value) in [(0, 1), (1, 2), (0, 3), (1, 4)] {
                theirs.set(which, value);
            }
        });
        let then = container.pin();
        let mut past = Past::default();
        for (which, then) in then.into_iter().enumerate() {
            if let Some(read) = past.load(&container, which) {
                assert_eq!(read, then);
            } else {
                break;
            }
        }
        writer.join().unwrap();
    });
}
