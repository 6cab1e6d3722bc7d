//! `onecopy.Value`: one value that all processes see and change.
#![forbid(unsafe_code)]

use onecopy::shared::Cell;
use pyo3::IntoPyObjectExt as _;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

use super::handle;
use super::lock::WriterLock;
use super::update;
use super::word::{self, Copies, Encoded, Objects, with_incoming};
use crate::error::Error;
use crate::value::index;
use crate::value::repr::guarded;

/// One value of any kind that all processes see and change.
///
/// Values of plain types are kept as such, and other containers and whole views stay what they are; others are pickled in, and
/// each read makes a new object.
///
/// Args:
///     value: The first value.
///
/// Raises:
///     MemoryError: There is no memory; the value is as it was.
///     TimeoutError: A living process has had the lock for ten seconds.
///
/// Examples:
///     >>> import onecopy
///     >>> total = onecopy.Value(40)
///     >>> total.add(2)
///     42
///     >>> total.get()
///     42
#[pyclass(frozen, module = "onecopy.containers", name = "Value", weakref)]
pub(crate) struct Value {
    pub(super) raw: Cell,
}

impl Value {
    fn put(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        with_incoming(value, |value| {
            Ok(self.raw.set(value).map_err(Error::from)?)
        })
    }

    fn read<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        word::object(py, self.raw.get(&Objects).map_err(Error::from)?)
    }
}

#[pymethods]
impl Value {
    #[new]
    #[pyo3(signature = (value = None, /))]
    fn new(value: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let store = handle::store()?;
        let cell = Self {
            raw: Cell::create(&store).map_err(Error::from)?,
        };
        if let Some(value) = value {
            cell.put(value)?;
        }
        Ok(cell)
    }

    /// The value.
    ///
    /// Examples:
    ///     >>> import onecopy
    ///     >>> onecopy.Value("a").get()
    ///     'a'
    fn get<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.read(py)
    }

    /// Replaces the value.
    ///
    /// Examples:
    ///     >>> import onecopy
    ///     >>> state = onecopy.Value("new")
    ///     >>> state.set("done")
    ///     >>> state.get()
    ///     'done'
    #[pyo3(signature = (value, /))]
    fn set(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        self.put(value)
    }

    /// The value, as `multiprocessing.Value` calls it.
    ///
    /// Examples:
    ///     >>> import onecopy
    ///     >>> state = onecopy.Value("new")
    ///     >>> state.value = "done"
    ///     >>> state.value
    ///     'done'
    #[getter]
    fn value<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.read(py)
    }

    #[setter(value)]
    fn set_value(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        self.put(value)
    }

    /// Adds to an int in one step, and returns the sum.
    ///
    /// Raises:
    ///     TypeError: The value, or `amount`, is no int.
    ///
    /// Examples:
    ///     >>> import onecopy
    ///     >>> onecopy.Value(40).add(2)
    ///     42
    #[pyo3(signature = (amount = None, /))]
    fn add<'py>(
        this: &Bound<'py, Self>,
        amount: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (py, cell) = (this.py(), this.get());
        let amount = match amount {
            Some(amount) => index::int(amount)?.unwrap_or_else(|| amount.clone()),
            None => 1.into_bound_py_any(py)?,
        };
        if let Ok(small) = amount.extract::<i64>()
            && let Some(sum) = cell.raw.add(small).map_err(Error::from)?
        {
            return sum.into_bound_py_any(py);
        }
        word::add_slowly(
            &amount,
            || cell.read(py),
            |old, new| Ok(cell.raw.compare_exchange(old, new).map_err(Error::from)?),
        )
    }

    /// Replaces the value if it is `old`: the same value of the same type. Returns whether it was.
    ///
    /// Examples:
    ///     >>> import onecopy
    ///     >>> state = onecopy.Value("new")
    ///     >>> state.compare_exchange("new", "taken")
    ///     True
    ///     >>> state.compare_exchange("new", "taken")
    ///     False
    #[pyo3(signature = (old, new, /))]
    fn compare_exchange(&self, old: &Bound<'_, PyAny>, new: &Bound<'_, PyAny>) -> PyResult<bool> {
        let old = Encoded::of(old)?;
        with_incoming(new, |new| {
            Ok(self
                .raw
                .compare_exchange(&old.incoming(), new)
                .map_err(Error::from)?)
        })
    }

    /// Replaces the value by what a function makes of it, in one step, and returns the new one.
    ///
    /// The function runs without the lock, and again if the value has changed meanwhile: it may run more than once.
    ///
    /// Raises:
    ///     RuntimeError: The function changes the value itself.
    ///     TimeoutError: Others have changed it during each try, for ten seconds. `with v.lock:` keeps them out.
    ///
    /// Examples:
    ///     >>> import onecopy
    ///     >>> best = onecopy.Value(0.5)
    ///     >>> best.update_with(lambda score: max(score, 0.6))
    ///     0.6
    #[pyo3(signature = (function, /))]
    fn update_with<'py>(
        this: &Bound<'py, Self>,
        function: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (py, raw) = (this.py(), &this.get().raw);
        update::with(
            raw.writer_lock(),
            function,
            || word::copied(py, raw.get(&Copies).map_err(Error::from)?).map(Some),
            || Ok(py.None().into_bound(py)),
            |old, new| match old {
                Some(old) => Ok(raw.compare_exchange(old, new).map_err(Error::from)?),
                None => Ok(false),
            },
        )
    }

    /// The writers' lock, for `with`: others wait before they change the value, and readers go on.
    ///
    /// Examples:
    ///     >>> import onecopy
    ///     >>> total = onecopy.Value(1)
    ///     >>> with total.lock:
    ///     ...     total.set(total.get() * 2)
    ///     >>> total.get()
    ///     2
    #[getter]
    fn lock(&self) -> WriterLock {
        WriterLock::new(self.raw.writer_lock())
    }

    /// Checks every invariant of the value's memory.
    ///
    /// Raises:
    ///     onecopy.OnecopyError: One is broken; the text says which and where.
    ///
    /// Examples:
    ///     >>> import onecopy
    ///     >>> onecopy.Value(1).verify()
    fn verify(&self) -> PyResult<()> {
        Ok(self.raw.verify().map_err(Error::from)?)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        guarded(0, self.raw.place(), "onecopy.Value(...)", || {
            Ok(format!("onecopy.Value({})", self.read(py)?.repr()?))
        })
    }

    #[classmethod]
    fn __class_getitem__<'py>(
        class: &Bound<'py, PyType>,
        item: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        handle::generic(class, item)
    }

    fn __reduce__<'py>(this: &Bound<'py, Self>) -> PyResult<handle::Reduced<'py>> {
        let token = this.get().raw.token().map_err(Error::from)?;
        handle::reduce(this.py(), &ATTACH, "_attach_value", &token)
    }
}

static ATTACH: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// Unpickles a value.
#[pyfunction]
pub(super) fn _attach_value(token: &[u8]) -> PyResult<Value> {
    let raw = Cell::attach(&handle::token(token)?).map_err(Error::from)?;
    Ok(Value { raw })
}
