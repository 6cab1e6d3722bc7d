//! A container's heap: blocks of size classes in chunks of the store, and the blobs in limbo.
//!
//! A block is a header word and a payload. A **run** is a stretch of a chunk that is cut into blocks of one class; it
//! begins with a header of its own, so that a chunk can be walked (verify.rs). Each class has a free list and, at the
//! end of its newest run, fresh blocks that were never used. All of this is ordinary words, changed by the same change
//! that makes a block reachable: a death cannot tear a free list or lose a block.
//!
//! **Limbo.** A blob that was replaced keeps its header and content until 64 have come together, or more than 1 MiB of
//! large ones, since readers may be copying it; then one bump of `seq` frees them all.
//!
//! **Idle memory.** A free block serves values of its own class only. How many bytes of large blocks are free or in limbo
//! is counted where such a block is taken, freed or retired, which takes far longer than counting. When they are many and
//! far more than what is in use, the container is made anew.
//!
//! **Generations.** Whatever drops more than a record can list builds new chunks, swaps the arena and the roots in one
//! change, and gives the old chunks back whole (generation.rs).
//!
//! **Invariants.** `I1`: every block of the chunks in use is exactly one of free, fresh, live or in limbo. `I2`: only
//! words of spans that the store says are this container's are written to ([`Heap::own`]).
//!
//! **Crash points.** A chunk that was added and that no change has taken yet begins with a word of zeros: the next one who
//! needs a chunk takes it. Everything else: change.rs.
#![forbid(unsafe_code)]

use super::change::Change;
use super::error::ContainerError;
pub(crate) use super::head::Heap;
use super::layout::{
    ARENA, CHUNK_BYTES, CLASS_BYTES, CLASSES, END, FREE, Header, IDLE, LIMBO, LIMBO_BYTES,
    LIMBO_LEN, LIMBO_MOST, MOST, RECORD_WRITES, RUN, TOP, UNUSED, class_len, class_of, is_large,
    stride,
};
use super::lock::Locked;

/// The smallest and the largest run of small blocks, in bytes.
const SMALLEST_RUN: u64 = 4 << 10;
/// See [`SMALLEST_RUN`].
const LARGEST_RUN: u64 = 64 << 10;
/// The smallest chunk and the largest that is added at once, unless one block needs more.
const SMALLEST_CHUNK: u64 = 64 << 10;
/// See [`SMALLEST_CHUNK`].
const LARGEST_CHUNK: u64 = 4 << 20;
/// Bytes of large blocks in limbo from which it is emptied.
const MUCH_IN_LIMBO: u64 = 1 << 20;
/// Idle bytes up to which a container is left as it is: a value that is replaced again and again has so many.
const FEW_IDLE: u64 = 2 << 20;
/// Up to here, if it is no more than so many times what is in use; above, if it is no more than that.
const SOME_IDLE: u64 = 8 << 20;
/// See [`SOME_IDLE`].
const TIMES_IN_USE: u64 = 16;

impl Locked<'_> {
    /// Makes room in limbo for the blobs that a change retires: four at most.
    ///
    /// # Errors
    /// The limbo is damaged.
    #[inline(always)]
    pub(crate) fn make_room_in_limbo(&self) -> Result<(), ContainerError> {
        if self.root(LIMBO_LEN) > LIMBO_MOST - 4 {
            self.free_full_limbo()?;
        }
        Ok(())
    }

    #[cold]
    #[inline(never)]
    fn free_full_limbo(&self) -> Result<(), ContainerError> {
        let limbo = self.root(LIMBO_LEN);
        if limbo_len(limbo) > LIMBO_MOST - 4 || limbo >> LIMBO_BYTES > MUCH_IN_LIMBO {
            self.free_limbo()?;
        }
        Ok(())
    }

    /// Gives memory back after a change that may have retired a large blob.
    #[inline(always)]
    pub(crate) fn after_retiring(&self) {
        // Then there are large ones in limbo.
        if self.root(LIMBO_LEN) > LIMBO_MOST {
            self.give_back_idle();
        }
    }

    /// Makes the container anew if far more of its memory is idle than in use. The change that comes before has happened, so
    /// whatever fails here is no error of it.
    #[cold]
    #[inline(never)]
    pub(crate) fn give_back_idle(&self) {
        let heap = self.heap;
        let idle = self
            .root(IDLE)
            .saturating_add(self.root(END).saturating_sub(self.root(TOP)));
        let own = if heap.uses_own_run() {
            heap.own_bytes()
        } else {
            0
        };
        let in_use = self
            .root(CHUNK_BYTES)
            .saturating_add(own)
            .saturating_sub(idle);
        let is_much = if idle > SOME_IDLE {
            idle > in_use
        } else {
            idle > FEW_IDLE && idle > in_use.saturating_mul(TIMES_IN_USE)
        };
        if is_much && (heap.inside.renew)(heap).is_err() {
            // Nothing leads to what was built. It is not tried before as much has come together again.
            let _ = heap.give_back_old_chunks();
            let _ = heap.settle_references();
            self.set_root(IDLE, 0);
        }
    }

    /// Frees what is in limbo. Whoever began to read before the first change finds out; who begins later cannot find
    /// these blobs.
    #[cold]
    #[inline(never)]
    pub(crate) fn free_limbo(&self) -> Result<(), ContainerError> {
        let mut moves = true;
        loop {
            let limbo = self.root(LIMBO_LEN);
            let len = limbo_len(limbo);
            if len == 0 {
                return Ok(());
            }
            if len > LIMBO_MOST {
                let at = self.heap.head + LIMBO_LEN;
                return Err(self.heap.corrupt(at, "an impossible limbo").into());
            }
            let mut change = self.change();
            let left = change.free_from_limbo(len)?;
            // Those that are left count by their number alone: they go in the next turn.
            change.put_root(LIMBO_LEN, left)?;
            change.commit(moves)?;
            moves = false;
        }
    }
}

/// Offsets in limbo, of the word that says so.
pub(crate) fn limbo_len(limbo: u64) -> u64 {
    limbo & ((1 << LIMBO_BYTES) - 1)
}

impl Change<'_> {
    /// Takes a block for `len` bytes: the offset of its header. Its payload may be filled before the commit.
    ///
    /// # Errors
    /// No memory; nothing has happened then. A damaged free list.
    #[inline(always)]
    pub(crate) fn allocate(&mut self, kind: u8, len: u64) -> Result<u64, ContainerError> {
        let class = class_of(len);
        let row = self.class_row(class)?;
        let free = self.see(row)?;
        if free != 0 {
            let header = self.free_header(free, class)?;
            // The next of these will be wanted soon, and its header is a miss.
            self.heap.words.prefetch(header.len());
            self.put_again(row, header.len())?;
            self.put(free, Header::new(kind, class, len).0)?;
            if is_large(class) {
                self.count_idle(|idle| idle.saturating_sub(class_len(class)))?;
            }
            return Ok(free);
        }
        let (fresh, end) = (self.see(row + 8)?, self.see(row + 16)?);
        let next = fresh.wrapping_add(stride(class));
        if fresh != 0 && fresh < next && next <= end {
            self.put_again(row + 8, next)?;
            self.put(fresh, Header::new(kind, class, len).0)?;
            return Ok(fresh);
        }
        self.allocate_run(kind, class, len)
    }

    /// Counts what becomes idle, or is it no longer.
    #[cold]
    #[inline(never)]
    fn count_idle(&mut self, change: impl FnOnce(u64) -> u64) -> Result<(), ContainerError> {
        let at = self.heap.head + IDLE;
        let idle = change(self.see(at)?);
        self.put_again(at, idle)
    }

    #[inline(always)]
    fn class_row(&self, class: u64) -> Result<u64, ContainerError> {
        if class >= CLASSES {
            return Err(ContainerError::Full {
                most: MOST,
                what: "bytes",
            });
        }
        Ok(self
            .see(self.heap.head + ARENA)?
            .wrapping_add(class * CLASS_BYTES))
    }

    /// The header of a block that heads a free list.
    #[inline(always)]
    fn free_header(&self, at: u64, class: u64) -> Result<Header, ContainerError> {
        let header = Header(self.see(at)?);
        if header.kind() != FREE || header.class() != class {
            return Err(self
                .heap
                .corrupt(at, "a block on the wrong free list")
                .into());
        }
        Ok(header)
    }

    /// Takes the first block of a new run.
    #[cold]
    #[inline(never)]
    fn allocate_run(&mut self, kind: u8, class: u64, len: u64) -> Result<u64, ContainerError> {
        let row = self.class_row(class)?;
        let stride = stride(class);
        let chunk_bytes = self
            .see(self.heap.head + END)?
            .saturating_sub(self.see(self.heap.head + TOP)?);
        // Small heaps have small runs; what does not fit one is a run by itself.
        let run = (chunk_bytes / 16).clamp(SMALLEST_RUN, LARGEST_RUN);
        let blocks = ((run - 8) / stride).max(1);
        let run = blocks * stride + 8;
        let top = self.take(run, Header::new(RUN, class, run))?;
        let first = top + 8;
        self.put(first, Header::new(kind, class, len).0)?;
        self.put_again(row + 8, first + stride)?;
        self.put_again(row + 16, top + run)?;
        Ok(first)
    }

    /// Takes `bytes` of the chunk in use, or of a new one, and puts a header there.
    fn take(&mut self, bytes: u64, header: Header) -> Result<u64, ContainerError> {
        let head = self.heap.head;
        let (mut top, mut end) = (self.see(head + TOP)?, self.see(head + END)?);
        if top > end {
            return Err(self
                .heap
                .corrupt(head + TOP, "blocks past the end of a chunk")
                .into());
        }
        if end - top < bytes {
            if end > top {
                self.put_again(top, Header::new(UNUSED, 0, end - top).0)?;
                self.count_idle(|idle| idle.saturating_add(end - top))?;
            }
            (top, end) = self.new_chunk(bytes)?;
            self.put_again(head + END, end)?;
            let chunks = self.see(head + CHUNK_BYTES)?;
            self.put_again(head + CHUNK_BYTES, chunks.saturating_add(end - top))?;
            // The next chunk of this change is another one.
            self.put_again(top, header.0)?;
        } else {
            self.put(top, header.0)?;
        }
        self.put_again(head + TOP, top + bytes)?;
        Ok(top)
    }

    /// A chunk for `bytes` more: one that a dead process added and nobody took, or a new one.
    fn new_chunk(&self, bytes: u64) -> Result<(u64, u64), ContainerError> {
        let container = &self.heap.container;
        let generation = self.heap.generation();
        let chunks = container.chunks()?;
        let mut total = 0u64;
        for chunk in chunks.iter().filter(|chunk| chunk.tag == generation) {
            if chunk.len >= bytes && self.see(chunk.offset)? == 0 {
                return Ok((chunk.offset, chunk.offset + chunk.len));
            }
            total = total.saturating_add(chunk.len);
        }
        let len = (total / 4).clamp(SMALLEST_CHUNK, LARGEST_CHUNK).max(bytes);
        let chunk = container.add_chunk(len.next_multiple_of(SMALLEST_CHUNK), generation)?;
        Ok((chunk.offset, chunk.offset + chunk.len))
    }

    /// Frees a block that no reader may be following, or in a change that moves.
    ///
    /// # Errors
    /// There is no such block: an offset is damaged.
    #[inline(always)]
    pub(crate) fn free(&mut self, at: u64) -> Result<(), ContainerError> {
        let class = self.class_in_use(at, Header(self.see(at)?))?;
        let row = self.class_row(class)?;
        let next = self.see(row)?;
        self.put(at, Header::new(FREE, class, next).0)?;
        self.put_again(row, at)?;
        if is_large(class) {
            self.count_idle(|idle| idle.saturating_add(class_len(class)))?;
        }
        Ok(())
    }

    /// Frees what is in limbo, from its end, as far as the record has room; how much is left. The change has done nothing
    /// else, so no word is looked for in its list.
    ///
    /// # Errors
    /// Damage, as in [`Change::free`].
    fn free_from_limbo(&mut self, len: u64) -> Result<u64, ContainerError> {
        // Each blob has its header to write, each class the row of its free list, and the length comes last.
        const ROOM: usize = RECORD_WRITES as usize - 1;
        let heap = self.heap;
        let arena = heap.load(heap.head + ARENA)?;
        let mut lists = [(0, 0); ROOM];
        let (mut classes, mut left, mut known_bits) = (0, len, 0u64);
        while left > 0 && self.writes() + classes + 2 <= ROOM {
            let at = heap.load(heap.head + LIMBO + 8 * (left - 1))?;
            let class = self.class_in_use(at, Header(heap.load(at)?))?;
            // Whether it is there twice is asked of the list only if some blob has the same bit.
            let bit = 1 << (at / 8 % 64);
            if known_bits & bit != 0 && self.has(at) {
                return Err(self.no_block(at));
            }
            known_bits |= bit;
            let row = arena.wrapping_add(class * CLASS_BYTES);
            let known = lists.iter().take(classes).position(|list| list.0 == row);
            let Some(list) = lists.get_mut(known.unwrap_or(classes)) else {
                break;
            };
            if known.is_none() {
                *list = (row, heap.load(row)?);
                classes += 1;
            }
            self.put(at, Header::new(FREE, class, list.1).0)?;
            (list.1, left) = (at, left - 1);
        }
        for (row, first) in lists.iter().take(classes) {
            self.put(*row, *first)?;
        }
        Ok(left)
    }

    /// The class of a block that is in use.
    #[inline(always)]
    fn class_in_use(&self, at: u64, header: Header) -> Result<u64, ContainerError> {
        if header.kind() == FREE || header.kind() >= UNUSED || header.class() >= CLASSES {
            return Err(self.no_block(at));
        }
        Ok(header.class())
    }

    #[cold]
    fn no_block(&self, at: u64) -> ContainerError {
        self.heap.corrupt(at, "a block that is not in use").into()
    }

    /// Puts a blob that this change makes unreachable into limbo; [`Locked::make_room_in_limbo`] was called before.
    ///
    /// # Errors
    /// The limbo is damaged.
    #[inline(always)]
    pub(crate) fn retire(&mut self, at: u64) -> Result<(), ContainerError> {
        let head = self.heap.head;
        let mut limbo = self.see(head + LIMBO_LEN)?;
        let len = limbo_len(limbo);
        if len >= LIMBO_MOST {
            return Err(self
                .heap
                .corrupt(head + LIMBO_LEN, "an impossible limbo")
                .into());
        }
        // Beyond the length: nobody's yet.
        self.prepare(head + LIMBO + 8 * len, at)?;
        let class = self.class_in_use(at, Header(self.heap.load(at)?))?;
        if is_large(class) {
            let bytes = class_len(class);
            self.count_idle(|idle| idle.saturating_add(bytes))?;
            limbo = limbo.wrapping_add(bytes << LIMBO_BYTES);
        }
        self.put_again(head + LIMBO_LEN, limbo.wrapping_add(1))
    }
}

impl Heap {
    /// Gives back chunks of other generations: a holder died between the swap and this, or before the swap.
    pub(crate) fn give_back_old_chunks(&self) -> Result<(), ContainerError> {
        let generation = self.generation();
        self.container
            .free_chunks(|tag| self.is_unwanted(tag, generation))?;
        Ok(())
    }
}
