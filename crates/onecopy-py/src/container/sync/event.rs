//! `onecopy.Event`.
#![forbid(unsafe_code)]

use onecopy::shared;
use pyo3::prelude::*;

use super::super::handle;
use super::super::methods::methods;
use super::patience;
use crate::error::Error;

/// An event that all processes see, as `multiprocessing.Event`.
///
/// Examples:
///     >>> import onecopy
///     >>> cancelled = onecopy.Event()
///     >>> cancelled.wait(timeout=0)
///     False
///     >>> cancelled.set()
///     >>> cancelled.is_set()
///     True
#[pyclass(frozen, module = "onecopy.sync", name = "Event", weakref)]
pub(crate) struct Event {
    pub(super) raw: shared::Event,
}

methods!(Event, [same, uncopied, token(_attach_event)], {
    #[new]
    fn new() -> PyResult<Self> {
        let store = handle::store()?;
        let raw = shared::Event::create(&store).map_err(Error::from)?;
        Ok(Self { raw })
    }

    /// Whether it is set.
    fn is_set(&self) -> bool {
        self.raw.is_set()
    }

    /// Sets it, and wakes all who wait for it.
    fn set(&self) -> PyResult<()> {
        Ok(self.raw.set().map_err(Error::from)?)
    }

    /// Takes it back.
    fn clear(&self) -> PyResult<()> {
        Ok(self.raw.clear().map_err(Error::from)?)
    }

    /// Waits until it is set, and returns whether it was.
    ///
    /// Args:
    ///     timeout: Seconds to wait; without end by default.
    #[pyo3(signature = (timeout = None))]
    fn wait(&self, timeout: Option<f64>) -> PyResult<bool> {
        Ok(self.raw.wait(patience::of(timeout)?).map_err(Error::from)?)
    }

    fn __repr__(&self) -> &'static str {
        if self.is_set() {
            "<onecopy.Event, set>"
        } else {
            "<onecopy.Event, not set>"
        }
    }
});

/// Unpickles an event.
#[pyfunction]
pub(crate) fn _attach_event(token: &[u8]) -> PyResult<Event> {
    let raw = shared::Event::attach(&handle::token(token)?).map_err(Error::from)?;
    Ok(Event { raw })
}
