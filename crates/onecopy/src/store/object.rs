//! Objects as Rust values: writable while they are built, read-only ever after.
//!
//! **Invariants.** `I1`: a `Building` or an `Object` has one hold counted in `Local::held`, so its spans
//! are its own and stay committed. `I2`: a LIVE object's bytes never change: only its builder had a
//! writable address, and `publish` consumed it or `seal` made it private. Nothing in the kernel
//! enforces this between processes of the family (the file has no write seal); the protocol does, and
//! views are read through a mapping without write access.
#![allow(unsafe_code, reason = "bytes of the mappings become slices here")]

use std::fmt;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::Arc;

use super::attached::{Attached, PATIENCE, ProcessGuard, fork_count};
use super::file::Huge;
use super::hold::{self, Hold};
use super::layout::SPAN;
use super::objects::{Row, State};
use super::token::Token;
use super::{ObjectId, find, spans};
use crate::error::{AccessError, AllocateError, AttachError};
use crate::sys::mapping::PrivateRange;

/// An object while it is built: writable, invisible to others, given back when dropped.
pub struct Building {
    attached: Arc<Attached>,
    row: Row,
    forks: u64,
}

impl Building {
    pub(super) fn attached(&self) -> &Arc<Attached> {
        &self.attached
    }

    pub(crate) fn new(
        attached: &Arc<Attached>,
        byte_len: usize,
        huge: Huge,
    ) -> Result<Self, AllocateError> {
        let row = hold::allocate(attached, byte_len as u64, true)?;
        // From here on dropping the value gives everything back.
        let building = Self {
            attached: Arc::clone(attached),
            row,
            forks: fork_count(),
        };
        attached.file.commit_data(row.first, row.len, huge)?;
        Ok(building)
    }

    /// Bytes of the object.
    #[must_use]
    pub fn len(&self) -> usize {
        self.row.len as usize
    }

    /// Whether the object has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.row.len == 0
    }

    /// The object's name.
    #[must_use]
    pub fn id(&self) -> ObjectId {
        self.row.id
    }

    /// Whether this value came here by fork. Then its bytes are a private copy-on-write picture of
    /// what the parent is building, and only the parent can publish it.
    #[must_use]
    pub fn is_inherited(&self) -> bool {
        self.forks != fork_count()
    }

    /// Address of the first byte, 64 KiB aligned within the file (2 MiB for 2 MiB and more), valid for
    /// reads and writes of [`Building::len`] bytes as long as this value lives.
    #[must_use]
    pub fn as_mut_ptr(&self) -> *mut u8 {
        self.attached.file.mapping.write_address(self.from())
    }

    /// The writable bytes.
    ///
    /// # Panics
    /// If the value was inherited by fork ([`Building::is_inherited`]): the parent may be writing.
    #[must_use]
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        assert!(
            !self.is_inherited(),
            "an object being built belongs to the process that began it"
        );
        // SAFETY: `len` committed bytes that only this value points to (I1; the object is not LIVE, so
        // nobody attaches it, and fork children get private pages), borrowed as long as `&mut self`.
        unsafe { std::slice::from_raw_parts_mut(self.as_mut_ptr(), self.len()) }
    }

    fn from(&self) -> u64 {
        self.attached.file.geometry.span_data(self.row.first)
    }

    fn to(&self) -> u64 {
        let bytes = spans::spans_of(self.row.len).saturating_mul(SPAN);
        self.from().saturating_add(bytes)
    }

    /// Makes the object visible and immutable, for ever.
    ///
    /// # Errors
    /// [`AccessError::Inherited`] in a fork child; the parent's object is untouched.
    pub fn publish(self) -> Result<Object, AccessError> {
        let (from, to) = (self.from(), self.to());
        self.publish_row()?;
        // The builder reads through the alias from now on: drop the second set of page table entries.
        self.attached.file.mapping.zap_write(from, to);
        Ok(self.into_object())
    }

    /// Like [`Building::publish`], for memory that others still have addresses of. These stay valid:
    /// from now on what is written through them is copied and stays in this process. Keep the
    /// [`Sealed`] as long as such an address may be used.
    ///
    /// # Errors
    /// After a failure the memory stays taken until the process ends, as the addresses are still in use.
    pub fn seal(self) -> Result<(Object, Sealed), AccessError> {
        let (from, to) = (self.from(), self.to());
        if let Err(error) = self.publish_private(from, to) {
            // Dropping it would put another object's pages under addresses that are being written to.
            std::mem::forget(self);
            return Err(error);
        }
        let object = self.into_object();
        Ok((object.clone(), Sealed { object, from, to }))
    }

    fn publish_private(&self, from: u64, to: u64) -> Result<(), AccessError> {
        let file = &self.attached.file;
        let kernel = |source| AccessError::Kernel {
            store: file.uuid,
            step: "mmap",
            source,
        };
        if self.is_inherited() {
            return Err(AccessError::Inherited {
                index: self.row.id.index,
            });
        }
        // Before publication: afterwards no shared writable page may be left.
        file.mapping
            .make_private(file.fd.as_fd(), from, to)
            .map_err(kernel)?;
        self.publish_row().inspect_err(|_| {
            let _ = file.mapping.make_shared(file.fd.as_fd(), from, to);
        })
    }

    fn publish_row(&self) -> Result<(), AccessError> {
        let mut session = self.attached.session()?;
        session
            .lock(PATIENCE)?
            .publish(&self.row, session.slot, None)?;
        session.local().building.remove(&self.row.id);
        Ok(())
    }

    /// The hold goes over to the object.
    fn into_object(self) -> Object {
        let this = ManuallyDrop::new(self);
        // SAFETY: `this` is never dropped, so the reference count moves out exactly once.
        let attached = unsafe { std::ptr::read(&raw const this.attached) };
        Object(Arc::new(Hold::of(attached, &this.row)))
    }
}

impl Drop for Building {
    fn drop(&mut self) {
        if !self.attached.owns(self.forks) {
            return;
        }
        if self.is_inherited() {
            let file = &self.attached.file;
            let (from, to) = (self.from(), self.to());
            if file.mapping.make_shared(file.fd.as_fd(), from, to).is_err() {
                // The next object in this room would be built in private pages: keep the hold instead.
                return;
            }
        } else {
            // Otherwise these page table entries would show another object's pages later.
            self.attached.file.mapping.zap_write(self.from(), self.to());
        }
        self.attached.release(self.row.id);
    }
}

impl fmt::Debug for Building {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Building")
            .field("id", &self.row.id)
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

/// A published object: immutable bytes, shared by all processes that attach it.
///
/// Clones share one hold. When the last clone in the last process is gone and no token is in flight,
/// the pages go back to the kernel.
#[derive(Clone)]
pub struct Object(Arc<Hold>);

impl Object {
    pub(super) fn attached(&self) -> &Arc<Attached> {
        &self.0.attached
    }

    /// Turns a token into the object, in any process of the same user.
    ///
    /// # Errors
    /// [`AttachError::Gone`] if nothing holds the object any more, [`AttachError::WrongType`] if it is a container; the
    /// others if its store cannot be found or mapped.
    pub fn attach(token: &Token) -> Result<Self, AttachError> {
        let store = find::store_of(&mut ProcessGuard::lock(), token)?;
        let (hold, _) = Hold::attach(&store, token, State::Live)?;
        Ok(Self(Arc::new(hold)))
    }

    /// The object's bytes, through the read-only mapping.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        let file = &self.0.attached.file;
        let address = file
            .mapping
            .read_address(file.geometry.span_data(self.0.first));
        // SAFETY: the object is LIVE and held (I1), so its `len` bytes are committed, mapped readable
        // for as long as the attachment lives, and never change (I2). `first` and `len` were checked
        // against the geometry when the row was read.
        unsafe { std::slice::from_raw_parts(address, self.0.len as usize) }
    }

    /// The object's name.
    #[must_use]
    pub fn id(&self) -> ObjectId {
        self.0.id
    }

    /// A token for another process. It counts as an interest in the object until it is attached once.
    pub fn token(&self) -> Result<Token, AccessError> {
        self.0.token()
    }

    /// A writable copy-on-write mapping of the bytes: pages that are written are copied for this
    /// process alone, the others stay shared.
    pub fn private_mapping(&self) -> io::Result<PrivateMapping> {
        let file = &self.0.attached.file;
        let offset = file.geometry.span_data(self.0.first);
        let range = PrivateRange::new(file.fd.as_fd(), offset, self.0.len as usize)?;
        Ok(PrivateMapping {
            range,
            len: self.0.len as usize,
            object: Some(self.clone()),
        })
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Object")
            .field("id", &self.0.id)
            .field("len", &self.0.len)
            .finish()
    }
}

/// Keeps the old writable address of a sealed object valid and private.
#[derive(Debug)]
pub struct Sealed {
    object: Object,
    from: u64,
    to: u64,
}

impl Drop for Sealed {
    fn drop(&mut self) {
        // Before the hold goes (the field drops after this): the range may be another object's next.
        let file = &self.object.0.attached.file;
        let shared = file
            .mapping
            .make_shared(file.fd.as_fd(), self.from, self.to);
        if shared.is_err() {
            // The next object in this room would be built in private pages: keep the hold instead.
            std::mem::forget(self.object.clone());
        }
    }
}

/// A private, writable picture of an object. It keeps the object's hold.
#[derive(Debug)]
pub struct PrivateMapping {
    range: PrivateRange,
    len: usize,
    /// Kept until the mapping has gone; the pages of a file need no hold.
    object: Option<Object>,
}

impl PrivateMapping {
    /// Address of the first byte, page aligned, valid for reads and writes of
    /// [`PrivateMapping::len`] bytes as long as this value lives.
    #[must_use]
    pub fn as_mut_ptr(&self) -> *mut u8 {
        self.range.as_mut_ptr()
    }

    /// Bytes of the object.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// A private picture of the first `len` bytes of a file.
    pub(crate) fn of_file(file: BorrowedFd<'_>, len: usize) -> io::Result<Self> {
        Ok(Self {
            range: PrivateRange::new(file, 0, len)?,
            len,
            object: None,
        })
    }

    /// Whether the object has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The object behind the pages that were not written; `None` for those of a file.
    #[must_use]
    pub const fn object(&self) -> Option<&Object> {
        self.object.as_ref()
    }

    /// The writable bytes.
    #[must_use]
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: `len` mapped bytes that this value alone owns; pages not yet written show a LIVE
        // object, which never changes (I2). Borrowed as long as `&mut self`.
        unsafe { std::slice::from_raw_parts_mut(self.range.as_mut_ptr(), self.len()) }
    }
}
