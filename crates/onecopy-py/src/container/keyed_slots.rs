//! The slots behind what is done to a dict, a set or a counter most, in the place of those that `PyO3` generates (see
//! `slots`).
//!
//! The plain case is done here: a key that is an int of 48 bits or a str, a value that is one of these, a float, a bool or
//! None, each exactly of its class. The rest is done by `keyed`, through `cpython::slot`, and so is a key that is not there.
#![allow(unsafe_code, reason = "slots are functions over raw objects")]

use std::ffi::{CStr, c_int};
use std::ptr;

use onecopy::ContainerError;
use onecopy::image::Scalar;
use onecopy::shared::{Incoming, KeyAdded, RawDict, Word};
use pyo3::PyClass;
use pyo3::exceptions::PyImportError;
use pyo3::ffi::{self, Py_ssize_t, PyObject};
use pyo3::prelude::*;

use super::argument::{Argument, arguments, guard_number};
use super::counter::Counter;
use super::dict::Dict;
use super::keyed;
use super::set::Set;
use super::slots::{add_method, guard, inner};
use super::word::{Copies, Found, Raised, Reader, quick_key, quick_value, raise_failure};
use crate::column::spare::Spare;
use crate::value::scalar;

/// A class whose instances are dicts of the core.
trait Container: PyClass<Frozen = pyo3::pyclass::boolean_struct::True> + Sync {
    fn raw(&self) -> &RawDict;
    fn spare(&self) -> &Spare;
    /// `__contains__`.
    fn contains(&self, key: &Bound<'_, PyAny>) -> PyResult<bool>;
}

/// A class with `c[key]`.
trait Mapping: Container {
    /// `__getitem__`.
    fn item<'py>(&self, key: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>>;
    /// `__delitem__`.
    fn delete(&self, key: &Bound<'_, PyAny>) -> PyResult<()>;
}

macro_rules! container {
    ($class:ident, $contains:path) => {
        impl Container for $class {
            #[inline(always)]
            fn raw(&self) -> &RawDict {
                &self.raw
            }
            #[inline(always)]
            fn spare(&self) -> &Spare {
                &self.spare
            }
            fn contains(&self, key: &Bound<'_, PyAny>) -> PyResult<bool> {
                $contains(&self.raw, key)
            }
        }
    };
}

macro_rules! mapping {
    ($class:ident) => {
        container!($class, keyed::contains);

        impl Mapping for $class {
            fn item<'py>(&self, key: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
                self.subscript(key)
            }
            fn delete(&self, key: &Bound<'_, PyAny>) -> PyResult<()> {
                self.take_out(key)
            }
        }
    };
}

mapping!(Dict);
mapping!(Counter);
container!(Set, super::set_work::contains);

/// What was found, or what `absent` gives.
#[inline(always)]
fn finish(
    found: Result<Option<Result<Found, Raised>>, ContainerError>,
    absent: impl FnOnce() -> *mut PyObject,
) -> *mut PyObject {
    match found {
        Ok(Some(Ok(found))) => found.finish(),
        Ok(Some(Err(Raised))) => ptr::null_mut(),
        Ok(None) => absent(),
        Err(failure) => raise_failure(failure),
    }
}

unsafe extern "C" fn subscript<C: Mapping>(
    object: *mut PyObject,
    key: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: the interpreter calls this slot attached, with a container that it holds during the call.
    let container = unsafe { inner::<C>(object) };
    let key = Argument(key);
    let slowly = || key.slowly(|key| container.item(key).map(Some));
    let item = key.item();
    let Some(canonical) = quick_key(&item) else {
        return slowly();
    };
    let raw = container.raw();
    guard(|| {
        let found = raw.get(&raw.key(canonical), &Reader(container.spare()));
        finish(found, slowly)
    })
}

unsafe extern "C" fn contains<C: Container>(object: *mut PyObject, key: *mut PyObject) -> c_int {
    // SAFETY: the interpreter calls this slot attached, with a container that it holds during the call.
    let container = unsafe { inner::<C>(object) };
    let key = Argument(key);
    let item = key.item();
    let Some(canonical) = quick_key(&item) else {
        return key.number_slowly(|key| container.contains(key).map(isize::from)) as c_int;
    };
    let raw = container.raw();
    guard_number(|| raw.contains(&raw.key(canonical)).map(isize::from)) as c_int
}

unsafe extern "C" fn length<C: Container>(object: *mut PyObject) -> Py_ssize_t {
    // SAFETY: the interpreter calls this slot attached, with a container that it holds during the call.
    let container = unsafe { inner::<C>(object) };
    guard_number(|| container.raw().len().map(|len| len.cast_signed() as isize))
}

unsafe extern "C" fn assign<C: Mapping>(
    object: *mut PyObject,
    key: *mut PyObject,
    value: *mut PyObject,
) -> c_int {
    // SAFETY: the interpreter calls this slot attached, with a container that it holds during the call.
    let container = unsafe { inner::<C>(object) };
    let key = Argument(key);
    if value.is_null() {
        return delete(container, key);
    }
    let (raw, value) = (container.raw(), Argument(value));
    let (item, value_item) = (key.item(), value.item());
    if let Some(canonical) = quick_key(&item)
        && let Some(word) = value_item.int().and_then(Word::of_int)
    {
        return guard_number(|| {
            let set = raw.set(&raw.key(canonical), &Incoming::Word(word));
            set.map(|()| 0)
        }) as c_int;
    }
    assign_other(raw, key, value)
}

/// The same for a value that is no int of 48 bits.
#[inline(never)]
fn assign_other(raw: &RawDict, key: Argument, value: Argument) -> c_int {
    let (item, value_item) = (key.item(), value.item());
    // Where it is: it has just been written word by word, and a wider copy would wait for these.
    let incoming = &quick_value(&value_item);
    let (Some(canonical), Some(incoming)) = (quick_key(&item), incoming) else {
        let set = |key: &Bound<'_, PyAny>| keyed::set(raw, key, &value.bound(key.py()));
        return key.number_slowly(|key| set(key).map(|()| 0)) as c_int;
    };
    guard_number(|| raw.set(&raw.key(canonical), incoming).map(|()| 0)) as c_int
}

fn delete<C: Mapping>(container: &C, key: Argument) -> c_int {
    let raw = container.raw();
    let item = key.item();
    // 0: not there, so nothing was done.
    let deleted = quick_key(&item).map_or(0, |canonical| {
        guard_number(|| raw.delete(&raw.key(canonical)).map(isize::from))
    });
    match deleted {
        0 => key.number_slowly(|key| container.delete(key).map(|()| 0)) as c_int,
        -1 => -1,
        _ => 0,
    }
}

unsafe extern "C" fn get<C: Mapping>(
    object: *mut PyObject,
    args: *mut *mut PyObject,
    count: Py_ssize_t,
) -> *mut PyObject {
    // SAFETY: the interpreter calls this method, which these classes alone have, attached, with a container that it holds.
    let container = unsafe { inner::<C>(object) };
    // SAFETY: the interpreter calls this method attached, with as many arguments, which it holds.
    let Some((key, default)) = (unsafe { arguments("get", args, count) }) else {
        return ptr::null_mut();
    };
    let or_default = || default.map_or_else(scalar::none, Argument::given);
    let raw = container.raw();
    let item = key.item();
    let Some(canonical) = quick_key(&item) else {
        return key.slowly(|key| {
            let default = || default.map_or_else(|| none(key.py()), |given| given.bound(key.py()));
            Ok(Some(keyed::get(raw, key)?.unwrap_or_else(default)))
        });
    };
    guard(|| {
        let found = raw.get(&raw.key(canonical), &Reader(container.spare()));
        finish(found, or_default)
    })
}

fn none(py: Python<'_>) -> Bound<'_, PyAny> {
    py.None().into_bound(py)
}

unsafe extern "C" fn setdefault<C: Mapping>(
    object: *mut PyObject,
    args: *mut *mut PyObject,
    count: Py_ssize_t,
) -> *mut PyObject {
    // SAFETY: the interpreter calls this method, which these classes alone have, attached, with a container that it holds.
    let container = unsafe { inner::<C>(object) };
    // SAFETY: the interpreter calls this method attached, with as many arguments, which it holds.
    let Some((key, default)) = (unsafe { arguments("setdefault", args, count) }) else {
        return ptr::null_mut();
    };
    // SAFETY: reads the address of an object of the interpreter's own, which is always there.
    let default = default.unwrap_or_else(|| Argument(unsafe { ffi::Py_None() }));
    let raw = container.raw();
    let (item, value) = (key.item(), default.item());
    let (Some(canonical), Some(value)) = (quick_key(&item), quick_value(&value)) else {
        return key.slowly(|key| {
            let default = default.bound(key.py());
            keyed::setdefault(raw, key, default).map(Some)
        });
    };
    guard(|| {
        let found = raw.set_default(&raw.key(canonical), &value, &Reader(container.spare()));
        finish(found, || default.given())
    })
}

unsafe extern "C" fn pop<C: Mapping>(
    object: *mut PyObject,
    args: *mut *mut PyObject,
    count: Py_ssize_t,
) -> *mut PyObject {
    // SAFETY: the interpreter calls this method, which these classes alone have, attached, with a container that it holds.
    let container = unsafe { inner::<C>(object) };
    // SAFETY: the interpreter calls this method attached, with as many arguments, which it holds.
    let Some((key, default)) = (unsafe { arguments("pop", args, count) }) else {
        return ptr::null_mut();
    };
    let raw = container.raw();
    let absent = || {
        default.map_or_else(
            || key.slowly(|key| Err(super::key::no_key(key))),
            Argument::given,
        )
    };
    let item = key.item();
    let Some(canonical) = quick_key(&item) else {
        return key.slowly(|key| {
            let default = || default.map(|given| given.bound(key.py()));
            let found = keyed::pop(raw, key)?.or_else(default);
            found.map(Some).ok_or_else(|| super::key::no_key(key))
        });
    };
    guard(|| {
        let found = raw.pop(&raw.key(canonical), &Reader(container.spare()));
        finish(found, absent)
    })
}

unsafe extern "C" fn add<C: Mapping>(
    object: *mut PyObject,
    args: *mut *mut PyObject,
    count: Py_ssize_t,
) -> *mut PyObject {
    // SAFETY: the interpreter calls this method, which these classes alone have, attached, with a container that it holds.
    let container = unsafe { inner::<C>(object) };
    // SAFETY: the interpreter calls this method attached, with as many arguments, which it holds.
    let Some((key, amount)) = (unsafe { arguments("add", args, count) }) else {
        return ptr::null_mut();
    };
    let raw = container.raw();
    let slowly = || {
        key.slowly(|key| {
            let py = key.py();
            let amount = amount
                .map(|amount| amount.bound(py))
                .filter(|amount| !amount.is_none());
            keyed::add(raw, key, amount).map(Some)
        })
    };
    let item = key.item();
    let amount_word = match amount {
        Some(amount) => amount.item().int().and_then(Word::of_int),
        None => Word::of_int(1),
    };
    let (Some(canonical), Some(word)) = (quick_key(&item), amount_word) else {
        return slowly();
    };
    guard(
        || match raw.add(&raw.key(canonical), &Incoming::Word(word)) {
            Ok(KeyAdded::Sum(sum)) => container.spare().int(sum),
            Ok(KeyAdded::Wide(bytes)) => scalar::raw(&Scalar::Big(&bytes)),
            // Nothing has happened.
            Ok(KeyAdded::NoInt) => slowly(),
            Err(failure) => raise_failure(failure),
        },
    )
}

unsafe extern "C" fn add_element(object: *mut PyObject, element: *mut PyObject) -> *mut PyObject {
    // SAFETY: the interpreter calls this method, which sets alone have, attached, with a set that it holds.
    let set = unsafe { inner::<Set>(object) };
    let element = Argument(element);
    let raw = &set.raw;
    let none = Incoming::Word(Word::NONE);
    let item = element.item();
    let Some(canonical) = quick_key(&item) else {
        return element.slowly(|element| {
            keyed::set_default(raw, element, &none)?;
            Ok(Some(self::none(element.py())))
        });
    };
    guard(
        || match raw.set_default(&raw.key(canonical), &none, &Copies) {
            Ok(Some(Err(Raised))) => ptr::null_mut(),
            Ok(_) => scalar::none(),
            Err(failure) => raise_failure(failure),
        },
    )
}

unsafe extern "C" fn discard(object: *mut PyObject, element: *mut PyObject) -> *mut PyObject {
    // SAFETY: the interpreter calls this method, which sets alone have, attached, with a set that it holds.
    let set = unsafe { inner::<Set>(object) };
    let element = Argument(element);
    let raw = &set.raw;
    let item = element.item();
    let Some(canonical) = quick_key(&item) else {
        return element.slowly(|element| {
            super::set_work::delete(raw, element)?;
            Ok(Some(none(element.py())))
        });
    };
    guard(|| match raw.delete(&raw.key(canonical)) {
        Ok(_) => scalar::none(),
        Err(failure) => raise_failure(failure),
    })
}

const GET: &CStr = c"get($self, key, default=None, /)\n--\n\nThe value of a key, or `default` if there is no such key.\n\nExamples:\n    >>> import onecopy\n    >>> onecopy.Dict(a=1).get(\"b\", 0)\n    0";
const SETDEFAULT: &CStr = c"setdefault($self, key, default=None, /)\n--\n\nThe value of a key. A key that is not there is set to `default`.\n\nExamples:\n    >>> import onecopy\n    >>> owners = onecopy.Dict()\n    >>> owners.setdefault(\"job\", \"me\")\n    'me'\n    >>> owners.setdefault(\"job\", \"you\")\n    'me'";
const POP: &CStr = c"pop($self, key, default=..., /)\n--\n\nTakes a key out and returns its value; `default` if there is no such key.\n\nRaises:\n    KeyError: There is no such key, and no default.\n\nExamples:\n    >>> import onecopy\n    >>> onecopy.Dict(a=1).pop(\"a\")\n    1";
const ADD: &CStr = c"add($self, key, amount=None, /)\n--\n\nAdds to the number of a key in one step, and returns the sum. A key that is not there gets `amount`.\n\nArgs:\n    key: Which number.\n    amount: What to add, 1 by default: an int, a float, or anything with `__index__`.\n\nRaises:\n    TypeError: The value, or `amount`, is no number.\n\nExamples:\n    >>> import onecopy\n    >>> counts = onecopy.Dict(a=1)\n    >>> counts.add(\"a\"), counts.add(\"b\", 5)\n    (2, 5)";
const ADD_ELEMENT: &CStr = c"add($self, element, /)\n--\n\nAdds an element.\n\nExamples:\n    >>> import onecopy\n    >>> seen = onecopy.Set(\"a\")\n    >>> seen.add(\"b\")\n    >>> len(seen)\n    2";
const DISCARD: &CStr = c"discard($self, element, /)\n--\n\nTakes an element out, if it is there.\n\nExamples:\n    >>> import onecopy\n    >>> seen = onecopy.Set(\"ab\")\n    >>> seen.discard(\"a\")\n    >>> seen\n    onecopy.Set({'b'})";

/// Puts the slots into a type that is ready and that nobody uses yet.
fn install_slots<C: Container>(
    py: Python<'_>,
    set: impl FnOnce(&mut ffi::PyMappingMethods),
) -> PyResult<()> {
    let class = py.get_type::<C>().as_type_ptr();
    let incomplete = || PyImportError::new_err("the container types came without slots");
    // SAFETY: a type that is ready; its slots are changed before anybody uses it.
    let mapping = unsafe { (*class).tp_as_mapping };
    // SAFETY: null, or the type's own table, which nobody else refers to now.
    let mapping = unsafe { mapping.as_mut() }.ok_or_else(incomplete)?;
    // SAFETY: a type that is ready; its slots are changed before anybody uses it.
    let sequence = unsafe { (*class).tp_as_sequence };
    // SAFETY: null, or the type's own table, which nobody else refers to now.
    let sequence = unsafe { sequence.as_mut() }.ok_or_else(incomplete)?;
    mapping.mp_length = Some(length::<C>);
    sequence.sq_contains = Some(contains::<C>);
    set(mapping);
    // SAFETY: a live type; the interpreter forgets what it remembers of it.
    unsafe { ffi::PyType_Modified(class) };
    Ok(())
}

fn install_mapping<C: Mapping>(py: Python<'_>) -> PyResult<()> {
    install_slots::<C>(py, |mapping| {
        mapping.mp_subscript = Some(subscript::<C>);
        mapping.mp_ass_subscript = Some(assign::<C>);
    })?;
    let class = py.get_type::<C>();
    let methods: [(_, ffi::PyCFunctionFast, _); 4] = [
        (c"get", get::<C>, GET),
        (c"setdefault", setdefault::<C>, SETDEFAULT),
        (c"pop", pop::<C>, POP),
        (c"add", add::<C>, ADD),
    ];
    for (name, function, doc) in methods {
        let meth = ffi::PyMethodDefPointer {
            PyCFunctionFast: function,
        };
        add_method(&class, name, meth, ffi::METH_FASTCALL, doc)?;
    }
    Ok(())
}

/// Puts the slots of this file into the types. Called once, when the module is made, before any instance exists.
pub(super) fn install(py: Python<'_>) -> PyResult<()> {
    install_mapping::<Dict>(py)?;
    install_mapping::<Counter>(py)?;
    install_slots::<Set>(py, |_| ())?;
    let class = py.get_type::<Set>();
    let methods: [(_, ffi::PyCFunction, _); 2] = [
        (c"add", add_element, ADD_ELEMENT),
        (c"discard", discard, DISCARD),
    ];
    for (name, function, doc) in methods {
        let meth = ffi::PyMethodDefPointer {
            PyCFunction: function,
        };
        add_method(&class, name, meth, ffi::METH_O, doc)?;
    }
    Ok(())
}
