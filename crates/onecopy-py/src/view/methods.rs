//! Methods that all views have, added to a class's own.
#![forbid(unsafe_code)]

/// The `#[pymethods]` of a view; with `generic`, of one that annotations name with the type of its elements.
macro_rules! view_methods {
    ($class:ident { $($own:tt)* }) => {
        #[pymethods]
        impl $class {
            $($own)*

            fn __setattr__(&self, name: &Bound<'_, PyAny>, _value: &Bound<'_, PyAny>) -> PyResult<()> {
                Err($crate::view::missing::no_attribute_set(stringify!($class), name))
            }

            fn __delattr__(&self, name: &Bound<'_, PyAny>) -> PyResult<()> {
                Err($crate::view::missing::no_attribute_set(stringify!($class), name))
            }

            /// Returns what dask's `tokenize` hashes: the same for the same data, in every process.
            fn __dask_tokenize__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
                slf.py().import("onecopy._purpose")?.getattr("dask_token")?.call1((slf,))
            }

            /// Returns the view itself: what cannot change need not be copied.
            fn __copy__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
                slf
            }

            /// Returns the view itself: what cannot change need not be copied.
            fn __deepcopy__<'py>(slf: Bound<'py, Self>, _memo: &Bound<'py, PyAny>) -> Bound<'py, Self> {
                slf
            }
        }
    };
    ($class:ident generic { $($own:tt)* }) => {
        $crate::view::methods::view_methods!($class {
            $($own)*

            /// Generic alias for annotations such as `ListView[int]`.
            #[classmethod]
            fn __class_getitem__<'py>(
                class: &Bound<'py, ::pyo3::types::PyType>,
                item: &Bound<'py, PyAny>,
            ) -> PyResult<Bound<'py, PyAny>> {
                $crate::view::generic::generic(class, item)
            }
        });
    };
}

pub(super) use view_methods;
