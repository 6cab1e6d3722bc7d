//! What `keys()`, `values()` and `items()` give: they show the dict as it is whenever they are asked.
#![forbid(unsafe_code)]

use onecopy::shared::Part;
use pyo3::basic::CompareOp;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyTuple;

use super::dict_iterator::{DictIterator, iterate};
use super::keyed::{self, Keyed, Kind};
use crate::cpython::import_once;
use crate::error::Error;
use crate::value::key;

static PROXY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// The view of a real dict of one moment that shows the same.
fn real<'py>(container: &Keyed, py: Python<'py>, part: &str) -> PyResult<Bound<'py, PyAny>> {
    keyed::to_dict(py, container.raw())?.call_method0(part)
}

/// The other operand: of one of ours the real view.
fn operand<'py>(other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    if let Ok(keys) = other.cast::<DictKeys>() {
        return real(&keys.get().container, other.py(), "keys");
    }
    if let Ok(items) = other.cast::<DictItems>() {
        return real(&items.get().container, other.py(), "items");
    }
    if let Some(set) = Keyed::of(other).filter(|other| other.kind == Kind::Set) {
        return real(&set, other.py(), "keys");
    }
    Ok(other.clone())
}

macro_rules! view_class {
    ($class:ident, $part:expr, $name:literal, $doc:literal, { $($methods:tt)* }) => {
        #[doc = $doc]
        #[pyclass(frozen, module = "onecopy._onecopy")]
        pub(crate) struct $class {
            container: Keyed,
        }

        impl $class {
            pub(super) fn of(container: Keyed) -> Self {
                Self { container }
            }
        }

        #[pymethods]
        impl $class {
            fn __len__(&self) -> PyResult<usize> {
                Ok(self.container.raw().len().map_err(Error::from)? as usize)
            }

            fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, DictIterator>> {
                iterate(py, self.container.raw(), $part, false)
            }

            fn __reversed__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, DictIterator>> {
                iterate(py, self.container.raw(), $part, true)
            }

            fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
                Ok(format!("onecopy.{}", real(&self.container, py, $name)?.repr()?))
            }

            /// The dict, read-only.
            #[getter]
            fn mapping<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
                let proxy = import_once(py, &PROXY, "types", "MappingProxyType")?;
                proxy.call1((self.container.object(py),))
            }

            $($methods)*
        }
    };
}

macro_rules! set_like {
    ($class:ident, $part:expr, $name:literal, $doc:literal, { $($methods:tt)* }) => {
        view_class!($class, $part, $name, $doc, {
            $($methods)*

            #[classattr]
            const __hash__: Option<Py<PyAny>> = None;

            fn __richcmp__<'py>(&self, other: &Bound<'py, PyAny>, operation: CompareOp) -> PyResult<Bound<'py, PyAny>> {
                real(&self.container, other.py(), $name)?.rich_compare(operand(other)?, operation)
            }

            fn __and__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
                real(&self.container, other.py(), $name)?.bitand(operand(other)?)
            }

            fn __rand__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
                operand(other)?.bitand(real(&self.container, other.py(), $name)?)
            }

            fn __or__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
                real(&self.container, other.py(), $name)?.bitor(operand(other)?)
            }

            fn __ror__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
                operand(other)?.bitor(real(&self.container, other.py(), $name)?)
            }

            fn __xor__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
                real(&self.container, other.py(), $name)?.bitxor(operand(other)?)
            }

            fn __rxor__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
                operand(other)?.bitxor(real(&self.container, other.py(), $name)?)
            }

            fn __sub__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
                real(&self.container, other.py(), $name)?.sub(operand(other)?)
            }

            fn __rsub__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
                operand(other)?.sub(real(&self.container, other.py(), $name)?)
            }

            /// Whether nothing is in both.
            #[pyo3(signature = (other, /))]
            fn isdisjoint<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
                real(&self.container, other.py(), $name)?.call_method1("isdisjoint", (operand(other)?,))
            }
        });
    };
}

set_like!(
    DictKeys,
    Part::Keys,
    "keys",
    "The keys of a dict, set-like, as they are whenever this is asked.",
    {
        fn __contains__(&self, key: &Bound<'_, PyAny>) -> PyResult<bool> {
            keyed::contains(self.container.raw(), key)
        }
    }
);

set_like!(
    DictItems,
    Part::Items,
    "items",
    "The items of a dict, set-like, as they are whenever this is asked.",
    {
        fn __contains__(&self, item: &Bound<'_, PyAny>) -> PyResult<bool> {
            let Ok(item) = item.cast::<PyTuple>() else {
                return Ok(false);
            };
            if item.len() != 2 {
                return Ok(false);
            }
            match keyed::get(self.container.raw(), &item.get_item(0)?)? {
                Some(value) => key::equal(&value, &item.get_item(1)?),
                None => Ok(false),
            }
        }
    }
);

view_class!(
    DictValues,
    Part::Values,
    "values",
    "The values of a dict, as they are whenever this is asked.",
    {}
);

/// Tells `collections.abc` what they are.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let abc = py.import("_collections_abc")?;
    for (name, class) in [
        ("KeysView", py.get_type::<DictKeys>()),
        ("ItemsView", py.get_type::<DictItems>()),
        ("ValuesView", py.get_type::<DictValues>()),
    ] {
        abc.getattr(name)?.call_method1("register", (class,))?;
    }
    Ok(())
}
