//! A container's memory as this process sees it: where its words are, and which of them it may write to (heap.rs I2).
#![forbid(unsafe_code)]

use super::error::ContainerError;
use super::layout::{
    ARENA, END, FIRST_ARENA, FIRST_BLOCK, GENERATION, GENERATIONS, HASH_KEYS, MAGIC, TOP,
};
use super::words::{Head, Words};
use crate::error::{AccessError, Corrupt};
use crate::store::{Container, SPAN, Store, Uuid};

/// Calls a function with every word of a container that is a value, under its lock.
pub(crate) type EachWord = fn(&Heap, &mut dyn FnMut(u64)) -> Result<(), ContainerError>;

/// What a heap has to know of the container that it is the memory of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Inside {
    /// How to go through what is in it.
    pub(crate) each_word: EachWord,
    /// Makes the container anew in as little memory as it needs, for whoever has its lock.
    pub(crate) renew: fn(&Heap) -> Result<(), ContainerError>,
}

impl Inside {
    /// Of a container without blocks.
    pub(crate) const fn without_blocks(each_word: EachWord) -> Self {
        Self {
            each_word,
            renew: |_| Ok(()),
        }
    }
}

/// A container's memory as this process sees it.
#[derive(Debug, Clone)]
pub(crate) struct Heap {
    pub(crate) container: Container,
    pub(crate) words: Words,
    /// Offset of the container's head.
    pub(crate) head: u64,
    /// The words of the head.
    pub(crate) top: Head,
    /// Bytes of the container's own run, which begins with the head.
    run: u64,
    /// What is in it.
    pub(crate) inside: Inside,
}

/// Bytes of a container's own run of spans: its head and the first blocks.
const OWN_BYTES: u64 = 64 << 10;

impl Heap {
    /// A new container without content. Nobody else knows it before a token of it is made, so it needs no record.
    ///
    /// # Errors
    /// No memory.
    pub(crate) fn create(store: &Store, kind: u8, inside: Inside) -> Result<Self, ContainerError> {
        let new = Self::create_empty(store, kind, OWN_BYTES, inside)?;
        let (words, head) = (&new.words, new.head);
        let keys = Uuid::random().map_err(|source| AccessError::Kernel {
            store: store.uuid(),
            step: "getrandom",
            source,
        })?;
        let (keys, _) = keys.0.as_chunks::<8>();
        for (index, key) in keys.iter().enumerate() {
            words.store(
                head + HASH_KEYS + 8 * index as u64,
                u64::from_le_bytes(*key),
            );
        }
        words.store(head + ARENA, head + FIRST_ARENA);
        words.store(head + TOP, head + FIRST_BLOCK);
        words.store(head + END, head + OWN_BYTES);
        Ok(new)
    }

    /// A new container of `byte_len` bytes that has a head and no blocks. As above, it needs no record.
    ///
    /// # Errors
    /// No memory.
    pub(crate) fn create_empty(
        store: &Store,
        kind: u8,
        byte_len: u64,
        inside: Inside,
    ) -> Result<Self, ContainerError> {
        let new = Self::of(Container::new(store, kind, byte_len)?, inside);
        new.words.store(new.head, MAGIC | u64::from(kind));
        Ok(new)
    }

    /// A container that exists.
    ///
    /// # Errors
    /// Its head is damaged.
    pub(crate) fn open(
        container: Container,
        is_kind: impl FnOnce(u8) -> bool,
        inside: Inside,
    ) -> Result<Self, ContainerError> {
        let kind = container.kind();
        let heap = Self::of(container, inside);
        if !is_kind(kind) || heap.top.acquire(0) != MAGIC | u64::from(kind) {
            return Err(heap
                .corrupt(heap.head, "the head of a container of another kind")
                .into());
        }
        Ok(heap)
    }

    fn of(container: Container, inside: Inside) -> Self {
        let (words, head) = (Words::of(&container), container.first());
        let Some(top) = words.head(head) else {
            // A run of spans lies within the area.
            unreachable!("a container outside the data area");
        };
        let run = container.len();
        Self {
            container,
            words,
            head,
            top,
            run,
            inside,
        }
    }

    /// Bytes of the container's own run.
    pub(crate) fn own_bytes(&self) -> u64 {
        OWN_BYTES
    }

    /// The offset of a word that may be written to. The caller has the lock.
    ///
    /// # Errors
    /// It is not the container's: an offset in it is damaged.
    #[inline(always)]
    pub(crate) fn own(&self, at: u64) -> Result<u64, Corrupt> {
        // Its own run is the container's as long as anybody holds it.
        let is_own = at.wrapping_sub(self.head) < self.run || self.container.owns_locked(at);
        if is_own && at.is_multiple_of(8) {
            return Ok(at);
        }
        self.own_now(at)
    }

    /// The offset of words that may all be written to. A stretch of up to a span lies in the two spans of its ends; of a
    /// longer one each span in between is looked at, since others' may stand between two chunks.
    ///
    /// # Errors
    /// As in [`Heap::own`].
    #[inline(always)]
    pub(crate) fn own_all(&self, at: u64, byte_len: u64) -> Result<u64, Corrupt> {
        if byte_len > SPAN {
            self.own_between(at, byte_len)?;
        }
        self.own(at.wrapping_add(byte_len.max(8)).wrapping_sub(8))?;
        self.own(at)
    }

    #[cold]
    #[inline(never)]
    fn own_between(&self, at: u64, byte_len: u64) -> Result<(), Corrupt> {
        let end = at.checked_add(byte_len);
        let end = end.ok_or_else(|| self.corrupt(at, "a block beyond the store"))?;
        for between in (at..end).step_by(SPAN as usize) {
            self.own(between)?;
        }
        Ok(())
    }

    /// Another process may have added the chunk.
    #[cold]
    #[inline(never)]
    fn own_now(&self, at: u64) -> Result<u64, Corrupt> {
        if at.is_multiple_of(8) && self.container.owns_after_look(at) {
            return Ok(at);
        }
        Err(self.corrupt(at, "an offset outside the container"))
    }

    /// Describes bytes that break an invariant.
    #[cold]
    pub(crate) fn corrupt(&self, at: u64, what: &'static str) -> Corrupt {
        self.container.corrupt(at, what)
    }

    /// The generation of the chunks in use.
    pub(crate) fn generation(&self) -> u32 {
        self.top.relaxed(GENERATION) as u32 & GENERATIONS
    }

    /// Whether blocks of the container's own run are in use: those of a generation whose arena lies in it.
    pub(crate) fn uses_own_run(&self) -> bool {
        self.top.relaxed(ARENA).wrapping_sub(self.head) < FIRST_BLOCK
    }
}
