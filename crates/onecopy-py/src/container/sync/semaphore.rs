//! `onecopy.Semaphore` and `onecopy.BoundedSemaphore`.
#![forbid(unsafe_code)]

use onecopy::shared::{self, Released};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::super::handle;
use super::super::methods::methods;
use super::patience;
use crate::error::Error;
use crate::value::Truth;

fn create(value: i64, is_bounded: bool) -> PyResult<shared::Semaphore> {
    let units = u32::try_from(value).map_err(|_| {
        PyValueError::new_err(format!(
            "a semaphore begins with 0 to {} units, not {value}",
            u32::MAX
        ))
    })?;
    let store = handle::store()?;
    Ok(shared::Semaphore::create(&store, units.into(), is_bounded).map_err(Error::from)?)
}

fn release(raw: &shared::Semaphore, count: i64) -> PyResult<()> {
    let count = u32::try_from(count)
        .ok()
        .filter(|count| *count > 0)
        .ok_or_else(|| PyValueError::new_err("n is 1 or more"))?;
    match raw.release(count.into()).map_err(Error::from)? {
        Released::Yes => Ok(()),
        Released::TooMany => Err(PyValueError::new_err("semaphore released too many times")),
    }
}

/// The methods of both, as `PyO3` takes one block of methods for each class. `release` stands in each, since its text differs.
macro_rules! semaphore_methods {
    ($class:ident, $is_bounded:literal, $attach:ident, { $($release:tt)* }) => {
        methods!($class, [same, uncopied, token($attach)], {
            #[new]
            #[pyo3(signature = (value = 1))]
            fn new(value: i64) -> PyResult<Self> {
                let raw = create(value, $is_bounded)?;
                Ok(Self { raw })
            }

            /// Takes a unit, and returns whether one was to be had.
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
                let patience = patience::of_semaphore(blocking.unwrap_or(block), timeout)?;
                Ok(self.raw.acquire(patience).map_err(Error::from)?)
            }

            $($release)*

            /// Units to be had, as of a moment ago.
            fn get_value(&self) -> u64 {
                self.raw.units()
            }

            /// Units that processes had when they died, and that were given back for them.
            #[getter]
            fn deaths(&self) -> u64 {
                self.raw.deaths()
            }

            fn __enter__(&self) -> PyResult<bool> {
                self.acquire(Truth(true), None, None)
            }

            #[pyo3(signature = (*_error))]
            fn __exit__(&self, _error: &Bound<'_, PyTuple>) -> PyResult<()> {
                release(&self.raw, 1)
            }

            fn __repr__(&self) -> String {
                let name = stringify!($class);
                format!("<onecopy.{name}, {} to be had>", self.raw.units())
            }
        });

        /// Unpickles a semaphore.
        #[pyfunction]
        pub(crate) fn $attach(token: &[u8]) -> PyResult<$class> {
            let raw = shared::Semaphore::attach(&handle::token(token)?).map_err(Error::from)?;
            Ok($class { raw })
        }
    };
}

/// A semaphore that all processes see, as `multiprocessing.Semaphore`.
///
/// Units that a process had when it died are given back for it, and `deaths` counts them, as long as whoever takes a unit
/// is who gives it back. Where one process gives back what another took, or the semaphore begins with 0, units are
/// signals: then nobody can say what a dead process owes, and they stay taken.
///
/// Args:
///     value: Units to begin with.
///
/// Raises:
///     ValueError: It is below 0.
///
/// Examples:
///     >>> import onecopy
///     >>> two = onecopy.Semaphore(2)
///     >>> with two:
///     ...     two.get_value()
///     1
#[pyclass(frozen, module = "onecopy.sync", name = "Semaphore", weakref)]
pub(crate) struct Semaphore {
    pub(super) raw: shared::Semaphore,
}

semaphore_methods!(Semaphore, false, _attach_semaphore, {
    /// Gives `n` units back, or adds them.
    #[pyo3(signature = (n = 1))]
    fn release(&self, n: i64) -> PyResult<()> {
        release(&self.raw, n)
    }
});

/// A semaphore that never has more units than it began with, as `multiprocessing.BoundedSemaphore`.
///
/// Args:
///     value: Units to begin with.
///
/// Raises:
///     ValueError: It is below 0.
///
/// Examples:
///     >>> import onecopy
///     >>> one = onecopy.BoundedSemaphore()
///     >>> one.acquire(), one.acquire(block=False)
///     (True, False)
///     >>> one.release()
#[pyclass(frozen, module = "onecopy.sync", name = "BoundedSemaphore", weakref)]
pub(crate) struct BoundedSemaphore {
    pub(super) raw: shared::Semaphore,
}

semaphore_methods!(BoundedSemaphore, true, _attach_bounded, {
    /// Gives `n` units back.
    ///
    /// Raises:
    ///     ValueError: There would be more than at first.
    #[pyo3(signature = (n = 1))]
    fn release(&self, n: i64) -> PyResult<()> {
        release(&self.raw, n)
    }
});

/// The object that stands for a semaphore.
pub(super) fn object(py: Python<'_>, raw: shared::Semaphore) -> PyResult<Bound<'_, PyAny>> {
    Ok(if raw.is_bounded() {
        Bound::new(py, BoundedSemaphore { raw })?.into_any()
    } else {
        Bound::new(py, Semaphore { raw })?.into_any()
    })
}
