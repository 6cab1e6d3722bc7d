//! `onecopy.Counter`: what a `collections.Counter` is, for all processes at once. It is a dict of numbers.
#![forbid(unsafe_code)]

use onecopy::shared::{DictKind, End, Part, RawDict};
use pyo3::IntoPyObjectExt as _;
use pyo3::basic::CompareOp;
use pyo3::exceptions::{PyKeyError, PyNotImplementedError, PyTypeError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple, PyType};

use super::counts;
use super::dict::Dict;
use super::dict_iterator::{DictIterator, iterate};
use super::dict_views::{DictItems, DictKeys, DictValues};
use super::handle;
use super::keyed::{self, Keyed, Kind, ValueOf};
use super::keyed_methods::{keyed_methods, mapping_methods};
use super::lock::WriterLock;
use super::methods::{Real as _, methods};
use super::operators::{self, Operator};
use super::update;
use crate::column::spare::Spare;
use crate::cpython::import_once;
use crate::error::Error;
use crate::value::repr::guarded;

/// Counts that all processes add to.
///
/// It has the methods of `collections.Counter`: what was never counted has the count 0. Keys are those of a `onecopy.Dict`.
///
/// `add` is one step, so no count is lost, however many processes count. `update` and `subtract` are one step for up to 1,024
/// keys, and for any number if the counter has at most four times as many. `c[k] += 1` is two steps. The operators give
/// real counters; those in place are one step for those who write, and who reads may see some counts before the others.
///
/// Args:
///     source: An iterable of what to count, or a mapping of counts.
///     counts: More counts, as keywords.
///
/// Raises:
///     TypeError: A key of this class cannot be found by other processes.
///     MemoryError: There is no memory; the counter is as it was, or has whole steps of a large update.
///     TimeoutError: A living process has had the lock for ten seconds.
///
/// Examples:
///     >>> import onecopy
///     >>> words = onecopy.Counter("to be or not to be".split())
///     >>> words.add("to")
///     3
///     >>> words["question"]
///     0
///     >>> words.most_common(2)
///     [('to', 3), ('be', 2)]
#[pyclass(
    frozen,
    mapping,
    module = "onecopy.containers",
    name = "Counter",
    weakref
)]
pub(crate) struct Counter {
    pub(super) raw: RawDict,
    pub(super) spare: Spare,
}

static COUNTER: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// A `collections.Counter`.
fn counted<'py>(
    py: Python<'py>,
    source: Option<&Bound<'py, PyAny>>,
    named: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    let source = PyTuple::new(py, source)?;
    import_once(py, &COUNTER, "collections", "Counter")?.call(source, named)
}

impl Counter {
    pub(super) fn subscript<'py>(&self, key: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        match keyed::get(&self.raw, key)? {
            Some(count) => Ok(count),
            None => 0.into_bound_py_any(key.py()),
        }
    }

    pub(super) fn take_out(&self, key: &Bound<'_, PyAny>) -> PyResult<()> {
        keyed::delete(&self.raw, key).map(|_| ())
    }

    /// A real counter of one moment.
    fn to_counter<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        counted(py, Some(keyed::to_dict(py, &self.raw)?.as_any()), None)
    }

    fn fill<'py>(
        this: &Bound<'py, Self>,
        source: Option<&Bound<'py, PyAny>>,
        counts: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<()> {
        counts::add_all(
            &this.get().raw,
            &counted(this.py(), source, counts)?,
            "Counter()",
            true,
        )
    }

    /// Becomes what an operator of counters makes of it.
    fn become_of(this: &Bound<'_, Self>, how: Operator, other: &Bound<'_, PyAny>) -> PyResult<()> {
        let other = other_counter(other)?;
        if !other.is_instance_of::<PyDict>() {
            let (symbol, name) = (how.symbol(), other.get_type().name()?);
            return Err(PyTypeError::new_err(format!(
                "{symbol} of a counter takes a counter or a dict of counts, not {name}"
            )));
        }
        operators::combine(&this.get().raw, how, &other)
    }
}

/// The other operand: of one of ours the real counter.
fn other_counter<'py>(other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    if let Ok(ours) = other.cast::<Counter>() {
        return ours.get().to_counter(other.py());
    }
    Ok(Dict::operand(other)?.unwrap_or_else(|| other.clone()))
}

mapping_methods!(Counter, _attach_counter, "(source=None, /, **counts)", {
    /// Not for counters, as `collections.Counter` has it.
    #[classmethod]
    #[pyo3(signature = (iterable, value = None, /))]
    fn fromkeys(
        class: &Bound<'_, PyType>,
        iterable: &Bound<'_, PyAny>,
        value: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let _ = (class, iterable, value);
        Err(PyNotImplementedError::new_err(
            "Counter.fromkeys() is undefined; use Counter(iterable)",
        ))
    }

    fn __richcmp__<'py>(
        &self,
        other: &Bound<'py, PyAny>,
        operation: CompareOp,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = other.py();
        if Keyed::of(other).is_none() && !other.is_instance_of::<PyDict>() {
            return Ok(py.NotImplemented().into_bound(py));
        }
        self.to_counter(py)?
            .rich_compare(other_counter(other)?, operation)
    }

    fn __add__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.to_counter(other.py())?.add(other_counter(other)?)
    }

    fn __radd__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        other.add(self.to_counter(other.py())?)
    }

    fn __sub__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.to_counter(other.py())?.sub(other_counter(other)?)
    }

    fn __rsub__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        other.sub(self.to_counter(other.py())?)
    }

    fn __and__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.to_counter(other.py())?.bitand(other_counter(other)?)
    }

    fn __rand__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        other.bitand(self.to_counter(other.py())?)
    }

    fn __or__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.to_counter(other.py())?.bitor(other_counter(other)?)
    }

    fn __ror__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        other.bitor(self.to_counter(other.py())?)
    }

    fn __iadd__(this: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<()> {
        Self::become_of(this, Operator::Add, other)
    }

    fn __isub__(this: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<()> {
        Self::become_of(this, Operator::Sub, other)
    }

    fn __iand__(this: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<()> {
        Self::become_of(this, Operator::And, other)
    }

    fn __ior__(this: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<()> {
        Self::become_of(this, Operator::Or, other)
    }

    fn __pos__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.to_counter(py)?.pos()
    }

    fn __neg__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.to_counter(py)?.neg()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        guarded(0, self.raw.place(), "onecopy.Counter({...})", || {
            Ok(format!("onecopy.{}", self.to_counter(py)?.repr()?))
        })
    }

    /// Counts what an iterable yields, or adds the counts of a mapping.
    ///
    /// Args:
    ///     source: An iterable of what to count, or a mapping of counts.
    ///     counts: More counts, as keywords.
    ///
    /// Examples:
    ///     >>> import onecopy
    ///     >>> words = onecopy.Counter("ab")
    ///     >>> words.update("abb")
    ///     >>> words["b"]
    ///     3
    #[pyo3(signature = (source = None, /, **counts))]
    fn update<'py>(
        this: &Bound<'py, Self>,
        source: Option<&Bound<'py, PyAny>>,
        counts: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<()> {
        counts::add_all(
            &this.get().raw,
            &counted(this.py(), source, counts)?,
            "update()",
            false,
        )
    }

    /// The same, with each count subtracted.
    ///
    /// Args:
    ///     source: An iterable of what to count, or a mapping of counts.
    ///     counts: More counts, as keywords.
    ///
    /// Examples:
    ///     >>> import onecopy
    ///     >>> words = onecopy.Counter("abb")
    ///     >>> words.subtract("ab")
    ///     >>> words
    ///     onecopy.Counter({'b': 1, 'a': 0})
    #[pyo3(signature = (source = None, /, **counts))]
    fn subtract<'py>(
        this: &Bound<'py, Self>,
        source: Option<&Bound<'py, PyAny>>,
        counts: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<()> {
        let negated = counted(this.py(), None, None)?;
        negated.call_method("subtract", PyTuple::new(this.py(), source)?, counts)?;
        counts::add_all(&this.get().raw, &negated, "subtract()", false)
    }

    /// The keys with the largest counts, largest first, with their counts.
    ///
    /// Args:
    ///     n: How many; all by default.
    ///
    /// Examples:
    ///     >>> import onecopy
    ///     >>> onecopy.Counter("abracadabra").most_common(2)
    ///     [('a', 5), ('b', 2)]
    #[pyo3(signature = (n = None))]
    fn most_common<'py>(
        &self,
        py: Python<'py>,
        n: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.to_counter(py)?.call_method1("most_common", (n,))
    }

    /// Each key as often as it counts, as an iterator.
    ///
    /// Examples:
    ///     >>> import onecopy
    ///     >>> list(onecopy.Counter(a=2, b=1).elements())
    ///     ['a', 'a', 'b']
    fn elements<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.to_counter(py)?.call_method0("elements")
    }

    /// The sum of all counts.
    ///
    /// Examples:
    ///     >>> import onecopy
    ///     >>> onecopy.Counter("abb").total()
    ///     3
    fn total<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.to_counter(py)?.call_method0("total")
    }

    /// A `collections.Counter` of what is in it at one moment.
    ///
    /// Examples:
    ///     >>> import onecopy
    ///     >>> onecopy.Counter("abb").copy()
    ///     Counter({'b': 2, 'a': 1})
    fn copy<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.to_counter(py)
    }

    /// A `collections.Counter` of what is in it at one moment.
    ///
    /// Examples:
    ///     >>> import onecopy
    ///     >>> onecopy.Counter("abb").to_python()
    ///     Counter({'b': 2, 'a': 1})
    fn to_python<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.to_counter(py)
    }

    /// Replaces a count by what a function makes of it, in one step, and returns the new one.
    ///
    /// The function runs without the lock, and again if the count has changed meanwhile: it may run more than once.
    ///
    /// Args:
    ///     key: Which count.
    ///     function: Is given the count, and returns the new one.
    ///
    /// Raises:
    ///     RuntimeError: The function changes the count itself.
    ///     TimeoutError: Others have changed it during each try, for ten seconds. `with c.lock:` keeps them out.
    ///
    /// Examples:
    ///     >>> import onecopy
    ///     >>> words = onecopy.Counter("abb")
    ///     >>> words.update_with("b", lambda count: count * 10)
    ///     20
    #[pyo3(signature = (key, function, /))]
    fn update_with<'py>(
        this: &Bound<'py, Self>,
        key: &Bound<'py, PyAny>,
        function: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let zero = 0.into_bound_py_any(key.py())?;
        let raw = &this.get().raw;
        update::with(&ValueOf { raw, key }, function, Some(&zero))
    }
});
