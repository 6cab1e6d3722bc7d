//! What views do beyond reading one element: searching, comparing, joining, printing, hashing.
//!
//! Elements are compared as lists do it, first by identity and then with `==`, and Python code may run at each
//! comparison; nothing here holds on to memory of another object across one.

use std::fmt::Write as _;

use onecopy::image::Container;
use pyo3::basic::CompareOp;
use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyList, PyTuple};

use super::level::Level;
use super::view::{self, View};
use super::{raw, scan};
use crate::node::table::TableView;
use crate::value::index::range;
use crate::value::key::equal;

/// Element `index` of the view, which must have one.
fn element<'py>(py: Python<'py>, view: &View, index: usize) -> PyResult<Bound<'py, PyAny>> {
    debug_assert!(index < view.steps.len);
    raw::get(py, view, view.steps.at(index))
}

/// The first element from `start` to `stop` that equals `value`, counted in the view.
pub(crate) fn find(
    view: &View,
    value: &Bound<'_, PyAny>,
    start: usize,
    stop: usize,
) -> PyResult<Option<usize>> {
    if let Some(found) = scan::find(view, value, start, stop)? {
        return Ok(found);
    }
    let py = value.py();
    for index in start..stop {
        if equal(&element(py, view, index)?, value)? {
            return Ok(Some(index));
        }
    }
    Ok(None)
}

/// `view.index(value, start, stop)`.
pub(crate) fn index(
    view: &View,
    value: &Bound<'_, PyAny>,
    start: Option<&Bound<'_, PyAny>>,
    stop: Option<&Bound<'_, PyAny>>,
) -> PyResult<usize> {
    let (start, stop) = range(start, stop, view.steps.len)?;
    if let Some(found) = find(view, value, start, stop)? {
        return Ok(found);
    }
    Err(match view.container {
        // The builtin's text, which 3.14 changed.
        Container::List if cfg!(Py_3_14) => PyValueError::new_err("list.index(x): x not in list"),
        Container::List => PyValueError::new_err(format!("{} is not in list", value.repr()?)),
        Container::Tuple => PyValueError::new_err("tuple.index(x): x not in tuple"),
    })
}

/// `view.count(value)`.
pub(crate) fn count(view: &View, value: &Bound<'_, PyAny>) -> PyResult<usize> {
    let (mut count, mut from) = (0, 0);
    while let Some(found) = find(view, value, from, view.steps.len)? {
        count += 1;
        from = found + 1;
    }
    Ok(count)
}

/// What a view can be compared with element by element.
enum Other<'a, 'py> {
    View(&'a View),
    List(&'a Bound<'py, PyList>),
    Tuple(&'a Bound<'py, PyTuple>),
    Table(&'a TableView),
}

impl<'a, 'py> Other<'a, 'py> {
    /// The builtin of the same kind, or a view of it; lists and tuples differ as in Python.
    fn of(view: &View, object: &'a Bound<'py, PyAny>) -> Option<Self> {
        if let Some(other) = view::of(object) {
            return (other.container == view.container).then_some(Self::View(other));
        }
        if let Ok(table) = object.cast_exact::<TableView>() {
            let table = table.get();
            return (table.container() == view.container).then_some(Self::Table(table));
        }
        match view.container {
            Container::List => object.cast::<PyList>().ok().map(Self::List),
            Container::Tuple => object.cast::<PyTuple>().ok().map(Self::Tuple),
        }
    }

    /// How many elements there are now: comparing may change a list.
    fn len(&self) -> usize {
        match self {
            Self::View(view) => view.steps.len,
            Self::List(list) => list.len(),
            Self::Tuple(tuple) => tuple.len(),
            Self::Table(table) => table.steps.len,
        }
    }

    fn get(&self, py: Python<'py>, index: usize) -> PyResult<Bound<'py, PyAny>> {
        match self {
            Self::View(view) => element(py, view, index),
            Self::List(list) => list.get_item(index),
            Self::Tuple(tuple) => tuple.get_item(index),
            Self::Table(table) => table.row(py, index),
        }
    }
}

/// The six comparisons.
pub(crate) fn compare<'py>(
    slf: &Bound<'py, PyAny>,
    view: &View,
    object: &Bound<'py, PyAny>,
    op: CompareOp,
) -> PyResult<Bound<'py, PyAny>> {
    let py = slf.py();
    let bool_object = |value: bool| Ok(PyBool::new(py, value).to_owned().into_any());
    if slf.is(object) {
        // A list equals itself whatever its elements say of themselves.
        return bool_object(matches!(op, CompareOp::Eq | CompareOp::Le | CompareOp::Ge));
    }
    let Some(other) = Other::of(view, object) else {
        return Ok(py.NotImplemented().into_bound(py));
    };
    if matches!(op, CompareOp::Eq | CompareOp::Ne) && view.steps.len != other.len() {
        return bool_object(matches!(op, CompareOp::Ne));
    }
    let _level = Level::of_comparison()?;
    let mut index = 0;
    while index < view.steps.len && index < other.len() {
        let (left, right) = (element(py, view, index)?, other.get(py, index)?);
        if !equal(&left, &right)? {
            return match op {
                CompareOp::Eq | CompareOp::Ne => bool_object(matches!(op, CompareOp::Ne)),
                _ => left.rich_compare(&right, op),
            };
        }
        index += 1;
    }
    bool_object(op.matches(view.steps.len.cmp(&other.len())))
}

/// `repr(view)`: like the builtin's, in the name of the class.
pub(crate) fn repr(py: Python<'_>, view: &View, class: &str) -> PyResult<String> {
    let (open, close) = match (view.container, view.steps.len) {
        (Container::List, _) => ("[", "]"),
        (Container::Tuple, 1) => ("(", ",)"),
        (Container::Tuple, _) => ("(", ")"),
    };
    let again = format!("{class}({open}...{close})");
    let image = view.image.as_ptr().addr();
    crate::node::text::guarded(image, view.node, &again, || {
        let mut text = format!("{class}({open}");
        for index in 0..view.steps.len {
            if index > 0 {
                text.push_str(", ");
            }
            text.push_str(element(py, view, index)?.repr()?.to_str()?);
        }
        // Writing to a String does not fail.
        let _ = write!(text, "{close})");
        Ok(text)
    })
}

/// The real list or tuple.
pub(crate) fn to_builtin<'py>(
    py: Python<'py>,
    view: &View,
    container: Container,
) -> PyResult<Bound<'py, PyAny>> {
    raw::to_builtin(py, view, container)
}

/// The builtin that a view shows, or the object itself if it is one.
fn as_builtin<'py>(view: &View, object: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    match Other::of(view, object) {
        None => Ok(None),
        Some(Other::View(other)) => to_builtin(object.py(), other, other.container).map(Some),
        Some(Other::Table(table)) => {
            let list = table.container() == Container::List;
            table.rows(object.py(), list).map(Some)
        }
        Some(Other::List(_) | Other::Tuple(_)) => Ok(Some(object.clone())),
    }
}

/// `view + other`.
pub(crate) fn concat<'py>(
    slf: &Bound<'py, PyAny>,
    other: &Bound<'py, PyAny>,
    view: &View,
) -> PyResult<Bound<'py, PyAny>> {
    let Some(other) = as_builtin(view, other)? else {
        let (kind, found) = (view.kind(), other.get_type());
        let text = format!(
            "can only concatenate {kind} (not \"{}\") to {kind}",
            found.name()?
        );
        return Err(PyTypeError::new_err(text));
    };
    to_builtin(slf.py(), view, view.container)?.add(other)
}

/// `other + view`, where `other` is a real list or tuple.
pub(crate) fn reflected_concat<'py>(
    other: &Bound<'py, PyAny>,
    slf: &Bound<'py, PyAny>,
    view: &View,
) -> PyResult<Bound<'py, PyAny>> {
    let py = slf.py();
    match as_builtin(view, other)? {
        None => Ok(py.NotImplemented().into_bound(py)),
        Some(other) => other.add(to_builtin(py, view, view.container)?),
    }
}

/// `view * count`.
pub(crate) fn repeat<'py>(
    py: Python<'py>,
    view: &View,
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
    to_builtin(py, view, view.container)?.mul(count)
}

/// `hash(view)`: that of the tuple, by `CPython`'s function (`Objects/tupleobject.c`, a form of xxHash).
pub(crate) fn hash(py: Python<'_>, view: &View) -> PyResult<isize> {
    const PRIME_1: u64 = 11_400_714_785_074_694_791;
    const PRIME_2: u64 = 14_029_467_366_897_019_727;
    const PRIME_5: u64 = 2_870_177_450_012_600_261;
    if let Some(&hash) = view.hash.get() {
        return Ok(hash);
    }
    let _level = Level::of_hash()?;
    let mut sum = PRIME_5;
    for index in 0..view.steps.len {
        let lane = element(py, view, index)?.hash()? as i64;
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
