//! The methods that dicts, sets and counters have in common, as macros: `PyO3` takes one block of methods for each class.
#![forbid(unsafe_code)]

/// The methods of all three, and `more`. `fill` of the class does what its `__init__` does, however often that is called.
macro_rules! keyed_methods {
    ($class:ident, $attach:ident, $signature:tt, { $($more:tt)* }) => {
        #[pymethods]
        impl $class {
            #[new]
            #[pyo3(signature = (*_given, **_named), text_signature = $signature)]
            fn new(_given: &Bound<'_, PyTuple>, _named: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
                let raw = keyed::create(keyed::Kind::$class)?;
                Ok(Self { raw })
            }

            #[pyo3(signature = (source = Given(None), /, **named))]
            fn __init__(
                this: &Bound<'_, Self>,
                source: Given<'_>,
                named: Option<&Bound<'_, PyDict>>,
            ) -> PyResult<()> {
                Self::fill(this, source.0.as_ref(), named)
            }

            fn __len__(&self) -> PyResult<usize> {
                Ok(self.raw.len().map_err(Error::from)? as usize)
            }

            fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, DictIterator>> {
                iterate(py, &self.raw, Part::Keys, false)
            }

            #[classattr]
            const __hash__: Option<Py<PyAny>> = None;

            #[classmethod]
            fn __class_getitem__<'py>(
                class: &Bound<'py, PyType>,
                item: &Bound<'py, PyAny>,
            ) -> PyResult<Bound<'py, PyAny>> {
                handle::generic(class, item)
            }

            fn __reduce__<'py>(this: &Bound<'py, Self>) -> PyResult<handle::Reduced<'py>> {
                let token = this.get().raw.token().map_err(Error::from)?;
                handle::reduce(this.py(), &ATTACH, stringify!($attach), &token)
            }

            /// Takes everything out. Its memory goes back to the store.
            fn clear(&self) -> PyResult<()> {
                Ok(self.raw.clear().map_err(Error::from)?)
            }

            /// The writers' lock, for `with`: others wait before they change the container, and readers go on.
            #[getter]
            fn lock(&self) -> Lock {
                Lock::new(self.raw.writer_lock())
            }

            /// Checks every invariant of the container's memory.
            ///
            /// Raises:
            ///     onecopy.OnecopyError: One is broken; the text says which and where.
            fn verify(&self) -> PyResult<()> {
                Ok(self.raw.verify().map_err(Error::from)?)
            }

            $($more)*
        }

        static ATTACH: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

        /// Unpickles a container.
        #[pyfunction]
        pub(super) fn $attach(token: &[u8]) -> PyResult<$class> {
            let raw = RawDict::attach(&handle::token(token)?).map_err(Error::from)?;
            Ok($class { raw })
        }
    };
}

/// The methods of dicts and counters, and `more`.
macro_rules! mapping_methods {
    ($class:ident, $attach:ident, $signature:tt, { $($more:tt)* }) => {
        keyed_methods!($class, $attach, $signature, {
            fn __setitem__(&self, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
                keyed::set(&self.raw, key, value)
            }

            fn __contains__(&self, key: &Bound<'_, PyAny>) -> PyResult<bool> {
                keyed::contains(&self.raw, key)
            }

            fn __reversed__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, DictIterator>> {
                iterate(py, &self.raw, Part::Keys, true)
            }

            /// The value of a key, or `default` if there is no such key.
            #[pyo3(signature = (key, default = None, /))]
            fn get<'py>(
                &self,
                key: &Bound<'py, PyAny>,
                default: Option<Bound<'py, PyAny>>,
            ) -> PyResult<Option<Bound<'py, PyAny>>> {
                Ok(keyed::get(&self.raw, key)?.or(default))
            }

            /// The value of a key. A key that is not there is set to `default`.
            #[pyo3(signature = (key, default = None, /))]
            fn setdefault<'py>(
                &self,
                key: &Bound<'py, PyAny>,
                default: Option<Bound<'py, PyAny>>,
            ) -> PyResult<Bound<'py, PyAny>> {
                keyed::setdefault(&self.raw, key, default)
            }

            /// Takes a key out and returns its value; `default` if there is no such key.
            ///
            /// Raises:
            ///     KeyError: There is no such key, and no default.
            #[pyo3(signature = (key, default = Given(None), /))]
            fn pop<'py>(&self, key: &Bound<'py, PyAny>, default: Given<'py>) -> PyResult<Bound<'py, PyAny>> {
                keyed::pop(&self.raw, key)?.or(default.0).ok_or_else(|| no_key(key))
            }

            /// Takes the last key out and returns it with its value.
            ///
            /// Raises:
            ///     KeyError: There is none.
            fn popitem<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
                let item = keyed::pop_item(py, &self.raw, End::Last)?;
                item.ok_or_else(|| PyKeyError::new_err("popitem(): dictionary is empty"))
            }

            /// The keys, as they are whenever this is asked.
            fn keys(this: &Bound<'_, Self>) -> DictKeys {
                DictKeys::of(Keyed::new(Kind::$class, this.clone().into_any().unbind(), &this.get().raw))
            }

            /// The values, as they are whenever this is asked.
            fn values(this: &Bound<'_, Self>) -> DictValues {
                DictValues::of(Keyed::new(Kind::$class, this.clone().into_any().unbind(), &this.get().raw))
            }

            /// The items, as they are whenever this is asked.
            fn items(this: &Bound<'_, Self>) -> DictItems {
                DictItems::of(Keyed::new(Kind::$class, this.clone().into_any().unbind(), &this.get().raw))
            }

            /// Adds to the number of a key in one step, and returns the sum. A key that is not there gets `amount`.
            ///
            /// Args:
            ///     key: Which number.
            ///     amount: What to add.
            ///
            /// Raises:
            ///     TypeError: The value, or `amount`, is no int and no float.
            #[pyo3(signature = (key, amount = None, /))]
            fn add<'py>(
                &self,
                key: &Bound<'py, PyAny>,
                amount: Option<Bound<'py, PyAny>>,
            ) -> PyResult<Bound<'py, PyAny>> {
                let amount = amount.map_or_else(|| 1.into_bound_py_any(key.py()), Ok)?;
                keyed::add(&self.raw, key, &amount)
            }

            /// Replaces the value of a key if it is `old`: the same value of the same type. Returns whether it was.
            ///
            /// Args:
            ///     key: Which value.
            ///     old: What it has to be.
            ///     new: What it becomes.
            ///
            /// Raises:
            ///     KeyError: There is no such key.
            #[pyo3(signature = (key, old, new, /))]
            fn compare_exchange(
                &self,
                key: &Bound<'_, PyAny>,
                old: &Bound<'_, PyAny>,
                new: &Bound<'_, PyAny>,
            ) -> PyResult<bool> {
                keyed::compare_exchange(&self.raw, key, old, new)
            }

            $($more)*
        });
    };
}

pub(super) use {keyed_methods, mapping_methods};
