//! The methods that dicts, sets and counters have in common, as macros.
#![forbid(unsafe_code)]

/// The methods of all three, those of further `parts` ([`super::methods`]), and `more`. `fill` of the class does what its `__init__` does, however often that is called.
macro_rules! keyed_methods {
    ($class:ident, $attach:ident, $signature:tt, [$($parts:tt),*], { $($more:tt)* }) => {
        impl $class {
            pub(super) fn of(raw: RawDict) -> Self {
                let spare = Spare::new();
                Self { raw, spare }
            }
        }

        methods!($class, [$($parts,)* copied, token($attach), typed, filled], {
            #[new]
            #[pyo3(signature = (*_given, **_named), text_signature = $signature)]
            fn new(_given: &Bound<'_, PyTuple>, _named: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
                let raw = keyed::create(DictKind::$class)?;
                Ok(Self::of(raw))
            }

            fn __len__(&self) -> PyResult<usize> {
                Ok(self.raw.len().map_err(Error::from)? as usize)
            }

            fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, DictIterator>> {
                iterate(py, &self.raw, Part::Keys, false)
            }

            fn __copy__<'py>(this: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
                this.call_method0("to_python")
            }

            /// Takes everything out. Its memory goes back to the store.
            ///
            /// Examples:
            ///     >>> import onecopy
            ///     >>> words = onecopy.Set(["a", "b"])
            ///     >>> words.clear()
            ///     >>> len(words)
            ///     0
            fn clear(&self) -> PyResult<()> {
                Ok(self.raw.clear().map_err(Error::from)?)
            }

            /// The writers' lock, for `with`: others wait before they change the container, and readers go on.
            ///
            /// Examples:
            ///     >>> import onecopy
            ///     >>> counts = onecopy.Dict(a=1)
            ///     >>> with counts.lock:
            ///     ...     counts["a"] = counts["a"] * 2
            ///     >>> counts["a"]
            ///     2
            #[getter]
            fn lock(&self) -> WriterLock {
                WriterLock::new(self.raw.writer_lock())
            }

            /// Checks every invariant of the container's memory.
            ///
            /// Raises:
            ///     onecopy.OnecopyError: One is broken; the text says which and where.
            ///
            /// Examples:
            ///     >>> import onecopy
            ///     >>> onecopy.Dict(a=1).verify()
            fn verify(&self) -> PyResult<()> {
                Ok(self.raw.verify().map_err(Error::from)?)
            }

            $($more)*
        });

        /// Unpickles a container.
        #[pyfunction]
        pub(super) fn $attach(token: &[u8]) -> PyResult<$class> {
            let raw = RawDict::attach(&handle::token(token)?).map_err(Error::from)?;
            Ok($class::of(raw))
        }
    };
}

/// The methods of dicts and counters, and `more`.
macro_rules! mapping_methods {
    ($class:ident, $attach:ident, $signature:tt, { $($more:tt)* }) => {
        mapping_methods!($class, $attach, $signature, [], { $($more)* });
    };
    ($class:ident, $attach:ident, $signature:tt, $parts:tt, { $($more:tt)* }) => {
        keyed_methods!($class, $attach, $signature, $parts, {
            fn __getitem__<'py>(&self, key: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
                self.subscript(key)
            }

            fn __delitem__(&self, key: &Bound<'_, PyAny>) -> PyResult<()> {
                self.take_out(key)
            }

            fn __setitem__(&self, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
                keyed::set(&self.raw, key, value)
            }

            fn __contains__(&self, key: &Bound<'_, PyAny>) -> PyResult<bool> {
                keyed::contains(&self.raw, key)
            }

            fn __reversed__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, DictIterator>> {
                iterate(py, &self.raw, Part::Keys, true)
            }

            /// Takes the last key out and returns it with its value.
            ///
            /// Raises:
            ///     KeyError: There is none.
            ///
            /// Examples:
            ///     >>> import onecopy
            ///     >>> onecopy.Dict(a=1, b=2).popitem()
            ///     ('b', 2)
            fn popitem<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
                let item = keyed::pop_item(py, &self.raw, End::Last)?;
                item.ok_or_else(|| PyKeyError::new_err("popitem(): dictionary is empty"))
            }

            /// The keys, as they are whenever this is asked.
            ///
            /// Examples:
            ///     >>> import onecopy
            ///     >>> list(onecopy.Dict(a=1, b=2).keys())
            ///     ['a', 'b']
            fn keys(this: &Bound<'_, Self>) -> DictKeys {
                DictKeys::of(Keyed::new(Kind::$class, this.clone().into_any().unbind(), &this.get().raw))
            }

            /// The values, as they are whenever this is asked.
            ///
            /// Examples:
            ///     >>> import onecopy
            ///     >>> list(onecopy.Dict(a=1, b=2).values())
            ///     [1, 2]
            fn values(this: &Bound<'_, Self>) -> DictValues {
                DictValues::of(Keyed::new(Kind::$class, this.clone().into_any().unbind(), &this.get().raw))
            }

            /// The items, as they are whenever this is asked.
            ///
            /// Examples:
            ///     >>> import onecopy
            ///     >>> list(onecopy.Dict(a=1, b=2).items())
            ///     [('a', 1), ('b', 2)]
            fn items(this: &Bound<'_, Self>) -> DictItems {
                DictItems::of(Keyed::new(Kind::$class, this.clone().into_any().unbind(), &this.get().raw))
            }

            /// Replaces the value of a key if it is `old`: an equal value of the same type. Returns whether it was.
            ///
            /// `==` of pickled values runs without the lock. A container or view is the same only as itself.
            ///
            /// Args:
            ///     key: Which value.
            ///     old: What it has to be.
            ///     new: What it becomes.
            ///
            /// Raises:
            ///     KeyError: There is no such key.
            ///
            /// Examples:
            ///     >>> import onecopy
            ///     >>> jobs = onecopy.Dict(first="new")
            ///     >>> jobs.compare_exchange("first", "new", "taken")
            ///     True
            ///     >>> jobs.compare_exchange("first", "new", "taken")
            ///     False
            #[pyo3(signature = (key, old, new, /))]
            fn compare_exchange(
                &self,
                key: &Bound<'_, PyAny>,
                old: &Bound<'_, PyAny>,
                new: &Bound<'_, PyAny>,
            ) -> PyResult<bool> {
                let raw = &self.raw;
                update::compare_exchange(&ValueOf { raw, key }, old, new)
            }

            $($more)*
        });
    };
}

pub(super) use {keyed_methods, mapping_methods};
