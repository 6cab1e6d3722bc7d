//! `onecopy.Barrier`.
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};

use onecopy::shared::{self, Passed, Turn};
use pyo3::IntoPyObjectExt as _;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyBytes;

use super::super::handle;
use super::super::methods::methods;
use super::super::word::{self, Objects, with_incoming};
use super::patience;
use crate::cpython::{import_once, made_once};
use crate::error::Error;

/// A barrier that all processes see, as `multiprocessing.Barrier`.
///
/// A process that dies while it waits breaks the barrier: the others get `threading.BrokenBarrierError` and do not wait for
/// ever.
///
/// Args:
///     parties: How many have to come.
///     action: What the last one calls before all go on. It is pickled when the barrier is handed over.
///     timeout: Seconds that each waits unless `wait` says otherwise; without end by default.
///
/// Raises:
///     ValueError: `parties` is below 1, or more than 32,767.
///
/// Examples:
///     >>> import onecopy
///     >>> onecopy.Barrier(1).wait()
///     0
#[pyclass(frozen, module = "onecopy.sync", name = "Barrier", weakref)]
pub(crate) struct Barrier {
    pub(super) raw: shared::Barrier,
    /// Read when it is asked for, of a barrier that was found in the store: an action may lead to its barrier again.
    more: PyOnceLock<More>,
    /// Whether `more` lies in the store.
    is_described: AtomicBool,
}

/// What belongs to a barrier for Python alone.
struct More {
    action: Option<Py<PyAny>>,
    timeout: Option<f64>,
}

thread_local! {
    /// The barriers that this thread is describing.
    static DESCRIBED: RefCell<Vec<*const Barrier>> = const { RefCell::new(Vec::new()) };
}

impl Barrier {
    /// What stands for a barrier of the store, with what was kept with it.
    pub(super) const fn of(raw: shared::Barrier) -> Self {
        Self {
            raw,
            more: PyOnceLock::new(),
            is_described: AtomicBool::new(true),
        }
    }

    fn with(py: Python<'_>, raw: shared::Barrier, more: More) -> Self {
        let is_described = AtomicBool::new(more.action.is_none() && more.timeout.is_none());
        let known = PyOnceLock::new();
        known.get_or_init(py, || more);
        Self {
            raw,
            more: known,
            is_described,
        }
    }

    fn more(&self, py: Python<'_>) -> PyResult<&More> {
        made_once(py, &self.more, || {
            let more = self.raw.description().map_err(Error::from)?;
            let (action, timeout) = match more {
                Some(more) => {
                    word::object(py, more.get(&Objects).map_err(Error::from)?)?.extract()?
                }
                None => (None, None),
            };
            Ok(More { action, timeout })
        })
    }

    /// Keeps the action and the timeout with the barrier, for others who come by it. What cannot be pickled is an error here.
    /// An action may lead to the barrier, which is then described already, or being so by this thread.
    pub(super) fn describe(&self, py: Python<'_>) -> PyResult<()> {
        let this = std::ptr::from_ref(self);
        if self.is_described.load(Ordering::Acquire)
            || DESCRIBED.with_borrow(|described| described.contains(&this))
        {
            return Ok(());
        }
        let more = self.more(py)?;
        let more = (more.action.as_ref(), more.timeout).into_bound_py_any(py)?;
        DESCRIBED.with_borrow_mut(|described| described.push(this));
        let done = with_incoming(&more, |more| {
            Ok(self.raw.describe(more).map_err(Error::from)?)
        });
        DESCRIBED.with_borrow_mut(Vec::pop);
        // Release: whoever finds it set, with Acquire above, finds the description.
        self.is_described.fetch_or(done.is_ok(), Ordering::Release);
        done
    }
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

methods!(Barrier, [same, uncopied], {
    #[new]
    #[pyo3(signature = (parties, action = None, timeout = None))]
    fn new(
        py: Python<'_>,
        parties: i64,
        action: Option<Py<PyAny>>,
        timeout: Option<f64>,
    ) -> PyResult<Self> {
        let count = u64::try_from(parties)
            .ok()
            .filter(|count| (1..=shared::Barrier::MOST_PARTIES).contains(count))
            .ok_or_else(|| {
                PyValueError::new_err(format!(
                    "parties is 1 to {}, as many threads as can share a store, not {parties}",
                    shared::Barrier::MOST_PARTIES
                ))
            })?;
        let store = handle::store()?;
        let raw = shared::Barrier::create(&store, count).map_err(Error::from)?;
        Ok(Self::with(py, raw, More { action, timeout }))
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
        let more = self.more(py)?;
        let patience = patience::of(timeout.or(more.timeout))?;
        let turn = self.raw.wait(patience, more.action.is_some());
        match turn.map_err(Error::from)? {
            Turn::Done(Passed::Yes(number)) => Ok(number),
            Turn::Done(Passed::Broken) => Err(broken(py)),
            Turn::Act(round) => {
                let acted = match &more.action {
                    Some(action) => action.call0(py).map(drop),
                    None => Ok(()),
                };
                let passed = self.raw.finish(&round, acted.is_ok());
                // What the action has raised says more than what follows from it.
                acted?;
                match passed.map_err(Error::from)? {
                    Passed::Yes(number) => Ok(number),
                    Passed::Broken => Err(broken(py)),
                }
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

    /// What may be in an action, a container say, is pickled as what else is handed over is.
    fn __reduce__<'py>(this: &Bound<'py, Self>) -> PyResult<Reduced<'py>> {
        static ATTACH: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let (py, barrier) = (this.py(), this.get());
        let token = barrier.raw.token().map_err(Error::from)?;
        let (attach, (token,)) = handle::reduce(py, &ATTACH, "_attach_barrier", &token)?;
        let more = barrier.more(py)?;
        let action = more.action.as_ref().map(|action| action.clone_ref(py));
        Ok((attach, (token, action, more.timeout)))
    }
});

type Reduced<'py> = (
    Bound<'py, PyAny>,
    (Bound<'py, PyBytes>, Option<Py<PyAny>>, Option<f64>),
);

/// Unpickles a barrier.
#[pyfunction]
pub(crate) fn _attach_barrier(
    py: Python<'_>,
    token: &[u8],
    action: Option<Py<PyAny>>,
    timeout: Option<f64>,
) -> PyResult<Barrier> {
    let raw = shared::Barrier::attach(&handle::token(token)?).map_err(Error::from)?;
    Ok(Barrier::with(py, raw, More { action, timeout }))
}
