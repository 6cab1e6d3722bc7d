//! Objects while they are built: writable, and seen by nobody else. Invariants: object.rs.
#![allow(unsafe_code, reason = "bytes of the mapping become a slice here")]

use std::fmt;
use std::os::fd::AsFd as _;
use std::sync::Arc;

use super::attached::Attached;
use super::grow::Huge;
use super::locked::PATIENCE;
use super::object::Object;
use super::objects::Row;
use super::private::OldAddress;
use super::process_lock::fork_count;
use super::{ObjectId, hold};
use crate::error::{AccessError, AllocateError};

/// An object while it is built: writable, invisible to others, given back when dropped.
pub struct Building {
    attached: Arc<Attached>,
    row: Row,
    forks: u64,
    /// An object has taken the hold over.
    is_published: bool,
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
            is_published: false,
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
        self.attached.file.mapping.write_address(self.range().0)
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
        // SAFETY: `write_address` has asserted that the range lies in the mapping, which the attachment keeps and whose
        // page is aligned for bytes; `new` has committed `len` bytes of zeros there, and the hold keeps them (I1). Nobody
        // else uses them: the object is not LIVE, so nobody attaches it, a fork child's pages are private (at_fork.rs),
        // and this value is borrowed exclusively as long as the slice lives.
        unsafe { std::slice::from_raw_parts_mut(self.as_mut_ptr(), self.len()) }
    }

    /// Where its spans begin and end in the file.
    fn range(&self) -> (u64, u64) {
        self.row.range(&self.attached.file.geometry)
    }

    /// Makes the object visible and immutable, for ever.
    ///
    /// # Errors
    /// [`AccessError::Inherited`] in a fork child; the parent's object is untouched.
    pub fn publish(self) -> Result<Object, AccessError> {
        let (from, to) = self.range();
        self.publish_row()?;
        // The builder reads through the alias from now on: drop the second set of page table entries.
        self.attached.file.mapping.zap_write(from, to);
        Ok(self.into_object())
    }

    /// Like [`Building::publish`], for memory that others still have addresses of. These stay valid:
    /// from now on what is written through them is copied and stays in this process. Keep the
    /// [`OldAddress`] as long as such an address may be used.
    ///
    /// # Errors
    /// After a failure the memory stays taken until the process ends, as the addresses are still in use.
    pub fn publish_keeping_address(self) -> Result<(Object, OldAddress), AccessError> {
        let (from, to) = self.range();
        if let Err(error) = self.publish_private(from, to) {
            // Dropping it would put another object's pages under addresses that are being written to.
            std::mem::forget(self);
            return Err(error);
        }
        let object = self.into_object();
        Ok((object.clone(), OldAddress::new(object, from, to)))
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
    fn into_object(mut self) -> Object {
        self.is_published = true;
        Object::of(Arc::clone(&self.attached), &self.row)
    }
}

impl Drop for Building {
    fn drop(&mut self) {
        if self.is_published || !self.attached.owns(self.forks) {
            return;
        }
        let file = &self.attached.file;
        let (from, to) = self.range();
        if self.is_inherited() {
            if file.mapping.make_shared(file.fd.as_fd(), from, to).is_err() {
                // The next object in this room would be built in private pages: keep the hold instead.
                return;
            }
        } else {
            // Otherwise these page table entries would show another object's pages later.
            file.mapping.zap_write(from, to);
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
