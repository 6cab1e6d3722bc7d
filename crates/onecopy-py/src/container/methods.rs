//! The methods that are the same in several classes, each written once.
//!
//! `PyO3` takes one block of methods for each class and expands no macro inside it. So the block is put together here, part
//! by part, before `PyO3` sees it: `methods!(Class, [parts], { methods of its own })`.
//!
//! | part | what it gives |
//! |---|---|
//! | `same` | `==` and `hash` by the object of the store that is stood for |
//! | `real` | `==`, `<` and so on, `str` and `_getvalue` of what is in it: the class is [`Real`] |
//! | `uncopied` | `copy.copy` and `copy.deepcopy` are refused |
//! | `copied` | `copy.deepcopy` makes a container of its own for each place |
//! | `token(attach)` | pickling to a token, which the function `attach` of the module takes |
//! | `typed` | annotations such as `Class[int]` |
//! | `filled`, the last | `__init__` by `Class::fill`; no `hash`, as it compares by what is in it |
#![forbid(unsafe_code)]

use pyo3::basic::CompareOp;
use pyo3::prelude::*;

/// A container that has the operators of a real list, dict or set, and leaves them to it.
pub(super) trait Real {
    /// Whether it can be less than another.
    const IS_ORDERED: bool = true;

    /// What is in it at one moment.
    fn real<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>>;

    /// What the other operand is as a real object, if it is of the kind.
    fn operand<'py>(other: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>>;

    /// What it is to itself, whatever is in it: it may be itself, or a NaN.
    fn to_itself(operation: CompareOp) -> Option<bool> {
        match operation {
            CompareOp::Eq => Some(true),
            CompareOp::Ne => Some(false),
            CompareOp::Le | CompareOp::Ge => Self::IS_ORDERED.then_some(true),
            CompareOp::Lt | CompareOp::Gt => Self::IS_ORDERED.then_some(false),
        }
    }

    /// What an operator makes of the real objects.
    fn combine<'py>(
        &self,
        other: &Bound<'py, PyAny>,
        operator: impl FnOnce(Bound<'py, PyAny>, Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = other.py();
        match Self::operand(other)? {
            Some(other) => operator(self.real(py)?, other),
            None => Ok(py.NotImplemented().into_bound(py)),
        }
    }
}

macro_rules! methods {
    ($class:ident, [], { $($all:tt)* }) => {
        #[pymethods]
        impl $class {
            $($all)*
        }
    };
    ($class:ident, [filled], { $($all:tt)* }) => {
        #[pymethods]
        impl $class {
            $($all)*

            // What PyO3 makes of `__init__` has names of the macro that says `#[pymethods]`.
            #[pyo3(signature = (source = $crate::container::handle::Given(None), /, **named))]
            fn __init__(
                this: &Bound<'_, Self>,
                source: $crate::container::handle::Given<'_>,
                named: Option<&Bound<'_, ::pyo3::types::PyDict>>,
            ) -> PyResult<()> {
                Self::fill(this, source.0.as_ref(), named)
            }

            #[classattr]
            const __hash__: Option<Py<PyAny>> = None;
        }
    };
    ($class:ident, [same $(, $($parts:tt)*)?], { $($all:tt)* }) => {
        $crate::container::methods::methods!($class, [$($($parts)*)?], {
            $($all)*

            fn __eq__(&self, other: &Bound<'_, Self>) -> bool {
                self.raw.reference() == other.get().raw.reference()
            }

            fn __hash__(&self) -> u64 {
                $crate::container::handle::hash(&self.raw.reference())
            }
        });
    };
    ($class:ident, [real $(, $($parts:tt)*)?], { $($all:tt)* }) => {
        $crate::container::methods::methods!($class, [$($($parts)*)?], {
            $($all)*

            fn __richcmp__<'py>(
                &self,
                other: &Bound<'py, PyAny>,
                operation: ::pyo3::basic::CompareOp,
            ) -> PyResult<Bound<'py, PyAny>> {
                use $crate::container::methods::Real as _;
                if let Ok(same) = other.cast::<Self>()
                    && self.raw.reference() == same.get().raw.reference()
                    && let Some(result) = Self::to_itself(operation)
                {
                    return ::pyo3::IntoPyObjectExt::into_bound_py_any(result, other.py());
                }
                self.combine(other, |ours, other| ours.rich_compare(other, operation))
            }

            /// The same as `to_python`, by the name that proxies of `multiprocessing` have for it.
            #[pyo3(name = "_getvalue")]
            fn get_value<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
                $crate::container::methods::Real::real(self, py)
            }

            fn __str__(&self, py: Python<'_>) -> PyResult<String> {
                let real = $crate::container::methods::Real::real(self, py)?;
                Ok(real.str()?.to_string())
            }
        });
    };
    ($class:ident, [uncopied $(, $($parts:tt)*)?], { $($all:tt)* }) => {
        $crate::container::methods::methods!($class, [$($($parts)*)?], {
            $($all)*

            fn __copy__(this: &Bound<'_, Self>) -> PyResult<()> {
                Err($crate::container::handle::no_copy(this))
            }

            fn __deepcopy__(this: &Bound<'_, Self>, _memo: &Bound<'_, PyAny>) -> PyResult<()> {
                Err($crate::container::handle::no_copy(this))
            }
        });
    };
    ($class:ident, [copied $(, $($parts:tt)*)?], { $($all:tt)* }) => {
        $crate::container::methods::methods!($class, [$($($parts)*)?], {
            $($all)*

            fn __deepcopy__<'py>(
                this: &Bound<'py, Self>,
                memo: &Bound<'py, PyAny>,
            ) -> PyResult<Bound<'py, PyAny>> {
                $crate::container::handle::deep_copy(this, this.get().raw.place(), memo)
            }
        });
    };
    ($class:ident, [token($attach:ident) $(, $($parts:tt)*)?], { $($all:tt)* }) => {
        $crate::container::methods::methods!($class, [$($($parts)*)?], {
            $($all)*

            fn __reduce__<'py>(
                this: &Bound<'py, Self>,
            ) -> PyResult<$crate::container::handle::Reduced<'py>> {
                static ATTACH: ::pyo3::sync::PyOnceLock<Py<PyAny>> = ::pyo3::sync::PyOnceLock::new();
                let token = this.get().raw.token().map_err($crate::error::Error::from)?;
                $crate::container::handle::reduce(this.py(), &ATTACH, stringify!($attach), &token)
            }
        });
    };
    ($class:ident, [typed $(, $($parts:tt)*)?], { $($all:tt)* }) => {
        $crate::container::methods::methods!($class, [$($($parts)*)?], {
            $($all)*

            #[classmethod]
            fn __class_getitem__<'py>(
                class: &Bound<'py, ::pyo3::types::PyType>,
                item: &Bound<'py, PyAny>,
            ) -> PyResult<Bound<'py, PyAny>> {
                $crate::container::handle::generic(class, item)
            }
        });
    };
}

pub(super) use methods;
