//! Published objects as Rust values: read-only.
//!
//! **Invariants.** `I1`: an [`Object`], like a `Building`, has one hold counted in `Local::held`, so its spans
//! are its own and stay committed. `I2`: a LIVE object's bytes never change: only its builder had a
//! writable address, and `publish` consumed it or `publish_keeping_address` made it private. Nothing in the kernel
//! enforces this between processes of the family (the file has no write seal); the protocol does, and
//! views are read through a mapping without write access.
#![allow(unsafe_code, reason = "bytes of the mapping become a slice here")]

use std::fmt;
use std::sync::Arc;

use super::attached::Attached;
use super::hold::Hold;
use super::objects::{Row, State};
use super::process_lock::ProcessGuard;
use super::token::Token;
use super::{ObjectId, find};
use crate::error::{AccessError, AttachError};

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

    /// The object of a row, with a hold that is counted already.
    pub(super) fn of(attached: Arc<Attached>, row: &Row) -> Self {
        Self(Arc::new(Hold::of(attached, row)))
    }

    pub(super) fn of_hold(hold: Hold) -> Self {
        Self(Arc::new(hold))
    }

    /// Its offset in the file and its length.
    pub(super) fn place(&self) -> (u64, usize) {
        let offset = self.0.attached.file.geometry.span_data(self.0.first);
        (offset, self.0.len as usize)
    }

    /// Turns a token into the object, in any process of the same user.
    ///
    /// # Errors
    /// [`AttachError::Gone`] if nothing holds the object any more; the others if its store cannot be
    /// found or mapped.
    pub fn attach(token: &Token) -> Result<Self, AttachError> {
        let store = find::store_of(&mut ProcessGuard::lock(), token)?;
        Ok(Self(Arc::new(Hold::attach(&store, token, State::Live)?.0)))
    }

    /// The object's bytes, through the read-only mapping.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        let (offset, len) = self.place();
        let address = self.0.attached.file.mapping.read_address(offset);
        // SAFETY: `read_address` has asserted that it lies in the mapping, which is readable as long as the attachment
        // lives, and so as long as `self`. That `len` bytes from there are the object's was checked when its row was read
        // (`Locked::row_at`), at `attach` or before `publish`. It is LIVE and held, so they are committed (I1) and never
        // change (I2).
        unsafe { std::slice::from_raw_parts(address, len) }
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
