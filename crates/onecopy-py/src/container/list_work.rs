//! `onecopy.List`, and what its methods are made of.
#![forbid(unsafe_code)]

use onecopy::ContainerError;
use onecopy::shared::{Exchanged, Incoming, RawList, Slice, Snapshot, Tries, WriterLock};
use pyo3::exceptions::{PyIndexError, PyMemoryError, PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PySlice};

use super::handle;
use super::lock;
use super::methods::Real;
use super::update::Place;
use super::wait::Quiet;
use super::word::{self, Copies, Encoded, Objects, with_incoming};
use crate::column::spare::Spare;
use crate::error::Error;
use crate::value::item::Item;
use crate::value::{index, key};

/// How often others may be faster before the lock is kept, if that runs no code of theirs.
pub(super) const QUICK: u32 = 3;

/// A list that all processes see and change.
///
/// It has the methods of `list`. Elements of plain types are kept as such, and other containers and whole views stay what they
/// are; others are pickled in, and each read makes a new object of them: change an element by setting it.
///
/// Each method is one step for all others. `l[i] += 1` is two; use `l.add(i, 1)`, or `with l.lock:`.
///
/// Args:
///     iterable: The first elements.
///
/// Raises:
///     MemoryError: There is no memory; the list is as it was.
///     TimeoutError: A living process has had the lock for ten seconds.
///
/// Examples:
///     >>> import onecopy
///     >>> numbers = onecopy.List([3, 1, 2])
///     >>> numbers.append(0)
///     >>> numbers.sort()
///     >>> numbers
///     onecopy.List([0, 1, 2, 3])
#[pyclass(
    frozen,
    sequence,
    module = "onecopy.containers",
    name = "List",
    weakref
)]
pub(crate) struct List {
    pub(super) raw: RawList,
    pub(super) spare: Spare,
}

pub(super) fn no_element() -> PyErr {
    index::out_of_range("list")
}

/// A slice of Python's, without a look at the length: that counts when the list is locked.
pub(super) fn slice_of(slice: &Bound<'_, PySlice>) -> PyResult<Slice> {
    let part = |name| -> PyResult<Option<i64>> {
        let part = slice.getattr(name)?;
        if part.is_none() {
            return Ok(None);
        }
        index::slice_part(&part).map(|part| Some(part as i64))
    };
    let step = part("step")?.unwrap_or(1);
    if step == 0 {
        return Err(PyValueError::new_err("slice step cannot be zero"));
    }
    Ok(Slice {
        start: part("start")?,
        stop: part("stop")?,
        step,
    })
}

impl List {
    pub(super) fn of(raw: RawList) -> Self {
        let spare = Spare::new();
        Self { raw, spare }
    }

    pub(super) fn fill(
        this: &Bound<'_, Self>,
        iterable: Option<&Bound<'_, PyAny>>,
        named: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<()> {
        handle::no_keywords("List", named)?;
        let values = iterable.map(Encoded::all).transpose()?;
        let values: Vec<Incoming<'_>> = values.iter().flatten().map(Encoded::incoming).collect();
        Ok(this.get().raw.replace(&values).map_err(Error::from)?)
    }

    /// Where an element is, or may be.
    pub(super) fn element<'a, 'py>(&'a self, py: Python<'py>, at: isize) -> Element<'a, 'py> {
        let (raw, at) = (&self.raw, at as i64);
        Element { py, raw, at }
    }

    /// Tries until nobody has changed the list meanwhile.
    fn until_done(
        &self,
        py: Python<'_>,
        name: &str,
        mut attempt: impl FnMut(&mut Tries) -> PyResult<bool>,
    ) -> PyResult<()> {
        let mut tries = Tries::new(self.raw.writer_lock());
        while !attempt(&mut tries)? {
            py.check_signals()?;
            match tries.again() {
                // As a list calls it.
                Err(ContainerError::OwnChange) => {
                    let text = format!("list modified during {name}");
                    return Err(PyValueError::new_err(text));
                }
                other => other.map_err(Error::from)?,
            }
        }
        Ok(())
    }

    /// Replaces the elements of a slice by those of an iterable.
    pub(super) fn set_slice(&self, slice: Slice, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let values = Encoded::all_of(value, || {
            PyTypeError::new_err(if slice.step == 1 {
                "can only assign an iterable"
            } else {
                "must assign iterable to extended slice"
            })
        })?;
        let values: Vec<Incoming<'_>> = values.iter().map(Encoded::incoming).collect();
        match self.raw.set_slice(slice, &values).map_err(Error::from)? {
            Ok(()) => Ok(()),
            Err(count) => Err(PyValueError::new_err(format!(
                "attempt to assign sequence of size {} to extended slice of size {count}",
                values.len()
            ))),
        }
    }

    /// Why nothing could be popped.
    #[cold]
    pub(super) fn nothing_to_pop(&self) -> PyErr {
        PyIndexError::new_err(match self.raw.is_empty() {
            Ok(true) => "pop from empty list",
            _ => "pop index out of range",
        })
    }

    /// The elements of one moment.
    pub(super) fn to_list<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let chunk = self.raw.snapshot().map_err(Error::from)?;
        word::list_of(py, &chunk)
    }

    pub(super) fn set(&self, index: isize, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let is_there = with_incoming(value, |value| {
            Ok(self.raw.set(index as i64, value).map_err(Error::from)?)
        })?;
        if is_there {
            Ok(())
        } else {
            Err(assign_out_of_range())
        }
    }

    pub(super) fn extend_by(&self, values: &Bound<'_, PyAny>) -> PyResult<()> {
        let values = Encoded::all(values)?;
        let values: Vec<Incoming<'_>> = values.iter().map(Encoded::incoming).collect();
        Ok(self.raw.extend(&values).map_err(Error::from)?)
    }

    /// The first element between two limits that equals `value`.
    pub(super) fn position(
        &self,
        value: &Bound<'_, PyAny>,
        start: Option<&Bound<'_, PyAny>>,
        stop: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Option<usize>> {
        let items = self.to_list(value.py())?;
        for at in index::range(start, stop, items.len())? {
            if key::equal(&items.get_item(at)?, value)? {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }
}

impl Real for List {
    fn real<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(self.to_list(py)?.into_any())
    }

    fn operand<'py>(other: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
        if let Ok(other) = other.cast::<Self>() {
            return other.get().real(other.py()).map(Some);
        }
        Ok(other.is_instance_of::<PyList>().then(|| other.clone()))
    }
}

/// Where a list has, or may have, an element.
pub(super) struct Element<'a, 'py> {
    py: Python<'py>,
    raw: &'a RawList,
    at: i64,
}

impl<'py> Place<'py> for Element<'_, 'py> {
    fn py(&self) -> Python<'py> {
        self.py
    }

    fn lock(&self) -> WriterLock {
        self.raw.writer_lock()
    }

    fn read(&self) -> PyResult<Option<Encoded>> {
        let found = self.raw.get(self.at, &Copies).map_err(Error::from)?;
        word::copied(self.py, found.ok_or_else(no_element)?).map(Some)
    }

    fn exchange(&self, old: &Incoming<'_>, new: &Incoming<'_>) -> PyResult<Option<bool>> {
        let exchanged = self.raw.compare_exchange(self.at, old, new);
        Ok(match exchanged.map_err(Error::from)? {
            Exchanged::Yes => Some(true),
            Exchanged::No => Some(false),
            Exchanged::NoElement => None,
        })
    }

    fn insert(&self, _new: &Incoming<'_>) -> PyResult<bool> {
        Err(self.absent())
    }

    fn absent(&self) -> PyErr {
        no_element()
    }
}

fn no_memory() -> PyErr {
    PyMemoryError::new_err(())
}

pub(super) fn assign_out_of_range() -> PyErr {
    PyIndexError::new_err("list assignment index out of range")
}

impl List {
    fn replace_if_unchanged(&self, chunk: &Snapshot, values: &[Incoming<'_>]) -> PyResult<bool> {
        let moment = chunk
            .moment()
            .ok_or_else(|| PyRuntimeError::new_err("a copy without a moment"))?;
        Ok(self.raw.replace_if(moment, values).map_err(Error::from)?)
    }

    /// Sorts a copy and puts it in place if nothing has changed meanwhile. Plain elements are sorted under the lock if others
    /// were often faster, as that runs no code of theirs.
    pub(super) fn sort_by(
        &self,
        py: Python<'_>,
        key: Option<&Bound<'_, PyAny>>,
        reverse: bool,
    ) -> PyResult<()> {
        self.until_done(py, "sort", |tries| {
            let mut locked = None;
            if tries.count() >= QUICK && key.is_none() {
                locked = Some(lock::hold(self.raw.writer_lock())?);
            }
            let chunk = self.raw.snapshot().map_err(Error::from)?;
            if locked.is_some() && chunk.iter().all(|value| word::is_plain(&value)) {
                return self.sort_plain(py, &chunk, reverse);
            }
            drop(locked);
            let places = tries.run(|| {
                let items = word::list_of(py, &chunk)?;
                word::sorted_places(&items, key, reverse)
            })?;
            let values: Option<Vec<Incoming<'_>>> =
                places.iter().map(|at| chunk.get(*at)).collect();
            let values =
                values.ok_or_else(|| PyRuntimeError::new_err("a sort that lost elements"))?;
            self.replace_if_unchanged(&chunk, &values)
        })
    }

    /// Sorts plain values: by the list's own code, which calls nothing but theirs.
    fn sort_plain(&self, py: Python<'_>, chunk: &Snapshot, reverse: bool) -> PyResult<bool> {
        let _quiet = Quiet::new();
        let items = word::list_of(py, chunk)?;
        let order = PyDict::new(py);
        order.set_item("reverse", reverse)?;
        items.call_method("sort", (), Some(&order))?;
        let values = Encoded::all(&items)?;
        let values: Vec<Incoming<'_>> = values.iter().map(Encoded::incoming).collect();
        self.replace_if_unchanged(chunk, &values)
    }

    /// Takes out the first that equals `value`: a copy says which, and it is done if nothing has changed meanwhile.
    pub(super) fn remove_equal(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = value.py();
        let is_plain = Item::of(value).scalar(&mut Vec::new()).is_some();
        self.until_done(py, "remove", |tries| {
            let mut locked = None;
            if tries.count() >= QUICK && is_plain {
                locked = Some(lock::hold(self.raw.writer_lock())?);
            }
            let chunk = self.raw.snapshot().map_err(Error::from)?;
            if locked.is_some() && !chunk.iter().all(|value| word::is_plain(&value)) {
                locked = None;
            }
            let find = || {
                for (at, item) in chunk.iter().enumerate() {
                    let item = word::object(py, item.make(&Objects))?;
                    if key::equal(&item, value)? {
                        return Ok(at as i64);
                    }
                }
                Err(PyValueError::new_err("list.remove(x): x not in list"))
            };
            let at = tries.run(find)?;
            let moment = chunk
                .moment()
                .ok_or_else(|| PyRuntimeError::new_err("a copy without a moment"))?;
            let done = self.raw.delete_if(moment, at).map_err(Error::from)?;
            drop(locked);
            Ok(done)
        })
    }

    /// Becomes so many times what it is.
    pub(super) fn repeat(&self, py: Python<'_>, count: usize) -> PyResult<()> {
        self.until_done(py, "*=", |tries| {
            let locked = (tries.count() >= QUICK).then(|| lock::hold(self.raw.writer_lock()));
            let locked = locked.transpose()?;
            let chunk = self.raw.snapshot().map_err(Error::from)?;
            let len = chunk.len().checked_mul(count).ok_or_else(no_memory)?;
            let mut values: Vec<Incoming<'_>> = Vec::new();
            values.try_reserve_exact(len).map_err(|_| no_memory())?;
            for _ in 0..if chunk.is_empty() { 0 } else { count } {
                values.extend(chunk.iter());
            }
            let done = self.replace_if_unchanged(&chunk, &values);
            drop(locked);
            done
        })
    }
}
