//! `container.lock`.
#![forbid(unsafe_code)]

use std::time::Duration;

use onecopy::ContainerError;
use onecopy::shared;
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;

use crate::error::Error;

/// The writers' lock of a container.
///
/// `with c.lock:` makes several operations one step: other threads and processes wait before they change the container.
/// Readers go on, and see each operation as it is done. A thread may take the lock again while it has it. If its holder
/// dies, what it had completed stays, the lock is free, and `deaths` counts it.
///
/// Examples:
///     >>> import onecopy
///     >>> numbers = onecopy.List([1, 2])
///     >>> with numbers.lock:
///     ...     numbers[0] += 1
#[pyclass(frozen, module = "onecopy.containers", name = "WriterLock")]
pub(crate) struct WriterLock {
    raw: shared::WriterLock,
}

/// A lock, held until this is dropped.
pub(super) struct Held(shared::WriterLock);

impl Drop for Held {
    fn drop(&mut self) {
        // Taken by this thread, which has not given it back.
        let _ = self.0.release();
    }
}

/// Takes a lock until the result is dropped.
pub(super) fn hold(lock: shared::WriterLock) -> PyResult<Held> {
    lock.hold(None).map_err(Error::from)?;
    Ok(Held(lock))
}

impl WriterLock {
    pub(super) const fn new(raw: shared::WriterLock) -> Self {
        Self { raw }
    }
}

#[pymethods]
impl WriterLock {
    /// Takes the lock.
    ///
    /// Args:
    ///     timeout: Seconds to wait for a living holder.
    ///
    /// Raises:
    ///     TimeoutError: It was not to be had in time; the text names the holder.
    #[pyo3(signature = (timeout = 10.0))]
    fn acquire(&self, timeout: f64) -> PyResult<()> {
        let patience = Duration::try_from_secs_f64(timeout)
            .map_err(|_| PyValueError::new_err("timeout is a number of seconds, 0 or more"))?;
        Ok(self.raw.hold(Some(patience)).map_err(Error::from)?)
    }

    /// Gives the lock back.
    ///
    /// Raises:
    ///     RuntimeError: This thread does not have it.
    fn release(&self) -> PyResult<()> {
        match self.raw.release() {
            Err(error @ ContainerError::NotHeld) => Err(PyRuntimeError::new_err(error.to_string())),
            other => Ok(other.map_err(Error::from)?),
        }
    }

    fn __enter__(this: Py<Self>) -> PyResult<Py<Self>> {
        this.get().raw.hold(None).map_err(Error::from)?;
        Ok(this)
    }

    #[pyo3(signature = (*_error))]
    fn __exit__(&self, _error: &Bound<'_, pyo3::types::PyTuple>) -> PyResult<()> {
        self.release()
    }

    /// Whether some thread of some process has the lock.
    fn locked(&self) -> PyResult<bool> {
        Ok(self.raw.is_held().map_err(Error::from)?)
    }

    /// Holders that have died in the lock.
    #[getter]
    fn deaths(&self) -> PyResult<u64> {
        Ok(self.raw.deaths().map_err(Error::from)?)
    }

    #[allow(clippy::unused_self, reason = "a method of Python's")]
    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err(
            "a container's lock goes with its container: pass the container, and use its `lock` there",
        ))
    }

    fn __repr__(&self) -> PyResult<String> {
        let state = if self.locked()? { "held" } else { "free" };
        Ok(format!("<onecopy.containers.WriterLock, {state}>"))
    }
}
