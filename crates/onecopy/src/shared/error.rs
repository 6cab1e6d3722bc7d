//! Why an operation on a container failed. Nothing has happened then.
#![forbid(unsafe_code)]

use crate::error::{AccessError, AllocateError, AttachError, Corrupt};
use crate::store::ObjectId;

/// Why an operation on a container failed. The container is unchanged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContainerError {
    /// Bytes of the container break its invariants.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
    /// Living processes have had the container's lock for too long, for instance because one is stopped.
    #[error(
        "the lock of container {container} was not to be had for {waited_s} s; it is held by {holder}"
    )]
    LockTimeout {
        /// Which container, as the statistics of the store call it.
        container: ObjectId,
        /// How long this process waited, in seconds.
        waited_s: f64,
        /// The holder at the end, 0 when unknown.
        pid: u32,
        /// That holder and its state, as words.
        holder: String,
    },
    /// There is no memory for what the operation needs.
    #[error(transparent)]
    Allocate(#[from] AllocateError),
    /// The container cannot be attached.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// The store could not be used.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// A signal's handler asked to stop while this thread waited for the lock.
    #[error("a signal ended the wait for a container's lock")]
    Interrupted,
    /// Others have changed the container during each try to change it by what a copy says.
    #[error(
        "others were faster in each of {tries} tries in {waited_s} s; holding the container's lock around the call (`with c.lock:` in Python) keeps them out"
    )]
    Overtaken {
        /// How often it was tried.
        tries: u32,
        /// How long, in seconds.
        waited_s: f64,
    },
    /// The code that works out a change has changed what it works on.
    #[error("the function changes what it is to be given")]
    OwnChange,
    /// What was to be put in is an object of another store.
    #[error("a container refers only to what lies in its own store; this lies in another")]
    OtherStore,
    /// This thread does not have the lock that it wants to give back.
    #[error("this thread does not hold the container's lock")]
    NotHeld,
    /// This thread is in the middle of an operation that has the lock.
    #[error("an operation of this thread on the container is not over yet")]
    InOperation,
    /// The container cannot hold so much.
    #[error("a container holds at most {most} {what}")]
    Full {
        /// The limit.
        most: u64,
        /// Of what, in the plural.
        what: &'static str,
    },
}

/// What was read may be wrong: somebody has changed it meanwhile. Under the lock: the container is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Retry;
