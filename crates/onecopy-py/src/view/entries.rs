//! `keys()`, `values()` and `items()` of the views of mappings: what the builtin dict's do, over entries that lie where
//! they are.
//!
//! Keys and items are sets to whatever knows the class `Set`, values are not, as in Python.
#![forbid(unsafe_code)]

use pyo3::basic::CompareOp;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyDict, PyList, PySet, PyTuple, PyType};

use super::dict::DictView;
use super::repr;
use super::row::RowView;
use super::sequence::wrap;
use super::set::is_set;
use crate::cpython::import_once;
use crate::value::key::equal;

/// What a view of a mapping is made of.
pub(super) trait Mapping {
    /// Number of entries.
    fn count(&self) -> PyResult<usize>;

    /// The position of a key that equals this one.
    fn find(&self, key: &Bound<'_, PyAny>) -> PyResult<Option<usize>>;

    /// The value at a position that `find` gave.
    fn value<'py>(&self, py: Python<'py>, position: usize) -> PyResult<Bound<'py, PyAny>>;

    /// The keys, as a tuple or a view of a list.
    fn key_list<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>>;

    /// The values, as a tuple or a view of a list.
    fn value_list<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>>;
}

impl Mapping for DictView {
    fn count(&self) -> PyResult<usize> {
        Ok(self.finder.len())
    }

    #[inline]
    fn find(&self, key: &Bound<'_, PyAny>) -> PyResult<Option<usize>> {
        self.finder.find(self.image(key.py()), key)
    }

    #[inline]
    fn value<'py>(&self, py: Python<'py>, position: usize) -> PyResult<Bound<'py, PyAny>> {
        self.values.at(py, position)
    }

    fn key_list<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        wrap(py, self.finder.elements(self.image(py)))
    }

    fn value_list<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        wrap(py, self.values.with_steps(py, self.values.steps))
    }
}

impl Mapping for RowView {
    fn count(&self) -> PyResult<usize> {
        let shape = self.core.shape(self.row)?;
        Ok(shape.map_or(self.core.names.len(), |shape| shape.positions.len()))
    }

    #[inline]
    fn find(&self, key: &Bound<'_, PyAny>) -> PyResult<Option<usize>> {
        self.core.find(self.row, key)
    }

    #[inline]
    fn value<'py>(&self, py: Python<'py>, position: usize) -> PyResult<Bound<'py, PyAny>> {
        self.core.cell(py, position, self.row)
    }

    fn key_list<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let positions = self.core.positions(self.row)?.into_iter();
        let names = positions.map(|at| self.core.names[at].bind(py));
        Ok(PyTuple::new(py, names)?.into_any())
    }

    fn value_list<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let positions = self.core.positions(self.row)?.into_iter();
        let cells = positions.map(|at| self.core.cell(py, at, self.row));
        Ok(PyTuple::new(py, cells.collect::<PyResult<Vec<_>>>()?)?.into_any())
    }
}

/// Whether an object is a dict or a view of one.
pub(super) fn is_mapping(object: &Bound<'_, PyAny>) -> bool {
    object.is_instance_of::<PyDict>()
        || object.is_exact_instance_of::<DictView>()
        || object.is_exact_instance_of::<RowView>()
}

/// Which part of the entries is shown.
#[derive(Clone, Copy)]
enum Part {
    Keys,
    Values,
    Items,
}

/// The mapping whose entries are shown.
enum Whole {
    Dict(Py<DictView>),
    Row(Py<RowView>),
}

impl Whole {
    fn mapping(&self) -> &dyn Mapping {
        match self {
            Self::Dict(dict) => dict.get(),
            Self::Row(row) => row.get(),
        }
    }

    fn object<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        match self {
            Self::Dict(dict) => dict.bind(py).as_any().clone(),
            Self::Row(row) => row.bind(py).as_any().clone(),
        }
    }

    fn has_item(&self, item: &Bound<'_, PyAny>) -> PyResult<bool> {
        let Ok(pair) = item.cast::<PyTuple>() else {
            return Ok(false);
        };
        if pair.len() != 2 {
            return Ok(false);
        }
        match self.mapping().find(&pair.get_item(0)?)? {
            Some(at) => equal(&self.mapping().value(item.py(), at)?, &pair.get_item(1)?),
            None => Ok(false),
        }
    }

    fn has(&self, part: Part, element: &Bound<'_, PyAny>) -> PyResult<bool> {
        match part {
            Part::Keys => Ok(self.mapping().find(element)?.is_some()),
            Part::Values => self.mapping().value_list(element.py())?.contains(element),
            Part::Items => self.has_item(element),
        }
    }

    fn iterate<'py>(
        &self,
        py: Python<'py>,
        part: Part,
        backwards: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        static ZIP: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let mapping = self.mapping();
        let walk = |list: Bound<'py, PyAny>| {
            if backwards {
                reversed(&list)
            } else {
                Ok(list.try_iter()?.into_any())
            }
        };
        match part {
            Part::Keys => walk(mapping.key_list(py)?),
            Part::Values => walk(mapping.value_list(py)?),
            Part::Items => {
                let pair = (walk(mapping.key_list(py)?)?, walk(mapping.value_list(py)?)?);
                import_once(py, &ZIP, "builtins", "zip")?.call1(pair)
            }
        }
    }
}

/// An iterator over a sequence from its end.
pub(super) fn reversed<'py>(sequence: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    static REVERSED: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    import_once(sequence.py(), &REVERSED, "builtins", "reversed")?.call1((sequence,))
}

/// The six comparisons of one set of entries with any set.
fn compare<'py>(
    ours: &Bound<'py, PyAny>,
    other: &Bound<'py, PyAny>,
    op: CompareOp,
) -> PyResult<Bound<'py, PyAny>> {
    let py = ours.py();
    if !is_set(other)? {
        return Ok(py.NotImplemented().into_bound(py));
    }
    let order = ours.len()?.cmp(&other.len()?);
    let answer = match op {
        CompareOp::Eq => order.is_eq() && is_inside(ours, other)?,
        CompareOp::Ne => !order.is_eq() || !is_inside(ours, other)?,
        CompareOp::Le | CompareOp::Lt => op.matches(order) && is_inside(ours, other)?,
        CompareOp::Ge | CompareOp::Gt => op.matches(order) && is_inside(other, ours)?,
    };
    Ok(PyBool::new(py, answer).to_owned().into_any())
}

/// Whether all elements of one are in the other.
fn is_inside(inner: &Bound<'_, PyAny>, outer: &Bound<'_, PyAny>) -> PyResult<bool> {
    for element in inner.try_iter()? {
        if !outer.contains(element?)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether the two have nothing in common. Goes through the shorter one if both are sets.
fn is_disjoint(ours: &Bound<'_, PyAny>, other: &Bound<'_, PyAny>) -> PyResult<bool> {
    let (walked, asked) = if is_set(other)? && other.len()? > ours.len()? {
        (ours, other)
    } else {
        (other, ours)
    };
    for element in walked.try_iter()? {
        if asked.contains(element?)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Elements of `other` that are in `ours`, as a real set. Only those are hashed, as the builtin does it.
fn intersection<'py>(
    ours: &Bound<'py, PyAny>,
    other: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    if let Ok(set) = other.cast_exact::<PySet>()
        && set.len() >= ours.len()?
    {
        return set.call_method1("intersection", (ours,));
    }
    let both = PySet::empty(ours.py())?;
    for element in other.try_iter()? {
        let element = element?;
        if ours.contains(&element)? {
            both.add(element)?;
        }
    }
    Ok(both.into_any())
}

/// Elements that are in one of the two but not in both, as a real set. Of two sets of pairs only those are hashed.
fn symmetric_difference<'py>(
    ours: &Bound<'py, PyAny>,
    other: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    static ITEMS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let py = ours.py();
    let items = import_once(py, &ITEMS, "_collections_abc", "ItemsView")?;
    if !ours.is_instance(&items)? || !other.is_instance(&items)? {
        return combined(ours, "symmetric_difference", other);
    }
    let rest = PySet::empty(py)?;
    for (from, without) in [(ours, other), (other, ours)] {
        for pair in from.try_iter()? {
            let pair = pair?;
            if !without.contains(&pair)? {
                rest.add(pair)?;
            }
        }
    }
    Ok(rest.into_any())
}

/// A real set of the elements of `left`, on which a method of sets is called with `right`.
fn combined<'py>(
    left: &Bound<'py, PyAny>,
    method: &str,
    right: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let set = left.py().get_type::<PySet>().call1((left,))?;
    set.call_method1(method, (right,))
}

macro_rules! entries_class {
    ($class:ident, $name:literal, $part:ident, { $($extra:tt)* }) => {
        #[doc = concat!("The ", $name, " of a view of a mapping, in its order.")]
        #[pyclass(frozen, weakref, module = "onecopy._onecopy")]
        pub(super) struct $class(Whole);

        impl $class {
            pub(super) fn of_dict(dict: &Bound<'_, DictView>) -> Self {
                Self(Whole::Dict(dict.clone().unbind()))
            }

            pub(super) fn of_row(row: &Bound<'_, RowView>) -> Self {
                Self(Whole::Row(row.clone().unbind()))
            }
        }

        #[pymethods]
        impl $class {
            /// The view of the mapping.
            #[getter]
            fn mapping<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
                self.0.object(py)
            }

            fn __len__(&self) -> PyResult<usize> {
                self.0.mapping().count()
            }

            fn __contains__(&self, element: &Bound<'_, PyAny>) -> PyResult<bool> {
                self.0.has(Part::$part, element)
            }

            fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
                self.0.iterate(py, Part::$part, false)
            }

            /// Yields them from the last to the first.
            fn __reversed__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
                self.0.iterate(py, Part::$part, true)
            }

            fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
                let list = slf.py().get_type::<PyList>().call1((slf,))?;
                let entries = repr::listed(list.len()?, |index| repr::of(&list.get_item(index)?))?;
                Ok(format!(concat!("dict_", $name, "([{}])"), entries))
            }

            fn __reduce__<'py>(
                &self,
                py: Python<'py>,
            ) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
                Ok((self.0.object(py).getattr($name)?, PyTuple::empty(py)))
            }

            $($extra)*
        }
    };
    ($class:ident, $name:literal, $part:ident, set) => {
        entries_class!($class, $name, $part, {
            fn __richcmp__<'py>(
                slf: &Bound<'py, Self>,
                other: &Bound<'py, PyAny>,
                op: CompareOp,
            ) -> PyResult<Bound<'py, PyAny>> {
                compare(slf.as_any(), other, op)
            }

            fn __and__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
                intersection(slf.as_any(), other)
            }

            fn __rand__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
                intersection(slf.as_any(), other)
            }

            fn __or__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
                combined(slf.as_any(), "union", other)
            }

            fn __ror__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
                combined(other, "union", slf.as_any())
            }

            fn __sub__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
                combined(slf.as_any(), "difference", other)
            }

            fn __rsub__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
                combined(other, "difference", slf.as_any())
            }

            fn __xor__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
                symmetric_difference(slf.as_any(), other)
            }

            fn __rxor__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
                symmetric_difference(slf.as_any(), other)
            }

            /// Returns whether none of them is in `other`.
            #[pyo3(signature = (other, /))]
            fn isdisjoint(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<bool> {
                is_disjoint(slf.as_any(), other)
            }
        });
    };
}

entries_class!(KeysView, "keys", Keys, set);
entries_class!(ValuesView, "values", Values, {});
entries_class!(ItemsView, "items", Items, set);

/// Lets whatever knows the classes of `collections.abc` know these.
pub(super) fn register(py: Python<'_>) -> PyResult<()> {
    let abc = crate::cpython::module(py, "_collections_abc")?;
    let known = |name: &str, class: Bound<'_, PyType>| -> PyResult<()> {
        abc.getattr(name)?.call_method1("register", (class,))?;
        Ok(())
    };
    known("KeysView", py.get_type::<KeysView>())?;
    known("ValuesView", py.get_type::<ValuesView>())?;
    known("ItemsView", py.get_type::<ItemsView>())
}
