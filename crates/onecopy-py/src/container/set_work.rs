//! What the methods of `onecopy.Set` are made of.
//!
//! Elements are found by their bytes, so what is done in place calls no code of others.
#![forbid(unsafe_code)]

use std::collections::HashSet;

use onecopy::shared::{Part, RawDict, Snapshot};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyFrozenSet, PySet, PyTuple};

use super::handle;
use super::key::OwnedKey;
use super::keyed;
use super::lock;
use super::methods::Real;
use super::pairs::{Changes, Pairs, change};
use super::word::{self, Objects};
use crate::column::spare::Spare;
use crate::cpython::import_once;
use crate::error::Error;

/// A set that all processes see and change.
///
/// It has the methods of `set`, and keeps the order in which its elements were added. Elements are what may be a key of a
/// `onecopy.Dict`.
///
/// Each method is one step for all others; `update` adds up to 1,024 elements in one. What takes many elements out is one
/// step for those who write; who reads may see some of them gone before the others. Iterating yields the elements that
/// were there when it began. The operators give real sets.
///
/// Args:
///     iterable: The first elements.
///
/// Raises:
///     KeyError: There is no such element.
///     TypeError: An element of this class cannot be found by other processes.
///     MemoryError: There is no memory; the set is as it was, or has whole steps of a large update.
///     TimeoutError: A living process has had the lock for ten seconds.
///
/// Examples:
///     >>> import onecopy
///     >>> seen = onecopy.Set(["a"])
///     >>> seen.add("b")
///     >>> "b" in seen, len(seen)
///     (True, 2)
///     >>> seen - {"a"}
///     {'b'}
#[pyclass(frozen, module = "onecopy.containers", name = "Set", weakref)]
pub(crate) struct Set {
    pub(super) raw: RawDict,
    pub(super) spare: Spare,
}

static ABSTRACT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

impl Real for Set {
    fn real<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(self.to_set(py)?.into_any())
    }

    /// A view of keys or items stays one.
    fn operand<'py>(other: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
        if let Ok(set) = other.cast::<Self>() {
            return set.get().real(other.py()).map(Some);
        }
        if other.is_instance_of::<PySet>() || other.is_instance_of::<PyFrozenSet>() {
            return Ok(Some(other.clone()));
        }
        let set = import_once(other.py(), &ABSTRACT, "_collections_abc", "Set")?;
        Ok(other.is_instance(&set)?.then(|| other.clone()))
    }
}

/// The other operand of an operator in place: there Python has no second side to ask.
pub(super) fn sure_operand<'py>(
    operator: &str,
    other: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    if let Some(operand) = Set::operand(other)? {
        return Ok(operand);
    }
    let name = other.get_type().name()?;
    let text = format!("unsupported operand type(s) for {operator}: 'onecopy.Set' and '{name}'");
    Err(PyTypeError::new_err(text))
}

/// Any iterable as a real set that nobody else changes.
pub(super) fn set_of<'py>(values: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PySet>> {
    let set = PySet::empty(values.py())?;
    for value in values.try_iter()? {
        set.add(value?)?;
    }
    Ok(set)
}

/// An element to be looked for: a set is looked for as the frozenset that it equals.
fn member<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    if value.is_instance_of::<PySet>() || value.is_instance_of::<Set>() {
        return value.py().get_type::<PyFrozenSet>().call1((value,));
    }
    Ok(value.clone())
}

pub(super) fn contains(raw: &RawDict, element: &Bound<'_, PyAny>) -> PyResult<bool> {
    keyed::contains(raw, &member(element)?)
}

/// Takes an element out; whether it was there.
pub(super) fn delete(raw: &RawDict, element: &Bound<'_, PyAny>) -> PyResult<bool> {
    keyed::delete(raw, &member(element)?)
}

/// The elements of a set that may be elements here. No other equals one of ours.
fn keys_of(set: &Bound<'_, PySet>) -> PyResult<Vec<OwnedKey>> {
    let mut keys = Vec::with_capacity(set.len());
    for element in set {
        match OwnedKey::of(&element) {
            Ok(key) => keys.push(key),
            Err(error) if error.is_instance_of::<PyTypeError>(set.py()) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(keys)
}

impl Set {
    /// A real set of one moment.
    pub(super) fn to_set<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PySet>> {
        let picture = self.raw.picture(Part::Keys).map_err(Error::from)?;
        let set = PySet::empty(py)?;
        for element in picture.iter() {
            set.add(word::object(py, element.make(&Objects))?)?;
        }
        Ok(set)
    }

    pub(super) fn fill(
        this: &Bound<'_, Self>,
        iterable: Option<&Bound<'_, PyAny>>,
        named: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<()> {
        handle::no_keywords("Set", named)?;
        let (py, raw) = (this.py(), &this.get().raw);
        let mut pairs = Pairs::default();
        if let Some(iterable) = iterable {
            pairs.add_keys(iterable, &py.None().into_bound(py))?;
        }
        Ok(raw.replace(&pairs.items(raw)).map_err(Error::from)?)
    }

    pub(super) fn add_all(&self, others: &Bound<'_, PyTuple>) -> PyResult<()> {
        let none = others.py().None().into_bound(others.py());
        let mut pairs = Pairs::default();
        for other in others {
            pairs.add_keys(&other, &none)?;
        }
        pairs.put(&self.raw)
    }

    /// Takes out what is in `other`.
    pub(super) fn take_out(&self, other: &Bound<'_, PySet>) -> PyResult<()> {
        let gone = keys_of(other)?;
        let set = Pairs::default();
        let _locked = lock::hold(self.raw.writer_lock())?;
        Changes { gone, set }.make(&self.raw)
    }

    /// Takes out what is not in `other`.
    pub(super) fn keep(&self, other: &Bound<'_, PySet>) -> PyResult<()> {
        let kept: HashSet<_> = keys_of(other)?.iter().map(OwnedKey::identity).collect();
        let work_out = |picture: &Snapshot| {
            let mut changes = Changes::default();
            for given in picture.iter().step_by(2) {
                let key = OwnedKey::of_given(&given)?;
                if !kept.contains(&key.identity()) {
                    changes.gone.push(key);
                }
            }
            Ok(changes)
        };
        change(other.py(), &self.raw, "update()", |_| true, work_out)
    }

    /// Takes out what is also in `other`, and adds what is only there.
    pub(super) fn turn_over(&self, other: &Bound<'_, PySet>) -> PyResult<()> {
        let none = other.py().None().into_bound(other.py());
        let mut pairs = Pairs::default();
        pairs.add_keys(other, &none)?;
        let _locked = lock::hold(self.raw.writer_lock())?;
        let mut changes = Changes::default();
        for key in pairs.keys() {
            if self
                .raw
                .contains(&key.key(&self.raw))
                .map_err(Error::from)?
            {
                changes.gone.push(key.clone());
            } else {
                changes.set.push_key(key.clone(), &none)?;
            }
        }
        changes.make(&self.raw)
    }
}
