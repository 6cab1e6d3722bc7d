//! Memory for a graph of nodes, handed out from front to back.
//!
//! The same walk over the source is done twice: over an arena that only measures, then over one that writes into memory
//! of exactly the measured length. Both hand out the same offsets, so a node can be named before it is filled, and
//! neither pass has to remember what the other decided.
//!
//! **Invariants.** `A1`: `used` never passes the end of the memory. `A2`: every byte of the memory is written: gaps and
//! what is handed out are zeroed first.

use super::bytes::{put, round_up};
use super::error::BuildError;
use super::header::{HEADER_LEN, Header};
use super::word::{BLOB_ALIGN, OFFSET_LIMIT, Scalar, Word, blob_len, write_blob};

/// Memory for the nodes and blobs of one image, or the measure of it.
#[derive(Debug)]
pub struct Arena<'a> {
    out: Option<&'a mut [u8]>,
    used: u64,
}

impl<'a> Arena<'a> {
    /// An arena that only counts.
    #[must_use]
    pub const fn measure() -> Self {
        Self {
            out: None,
            used: HEADER_LEN as u64,
        }
    }

    /// An arena over the memory of an image, whose length was measured before.
    #[must_use]
    pub const fn write(out: &'a mut [u8]) -> Self {
        Self {
            out: Some(out),
            used: HEADER_LEN as u64,
        }
    }

    /// Whether nothing is written.
    #[must_use]
    pub const fn is_measuring(&self) -> bool {
        self.out.is_none()
    }

    /// Bytes handed out so far, the header included.
    #[must_use]
    pub const fn used(&self) -> u64 {
        self.used
    }

    /// Hands out `len` zeroed bytes at a multiple of `align`, a power of two; returns their offset.
    ///
    /// # Errors
    /// [`BuildError::TooLarge`] past 2^48 bytes, [`BuildError::Outgrown`] past the end of the memory.
    pub fn alloc(&mut self, len: u64, align: u64) -> Result<u64, BuildError> {
        let start = round_up(self.used, align);
        let end = start.and_then(|start| start.checked_add(len));
        let (Some(start), Some(end)) = (start, end) else {
            return Err(BuildError::TooLarge { len: u64::MAX });
        };
        if end > OFFSET_LIMIT {
            return Err(BuildError::TooLarge { len: end });
        }
        if let Some(out) = &mut self.out {
            let room = out
                .get_mut(self.used as usize..end as usize)
                .ok_or(BuildError::Outgrown)?;
            room.fill(0);
        }
        self.used = end;
        Ok(start)
    }

    /// Writes `bytes` at `offset`, which was handed out before.
    ///
    /// # Errors
    /// [`BuildError::Outgrown`] if they do not lie in the memory.
    #[inline]
    pub fn put(&mut self, offset: u64, bytes: &[u8]) -> Result<(), BuildError> {
        match &mut self.out {
            None => Ok(()),
            Some(out) => put(out, offset as usize, bytes)
                .then_some(())
                .ok_or(BuildError::Outgrown),
        }
    }

    /// The memory of `len` bytes at `offset`; `None` while measuring.
    ///
    /// # Errors
    /// [`BuildError::Outgrown`] if they do not lie in the memory.
    pub fn slice_mut(&mut self, offset: u64, len: u64) -> Result<Option<&mut [u8]>, BuildError> {
        let Some(out) = &mut self.out else {
            return Ok(None);
        };
        let end = offset.checked_add(len).ok_or(BuildError::Outgrown)?;
        let part = out.get_mut(offset as usize..end as usize);
        part.map(Some).ok_or(BuildError::Outgrown)
    }

    /// The word of a value; its blob, if it needs one, is written.
    ///
    /// # Errors
    /// As for [`Arena::alloc`].
    #[inline]
    pub fn blob(&mut self, value: &Scalar<'_>) -> Result<Word, BuildError> {
        if let Some(word) = Word::inline(value) {
            return Ok(word);
        }
        let len = blob_len(value);
        let offset = self.alloc(len, BLOB_ALIGN)?;
        if let Some(room) = self.slice_mut(offset, len)? {
            write_blob(value, room).ok_or(BuildError::Outgrown)?;
        }
        Word::blob(offset).ok_or(BuildError::TooLarge { len: offset })
    }

    /// Writes the name of a class, `module:qualname`, as a blob; returns its offset.
    ///
    /// # Errors
    /// As for [`Arena::alloc`].
    pub fn class_blob(&mut self, name: &str) -> Result<u64, BuildError> {
        let value = Scalar::Class(name.as_bytes());
        let offset = self.alloc(blob_len(&value), BLOB_ALIGN)?;
        if let Some(room) = self.slice_mut(offset, blob_len(&value))? {
            write_blob(&value, room).ok_or(BuildError::Outgrown)?;
        }
        Ok(offset)
    }

    /// Closes the image, whose root is the node at `root`; returns its length.
    ///
    /// # Errors
    /// [`BuildError::WrongLength`] if the memory is longer than what was written.
    pub fn finish(mut self, root: u64, version: u32) -> Result<u64, BuildError> {
        let image_len = self.alloc(0, BLOB_ALIGN)?;
        let header = Header { image_len, root };
        if let Some(out) = &self.out
            && out.len() as u64 != image_len
        {
            return Err(BuildError::WrongLength {
                needed: image_len,
                given: out.len() as u64,
            });
        }
        self.put(0, &header.to_bytes_of(version))?;
        Ok(image_len)
    }
}
