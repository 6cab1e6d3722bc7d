//! Which classes are frozen, and how: an allow-list.
//!
//! | treatment | classes |
//! |---|---|
//! | marked and descended | exact list, tuple, dict, set, frozenset, deque, `OrderedDict`, defaultdict, `SimpleNamespace`; classes written in Python without `__del__` whose base is `object` or one of this table |
//! | marked | int, float, complex, str, bytes, bytearray, bool, `object()`, date, time, datetime, timedelta, tzinfo, timezone, `Decimal`, range, `array.array`, numpy's ndarray (one of objects is descended) |
//! | left alone | everything else |
//!
//! A class was written in Python if it is destroyed by `subtype_dealloc` and traversed by `subtype_traverse`, the
//! functions that `type.__new__` puts into every class (`Objects/typeobject.c`). Nothing on the list runs Python code
//! when it is traversed. What is left alone lives on, because the immortal object that refers to it never lets go.
#![allow(unsafe_code)] // Reads the slots of type objects.

use std::collections::HashMap;

use pyo3::ffi::{self, PyObject, PyTypeObject};
use pyo3::prelude::*;
use pyo3::types::PyType;

use crate::cpython::before;

/// What the part of an object that was written in C is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Native {
    Skip,
    Str,
    Bytes,
    Int,
    /// Holds nothing and remembers no hash.
    Leaf,
    List,
    Tuple,
    /// Also `OrderedDict` and defaultdict.
    Dict,
    Set,
    FrozenSet,
    /// deque, `SimpleNamespace`.
    Traversed,
    /// Just what every object has.
    Object,
    Range,
    /// date, timedelta, `Decimal`: remember their hash.
    Hashed,
    Time,
    DateTime,
    TimeZone,
    /// An array of numpy, exactly; the collector does not see the elements of an array of objects.
    NdArray,
}

/// What is known of a class whose instances were met.
#[allow(clippy::struct_excessive_bools)] // Independent facts about a class.
pub(super) struct Class {
    pub(super) raw: *mut PyTypeObject,
    pub(super) native: Native,
    /// Written in Python.
    pub(super) python: bool,
    /// Instances have the collector's header.
    pub(super) collected: bool,
    /// Instances may have a `__dict__` of their own.
    pub(super) has_dict: bool,
    /// Instances have their `__dict__` before their start.
    pub(super) managed_dict: bool,
    /// Instances refer to others that have to be visited.
    pub(super) descend: bool,
    /// `tp_traverse` has to be called for that.
    pub(super) traverse: bool,
    /// Bytes of an instance besides what depends on its length.
    pub(super) fixed_bytes: u64,
    pub(super) objects: u64,
}

/// The classes of the running interpreter that cannot be named in C.
pub(super) struct Types {
    named: HashMap<*mut PyTypeObject, Native>,
    subtype_traverse: usize,
    subtype_dealloc: usize,
    /// A debug build asserts that immortal strs are interned and, from 3.15 on, that dicts are tracked.
    pub(super) debug_build: bool,
}

const NAMED: [(&str, &str, Native); 13] = [
    ("_collections", "deque", Native::Traversed),
    ("_collections", "OrderedDict", Native::Dict),
    ("_collections", "defaultdict", Native::Dict),
    ("types", "SimpleNamespace", Native::Traversed),
    ("_datetime", "date", Native::Hashed),
    ("_datetime", "timedelta", Native::Hashed),
    ("_datetime", "time", Native::Time),
    ("_datetime", "datetime", Native::DateTime),
    ("_datetime", "timezone", Native::TimeZone),
    ("_decimal", "Decimal", Native::Hashed),
    ("array", "array", Native::Leaf),
    ("numpy", "ndarray", Native::NdArray),
    // Has no state of its own; classes of timezones are derived from it.
    ("_datetime", "tzinfo", Native::Leaf),
];

impl Types {
    /// Looks the classes up. Modules that were not imported have no instances, so nothing is imported.
    pub(super) fn find(py: Python<'_>) -> PyResult<Self> {
        let modules = py.import("sys")?.getattr("modules")?;
        let probe = py
            .get_type::<PyType>()
            .call1(("probe", (), pyo3::types::PyDict::new(py)))?;
        let raw = probe.as_ptr().cast::<PyTypeObject>();
        // SAFETY: a class that was just made, which `probe` holds to the end of this function.
        let traverse = unsafe { (*raw).tp_traverse };
        // SAFETY: another field of the same class.
        let dealloc = unsafe { (*raw).tp_dealloc };
        let mut types = Self {
            named: HashMap::new(),
            subtype_traverse: traverse.map_or(0, |function| function as usize),
            subtype_dealloc: dealloc.map_or(0, |function| function as usize),
            debug_build: py.import("sys")?.hasattr("gettotalrefcount")?,
        };
        for (module, name, native) in NAMED {
            // Not imported, or a module of the user's that happens to have this name.
            let Ok(found) = modules
                .get_item(module)
                .and_then(|module| module.getattr(name))
            else {
                continue;
            };
            let raw = found.as_ptr().cast::<PyTypeObject>();
            // A stand-in for the module may hold anything; one written in Python is judged like every class.
            // SAFETY: a class, as was just found, that `found` holds, and attached, as it shows.
            if found.is_instance_of::<PyType>() && !unsafe { types.is_python(raw) } {
                types.named.insert(raw, native);
            }
        }
        Ok(types)
    }

    /// Whether a class was written in Python.
    ///
    /// # Safety
    /// - `class` is a live class, and the thread is attached.
    unsafe fn is_python(&self, class: *mut PyTypeObject) -> bool {
        // SAFETY: reads a field of a live class of an attached thread, as this function asks.
        let flags = unsafe { ffi::PyType_GetFlags(class) };
        // SAFETY: another field of the same class, which is fixed once the class is ready.
        let dealloc = unsafe { (*class).tp_dealloc }.map_or(0, |function| function as usize);
        // SAFETY: another field of the same class, which is fixed once the class is ready.
        let traverse = unsafe { (*class).tp_traverse }.map_or(0, |function| function as usize);
        flags & ffi::Py_TPFLAGS_HEAPTYPE != 0
            && dealloc == self.subtype_dealloc
            && (flags & ffi::Py_TPFLAGS_HAVE_GC == 0 || traverse == self.subtype_traverse)
    }

    /// C classes are told by identity, before anything else is looked at.
    fn native(&self, class: *mut PyTypeObject) -> Option<Native> {
        let builtin = [
            (&raw mut ffi::PyUnicode_Type, Native::Str),
            (&raw mut ffi::PyLong_Type, Native::Int),
            (&raw mut ffi::PyFloat_Type, Native::Leaf),
            (&raw mut ffi::PyList_Type, Native::List),
            (&raw mut ffi::PyTuple_Type, Native::Tuple),
            (&raw mut ffi::PyDict_Type, Native::Dict),
            (&raw mut ffi::PyBool_Type, Native::Leaf),
            (&raw mut ffi::PyBytes_Type, Native::Bytes),
            (&raw mut ffi::PySet_Type, Native::Set),
            (&raw mut ffi::PyFrozenSet_Type, Native::FrozenSet),
            (&raw mut ffi::PyComplex_Type, Native::Leaf),
            (&raw mut ffi::PyByteArray_Type, Native::Leaf),
            (&raw mut ffi::PyRange_Type, Native::Range),
            (&raw mut ffi::PyBaseObject_Type, Native::Object),
        ];
        let found = builtin.iter().find(|(known, _)| *known == class);
        found
            .map(|&(_, native)| native)
            .or_else(|| self.named.get(&class).copied())
    }

    /// The C part of a class, and whether the class was written in Python.
    ///
    /// # Safety
    /// - `class` is a live class, and the thread is attached.
    unsafe fn classify(&self, class: *mut PyTypeObject) -> (Native, bool) {
        if let Some(native) = self.native(class) {
            return (native, false);
        }
        let mut at = class;
        while !at.is_null() {
            if let Some(native) = self.native(at) {
                // A class derived from ndarray may put its own methods in the way of looking at the elements.
                let known = native != Native::NdArray;
                return (if known { native } else { Native::Skip }, known);
            }
            // SAFETY: `at` is `class`, which lives, as this function asks, or a base of it, which it holds.
            let finalize = unsafe { (*at).tp_finalize };
            // SAFETY: another field of the same class.
            let del = unsafe { (*at).tp_del };
            // SAFETY: the same live class, and an attached thread, as this function asks.
            let is_python = unsafe { self.is_python(at) };
            if !is_python || finalize.is_some() || del.is_some() {
                return (Native::Skip, false);
            }
            // SAFETY: another field of the same class, which holds the base that stands there.
            at = unsafe { (*at).tp_base };
        }
        (Native::Skip, false)
    }

    /// What has to be known of the class of `object`.
    ///
    /// # Safety
    /// - `object` is a live object, and the thread is attached.
    pub(super) unsafe fn describe(&self, object: *mut PyObject) -> Class {
        // SAFETY: reads the class in the head of `object`, which is live and whose thread is attached: this function's
        // own duty.
        let class = unsafe { ffi::Py_TYPE(object) };
        // SAFETY: `object` is alive, as this function asks, and holds its class; the thread is attached.
        let (mut native, python) = unsafe { self.classify(class) };
        if self.debug_build && native == Native::Str {
            native = Native::Skip;
        }
        // SAFETY: reads a field of the class, which `object` holds, as it is alive.
        let flags = unsafe { ffi::PyType_GetFlags(class) };
        // SAFETY: another field of the same class.
        let dict_offset = unsafe { (*class).tp_dictoffset };
        let collected = flags & ffi::Py_TPFLAGS_HAVE_GC != 0;
        let managed_dict = flags & ffi::Py_TPFLAGS_MANAGED_DICT != 0;
        let exact = matches!(native, Native::List | Native::Tuple) && !python;
        let traverse = match native {
            Native::Set | Native::FrozenSet | Native::Traversed => true,
            // defaultdict and OrderedDict hold more than a dict does.
            Native::Dict => class != &raw mut ffi::PyDict_Type,
            _ => python && collected,
        };
        let descend = traverse
            || exact
            || matches!(
                native,
                Native::Dict
                    | Native::Range
                    | Native::Time
                    | Native::DateTime
                    | Native::TimeZone
                    | Native::NdArray
            );
        let own = match native {
            Native::Skip => 0,
            // SAFETY: a live object of an attached thread, as this function asks too.
            _ => unsafe { fixed_bytes(object) },
        };
        // SAFETY: `object` is alive and the thread attached, as this function asks; the object holds its class.
        let before = unsafe { before::bytes(class) };
        let fixed_bytes = own + before as u64;
        Class {
            raw: class,
            native,
            python,
            collected,
            has_dict: managed_dict || dict_offset != 0,
            managed_dict,
            descend: descend && native != Native::Skip,
            traverse: traverse && native != Native::Skip,
            fixed_bytes,
            objects: 0,
        }
    }
}

/// `object.__sizeof__`, which knows what of an instance does not depend on its class; without items.
///
/// # Safety
/// - `object` is a live object, and the thread is attached.
unsafe fn fixed_bytes(object: *mut PyObject) -> u64 {
    // SAFETY: reads the class in the head of `object`, which is live and whose thread is attached: this function's own
    // duty.
    let class = unsafe { ffi::Py_TYPE(object) };
    // SAFETY: reads a field of the class, which `object` holds, as it is alive.
    let basic = unsafe { (*class).tp_basicsize };
    // SAFETY: another field of the same class.
    let item = unsafe { (*class).tp_itemsize };
    if item != 0 {
        return basic.unsigned_abs() as u64;
    }
    // SAFETY: the thread is attached, as this function asks, and stays so until `py` is used for the last time, in this
    // function.
    let py = unsafe { Python::assume_attached() };
    // SAFETY: a live object, as this function asks; it gets a reference, which this `Bound` gives back.
    let object = unsafe { Bound::from_borrowed_ptr(py, object) };
    let object_class = py.get_type::<PyAny>();
    // The method of `object` itself: no class can put code of its own here.
    object_class
        .call_method1("__sizeof__", (object,))
        .and_then(|size| size.extract())
        .unwrap_or(basic.unsigned_abs() as u64)
}
