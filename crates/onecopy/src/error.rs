//! What can go wrong with a store: one enum per family of operations; every variant carries its evidence.
#![forbid(unsafe_code)]

use std::io;
use std::time::Duration;

use crate::store::Uuid;

/// Bytes of a store that break its invariants: a stray write, or a peer that is not onecopy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "store {store} is corrupt at offset {offset:#x}: {what}; another process has overwritten the store: end all processes \
     that use it and start again"
)]
pub struct Corrupt {
    /// The store.
    pub store: Uuid,
    /// Where in the memory file, in bytes.
    pub offset: u64,
    /// What was expected there.
    pub what: &'static str,
}

/// Why a store could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CreateError {
    /// The kernel refused one of the steps.
    #[error("cannot create a store: {step} failed: {source}")]
    Kernel {
        /// The system call or library call.
        step: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// Not even the smallest address range could be reserved twice.
    #[error(
        "cannot create a store: no address range of {smallest} bytes is free twice \
         (is RLIMIT_AS, `ulimit -v`, set?)"
    )]
    NoAddressSpace {
        /// The smallest capacity that was tried, in bytes.
        smallest: u64,
    },
    /// The freshly made store did not take this process in.
    #[error("cannot create a store: {0}")]
    Join(#[from] AccessError),
}

/// Why an object could not be allocated. Nothing is left behind.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AllocateError {
    /// The machine, or this process's memory cgroup, does not have that much left.
    #[error(
        "not enough memory to share {requested} bytes: {available} bytes are available ({limit})"
    )]
    NoMemory {
        /// Bytes asked for.
        requested: u64,
        /// Bytes that could still be had.
        available: u64,
        /// Which limit says so.
        limit: &'static str,
    },
    /// The store's own quota (`max_bytes`) would be exceeded.
    #[error(
        "sharing {requested} bytes would exceed the store's quota: {allocated} of {max_bytes} \
         bytes are in use (drop views, or raise max_bytes)"
    )]
    QuotaExceeded {
        /// Bytes asked for.
        requested: u64,
        /// Bytes in use.
        allocated: u64,
        /// The quota.
        max_bytes: u64,
    },
    /// A table or the address range of the store is full.
    #[error("store {store} is full: no free {what} is left of {capacity}")]
    Full {
        /// The store.
        store: Uuid,
        /// What ran out.
        what: &'static str,
        /// How many there are.
        capacity: u64,
    },
    /// The kernel refused for another reason.
    #[error("cannot allocate {requested} bytes in the store: {source}")]
    Kernel {
        /// Bytes asked for.
        requested: u64,
        /// What the kernel said.
        source: io::Error,
    },
    /// The store itself could not be used.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The process's default store could not be made.
    #[error(transparent)]
    Create(#[from] CreateError),
}

/// Why an operation on an attached store failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccessError {
    /// Bytes in shared memory break the store's invariants.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
    /// A living process holds the store's lock for too long, for instance because it is stopped.
    #[error(
        "the lock of store {store} has been held for {} s by {}",
        Duration::from_millis(*waited_ms).as_secs_f64(),
        holder(*pid, *state, true)
    )]
    LockTimeout {
        /// The store.
        store: Uuid,
        /// How long this process waited, in milliseconds.
        waited_ms: u64,
        /// The holder, 0 when unknown.
        pid: u32,
        /// Its state letter from `/proc/PID/stat`, `?` when unknown.
        state: char,
    },
    /// A table is full.
    #[error("store {store} is full: all {capacity} {what} are taken; {advice}")]
    Full {
        /// The store.
        store: Uuid,
        /// What ran out, in the plural.
        what: &'static str,
        /// How many there are.
        capacity: u64,
        /// What to do about it.
        advice: &'static str,
    },
    /// The kernel refused.
    #[error("store {store}: {step} failed: {source}")]
    Kernel {
        /// The store.
        store: Uuid,
        /// The system call or library call.
        step: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// This process, or one that it was forked from, could be given no holds at its fork.
    #[error(
        "containers of store {store} cannot be used in this process: when it was forked, or a process before it, no process \
         slot or descriptor was free, so nothing keeps their memory; start the process in another way, or raise the limit \
         of open files"
    )]
    NoHolds {
        /// The store.
        store: Uuid,
    },
    /// The writable memory was inherited by fork: it belongs to the process that allocated it.
    #[error("object {index} is being built by another process and was only inherited by fork")]
    Inherited {
        /// The object's row.
        index: u32,
    },
}

/// Who holds a lock, and what to do about it; nothing if nobody has waited for it.
pub(crate) fn holder(pid: u32, state: char, has_waited: bool) -> String {
    match (pid, state) {
        (0, _) => "a process that cannot be told: end the processes that use it".to_owned(),
        _ if pid == std::process::id() && has_waited => {
            "another thread of this process: do two blocks take two locks, one in this order and one in that?".to_owned()
        }
        (_, 'T' | 't') => {
            format!("process {pid}, which is stopped (state {state}): continue or kill it")
        }
        _ if has_waited => format!("process {pid} (state {state}): kill it if it does not go on"),
        _ => format!("process {pid} (state {state})"),
    }
}

/// Why a token could not be turned into an object.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttachError {
    /// Nothing holds the object any more, so its memory has gone back to the kernel.
    #[error(
        "the shared object is gone: every process that held it has dropped it, \
         and its token had been used before"
    )]
    Gone,
    /// The bytes are not a token.
    #[error("not a onecopy token: {what}")]
    BadToken {
        /// What is wrong with it.
        what: &'static str,
    },
    /// No living process has the store open any more, so its memory has gone back to the kernel.
    #[error(
        "cannot find store {store} (named by process {pid}, fd {fd}): {reason}, and no other process of this user has it \
         open. The data went with the last process that had it, unless the token comes from another pid namespace"
    )]
    StoreGone {
        /// The store.
        store: Uuid,
        /// The process that made the token.
        pid: u32,
        /// Its file descriptor of the store.
        fd: u32,
        /// What was tried.
        reason: String,
    },
    /// No process that this one may look into has the store open, but there are some that it may not look into.
    #[error(
        "cannot find store {store} (named by process {pid}, fd {fd}): {reason}, and not every process of this user may be \
         looked into. Is its last process gone, or does it belong to another pid namespace?"
    )]
    NotFound {
        /// The store.
        store: Uuid,
        /// The process that made the token.
        pid: u32,
        /// Its file descriptor of the store.
        fd: u32,
        /// What was tried.
        reason: String,
    },
    /// The store belongs to another user, who could change what this process reads.
    #[error(
        "store {store} belongs to user {owner_uid}, but this process runs as user {expected_uid}: the processes of one \
         store must have one user (start them as the same user, or send the data itself)"
    )]
    ForeignOwner {
        /// The store.
        store: Uuid,
        /// Whose memory file it is.
        owner_uid: u32,
        /// The effective user of this process.
        expected_uid: u32,
    },
    /// The process that made the token is another user's, and may not be looked into.
    #[error(
        "cannot look into process {pid} for store {store}: it runs as user {owner_uid}, but this process as user \
         {expected_uid}: the processes of one store must have one user (start them as the same user, or send the data \
         itself)"
    )]
    ForeignProcess {
        /// The store.
        store: Uuid,
        /// The process that made the token.
        pid: u32,
        /// Whose it is.
        owner_uid: u32,
        /// The effective user of this process.
        expected_uid: u32,
    },
    /// The file exists, but it was laid out by an incompatible version or is not a store.
    #[error("store {store} has an incompatible layout: {what}")]
    Layout {
        /// The store.
        store: Uuid,
        /// What differs.
        what: &'static str,
    },
    /// This process cannot reserve the address range that the store's creator chose.
    #[error(
        "cannot map store {store}: no address range of {capacity} bytes is free twice \
         (is RLIMIT_AS, `ulimit -v`, lower than the creator's?): {source}"
    )]
    NoAddressSpace {
        /// The store.
        store: Uuid,
        /// Bytes per mapping.
        capacity: u64,
        /// What the kernel said.
        source: io::Error,
    },
    /// The object is not of the type asked for.
    #[error("the shared object is not {expected}: {what}")]
    WrongType {
        /// What the caller asked for.
        expected: &'static str,
        /// What stands there instead.
        what: String,
    },
    /// The store was found but could not be used.
    #[error(transparent)]
    Access(#[from] AccessError),
}

impl From<Corrupt> for AttachError {
    fn from(corrupt: Corrupt) -> Self {
        Self::Access(AccessError::Corrupt(corrupt))
    }
}

impl From<Corrupt> for AllocateError {
    fn from(corrupt: Corrupt) -> Self {
        Self::Access(AccessError::Corrupt(corrupt))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_is_not_given_back_says_who_has_it_and_what_to_do() {
        let store = Uuid::random().unwrap();
        let text = |waited_ms, pid, state| {
            let error = AccessError::LockTimeout {
                store,
                waited_ms,
                pid,
                state,
            };
            error.to_string()
        };
        let start = format!("the lock of store {store} has been held for");
        for (state, said) in [
            ('T', "which is stopped (state T): continue or kill it"),
            ('t', "which is stopped (state t): continue or kill it"),
        ] {
            let expected = format!("{start} 10 s by process 7, {said}");
            assert_eq!(text(10_000, 7, state), expected);
        }
        let expected =
            format!("{start} 0.1 s by process 7 (state S): kill it if it does not go on");
        assert_eq!(text(100, 7, 'S'), expected);
        assert!(text(100, 0, '?').contains("a process that cannot be told"));
    }
}
