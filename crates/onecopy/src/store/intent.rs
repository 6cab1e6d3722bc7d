//! The intent record: what makes every change of the metadata all-or-nothing.
//!
//! A change is a list of absolute writes {offset, value}. Under the store's lock its author copies the
//! list into the record, sets `armed` to its length (the commit), does the writes and clears `armed`. With its length
//! `armed` holds a check of the list, so that a damaged list, or one of an earlier change under a damaged `armed`, is
//! done only if the check is passed by chance, once in 2^58 times.
//!
//! **Crash points**, in order of the stores:
//! 1. while the list is copied: `armed` is 0, the list means nothing; nothing has happened;
//! 2. after `armed := n`: the change has happened; whoever takes the lock over does the writes;
//! 3. between the writes: they are absolute, so doing them all again changes nothing;
//! 4. after `armed := 0`: done.
//!
//! A process that dies while it replays leaves the record armed; the next one replays it. Nobody can
//! change the words in between, because the lock is held all the time.
#![forbid(unsafe_code)]

use super::check;
use super::layout::{Counter, FIRST_WORD, INTENT, INTENT_WRITES};
use super::mem::Mem;

/// Bits of a list's length.
const BITS: u32 = 5;
const _: () = assert!(INTENT_WRITES < 1 << BITS);

/// A list of absolute writes to be done as one.
#[derive(Debug, Default)]
pub(crate) struct Intent {
    writes: [(u64, u64); INTENT_WRITES],
    len: usize,
}

impl Intent {
    /// Adds the write of `value` to the word at `offset`.
    pub(crate) fn set(&mut self, offset: u64, value: u64) -> &mut Self {
        assert!(
            self.len < INTENT_WRITES,
            "an intent record holds {INTENT_WRITES} writes"
        );
        if let Some(write) = self.writes.get_mut(self.len) {
            *write = (offset, value);
            self.len = self.len.saturating_add(1);
        }
        self
    }

    /// Adds a counter's new value.
    pub(crate) fn set_counter(&mut self, counter: Counter, value: u64) -> &mut Self {
        self.set(counter.offset(), counter.word(value))
    }

    /// Does all writes or, if this process dies, leaves them to the next holder of the lock. The
    /// caller holds the store's lock.
    pub(crate) fn commit(&self, mem: Mem) {
        let mut digest = 0;
        for (index, (offset, value)) in self.writes.iter().take(self.len).enumerate() {
            let (at, next) = place(index);
            mem.set(at, *offset);
            mem.set(next, *value);
            digest = extend(digest, *offset, *value);
        }
        // The commit. Release: the list stands before it; pairs with Acquire in `replay`.
        mem.set(INTENT, check::with(digest, BITS, self.len as u64));
        self.write(mem);
    }

    fn write(&self, mem: Mem) {
        for (offset, value) in self.writes.iter().take(self.len) {
            mem.set(*offset, *value);
        }
        mem.set(INTENT, 0);
    }
}

/// Does the writes that a dead holder of the lock left behind. The caller holds the store's lock.
///
/// # Errors
/// The offset of a record that cannot have been written by [`Intent::commit`].
pub(crate) fn replay(mem: Mem) -> Result<(), u64> {
    let armed = mem.get(INTENT);
    if armed == 0 {
        return Ok(());
    }
    let len = armed & ((1 << BITS) - 1);
    if len > INTENT_WRITES as u64 {
        return Err(INTENT);
    }
    // Read once: what is checked is what is done.
    let mut intent = Intent::default();
    let mut digest = 0;
    for index in 0..len as usize {
        let (at, next) = place(index);
        let (offset, value) = (mem.get(at), mem.get(next));
        if !offset.is_multiple_of(8) || offset >= mem.len() || offset < FIRST_WORD {
            return Err(at);
        }
        digest = extend(digest, offset, value);
        intent.set(offset, value);
    }
    if check::value(digest, BITS, armed).is_none() {
        return Err(INTENT);
    }
    intent.write(mem);
    Ok(())
}

/// A digest of a list with one more write.
fn extend(digest: u64, offset: u64, value: u64) -> u64 {
    check::mix(check::mix(digest, offset), value)
}

/// Whether a change is under way or was left behind.
pub(crate) fn is_armed(mem: Mem) -> bool {
    mem.get(INTENT) != 0
}

fn place(index: usize) -> (u64, u64) {
    let at = (index as u64)
        .saturating_mul(16)
        .saturating_add(INTENT.saturating_add(8));
    (at, at.saturating_add(8))
}
