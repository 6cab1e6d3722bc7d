//! A moment that can be read while writers go on: for copies of a whole container.
//!
//! A reader that was disturbed takes the lock for a moment and *pins* the container: a word in the head then leads to a
//! **log**, a chunk of its own. Whoever overwrites a word of the container writes down where it stands and what it was,
//! before. The reader loads what is there, looks whether the log has become longer, and believes the log of a word that is
//! in it. So it sees the container as it was when it was pinned, wherever it is in its walk, and no writer waits for it.
//! Chunks of older generations stay as long as the container is pinned.
//!
//! ```text
//! log:  0 whose (lock word)    8 entries that it can hold    64 entries written    128 entries taken
//!     192 a ring of {offset, what the word was}
//! ```
//! The reader takes entries out as it goes. One that is too slow, or stopped, finds that the log was given up: a writer waits
//! for it for 20 ms and no longer. It pins the container once more, and after that keeps the lock.
//!
//! **Invariants.** `I1`: while the container is pinned, no word that was there at that moment is overwritten before it is
//! in the log. `I2`: an entry is overwritten only after it was taken.
//!
//! **Crash points.** A writer that dies after an entry, before its store: the entry says what is there anyway. A reader
//! that dies: the next writer finds its life word, ends the pinning, and gives the log back; a log that is no longer
//! pinned goes with the next chunks that are given back.
#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use super::error::{ContainerError, Retry};
use super::heap::Heap;
use super::layout::{AFTER_ROOTS, ARENA, ARENA_BYTES, FIRST_BLOCK, GENERATIONS, LIMBO_LEN, PIN};
use super::lock::{Locked, sleep};
use super::number_map::NumberMap;
use crate::primitive::{Ordering, fence};

const WHOSE: u64 = 0;
const MOST: u64 = 8;
const WRITTEN: u64 = 64;
const TAKEN: u64 = 128;
const ENTRIES: u64 = 192;
/// In the tag of a chunk: it is the log of the thread that the rest names. No generation has this bit.
const LOG: u32 = !GENERATIONS;
/// In place of [`WRITTEN`]: the log was given up.
const GIVEN_UP: u64 = u64::MAX;
/// Bytes of a container up to which a copy under the lock is a matter of a millisecond.
const SMALL: u64 = if cfg!(any(test, feature = "testing")) {
    1
} else {
    512 << 10
};
/// The smallest and the largest log, in entries: the largest bears 10 M writes a second for a tenth of one.
const FEWEST: u64 = if cfg!(any(test, feature = "testing")) {
    1 << 12
} else {
    1 << 14
};
/// See [`FEWEST`].
const LARGEST: u64 = 1 << 20;
/// How long a writer waits, once for each time that the log is full, for a reader that has no processor.
const CATCH_UP: Duration = Duration::from_millis(20);
/// How long a reader sleeps while another has pinned the container.
const NAP: Duration = Duration::from_millis(1);
/// How long it waits for that, and how long for the lock when it has read all.
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// See [`LONGEST_WAIT`].
const NO_LONGER: Duration = Duration::from_millis(20);

/// The container as it was when it was pinned. Dropping it ends that.
#[derive(Debug)]
pub(super) struct Past<'a> {
    pub(super) heap: &'a Heap,
    log: u64,
    most: u64,
    taken: Cell<u64>,
    /// What words were that have been overwritten since.
    old: RefCell<NumberMap<u64>>,
}

/// The tag of a thread's log.
fn tag_of(thread: u32) -> u32 {
    LOG | thread >> 1
}

impl Heap {
    /// Pins the container; `None` if it is so small that a copy under the lock takes no longer, if this thread has the
    /// lock or has pinned it, or if there is no memory for the log. With the past come its counters.
    pub(super) fn pin(&self) -> Result<Option<(Past<'_>, [u64; 2])>, ContainerError> {
        let Ok(chunks) = self.container.chunks() else {
            return Ok(None);
        };
        let bytes = self.own_bytes() + chunks.iter().map(|chunk| chunk.len).sum::<u64>();
        let me = self.container.thread()?;
        let whose = self.words.load(self.top.acquire(PIN) + WHOSE);
        if bytes < SMALL || self.is_locked_by_me()? || whose == Some(u64::from(me)) {
            return Ok(None);
        }
        let most = (bytes / 64).clamp(FEWEST, LARGEST);
        if chunks.iter().any(|chunk| chunk.tag == tag_of(me)) {
            // Left by one whose end was not waited for. Under the lock: nobody is writing to it any more.
            let locked = self.lock()?;
            let _ = self.container.free_chunks(|tag| tag == tag_of(me));
            drop(locked);
        }
        let Ok(chunk) = self.container.add_chunk(ENTRIES + 16 * most, tag_of(me)) else {
            return Ok(None);
        };
        self.words.store(chunk.offset + WHOSE, u64::from(me));
        self.words.store(chunk.offset + MOST, most);
        let past = Past {
            heap: self,
            log: chunk.offset,
            most,
            taken: Cell::new(0),
            old: RefCell::default(),
        };
        let start = Instant::now();
        loop {
            let locked = self.lock()?;
            let is_over = start.elapsed() >= crate::testing::patience(LONGEST_WAIT);
            if locked.pin == 0 || is_over {
                if locked.pin != 0 {
                    // It is stopped, or has very much to read: then it begins anew.
                    self.words.store(self.own(locked.pin + WRITTEN)?, GIVEN_UP);
                }
                let moment = locked.counters();
                self.top.store(PIN, chunk.offset);
                return Ok(Some((past, moment)));
            }
            drop(locked);
            if !sleep(&mut || std::thread::sleep(NAP)) {
                return Ok(None);
            }
        }
    }

    /// The log that the holder of the lock has to write; 0 for none. Its words up to the ring are the container's.
    #[cold]
    pub(super) fn living_pin(&self) -> u64 {
        let pin = self.top.relaxed(PIN);
        if pin == 0 {
            return 0;
        }
        // All of its words, since they are written to: a log is what PIN says in memory that others may have damaged.
        let whose = self
            .own_all(pin, ENTRIES)
            .map(|pin| self.words.acquire(pin + WHOSE));
        if whose.is_ok_and(|whose| !self.container.is_absent(whose as u32)) {
            return pin;
        }
        self.top.store(PIN, 0);
        // What cannot be given back now waits for the next generation.
        let _ = self.give_back_old_chunks();
        0
    }

    /// Writes down what a word is, before the holder of the lock overwrites it.
    #[cold]
    #[inline(never)]
    pub(super) fn log(&self, pin: u64, at: u64) {
        let words = &self.words;
        let in_head = at.wrapping_sub(self.head);
        let in_arena = at.wrapping_sub(self.top.relaxed(ARENA));
        if in_head == LIMBO_LEN
            || (AFTER_ROOTS..FIRST_BLOCK).contains(&in_head)
            || in_arena < ARENA_BYTES
        {
            // Whose blocks are whose is nothing that readers look at, and half of what writers write.
            return;
        }
        let (most, written) = (words.relaxed(pin + MOST), words.relaxed(pin + WRITTEN));
        let place = written.checked_rem(most).map_or(0, |nth| 16 * nth);
        let entry = pin.wrapping_add(ENTRIES).wrapping_add(place);
        if !self.has_room(pin, most, written)
            || self.own(entry).is_err()
            || self.own(entry + 8).is_err()
        {
            words.store(pin + WRITTEN, GIVEN_UP);
            self.top.store(PIN, 0);
            return;
        }
        words.store(entry, at);
        words.store(entry + 8, words.relaxed(at));
        // Release, as every store: before the word itself is overwritten (I1).
        words.store(pin + WRITTEN, written + 1);
    }

    /// Whether the log has room for an entry. A reader that is a little behind is waited for.
    #[inline]
    fn has_room(&self, pin: u64, most: u64, written: u64) -> bool {
        // Acquire: the entry that is overwritten has been read (I2); pairs with Release in `Past::take`.
        let has_room = || written.wrapping_sub(self.words.acquire(pin + TAKEN)) < most;
        has_room() || {
            let start = Instant::now();
            while !has_room() && written != GIVEN_UP && start.elapsed() < CATCH_UP {
                std::thread::sleep(CATCH_UP / 100);
            }
            has_room()
        }
    }

    /// Whether a chunk can be given back that is not of the generation in use.
    pub(super) fn is_unwanted(&self, tag: u32, generation: u32) -> bool {
        if tag & LOG != 0 {
            return self.container.is_absent((tag & !LOG) << 1);
        }
        tag != generation && self.top.relaxed(PIN) == 0
    }
}

impl Past<'_> {
    /// The word that stood at an offset, which may be anything.
    ///
    /// # Errors
    /// It lies outside the store, or the log was given up.
    pub(super) fn load(&self, at: u64) -> Result<u64, Retry> {
        let at = at & !7;
        loop {
            if let Some(old) = self.old.borrow().get(&at) {
                return Ok(*old);
            }
            let word = self.heap.words.load(at).ok_or(Retry)?;
            // Acquire: whoever stored the word had written its entry before, so that is seen here (I1).
            fence(Ordering::Acquire);
            let written = self.heap.words.acquire(self.log + WRITTEN);
            if written == self.taken.get() {
                return Ok(word);
            }
            self.take(written)?;
        }
    }

    /// Whether all that was loaded was of the moment.
    pub(super) fn is_valid(&self) -> bool {
        self.heap.words.acquire(self.log + WRITTEN) != GIVEN_UP
    }

    #[cold]
    fn take(&self, written: u64) -> Result<(), Retry> {
        let words = &self.heap.words;
        if written == GIVEN_UP || written.wrapping_sub(self.taken.get()) > self.most {
            return Err(Retry);
        }
        let mut old = self.old.borrow_mut();
        for nth in self.taken.get()..written {
            let entry = self.log + ENTRIES + nth % self.most * 16;
            let (at, word) = (words.relaxed(entry), words.relaxed(entry + 8));
            // The first one is of the moment.
            old.entry(at).or_insert(word);
        }
        self.taken.set(written);
        // Release: the entries have been read (I2).
        words.store(self.log + TAKEN, written);
        Ok(())
    }

    fn end(&self) -> Result<(), ContainerError> {
        let heap = self.heap;
        let Ok(locked) = heap.lock_within(NO_LONGER) else {
            // Who has the lock may be writing to the log, which goes when this thread pins the container again, or ends.
            let end = |pin| (pin == self.log).then_some(0);
            heap.words.update(heap.head + PIN, end);
            return Ok(());
        };
        if heap.top.relaxed(PIN) == self.log {
            heap.top.store(PIN, 0);
        }
        // The chunks that stayed because of this; another's pinning keeps them.
        heap.give_back_old_chunks()?;
        drop(locked);
        let log = tag_of(heap.container.thread()?);
        heap.container.free_chunks(|tag| tag == log)?;
        Ok(())
    }
}

impl Drop for Past<'_> {
    fn drop(&mut self) {
        // What cannot be given back now waits for the next generation.
        let _ = self.end();
    }
}

impl Locked<'_> {
    /// Writes down what a word is if the container is pinned.
    #[inline(always)]
    pub(super) fn note(&self, at: u64) {
        if self.pin != 0 {
            self.heap.log(self.pin, at);
        }
    }
}
