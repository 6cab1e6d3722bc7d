//! `queue.get(lease=True)`.
#![forbid(unsafe_code)]

use onecopy::shared::{self, RawQueue};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::error::Error;

/// An item that comes back if this process dies before it is done with it.
///
/// Leaving its `with` block in order is `done()`, by an exception `give_back()`.
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
    /// The item.
    #[pyo3(get)]
    item: Py<PyAny>,
}

impl Lease {
    pub(super) fn new(queue: RawQueue, raw: shared::Lease, item: Py<PyAny>) -> Self {
        Self { queue, raw, item }
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
        if self.queue.done(&self.raw).map_err(Error::from)? {
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
        if self.queue.give_back(&self.raw).map_err(Error::from)? {
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
            self.queue.give_back(&self.raw).map_err(Error::from)?;
        } else {
            self.queue.done(&self.raw).map_err(Error::from)?;
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
