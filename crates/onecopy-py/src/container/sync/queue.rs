//! `onecopy.Queue` and `onecopy.LifoQueue`.
#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use onecopy::shared::{QueueOptions, RawQueue};
use pyo3::IntoPyObjectExt as _;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

use super::super::handle;
use super::super::methods::methods;
use super::super::word::{self, Objects, with_incoming};
use super::lease::{self, Lease};
use super::patience;
use crate::cpython::import_once;
use crate::error::Error;
use crate::value::Truth;

/// A queue that all processes see, as `multiprocessing.JoinableQueue` and a Manager's `Queue()`.
///
/// Everybody can take an item as soon as `put` has returned: there is no feeder thread. Items of plain types are kept as such;
/// others are pickled. Whoever is killed has put, or taken, an item or not; nobody else has to wait for it.
///
/// Args:
///     maxsize: The most items that it holds; 0 for any number.
///
/// Raises:
///     MemoryError: There is no memory; the queue is as it was.
///
/// Examples:
///     >>> import onecopy
///     >>> queue = onecopy.Queue()
///     >>> queue.put("first")
///     >>> queue.put("second")
///     >>> queue.get(), queue.qsize()
///     ('first', 1)
#[pyclass(frozen, subclass, module = "onecopy.sync", name = "Queue", weakref)]
pub(crate) struct Queue {
    pub(super) raw: RawQueue,
    is_closed: AtomicBool,
}

static EMPTY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
static FULL: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// `queue.Empty` or `queue.Full`.
#[cold]
fn raised(py: Python<'_>, known: &PyOnceLock<Py<PyAny>>, name: &str) -> PyErr {
    match import_once(py, known, "queue", name).and_then(|class| class.call0()) {
        Ok(error) => PyErr::from_value(error),
        Err(error) => error,
    }
}

impl Queue {
    fn create(maxsize: i64, is_stack: bool) -> PyResult<Self> {
        let store = handle::store()?;
        let options = QueueOptions {
            // As everywhere in the standard library, what is no size is no bound.
            most: u64::try_from(maxsize).unwrap_or(0),
            counts: true,
            is_stack,
        };
        Ok(Self::of(
            RawQueue::create(&store, options).map_err(Error::from)?,
        ))
    }

    fn of(raw: RawQueue) -> Self {
        Self {
            raw,
            is_closed: AtomicBool::new(false),
        }
    }

    #[inline(always)]
    fn check_open(&self) -> PyResult<()> {
        lease::give_back_dropped();
        if self.is_closed.load(Ordering::Relaxed) {
            return Err(PyValueError::new_err("Queue is closed"));
        }
        Ok(())
    }

    fn put_within(&self, item: &Bound<'_, PyAny>, patience: Option<Duration>) -> PyResult<()> {
        self.check_open()?;
        let has_room = with_incoming(item, |item| {
            Ok(self.raw.put(item, patience).map_err(Error::from)?)
        })?;
        if has_room {
            Ok(())
        } else {
            Err(raised(item.py(), &FULL, "Full"))
        }
    }

    fn get_within<'py>(
        &self,
        py: Python<'py>,
        patience: Option<Duration>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.check_open()?;
        match self.raw.get(&Objects, patience).map_err(Error::from)? {
            Some(found) => word::object(py, found),
            None => Err(raised(py, &EMPTY, "Empty")),
        }
    }

    /// Takes an item for a lease; one that cannot be unpickled goes back.
    fn lease_within<'py>(
        &self,
        py: Python<'py>,
        patience: Option<Duration>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.check_open()?;
        let Some(got) = self.raw.lease(&Objects, patience).map_err(Error::from)? else {
            return Err(raised(py, &EMPTY, "Empty"));
        };
        let (found, lease) = match got {
            Ok((found, lease)) => (Ok(found), Some(lease)),
            Err(raised) => (Err(raised), None),
        };
        let item = word::object(py, found);
        match (item, lease) {
            (Ok(item), Some(lease)) => {
                Lease::new(self.raw.clone(), lease, item.unbind()).into_bound_py_any(py)
            }
            (Err(error), Some(lease)) => {
                self.raw.give_back(&lease).map_err(Error::from)?;
                Err(error)
            }
            (other, None) => other,
        }
    }
}

methods!(Queue, [same, uncopied, typed], {
    #[new]
    #[pyo3(signature = (maxsize = 0))]
    fn new(maxsize: i64) -> PyResult<Self> {
        Self::create(maxsize, false)
    }

    /// Refuses classes derived from a queue's, as those of all containers are: workers would get the queue without them.
    #[classmethod]
    fn __init_subclass__(class: &Bound<'_, PyType>) -> PyResult<()> {
        let text = format!(
            "{} cannot be derived from onecopy.Queue; give it a queue as an attribute",
            class.name()?
        );
        Err(PyTypeError::new_err(text))
    }

    /// Puts an item at the end.
    ///
    /// Args:
    ///     item: Any object that can be pickled.
    ///     block: Whether to wait for room.
    ///     timeout: Seconds to wait; without end by default.
    ///
    /// Raises:
    ///     queue.Full: There was no room in time.
    ///     ValueError: This object was closed; `timeout` is below 0.
    #[pyo3(signature = (item, block = Truth(true), timeout = None), text_signature = "($self, item, block=True, timeout=None)")]
    fn put(&self, item: &Bound<'_, PyAny>, block: Truth, timeout: Option<f64>) -> PyResult<()> {
        // Without a bound nobody waits, and the standard library's does not look at it.
        let timeout = timeout.filter(|_| self.raw.options().most > 0);
        self.put_within(item, patience::of_queue(block, timeout)?)
    }

    /// Puts an item at the end if there is room.
    ///
    /// Raises:
    ///     queue.Full: There is none.
    fn put_nowait(&self, item: &Bound<'_, PyAny>) -> PyResult<()> {
        self.put_within(item, Some(Duration::ZERO))
    }

    /// Takes the next item.
    ///
    /// Args:
    ///     block: Whether to wait for one.
    ///     timeout: Seconds to wait; without end by default.
    ///     lease: Whether to return a `Lease` of the item: if this process dies before it is done, another gets the item.
    ///
    /// Raises:
    ///     queue.Empty: None came in time.
    ///     ValueError: This object was closed; `timeout` is below 0.
    #[pyo3(signature = (block = Truth(true), timeout = None, *, lease = Truth(false)), text_signature = "($self, block=True, timeout=None, *, lease=False)")]
    fn get<'py>(
        &self,
        py: Python<'py>,
        block: Truth,
        timeout: Option<f64>,
        lease: Truth,
    ) -> PyResult<Bound<'py, PyAny>> {
        let patience = patience::of_queue(block, timeout)?;
        if lease.0 {
            self.lease_within(py, patience)
        } else {
            self.get_within(py, patience)
        }
    }

    /// Takes the next item if there is one.
    ///
    /// Raises:
    ///     queue.Empty: There is none.
    fn get_nowait<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.get_within(py, Some(Duration::ZERO))
    }

    /// Items that can be taken, as of a moment ago.
    fn qsize(&self) -> u64 {
        lease::give_back_dropped();
        self.raw.len()
    }

    /// Whether there are none, as of a moment ago.
    fn empty(&self) -> bool {
        lease::give_back_dropped();
        self.raw.is_empty()
    }

    /// Whether there is no room, as of a moment ago.
    fn full(&self) -> bool {
        let most = self.raw.options().most;
        most > 0 && self.raw.len() >= most
    }

    /// The most items that it holds; 0 for any number.
    #[getter]
    fn maxsize(&self) -> u64 {
        self.raw.options().most
    }

    /// Says that an item which was got is done with.
    ///
    /// Raises:
    ///     ValueError: It was said more often than items were put.
    fn task_done(&self) -> PyResult<()> {
        if self.raw.task_done().map_err(Error::from)? {
            return Ok(());
        }
        Err(PyValueError::new_err("task_done() called too many times"))
    }

    /// Waits until all items that were put are done with.
    fn join(&self) -> PyResult<()> {
        lease::give_back_dropped();
        self.raw.join(None).map_err(Error::from)?;
        Ok(())
    }

    /// Ends the use of this object; others of the queue go on.
    fn close(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
    }

    /// Does nothing: there is no feeder thread to wait for. `multiprocessing.Queue` has it.
    #[allow(clippy::unused_self, reason = "a method of the standard library's")]
    fn join_thread(&self) {}

    /// Does nothing: there is no feeder thread to wait for. `multiprocessing.Queue` has it.
    #[allow(clippy::unused_self, reason = "a method of the standard library's")]
    fn cancel_join_thread(&self) {}

    /// Checks every invariant of the queue's memory.
    ///
    /// Raises:
    ///     onecopy.OnecopyError: One is broken; the text says which and where.
    fn verify(&self) -> PyResult<()> {
        Ok(self.raw.verify().map_err(Error::from)?)
    }

    fn __repr__(&self) -> String {
        let name = if self.raw.options().is_stack {
            "LifoQueue"
        } else {
            "Queue"
        };
        format!("<onecopy.{name}, {} items>", self.raw.len())
    }

    fn __reduce__<'py>(this: &Bound<'py, Self>) -> PyResult<handle::Reduced<'py>> {
        let raw = &this.get().raw;
        let token = raw.token().map_err(Error::from)?;
        if raw.options().is_stack {
            handle::reduce(this.py(), &ATTACH_LIFO, "_attach_lifo_queue", &token)
        } else {
            handle::reduce(this.py(), &ATTACH, "_attach_queue", &token)
        }
    }
});

static ATTACH: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
static ATTACH_LIFO: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// Unpickles a queue.
#[pyfunction]
pub(crate) fn _attach_queue(token: &[u8]) -> PyResult<Queue> {
    let raw = RawQueue::attach(&handle::token(token)?).map_err(Error::from)?;
    Ok(Queue::of(raw))
}

/// A queue of which the item that was put last is taken first.
///
/// Args:
///     maxsize: The most items that it holds; 0 for any number.
///
/// Examples:
///     >>> import onecopy
///     >>> stack = onecopy.LifoQueue()
///     >>> stack.put(1)
///     >>> stack.put(2)
///     >>> stack.get()
///     2
#[pyclass(frozen, extends = Queue, module = "onecopy.sync", name = "LifoQueue")]
pub(crate) struct LifoQueue;

#[pymethods]
impl LifoQueue {
    #[new]
    #[pyo3(signature = (maxsize = 0))]
    fn new(maxsize: i64) -> PyResult<PyClassInitializer<Self>> {
        let queue = PyClassInitializer::from(Queue::create(maxsize, true)?);
        Ok(queue.add_subclass(Self))
    }
}

/// Unpickles such a queue.
#[pyfunction]
pub(crate) fn _attach_lifo_queue<'py>(
    py: Python<'py>,
    token: &[u8],
) -> PyResult<Bound<'py, LifoQueue>> {
    stack(
        py,
        RawQueue::attach(&handle::token(token)?).map_err(Error::from)?,
    )
}

fn stack(py: Python<'_>, raw: RawQueue) -> PyResult<Bound<'_, LifoQueue>> {
    let queue = PyClassInitializer::from(Queue::of(raw));
    Bound::new(py, queue.add_subclass(LifoQueue))
}

/// A new object that stands for a queue.
pub(super) fn object(py: Python<'_>, raw: RawQueue) -> PyResult<Bound<'_, PyAny>> {
    if raw.options().is_stack {
        Ok(stack(py, raw)?.into_any())
    } else {
        Queue::of(raw).into_bound_py_any(py)
    }
}
