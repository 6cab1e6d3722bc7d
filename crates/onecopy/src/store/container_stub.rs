//! A stand-in for `chunks.rs` while it is being written: one fixed building whose spans are handed out in turn. It is
//! removed when that file is there.
#![allow(clippy::arithmetic_side_effects, reason = "goes away")]

use std::ptr::NonNull;
use std::sync::Mutex;

use super::attached::ProcessGuard;
use super::handle::Store;
use super::layout::SPAN;
use super::object::Building;
use crate::error::{AccessError, AllocateError, Corrupt};

/// Bytes that the stand-in hands out.
const ALL: usize = 64 << 20;

/// A container's memory.
pub(crate) struct Container {
    store: Store,
    building: Building,
    given: Mutex<Vec<Chunk>>,
    first: u64,
}

impl std::fmt::Debug for Container {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Container").finish_non_exhaustive()
    }
}

/// A run of spans of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chunk {
    pub(crate) offset: u64,
    pub(crate) len: u64,
    pub(crate) tag: u32,
}

impl Container {
    /// A new container with `len` bytes of zeros of its own.
    pub(crate) fn create(store: &Store, _kind: u8, len: u64) -> Result<Self, AllocateError> {
        let building = store.allocate(ALL, super::file::Huge::Never)?;
        let file = &store.0.file;
        let base = file.mapping.write_address(file.geometry.data_start);
        let first = building.as_mut_ptr().addr() as u64 - base.addr() as u64;
        let own = Chunk { offset: first, len: len.next_multiple_of(SPAN), tag: 0 };
        Ok(Self { store: store.clone(), building, given: Mutex::new(vec![own]), first })
    }

    /// The data area of the store, in the read-write mapping.
    #[allow(unsafe_code, reason = "goes away")]
    pub(crate) fn words(&self) -> crate::shared::Words {
        let file = &self.store.0.file;
        let start = file.geometry.data_start;
        let base = file.mapping.write_address(start);
        let base = NonNull::new(base).unwrap_or(NonNull::dangling());
        // SAFETY: goes away.
        unsafe { crate::shared::Words::new(base, file.geometry.span_count * SPAN) }
    }

    /// Offset of the container's own run of spans in the data area.
    pub(crate) fn first(&self) -> u64 {
        self.first
    }

    /// Adds a chunk.
    pub(crate) fn add_chunk(&self, len: u64, tag: u32) -> Result<Chunk, AllocateError> {
        let mut given = self.given.lock().unwrap();
        let last = given.last().copied().unwrap();
        let offset = last.offset + last.len;
        let len = len.next_multiple_of(SPAN);
        if offset + len > self.first + self.building.len() as u64 {
            return Err(AllocateError::NoMemory { requested: len, available: 0, limit: "the stand-in" });
        }
        let chunk = Chunk { offset, len, tag };
        given.push(chunk);
        Ok(chunk)
    }

    /// The chunks, without the container's own run.
    pub(crate) fn chunks(&self) -> Result<Vec<Chunk>, AccessError> {
        Ok(self.given.lock().unwrap().iter().skip(1).copied().collect())
    }

    /// Gives chunks back; how many bytes.
    pub(crate) fn free_chunks(&self, is_old: impl Fn(u32) -> bool) -> Result<u64, AccessError> {
        let mut given = self.given.lock().unwrap();
        let old = given.iter().skip(1).filter(|chunk| is_old(chunk.tag)).map(|chunk| chunk.len).sum();
        let mut at = 0;
        given.retain(|chunk| {
            at += 1;
            at == 1 || !is_old(chunk.tag)
        });
        Ok(old)
    }

    /// Whether the span of an offset is known to be the container's.
    #[inline(always)]
    pub(crate) fn owns(&self, at: u64) -> bool {
        at.wrapping_sub(self.first) < ALL as u64
    }

    /// The same after a look at the store's rows.
    pub(crate) fn owns_after_look(&self, at: u64) -> bool {
        self.owns(at)
    }

    /// The calling thread's name in a lock word.
    #[inline(always)]
    pub(crate) fn thread(&self) -> Result<u32, AccessError> {
        let (_, own) = self.store.0.identify(&mut ProcessGuard::lock())?;
        Ok(own.holder.word_of())
    }

    /// Whether the thread that a container's lock word names is dead.
    pub(crate) fn is_absent(&self, _word: u32) -> bool {
        false
    }

    /// The process of that thread, 0 when unknown.
    pub(crate) fn pid_of(&self, _word: u32) -> u32 {
        0
    }

    /// Describes bytes that break an invariant.
    pub(crate) fn corrupt(&self, at: u64, what: &'static str) -> Corrupt {
        self.store.0.file.corrupt(self.store.0.file.geometry.data_start + at, what)
    }
}
