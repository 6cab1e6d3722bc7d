//! `onecopy.Set`: what a set is, for all processes at once. It is a dict whose values are all None.
#![forbid(unsafe_code)]

use onecopy::shared::{DictKind, End, Part, RawDict};
use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PySet, PyTuple};

use super::dict_iterator::{DictIterator, iterate};
use super::handle;
use super::key::no_key;
use super::keyed;
use super::keyed_methods::keyed_methods;
use super::lock::WriterLock;
use super::methods::{Real as _, methods};
pub(super) use super::set_work::Set;
use super::set_work::{contains, delete, set_of, sure_operand};
use crate::column::spare::Spare;
use crate::error::Error;
use crate::value::repr::guarded;

keyed_methods!(Set, _attach_set, "(iterable=..., /)", [real], {
    fn __contains__(&self, element: &Bound<'_, PyAny>) -> PyResult<bool> {
        contains(&self.raw, element)
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
        this.get().keep(&set_of(&sure_operand("&=", other)?)?)
    }

    fn __isub__(this: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<()> {
        this.get().take_out(&set_of(&sure_operand("-=", other)?)?)
    }

    fn __ixor__(this: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<()> {
        this.get().turn_over(&set_of(&sure_operand("^=", other)?)?)
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
    ///
    /// Examples:
    ///     >>> import onecopy
    ///     >>> seen = onecopy.Set("ab")
    ///     >>> seen.remove("a")
    ///     >>> seen
    ///     onecopy.Set({'b'})
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
    ///
    /// Examples:
    ///     >>> import onecopy
    ///     >>> onecopy.Set("ab").pop()
    ///     'a'
    fn pop<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let item = keyed::pop_item(py, &self.raw, End::First)?;
        item.map(|item| item.0)
            .ok_or_else(|| PyKeyError::new_err("pop from an empty set"))
    }

    /// Adds all elements of iterables.
    ///
    /// Examples:
    ///     >>> import onecopy
    ///     >>> seen = onecopy.Set("a")
    ///     >>> seen.update("b", "cb")
    ///     >>> len(seen)
    ///     3
    #[pyo3(signature = (*others))]
    fn update(&self, others: &Bound<'_, PyTuple>) -> PyResult<()> {
        self.add_all(others)
    }

    /// Takes out what is not in all of the iterables.
    ///
    /// Examples:
    ///     >>> import onecopy
    ///     >>> seen = onecopy.Set("ab")
    ///     >>> seen.intersection_update("bc")
    ///     >>> seen
    ///     onecopy.Set({'b'})
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
        this.get().keep(&kept)
    }

    /// Takes out what is in one of the iterables.
    ///
    /// Examples:
    ///     >>> import onecopy
    ///     >>> seen = onecopy.Set("ab")
    ///     >>> seen.difference_update("bc")
    ///     >>> seen
    ///     onecopy.Set({'a'})
    #[pyo3(signature = (*others))]
    fn difference_update(this: &Bound<'_, Self>, others: &Bound<'_, PyTuple>) -> PyResult<()> {
        let gone = PySet::empty(this.py())?;
        gone.call_method1("update", others)?;
        this.get().take_out(&gone)
    }

    /// Takes out what is also in the iterable, and adds what is only there.
    ///
    /// Examples:
    ///     >>> import onecopy
    ///     >>> seen = onecopy.Set("ab")
    ///     >>> seen.symmetric_difference_update("abc")
    ///     >>> seen
    ///     onecopy.Set({'c'})
    #[pyo3(signature = (other, /))]
    fn symmetric_difference_update(
        this: &Bound<'_, Self>,
        other: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        this.get().turn_over(&set_of(other)?)
    }

    /// A real set of what is in this or in one of the iterables.
    ///
    /// Examples:
    ///     >>> import onecopy
    ///     >>> sorted(onecopy.Set("ab").union("bc"))
    ///     ['a', 'b', 'c']
    #[pyo3(signature = (*others))]
    fn union<'py>(&self, others: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
        self.to_set(others.py())?.call_method1("union", others)
    }

    /// A real set of what is in this and in all of the iterables.
    ///
    /// Examples:
    ///     >>> import onecopy
    ///     >>> onecopy.Set("ab").intersection("bc")
    ///     {'b'}
    #[pyo3(signature = (*others))]
    fn intersection<'py>(&self, others: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
        self.to_set(others.py())?
            .call_method1("intersection", others)
    }

    /// A real set of what is in this and in none of the iterables.
    ///
    /// Examples:
    ///     >>> import onecopy
    ///     >>> onecopy.Set("ab").difference("bc")
    ///     {'a'}
    #[pyo3(signature = (*others))]
    fn difference<'py>(&self, others: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
        self.to_set(others.py())?.call_method1("difference", others)
    }

    /// A real set of what is in one of both and not in the other.
    ///
    /// Examples:
    ///     >>> import onecopy
    ///     >>> sorted(onecopy.Set("ab").symmetric_difference("bc"))
    ///     ['a', 'c']
    #[pyo3(signature = (other, /))]
    fn symmetric_difference<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.to_set(other.py())?
            .call_method1("symmetric_difference", (other,))
    }

    /// Whether nothing is in both.
    ///
    /// Examples:
    ///     >>> import onecopy
    ///     >>> onecopy.Set("ab").isdisjoint("cd")
    ///     True
    #[pyo3(signature = (other, /))]
    fn isdisjoint<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.to_set(other.py())?
            .call_method1("isdisjoint", (other,))
    }

    /// Whether all elements are in the iterable.
    ///
    /// Examples:
    ///     >>> import onecopy
    ///     >>> onecopy.Set("ab").issubset("abc")
    ///     True
    #[pyo3(signature = (other, /))]
    fn issubset<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.to_set(other.py())?.call_method1("issubset", (other,))
    }

    /// Whether all that is in the iterable is an element.
    ///
    /// Examples:
    ///     >>> import onecopy
    ///     >>> onecopy.Set("ab").issuperset("b")
    ///     True
    #[pyo3(signature = (other, /))]
    fn issuperset<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.to_set(other.py())?
            .call_method1("issuperset", (other,))
    }

    /// A real set of what is in it at one moment.
    ///
    /// Examples:
    ///     >>> import onecopy
    ///     >>> onecopy.Set("a").copy()
    ///     {'a'}
    fn copy<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PySet>> {
        self.to_set(py)
    }

    /// A real set of what is in it at one moment.
    ///
    /// Examples:
    ///     >>> import onecopy
    ///     >>> onecopy.Set("a").to_python()
    ///     {'a'}
    fn to_python<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PySet>> {
        self.to_set(py)
    }
});
