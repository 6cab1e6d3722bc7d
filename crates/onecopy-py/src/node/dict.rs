//! `DictView`: a dict's entries, found by hash where they lie.

#![allow(
    clippy::unused_self,
    reason = "methods that refuse do so whatever they are called on"
)]

use onecopy::image::{Dict, Node};
use pyo3::basic::CompareOp;
use pyo3::exceptions::{PyKeyError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyTuple, PyType};

use super::finder::Finder;
use super::text;
use crate::error::{Error, corrupt};
use crate::image::{Image, lasting};
use crate::list::level::Level;
use crate::list::raw;
use crate::list::view::{View, wrap};
use crate::value::key::equal;

/// A shared dict: looks like a dict, never changes, and is one copy in memory for all processes.
///
/// Values are made when they are read, so `view[key] is view[key]` need not hold.
///
/// Example:
///     >>> import onecopy
///     >>> view = onecopy.share({"a": 1, "b": [2, 3]})
///     >>> view["b"][1], "c" in view, dict(view.items())["a"]
///     (3, False, 1)
#[pyclass(frozen, mapping, weakref, module = "onecopy")]
pub(crate) struct DictView {
    image: Py<Image>,
    node: u64,
    finder: Finder,
    values: View,
}

impl DictView {
    pub(crate) fn new<'py>(image: &Bound<'py, Image>, node: u64) -> PyResult<Bound<'py, Self>> {
        // SAFETY: the dict goes into the view, which holds the image.
        #[allow(unsafe_code)]
        let opened = unsafe { lasting(image)? };
        let Node::Dict(Dict { keys, values, .. }) = opened.node(node).map_err(Error::from)? else {
            return Err(corrupt(node, "a dict was expected"));
        };
        let view = View::of_sequence(image, &keys.items);
        Bound::new(
            image.py(),
            Self {
                image: image.clone().unbind(),
                node,
                finder: Finder::new(keys, view),
                values: View::of_sequence(image, &values),
            },
        )
    }

    /// The image and node that it shows.
    pub(crate) fn place(&self, py: Python<'_>) -> (Py<Image>, u64) {
        (self.image.clone_ref(py), self.node)
    }

    fn value<'py>(&self, py: Python<'py>, position: usize) -> PyResult<Bound<'py, PyAny>> {
        raw::get(py, &self.values, position)
    }

    fn key<'py>(&self, py: Python<'py>, position: usize) -> PyResult<Bound<'py, PyAny>> {
        raw::get(py, &self.finder.view, position)
    }
}

/// The error for assignments.
pub(crate) fn read_only(what: &str) -> PyErr {
    PyTypeError::new_err(format!(
        "{what}: shared data never change; onecopy.to_python(view) gives the real thing"
    ))
}

#[pymethods]
impl DictView {
    fn __len__(&self) -> usize {
        self.finder.len()
    }

    fn __getitem__<'py>(&self, key: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        match self.finder.find(key)? {
            Some(position) => self.value(key.py(), position),
            None => Err(PyKeyError::new_err(key.clone().unbind())),
        }
    }

    fn __setitem__(&self, _key: &Bound<'_, PyAny>, _value: &Bound<'_, PyAny>) -> PyResult<()> {
        Err(read_only(
            "'DictView' object does not support item assignment",
        ))
    }

    fn __delitem__(&self, _key: &Bound<'_, PyAny>) -> PyResult<()> {
        Err(read_only(
            "'DictView' object does not support item deletion",
        ))
    }

    fn __contains__(&self, key: &Bound<'_, PyAny>) -> PyResult<bool> {
        Ok(self.finder.find(key)?.is_some())
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(self.key_list(py)?.try_iter()?.into_any())
    }

    /// Yields the keys from the last to the first.
    fn __reversed__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.key_list(py)?.call_method0("__reversed__")
    }

    /// Returns the value of `key`, or `default` if there is none.
    #[pyo3(signature = (key, default = None, /))]
    fn get<'py>(
        &self,
        key: &Bound<'py, PyAny>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        match self.finder.find(key)? {
            Some(position) => self.value(key.py(), position).map(Some),
            None => Ok(default),
        }
    }

    /// Returns a set-like view of the keys.
    fn keys<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        part(slf.as_any(), "Keys")
    }

    /// Returns a view of the values.
    fn values<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        part(slf.as_any(), "Values")
    }

    /// Returns a set-like view of the pairs of key and value.
    fn items<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        part(slf.as_any(), "Items")
    }

    /// Returns a real dict of the entries; values stay views.
    fn copy<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let real = PyDict::new(py);
        for position in 0..self.finder.len() {
            real.set_item(self.key(py, position)?, self.value(py, position)?)?;
        }
        Ok(real)
    }

    fn __or__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        merge(self.copy(other.py())?, other, false)
    }

    fn __ror__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        merge(self.copy(other.py())?, other, true)
    }

    fn __richcmp__<'py>(
        slf: &Bound<'py, Self>,
        other: &Bound<'py, PyAny>,
        op: CompareOp,
    ) -> PyResult<Bound<'py, PyAny>> {
        compare_mappings(slf.as_any(), other, op)
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let (py, this) = (slf.py(), slf.get());
        text::guarded(
            this.image.as_ptr().addr(),
            this.node,
            "DictView({...})",
            || {
                let mut entries = Vec::with_capacity(this.finder.len());
                for position in 0..this.finder.len() {
                    let (key, value) = (this.key(py, position)?, this.value(py, position)?);
                    entries.push(format!("{}: {}", key.repr()?, value.repr()?));
                }
                Ok(format!("DictView({{{}}})", entries.join(", ")))
            },
        )
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<super::Reduced<'py>> {
        super::reduce(py, &self.image, self.node)
    }

    /// Returns the view itself: what cannot change need not be copied.
    fn __copy__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    /// Returns the view itself: what cannot change need not be copied.
    fn __deepcopy__<'py>(slf: Bound<'py, Self>, _memo: &Bound<'py, PyAny>) -> Bound<'py, Self> {
        slf
    }

    /// Generic alias for annotations such as `DictView[str, int]`.
    #[classmethod]
    fn __class_getitem__<'py>(
        class: &Bound<'py, PyType>,
        item: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        generic(class, item)
    }

    #[pyo3(name = "_keys")]
    fn key_list<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        wrap(py, self.finder.view.with_steps(py, self.finder.view.steps))
    }

    #[pyo3(name = "_values")]
    fn value_list<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        wrap(py, self.values.with_steps(py, self.values.steps))
    }

    fn _to_python<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        super::real::of_node(self.image.bind(py), self.node)
    }
}

/// `types.GenericAlias(class, item)`.
pub(crate) fn generic<'py>(
    class: &Bound<'py, PyType>,
    item: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let alias = class.py().import("types")?.getattr("GenericAlias")?;
    alias.call1((class, item))
}

/// The keys, values or items of a mapping, by the class of that name in `onecopy._views`.
pub(crate) fn part<'py>(mapping: &Bound<'py, PyAny>, class: &str) -> PyResult<Bound<'py, PyAny>> {
    let classes = mapping.py().import("onecopy._views")?;
    classes.getattr(class)?.call1((mapping,))
}

/// Whether an object is a dict or a view of one.
fn is_mapping(object: &Bound<'_, PyAny>) -> bool {
    object.is_instance_of::<PyDict>()
        || object.is_exact_instance_of::<DictView>()
        || object.is_exact_instance_of::<super::row::RowView>()
}

/// `mapping == other` and `!=`, for the views of mappings; other comparisons are not theirs.
pub(crate) fn compare_mappings<'py>(
    mapping: &Bound<'py, PyAny>,
    other: &Bound<'py, PyAny>,
    op: CompareOp,
) -> PyResult<Bound<'py, PyAny>> {
    let py = mapping.py();
    if !matches!(op, CompareOp::Eq | CompareOp::Ne) || !is_mapping(other) {
        return Ok(py.NotImplemented().into_bound(py));
    }
    let equal = mapping.is(other) || equal_mappings(mapping, other)?;
    let answer = PyBool::new(py, equal == matches!(op, CompareOp::Eq));
    Ok(answer.to_owned().into_any())
}

/// Whether two mappings have the same keys with equal values.
fn equal_mappings(left: &Bound<'_, PyAny>, right: &Bound<'_, PyAny>) -> PyResult<bool> {
    let _level = Level::of_comparison()?;
    if left.len()? != right.len()? {
        return Ok(false);
    }
    for key in left.try_iter()? {
        let key = key?;
        if !right.contains(&key)? || !equal(&left.get_item(&key)?, &right.get_item(&key)?)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// `dict | other`, or `other | dict` if reflected: a real dict.
pub(crate) fn merge<'py>(
    real: Bound<'py, PyDict>,
    other: &Bound<'py, PyAny>,
    reflected: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let py = other.py();
    if !is_mapping(other) {
        return Ok(py.NotImplemented().into_bound(py));
    }
    let copy = PyDict::new(py);
    for key in other.try_iter()? {
        let key = key?;
        copy.set_item(&key, other.get_item(&key)?)?;
    }
    let pair = if reflected {
        (copy, real)
    } else {
        (real, copy)
    };
    pair.0
        .call_method1("update", PyTuple::new(py, [&pair.1])?)?;
    Ok(pair.0.into_any())
}
