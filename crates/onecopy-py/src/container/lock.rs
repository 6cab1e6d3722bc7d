//! `container.lock`.
#![forbid(unsafe_code)]

use std::time::Duration;

use onecopy::ContainerError;
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;

use super::cell::Value;
use super::keyed::Keyed;
use super::list::List;
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
#[pyclass(frozen, module = "onecopy", name = "Lock")]
pub(crate) struct Lock {
    container: Owner,
}

enum Owner {
    List(Py<List>),
    Value(Py<Value>),
    Keyed(Keyed),
}

/// Calls a method that all containers have.
macro_rules! on {
    ($lock:expr, $method:ident ( $($argument:expr),* )) => {
        match &$lock.container {
            Owner::List(list) => list.get().raw.$method($($argument),*),
            Owner::Value(value) => value.get().raw.$method($($argument),*),
            Owner::Keyed(keyed) => keyed.raw().$method($($argument),*),
        }
    };
}

/// The lock, held until this is dropped.
pub(super) struct Held(Lock);

impl Drop for Held {
    fn drop(&mut self) {
        // Taken by this thread, which has not given it back.
        let _ = on!(self.0, release());
    }
}

impl Lock {
    /// The lock of a container.
    pub(super) fn of(container: &Bound<'_, PyAny>) -> PyResult<Self> {
        let container = if let Ok(list) = container.cast::<List>() {
            Owner::List(list.clone().unbind())
        } else if let Ok(value) = container.cast::<Value>() {
            Owner::Value(value.clone().unbind())
        } else if let Some(keyed) = Keyed::of(container) {
            Owner::Keyed(keyed)
        } else {
            return Err(PyTypeError::new_err("only containers have a lock"));
        };
        Ok(Self { container })
    }

    /// Takes the lock until the result is dropped.
    pub(super) fn hold(self) -> PyResult<Held> {
        on!(self, hold(None)).map_err(Error::from)?;
        Ok(Held(self))
    }
}

#[pymethods]
impl Lock {
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
        Ok(on!(self, hold(Some(patience))).map_err(Error::from)?)
    }

    /// Gives the lock back.
    ///
    /// Raises:
    ///     RuntimeError: This thread does not have it.
    fn release(&self) -> PyResult<()> {
        match on!(self, release()) {
            Err(error @ ContainerError::NotHeld) => Err(PyRuntimeError::new_err(error.to_string())),
            other => Ok(other.map_err(Error::from)?),
        }
    }

    fn __enter__(this: Py<Self>) -> PyResult<Py<Self>> {
        let lock = this.get();
        on!(lock, hold(None)).map_err(Error::from)?;
        Ok(this)
    }

    #[pyo3(signature = (*_error))]
    fn __exit__(&self, _error: &Bound<'_, pyo3::types::PyTuple>) -> PyResult<()> {
        self.release()
    }

    /// Whether some thread of some process has the lock.
    fn locked(&self) -> bool {
        on!(self, is_held())
    }

    /// Holders that have died in the lock.
    #[getter]
    fn deaths(&self) -> u64 {
        on!(self, deaths())
    }

    fn __repr__(&self) -> String {
        let state = if self.locked() { "held" } else { "free" };
        format!("<onecopy.Lock, {state}>")
    }
}
