//! What containers use their memory for, looked at beside writers.
//!
//! Headers of blocks are read without the container's lock, so a figure may be a moment older than its neighbour, and of a
//! container that is being changed the sums are close and not exact. Nothing is taken on trust: a walk ends where it meets
//! what is no header, and what it has not reached counts as live.
#![forbid(unsafe_code)]

use std::fmt;

use super::array;
use super::cell;
use super::dict::{self, DictKind};
use super::layout::{
    ARENA, CLASSES, END, FIRST_BLOCK, FREE, GENERATION, Header, LIMBO, LIMBO_LEN, LIMBO_MOST, RUN,
    TOP, UNUSED, stride,
};
use super::list;
use super::mixed;
use super::sync::kinds;
use super::value::LARGE_MAGIC;
use super::words::Words;
use crate::error::AccessError;
use crate::store::{Listed, ObjectId, Run, Store};

/// What a container is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ContainerKind {
    /// A [`crate::List`].
    List,
    /// A [`crate::Dict`].
    Dict,
    /// A [`crate::Set`].
    Set,
    /// A [`crate::Counter`].
    Counter,
    /// A dict whose keys are shown as attributes.
    Namespace,
    /// One value.
    Value,
    /// A [`crate::Array`].
    Array,
    /// A queue.
    Queue,
    /// A lock.
    Lock,
    /// A semaphore.
    Semaphore,
    /// An event.
    Event,
    /// A condition.
    Condition,
    /// A barrier.
    Barrier,
    /// Plain data with containers in it.
    Mixed,
    /// Nothing that this version knows.
    Unknown,
}

impl ContainerKind {
    fn of(tag: u32) -> Self {
        match u8::try_from(tag) {
            Ok(list::KIND) => Self::List,
            Ok(cell::KIND) => Self::Value,
            Ok(array::KIND) => Self::Array,
            Ok(mixed::KIND) => Self::Mixed,
            Ok(kinds::QUEUE) => Self::Queue,
            Ok(kinds::MUTEX) => Self::Lock,
            Ok(kinds::SEMAPHORE) => Self::Semaphore,
            Ok(kinds::EVENT) => Self::Event,
            Ok(kinds::CONDITION) => Self::Condition,
            Ok(kinds::BARRIER) => Self::Barrier,
            Ok(kind) => match DictKind::of(kind) {
                Some(DictKind::Dict) => Self::Dict,
                Some(DictKind::Set) => Self::Set,
                Some(DictKind::Counter) => Self::Counter,
                Some(DictKind::Namespace | DictKind::ManagedNamespace) => Self::Namespace,
                None => Self::Unknown,
            },
            Err(_) => Self::Unknown,
        }
    }
}

impl fmt::Display for ContainerKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, formatter)
    }
}

/// A container of a store, and what its memory is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ContainerStats {
    /// Its name in the store.
    pub id: ObjectId,
    /// What it is.
    pub kind: ContainerKind,
    /// Elements, or keys.
    pub len: u64,
    /// Processes that hold it.
    pub holds: u64,
    /// Tokens that were made and not yet attached.
    pub units: u64,
    /// Chunks of memory that it took when it grew.
    pub chunks: u64,
    /// Bytes of all its memory, in whole pages: the sum of the next three.
    pub bytes: u64,
    /// Bytes in use, its own tables included.
    pub live_bytes: u64,
    /// Bytes that its next elements can take.
    pub free_bytes: u64,
    /// Bytes that were replaced, and are kept a while for those who may still be reading them.
    pub limbo_bytes: u64,
    /// Values that are objects of their own, as they are large. One that several containers have, as copies of each
    /// other, is counted by each.
    pub large_values: u64,
    /// Bytes of these, in whole pages, which `bytes` does not have.
    pub large_bytes: u64,
}

impl Store {
    /// The containers in the store, from the oldest row to the newest. Takes longer the more they hold; writers and readers
    /// of containers are not disturbed.
    ///
    /// # Errors
    /// The store's lock is not to be had, or its tables are damaged.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let store = onecopy::Store::new()?;
    /// let list = store.list()?;
    /// list.append(&"a text that needs a block".into())?;
    /// let found = store.containers()?[0];
    /// assert_eq!((found.kind.to_string().as_str(), found.len), ("List", 1));
    /// assert_eq!(found.bytes, found.live_bytes + found.free_bytes + found.limbo_bytes);
    /// # Ok(()) }
    /// ```
    pub fn containers(&self) -> Result<Vec<ContainerStats>, AccessError> {
        let words = Words::of_store(self);
        let mut found = Vec::new();
        for listed in self.listed()? {
            let looker = Looker {
                store: self,
                words,
                listed: &listed,
                kind: ContainerKind::of(listed.own.tag),
            };
            if let Some(stats) = looker.stats()? {
                found.push(stats);
            }
        }
        Ok(found)
    }
}

/// What the head of a heap says of its blocks.
#[derive(Debug, Clone, Copy)]
struct Head {
    len: u64,
    has_heap: bool,
    generation: u32,
    arena: u64,
    top: u64,
    end: u64,
    limbo_bytes: u64,
}

struct Looker<'a> {
    store: &'a Store,
    words: Words,
    listed: &'a Listed,
    kind: ContainerKind,
}

impl Looker<'_> {
    /// `None` for a container that has gone meanwhile.
    fn stats(&self) -> Result<Option<ContainerStats>, AccessError> {
        let Listed { own, chunks, .. } = self.listed;
        let Some(head) = self.store.look_at(own, || self.head())? else {
            return Ok(None);
        };
        let all = || chunks.iter().map(|run| run.len).sum::<u64>();
        let bytes = own.len.saturating_add(all());
        let mut free = 0u64;
        if head.has_heap {
            for run in [own].into_iter().chain(chunks) {
                let found = self.store.look_at(run, || self.free_bytes(run, &head))?;
                free = free.saturating_add(found.unwrap_or(0));
            }
        }
        let free = free.min(bytes);
        let large = self.large()?;
        let limbo = head.limbo_bytes.min(bytes.saturating_sub(free));
        Ok(Some(ContainerStats {
            id: self.listed.id,
            kind: self.kind,
            len: head.len,
            holds: self.listed.holds,
            units: self.listed.units,
            chunks: chunks.len() as u64,
            bytes,
            live_bytes: bytes.saturating_sub(free).saturating_sub(limbo),
            free_bytes: free,
            limbo_bytes: limbo,
            large_values: large.len() as u64,
            large_bytes: large.iter().fold(0, |sum, len| sum.saturating_add(*len)),
        }))
    }

    /// The lengths of its large values.
    fn large(&self) -> Result<Vec<u64>, AccessError> {
        let mut found = Vec::new();
        for run in &self.listed.referred {
            let first = self.store.look_at(run, || self.words.load(run.offset))?;
            if first.flatten() == Some(u64::from_le_bytes(LARGE_MAGIC)) {
                found.push(run.len);
            }
        }
        Ok(found)
    }

    fn root(&self, at: u64) -> u64 {
        self.words
            .relaxed(self.listed.own.offset.saturating_add(at))
    }

    fn head(&self) -> Head {
        let mut head = Head {
            len: 0,
            has_heap: true,
            generation: self.root(GENERATION) as u32,
            arena: self.root(ARENA),
            top: self.root(TOP),
            end: self.root(END),
            limbo_bytes: 0,
        };
        head.len = match self.kind {
            ContainerKind::List | ContainerKind::Queue => self.root(list::LEN),
            ContainerKind::Dict
            | ContainerKind::Set
            | ContainerKind::Counter
            | ContainerKind::Namespace => dict::len_of(self.root(dict::STATE)),
            ContainerKind::Value => 1,
            ContainerKind::Array => {
                head.has_heap = false;
                array::count(self.listed.len, self.root(array::ITEM_BYTES))
            }
            ContainerKind::Mixed => {
                head.has_heap = false;
                self.root(mixed::COUNT)
            }
            ContainerKind::Lock
            | ContainerKind::Semaphore
            | ContainerKind::Event
            | ContainerKind::Condition
            | ContainerKind::Barrier
            | ContainerKind::Unknown => {
                head.has_heap = false;
                0
            }
        };
        if head.has_heap {
            let count = self.root(LIMBO_LEN).min(LIMBO_MOST);
            let blobs = (0..count).map(|index| self.root(LIMBO + 8 * index));
            let headers = blobs.filter_map(|at| self.words.load(at)).map(Header);
            head.limbo_bytes = headers.map(bytes_of).fold(0, u64::saturating_add);
        }
        head
    }

    /// Bytes of a run that blocks can still take.
    fn free_bytes(&self, run: &Run, head: &Head) -> u64 {
        let is_own = run.offset == self.listed.own.offset;
        let stop = run.offset.saturating_add(run.len);
        if is_own && head.generation != 0 {
            return 0;
        }
        if !is_own && run.tag != head.generation {
            // To be given back.
            return run.len;
        }
        let start = run.offset + if is_own { FIRST_BLOCK } else { 0 };
        // Above its top the chunk in use is free.
        let top = if head.end == stop && (start..=stop).contains(&head.top) {
            head.top
        } else {
            stop
        };
        (stop - top).saturating_add(self.free_below(start, top, head))
    }

    fn free_below(&self, start: u64, top: u64, head: &Head) -> u64 {
        let (mut at, mut free) = (start, 0u64);
        while at < top {
            let header = Header(self.words.load(at).unwrap_or(0));
            let len = header.len();
            if header.0 == 0 && at == start {
                // A chunk that nobody has taken yet.
                return top - start;
            }
            if !matches!(header.kind(), RUN | UNUSED)
                || !len.is_multiple_of(8)
                || len == 0
                || len > top - at
            {
                return free;
            }
            if header.kind() == RUN {
                free = free.saturating_add(self.free_in_run(at, header));
            } else if head.arena != at.wrapping_add(8) {
                free = free.saturating_add(len);
            }
            at += len;
        }
        free
    }

    fn free_in_run(&self, run: u64, header: Header) -> u64 {
        if header.class() >= CLASSES {
            return 0;
        }
        let stride = stride(header.class());
        let blocks = (run + 8..run + header.len()).step_by(stride as usize);
        let is_free = |at: &u64| Header(self.words.load(*at).unwrap_or(1)).kind() == FREE;
        (blocks.filter(is_free).count() as u64).saturating_mul(stride)
    }
}

/// Bytes of a block.
fn bytes_of(header: Header) -> u64 {
    if header.class() < CLASSES {
        stride(header.class())
    } else {
        0
    }
}
