//! A model of the moment at which a change that moves nothing is seen (look.rs, change.rs): the same loads, stores and
//! orders over five words. Run by `make loom`.
//!
//! The words of a container lie in mapped memory, where loom's atomics cannot be, so this is the protocol and not its code.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering, fence};
use loom::thread;

/// `armed`, while a change is under way whose first write is the one by which it is seen.
const ARMED: u64 = 1;

#[derive(Debug)]
struct Words {
    seq: AtomicU64,
    changes: AtomicU64,
    armed: AtomicU64,
    /// What the intent record says of `seen` and of `rest`.
    record: [AtomicU64; 2],
    seen: AtomicU64,
    rest: AtomicU64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Look {
    seq: u64,
    changes: u64,
    overlay: bool,
}

impl Words {
    fn new() -> Self {
        let word = || AtomicU64::new(0);
        Self {
            seq: word(),
            changes: word(),
            armed: word(),
            record: [word(), word()],
            seen: word(),
            rest: word(),
        }
    }

    /// `Change::put` twice, then `Change::commit(false)`.
    fn change(&self, value: u64) {
        let store = |word: &AtomicU64, value| word.store(value, Ordering::Release);
        store(&self.record[0], value);
        store(&self.record[1], value);
        let changes = self.changes.load(Ordering::Relaxed) | 1;
        store(&self.changes, changes);
        store(&self.armed, ARMED);
        store(&self.seen, value);
        store(&self.rest, value);
        store(&self.changes, changes + 1);
        store(&self.armed, 0);
    }

    /// `Heap::read` of the word by which changes are seen.
    fn point(&self) -> Option<u64> {
        let seq = self.seq.load(Ordering::Acquire);
        let value = self.seen.load(Ordering::Acquire);
        fence(Ordering::Acquire);
        (self.seq.load(Ordering::Relaxed) == seq).then_some(value)
    }

    /// `Heap::seen_record`.
    fn is_seen(&self) -> bool {
        self.armed.load(Ordering::Acquire) == ARMED
            && self.seen.load(Ordering::Acquire) == self.record[0].load(Ordering::Relaxed)
    }

    /// `Heap::look`.
    fn look(&self) -> Look {
        let changes = self.changes.load(Ordering::Acquire);
        let seq = self.seq.load(Ordering::Acquire);
        let overlay = changes & 1 == 1 && self.is_seen();
        Look {
            seq,
            changes,
            overlay,
        }
    }

    /// `Heap::read_long` of both words.
    fn both(&self) -> Option<[u64; 2]> {
        let look = self.look();
        let load = |nth: usize, word: &AtomicU64| {
            if look.overlay {
                self.record[nth].load(Ordering::Relaxed)
            } else {
                word.load(Ordering::Acquire)
            }
        };
        let both = [load(0, &self.seen), load(1, &self.rest)];
        // `Look::is_current`.
        fence(Ordering::Acquire);
        let is_current = (look.changes & 1 == 0 || self.is_seen() == look.overlay)
            && {
                fence(Ordering::Acquire);
                self.seq.load(Ordering::Relaxed) == look.seq
            }
            && self.changes.load(Ordering::Relaxed) == look.changes;
        is_current.then_some(both)
    }

    /// `Heap::is_now`.
    fn is_now(&self, look: Look) -> bool {
        self.seq.load(Ordering::Acquire) == look.seq
            && self.changes.load(Ordering::Relaxed) == look.changes
    }
}

fn check(read: fn(&Words)) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(move || {
        let words = Arc::new(Words::new());
        let theirs = Arc::clone(&words);
        let writer = thread::spawn(move || {
            theirs.change(1);
            theirs.change(2);
        });
        read(&words);
        writer.join().unwrap();
    });
}

#[test]
fn a_copy_is_of_one_moment_and_no_older_than_what_was_read_before() {
    check(|words| {
        let before = words.point().unwrap();
        let Some([seen, rest]) = words.both() else {
            return;
        };
        assert_eq!(seen, rest, "torn");
        assert!(seen >= before, "gone back");
    });
}

#[test]
fn what_is_read_after_a_copy_is_no_older_than_the_copy() {
    check(|words| {
        if let Some([seen, _]) = words.both() {
            assert!(words.point().unwrap() >= seen, "gone back");
        }
    });
}

#[test]
fn what_was_read_ahead_is_not_of_now_when_a_change_has_been_seen() {
    check(|words| {
        let look = words.look();
        if look.changes & 1 == 1 {
            return;
        }
        let ahead = words.seen.load(Ordering::Acquire);
        let later = words.point().unwrap();
        if words.is_now(look) {
            assert_eq!(ahead, later, "read ahead, and old");
        }
    });
}
