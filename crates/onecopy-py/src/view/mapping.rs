//! What Python can do with the views of mappings, `DictView` and `RowView`.
#![forbid(unsafe_code)]
#![allow(
    clippy::unused_self,
    reason = "methods that refuse do so whatever they are called on"
)]

use pyo3::basic::CompareOp;
use pyo3::exceptions::{PyKeyError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyTuple, PyType};

use super::dict::DictView;
use super::generic::generic;
use super::level::Level;
use super::reduce::{Reduced, reduce};
use super::row::RowView;
use super::sequence::wrap;
use super::table_core::{ReducedRow, reduce_row};
use crate::value::key::equal;

/// What both are made of.
trait Mapping {
    /// The position of a key that equals this one.
    fn find(&self, key: &Bound<'_, PyAny>) -> PyResult<Option<usize>>;

    /// The value at a position that `find` gave.
    fn value<'py>(&self, py: Python<'py>, position: usize) -> PyResult<Bound<'py, PyAny>>;
}

impl Mapping for DictView {
    #[inline]
    fn find(&self, key: &Bound<'_, PyAny>) -> PyResult<Option<usize>> {
        self.finder.find(key)
    }

    #[inline]
    fn value<'py>(&self, py: Python<'py>, position: usize) -> PyResult<Bound<'py, PyAny>> {
        self.values.at(py, position)
    }
}

impl Mapping for RowView {
    #[inline]
    fn find(&self, key: &Bound<'_, PyAny>) -> PyResult<Option<usize>> {
        self.core.find(self.row, key)
    }

    #[inline]
    fn value<'py>(&self, py: Python<'py>, position: usize) -> PyResult<Bound<'py, PyAny>> {
        self.core.cell(py, position, self.row)
    }
}

/// The error for assignments.
fn read_only(class: &str, what: &str) -> PyErr {
    PyTypeError::new_err(format!(
        "'{class}' object does not support item {what}: shared data never change; onecopy.to_python(view) gives the \
         real thing"
    ))
}

macro_rules! mapping_methods {
    ($class:ident, { $($extra:tt)* }) => {
        #[pymethods]
        impl $class {
            fn __getitem__<'py>(&self, key: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
                match self.find(key)? {
                    Some(position) => self.value(key.py(), position),
                    None => Err(PyKeyError::new_err(key.clone().unbind())),
                }
            }

            fn __setitem__(&self, _key: &Bound<'_, PyAny>, _value: &Bound<'_, PyAny>) -> PyResult<()> {
                Err(read_only(stringify!($class), "assignment"))
            }

            fn __delitem__(&self, _key: &Bound<'_, PyAny>) -> PyResult<()> {
                Err(read_only(stringify!($class), "deletion"))
            }

            fn __contains__(&self, key: &Bound<'_, PyAny>) -> PyResult<bool> {
                Ok(self.find(key)?.is_some())
            }

            fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
                Ok(self.key_list(py)?.try_iter()?.into_any())
            }

            /// Yields the keys from the last to the first.
            fn __reversed__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
                let reversed = py.import("builtins")?.getattr("reversed")?;
                reversed.call1((self.key_list(py)?,))
            }

            /// Returns the value of `key`, or `default` if there is none.
            #[pyo3(signature = (key, default = None, /))]
            fn get<'py>(
                &self,
                key: &Bound<'py, PyAny>,
                default: Option<Bound<'py, PyAny>>,
            ) -> PyResult<Option<Bound<'py, PyAny>>> {
                match self.find(key)? {
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

            /// Returns a real dict of the entries; values that are containers stay views.
            fn copy<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
                self.real(py)
            }

            fn __or__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
                merge(self.real(other.py())?, other, false)
            }

            fn __ror__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
                merge(self.real(other.py())?, other, true)
            }

            fn __richcmp__<'py>(
                slf: &Bound<'py, Self>,
                other: &Bound<'py, PyAny>,
                op: CompareOp,
            ) -> PyResult<Bound<'py, PyAny>> {
                compare_mappings(slf.as_any(), other, op)
            }

            fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
                self.text(py)
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

            $($extra)*
        }
    };
}

mapping_methods!(DictView, {
    fn __len__(&self) -> usize {
        self.finder.len()
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        reduce(py, &self.image, self.node)
    }

    #[pyo3(name = "_keys")]
    fn key_list<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let keys = &self.finder.keys;
        wrap(py, keys.with_steps(py, keys.steps))
    }

    #[pyo3(name = "_values")]
    fn value_list<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        wrap(py, self.values.with_steps(py, self.values.steps))
    }
});

mapping_methods!(RowView, {
    fn __len__(&self) -> PyResult<usize> {
        let shape = self.core.shape(self.row)?;
        Ok(shape.map_or(self.core.names.len(), |shape| shape.positions.len()))
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<ReducedRow<'py>> {
        reduce_row(py, self.place())
    }

    #[pyo3(name = "_keys")]
    fn key_list<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let positions = self.core.positions(self.row)?.into_iter();
        PyTuple::new(py, positions.map(|at| self.core.names[at].bind(py)))
    }

    #[pyo3(name = "_values")]
    fn value_list<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let positions = self.core.positions(self.row)?.into_iter();
        let cells = positions.map(|at| self.core.cell(py, at, self.row));
        PyTuple::new(py, cells.collect::<PyResult<Vec<_>>>()?)
    }
});

/// The keys, values or items of a mapping, by the class of that name in `onecopy._views`.
fn part<'py>(mapping: &Bound<'py, PyAny>, class: &str) -> PyResult<Bound<'py, PyAny>> {
    let classes = mapping.py().import("onecopy._views")?;
    classes.getattr(class)?.call1((mapping,))
}

/// Whether an object is a dict or a view of one.
fn is_mapping(object: &Bound<'_, PyAny>) -> bool {
    object.is_instance_of::<PyDict>()
        || object.is_exact_instance_of::<DictView>()
        || object.is_exact_instance_of::<RowView>()
}

/// `mapping == other` and `!=`, for the views of mappings; other comparisons are not theirs.
fn compare_mappings<'py>(
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
fn merge<'py>(
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
