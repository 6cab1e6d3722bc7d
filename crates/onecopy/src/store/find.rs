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
#![forbid(unsafe_code)]

use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::Uuid;
use super::attached::{Attached, ProcessGuard};
use super::file::StoreFile;
use super::token::Token;
use crate::error::{AccessError, AttachError, CreateError};
use crate::sys::{environment, procfs};

/// The variable that names a family's store.
const VARIABLE: &str = "ONECOPY_STORE";

/// The process's default store, made if need be.
pub(crate) fn default_store(guard: &mut ProcessGuard) -> Result<Arc<Attached>, CreateError> {
    if let Some(store) = &guard.process().default {
        return Ok(Arc::clone(store));
    }
    let adopted = adopt(guard);
    let store = match adopted {
        Some(store) => store,
        None => create(guard, None, 0)?,
    };
    set_default(guard, &store);
    Ok(store)
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
        return Ok(store);
    }
    let fd = locate(token)?;
    let store = open(guard, fd, token.store)?;
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
    match attached(guard, uuid) {
        Some(store) => Ok(store),
        None => open(guard, fd, uuid),
    }
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

fn open(guard: &mut ProcessGuard, fd: OwnedFd, uuid: Uuid) -> Result<Arc<Attached>, AttachError> {
    super::at_fork::register().map_err(|source| AccessError::Kernel {
        store: uuid,
        step: "pthread_atfork",
        source,
    })?;
    Ok(Attached::join(StoreFile::open(fd, uuid)?, guard)?)
}

fn locate(token: &Token) -> Result<OwnedFd, AttachError> {
    let name = token.store.file_name();
    if let Some((pid, fd, uuid)) = variable()
        && uuid == token.store
        && let Ok(fd) = procfs::open_fd(pid, fd, &name)
    {
        return Ok(fd);
    }
    let direct = procfs::open_fd(token.pid, token.fd, &name);
    match direct {
        Ok(fd) => Ok(fd),
        Err(error) => procfs::find_memfd(&name).ok_or_else(|| AttachError::NotFound {
            store: token.store,
            pid: token.pid,
            fd: token.fd,
            reason: format!("/proc/{}/fd/{}: {error}", token.pid, token.fd),
        }),
    }
}

fn adopt(guard: &mut ProcessGuard) -> Option<Arc<Attached>> {
    let (pid, fd, uuid) = variable()?;
    if let Some(store) = attached(guard, uuid) {
        return Some(store);
    }
    let name = uuid.file_name();
    // The process that set the variable may have ended while others of the family live, or this one was
    // forked from it and had its variable: then the store is looked for by name, once.
    let fd = procfs::open_fd(pid, fd, &name)
        .ok()
        .or_else(|| procfs::find_memfd(&name))?;
    open(guard, fd, uuid).ok()
}

fn variable() -> Option<(u32, u32, Uuid)> {
    let text = environment::get(VARIABLE)?;
    let mut parts = text.splitn(3, ':');
    let pid = parts.next()?.parse().ok()?;
    let fd = parts.next()?.parse().ok()?;
    Some((pid, fd, Uuid::parse(parts.next()?)?))
}

fn set_default(guard: &mut ProcessGuard, store: &Arc<Attached>) {
    guard.process().default = Some(Arc::clone(store));
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
