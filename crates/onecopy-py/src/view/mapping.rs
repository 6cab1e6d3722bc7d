//! What Python can do with the views of mappings, `DictView` and `RowView`.
#![forbid(unsafe_code)]
#![allow(
    clippy::unused_self,
    reason = "methods that refuse do so whatever they are called on"
)]

use pyo3::basic::CompareOp;
use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyTuple};

use super::dict::DictView;
use super::entries::{ItemsView, KeysView, Mapping as _, ValuesView, is_mapping, reversed};
use super::level::Level;
use super::methods::view_methods;
use super::missing::{self, read_only};
use super::reduce::{Reduced, reduce};
use super::row::RowView;
use super::table_core::{ReducedRow, reduce_row};
use crate::value::key::equal;

macro_rules! mapping_methods {
    ($class:ident, $of:ident, { $($extra:tt)* }) => {
        view_methods!($class generic {
            fn __getitem__<'py>(&self, key: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
                match self.find(key)? {
                    Some(position) => self.value(key.py(), position),
                    None => Err(PyKeyError::new_err(key.clone().unbind())),
                }
            }

            fn __setitem__(&self, _key: &Bound<'_, PyAny>, _value: &Bound<'_, PyAny>) -> PyResult<()> {
                Err(read_only(stringify!($class), "does not support item assignment"))
            }

            fn __delitem__(&self, _key: &Bound<'_, PyAny>) -> PyResult<()> {
                Err(read_only(stringify!($class), "does not support item deletion"))
            }

            fn __dir__<'py>(slf: &Bound<'py, Self>) -> PyResult<Vec<Bound<'py, PyAny>>> {
                missing::names(slf.as_any())
            }

            fn __len__(&self) -> PyResult<usize> {
                self.count()
            }

            fn __contains__(&self, key: &Bound<'_, PyAny>) -> PyResult<bool> {
                Ok(self.find(key)?.is_some())
            }

            fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
                Ok(self.key_list(py)?.try_iter()?.into_any())
            }

            /// Yields the keys from the last to the first.
            fn __reversed__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
                reversed(&self.key_list(py)?)
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

            /// Returns the value of `key` where it lies: a str as a `StrView`, bytes as a `BytesView`, of whatever size;
            /// anything else as `view[key]`.
            #[pyo3(signature = (key, /))]
            fn peek<'py>(&self, key: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
                let Some(position) = self.find(key)? else {
                    return Err(PyKeyError::new_err(key.clone().unbind()));
                };
                match self.peek_at(key.py(), position)? {
                    Some(view) => Ok(view),
                    None => self.value(key.py(), position),
                }
            }

            /// Returns a set-like view of the keys.
            fn keys(slf: &Bound<'_, Self>) -> KeysView {
                KeysView::$of(slf)
            }

            /// Returns a view of the values.
            fn values(slf: &Bound<'_, Self>) -> ValuesView {
                ValuesView::$of(slf)
            }

            /// Returns a set-like view of the pairs of key and value.
            fn items(slf: &Bound<'_, Self>) -> ItemsView {
                ItemsView::$of(slf)
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

            $($extra)*
        });
    };
}

mapping_methods!(DictView, of_dict, {
    /// Bytes of the image that it is a part of.
    #[getter]
    fn nbytes(&self) -> usize {
        self.values.image.get().bytes().len()
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        reduce(py, &self.values.image, self.node)
    }
});

mapping_methods!(RowView, of_row, {
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<ReducedRow<'py>> {
        reduce_row(py, self.place())
    }
});

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
    // As dicts are compared: what a subclass makes of a key does not count.
    if let Ok(right) = right.cast::<PyDict>() {
        if left.len()? != right.len() {
            return Ok(false);
        }
        for key in left.try_iter()? {
            let key = key?;
            let Some(value) = right.get_item(&key)? else {
                return Ok(false);
            };
            if !equal(&left.get_item(&key)?, &value)? {
                return Ok(false);
            }
        }
        return Ok(true);
    }
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
