//! `onecopy.Condition`.
#![forbid(unsafe_code)]

use std::time::Instant;

use onecopy::ContainerError;
use onecopy::shared::{self, Mutex};
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyTuple};

use super::super::handle;
use super::lock::{RLock, mutex_of};
use super::patience;
use crate::cpython::own_function;
use crate::error::Error;

/// A condition that all processes see, as `multiprocessing.Condition`.
///
/// Those who have waited longest are woken first. If a process dies after it was woken, the next one is woken instead.
///
/// Args:
///     lock: An `onecopy.Lock` or `RLock`; a new `RLock` by default.
///
/// Raises:
///     TypeError: `lock` is of another kind.
///
/// Examples:
///     >>> import onecopy
///     >>> condition = onecopy.Condition()
///     >>> with condition:
///     ...     condition.wait(timeout=0)
///     False
#[pyclass(frozen, module = "onecopy.sync", name = "Condition", weakref)]
pub(crate) struct Condition {
    raw: shared::Condition,
    lock: Py<PyAny>,
    mutex: Mutex,
}

impl Condition {
    fn with(raw: shared::Condition, lock: Bound<'_, PyAny>) -> PyResult<Self> {
        let Some(mutex) = mutex_of(&lock) else {
            let name = lock.get_type().fully_qualified_name()?;
            return Err(PyTypeError::new_err(format!(
                "a condition needs an onecopy.Lock or onecopy.RLock, not {name}"
            )));
        };
        let lock = lock.unbind();
        Ok(Self { raw, lock, mutex })
    }

    fn check_held(&self) -> PyResult<()> {
        if self.mutex.is_held_here().map_err(Error::from)? {
            Ok(())
        } else {
            Err(not_held())
        }
    }
}

fn not_held() -> PyErr {
    PyRuntimeError::new_err("the condition's lock must be held: use it in `with condition:`")
}

#[pymethods]
impl Condition {
    #[new]
    #[pyo3(signature = (lock = None))]
    fn new(py: Python<'_>, lock: Option<Bound<'_, PyAny>>) -> PyResult<Self> {
        let store = handle::store()?;
        let lock = match lock {
            Some(lock) => lock,
            None => py.get_type::<RLock>().call0()?,
        };
        Self::with(
            shared::Condition::create(&store).map_err(Error::from)?,
            lock,
        )
    }

    /// Takes the lock, and returns whether it was to be had.
    #[pyo3(signature = (block = true, timeout = None, *, blocking = None))]
    fn acquire(&self, block: bool, timeout: Option<f64>, blocking: Option<bool>) -> PyResult<bool> {
        let patience = patience::of(blocking.unwrap_or(block), timeout)?;
        let took = self.mutex.acquire(patience).map_err(Error::from)?;
        Ok(took.is_some())
    }

    /// Gives the lock back.
    ///
    /// Raises:
    ///     RuntimeError: It is not held.
    fn release(&self) -> PyResult<()> {
        match self.mutex.release() {
            Err(ContainerError::NotHeld) => Err(not_held()),
            other => Ok(other.map_err(Error::from)?),
        }
    }

    fn __enter__(&self) -> PyResult<bool> {
        self.acquire(true, None, None)
    }

    #[pyo3(signature = (*_error))]
    fn __exit__(&self, _error: &Bound<'_, PyTuple>) -> PyResult<()> {
        self.release()
    }

    /// Gives the lock back, waits until it is woken, and takes the lock again. Returns whether it was woken.
    ///
    /// Args:
    ///     timeout: Seconds to wait; without end by default.
    ///
    /// Raises:
    ///     RuntimeError: The lock is not held.
    #[pyo3(signature = (timeout = None))]
    fn wait(&self, timeout: Option<f64>) -> PyResult<bool> {
        self.check_held()?;
        let patience = patience::of(true, timeout)?;
        match self.raw.wait(&self.mutex, patience) {
            Err(ContainerError::NotHeld) => Err(not_held()),
            other => Ok(other.map_err(Error::from)?),
        }
    }

    /// Waits until a function returns something true, and returns what it returned last.
    ///
    /// Args:
    ///     predicate: It is called with the lock held, at first and each time this is woken.
    ///     timeout: Seconds to wait in all; without end by default.
    #[pyo3(signature = (predicate, timeout = None))]
    fn wait_for<'py>(
        &self,
        predicate: &Bound<'py, PyAny>,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let patience = patience::of(true, timeout)?;
        let start = Instant::now();
        loop {
            let result = predicate.call0()?;
            if result.is_truthy()? {
                return Ok(result);
            }
            let left = patience.map(|patience| patience.saturating_sub(start.elapsed()));
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(result);
            }
            self.wait(left.map(|left| left.as_secs_f64()))?;
        }
    }

    /// Wakes up to `n` of those who wait.
    ///
    /// Raises:
    ///     RuntimeError: The lock is not held.
    #[pyo3(signature = (n = 1))]
    fn notify(&self, n: usize) -> PyResult<()> {
        self.check_held()?;
        self.raw.notify(n).map_err(Error::from)?;
        Ok(())
    }

    /// Wakes all who wait.
    ///
    /// Raises:
    ///     RuntimeError: The lock is not held.
    fn notify_all(&self) -> PyResult<()> {
        self.notify(usize::MAX)
    }

    fn __repr__(&self) -> String {
        format!("<onecopy.Condition, {} wait>", self.raw.waiting())
    }

    #[allow(clippy::type_complexity, reason = "what pickle expects")]
    fn __reduce__<'py>(
        this: &Bound<'py, Self>,
    ) -> PyResult<(Bound<'py, PyAny>, (Bound<'py, PyBytes>, Py<PyAny>))> {
        let (py, condition) = (this.py(), this.get());
        let token = condition.raw.token().map_err(Error::from)?;
        let attach = own_function(py, &ATTACH, "_attach_condition")?;
        let token = PyBytes::new(py, &token.to_bytes());
        Ok((attach, (token, condition.lock.clone_ref(py))))
    }
}

static ATTACH: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// Unpickles a condition.
#[pyfunction]
pub(crate) fn _attach_condition(token: &[u8], lock: Bound<'_, PyAny>) -> PyResult<Condition> {
    let raw = shared::Condition::attach(&handle::token(token)?).map_err(Error::from)?;
    Condition::with(raw, lock)
}
