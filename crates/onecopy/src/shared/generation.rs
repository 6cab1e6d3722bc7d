//! New chunks for a whole container, built where nobody looks, and swapped in by one change.
//!
//! `clear`, compaction and whatever else drops more than it keeps does not free block by block: it builds what stays in
//! new chunks, swaps the arena and the roots, and gives the old chunks back to the store whole. Nothing that is written
//! before the swap is reachable, so it needs no record.
//!
//! A container that is **emptied** needs no memory for that, which may be what is missing: its blocks come from its own run
//! again, by the arena there that is not in use.
//!
//! **Crash points.** Before the swap: the new chunks bear a generation that is not in use. After it: the old ones do. In
//! both cases whoever takes the lock over gives them back (lock.rs).
#![forbid(unsafe_code)]

use super::change::Change;
use super::error::ContainerError;
use super::layout::{
    ARENA, ARENA_BYTES, CHUNK_BYTES, CLASS_BYTES, END, FIRST_ARENA, FIRST_BLOCK, FREE, GENERATION,
    GENERATIONS, Header, IDLE, LIMBO_LEN, LONG, LONG_WRITES, RUN, SECOND_ARENA, TOP, UNUSED,
    class_of, stride,
};
use super::lock::Locked;
use super::reference::Reference;
use super::value::{Incoming, Kind, Word};

/// The next generation of a container's heap while it is built.
#[derive(Debug)]
pub(crate) struct Generation<'a> {
    locked: &'a Locked<'a>,
    number: u32,
    arena: u64,
    top: u64,
    end: u64,
    total: u64,
}

/// What blocks are taken from, and filled before anybody can reach them.
pub(crate) trait Blocks {
    /// Takes a block for `len` bytes: the offset of its header.
    fn allocate(&mut self, kind: u8, len: u64) -> Result<u64, ContainerError>;
    /// Writes a word of a block that was taken.
    fn prepare(&self, at: u64, value: u64) -> Result<(), ContainerError>;
    /// Writes bytes into a block that was taken.
    fn fill(&self, at: u64, bytes: &[u8]) -> Result<(), ContainerError>;
}

impl Blocks for Change<'_> {
    #[inline(always)]
    fn allocate(&mut self, kind: u8, len: u64) -> Result<u64, ContainerError> {
        self.allocate(kind, len)
    }

    #[inline(always)]
    fn prepare(&self, at: u64, value: u64) -> Result<(), ContainerError> {
        self.prepare(at, value)
    }

    #[inline(always)]
    fn fill(&self, at: u64, bytes: &[u8]) -> Result<(), ContainerError> {
        self.fill(at, bytes)
    }
}

impl Blocks for Generation<'_> {
    fn allocate(&mut self, kind: u8, len: u64) -> Result<u64, ContainerError> {
        self.allocate(kind, len)
    }

    fn prepare(&self, at: u64, value: u64) -> Result<(), ContainerError> {
        self.set(at, value)
    }

    fn fill(&self, at: u64, bytes: &[u8]) -> Result<(), ContainerError> {
        self.fill(at, bytes)
    }
}

/// Bytes of a chunk of a new generation, unless more is known to be needed.
const CHUNK: u64 = 64 << 10;
/// The largest chunk that is added at once, unless one block needs more.
const LARGEST_CHUNK: u64 = 4 << 20;
/// Bytes of an arena with the header of the run that it is.
const ARENA_RUN: u64 = ARENA_BYTES + 8;

impl<'a> Locked<'a> {
    /// Begins a generation that needs about `bytes`.
    ///
    /// # Errors
    /// No memory; nothing has happened then.
    pub(crate) fn begin_generation(&'a self, bytes: u64) -> Result<Generation<'a>, ContainerError> {
        let number = self.next_generation();
        // What a dead process left of this number.
        self.heap.container.free_chunks(|tag| tag == number)?;
        let mut generation = Generation {
            locked: self,
            number,
            arena: 0,
            top: 0,
            end: 0,
            total: 0,
        };
        generation.add_chunk(bytes.saturating_add(ARENA_RUN).min(LARGEST_CHUNK))?;
        let top = generation.take(ARENA_RUN)?;
        generation.set(top, Header::new(UNUSED, 0, ARENA_RUN).0)?;
        generation.arena = top + 8;
        Ok(generation)
    }

    fn next_generation(&self) -> u32 {
        self.heap.generation().wrapping_add(1) & GENERATIONS
    }

    /// Drops all blocks in one change, to which `roots` adds the words of a container without any.
    ///
    /// # Errors
    /// As in [`Change::put`]; never for want of memory.
    pub(crate) fn empty(
        &self,
        roots: impl FnOnce(&mut Change<'_>) -> Result<(), ContainerError>,
    ) -> Result<(), ContainerError> {
        let heap = self.heap;
        let own = heap.own_all(heap.head, heap.own_bytes())?;
        let is_first = self.root(ARENA) == own + FIRST_ARENA;
        let arena = own + if is_first { SECOND_ARENA } else { FIRST_ARENA };
        // Nothing leads to it, and readers never look at one.
        for row in (arena..arena + ARENA_BYTES).step_by(8) {
            if heap.words.relaxed(row) != 0 {
                heap.words.store(row, 0);
            }
        }
        self.swap(
            [
                (GENERATION, u64::from(self.next_generation())),
                (ARENA, arena),
                (TOP, own + FIRST_BLOCK),
                (END, own + heap.own_bytes()),
                (CHUNK_BYTES, 0),
            ],
            roots,
        )
    }

    /// Swaps in a heap of other blocks.
    fn swap(
        &self,
        heap_words: [(u64, u64); 5],
        roots: impl FnOnce(&mut Change<'_>) -> Result<(), ContainerError>,
    ) -> Result<(), ContainerError> {
        let heap = self.heap;
        let refers = heap.begin_dropping_any();
        let mut change = self.change();
        for (at, value) in heap_words {
            change.put_root(at, value)?;
        }
        for at in [LIMBO_LEN, IDLE, LONG, LONG_WRITES] {
            change.put_root(at, 0)?;
        }
        roots(&mut change)?;
        change.commit(true)?;
        // The change has happened; what cannot be given back now waits for the next generation.
        let _ = heap.give_back_old_chunks();
        if refers {
            let _ = heap.settle_references();
        }
        Ok(())
    }
}

impl Generation<'_> {
    fn add_chunk(&mut self, bytes: u64) -> Result<(), ContainerError> {
        let len = (self.total / 4).clamp(CHUNK, LARGEST_CHUNK).max(bytes);
        let chunk = self
            .locked
            .heap
            .container
            .add_chunk(len.next_multiple_of(CHUNK), self.number)?;
        self.total += chunk.len;
        (self.top, self.end) = (chunk.offset, chunk.offset + chunk.len);
        Ok(())
    }

    fn take(&mut self, bytes: u64) -> Result<u64, ContainerError> {
        if self.end - self.top < bytes {
            if self.end > self.top {
                self.set(self.top, Header::new(UNUSED, 0, self.end - self.top).0)?;
            }
            self.add_chunk(bytes)?;
        }
        let top = self.top;
        self.top += bytes;
        Ok(top)
    }

    /// A block for `len` bytes: the offset of its header. All of its words are zeros.
    ///
    /// # Errors
    /// No memory; dropping the generation and [`super::heap::Heap::give_back_old_chunks`] undo everything.
    pub(crate) fn allocate(&mut self, kind: u8, len: u64) -> Result<u64, ContainerError> {
        let class = class_of(len);
        let row = self.arena + class * CLASS_BYTES;
        let stride = stride(class);
        let (mut fresh, mut end) = (self.load(row + 8)?, self.load(row + 16)?);
        if fresh == 0 || end.saturating_sub(fresh) < stride {
            let run = ((self.end - self.top) / 16).clamp(4 << 10, 64 << 10);
            let run = ((run - 8) / stride).max(1) * stride + 8;
            let top = self.take(run)?;
            self.set(top, Header::new(RUN, class, run).0)?;
            (fresh, end) = (top + 8, top + run);
            self.set(row + 16, end)?;
        }
        self.set(row + 8, fresh + stride)?;
        self.set(fresh, Header::new(kind, class, len).0)?;
        debug_assert!(
            kind != FREE && end >= fresh + stride,
            "a block within its run"
        );
        Ok(fresh)
    }

    /// Writes a word of a block of this generation.
    ///
    /// # Errors
    /// It is not the container's.
    pub(crate) fn set(&self, at: u64, value: u64) -> Result<(), ContainerError> {
        // Nobody has pinned what was not there (past.rs).
        let heap = self.locked.heap;
        heap.words.store(heap.own(at)?, value);
        Ok(())
    }

    /// Fills a block of this generation.
    ///
    /// # Errors
    /// It is not the container's.
    pub(crate) fn fill(&self, at: u64, bytes: &[u8]) -> Result<(), ContainerError> {
        let mut change = self.locked.change();
        change.pin = 0;
        change.fill(at, bytes)
    }

    /// The word of a value, whose block, if it needs one, is taken here.
    ///
    /// # Errors
    /// As in [`Generation::allocate`].
    pub(crate) fn place(&mut self, value: &Incoming<'_>) -> Result<Word, ContainerError> {
        match *value {
            Incoming::Word(word) => Ok(word),
            Incoming::Blob(kind, bytes) => {
                let at = self.allocate(kind as u8, bytes.len() as u64)?;
                self.fill(at + 8, bytes)?;
                Ok(Word::of_blob(at))
            }
            Incoming::Reference(reference) => self.refer(reference).map(Word::of_reference),
            Incoming::Large(large) => self.refer(large.reference()).map(Word::of_large),
        }
    }

    /// The word of a value that is in the old generation.
    ///
    /// # Errors
    /// It leads to no value, or as in [`Generation::allocate`].
    pub(crate) fn move_over(&mut self, word: u64) -> Result<Word, ContainerError> {
        let Some(old) = Word(word).as_blob() else {
            return Ok(Word(word));
        };
        let heap = self.locked.heap;
        let header = Header(self.load(old)?);
        let words = header.len().div_ceil(8);
        if Kind::of(header.kind()).is_none() || old.checked_add(8 * words).is_none() {
            return Err(heap
                .corrupt(old, "an element that leads to no value")
                .into());
        }
        // All of it is the container's, so the length is no dream.
        heap.own_all(old, 8 * words + 8)?;
        let new = self.allocate(header.kind(), header.len())?;
        for word in 1..=words {
            self.set(new + 8 * word, self.load(old + 8 * word)?)?;
        }
        Ok(Word::of_blob(new))
    }

    /// Adds a reference; its name. If the generation is not committed, [`super::heap::Heap::settle_references`] undoes it.
    ///
    /// # Errors
    /// As in [`Change::refer`].
    fn refer(&self, reference: &Reference) -> Result<u64, ContainerError> {
        self.locked.heap.refer(reference)
    }

    fn load(&self, at: u64) -> Result<u64, ContainerError> {
        self.locked.load(at)
    }

    /// Makes this generation the one in use. `roots` adds the container's own words to the change.
    ///
    /// # Errors
    /// As in [`Change::put`].
    pub(crate) fn commit(
        self,
        roots: impl FnOnce(&mut Change<'_>) -> Result<(), ContainerError>,
    ) -> Result<(), ContainerError> {
        self.locked.swap(
            [
                (GENERATION, u64::from(self.number)),
                (ARENA, self.arena),
                (TOP, self.top),
                (END, self.end),
                (CHUNK_BYTES, self.total),
            ],
            roots,
        )
    }
}
