//! New chunks for a whole container, built where nobody looks, and swapped in by one change.
//!
//! `clear`, compaction and whatever else drops more than it keeps does not free block by block: it builds what stays in
//! new chunks, swaps the arena and the roots, and gives the old chunks back to the store whole. Nothing that is written
//! before the swap is reachable, so it needs no record.
//!
//! **Crash points.** Before the swap: the new chunks bear a generation that is not in use. After it: the old ones do. In
//! both cases whoever takes the lock over gives them back (lock.rs).
#![forbid(unsafe_code)]

use super::change::Change;
use super::error::ContainerError;
use super::layout::{
    ARENA, ARENA_BYTES, CLASS_BYTES, END, FREE, GENERATION, Header, LIMBO_LEN, LONG, LONG_WRITES,
    RUN, TOP, UNUSED, class_of, stride,
};
use super::lock::Locked;
use super::reference::Reference;
use super::value::{Incoming, Word};

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
        let number = self.heap.generation().wrapping_add(1);
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
        let heap = self.locked.heap;
        let refers = heap.begin_dropping_any();
        let mut change = self.locked.change();
        change.put_root(GENERATION, u64::from(self.number))?;
        change.put_root(ARENA, self.arena)?;
        change.put_root(TOP, self.top)?;
        change.put_root(END, self.end)?;
        change.put_root(LIMBO_LEN, 0)?;
        change.put_root(LONG, 0)?;
        change.put_root(LONG_WRITES, 0)?;
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
