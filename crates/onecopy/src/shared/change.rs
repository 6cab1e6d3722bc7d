//! Changes of a container, all-or-nothing under `kill -9`.
//!
//! A change is a list of absolute writes {offset, value}. Under the lock its author writes the list into the intent
//! record as it goes, then stores its length into `armed`, **which is the commit**, does the writes in the list's order
//! and clears `armed`. A change of one word needs no record: its store is the commit.
//!
//! **Crash points**, in the order of the stores:
//! 1. fresh blocks are filled and the list is written: `armed` is 0, both mean nothing; the blocks' headers still say
//!    that they are free;
//! 2. after `armed := n`: the change has happened; readers see it through the record, and whoever takes the lock over
//!    does the writes;
//! 3. between the writes: they are absolute, so doing them all again changes nothing;
//! 4. after `armed := 0`: done.
//!
//! A change that frees or moves what readers may be following makes `seq` odd while it is under way; any other makes
//! `changes` odd. One write of such a change is the one by which readers see it ([`Change::put_seen`]): blocks' headers
//! are written before it, and `armed` says which it is (look.rs).
//!
//! A change of many words (`Locked::long_change`) writes its list into a block of the heap instead, the **long record**,
//! and says so in `armed`. It is the same otherwise.
//!
//! **Invariants.** `I1`: `armed` is 0 whenever a change is begun. `I2`: every offset that is written to is the container's
//! own: it is looked at when it is put into the list, and again where it is read from there, which is shared memory. What
//! stands in the intent record its author has kept beside it (writes.rs).
#![forbid(unsafe_code)]

use super::error::ContainerError;
use super::heap::Heap;
use super::layout::{
    ARMED, ARMED_LEN, CHANGES, Header, IS_LONG, LONG, LONG_RECORD, LONG_WRITES, RECORD,
    RECORD_WRITES, SEEN, SEEN_MASK, SEQ,
};
use super::lock::Locked;
use super::record::Record;
use super::reference::Pending;
use super::writes::Writes;
use crate::error::Corrupt;

/// Words that a long change writes again and again, at most: rows of classes and what stands in the head.
const AGAIN: usize = 24;

/// Which write of the list that `armed` speaks of is the one by which readers see the change.
pub(crate) fn seen_index(armed: u64) -> Option<u64> {
    (armed >> SEEN & SEEN_MASK).checked_sub(1)
}

/// A list of absolute writes to be done as one.
#[derive(Debug)]
pub(crate) struct Change<'a> {
    pub(crate) heap: &'a Heap,
    record: Record,
    most: u64,
    /// The number of the write by which readers see the change, from 1 on; 0 for none.
    seen: u64,
    /// The list, as its author keeps it; not that of a long change.
    kept: Writes,
    /// As in [`Locked`].
    pub(super) pin: u64,
    /// In a long change: offsets that are in the list and may be written again, and where they are in it.
    again: Option<Vec<(u64, u64)>>,
    /// What it does to references to other objects (referring.rs).
    pub(super) references: Option<Box<Pending>>,
}

impl Locked<'_> {
    /// Begins a change of at most 32 words. Dropping it unfinished changes nothing.
    #[inline(always)]
    pub(crate) fn change(&self) -> Change<'_> {
        let at = self.heap.head + RECORD;
        Change {
            heap: self.heap,
            record: Record { at, len: 0 },
            most: RECORD_WRITES,
            seen: 0,
            kept: Writes::new(),
            pin: self.pin,
            again: None,
            references: None,
        }
    }

    /// Begins a change of at most `most` words. It sees its own writes only of words that were put with
    /// [`Change::put_again`], so it allocates before it frees, and puts each other word once.
    ///
    /// # Errors
    /// No memory for the list.
    pub(crate) fn long_change(&self, most: u64) -> Result<Change<'_>, ContainerError> {
        // Room for the words that blocks are taken and freed by.
        let most = most.saturating_add(AGAIN as u64);
        if self.root(LONG_WRITES) < most {
            self.renew_long_record(most)?;
        }
        Ok(Change {
            heap: self.heap,
            record: Record {
                at: self.heap.long_record(most)?,
                len: 0,
            },
            most,
            seen: 0,
            kept: Writes::new(),
            pin: self.pin,
            again: Some(Vec::with_capacity(AGAIN)),
            references: None,
        })
    }

    #[cold]
    fn renew_long_record(&self, most: u64) -> Result<(), ContainerError> {
        let mut change = self.change();
        let most = most.next_power_of_two().max(512);
        let at = change.allocate(LONG_RECORD, most.saturating_mul(16))?;
        let old = self.root(LONG);
        if old != 0 {
            change.free(old.wrapping_sub(8))?;
        }
        change.put_root(LONG, at + 8)?;
        change.put_root(LONG_WRITES, most)?;
        // A reader that goes past a writer may be in the old one.
        change.commit(true)
    }

    /// Writes one word, which is the whole change: it frees and moves nothing.
    #[inline(always)]
    pub(crate) fn set(&self, at: u64, value: u64) -> Result<(), ContainerError> {
        let heap = self.heap;
        let at = heap.own(at)?;
        let changes = heap.begin_change();
        self.note(at);
        heap.words.store(at, value);
        heap.end_change(changes);
        Ok(())
    }

    /// The same for a word of the head.
    #[inline(always)]
    pub(crate) fn set_root(&self, at: u64, value: u64) {
        let changes = self.heap.begin_change();
        self.note(self.heap.head + at);
        self.heap.top.store(at, value);
        self.heap.end_change(changes);
    }

    /// Writes a word that nobody can reach yet: of a fresh block, or beyond a length.
    #[inline(always)]
    pub(crate) fn prepare(&self, at: u64, value: u64) -> Result<(), ContainerError> {
        let at = self.heap.own(at)?;
        self.note(at);
        self.heap.words.store(at, value);
        Ok(())
    }

    /// A word of the container.
    #[inline(always)]
    pub(crate) fn load(&self, at: u64) -> Result<u64, ContainerError> {
        self.heap.load(at)
    }

    /// A word of the head.
    #[inline(always)]
    pub(crate) fn root(&self, at: u64) -> u64 {
        self.heap.top.relaxed(at)
    }
}

impl Heap {
    /// A word of the container, under the lock.
    #[inline(always)]
    pub(crate) fn load(&self, at: u64) -> Result<u64, ContainerError> {
        match self.words.load(at) {
            Some(word) => Ok(word),
            None => Err(self.corrupt(at, "an offset beyond the store").into()),
        }
    }

    /// Makes `changes` odd, before anybody can see anything of the change: whoever has read ahead finds out.
    #[inline(always)]
    fn begin_change(&self) -> u64 {
        let changes = self.top.relaxed(CHANGES) | 1;
        self.top.store(CHANGES, changes);
        changes
    }

    /// Makes `changes`, which is odd, even.
    #[inline(always)]
    fn end_change(&self, changes: u64) {
        self.top.store(CHANGES, changes.wrapping_add(1));
    }

    /// Does the writes that a dead holder of the lock committed. The caller has the lock.
    ///
    /// # Errors
    /// A record that no change can have left.
    pub(super) fn replay(&self, pin: u64) -> Result<(), Corrupt> {
        let top = &self.top;
        let record = self.armed_record()?;
        let seq = top.relaxed(SEQ) | 1;
        top.store(SEQ, seq);
        self.write(pin, record)?;
        top.store(SEQ, seq.wrapping_add(1));
        self.end_change(top.relaxed(CHANGES) | 1);
        top.store(ARMED, 0);
        Ok(())
    }

    /// The list that `armed` speaks of.
    ///
    /// # Errors
    /// No change can have left it.
    pub(crate) fn armed_record(&self) -> Result<Record, Corrupt> {
        self.record_of(self.top.acquire(ARMED))
    }

    /// The list that this value of `armed` speaks of.
    ///
    /// # Errors
    /// No change can have left it.
    pub(crate) fn record_of(&self, armed: u64) -> Result<Record, Corrupt> {
        let len = armed & ARMED_LEN;
        if armed & IS_LONG != 0 {
            let at = self.long_record(len)?;
            return Ok(Record { at, len });
        }
        if len > RECORD_WRITES {
            return Err(self.corrupt(self.head + ARMED, "an impossible intent record"));
        }
        let at = self.head + RECORD;
        Ok(Record { at, len })
    }

    /// Where the long record stands, which has room for `most` writes: all of it is the container's, so loops over it end.
    fn long_record(&self, most: u64) -> Result<u64, Corrupt> {
        let at = self.top.relaxed(LONG);
        let header = Header(self.words.relaxed(at.wrapping_sub(8)));
        if header.kind() != LONG_RECORD || most > header.len() / 16 {
            return Err(self.corrupt(self.head + LONG, "no long record"));
        }
        self.own_all(at, 16 * most)
    }

    /// Does the writes of a record.
    fn write(&self, pin: u64, record: Record) -> Result<(), Corrupt> {
        for index in 0..record.len {
            let (at, value) = record.write(&self.words, index);
            let at = self.own(at)?;
            if pin != 0 {
                self.log(pin, at);
            }
            self.words.store(at, value);
        }
        Ok(())
    }
}

impl Change<'_> {
    /// Adds the write of `value` to the word at `at`.
    ///
    /// # Errors
    /// The word is not the container's: an offset in it is damaged.
    #[inline(always)]
    pub(crate) fn put(&mut self, at: u64, value: u64) -> Result<(), ContainerError> {
        let heap = self.heap;
        let at = heap.own(at)?;
        assert!(
            self.record.len < self.most,
            "a change of more words than it was begun for"
        );
        let place = 16 * self.record.len;
        if self.again.is_none() {
            heap.top.store_two(RECORD + place, [at, value]);
            self.kept.push((at, value));
        } else {
            // The long record is a block like others, and was another one's.
            let entry = self.record.at + place;
            self.note(entry);
            self.note(entry + 8);
            heap.words.store_two(entry, [at, value]);
        }
        self.record.len += 1;
        Ok(())
    }

    /// The same for the write by which readers see a change that moves nothing: no point read depends on another word of
    /// it, and the word's value was another.
    #[inline(always)]
    pub(crate) fn put_seen(&mut self, at: u64, value: u64) -> Result<(), ContainerError> {
        self.put(at, value)?;
        self.seen = self.record.len;
        Ok(())
    }

    /// Adds the write of a word of the head.
    #[inline(always)]
    pub(crate) fn put_root(&mut self, at: u64, value: u64) -> Result<(), ContainerError> {
        self.put(self.heap.head + at, value)
    }

    /// The same as [`Change::put`] for a word that the list may hold already: the later value counts.
    #[inline(always)]
    pub(crate) fn put_again(&mut self, at: u64, value: u64) -> Result<(), ContainerError> {
        if let Some(index) = self.place_of(at) {
            self.heap
                .words
                .store(self.record.at + 16 * index + 8, value);
            if let Some(kept) = self.kept.value_mut(index as usize) {
                *kept = value;
            }
            return Ok(());
        }
        if let Some(again) = &mut self.again {
            again.push((at, self.record.len));
        }
        self.put(at, value)
    }

    /// Where the list writes a word.
    #[inline(always)]
    fn place_of(&self, at: u64) -> Option<u64> {
        if let Some(again) = &self.again {
            return again
                .iter()
                .find(|known| known.0 == at)
                .map(|known| known.1);
        }
        let place = self.kept.all().iter().rposition(|write| write.0 == at);
        place.map(|index| index as u64)
    }

    /// Does the writes, in their order.
    #[inline(always)]
    fn write(&self) -> Result<(), Corrupt> {
        if self.again.is_some() {
            return self.heap.write(self.pin, self.record);
        }
        for (at, value) in self.kept.all() {
            self.note(*at);
            self.heap.words.store(*at, *value);
        }
        Ok(())
    }

    /// Writes in the list.
    #[inline(always)]
    pub(crate) fn writes(&self) -> usize {
        self.record.len as usize
    }

    /// Whether the list writes a word.
    #[inline(always)]
    pub(crate) fn has(&self, at: u64) -> bool {
        self.place_of(at).is_some()
    }

    /// What a word will be after the change.
    #[inline(always)]
    pub(crate) fn see(&self, at: u64) -> Result<u64, ContainerError> {
        match self.place_of(at) {
            Some(index) => Ok(match self.kept.all().get(index as usize) {
                Some(kept) => kept.1,
                None => self.record.write(&self.heap.words, index).1,
            }),
            None => self.heap.load(at),
        }
    }

    /// Writes a word that nobody can reach before the commit: of a block that this change takes, or beyond a length.
    #[inline(always)]
    pub(crate) fn prepare(&self, at: u64, value: u64) -> Result<(), ContainerError> {
        let at = self.heap.own(at)?;
        self.note(at);
        self.heap.words.store(at, value);
        Ok(())
    }

    /// Writes down what a word is if the container is pinned (past.rs).
    #[inline(always)]
    pub(crate) fn note(&self, at: u64) {
        if self.pin != 0 {
            self.heap.log(self.pin, at);
        }
    }

    /// Does the change, which has room for no write after it. `moves`: it frees or moves what readers may be following.
    ///
    /// It is borrowed, because taking it by value copies half a kilobyte.
    ///
    /// # Errors
    /// Somebody has overwritten the record meanwhile.
    #[inline(always)]
    pub(crate) fn commit(&mut self, moves: bool) -> Result<(), ContainerError> {
        if let Err(damage) = self.arm_and_write(moves) {
            // Whoever takes the lock next tries again, and settles what it does to references.
            self.references = None;
            return Err(damage.into());
        }
        if self.references.is_some() {
            self.finish_references();
        }
        Ok(())
    }

    #[inline(always)]
    fn arm_and_write(&mut self, moves: bool) -> Result<(), Corrupt> {
        let top = &self.heap.top;
        let is_long = if self.again.is_some() { IS_LONG } else { 0 };
        let armed = self.record.len | self.seen << SEEN | is_long;
        self.most = 0;
        if moves {
            top.store(ARMED, armed);
            let seq = top.relaxed(SEQ) | 1;
            top.store(SEQ, seq);
            self.write()?;
            top.store(SEQ, seq.wrapping_add(1));
        } else {
            // Before `armed`: a record that is found while `changes` is odd is this change's.
            let changes = self.heap.begin_change();
            top.store(ARMED, armed);
            self.write()?;
            self.heap.end_change(changes);
        }
        top.store(ARMED, 0);
        Ok(())
    }
}

impl Drop for Change<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        if self.references.is_some() {
            self.give_up_references();
        }
    }
}
