//! Containers as Rust values: objects whose bytes change, and which grow by chunks.
//!
//! What the bytes mean, and who may write to them when, is the business of whoever made the container: it has a lock in
//! its own memory, named and looked at as the store's is ([`Container::thread`], [`Container::is_absent`]). All offsets
//! count from the start of the store's data area, so they mean the same in every process.
//!
//! **Invariants.** `I1`: a `Container` has one hold counted in `Local::held`, so its own run and the chunks in its chain
//! stay committed until its owners free them. `I2`: the read-write mapping of these is shared in every process that
//! has a `Container`, fork children included. `I3`: neither is true in a fork child that could be given no holds: there the
//! run is a private copy, `Container::is_void` says so, and nobody looks at what lies there.
#![cfg_attr(
    not(feature = "testing"),
    allow(unreachable_pub, reason = "tests reach it")
)]
#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::fmt;
use std::os::fd::AsFd as _;
use std::ptr::NonNull;
use std::sync::Arc;

use super::ObjectId;
use super::attached::{Attached, some_are_void};
use super::find;
use super::grow::Huge;
use super::handle::Store;
use super::hold::{self, Hold};
use super::layout::SPAN;
use super::lock::Holder;
use super::locked::PATIENCE;
use super::objects::{Row, State};
use super::own_spans::OwnSpans;
use super::process_lock::{ProcessGuard, fork_count};
use super::token::Token;
use super::{alive, threads};
use crate::error::{AccessError, AllocateError, AttachError, Corrupt};
use crate::sys::mapping::PAGE;

thread_local! {
    /// The last answer of [`Container::thread`]: attachment, fork count, word.
    static LAST: Cell<(u64, u64, u32)> = const { Cell::new((0, 0, 0)) };
    /// The last answer of [`Container::process`], likewise.
    static LAST_PROCESS: Cell<(u64, u64, u64)> = const { Cell::new((0, 0, 0)) };
    /// The containers that are watched, and whether this thread has asked for their locks.
    static WATCHED: RefCell<Vec<Watched>> = const { RefCell::new(Vec::new()) };
}

struct Watched {
    store: u64,
    object: ObjectId,
    is_used: bool,
}

/// Notices whether this thread asks for a container's lock. Each that lives is the last of its thread to be dropped.
#[derive(Debug)]
pub(crate) struct Watch {
    place: usize,
}

impl Watch {
    pub(crate) fn of(container: &Container) -> Self {
        let (store, object) = (container.attached().key(), container.id());
        let place = WATCHED.with_borrow_mut(|watched| {
            let place = watched.len();
            watched.push(Watched {
                store,
                object,
                is_used: false,
            });
            place
        });
        // As long as there are watches, nothing is remembered: each operation of this thread comes to `thread_now`.
        LAST.set((0, 0, 0));
        Self { place }
    }

    /// Whether the thread has asked.
    pub(crate) fn is_used(&self) -> bool {
        WATCHED.with_borrow(|watched| watched.get(self.place).is_some_and(|own| own.is_used))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        WATCHED.with_borrow_mut(|watched| watched.truncate(self.place));
    }
}

/// A chunk of a container's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk {
    /// Where it begins in the data area, in bytes: a multiple of 64 KiB.
    pub offset: u64,
    /// Its bytes, whole pages.
    pub len: u64,
    /// What its container calls it by.
    pub tag: u32,
}

impl Chunk {
    fn of(row: &Row) -> Self {
        Self {
            offset: offset_of(row.first),
            len: row.len,
            tag: row.tag,
        }
    }
}

/// Where a span begins in the data area.
const fn offset_of(span: u64) -> u64 {
    span.saturating_mul(SPAN)
}

struct Shared {
    hold: Hold,
    kind: u8,
    own: OwnSpans,
}

/// An object that all processes that attach it write to.
///
/// Clones share one hold. When the last clone in the last process is gone and no token is in flight, its memory goes
/// back to the kernel, chunks included.
#[derive(Clone)]
pub struct Container(Arc<Shared>);

impl Container {
    /// Makes a container of a kind, a number that its maker alone understands. `byte_len` zeros are its first memory.
    pub fn new(store: &Store, kind: u8, byte_len: u64) -> Result<Self, AllocateError> {
        let attached = &store.0;
        usable(attached)?;
        let row = hold::allocate(attached, byte_len, false)?;
        // From here on dropping the value gives everything back.
        let hold = Hold::of(Arc::clone(attached), &row);
        attached.file.commit_data(row.first, row.len, Huge::Auto)?;
        let session = attached.session()?;
        session
            .lock(PATIENCE)?
            .publish(&row, session.slot, Some(kind))?;
        drop(session);
        Ok(Self::of(hold, kind, &row))
    }

    pub(super) fn of(hold: Hold, kind: u8, row: &Row) -> Self {
        let own = OwnSpans::new(hold.attached.file.geometry.span_count);
        own.add(row);
        Self(Arc::new(Shared { hold, kind, own }))
    }

    /// Turns a token into the container, in any process of the same user.
    ///
    /// # Errors
    /// [`AttachError::Gone`] if nothing holds it any more, [`AttachError::WrongType`] if it is an object that never
    /// changes; the others if its store cannot be found or mapped.
    pub fn attach(token: &Token) -> Result<Self, AttachError> {
        let store = find::store_of(&mut ProcessGuard::lock(), token)?;
        usable(&store)?;
        let (hold, row) = Hold::attach(&store, token, State::Container)?;
        Ok(Self::of(hold, row.tag as u8, &row))
    }

    pub(super) fn attached(&self) -> &Arc<Attached> {
        &self.0.hold.attached
    }

    /// The store it lives in.
    #[must_use]
    pub fn store(&self) -> Store {
        Store(Arc::clone(self.attached()))
    }

    /// The container's name.
    #[must_use]
    pub fn id(&self) -> ObjectId {
        self.0.hold.id
    }

    /// What its maker said it is.
    #[must_use]
    pub fn kind(&self) -> u8 {
        self.0.kind
    }

    /// A token for another process. It counts as an interest in the container until it is attached once.
    pub fn token(&self) -> Result<Token, AccessError> {
        usable(self.attached())?;
        self.0.hold.token()
    }

    /// Where the data area begins in this process's read-write mapping, and its bytes: those that the file has, which are
    /// all unless the store was made under a limit of file sizes. Past them an access raises SIGBUS.
    #[must_use]
    pub fn data(&self) -> (NonNull<u8>, u64) {
        let file = &self.attached().file;
        let len = offset_of(file.geometry.span_count);
        (file.mapping.data(), len.min(file.data_len()))
    }

    /// Whether nothing keeps the container's memory in this process: a fork could give it no holds. Others may free it at any
    /// time, so it is neither read nor written to.
    #[inline]
    pub(crate) fn is_void(&self) -> bool {
        some_are_void() && self.attached().is_void()
    }

    /// Fails in such a process.
    ///
    /// # Errors
    /// [`AccessError::NoHolds`].
    #[inline]
    pub(crate) fn check_held(&self) -> Result<(), AccessError> {
        if some_are_void() {
            return usable(self.attached());
        }
        Ok(())
    }

    /// Where the container's own run begins in the data area.
    #[must_use]
    pub fn first(&self) -> u64 {
        offset_of(self.0.hold.first)
    }

    /// Bytes of the container's own run.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "a length of memory")]
    pub fn len(&self) -> u64 {
        self.0.hold.len
    }

    /// Adds a chunk of at least `byte_len` zeros, committed, and newest in the chain. Without room nothing has happened.
    pub fn add_chunk(&self, byte_len: u64, tag: u32) -> Result<Chunk, AllocateError> {
        let attached = self.attached();
        usable(attached)?;
        let len = byte_len.max(1).saturating_add(PAGE - 1) & !(PAGE - 1);
        let mut session = attached.session()?;
        session.tidy_up()?;
        let slot = session.slot;
        let allocated = session
            .lock(PATIENCE)
            .map_err(AllocateError::from)
            .and_then(|locked| locked.allocate_chunk(slot, len));
        session.end(PATIENCE);
        let row = allocated?;
        // The chunk is DYING, this process's to free: no other thread is at work on it.
        let committed = attached.file.commit_data(row.first, len, Huge::Auto);
        let linked = committed.and_then(|()| Ok(self.link(&row, tag)?));
        let row = match linked {
            Ok(linked) => linked,
            Err(error) => {
                // Whether a change under damage was done nobody knows: the room stays taken until this process ends.
                if !matches!(error, AllocateError::Access(AccessError::Corrupt(_))) {
                    attached.free(vec![row], PATIENCE);
                }
                return Err(error);
            }
        };
        self.0.own.add(&row);
        let chunk = Chunk::of(&row);
        self.populate(&chunk);
        Ok(chunk)
    }

    fn link(&self, row: &Row, tag: u32) -> Result<Row, AccessError> {
        let session = self.attached().session()?;
        session.lock(PATIENCE)?.link_chunk(self.id(), row, tag)
    }

    /// The chunks, from the newest to the oldest.
    pub fn chunks(&self) -> Result<Vec<Chunk>, AccessError> {
        Ok(self.rows()?.iter().map(Chunk::of).collect())
    }

    fn rows(&self) -> Result<Vec<Row>, AccessError> {
        usable(self.attached())?;
        let session = self.attached().session()?;
        let locked = session.lock(PATIENCE)?;
        Ok(locked.chunks(&locked.container(self.id())?)?)
    }

    /// Gives chunks back by their tags; returns their bytes. `is_unwanted` is called under the store's lock.
    pub fn free_chunks(&self, is_unwanted: impl Fn(u32) -> bool) -> Result<u64, AccessError> {
        let attached = self.attached();
        usable(attached)?;
        let mut session = attached.session()?;
        let (slot, locked) = (session.slot, session.lock(PATIENCE)?);
        let mut dying = Vec::new();
        let freed = locked.container(self.id()).map_err(AccessError::from);
        let freed = freed.and_then(|container| {
            let is_unwanted = |row: &Row| is_unwanted(row.tag);
            locked.free_chunks(&container, slot, is_unwanted, &mut dying)
        });
        drop(locked);
        for row in &dying {
            self.0.own.remove(row);
        }
        let bytes = dying.iter().map(Row::committed).sum();
        session.local().unfinished.append(&mut dying);
        session.end(PATIENCE);
        freed.map(|()| bytes)
    }

    /// Whether the byte at `offset` of the data area is the container's, as far as this process knows. It does not know of
    /// chunks that others have added or freed since it looked.
    #[inline]
    pub(crate) fn owns(&self, offset: u64) -> bool {
        self.0.own.have(offset)
    }

    /// The same, for the holder of the container's own lock: no other thread adds or frees meanwhile.
    #[inline]
    pub(crate) fn owns_locked(&self, offset: u64) -> bool {
        self.0.own.have_locked(offset)
    }

    /// Whether a range of the data area, from one byte to another, is the container's, as the store's rows say; `false` also if
    /// they cannot be read. What [`Container::owns`] says stays the same, so that readers may ask.
    pub(crate) fn owns_now(&self, first: u64, last: u64) -> bool {
        let Ok(rows) = self.rows() else {
            return false;
        };
        let own = (self.first(), self.len());
        let chunks = rows.iter().map(|row| (offset_of(row.first), row.len));
        chunks
            .chain([own])
            .any(|(start, len)| start <= first && last < start.saturating_add(len))
    }

    /// The same, after a look at the store's rows; `false` also if they cannot be read. The caller holds the container's
    /// own lock, so that no other thread asks [`Container::owns`] meanwhile.
    pub(crate) fn owns_after_look(&self, offset: u64) -> bool {
        let Ok(rows) = self.rows() else {
            return false;
        };
        let own = &self.0.own;
        own.clear();
        own.add_run(self.0.hold.first, self.0.hold.len);
        for row in &rows {
            own.add(row);
        }
        own.have(offset)
    }

    /// Makes the pages of a chunk present in this process, writable: one call of the kernel costs a fraction of a fault for
    /// each page. Where the kernel refuses (Linux before 5.14), the first write to each page faults, and nothing else.
    fn populate(&self, chunk: &Chunk) {
        let file = &self.attached().file;
        let start = file.geometry.data_start.saturating_add(chunk.offset);
        let end = start.saturating_add(chunk.len);
        if end <= file.geometry.capacity {
            file.mapping.populate(start, end);
        }
    }

    /// The lock word that names the calling thread (lock.rs). The answer is remembered for the store that was asked about
    /// last.
    #[inline]
    pub(crate) fn thread(&self) -> Result<u32, AccessError> {
        let (key, forks, word) = LAST.get();
        if key == self.attached().key() && forks == fork_count() {
            return Ok(word);
        }
        self.thread_now()
    }

    #[cold]
    fn thread_now(&self) -> Result<u32, AccessError> {
        let attached = self.attached();
        usable(attached)?;
        let word = attached.session()?.thread().word();
        // None where a thread's locals are gone already.
        let is_watched = WATCHED.try_with(|watched| {
            let mut watched = watched.borrow_mut();
            for one in watched.iter_mut() {
                one.is_used |= one.store == attached.key() && one.object == self.id();
            }
            !watched.is_empty()
        });
        if !is_watched.unwrap_or(false) {
            LAST.set((attached.key(), fork_count(), word));
        }
        Ok(word)
    }

    /// Whether the thread that a container's lock word names has died, or there is none. The word was loaded with Acquire,
    /// and written with Release (lock.rs I1).
    pub(crate) fn is_absent(&self, word: u32) -> bool {
        let file = &self.attached().file;
        Holder::of(word).is_none_or(|holder| threads::has_ended(file, holder))
    }

    /// The process of the thread that a lock word names; 0 when it is not known.
    pub(crate) fn pid_of(&self, word: u32) -> u32 {
        let file = &self.attached().file;
        let process = Holder::of(word).and_then(|holder| threads::process_of(file, holder));
        process.map_or(0, |process| alive::pid_of(file, process))
    }

    /// The word that names the calling process, for [`Container::has_ended`]; never 0. The answer is remembered for the
    /// store that was asked about last.
    pub(crate) fn process(&self) -> Result<u64, AccessError> {
        let (key, forks, word) = LAST_PROCESS.get();
        if key == self.attached().key() && forks == fork_count() {
            return Ok(word);
        }
        let attached = self.attached();
        usable(attached)?;
        let word = alive::name_of(&attached.file, attached.session()?.slot)?;
        LAST_PROCESS.set((attached.key(), fork_count(), word));
        Ok(word)
    }

    /// Whether the process that a word names has ended, or there is none.
    pub(crate) fn has_ended(&self, name: u64) -> Result<bool, AccessError> {
        let attached = self.attached();
        usable(attached)?;
        if self.process()? == name {
            return Ok(false);
        }
        let mut session = attached.session()?;
        let life = session.local().process.as_ref().map(|own| own.life.as_fd());
        Ok(life.is_some_and(|life| alive::has_ended(&attached.file, life, name)))
    }

    /// Describes bytes at an offset of the data area that break an invariant.
    pub(crate) fn corrupt(&self, offset: u64, what: &'static str) -> Corrupt {
        let file = &self.attached().file;
        let at = file.geometry.data_start.saturating_add(offset);
        file.corrupt(at, what)
    }
}

/// Fails in a process that inherited its mappings but could be given no holds (I1, I2).
pub(super) fn usable(attached: &Attached) -> Result<(), AccessError> {
    if attached.is_void() {
        return Err(AccessError::NoHolds {
            store: attached.file.uuid,
        });
    }
    Ok(())
}

impl fmt::Debug for Container {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Container")
            .field("id", &self.id())
            .field("kind", &self.kind())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
