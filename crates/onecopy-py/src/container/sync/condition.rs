//! `onecopy.Condition`.
#![forbid(unsafe_code)]

use std::time::Instant;

use onecopy::ContainerError;
use onecopy::shared::{self, Mutex};
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::super::handle;
use super::super::methods::methods;
use super::lock::mutex_of;
use super::patience;
use crate::error::Error;
use crate::value::Truth;

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
    pub(super) raw: shared::Condition,
    mutex: Mutex,
}

impl Condition {
    /// What stands for a condition, with the lock that belongs to it.
    pub(super) fn of(raw: shared::Condition) -> PyResult<Self> {
        let mutex = raw.lock().map_err(Error::from)?;
        let no_lock =
            || PyTypeError::new_err("a condition without a lock: it is for Rust programs");
        let mutex = mutex.ok_or_else(no_lock)?;
        Ok(Self { raw, mutex })
    }

    fn check_held(&self) -> PyResult<()> {
        if self.mutex.is_held_here().map_err(Error::from)? {
            Ok(())
        } else {
            Err(not_held())
        }
    }
}

#[cold]
fn no_lock(lock: &Bound<'_, PyAny>) -> PyErr {
    match lock.get_type().fully_qualified_name() {
        Ok(name) => PyTypeError::new_err(format!(
            "a condition needs an onecopy.Lock or onecopy.RLock, not {name}"
        )),
        Err(error) => error,
    }
}

fn not_held() -> PyErr {
    PyRuntimeError::new_err("the condition's lock must be held: use it in `with condition:`")
}

methods!(Condition, [same, uncopied, token(_attach_condition)], {
    #[new]
    #[pyo3(signature = (lock = None))]
    fn new(lock: Option<Bound<'_, PyAny>>) -> PyResult<Self> {
        let store = handle::store()?;
        let mutex = match lock {
            None => Mutex::create(&store, true).map_err(Error::from)?,
            Some(lock) => match mutex_of(&lock) {
                Some(mutex) => mutex,
                None => return Err(no_lock(&lock)),
            },
        };
        let raw = shared::Condition::with_lock(&mutex).map_err(Error::from)?;
        Ok(Self { raw, mutex })
    }

    /// Takes the lock, and returns whether it was to be had.
    #[pyo3(signature = (block = Truth(true), timeout = None, *, blocking = None), text_signature = "($self, block=True, timeout=None, *, blocking=None)")]
    fn acquire(
        &self,
        block: Truth,
        timeout: Option<f64>,
        blocking: Option<Truth>,
    ) -> PyResult<bool> {
        let patience = patience::of_lock(blocking.unwrap_or(block), timeout)?;
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
        self.acquire(Truth(true), None, None)
    }

    #[pyo3(signature = (*error))]
    fn __exit__(&self, error: &Bound<'_, PyTuple>) -> PyResult<()> {
        let is_raised = error.get_item(0).is_ok_and(|class| !class.is_none());
        // A signal may have ended a `wait` before it had the lock again: its exception is what is to be seen.
        if is_raised && !self.mutex.is_held_here().map_err(Error::from)? {
            return Ok(());
        }
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
        let patience = patience::of(timeout)?;
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
        let patience = patience::of(timeout)?;
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
});

/// Unpickles a condition.
#[pyfunction]
pub(crate) fn _attach_condition(token: &[u8]) -> PyResult<Condition> {
    Condition::of(shared::Condition::attach(&handle::token(token)?).map_err(Error::from)?)
}
