//! `onecopy.Value`: one value that all processes see and change.
#![forbid(unsafe_code)]

use onecopy::shared::{self, Cell, Incoming};
use pyo3::IntoPyObjectExt as _;
use pyo3::prelude::*;

use super::handle;
use super::lock::WriterLock;
use super::methods::methods;
use super::update::{self, Place};
use super::word::{self, Copies, Encoded, Objects, with_incoming};
use crate::error::{Error, corrupt};
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

/// The place of the value.
struct Whole<'a, 'py> {
    py: Python<'py>,
    raw: &'a Cell,
}

impl<'py> Place<'py> for Whole<'_, 'py> {
    fn py(&self) -> Python<'py> {
        self.py
    }

    fn lock(&self) -> shared::WriterLock {
        self.raw.writer_lock()
    }

    fn read(&self) -> PyResult<Option<Encoded>> {
        let found = self.raw.get(&Copies).map_err(Error::from)?;
        word::copied(self.py, found).map(Some)
    }

    fn exchange(&self, old: &Incoming<'_>, new: &Incoming<'_>) -> PyResult<Option<bool>> {
        let exchanged = self.raw.compare_exchange(old, new);
        Ok(Some(exchanged.map_err(Error::from)?))
    }

    fn insert(&self, _new: &Incoming<'_>) -> PyResult<bool> {
        Err(self.absent())
    }

    fn absent(&self) -> PyErr {
        corrupt(0, "a value without a word")
    }
}

methods!(Value, [same, copied, token(_attach_value), typed], {
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

    /// Adds to a number in one step, and returns the sum.
    ///
    /// Args:
    ///     amount: What to add, 1 by default: an int, a float, or anything with `__index__`.
    ///
    /// Raises:
    ///     TypeError: The value, or `amount`, is no number.
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
        let amount = amount.map_or_else(|| 1.into_bound_py_any(py), |given| Ok(given.clone()))?;
        if let Ok(small) = amount.extract::<i64>()
            && let Some(sum) = cell.raw.add(small).map_err(Error::from)?
        {
            return sum.into_bound_py_any(py);
        }
        let raw = &cell.raw;
        update::add(&Whole { py, raw }, &amount)
    }

    /// Replaces the value if it is `old`: an equal value of the same type. Returns whether it was.
    ///
    /// `==` of pickled values runs without the lock. A container or view is the same only as itself.
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
        let (py, raw) = (old.py(), &self.raw);
        update::compare_exchange(&Whole { py, raw }, old, new)
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
        update::with(&Whole { py, raw }, function, None)
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

    fn __copy__(&self, py: Python<'_>) -> PyResult<Self> {
        let store = handle::store()?;
        let raw = Cell::create(&store).map_err(Error::from)?;
        let value = self.raw.get(&Copies).map_err(Error::from)?;
        let value = word::copied(py, value)?;
        raw.set(&value.incoming()).map_err(Error::from)?;
        Ok(Self { raw })
    }
});

/// Unpickles a value.
#[pyfunction]
pub(super) fn _attach_value(token: &[u8]) -> PyResult<Value> {
    let raw = Cell::attach(&handle::token(token)?).map_err(Error::from)?;
    Ok(Value { raw })
}
