//! Private pages where others show an object's: what is written to them is copied and stays in this process.
#![allow(unsafe_code, reason = "a range of private pages becomes a slice here")]

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};

use super::object::Object;
use crate::sys::mapping::PrivateRange;

/// Keeps the old writable address of a published object valid and private.
#[derive(Debug)]
pub struct OldAddress {
    object: Object,
    from: u64,
    to: u64,
}

impl OldAddress {
    pub(super) const fn new(object: Object, from: u64, to: u64) -> Self {
        Self { object, from, to }
    }
}

impl Drop for OldAddress {
    fn drop(&mut self) {
        // Before the hold goes (the field drops after this): the range may be another object's next.
        let file = &self.object.attached().file;
        let shared = file
            .mapping
            .make_shared(file.fd.as_fd(), self.from, self.to);
        if shared.is_err() {
            // The next object in this room would be built in private pages: keep the hold instead.
            std::mem::forget(self.object.clone());
        }
    }
}

impl Object {
    /// A writable copy-on-write mapping of the bytes: pages that are written are copied for this
    /// process alone, the others stay shared.
    pub fn private_mapping(&self) -> io::Result<PrivateMapping> {
        let file = &self.attached().file;
        let (offset, len) = self.place();
        Ok(PrivateMapping {
            range: PrivateRange::new(file.fd.as_fd(), offset, len)?,
            len,
            object: Some(self.clone()),
        })
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
        // SAFETY: the range is mapped readable and writable for at least `len` bytes as long as this value has it, and
        // begins with a page. Nobody else uses its pages: they are private, and the range is this value's alone, which is
        // borrowed exclusively as long as the slice lives. A page that was not written yet shows the file's, and that
        // does not change: of an object by object.rs I2, of an image file by what `FileImage::open` asks.
        unsafe { std::slice::from_raw_parts_mut(self.range.as_mut_ptr(), self.len()) }
    }
}
