//! `onecopy.Set`: what a set is, for all processes at once. It is a dict whose values are all None.
#![forbid(unsafe_code)]

use onecopy::shared::{DictKind, End, Incoming, Part, RawDict, Snapshot};
use pyo3::basic::CompareOp;
use pyo3::exceptions::{PyKeyError, PyTypeError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyFrozenSet, PySet, PyTuple, PyType};

use super::dict_iterator::{DictIterator, iterate};
use super::handle::{self, Given};
use super::key::{OwnedKey, no_key};
use super::keyed;
use super::keyed_methods::keyed_methods;
use super::lock::WriterLock;
use super::pairs::{Changes, Pairs, change};
use super::word::{self, Objects};
use crate::column::spare::Spare;
use crate::cpython::import_once;
use crate::error::Error;
use crate::value::repr::guarded;

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

/// What the other operand is as a real set, or a view of keys or items, if it is a set of some kind.
fn operand<'py>(other: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    if let Ok(set) = other.cast::<Set>() {
        return set.get().to_set(other.py()).map(|set| Some(set.into_any()));
    }
    if other.is_instance_of::<PySet>() || other.is_instance_of::<PyFrozenSet>() {
        return Ok(Some(other.clone()));
    }
    let set = import_once(other.py(), &ABSTRACT, "_collections_abc", "Set")?;
    Ok(other.is_instance(&set)?.then(|| other.clone()))
}

/// The same where Python has no second side to ask.
fn sure_operand<'py>(operator: &str, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    if let Some(operand) = operand(other)? {
        return Ok(operand);
    }
    let name = other.get_type().name()?;
    let text = format!("unsupported operand type(s) for {operator}: 'onecopy.Set' and '{name}'");
    Err(PyTypeError::new_err(text))
}

/// Any iterable as a real set that nobody else changes.
fn set_of<'py>(values: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PySet>> {
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

/// Calls `take` with each element of a copy.
fn each(
    py: Python<'_>,
    picture: &Snapshot,
    mut take: impl FnMut(&Bound<'_, PyAny>, &Incoming<'_>) -> PyResult<()>,
) -> PyResult<()> {
    for given in picture.iter().step_by(2) {
        take(&word::object(py, given.make(&Objects))?, &given)?;
    }
    Ok(())
}

impl Set {
    /// A real set of one moment.
    fn to_set<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PySet>> {
        let picture = self.raw.picture(Part::Keys).map_err(Error::from)?;
        let set = PySet::empty(py)?;
        for element in picture.iter() {
            set.add(word::object(py, element.make(&Objects))?)?;
        }
        Ok(set)
    }

    /// What an operator makes of the real sets.
    fn combine<'py>(
        &self,
        other: &Bound<'py, PyAny>,
        operator: impl FnOnce(Bound<'py, PyAny>, Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = other.py();
        match operand(other)? {
            Some(other) => operator(self.to_set(py)?.into_any(), other),
            None => Ok(py.NotImplemented().into_bound(py)),
        }
    }

    fn fill(
        this: &Bound<'_, Self>,
        iterable: Option<&Bound<'_, PyAny>>,
        named: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<()> {
        if named.is_some_and(|named| !named.is_empty()) {
            return Err(PyTypeError::new_err("Set() takes no keyword arguments"));
        }
        let (py, raw) = (this.py(), &this.get().raw);
        let mut pairs = Pairs::default();
        if let Some(iterable) = iterable {
            pairs.add_keys(iterable, &py.None().into_bound(py))?;
        }
        Ok(raw.replace(&pairs.items(raw)).map_err(Error::from)?)
    }

    fn add_all(&self, others: &Bound<'_, PyTuple>) -> PyResult<()> {
        let none = others.py().None().into_bound(others.py());
        let mut pairs = Pairs::default();
        for other in others {
            pairs.add_keys(&other, &none)?;
        }
        pairs.put(&self.raw)
    }

    /// Takes out what is in `other`, or what is not.
    fn take_out(this: &Bound<'_, Self>, other: &Bound<'_, PySet>, is_in: bool) -> PyResult<()> {
        change(&this.get().raw, |picture| {
            let mut changes = Changes::default();
            each(this.py(), picture, |element, given| {
                if other.contains(element)? == is_in {
                    changes.gone.push(OwnedKey::of_given(given)?);
                }
                Ok(())
            })?;
            Ok(changes)
        })
    }

    fn turn_over(this: &Bound<'_, Self>, other: &Bound<'_, PySet>) -> PyResult<()> {
        let py = this.py();
        change(&this.get().raw, |picture| {
            let mut changes = Changes::default();
            let ours = PySet::empty(py)?;
            each(py, picture, |element, given| {
                ours.add(element)?;
                if other.contains(element)? {
                    changes.gone.push(OwnedKey::of_given(given)?);
                }
                Ok(())
            })?;
            changes
                .set
                .add_keys(&other.sub(&ours)?, &py.None().into_bound(py))?;
            Ok(changes)
        })
    }
}

keyed_methods!(Set, _attach_set, "(iterable=..., /)", {
    fn __contains__(&self, element: &Bound<'_, PyAny>) -> PyResult<bool> {
        contains(&self.raw, element)
    }

    fn __richcmp__<'py>(
        &self,
        other: &Bound<'py, PyAny>,
        operation: CompareOp,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = other.py();
        match operand(other)? {
            Some(other) => self.to_set(py)?.rich_compare(other, operation),
            None => Ok(py.NotImplemented().into_bound(py)),
        }
    }

    fn __and__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.combine(other, |ours, other| ours.bitand(other))
    }

    fn __rand__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.combine(other, |ours, other| other.bitand(ours))
    }

    fn __or__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.combine(other, |ours, other| ours.bitor(other))
    }

    fn __ror__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.combine(other, |ours, other| other.bitor(ours))
    }

    fn __xor__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.combine(other, |ours, other| ours.bitxor(other))
    }

    fn __rxor__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.combine(other, |ours, other| other.bitxor(ours))
    }

    fn __sub__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.combine(other, |ours, other| ours.sub(other))
    }

    fn __rsub__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.combine(other, |ours, other| other.sub(ours))
    }

    fn __ior__(this: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<()> {
        let other = sure_operand("|=", other)?;
        this.get().add_all(&PyTuple::new(this.py(), [other])?)
    }

    fn __iand__(this: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<()> {
        Self::take_out(this, &set_of(&sure_operand("&=", other)?)?, false)
    }

    fn __isub__(this: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<()> {
        Self::take_out(this, &set_of(&sure_operand("-=", other)?)?, true)
    }

    fn __ixor__(this: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<()> {
        Self::turn_over(this, &set_of(&sure_operand("^=", other)?)?)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        guarded(0, self.raw.place(), "onecopy.Set(...)", || {
            let set = self.to_set(py)?;
            if set.is_empty() {
                return Ok("onecopy.Set()".to_owned());
            }
            Ok(format!("onecopy.Set({})", set.repr()?))
        })
    }

    /// Takes an element out.
    ///
    /// Raises:
    ///     KeyError: It is not there.
    #[pyo3(signature = (element, /))]
    fn remove(&self, element: &Bound<'_, PyAny>) -> PyResult<()> {
        if delete(&self.raw, element)? {
            Ok(())
        } else {
            Err(no_key(element))
        }
    }

    /// Takes an element out and returns it: the one that was added first.
    ///
    /// Raises:
    ///     KeyError: The set is empty.
    fn pop<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let item = keyed::pop_item(py, &self.raw, End::First)?;
        item.map(|item| item.0)
            .ok_or_else(|| PyKeyError::new_err("pop from an empty set"))
    }

    /// Adds all elements of iterables.
    #[pyo3(signature = (*others))]
    fn update(&self, others: &Bound<'_, PyTuple>) -> PyResult<()> {
        self.add_all(others)
    }

    /// Takes out what is not in all of the iterables.
    #[pyo3(signature = (*others))]
    fn intersection_update(this: &Bound<'_, Self>, others: &Bound<'_, PyTuple>) -> PyResult<()> {
        let mut rest = others.iter();
        let Some(first) = rest.next() else {
            return Ok(());
        };
        let kept = set_of(&first)?;
        for other in rest {
            kept.call_method1("intersection_update", (other,))?;
        }
        Self::take_out(this, &kept, false)
    }

    /// Takes out what is in one of the iterables.
    #[pyo3(signature = (*others))]
    fn difference_update(this: &Bound<'_, Self>, others: &Bound<'_, PyTuple>) -> PyResult<()> {
        let gone = PySet::empty(this.py())?;
        gone.call_method1("update", others)?;
        Self::take_out(this, &gone, true)
    }

    /// Takes out what is also in the iterable, and adds what is only there.
    #[pyo3(signature = (other, /))]
    fn symmetric_difference_update(
        this: &Bound<'_, Self>,
        other: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        Self::turn_over(this, &set_of(other)?)
    }

    /// A real set of what is in this or in one of the iterables.
    #[pyo3(signature = (*others))]
    fn union<'py>(&self, others: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
        self.to_set(others.py())?.call_method1("union", others)
    }

    /// A real set of what is in this and in all of the iterables.
    #[pyo3(signature = (*others))]
    fn intersection<'py>(&self, others: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
        self.to_set(others.py())?
            .call_method1("intersection", others)
    }

    /// A real set of what is in this and in none of the iterables.
    #[pyo3(signature = (*others))]
    fn difference<'py>(&self, others: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
        self.to_set(others.py())?.call_method1("difference", others)
    }

    /// A real set of what is in one of both and not in the other.
    #[pyo3(signature = (other, /))]
    fn symmetric_difference<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.to_set(other.py())?
            .call_method1("symmetric_difference", (other,))
    }

    /// Whether nothing is in both.
    #[pyo3(signature = (other, /))]
    fn isdisjoint<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.to_set(other.py())?
            .call_method1("isdisjoint", (other,))
    }

    /// Whether all elements are in the iterable.
    #[pyo3(signature = (other, /))]
    fn issubset<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.to_set(other.py())?.call_method1("issubset", (other,))
    }

    /// Whether all that is in the iterable is an element.
    #[pyo3(signature = (other, /))]
    fn issuperset<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.to_set(other.py())?
            .call_method1("issuperset", (other,))
    }

    /// A real set of what is in it at one moment.
    fn copy<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PySet>> {
        self.to_set(py)
    }

    /// A real set of what is in it at one moment.
    fn to_python<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PySet>> {
        self.to_set(py)
    }

    /// The same, by the name that proxies of `multiprocessing` have for it.
    #[pyo3(name = "_getvalue")]
    fn get_value<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PySet>> {
        self.to_set(py)
    }

    fn __str__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(self.to_set(py)?.str()?.to_string())
    }
});
