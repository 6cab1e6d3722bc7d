//! `Store`: the door to everything else.
#![forbid(unsafe_code)]

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use super::attached::Attached;
use super::building::Building;
use super::grow::Huge;
use super::object::Object;
use super::process_lock::ProcessGuard;
use super::stats::{self, Collected, Stats};
use super::view::{Portable, View};
use super::{Uuid, find, verify};
use crate::error::{AccessError, AllocateError, AttachError, CreateError};

/// This process's attachment to one store. Clones are cheap and mean the same attachment.
///
/// # Examples
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = onecopy::Store::new()?;
/// let view = store.share_slice(&[1.5f64, 2.5])?;
/// let token = view.token()?;                    // send these 64 bytes to any process
/// let same = onecopy::View::<[f64]>::attach(&token)?;
/// assert_eq!(same[1], 2.5);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Store(pub(crate) Arc<Attached>);

impl Store {
    /// Makes a new store. Most programs want [`Store::current`].
    pub fn new() -> Result<Self, CreateError> {
        Self::options().create()
    }

    /// Settings for a new store.
    #[must_use]
    pub fn options() -> StoreOptions {
        StoreOptions::default()
    }

    /// The process's default store: inherited by fork, named by `ONECOPY_STORE`, the first one attached
    /// by a token, or a new one.
    pub fn current() -> Result<Self, CreateError> {
        find::default_store(&mut ProcessGuard::lock()).map(Self)
    }

    /// From now on a fork makes the default store first if there is none, so that children forked
    /// before the first `share` belong to the same family.
    pub fn create_at_fork() -> std::io::Result<()> {
        super::at_fork::register()?;
        ProcessGuard::lock().process().before_fork = Some(|guard| {
            // Without it, workers forked before the first `share` would make stores of their own.
            let _ = find::default_store(guard);
        });
        Ok(())
    }

    /// Attaches the store behind `fd`, for processes that cannot open it through `/proc`: the
    /// descriptor came over a socket or by inheritance. `uuid` guards against a wrong descriptor.
    pub fn from_fd(fd: OwnedFd, uuid: Uuid) -> Result<Self, AttachError> {
        find::store_from_fd(&mut ProcessGuard::lock(), fd, uuid).map(Self)
    }

    /// A new descriptor of the memory file, to be sent to such a process.
    pub fn duplicate_fd(&self) -> std::io::Result<OwnedFd> {
        self.0.file.fd.try_clone()
    }

    /// The store's name.
    #[must_use]
    pub fn uuid(&self) -> Uuid {
        self.0.file.uuid
    }

    /// Takes room for `byte_len` bytes, zero-filled and committed: writing to them cannot fail.
    pub fn allocate(&self, byte_len: usize, huge: Huge) -> Result<Building, AllocateError> {
        Building::new(&self.0, byte_len, huge)
    }

    /// Copies a slice into the store, once, for readers in every process.
    pub fn share_slice<T: Portable>(&self, values: &[T]) -> Result<View<[T]>, AllocateError> {
        View::share(values, |byte_len| self.allocate(byte_len, Huge::Auto))
    }

    /// What is in the store and who uses it.
    pub fn stats(&self) -> Result<Stats, AccessError> {
        stats::stats(&self.0)
    }

    /// Looks for dead processes and gives back what they held; with `max_age`, also gives up tokens
    /// that were pickled longer ago and never unpickled.
    pub fn collect(&self, max_age: Option<Duration>) -> Result<Collected, AccessError> {
        stats::collect(&self.0, max_age)
    }

    /// Checks every invariant of the metadata.
    ///
    /// # Errors
    /// [`AccessError::Corrupt`] with the place and the broken invariant.
    pub fn verify(&self) -> Result<(), AccessError> {
        verify::verify(&self.0)
    }
}

impl Building {
    /// The store it is built in.
    #[must_use]
    pub fn store(&self) -> Store {
        Store(Arc::clone(self.attached()))
    }
}

impl Object {
    /// The store it lives in.
    #[must_use]
    pub fn store(&self) -> Store {
        Store(Arc::clone(self.attached()))
    }
}

/// Settings for a new store.
#[derive(Debug, Clone, Copy, Default)]
pub struct StoreOptions {
    capacity_bytes: Option<u64>,
    max_bytes: u64,
}

impl StoreOptions {
    /// Address range per mapping, rounded up to a power of two; by default 1 TiB, or less where so much
    /// is not to be had. Empty address space costs no memory.
    #[must_use]
    pub fn capacity_bytes(mut self, bytes: u64) -> Self {
        self.capacity_bytes = Some(bytes);
        self
    }

    /// Quota for the bytes of all objects together; 0 means none.
    #[must_use]
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Makes the store.
    pub fn create(self) -> Result<Store, CreateError> {
        let mut guard = ProcessGuard::lock();
        find::create(&mut guard, self.capacity_bytes, self.max_bytes).map(Store)
    }
}
