//! What views do beyond reading one element: searching, comparing, joining, printing, hashing.
//!
//! Elements are compared as lists do it, first by identity and then with `==`, and Python code may run at each
//! comparison; nothing here holds on to memory of another object across one.
#![forbid(unsafe_code)]

use std::ops::Range;

use onecopy::image::Container;
use pyo3::basic::CompareOp;
use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyList, PyTuple};

use super::level::Level;
use super::sequential::Sequential;
use super::table::TableView;
use super::{repr, sequence};
use crate::column::Elements;
use crate::value::index;
use crate::value::key::equal;

/// The first element in `range` that equals `value`, counted in the view.
pub(super) fn find(
    ours: &impl Sequential,
    value: &Bound<'_, PyAny>,
    range: Range<usize>,
) -> PyResult<Option<usize>> {
    if let Some(found) = ours.scan(value, range.clone())? {
        return Ok(found);
    }
    for index in range {
        if equal(&ours.element(value.py(), index)?, value)? {
            return Ok(Some(index));
        }
    }
    Ok(None)
}

/// `view.index(value, start, stop)`; `None` if there is no such element.
pub(super) fn index(
    ours: &impl Sequential,
    value: &Bound<'_, PyAny>,
    start: Option<&Bound<'_, PyAny>>,
    stop: Option<&Bound<'_, PyAny>>,
) -> PyResult<Option<usize>> {
    find(ours, value, index::range(start, stop, ours.len())?)
}

/// The error for a value that a list or tuple does not have, in the builtin's words.
pub(super) fn not_in(container: Container, value: &Bound<'_, PyAny>) -> PyErr {
    match container {
        // The builtin's text, which 3.14 changed.
        Container::List if cfg!(Py_3_14) => PyValueError::new_err("list.index(x): x not in list"),
        Container::List => match value.repr() {
            Ok(value) => PyValueError::new_err(format!("{value} is not in list")),
            Err(error) => error,
        },
        Container::Tuple => PyValueError::new_err("tuple.index(x): x not in tuple"),
    }
}

/// `view.count(value)`.
pub(super) fn count(ours: &impl Sequential, value: &Bound<'_, PyAny>) -> PyResult<usize> {
    let (mut count, mut from) = (0, 0);
    while let Some(found) = find(ours, value, from..ours.len())? {
        count += 1;
        from = found + 1;
    }
    Ok(count)
}

/// What a view can be compared with element by element.
enum Other<'a, 'py> {
    View(&'a Elements),
    List(&'a Bound<'py, PyList>),
    Tuple(&'a Bound<'py, PyTuple>),
    Table(&'a TableView),
}

impl<'a, 'py> Other<'a, 'py> {
    /// The builtin of this kind, or a view of it; lists and tuples differ as in Python.
    fn of(kind: Container, object: &'a Bound<'py, PyAny>) -> Option<Self> {
        if let Some(other) = sequence::of(object) {
            return (other.container == kind).then_some(Self::View(other));
        }
        if let Ok(table) = object.cast_exact::<TableView>() {
            let table = table.get();
            return (table.container() == kind).then_some(Self::Table(table));
        }
        match kind {
            Container::List => object.cast::<PyList>().ok().map(Self::List),
            Container::Tuple => object.cast::<PyTuple>().ok().map(Self::Tuple),
        }
    }

    /// How many elements there are now: comparing may change a list.
    fn len(&self) -> usize {
        match self {
            Self::View(view) => view.len(),
            Self::List(list) => list.len(),
            Self::Tuple(tuple) => tuple.len(),
            Self::Table(table) => table.len(),
        }
    }

    fn get(&self, py: Python<'py>, index: usize) -> PyResult<Bound<'py, PyAny>> {
        match self {
            Self::View(view) => view.element(py, index),
            Self::List(list) => list.get_item(index),
            Self::Tuple(tuple) => tuple.get_item(index),
            Self::Table(table) => table.element(py, index),
        }
    }
}

/// The six comparisons.
pub(super) fn compare<'py>(
    ours: &impl Sequential,
    object: &Bound<'py, PyAny>,
    op: CompareOp,
) -> PyResult<Bound<'py, PyAny>> {
    let py = object.py();
    let bool_object = |value: bool| Ok(PyBool::new(py, value).to_owned().into_any());
    let Some(other) = Other::of(ours.container(), object) else {
        return Ok(py.NotImplemented().into_bound(py));
    };
    if matches!(op, CompareOp::Eq | CompareOp::Ne) && ours.len() != other.len() {
        return bool_object(matches!(op, CompareOp::Ne));
    }
    let _level = Level::of_comparison()?;
    let mut index = 0;
    while index < ours.len() && index < other.len() {
        let (left, right) = (ours.element(py, index)?, other.get(py, index)?);
        if !equal(&left, &right)? {
            return match op {
                CompareOp::Eq | CompareOp::Ne => bool_object(matches!(op, CompareOp::Ne)),
                _ => left.rich_compare(&right, op),
            };
        }
        index += 1;
    }
    bool_object(op.matches(ours.len().cmp(&other.len())))
}

/// `repr(view)`: like the builtin's, in the name of the class.
pub(super) fn text(py: Python<'_>, view: &Elements, class: &str) -> PyResult<String> {
    let (open, close) = match (view.container, view.steps.len) {
        (Container::List, _) => ("[", "]"),
        (Container::Tuple, 1) => ("(", ",)"),
        (Container::Tuple, _) => ("(", ")"),
    };
    let again = format!("{class}({open}...{close})");
    let image = view.image.as_ptr().addr();
    repr::guarded(image, view.node, &again, || {
        let elements = repr::listed(view.steps.len, |index| repr::of(&view.get(py, index)?))?;
        Ok(format!("{class}({open}{elements}{close})"))
    })
}

/// The builtin that a view shows, or the object itself if it is one.
fn as_builtin<'py>(
    view: &Elements,
    object: &Bound<'py, PyAny>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    match Other::of(view.container, object) {
        None => Ok(None),
        Some(Other::View(other)) => other.to_builtin(object.py(), other.container).map(Some),
        Some(Other::Table(table)) => {
            let list = table.container() == Container::List;
            table.rows(object.py(), list).map(Some)
        }
        Some(Other::List(_) | Other::Tuple(_)) => Ok(Some(object.clone())),
    }
}

/// `view + other`.
pub(super) fn concat<'py>(
    slf: &Bound<'py, PyAny>,
    other: &Bound<'py, PyAny>,
    view: &Elements,
) -> PyResult<Bound<'py, PyAny>> {
    let Some(other) = as_builtin(view, other)? else {
        let (kind, found) = (view.kind(), other.get_type());
        let text = format!(
            "can only concatenate {kind} (not \"{}\") to {kind}",
            found.name()?
        );
        return Err(PyTypeError::new_err(text));
    };
    view.to_builtin(slf.py(), view.container)?.add(other)
}

/// `other + view`, where `other` is a real list or tuple.
pub(super) fn reflected_concat<'py>(
    other: &Bound<'py, PyAny>,
    slf: &Bound<'py, PyAny>,
    view: &Elements,
) -> PyResult<Bound<'py, PyAny>> {
    let py = slf.py();
    match as_builtin(view, other)? {
        None => Ok(py.NotImplemented().into_bound(py)),
        Some(other) => other.add(view.to_builtin(py, view.container)?),
    }
}

/// `view * count`.
pub(super) fn repeat<'py>(
    py: Python<'py>,
    view: &Elements,
    count: isize,
) -> PyResult<Bound<'py, PyAny>> {
    let times = count.max(0).unsigned_abs();
    if view
        .steps
        .len
        .checked_mul(times)
        .is_none_or(|len| isize::try_from(len).is_err())
    {
        return Err(PyOverflowError::new_err(
            "repeated view would be longer than a list can be",
        ));
    }
    view.to_builtin(py, view.container)?.mul(count)
}

/// `hash(view)`: that of the tuple, by `CPython`'s function (`Objects/tupleobject.c`, a form of xxHash).
pub(super) fn hash(py: Python<'_>, view: &Elements) -> PyResult<isize> {
    const PRIME_1: u64 = 11_400_714_785_074_694_791;
    const PRIME_2: u64 = 14_029_467_366_897_019_727;
    const PRIME_5: u64 = 2_870_177_450_012_600_261;
    if let Some(&hash) = view.hash.get() {
        return Ok(hash);
    }
    let _level = Level::of_hash()?;
    let mut sum = PRIME_5;
    for index in 0..view.steps.len {
        let lane = view.get(py, index)?.hash()? as i64;
        sum = sum.wrapping_add(lane.cast_unsigned().wrapping_mul(PRIME_2));
        sum = sum.rotate_left(31).wrapping_mul(PRIME_1);
    }
    sum = sum.wrapping_add(view.steps.len as u64 ^ (PRIME_5 ^ 0x0035_d373));
    // -1 means failure to the interpreter.
    let hash = if sum == u64::MAX {
        1_546_275_796
    } else {
        sum.cast_signed() as isize
    };
    // Kept, as the hash of a NaN is that of the object, and each access makes another.
    Ok(*view.hash.get_or_init(|| hash))
}
