//! `onecopy.Dict`: what a dict is, for all processes at once.
//!
//! Whatever runs code of others, making keys and values out of objects and back, happens without the lock.
#![forbid(unsafe_code)]

use onecopy::shared::{DictKind, End, Part, RawDict};
use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};

use super::dict_iterator::{DictIterator, iterate};
use super::dict_views::{DictItems, DictKeys, DictValues};
use super::handle::{self, Given};
use super::key::no_key;
use super::keyed::{self, Keyed, Kind, ValueOf};
use super::keyed_methods::{keyed_methods, mapping_methods};
use super::lock::WriterLock;
use super::methods::{Real, methods};
use super::pairs::{Pairs, update_from};
use super::update;
use crate::column::spare::Spare;
use crate::error::Error;
use crate::value::repr::guarded;

/// A dict that all processes see and change.
///
/// It has the methods of `dict`, and keeps the order in which keys were set first. Values of plain types are kept as such, and
/// other containers and whole views stay what they are; others are pickled in, and each read makes a new object of them: change
/// a value by setting it.
///
/// Keys are None, bools, ints, floats, strs, bytes, Enum members, UUIDs, dates and datetimes, and tuples and frozensets of
/// these. In a tuple a number comes back as the int that it equals.
///
/// Each method is one step for all others; `update` sets up to 1,024 keys in one. `d[k] += 1` is two; use `d.add(k, 1)`, or
/// `with d.lock:`. Iterating yields the keys that were there when it began.
///
/// Args:
///     source: A mapping, or an iterable of pairs.
///     items: More keys, as keywords.
///
/// Raises:
///     KeyError: There is no such key.
///     TypeError: A key of this class cannot be found by other processes.
///     MemoryError: There is no memory; the dict is as it was, or has whole steps of a large update.
///     TimeoutError: A living process has had the lock for ten seconds.
///
/// Examples:
///     >>> import onecopy
///     >>> ages = onecopy.Dict(ada=36, alan=41)
///     >>> ages["grace"] = 85
///     >>> ages.add("ada", 1)
///     37
///     >>> ages
///     onecopy.Dict({'ada': 37, 'alan': 41, 'grace': 85})
#[pyclass(frozen, mapping, module = "onecopy.containers", name = "Dict", weakref)]
pub(crate) struct Dict {
    pub(super) raw: RawDict,
    pub(super) spare: Spare,
}

impl Dict {
    pub(super) fn subscript<'py>(&self, key: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        keyed::get(&self.raw, key)?.ok_or_else(|| no_key(key))
    }

    pub(super) fn take_out(&self, key: &Bound<'_, PyAny>) -> PyResult<()> {
        if keyed::delete(&self.raw, key)? {
            Ok(())
        } else {
            Err(no_key(key))
        }
    }
}

impl Real for Dict {
    const IS_ORDERED: bool = false;

    fn real<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(keyed::to_dict(py, &self.raw)?.into_any())
    }

    fn operand<'py>(other: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
        match Keyed::of(other) {
            Some(other) if other.kind == Kind::Set => Ok(None),
            Some(ours) => Ok(Some(keyed::to_dict(other.py(), ours.raw())?.into_any())),
            None => Ok(other.is_instance_of::<PyDict>().then(|| other.clone())),
        }
    }
}

impl Dict {
    fn fill(
        this: &Bound<'_, Self>,
        source: Option<&Bound<'_, PyAny>>,
        items: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<()> {
        update_from(&this.get().raw, source, items)
    }
}

/// Makes the dict that a `Namespace` shows, or a `ManagedNamespace`.
#[pyfunction]
pub(super) fn _namespace_entries(is_managed: bool) -> PyResult<Dict> {
    let kind = if is_managed {
        DictKind::ManagedNamespace
    } else {
        DictKind::Namespace
    };
    Ok(Dict::of(keyed::create(kind)?))
}

mapping_methods!(Dict, _attach_dict, "(source=..., /, **items)", [real], {
    /// A dict with these keys, which all have the same value.
    ///
    /// Examples:
    ///     >>> import onecopy
    ///     >>> onecopy.Dict.fromkeys("ab", 0)
    ///     onecopy.Dict({'a': 0, 'b': 0})
    #[classmethod]
    #[pyo3(signature = (iterable, value = None, /))]
    fn fromkeys(
        class: &Bound<'_, PyType>,
        iterable: &Bound<'_, PyAny>,
        value: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let none = class.py().None().into_bound(class.py());
        let mut pairs = Pairs::default();
        pairs.add_keys(iterable, value.unwrap_or(&none))?;
        let dict = Self::of(keyed::create(DictKind::Dict)?);
        pairs.put(&dict.raw)?;
        Ok(dict)
    }

    fn __or__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.combine(other, |ours, other| ours.bitor(other))
    }

    fn __ror__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.combine(other, |ours, other| other.bitor(ours))
    }

    fn __ior__(&self, other: &Bound<'_, PyAny>) -> PyResult<()> {
        update_from(&self.raw, Some(other), None)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        guarded(0, self.raw.place(), "onecopy.Dict({...})", || {
            Ok(format!(
                "onecopy.Dict({})",
                keyed::to_dict(py, &self.raw)?.repr()?
            ))
        })
    }

    /// Sets many keys, as `dict.update` does: up to 1,024 in one step.
    ///
    /// Args:
    ///     source: A mapping, or an iterable of pairs.
    ///     items: More keys, as keywords.
    ///
    /// Examples:
    ///     >>> import onecopy
    ///     >>> counts = onecopy.Dict(a=1)
    ///     >>> counts.update({"b": 2}, c=3)
    ///     >>> counts
    ///     onecopy.Dict({'a': 1, 'b': 2, 'c': 3})
    #[pyo3(signature = (source = Given(None), /, **items))]
    fn update(&self, source: Given<'_>, items: Option<&Bound<'_, PyDict>>) -> PyResult<()> {
        let Given(source) = source;
        update_from(&self.raw, source.as_ref(), items)
    }

    /// A real dict of what is in it at one moment.
    ///
    /// Examples:
    ///     >>> import onecopy
    ///     >>> onecopy.Dict(a=1).copy()
    ///     {'a': 1}
    fn copy<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        keyed::to_dict(py, &self.raw)
    }

    /// A real dict of what is in it at one moment.
    ///
    /// Examples:
    ///     >>> import onecopy
    ///     >>> onecopy.Dict(a=1).to_python()
    ///     {'a': 1}
    fn to_python<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        keyed::to_dict(py, &self.raw)
    }

    /// Replaces the value of a key by what a function makes of it, in one step, and returns the new value.
    ///
    /// The function runs without the lock, and again if the value has changed meanwhile: it may run more than once.
    ///
    /// Args:
    ///     key: Which value.
    ///     function: Is given the value, and returns the new one.
    ///     default: What it is given if there is no such key.
    ///
    /// Raises:
    ///     KeyError: There is no such key, and no default.
    ///     RuntimeError: The function changes the value itself.
    ///     TimeoutError: Others have changed it during each try, for ten seconds. `with d.lock:` keeps them out.
    ///
    /// Examples:
    ///     >>> import onecopy
    ///     >>> dict = onecopy.Dict(seen=[1])
    ///     >>> dict.update_with("seen", lambda seen: [*seen, 2])
    ///     [1, 2]
    #[pyo3(signature = (key, function, /, default = Given(None)))]
    fn update_with<'py>(
        this: &Bound<'py, Self>,
        key: &Bound<'py, PyAny>,
        function: &Bound<'py, PyAny>,
        default: Given<'py>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let Given(first) = default;
        let raw = &this.get().raw;
        update::with(&ValueOf { raw, key }, function, first.as_ref())
    }
});

/// Makes a text that shows what a dict holds, or gives `again` if it is being made already.
#[pyfunction]
pub(super) fn _guarded_text(
    dict: &Bound<'_, Dict>,
    again: &str,
    make: &Bound<'_, PyAny>,
) -> PyResult<String> {
    guarded(0, dict.get().raw.place(), again, || make.call0()?.extract())
}
