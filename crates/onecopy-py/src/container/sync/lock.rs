//! `onecopy.Lock` and `onecopy.RLock`.
#![forbid(unsafe_code)]

use onecopy::ContainerError;
use onecopy::shared::Mutex;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::super::handle;
use super::super::methods::methods;
use super::patience;
use crate::error::Error;
use crate::value::Truth;

/// The methods of both, as `PyO3` takes one block of methods for each class. `release` stands in each, since its text differs.
macro_rules! lock_methods {
    ($class:ident, $is_recursive:literal, $attach:ident, $not_held:literal, { $($release:tt)* }) => {
        methods!($class, [same, uncopied, token($attach)], {
            #[new]
            fn new() -> PyResult<Self> {
                let store = handle::store()?;
                let raw = Mutex::create(&store, $is_recursive).map_err(Error::from)?;
                Ok(Self { raw })
            }

            /// Takes the lock, and returns whether it was to be had. An `RLock` that this thread has is taken once more.
            ///
            /// Args:
            ///     block: Whether to wait for it; `blocking` is the same.
            ///     timeout: Seconds to wait; without end by default.
            #[pyo3(signature = (block = Truth(true), timeout = None, *, blocking = None), text_signature = "($self, block=True, timeout=None, *, blocking=None)")]
            fn acquire(
                &self,
                block: Truth,
                timeout: Option<f64>,
                blocking: Option<Truth>,
            ) -> PyResult<bool> {
                let patience = patience::of_lock(blocking.unwrap_or(block), timeout)?;
                Ok(self.raw.acquire(patience).map_err(Error::from)?.is_some())
            }

            $($release)*

            fn __enter__(&self) -> PyResult<bool> {
                self.acquire(Truth(true), None, None)
            }

            #[pyo3(signature = (*_error))]
            fn __exit__(&self, _error: &Bound<'_, PyTuple>) -> PyResult<()> {
                self.give_back()
            }

            /// Whether somebody who lives has the lock.
            fn locked(&self) -> bool {
                self.raw.is_held()
            }

            /// Holders that have died in the lock.
            #[getter]
            fn deaths(&self) -> u64 {
                self.raw.deaths()
            }

            fn __repr__(&self) -> &'static str {
                if self.raw.is_held() {
                    concat!("<onecopy.", stringify!($class), ", held>")
                } else {
                    concat!("<onecopy.", stringify!($class), ", free>")
                }
            }
        });

        impl $class {
            #[inline(always)]
            fn give_back(&self) -> PyResult<()> {
                match self.raw.release() {
                    Err(ContainerError::NotHeld) => Err(PyRuntimeError::new_err($not_held)),
                    other => Ok(other.map_err(Error::from)?),
                }
            }
        }

        /// Unpickles a lock.
        #[pyfunction]
        pub(crate) fn $attach(token: &[u8]) -> PyResult<$class> {
            let raw = Mutex::attach(&handle::token(token)?).map_err(Error::from)?;
            Ok($class { raw })
        }
    };
}

/// A lock that all processes see, as `multiprocessing.Lock`.
///
/// Any thread of any process may give it back. If the process that took it dies, the next one gets it, and `deaths` counts it:
/// what the lock protects may then be half changed. If only the thread ends, the lock stays taken. Waiters get their turn,
/// also behind one that takes it again at once.
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

lock_methods!(
    Lock,
    false,
    _attach_lock,
    "release of a lock that nobody holds",
    {
        /// Gives the lock back, whoever has taken it.
        ///
        /// Raises:
        ///     RuntimeError: Nobody has it.
        fn release(&self) -> PyResult<()> {
            self.give_back()
        }
    }
);

/// A lock that the thread which has it may take again, as `multiprocessing.RLock`.
///
/// It has to be given back as often, by the same thread. If that thread ends or is killed, the next one gets it, and `deaths`
/// counts it.
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

lock_methods!(
    RLock,
    true,
    _attach_rlock,
    "release of a lock that this thread does not hold",
    {
        /// Gives the lock back once.
        ///
        /// Raises:
        ///     RuntimeError: This thread does not have it.
        fn release(&self) -> PyResult<()> {
            self.give_back()
        }
    }
);

/// What a condition waits with: an `onecopy.Lock` or `RLock`.
pub(super) fn mutex_of(lock: &Bound<'_, PyAny>) -> Option<Mutex> {
    if let Ok(lock) = lock.cast::<Lock>() {
        return Some(lock.get().raw.clone());
    }
    Some(lock.cast::<RLock>().ok()?.get().raw.clone())
}

/// The object that stands for a lock.
pub(super) fn object(py: Python<'_>, raw: Mutex) -> PyResult<Bound<'_, PyAny>> {
    Ok(if raw.is_recursive() {
        Bound::new(py, RLock { raw })?.into_any()
    } else {
        Bound::new(py, Lock { raw })?.into_any()
    })
}
