//! How many bytes an object occupies, closely enough for a report.
#![allow(unsafe_code, reason = "asks `cpython/` for the lengths of raw objects")]

use pyo3::ffi::{self, PyObject};

use super::classes::{Class, Native};
use crate::cpython::{containers, pylong, unicode};

/// Bytes of an object, by the blocks of memory that they are in.
pub(super) struct Size {
    pub(super) own: u64,
    /// A list's items, a dict's keys and values, a large set's table.
    pub(super) beside: u64,
}

/// # Safety
/// - `object` is a live instance of `class`, and the thread is attached.
#[inline]
pub(super) unsafe fn of(object: *mut PyObject, class: &Class) -> Size {
    let own = class.fixed_bytes;
    let more = match class.native {
        Native::Str => {
            // SAFETY: `Types::classify` gives this kind to strs and instances of subclasses, which all are ready from
            // 3.12 on; live and attached, as this function asks.
            let own = unsafe { unicode::bytes(object) } as u64;
            return Size { own, beside: 0 };
        }
        Native::Int => {
            // SAFETY: `Types::classify` gives this kind to ints and instances of subclasses, which begin like an int and
            // never change; live, as this function asks.
            let (_, digits) = unsafe { pylong::digits(object) };
            size_of_val(digits).max(size_of::<u32>())
        }
        Native::Bytes | Native::Tuple => {
            let item = if class.native == Native::Bytes { 1 } else { 8 };
            // SAFETY: `Types::classify` gives these kinds to bytes, tuples and instances of subclasses, which begin
            // with a `PyVarObject`; live and attached, as this function asks.
            item * unsafe { ffi::Py_SIZE(object) }.unsigned_abs()
        }
        // SAFETY: `Types::classify` gives this kind to lists and instances of subclasses; live and attached, as this
        // function asks.
        Native::List => unsafe { containers::list_bytes(object) },
        Native::Dict => {
            // SAFETY: `Types::classify` gives this kind to dicts and instances of subclasses; live and attached, as
            // this function asks.
            let len = unsafe { ffi::PyDict_Size(object) };
            containers::grown_dict_bytes(len.unsigned_abs())
        }
        Native::Set | Native::FrozenSet => {
            // SAFETY: `Types::classify` gives these kinds to sets, frozensets and instances of subclasses; live and
            // attached, as this function asks.
            unsafe { containers::set_table_bytes(object) }
        }
        _ => 0,
    };
    let more = more as u64;
    match class.native {
        Native::Int | Native::Bytes | Native::Tuple => Size {
            own: own + more,
            beside: 0,
        },
        _ => Size { own, beside: more },
    }
}
