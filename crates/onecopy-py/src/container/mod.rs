//! How do workers write?
//!
//! | file | question it answers |
//! |---|---|
//! | `list`, `list_work`, `list_iterator` | what is `onecopy.List`? |
//! | `slots`, `keyed_slots`, `argument` | how are `c[i]`, `c[i] = x`, `append`, `add` and the like as fast as the interpreter allows? |
//! | `dict`, `dict_views`, `dict_iterator` | what is `onecopy.Dict`? |
//! | `set`, `set_work` | what is `onecopy.Set`? |
//! | `counter`, `counts`, `operators` | what is `onecopy.Counter`? |
//! | `keyed`, `keyed_methods`, `pairs` | what have these three in common? |
//! | `key` | how do a Python key and its bytes turn into each other? |
//! | `update` | how is a value replaced by what is worked out from it? |
//! | `cell` | what is `onecopy.Value`? |
//! | `array` | what is `onecopy.Array` made of? |
//! | `lock` | what is `container.lock`? |
//! | `word`, `found` | how does a Python value become a word of a container, and how does it come back? |
//! | `reference` | how does a value stay what it is, instead of being copied? |
//! | `mixed` | and a part of a value? |
//! | `sync/` | how do processes wait for one another? |
//! | `handle`, `methods` | what do all of these have in common? |
//! | `wait` | what happens while a lock is waited for? |
#![allow(
    clippy::doc_markdown,
    clippy::doc_link_with_quotes,
    reason = "`help()` shows the texts of classes and methods as they stand"
)]
#![allow(
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "lengths and indices of lists lie below 2^48"
)]
#![allow(
    clippy::needless_pass_by_value,
    reason = "arguments of functions that Python calls are owned"
)]
#![allow(
    clippy::inline_always,
    reason = "an operation of a few nanoseconds is a chain of small functions, some generic, across two crates"
)]

mod argument;
mod array;
mod cell;
mod counter;
mod counts;
mod dict;
mod dict_iterator;
mod dict_views;
mod found;
mod handle;
mod key;
mod keyed;
mod keyed_methods;
mod keyed_slots;
mod list;
mod list_iterator;
mod list_work;
mod lock;
mod methods;
mod mixed;
mod operators;
mod pairs;
mod reference;
mod set;
mod set_work;
mod slots;
mod sync;
mod update;
mod wait;
mod word;

use onecopy::shared::{Cell, DictKind, Mixed, RawArray, RawDict, RawList, Reference};
use pyo3::IntoPyObjectExt as _;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::cpython::import_once;
use crate::error::Error;
use keyed::{Keyed, Kind};

/// The dict, set or counter that an object is.
fn keyed_of(object: &Bound<'_, PyAny>) -> Option<Keyed> {
    let of = |kind, raw| Some(Keyed::new(kind, object.clone().unbind(), raw));
    if let Ok(dict) = object.cast::<dict::Dict>() {
        return of(Kind::Dict, &dict.get().raw);
    }
    if let Ok(counter) = object.cast::<counter::Counter>() {
        return of(Kind::Counter, &counter.get().raw);
    }
    of(Kind::Set, &object.cast::<set::Set>().ok()?.get().raw)
}

/// The reference to the container that an object stands for.
fn reference_of(object: &Bound<'_, PyAny>) -> Option<Reference> {
    if let Ok(list) = object.cast::<list::List>() {
        return Some(list.get().raw.reference());
    }
    if let Ok(value) = object.cast::<cell::Value>() {
        return Some(value.get().raw.reference());
    }
    if let Ok(memory) = object.cast::<array::ArrayMemory>() {
        return Some(memory.get().raw.reference());
    }
    match keyed_of(object) {
        Some(keyed) => Some(keyed.raw().reference()),
        None => sync::reference_of(object),
    }
}

/// The same, of an object that is put into a container.
fn put_in(object: &Bound<'_, PyAny>) -> PyResult<Option<Reference>> {
    let reference = reference_of(object);
    if reference.is_some() {
        sync::complete(object)?;
    }
    Ok(reference)
}

/// Whether an object stands for a container.
#[pyfunction]
fn is_container(object: &Bound<'_, PyAny>) -> bool {
    reference_of(object).is_some()
}

static ARRAY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
static NAMESPACE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// A new object that stands for a container.
fn object_of<'py>(py: Python<'py>, reference: &Reference) -> PyResult<Option<Bound<'py, PyAny>>> {
    if let Some(raw) = RawList::of_reference(reference).map_err(Error::from)? {
        return list::List::of(raw).into_bound_py_any(py).map(Some);
    }
    if let Some(raw) = Cell::of_reference(reference).map_err(Error::from)? {
        return cell::Value { raw }.into_bound_py_any(py).map(Some);
    }
    if let Some(raw) = RawArray::of_reference(reference).map_err(Error::from)? {
        let memory = array::ArrayMemory { raw };
        let show = import_once(py, &ARRAY, "onecopy._containers", "array_of")?;
        return show.call1((memory,)).map(Some);
    }
    if let Some(value) = Mixed::of_reference(reference).map_err(Error::from)? {
        return mixed::object(py, &value).map(Some);
    }
    let Some(raw) = RawDict::of_reference(reference).map_err(Error::from)? else {
        return sync::object_of(py, reference);
    };
    match raw.kind() {
        kind @ (DictKind::Namespace | DictKind::ManagedNamespace) => {
            let show = import_once(py, &NAMESPACE, "onecopy._containers", "namespace_of")?;
            show.call1((dict::Dict::of(raw), kind == DictKind::ManagedNamespace))
        }
        DictKind::Dict => dict::Dict::of(raw).into_bound_py_any(py),
        DictKind::Set => set::Set::of(raw).into_bound_py_any(py),
        DictKind::Counter => counter::Counter::of(raw).into_bound_py_any(py),
    }
    .map(Some)
}

/// Adds the classes to the extension module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    wait::install();
    Keyed::register(keyed_of);
    reference::register(put_in, object_of);
    module.add_class::<list::List>()?;
    module.add_class::<cell::Value>()?;
    module.add_class::<lock::WriterLock>()?;
    module.add_class::<array::ArrayMemory>()?;
    slots::install(py)?;
    module.add_function(wrap_pyfunction!(list::_attach_list, module)?)?;
    module.add_function(wrap_pyfunction!(cell::_attach_value, module)?)?;
    module.add_class::<dict::Dict>()?;
    module.add_class::<set::Set>()?;
    module.add_class::<counter::Counter>()?;
    keyed_slots::install(py)?;
    module.add_function(wrap_pyfunction!(dict::_attach_dict, module)?)?;
    module.add_function(wrap_pyfunction!(dict::_namespace_entries, module)?)?;
    module.add_function(wrap_pyfunction!(dict::_guarded_text, module)?)?;
    module.add_function(wrap_pyfunction!(set::_attach_set, module)?)?;
    module.add_function(wrap_pyfunction!(counter::_attach_counter, module)?)?;
    module.add_function(wrap_pyfunction!(is_container, module)?)?;
    dict_views::register(module)?;
    sync::register(module)?;
    let abc = py.import("_collections_abc")?;
    for (name, class) in [
        ("MutableMapping", py.get_type::<dict::Dict>()),
        ("MutableMapping", py.get_type::<counter::Counter>()),
        ("MutableSet", py.get_type::<set::Set>()),
    ] {
        abc.getattr(name)?.call_method1("register", (class,))?;
    }
    let mutable = py.import("_collections_abc")?.getattr("MutableSequence")?;
    mutable.call_method1("register", (py.get_type::<list::List>(),))?;
    Ok(())
}
