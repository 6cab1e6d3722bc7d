//! Which store a process uses, and how it finds one it is not attached to.
//!
//! The *default store* of a process, fixed at the first of: inherited by fork; named by `ONECOPY_STORE`
//! (`pid:fd:uuid`); the first store attached by a token; created. A process that creates or adopts its
//! default store sets the variable to its own pid and descriptor. A stale one, of a process that is gone or
//! of the parent of a forked child, leads to a search by name; if that finds nothing it is ignored.
//!
//! A token's store is looked for in this order: already attached; the variable; `/proc/PID/fd/N` of the
//! token; the descriptors of all processes of this user. Opening those needs ptrace *read* access only
//! (`proc_pid_fd(5)`), which Yama does not restrict.
//!
//! **Whose.** Whoever owns a store can change what its readers see, and pickled elements in it run code. So a file that
//! comes by any of these roads must be the effective user's (`MemoryFile::inspect`), and a store that is attached
//! already is looked at again (`StoreFile::check_owner`), since the process may have another user by now. A variable
//! that names another user's store is as good as none; a token of one is an error. A store that the process turned
//! away from stays attached for the views that it has.
#![forbid(unsafe_code)]

use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::Uuid;
use super::alive::ALIVE_BYTE;
use super::attached::Attached;
use super::file::StoreFile;
use super::process_lock::ProcessGuard;
use super::token::Token;
use crate::error::{AccessError, AttachError, CreateError};
use crate::sys::memory::{MemoryFile, Refused};
use crate::sys::{environment, procfs, user};

/// The variable that names a family's store.
const VARIABLE: &str = "ONECOPY_STORE";

/// The process's default store, made if need be.
pub(crate) fn default_store(guard: &mut ProcessGuard) -> Result<Arc<Attached>, CreateError> {
    if let Some(store) = &guard.process().default
        && store.file.check_owner().is_ok()
    {
        return Ok(Arc::clone(store));
    }
    let store = match former(guard).or_else(|| adopt(guard)) {
        Some(store) => store,
        None => create(guard, None, 0)?,
    };
    set_default(guard, &store);
    Ok(store)
}

/// The default store of when this process was the same user before, if it was.
fn former(guard: &mut ProcessGuard) -> Option<Arc<Attached>> {
    let former = &mut guard.process().former;
    let at = former
        .iter()
        .position(|store| store.file.check_owner().is_ok())?;
    Some(former.swap_remove(at))
}

/// Makes a store and joins it.
pub(crate) fn create(
    guard: &mut ProcessGuard,
    capacity_bytes: Option<u64>,
    max_bytes: u64,
) -> Result<Arc<Attached>, CreateError> {
    super::at_fork::register().map_err(|source| CreateError::Kernel {
        step: "pthread_atfork",
        source,
    })?;
    Ok(Attached::join(
        StoreFile::create(capacity_bytes, max_bytes)?,
        guard,
    )?)
}

/// Attaches the store of a token, or finds it among those attached.
pub(crate) fn store_of(
    guard: &mut ProcessGuard,
    token: &Token,
) -> Result<Arc<Attached>, AttachError> {
    if let Some(store) = attached(guard, token.store) {
        store.file.check_owner()?;
        return Ok(store);
    }
    let file = locate(token)?;
    let store = open(guard, file, token.store)?;
    if guard.process().default.is_none() {
        set_default(guard, &store);
    }
    Ok(store)
}

/// Joins the store behind a descriptor that the caller got in its own way.
pub(crate) fn store_from_fd(
    guard: &mut ProcessGuard,
    fd: OwnedFd,
    uuid: Uuid,
) -> Result<Arc<Attached>, AttachError> {
    if let Some(store) = attached(guard, uuid) {
        store.file.check_owner()?;
        return Ok(store);
    }
    let file = MemoryFile::inspect(fd).map_err(|refused| match refused {
        Refused::Owner {
            owner_uid,
            expected_uid,
        } => AttachError::ForeignOwner {
            store: uuid,
            owner_uid,
            expected_uid,
        },
        Refused::Kind(what) => AttachError::Layout { store: uuid, what },
        Refused::Kernel(source) => AttachError::Access(AccessError::Kernel {
            store: uuid,
            step: "fstat of the descriptor",
            source,
        }),
    })?;
    open(guard, file, uuid)
}

fn attached(guard: &mut ProcessGuard, uuid: Uuid) -> Option<Arc<Attached>> {
    // Only the one that is returned is upgraded: dropping a last owner here would deadlock.
    guard
        .process()
        .stores
        .iter()
        .filter(|store| store.0 == uuid)
        .find_map(|store| store.1.upgrade())
}

fn open(
    guard: &mut ProcessGuard,
    file: MemoryFile,
    uuid: Uuid,
) -> Result<Arc<Attached>, AttachError> {
    super::at_fork::register().map_err(|source| AccessError::Kernel {
        store: uuid,
        step: "pthread_atfork",
        source,
    })?;
    Ok(Attached::join(StoreFile::open(file, uuid)?, guard)?)
}

fn locate(token: &Token) -> Result<MemoryFile, AttachError> {
    let name = token.store.file_name();
    let named = variable().filter(|(_, _, uuid)| *uuid == token.store);
    if let Some((pid, fd, _)) = named
        && let Ok(file) = procfs::open_fd(pid, fd, &name)
    {
        return Ok(file);
    }
    let refused = match procfs::open_fd(token.pid, token.fd, &name) {
        Ok(file) => return Ok(file),
        Err(refused) => refused,
    };
    procfs::find_memfd(&name, ALIVE_BYTE).map_err(|missing| not_found(token, refused, &missing))
}

/// What it means that a token's store was found neither where the token says nor anywhere else.
fn not_found(token: &Token, refused: Refused, missing: &procfs::NotFound) -> AttachError {
    let Token { store, pid, fd, .. } = *token;
    let reason = format!("/proc/{pid}/fd/{fd}: {refused}");
    match refused {
        Refused::Owner {
            owner_uid,
            expected_uid,
        } => AttachError::ForeignOwner {
            store,
            owner_uid,
            expected_uid,
        },
        Refused::Kernel(error)
            if procfs::is_denied(&error)
                && let Some(owner_uid) = procfs::owner(pid)
                && owner_uid != user::effective() =>
        {
            AttachError::ForeignProcess {
                store,
                pid,
                owner_uid,
                expected_uid: user::effective(),
            }
        }
        _ if missing.was_refused => AttachError::NotFound {
            store,
            pid,
            fd,
            reason,
        },
        _ => AttachError::StoreGone {
            store,
            pid,
            fd,
            reason,
        },
    }
}

fn adopt(guard: &mut ProcessGuard) -> Option<Arc<Attached>> {
    let (pid, fd, uuid) = variable()?;
    if let Some(store) = attached(guard, uuid) {
        return store.file.check_owner().is_ok().then_some(store);
    }
    let name = uuid.file_name();
    // The process that set the variable may have ended while others of the family live, or this one was
    // forked from it and had its variable: then the store is looked for by name, once.
    let file = procfs::open_fd(pid, fd, &name)
        .ok()
        .or_else(|| procfs::find_memfd(&name, ALIVE_BYTE).ok())?;
    open(guard, file, uuid).ok()
}

fn variable() -> Option<(u32, u32, Uuid)> {
    let text = environment::get(VARIABLE)?;
    let mut parts = text.splitn(3, ':');
    let pid = parts.next()?.parse().ok()?;
    let fd = parts.next()?.parse().ok()?;
    Some((pid, fd, Uuid::parse(parts.next()?)?))
}

fn set_default(guard: &mut ProcessGuard, store: &Arc<Attached>) {
    let process = guard.process();
    // Dropping a last owner here would wait for the process lock, which this thread holds.
    process
        .former
        .extend(process.default.replace(Arc::clone(store)));
    name_default(guard);
}

/// Names the default store, by this process's own descriptor, in the environment of its children.
fn name_default(guard: &mut ProcessGuard) {
    if let Some(store) = &guard.process().default {
        let pid = std::process::id();
        let fd = procfs::number(&store.file.fd);
        environment::set(VARIABLE, &format!("{pid}:{fd}:{}", store.file.uuid));
    }
}
