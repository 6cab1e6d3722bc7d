//! Checks a heap's invariants: a census of its blocks.
//!
//! Every block of the chunks in use is met exactly once: on the free list of its class, among the fresh ones at the end of
//! its class's run, in limbo, as the long record, or by the container, which reports what it is made of. Its references to
//! other objects are those that the store knows of.
#![forbid(unsafe_code)]

use std::collections::{HashMap, HashSet};

use super::error::ContainerError;
use super::heap::{Heap, limbo_len};
use super::layout::{
    ARENA, ARENA_BYTES, ARMED, CLASS_BYTES, CLASSES, END, FIRST_BLOCK, FREE, Header, LIMBO,
    LIMBO_LEN, LIMBO_MOST, LONG, LONG_WRITES, RUN, SEQ, TOP, UNUSED, class_len, stride,
};
use super::lock::Locked;
use super::look::{Look, found};
use super::value::{Kind, LONG_RECORD, Word};

/// A block that the walk has found.
#[derive(Debug)]
struct Block {
    header: Header,
    is_met: bool,
}

/// The blocks of a heap, and which of them have been met.
#[derive(Debug)]
pub(crate) struct Census<'a> {
    heap: &'a Heap,
    blocks: HashMap<u64, Block>,
    references: HashSet<u64>,
}

impl Locked<'_> {
    /// Checks the heap. `reach` reports all blocks that the container is made of.
    ///
    /// # Errors
    /// [`ContainerError::Corrupt`] with the place and the broken invariant.
    pub(crate) fn verify(
        &self,
        reach: impl FnOnce(&mut Census<'_>) -> Result<(), ContainerError>,
    ) -> Result<(), ContainerError> {
        let heap = self.heap;
        if self.root(ARMED) != 0 {
            return Err(heap
                .corrupt(heap.head + ARMED, "a change that is under way")
                .into());
        }
        if self.root(SEQ) & 1 != 0 {
            return Err(heap
                .corrupt(heap.head + SEQ, "an odd count of changes")
                .into());
        }
        let mut census = Census {
            heap,
            blocks: HashMap::new(),
            references: HashSet::new(),
        };
        census.walk_all()?;
        census.meet_free()?;
        let limbo = limbo_len(self.root(LIMBO_LEN));
        if limbo > LIMBO_MOST {
            return Err(heap
                .corrupt(heap.head + LIMBO_LEN, "an impossible limbo")
                .into());
        }
        for index in 0..limbo {
            let at = self.root(LIMBO + 8 * index);
            census.meet(
                at,
                |header| header.kind() != FREE,
                "a way to no block, or to one that is met twice",
            )?;
        }
        census.meet_long_record()?;
        reach(&mut census)?;
        census.check_references()?;
        census.finish()
    }
}

impl Census<'_> {
    fn error<T>(&self, at: u64, what: &'static str) -> Result<T, ContainerError> {
        Err(self.heap.corrupt(at, what).into())
    }

    fn root(&self, at: u64) -> u64 {
        self.heap.words.relaxed(self.heap.head + at)
    }

    /// Finds the blocks of all chunks in use.
    fn walk_all(&mut self) -> Result<(), ContainerError> {
        let arena = self.root(ARENA);
        self.heap.own_all(arena, ARENA_BYTES)?;
        let (top, end) = (self.root(TOP), self.root(END));
        if top > end {
            return self.error(self.heap.head + TOP, "blocks past the end of a chunk");
        }
        let generation = self.heap.generation();
        let mut chunks: Vec<(u64, u64)> = Vec::new();
        if self.heap.uses_own_run() {
            let first = self.heap.head;
            chunks.push((first + FIRST_BLOCK, first + self.heap.own_bytes()));
        }
        let added = self.heap.container.chunks()?;
        let in_use = added.iter().filter(|chunk| chunk.tag == generation);
        chunks.extend(in_use.map(|chunk| (chunk.offset, chunk.offset + chunk.len)));
        let is_one = chunks.iter().any(|chunk| chunk.0 <= top && end == chunk.1);
        if !is_one {
            return self.error(self.heap.head + END, "a chunk in use that is not there");
        }
        for (start, stop) in chunks {
            let is_current = stop == end && start <= top;
            // One that nobody has taken begins with a word of zeros.
            if is_current || self.heap.load(start)? != 0 {
                self.walk(start, if is_current { top } else { stop })?;
            }
        }
        Ok(())
    }

    fn walk(&mut self, start: u64, stop: u64) -> Result<(), ContainerError> {
        let mut at = start;
        while at < stop {
            let header = Header(self.heap.load(at)?);
            let len = header.len();
            let is_stretch =
                matches!(header.kind(), RUN | UNUSED) && len >= 8 && len.is_multiple_of(8);
            if !is_stretch || len > stop - at {
                return self.error(at, "no run of blocks");
            }
            if header.kind() == RUN {
                self.walk_run(at, header)?;
            }
            at += len;
        }
        Ok(())
    }

    fn walk_run(&mut self, run: u64, header: Header) -> Result<(), ContainerError> {
        let (class, end) = (header.class(), run + header.len());
        if class >= CLASSES || !(header.len() - 8).is_multiple_of(stride(class)) {
            return self.error(run, "a run that its blocks do not fill");
        }
        let row = self.row(class);
        let newest = self.heap.load(row + 16)? == end;
        let cut = if newest {
            self.heap.load(row + 8)?
        } else {
            end
        };
        if cut < run + 8 || cut > end || !(cut - run - 8).is_multiple_of(stride(class)) {
            return self.error(row + 8, "fresh blocks outside their run");
        }
        for at in (run + 8..cut).step_by(stride(class) as usize) {
            let header = Header(self.heap.load(at)?);
            if header.class() != class || header.kind() >= UNUSED {
                return self.error(at, "a block of another class than its run");
            }
            if header.kind() != FREE && header.len() > class_len(class) {
                return self.error(at, "a block that is longer than its class");
            }
            self.blocks.insert(
                at,
                Block {
                    header,
                    is_met: false,
                },
            );
        }
        Ok(())
    }

    fn row(&self, class: u64) -> u64 {
        self.root(ARENA) + class * CLASS_BYTES
    }

    fn meet(
        &mut self,
        at: u64,
        is_it: impl Fn(Header) -> bool,
        what: &'static str,
    ) -> Result<Header, ContainerError> {
        match self.blocks.get_mut(&at) {
            Some(block) if !block.is_met && is_it(block.header) => {
                block.is_met = true;
                Ok(block.header)
            }
            _ => self.error(at, what),
        }
    }

    fn meet_free(&mut self) -> Result<(), ContainerError> {
        for class in 0..CLASSES {
            let mut at = self.heap.load(self.row(class))?;
            while at != 0 {
                let is_it = |header: Header| header.kind() == FREE && header.class() == class;
                at = self
                    .meet(at, is_it, "a free list that leads to no free block")?
                    .len();
            }
        }
        Ok(())
    }

    fn meet_long_record(&mut self) -> Result<(), ContainerError> {
        let (at, writes) = (self.root(LONG), self.root(LONG_WRITES));
        if at == 0 && writes == 0 {
            return Ok(());
        }
        let header = self.reach(at.wrapping_sub(8), LONG_RECORD)?;
        if writes > header.len() / 16 {
            return self.error(
                self.heap.head + LONG_WRITES,
                "a long record that is shorter than it says",
            );
        }
        Ok(())
    }

    /// Reports a block of a kind that the container uses.
    ///
    /// # Errors
    /// There is no such block, or it was met before.
    pub(crate) fn reach(&mut self, at: u64, kind: u8) -> Result<Header, ContainerError> {
        self.meet(
            at,
            |header| header.kind() == kind,
            "a way to no block, or to one that is met twice",
        )
    }

    fn blob(&mut self, at: u64) -> Result<(), ContainerError> {
        let is_it = |header: Header| Kind::of(header.kind()).is_some();
        self.meet(at, is_it, "a way to no blob, or to one that is met twice")?;
        Ok(())
    }

    /// Reports a word that is a value.
    ///
    /// # Errors
    /// It is none, or leads to no blob or to one that was met before.
    pub(crate) fn value(&mut self, word: u64) -> Result<(), ContainerError> {
        match Word(word).as_blob() {
            Some(at) => self.blob(at),
            None => match Word(word).as_reference() {
                Some(name) if !self.references.insert(name) => {
                    self.error(self.heap.head, "a reference in two words")
                }
                Some(_) if Word(word).is_large() => {
                    found(self.heap, Look::locked(self.heap).hold_large(Word(word)))??;
                    Ok(())
                }
                None if Word(word).immediate().is_none() => {
                    self.error(self.heap.head, "a word that is no value")
                }
                _ => Ok(()),
            },
        }
    }

    /// Every reference that the store knows is in one word, and every name in a word means one.
    fn check_references(&self) -> Result<(), ContainerError> {
        let known = self.heap.container.references()?;
        let is_named = |name| self.references.contains(name);
        if known.len() != self.references.len() || !known.iter().all(is_named) {
            return self.error(self.heap.head, "references that are not those in words");
        }
        Ok(())
    }

    fn finish(self) -> Result<(), ContainerError> {
        match self.blocks.iter().find(|block| !block.1.is_met) {
            Some((at, block)) if block.header.kind() == FREE => {
                self.error(*at, "a free block on no list")
            }
            Some((at, _)) => self.error(*at, "a block in use that nothing leads to"),
            None => Ok(()),
        }
    }
}
