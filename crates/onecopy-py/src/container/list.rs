//! `onecopy.List`: what a list is, for all processes at once.
//!
//! Whatever runs code of others, comparing elements or pickling values, works on a copy of one moment and without the
//! lock. What the copy decides is done only if the list is still as it was, or it is looked at again.
#![forbid(unsafe_code)]

use onecopy::shared::{Added, RawList};
use pyo3::IntoPyObjectExt as _;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PySlice, PyTuple};

use super::handle;
use super::list_iterator::ListIterator;
pub(super) use super::list_work::List;
use super::list_work::{assign_out_of_range, no_element, slice_of};
use super::lock::WriterLock;
use super::methods::{Real as _, methods};
use super::update;
use super::word::{self, Objects, with_incoming};
use crate::error::Error;
use crate::value::repr::guarded;
use crate::value::{Truth, index, key};

methods!(List, [real, copied, token(_attach_list), typed, filled], {
    #[new]
    #[pyo3(signature = (*_given, **_named), text_signature = "(iterable=..., /)")]
    fn new(_given: &Bound<'_, PyTuple>, _named: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let store = handle::store()?;
        Ok(Self::of(RawList::create(&store).map_err(Error::from)?))
    }

    fn __len__(&self) -> PyResult<usize> {
        Ok(self.raw.len().map_err(Error::from)? as usize)
    }

    fn __getitem__<'py>(&self, key: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = key.py();
        if let Ok(slice) = key.cast::<PySlice>() {
            let chunk = self.raw.slice(slice_of(slice)?).map_err(Error::from)?;
            return Ok(word::list_of(py, &chunk)?.into_any());
        }
        let at = index::subscript(key, "list")?;
        let found = self.raw.get(at as i64, &Objects).map_err(Error::from)?;
        word::object(py, found.ok_or_else(no_element)?)
    }

    fn __setitem__(&self, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let Ok(slice) = key.cast::<PySlice>() else {
            return self.set(index::subscript(key, "list")?, value);
        };
        self.set_slice(slice_of(slice)?, value)
    }

    fn __delitem__(&self, key: &Bound<'_, PyAny>) -> PyResult<()> {
        if let Ok(slice) = key.cast::<PySlice>() {
            let slice = slice_of(slice)?;
            return Ok(self.raw.delete_slice(slice).map_err(Error::from)?);
        }
        let at = index::subscript(key, "list")?;
        if self.raw.delete(at as i64).map_err(Error::from)? {
            return Ok(());
        }
        Err(assign_out_of_range())
    }

    fn __iter__<'py>(this: &Bound<'py, Self>) -> PyResult<Bound<'py, ListIterator>> {
        ListIterator::forwards(this.py(), &this.get().raw)
    }

    fn __reversed__<'py>(this: &Bound<'py, Self>) -> PyResult<Bound<'py, ListIterator>> {
        ListIterator::backwards(this.py(), &this.get().raw)
    }

    fn __contains__(&self, value: &Bound<'_, PyAny>) -> PyResult<bool> {
        Ok(self.position(value, None, None)?.is_some())
    }

    fn __add__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.combine(other, |ours, other| ours.add(other))
    }

    fn __radd__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.combine(other, |ours, other| other.add(ours))
    }

    fn __iadd__(&self, values: &Bound<'_, PyAny>) -> PyResult<()> {
        self.extend_by(values)
    }

    fn __mul__<'py>(&self, count: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.to_list(count.py())?.mul(count)
    }

    fn __rmul__<'py>(&self, count: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.__mul__(count)
    }

    fn __imul__(&self, count: &Bound<'_, PyAny>) -> PyResult<()> {
        self.repeat(count.py(), index::times(count)?)
    }

    fn __repr__(this: &Bound<'_, Self>) -> PyResult<String> {
        let list = this.get();
        guarded(0, list.raw.place(), "onecopy.List([...])", || {
            Ok(format!(
                "onecopy.List({})",
                list.to_list(this.py())?.repr()?
            ))
        })
    }

    /// Adds all elements of an iterable at the end, in one step unless more than 16,384 are longer than a word.
    ///
    /// Examples:
    ///     >>> import onecopy
    ///     >>> numbers = onecopy.List([1])
    ///     >>> numbers.extend([2, 3])
    ///     >>> numbers
    ///     onecopy.List([1, 2, 3])
    #[pyo3(signature = (iterable, /))]
    fn extend(&self, iterable: &Bound<'_, PyAny>) -> PyResult<()> {
        self.extend_by(iterable)
    }

    /// Inserts an element before the one at `index`.
    ///
    /// Examples:
    ///     >>> import onecopy
    ///     >>> numbers = onecopy.List([1, 3])
    ///     >>> numbers.insert(1, 2)
    ///     >>> numbers
    ///     onecopy.List([1, 2, 3])
    #[pyo3(signature = (index, object, /))]
    fn insert(&self, index: &Bound<'_, PyAny>, object: &Bound<'_, PyAny>) -> PyResult<()> {
        let at = index::whole(index)?;
        with_incoming(object, |value| {
            Ok(self.raw.insert(at as i64, value).map_err(Error::from)?)
        })
    }

    /// Takes the first element out that equals `value`.
    ///
    /// Raises:
    ///     ValueError: There is none.
    ///
    /// Examples:
    ///     >>> import onecopy
    ///     >>> words = onecopy.List(["a", "b", "a"])
    ///     >>> words.remove("a")
    ///     >>> words
    ///     onecopy.List(['b', 'a'])
    #[pyo3(signature = (value, /))]
    fn remove(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        self.remove_equal(value)
    }

    /// Takes all elements out. Their memory goes back to the store, but for what a short list takes.
    ///
    /// Examples:
    ///     >>> import onecopy
    ///     >>> numbers = onecopy.List([1, 2])
    ///     >>> numbers.clear()
    ///     >>> numbers
    ///     onecopy.List([])
    fn clear(&self) -> PyResult<()> {
        Ok(self.raw.clear().map_err(Error::from)?)
    }

    /// The index of the first element between `start` and `stop` that equals `value`.
    ///
    /// Raises:
    ///     ValueError: There is none.
    ///
    /// Examples:
    ///     >>> import onecopy
    ///     >>> onecopy.List(["a", "b"]).index("b")
    ///     1
    #[pyo3(signature = (value, start = None, stop = None, /))]
    fn index(
        &self,
        value: &Bound<'_, PyAny>,
        start: Option<&Bound<'_, PyAny>>,
        stop: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<usize> {
        match self.position(value, start, stop)? {
            Some(at) => Ok(at),
            None => Err(PyValueError::new_err(format!(
                "{} is not in list",
                value.repr()?
            ))),
        }
    }

    /// How many elements equal `value`.
    ///
    /// Examples:
    ///     >>> import onecopy
    ///     >>> onecopy.List([1, 2, 1]).count(1)
    ///     2
    #[pyo3(signature = (value, /))]
    fn count(&self, value: &Bound<'_, PyAny>) -> PyResult<usize> {
        let mut count = 0;
        for item in self.to_list(value.py())? {
            count += usize::from(key::equal(&item, value)?);
        }
        Ok(count)
    }

    /// Turns the order of the elements round, in one step.
    ///
    /// Examples:
    ///     >>> import onecopy
    ///     >>> numbers = onecopy.List([1, 2])
    ///     >>> numbers.reverse()
    ///     >>> numbers
    ///     onecopy.List([2, 1])
    fn reverse(&self) -> PyResult<()> {
        Ok(self.raw.reverse().map_err(Error::from)?)
    }

    /// Sorts the elements, as `list.sort` does.
    ///
    /// `key` and the comparisons run without the lock, on a copy, and again if the list has changed meanwhile.
    ///
    /// Raises:
    ///     ValueError: `key`, or a comparison, changes the list.
    ///     TimeoutError: Others have changed it during each try, for ten seconds. `with l.lock:` keeps them out.
    ///
    /// Examples:
    ///     >>> import onecopy
    ///     >>> words = onecopy.List(["ccc", "a", "bb"])
    ///     >>> words.sort(key=len)
    ///     >>> words
    ///     onecopy.List(['a', 'bb', 'ccc'])
    #[pyo3(signature = (*, key = None, reverse = Truth(false)), text_signature = "($self, *, key=None, reverse=False)")]
    fn sort(
        this: &Bound<'_, Self>,
        key: Option<&Bound<'_, PyAny>>,
        reverse: Truth,
    ) -> PyResult<()> {
        this.get().sort_by(this.py(), key, reverse.0)
    }

    /// The elements as a real list, of one moment.
    ///
    /// Examples:
    ///     >>> import onecopy
    ///     >>> onecopy.List([1, 2]).copy()
    ///     [1, 2]
    fn copy<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        self.to_list(py)
    }

    /// The elements as a real list, of one moment.
    ///
    /// Examples:
    ///     >>> import onecopy
    ///     >>> onecopy.List([1, 2]).to_python()
    ///     [1, 2]
    fn to_python<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        self.to_list(py)
    }

    fn __copy__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        self.to_list(py)
    }

    /// Adds to a number in one step, and returns the sum.
    ///
    /// Args:
    ///     index: Which element.
    ///     amount: What to add, 1 by default: an int, a float, or anything with `__index__`.
    ///
    /// Raises:
    ///     IndexError: There is no such element.
    ///     TypeError: The element, or `amount`, is no number.
    ///
    /// Examples:
    ///     >>> import onecopy
    ///     >>> numbers = onecopy.List([40])
    ///     >>> numbers.add(0, 2)
    ///     42
    #[pyo3(signature = (index, amount = None, /))]
    fn add<'py>(
        this: &Bound<'py, Self>,
        index: &Bound<'py, PyAny>,
        amount: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = this.py();
        let list = this.get();
        let at = index::subscript(index, "list")?;
        let amount = amount.map_or_else(|| 1.into_bound_py_any(py), |given| Ok(given.clone()))?;
        if let Ok(small) = amount.extract::<i64>() {
            match list.raw.add(at as i64, small).map_err(Error::from)? {
                Added::Sum(sum) => return sum.into_bound_py_any(py),
                Added::NoElement => return Err(no_element()),
                Added::NoInt => {}
            }
        }
        update::add(&list.element(py, at), &amount)
    }

    /// Replaces an element if it is `old`: an equal value of the same type. Returns whether it was.
    ///
    /// `==` of pickled values runs without the lock. A container or view is the same only as itself.
    ///
    /// Args:
    ///     index: Which element.
    ///     old: What it has to be.
    ///     new: What it becomes.
    ///
    /// Raises:
    ///     IndexError: There is no such element.
    ///
    /// Examples:
    ///     >>> import onecopy
    ///     >>> jobs = onecopy.List(["new"])
    ///     >>> jobs.compare_exchange(0, "new", "taken")
    ///     True
    ///     >>> jobs.compare_exchange(0, "new", "taken")
    ///     False
    #[pyo3(signature = (index, old, new, /))]
    fn compare_exchange(
        &self,
        index: &Bound<'_, PyAny>,
        old: &Bound<'_, PyAny>,
        new: &Bound<'_, PyAny>,
    ) -> PyResult<bool> {
        let at = index::subscript(index, "list")?;
        update::compare_exchange(&self.element(old.py(), at), old, new)
    }

    /// Replaces an element by what a function makes of it, in one step, and returns the new one.
    ///
    /// The function runs without the lock, and again if the element has changed meanwhile: it may run more than once.
    ///
    /// Args:
    ///     index: Which element.
    ///     function: Is given the element, and returns the new one.
    ///
    /// Raises:
    ///     IndexError: There is no such element.
    ///     RuntimeError: The function changes the element itself.
    ///     TimeoutError: Others have changed it during each try, for ten seconds. `with l.lock:` keeps them out.
    ///
    /// Examples:
    ///     >>> import onecopy
    ///     >>> best = onecopy.List([0.5])
    ///     >>> best.update_with(0, lambda score: max(score, 0.6))
    ///     0.6
    #[pyo3(signature = (index, function, /))]
    fn update_with<'py>(
        this: &Bound<'py, Self>,
        index: &Bound<'py, PyAny>,
        function: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let at = index::whole(index)?;
        update::with(&this.get().element(this.py(), at), function, None)
    }

    /// The writers' lock, for `with`: others wait before they change the list, and readers go on.
    ///
    /// Examples:
    ///     >>> import onecopy
    ///     >>> numbers = onecopy.List([1, 2])
    ///     >>> with numbers.lock:
    ///     ...     numbers[0], numbers[1] = numbers[1], numbers[0]
    ///     >>> numbers
    ///     onecopy.List([2, 1])
    #[getter]
    fn lock(&self) -> WriterLock {
        WriterLock::new(self.raw.writer_lock())
    }

    /// Checks every invariant of the list's memory.
    ///
    /// Raises:
    ///     onecopy.OnecopyError: One is broken; the text says which and where.
    ///
    /// Examples:
    ///     >>> import onecopy
    ///     >>> onecopy.List([1, 2]).verify()
    fn verify(&self) -> PyResult<()> {
        Ok(self.raw.verify().map_err(Error::from)?)
    }
});

/// Unpickles a list.
#[pyfunction]
pub(super) fn _attach_list(token: &[u8]) -> PyResult<List> {
    let raw = RawList::attach(&handle::token(token)?).map_err(Error::from)?;
    Ok(List::of(raw))
}
