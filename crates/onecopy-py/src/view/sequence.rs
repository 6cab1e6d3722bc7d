//! `ListView` and `TupleView`: the elements of a list or tuple as Python objects, made when they are asked for.
//!
//! Both classes hold [`Elements`] and differ in the words of their messages, in what equals them, and in that tuples have
//! a hash. Reading is in `slots` (`view[i]`, `len`) and `column`; what is not per element is in `sequence_methods` and `ops`.
#![forbid(unsafe_code)]
#![allow(
    clippy::doc_markdown,
    reason = "docstrings are written for Python's help()"
)]

use std::sync::OnceLock;

use onecopy::image::Container;
use pyo3::exceptions::{PyIndexError, PyRuntimeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PySlice, PyTuple};

use super::missing;
use super::slots::ViewClass;
use crate::column::{Elements, Steps};
use crate::cpython::own_function;
use crate::image::Image;
use crate::value::index;

/// A shared list: looks like a list, never changes, and is one copy in memory for all processes.
///
/// Elements are made when they are read, so `view[0] is view[0]` need not hold, and a NaN in it
/// equals nothing, not even when it was the very object that was shared.
///
/// Example:
///     >>> import onecopy
///     >>> view = onecopy.share([3, 1, 2])
///     >>> sorted(view), view[1:]
///     ([1, 2, 3], ListView([1, 2]))
#[pyclass(frozen, sequence, weakref, module = "onecopy.views")]
pub(crate) struct ListView(pub(super) Elements);

/// A shared tuple: looks like a tuple, hashes like one, and is one copy in memory for all processes.
///
/// Elements are made when they are read, so `view[0] is view[0]` need not hold, and a NaN in it
/// equals nothing, not even when it was the very object that was shared.
///
/// Example:
///     >>> import onecopy
///     >>> view = onecopy.share((3, 1, 2))
///     >>> view == (3, 1, 2), {view: 'found'}[(3, 1, 2)]
///     (True, 'found')
#[pyclass(frozen, sequence, weakref, module = "onecopy.views")]
pub(crate) struct TupleView(pub(super) Elements);

macro_rules! view_class {
    ($class:ident, $kind:literal) => {
        impl ViewClass for $class {
            const KIND: &'static str = $kind;

            #[inline]
            fn elements(&self) -> &Elements {
                &self.0
            }

            fn generated_subscript() -> &'static OnceLock<ffi::binaryfunc> {
                static GENERATED: OnceLock<ffi::binaryfunc> = OnceLock::new();
                &GENERATED
            }
        }
    };
}

view_class!(ListView, "list");
view_class!(TupleView, "tuple");

/// The Python object of some elements.
pub(crate) fn wrap(py: Python<'_>, elements: Elements) -> PyResult<Bound<'_, PyAny>> {
    Ok(match elements.container {
        Container::List => Bound::new(py, ListView(elements))?.into_any(),
        Container::Tuple => Bound::new(py, TupleView(elements))?.into_any(),
    })
}

/// The elements that a view shows, if an object is one of these views.
pub(crate) fn of<'a>(object: &'a Bound<'_, PyAny>) -> Option<&'a Elements> {
    if let Ok(list) = object.cast_exact::<ListView>() {
        return Some(&list.get().0);
    }
    object
        .cast_exact::<TupleView>()
        .ok()
        .map(|tuple| &tuple.get().0)
}

/// `view[key]` for whatever `slots` leaves over.
pub(super) fn subscript<'py>(
    elements: &Elements,
    key: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    if let Ok(slice) = key.cast_exact::<PySlice>() {
        return wrap(key.py(), elements.slice(slice)?);
    }
    let index = missing::subscript(key, elements.kind())?;
    let at = elements.steps.position(index);
    let at = at.ok_or_else(|| index::out_of_range(elements.kind()))?;
    elements.at(key.py(), at)
}

/// An iterator over `steps` of the elements that `owner`, one of these views, shows.
pub(super) fn iterate<'py>(
    owner: &Bound<'py, PyAny>,
    elements: &Elements,
    steps: &Steps,
) -> PyResult<Bound<'py, PyAny>> {
    elements.iterate(owner, steps, |owner, steps| match of(owner) {
        Some(elements) => wrap(owner.py(), elements.with_steps(owner.py(), steps)),
        None => Err(PyRuntimeError::new_err(
            "an iterator holds something that is no view",
        )),
    })
}

static ATTACH: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

pub(super) fn reduce<'py>(
    py: Python<'py>,
    view: &Elements,
) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
    let attach = own_function(py, &ATTACH, "_attach_view")?;
    let Steps { start, step, len } = view.steps;
    let image = view.image.get();
    let is_root = image.has_token() && image.open()?.root_offset() == view.node;
    let arguments = if is_root && !image.is_hashed(py)? {
        // The commonest, and the shortest.
        (image.token(py)?, start, step, len).into_pyobject(py)?
    } else {
        (view.image.clone_ref(py), start, step, len, view.node).into_pyobject(py)?
    };
    Ok((attach, arguments))
}

/// Unpickles a view: shows the same elements of the image, which may come as its token. Without a node it is the root.
#[pyfunction]
#[pyo3(signature = (image, start, step, len, node = None))]
pub(crate) fn _attach_view<'py>(
    image: &Bound<'py, PyAny>,
    start: isize,
    step: isize,
    len: usize,
    node: Option<u64>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = image.py();
    let image = match image.cast::<Image>() {
        Ok(image) => image.clone(),
        Err(_) => Bound::new(py, Image::attach(py, image.extract()?)?)?,
    };
    let node = match node {
        Some(node) => node,
        None => image.get().open()?.root_offset(),
    };
    let mut view = Elements::of_node(&image, node)?;
    let count = view.steps.len;
    view.steps = Steps::checked(start, step, len, count).ok_or_else(|| {
        PyIndexError::new_err(format!(
            "{len} elements from {start} on, {step} apart, do not lie in {count} elements"
        ))
    })?;
    wrap(py, view)
}
