//! From a Python object to a plain value: what `share()` and look-ups ask of millions of objects.
//!
//! **Invariant.** `O1`: an [`Item`] is a live object of an attached thread. Whoever made it holds the object, or took it
//! from a list or tuple that is held, and lets no Python code run as long as it uses the item or what was read from it.
#![allow(unsafe_code, reason = "reads ints, floats, strs and bytes in place")]

use onecopy::image::{Scalar, Text};
use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;

use super::text;
use crate::cpython::pylong;

/// A borrowed object.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Item(*mut PyObject);

impl Item {
    /// The item that an object is.
    pub(crate) fn of(object: &Bound<'_, PyAny>) -> Self {
        Self(object.as_ptr())
    }

    /// The element as an object that is kept alive.
    pub(crate) fn object(self, py: Python<'_>) -> Bound<'_, PyAny> {
        // SAFETY: the object is alive as long as its owner is held and unchanged (O1); it gets a reference of its own
        // here.
        unsafe { Bound::from_borrowed_ptr(py, self.0) }
    }

    /// The object's identity.
    pub(crate) fn address(self) -> usize {
        self.0.addr()
    }

    /// Whether more than one owner refers to it, not counting `extra` references of the walk itself.
    #[inline]
    pub(crate) fn is_shared(self, extra: isize) -> bool {
        // SAFETY: the object is alive as long as its owner is held and unchanged (O1).
        unsafe { ffi::Py_REFCNT(self.0) > 1 + extra }
    }

    fn class(self) -> *mut ffi::PyTypeObject {
        // SAFETY: the object is alive as long as its owner is held and unchanged (O1).
        unsafe { ffi::Py_TYPE(self.0) }
    }

    /// The value of an exact int of 64 bits.
    #[inline]
    pub(crate) fn int(self) -> Option<i64> {
        // SAFETY: the object is alive as long as its owner is held and unchanged, and the thread is attached (O1).
        if !unsafe { pylong::is_exact_int(self.0) } {
            return None;
        }
        // SAFETY: alive (O1), and an exact int, as its class has just said.
        unsafe { pylong::to_i64(self.0) }
    }

    /// The value of an exact float.
    #[inline]
    pub(crate) fn float(self) -> Option<f64> {
        if !std::ptr::eq(self.class(), &raw const ffi::PyFloat_Type) {
            return None;
        }
        // SAFETY: alive (O1), and an exact float, as its class has just said.
        Some(unsafe { ffi::PyFloat_AS_DOUBLE(self.0) })
    }

    /// The value of a bool.
    #[inline]
    pub(crate) fn bool(self) -> Option<bool> {
        // SAFETY: reads the address of a static of the interpreter, which is there as long as anybody runs in it.
        if std::ptr::eq(self.0, unsafe { ffi::Py_True() }) {
            return Some(true);
        }
        // SAFETY: reads the address of a static of the interpreter, which is there as long as anybody runs in it.
        std::ptr::eq(self.0, unsafe { ffi::Py_False() }).then_some(false)
    }

    /// Whether it is `None`.
    #[inline]
    pub(crate) fn is_none(self) -> bool {
        // SAFETY: reads the address of a static of the interpreter, which is there as long as anybody runs in it.
        std::ptr::eq(self.0, unsafe { ffi::Py_None() })
    }

    /// The characters of an exact str; `None` also if there is no memory to lay them out.
    #[inline]
    pub(crate) fn text(&self) -> Option<Text<'_>> {
        if !std::ptr::eq(self.class(), &raw const ffi::PyUnicode_Type) {
            return None;
        }
        // SAFETY: an exact str, as its class has just said, that lives as long as the item is used; the thread is attached
        // (O1).
        unsafe { text::read(self.0) }
    }

    /// The element's value if it is exactly of a type that images hold. A large int is written to `scratch`.
    #[inline]
    pub(crate) fn scalar(self, scratch: &mut Vec<u8>) -> Option<Scalar<'_>> {
        let class = self.class().cast_const();
        if std::ptr::eq(class, &raw const ffi::PyUnicode_Type) {
            // SAFETY: an exact str, as its class has just said, that lives as long as no Python code runs, which is as
            // long as the result is used (O1); the thread is attached (O1).
            return unsafe { text::read(self.0) }.map(Scalar::Str);
        }
        if std::ptr::eq(class, &raw const ffi::PyLong_Type) {
            // SAFETY: alive (O1), and an exact int, as its class has just said.
            return Some(unsafe { self.long(scratch) });
        }
        if let Some(value) = self.float() {
            return Some(Scalar::Float(value));
        }
        if self.is_none() {
            return Some(Scalar::None);
        }
        if let Some(value) = self.bool() {
            return Some(Scalar::Bool(value));
        }
        if std::ptr::eq(class, &raw const ffi::PyComplex_Type) {
            // SAFETY: alive (O1), and an exact complex, as its class has just said.
            let real = unsafe { ffi::PyComplex_RealAsDouble(self.0) };
            // SAFETY: alive (O1), and an exact complex, as its class has just said.
            let imaginary = unsafe { ffi::PyComplex_ImagAsDouble(self.0) };
            return Some(Scalar::Complex(real, imaginary));
        }
        if std::ptr::eq(class, &raw const ffi::PyBytes_Type) {
            // SAFETY: alive (O1), and exact bytes, as its class has just said.
            let start = unsafe { ffi::PyBytes_AsString(self.0) };
            // SAFETY: alive (O1), and exact bytes, as its class has just said.
            let len = unsafe { ffi::Py_SIZE(self.0) };
            // SAFETY: `len` bytes lie at `start`, as the object itself says; they never change, and live as long as no
            // Python code runs, which is as long as the result is used (O1).
            let content = unsafe { std::slice::from_raw_parts(start.cast(), len.unsigned_abs()) };
            return Some(Scalar::Bytes(content));
        }
        None
    }

    /// # Safety
    /// - the element is an exact int.
    unsafe fn long(self, scratch: &mut Vec<u8>) -> Scalar<'_> {
        // SAFETY: an exact int, as this function asks, and alive (O1).
        if let Some(value) = unsafe { pylong::to_i64(self.0) } {
            return Scalar::Int(value);
        }
        // SAFETY: an exact int, as this function asks, that lives while no Python code runs (O1), and so as long as the
        // slice, which is not used after this function.
        let (negative, digits) = unsafe { pylong::digits(self.0) };
        if let Some(value) = pylong::to_large_u64(negative, digits) {
            return Scalar::Uint(value);
        }
        pylong::to_bytes(negative, digits, scratch);
        Scalar::Big(scratch)
    }
}
