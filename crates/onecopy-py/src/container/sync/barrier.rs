//! `onecopy.Barrier`.
#![forbid(unsafe_code)]

use onecopy::shared::{self, Passed, Turn};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyBytes;

use super::super::handle;
use super::patience;
use crate::cpython::{import_once, own_function};
use crate::error::Error;

/// A barrier that all processes see, as `multiprocessing.Barrier`.
///
/// A process that dies while it waits breaks the barrier: the others get `threading.BrokenBarrierError` and do not wait for
/// ever.
///
/// Args:
///     parties: How many have to come.
///     action: What the last one calls before all go on. It is pickled with the barrier.
///     timeout: Seconds that each waits unless `wait` says otherwise; without end by default.
///
/// Raises:
///     ValueError: `parties` is below 1.
///
/// Examples:
///     >>> import onecopy
///     >>> onecopy.Barrier(1).wait()
///     0
#[pyclass(frozen, module = "onecopy.sync", name = "Barrier", weakref)]
pub(crate) struct Barrier {
    raw: shared::Barrier,
    action: Option<Py<PyAny>>,
    timeout: Option<f64>,
}

static BROKEN: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

fn broken(py: Python<'_>) -> PyErr {
    let made =
        import_once(py, &BROKEN, "threading", "BrokenBarrierError").and_then(|class| class.call0());
    match made {
        Ok(error) => PyErr::from_value(error),
        Err(error) => error,
    }
}

#[pymethods]
impl Barrier {
    #[new]
    #[pyo3(signature = (parties, action = None, timeout = None))]
    fn new(parties: i64, action: Option<Py<PyAny>>, timeout: Option<f64>) -> PyResult<Self> {
        let count = u64::try_from(parties)
            .ok()
            .filter(|count| *count > 0)
            .ok_or_else(|| PyValueError::new_err(format!("parties is 1 or more, not {parties}")))?;
        let store = handle::store()?;
        let raw = shared::Barrier::create(&store, count).map_err(Error::from)?;
        Ok(Self {
            raw,
            action,
            timeout,
        })
    }

    /// Waits until all have come, and returns this one's number, from 0 on.
    ///
    /// Args:
    ///     timeout: Seconds to wait; who waits in vain breaks the barrier.
    ///
    /// Raises:
    ///     threading.BrokenBarrierError: Somebody has broken it, or died.
    #[pyo3(signature = (timeout = None))]
    fn wait(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<u64> {
        let patience = patience::of(true, timeout.or(self.timeout))?;
        let turn = self.raw.wait(patience, self.action.is_some());
        match turn.map_err(Error::from)? {
            Turn::Done(Passed::Yes(number)) => Ok(number),
            Turn::Done(Passed::Broken) => Err(broken(py)),
            Turn::Act(round) => {
                let acted = match &self.action {
                    Some(action) => action.call0(py).map(drop),
                    None => Ok(()),
                };
                self.raw
                    .finish(&round, acted.is_ok())
                    .map_err(Error::from)?;
                acted.map(|()| round.number)
            }
        }
    }

    /// Makes the barrier as it was at first. Those who wait get `threading.BrokenBarrierError`.
    fn reset(&self) -> PyResult<()> {
        Ok(self.raw.reset().map_err(Error::from)?)
    }

    /// Breaks the barrier: all who wait, and all who come, get `threading.BrokenBarrierError`.
    fn abort(&self) -> PyResult<()> {
        Ok(self.raw.abort().map_err(Error::from)?)
    }

    /// How many have to come.
    #[getter]
    fn parties(&self) -> u64 {
        self.raw.parties()
    }

    /// How many wait, as of a moment ago.
    #[getter]
    fn n_waiting(&self) -> u64 {
        self.raw.waiting()
    }

    /// Whether it is broken.
    #[getter]
    fn broken(&self) -> bool {
        self.raw.is_broken()
    }

    /// Deaths that broke it.
    #[getter]
    fn deaths(&self) -> u64 {
        self.raw.deaths()
    }

    fn __repr__(&self) -> String {
        let state = if self.broken() {
            "broken".to_owned()
        } else {
            format!("{} of {} wait", self.n_waiting(), self.parties())
        };
        format!("<onecopy.Barrier, {state}>")
    }

    #[allow(clippy::type_complexity, reason = "what pickle expects")]
    fn __reduce__<'py>(
        this: &Bound<'py, Self>,
    ) -> PyResult<(
        Bound<'py, PyAny>,
        (Bound<'py, PyBytes>, Option<Py<PyAny>>, Option<f64>),
    )> {
        let (py, barrier) = (this.py(), this.get());
        let token = barrier.raw.token().map_err(Error::from)?;
        let attach = own_function(py, &ATTACH, "_attach_barrier")?;
        let action = barrier.action.as_ref().map(|action| action.clone_ref(py));
        let token = PyBytes::new(py, &token.to_bytes());
        Ok((attach, (token, action, barrier.timeout)))
    }
}

static ATTACH: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// Unpickles a barrier.
#[pyfunction]
pub(crate) fn _attach_barrier(
    token: &[u8],
    action: Option<Py<PyAny>>,
    timeout: Option<f64>,
) -> PyResult<Barrier> {
    let raw = shared::Barrier::attach(&handle::token(token)?).map_err(Error::from)?;
    Ok(Barrier {
        raw,
        action,
        timeout,
    })
}
