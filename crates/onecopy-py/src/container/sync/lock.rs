//! `onecopy.Lock` and `onecopy.RLock`.
#![forbid(unsafe_code)]

use onecopy::ContainerError;
use onecopy::shared::Mutex;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyTuple;

use super::super::handle;
use super::patience;
use crate::error::Error;

/// Takes a lock; whether it was to be had.
#[inline(always)]
fn acquire(
    raw: &Mutex,
    block: bool,
    timeout: Option<f64>,
    blocking: Option<bool>,
) -> PyResult<bool> {
    let patience = patience::of(blocking.unwrap_or(block), timeout)?;
    Ok(raw.acquire(patience).map_err(Error::from)?.is_some())
}

#[inline(always)]
fn release(raw: &Mutex, what: &'static str) -> PyResult<()> {
    match raw.release() {
        Err(ContainerError::NotHeld) => Err(PyRuntimeError::new_err(what)),
        other => Ok(other.map_err(Error::from)?),
    }
}

fn repr(raw: &Mutex, name: &str) -> String {
    let state = if raw.is_held() { "held" } else { "free" };
    format!("<onecopy.{name}, {state}>")
}

const NOT_HELD: &str = "release of a lock that nobody holds";
const NOT_OWN: &str = "release of a lock that this thread does not hold";

/// A lock that all processes see, as `multiprocessing.Lock`.
///
/// Any thread of any process may give it back. If its holder dies, the next one gets it, and `deaths` counts it: what the
/// lock protects may then be half changed. Waiters get their turn, also behind one that takes it again at once.
///
/// Examples:
///     >>> import onecopy
///     >>> lock = onecopy.Lock()
///     >>> with lock:
///     ...     lock.locked()
///     True
#[pyclass(frozen, module = "onecopy.sync", name = "Lock", weakref)]
pub(crate) struct Lock {
    pub(super) raw: Mutex,
}

#[pymethods]
impl Lock {
    #[new]
    fn new() -> PyResult<Self> {
        let store = handle::store()?;
        let raw = Mutex::create(&store, false).map_err(Error::from)?;
        Ok(Self { raw })
    }

    /// Takes the lock, and returns whether it was to be had.
    ///
    /// Args:
    ///     block: Whether to wait for it; `blocking` is the same.
    ///     timeout: Seconds to wait; without end by default.
    #[pyo3(signature = (block = true, timeout = None, *, blocking = None))]
    fn acquire(&self, block: bool, timeout: Option<f64>, blocking: Option<bool>) -> PyResult<bool> {
        acquire(&self.raw, block, timeout, blocking)
    }

    /// Gives the lock back, whoever has taken it.
    ///
    /// Raises:
    ///     RuntimeError: Nobody has it.
    fn release(&self) -> PyResult<()> {
        release(&self.raw, NOT_HELD)
    }

    fn __enter__(&self) -> PyResult<bool> {
        acquire(&self.raw, true, None, None)
    }

    #[pyo3(signature = (*_error))]
    fn __exit__(&self, _error: &Bound<'_, PyTuple>) -> PyResult<()> {
        self.release()
    }

    /// Whether some living thread of some process has the lock.
    fn locked(&self) -> bool {
        self.raw.is_held()
    }

    /// Holders that have died in the lock.
    #[getter]
    fn deaths(&self) -> u64 {
        self.raw.deaths()
    }

    fn __repr__(&self) -> String {
        repr(&self.raw, "Lock")
    }

    fn __reduce__<'py>(this: &Bound<'py, Self>) -> PyResult<handle::Reduced<'py>> {
        let token = this.get().raw.token().map_err(Error::from)?;
        handle::reduce(this.py(), &ATTACH, "_attach_lock", &token)
    }
}

static ATTACH: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// Unpickles a lock.
#[pyfunction]
pub(crate) fn _attach_lock(token: &[u8]) -> PyResult<Lock> {
    let raw = Mutex::attach(&handle::token(token)?).map_err(Error::from)?;
    Ok(Lock { raw })
}

/// A lock that the thread which has it may take again, as `multiprocessing.RLock`.
///
/// It has to be given back as often, by the same thread. If its holder dies, the next one gets it, and `deaths` counts it.
///
/// Examples:
///     >>> import onecopy
///     >>> lock = onecopy.RLock()
///     >>> with lock, lock:
///     ...     lock.locked()
///     True
#[pyclass(frozen, module = "onecopy.sync", name = "RLock", weakref)]
pub(crate) struct RLock {
    pub(super) raw: Mutex,
}

#[pymethods]
impl RLock {
    #[new]
    fn new() -> PyResult<Self> {
        let store = handle::store()?;
        let raw = Mutex::create(&store, true).map_err(Error::from)?;
        Ok(Self { raw })
    }

    /// Takes the lock, once more if this thread has it, and returns whether it was to be had.
    ///
    /// Args:
    ///     block: Whether to wait for it; `blocking` is the same.
    ///     timeout: Seconds to wait; without end by default.
    #[pyo3(signature = (block = true, timeout = None, *, blocking = None))]
    fn acquire(&self, block: bool, timeout: Option<f64>, blocking: Option<bool>) -> PyResult<bool> {
        acquire(&self.raw, block, timeout, blocking)
    }

    /// Gives the lock back once.
    ///
    /// Raises:
    ///     RuntimeError: This thread does not have it.
    fn release(&self) -> PyResult<()> {
        release(&self.raw, NOT_OWN)
    }

    fn __enter__(&self) -> PyResult<bool> {
        acquire(&self.raw, true, None, None)
    }

    #[pyo3(signature = (*_error))]
    fn __exit__(&self, _error: &Bound<'_, PyTuple>) -> PyResult<()> {
        self.release()
    }

    /// Whether some living thread of some process has the lock.
    fn locked(&self) -> bool {
        self.raw.is_held()
    }

    /// Holders that have died in the lock.
    #[getter]
    fn deaths(&self) -> u64 {
        self.raw.deaths()
    }

    fn __repr__(&self) -> String {
        repr(&self.raw, "RLock")
    }

    fn __reduce__<'py>(this: &Bound<'py, Self>) -> PyResult<handle::Reduced<'py>> {
        let token = this.get().raw.token().map_err(Error::from)?;
        handle::reduce(this.py(), &ATTACH_R, "_attach_rlock", &token)
    }
}

static ATTACH_R: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// Unpickles a lock.
#[pyfunction]
pub(crate) fn _attach_rlock(token: &[u8]) -> PyResult<RLock> {
    let raw = Mutex::attach(&handle::token(token)?).map_err(Error::from)?;
    Ok(RLock { raw })
}

/// What a condition waits with: an `onecopy.Lock` or `RLock`.
pub(super) fn mutex_of(lock: &Bound<'_, PyAny>) -> Option<Mutex> {
    if let Ok(lock) = lock.cast::<Lock>() {
        return Some(lock.get().raw.clone());
    }
    Some(lock.cast::<RLock>().ok()?.get().raw.clone())
}
