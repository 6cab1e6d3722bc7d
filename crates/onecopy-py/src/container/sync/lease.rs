//! `queue.get(lease=True)`.
#![forbid(unsafe_code)]

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use onecopy::ContainerError;
use onecopy::shared::{self, RawQueue};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::error::Error;

/// An item that comes back if this process dies before it is done with it.
///
/// Leaving its `with` block in order is `done()`, by an exception `give_back()`. So is dropping it before either.
///
/// Examples:
///     >>> import onecopy
///     >>> queue = onecopy.Queue()
///     >>> queue.put("an order")
///     >>> with queue.get(lease=True) as lease:
///     ...     lease.item
///     'an order'
///     >>> queue.empty()
///     True
#[pyclass(frozen, module = "onecopy.sync", name = "Lease", weakref)]
pub(crate) struct Lease {
    queue: RawQueue,
    raw: shared::Lease,
    has_ended: AtomicBool,
    /// The item.
    #[pyo3(get)]
    item: Py<PyAny>,
}

impl Lease {
    pub(super) fn new(queue: RawQueue, raw: shared::Lease, item: Py<PyAny>) -> Self {
        Self {
            queue,
            raw,
            has_ended: AtomicBool::new(false),
            item,
        }
    }

    /// Ends it; whether it had not ended.
    fn end(
        &self,
        way: impl FnOnce(&RawQueue, &shared::Lease) -> Result<bool, ContainerError>,
    ) -> PyResult<bool> {
        let was_own = way(&self.queue, &self.raw).map_err(Error::from)?;
        self.has_ended.store(true, Ordering::Relaxed);
        Ok(was_own)
    }
}

/// Leases that nobody has any more, while their queue's lock was not to be had at once.
static DROPPED: Mutex<Vec<(RawQueue, shared::Lease)>> = Mutex::new(Vec::new());
static HAS_DROPPED: AtomicBool = AtomicBool::new(false);

/// Gives back what was dropped while the lock was not to be had. Every operation of a queue begins with it.
#[inline(always)]
pub(super) fn give_back_dropped() {
    if HAS_DROPPED.load(Ordering::Relaxed) {
        give_back_all();
    }
}

#[cold]
#[inline(never)]
fn give_back_all() {
    let mut dropped = DROPPED.lock().unwrap_or_else(PoisonError::into_inner);
    HAS_DROPPED.store(false, Ordering::Relaxed);
    let leases = mem::take(&mut *dropped);
    drop(dropped);
    for (queue, lease) in leases {
        give_back_or_keep(queue, lease);
    }
}

/// Gives an item back, now or when the next operation of a queue begins: whoever drops an object does not wait.
fn give_back_or_keep(queue: RawQueue, lease: shared::Lease) {
    // What else fails cannot be told to anybody; the item comes back when this process ends.
    let Err(ContainerError::LockTimeout { .. }) = queue.try_give_back(&lease) else {
        return;
    };
    let mut dropped = DROPPED.lock().unwrap_or_else(PoisonError::into_inner);
    dropped.push((queue, lease));
    HAS_DROPPED.store(true, Ordering::Relaxed);
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !*self.has_ended.get_mut() {
            give_back_or_keep(self.queue.clone(), self.raw);
        }
    }
}

fn ended() -> PyErr {
    PyRuntimeError::new_err("this lease has ended, or belongs to another process")
}

#[pymethods]
impl Lease {
    /// Whether another process had the item before, and died or gave it back.
    #[getter]
    fn is_again(&self) -> bool {
        self.raw.is_again
    }

    /// Says that the item is done with: it will not come back, and counts as `task_done()`.
    ///
    /// Raises:
    ///     RuntimeError: The lease has ended, or belongs to another process.
    fn done(&self) -> PyResult<()> {
        if self.end(RawQueue::done)? {
            Ok(())
        } else {
            Err(ended())
        }
    }

    /// Gives the item back: whoever asks next gets it.
    ///
    /// Raises:
    ///     RuntimeError: The lease has ended, or belongs to another process.
    fn give_back(&self) -> PyResult<()> {
        if self.end(RawQueue::give_back)? {
            Ok(())
        } else {
            Err(ended())
        }
    }

    fn __enter__(this: Py<Self>) -> Py<Self> {
        this
    }

    #[pyo3(signature = (*error))]
    fn __exit__(&self, error: &Bound<'_, PyTuple>) -> PyResult<()> {
        let has_failed = error.get_item(0).is_ok_and(|class| !class.is_none());
        // Ended already by hand: nothing is left to say.
        if has_failed {
            self.end(RawQueue::give_back)?;
        } else {
            self.end(RawQueue::done)?;
        }
        Ok(())
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!(
            "<onecopy.sync.Lease of {}>",
            self.item.bind(py).repr()?
        ))
    }
}
