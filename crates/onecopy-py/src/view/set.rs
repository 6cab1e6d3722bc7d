//! `SetView` and `FrozenSetView`: members, found by hash where they lie.
#![deny(unsafe_code)]

use onecopy::image::{Node, Set};
use pyo3::basic::CompareOp;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyFrozenSet, PySet};

use super::finder::Finder;
use super::level::Level;
use super::methods::view_methods;
use super::missing;
use super::reduce::{Reduced, reduce};
use super::repr;
use super::sequence::wrap;
use crate::error::{Error, corrupt};
use crate::image::{Image, lasting};

/// The members of a set.
struct Members {
    image: Py<Image>,
    node: u64,
    finder: Finder,
}

impl Members {
    fn of(image: &Bound<'_, Image>, node: u64) -> PyResult<Self> {
        // SAFETY: what refers to the image goes into the view below, which holds the image as long as it lives.
        #[allow(unsafe_code)]
        let opened = unsafe { lasting(image)? };
        let Node::Set(Set { keys, .. }) = opened.node(node).map_err(Error::from)? else {
            return Err(corrupt(node, "a set was expected"));
        };
        Ok(Self {
            image: image.clone().unbind(),
            node,
            finder: Finder::new(image, keys),
        })
    }

    /// The position of a member that equals this one.
    fn find(&self, member: &Bound<'_, PyAny>) -> PyResult<Option<usize>> {
        self.finder.find(self.image.bind(member.py()), member)
    }

    fn member<'py>(&self, py: Python<'py>, position: usize) -> PyResult<Bound<'py, PyAny>> {
        self.finder.key(self.image.bind(py), position)
    }

    fn contains(&self, member: &Bound<'_, PyAny>) -> PyResult<bool> {
        match self.find(member) {
            // A set looks for a set as for the frozenset that it equals.
            Err(error)
                if error.is_instance_of::<PyTypeError>(member.py())
                    && (member.is_instance_of::<PySet>()
                        || member.is_exact_instance_of::<SetView>()) =>
            {
                let frozen = member.py().get_type::<PyFrozenSet>().call1((member,))?;
                Ok(self.find(&frozen)?.is_some())
            }
            found => Ok(found?.is_some()),
        }
    }

    fn iterate<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let members = wrap(py, self.finder.elements(self.image.bind(py)))?;
        Ok(members.try_iter()?.into_any())
    }

    fn real<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PySet>> {
        let real = PySet::empty(py)?;
        for position in 0..self.finder.len() {
            real.add(self.member(py, position)?)?;
        }
        Ok(real)
    }

    /// What the view was made from, a set or frozenset of its own.
    fn builtin<'py>(&self, py: Python<'py>, frozen: bool) -> PyResult<Bound<'py, PyAny>> {
        let real = self.real(py)?.into_any();
        if frozen {
            return py.get_type::<PyFrozenSet>().call1((real,));
        }
        Ok(real)
    }

    fn compare<'py>(
        &self,
        other: &Bound<'py, PyAny>,
        op: CompareOp,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = other.py();
        if !is_set(other)? {
            return Ok(py.NotImplemented().into_bound(py));
        }
        let (ours, theirs) = (self.finder.len(), other.len()?);
        let answer = match op {
            CompareOp::Eq => ours == theirs && self.inside(other)?,
            CompareOp::Ne => ours != theirs || !self.inside(other)?,
            CompareOp::Le => ours <= theirs && self.inside(other)?,
            CompareOp::Lt => ours < theirs && self.inside(other)?,
            CompareOp::Ge => ours >= theirs && self.holds_all(other)?,
            CompareOp::Gt => ours > theirs && self.holds_all(other)?,
        };
        Ok(PyBool::new(py, answer).to_owned().into_any())
    }

    /// Whether every member is one of `other`.
    fn inside(&self, other: &Bound<'_, PyAny>) -> PyResult<bool> {
        for position in 0..self.finder.len() {
            if !other.contains(self.member(other.py(), position)?)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether every member of `other` is one of ours.
    fn holds_all(&self, other: &Bound<'_, PyAny>) -> PyResult<bool> {
        for member in other.try_iter()? {
            if self.find(&member?)?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// `operator(set, other)` as real sets.
    fn combine<'py>(
        &self,
        other: &Bound<'py, PyAny>,
        operator: &str,
        frozen: bool,
        reflected: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = other.py();
        if !is_set(other)? {
            return Ok(py.NotImplemented().into_bound(py));
        }
        let ours = self.builtin(py, frozen)?;
        let theirs = if other.is_instance_of::<PySet>() || other.is_instance_of::<PyFrozenSet>() {
            other.clone()
        } else {
            py.get_type::<PySet>().call1((other,))?
        };
        let (left, right) = if reflected {
            (theirs, ours)
        } else {
            (ours, theirs)
        };
        crate::cpython::module(py, "operator")?.call_method1(operator, (left, right))
    }

    fn repr(&self, py: Python<'_>, class: &str) -> PyResult<String> {
        let again = format!("{class}({{...}})");
        repr::guarded(self.image.as_ptr().addr(), self.node, &again, || {
            if self.finder.len() == 0 {
                return Ok(format!("{class}()"));
            }
            let members = repr::listed(self.finder.len(), |position| {
                repr::of(&self.member(py, position)?)
            })?;
            Ok(format!("{class}({{{members}}})"))
        })
    }
}

/// Whether an object is a set of any kind.
pub(super) fn is_set(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    if object.is_instance_of::<PySet>()
        || object.is_instance_of::<PyFrozenSet>()
        || object.is_exact_instance_of::<SetView>()
        || object.is_exact_instance_of::<FrozenSetView>()
    {
        return Ok(true);
    }
    // The keys of a dict and the like.
    object.is_instance(&crate::cpython::module(object.py(), "_collections_abc")?.getattr("Set")?)
}

macro_rules! set_class {
    ($class:ident, $frozen:literal, $doc:literal, { $($extra:tt)* }) => {
        #[doc = $doc]
        #[pyclass(frozen, weakref, module = "onecopy.views")]
        pub(crate) struct $class(Members);

        impl $class {
            pub(crate) fn new<'py>(image: &Bound<'py, Image>, node: u64) -> PyResult<Bound<'py, Self>> {
                Bound::new(image.py(), Self(Members::of(image, node)?))
            }

            /// The image and node that it shows.
            pub(crate) fn place(&self, py: Python<'_>) -> (Py<Image>, u64) {
                (self.0.image.clone_ref(py), self.0.node)
            }
        }

        view_methods!($class generic {
            fn __dir__<'py>(slf: &Bound<'py, Self>) -> PyResult<Vec<Bound<'py, PyAny>>> {
                missing::names(slf.as_any())
            }

            fn __len__(&self) -> usize {
                self.0.finder.len()
            }

            fn __contains__(&self, member: &Bound<'_, PyAny>) -> PyResult<bool> {
                self.0.contains(member)
            }

            fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
                self.0.iterate(py)
            }

            fn __richcmp__<'py>(&self, other: &Bound<'py, PyAny>, op: CompareOp) -> PyResult<Bound<'py, PyAny>> {
                self.0.compare(other, op)
            }

            fn __and__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
                self.0.combine(other, "and_", $frozen, false)
            }

            fn __rand__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
                self.0.combine(other, "and_", $frozen, true)
            }

            fn __or__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
                self.0.combine(other, "or_", $frozen, false)
            }

            fn __ror__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
                self.0.combine(other, "or_", $frozen, true)
            }

            fn __sub__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
                self.0.combine(other, "sub", $frozen, false)
            }

            fn __rsub__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
                self.0.combine(other, "sub", $frozen, true)
            }

            fn __xor__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
                self.0.combine(other, "xor", $frozen, false)
            }

            fn __rxor__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
                self.0.combine(other, "xor", $frozen, true)
            }

            /// Returns whether no element of `other` is a member.
            #[pyo3(signature = (other, /))]
            fn isdisjoint(&self, other: &Bound<'_, PyAny>) -> PyResult<bool> {
                for member in other.try_iter()? {
                    if self.0.find(&member?)?.is_some() {
                        return Ok(false);
                    }
                }
                Ok(true)
            }

            /// Returns whether every member is in `other`.
            #[pyo3(signature = (other, /))]
            fn issubset(&self, other: &Bound<'_, PyAny>) -> PyResult<bool> {
                let other = other.py().get_type::<PySet>().call1((other,))?;
                self.0.inside(&other)
            }

            /// Returns whether every element of `other` is a member.
            #[pyo3(signature = (other, /))]
            fn issuperset(&self, other: &Bound<'_, PyAny>) -> PyResult<bool> {
                self.0.holds_all(other)
            }

            /// Returns a set or frozenset, as this was made from, of the members and those of all `others`.
            #[pyo3(signature = (*others))]
            fn union<'py>(&self, others: &Bound<'py, pyo3::types::PyTuple>) -> PyResult<Bound<'py, PyAny>> {
                self.0.builtin(others.py(), $frozen)?.call_method1("union", others)
            }

            /// Returns a set or frozenset, as this was made from, of the members that are in all `others`.
            #[pyo3(signature = (*others))]
            fn intersection<'py>(&self, others: &Bound<'py, pyo3::types::PyTuple>) -> PyResult<Bound<'py, PyAny>> {
                self.0.builtin(others.py(), $frozen)?.call_method1("intersection", others)
            }

            /// Returns a set or frozenset, as this was made from, of the members that are in none of `others`.
            #[pyo3(signature = (*others))]
            fn difference<'py>(&self, others: &Bound<'py, pyo3::types::PyTuple>) -> PyResult<Bound<'py, PyAny>> {
                self.0.builtin(others.py(), $frozen)?.call_method1("difference", others)
            }

            /// Returns a set or frozenset, as this was made from, of what is in one of the two but not in both.
            #[pyo3(signature = (other, /))]
            fn symmetric_difference<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
                self.0.builtin(other.py(), $frozen)?.call_method1("symmetric_difference", (other,))
            }

            /// Bytes of the image that it is a part of.
            #[getter]
            fn nbytes(&self) -> usize {
                self.0.image.get().bytes().len()
            }

            fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
                self.0.repr(py, stringify!($class))
            }

            fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
                reduce(py, &self.0.image, self.0.node)
            }

            $($extra)*
        });
    };
}

set_class!(
    SetView,
    false,
    "A shared set: looks like a set, never changes, and is one copy in memory for all processes.\n\n\
     Example:\n    >>> import onecopy\n    >>> view = onecopy.share({1, 2, 3})\n    >>> 2 in view, view & {3, 4}, view == {1, 2, 3}\n    \
     (True, {3}, True)",
    {}
);

set_class!(
    FrozenSetView,
    true,
    "A shared frozenset: looks like one, hashes like one, and is one copy in memory for all processes.\n\n\
     Example:\n    >>> import onecopy\n    >>> view = onecopy.share(frozenset('ab'))\n    >>> 'a' in view, {view: 1}[frozenset('ab')]\n    \
     (True, 1)",
    {
        fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
            let _level = Level::of_hash()?;
            self.0.builtin(py, true)?.hash()
        }
    }
);
