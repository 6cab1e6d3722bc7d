//! The two objects that a column handed out last, to be handed out once more with other values.
//!
//! Most objects that are read are looked at and let go: `sum(x < t for x in view)`. Making a str, a float or a large int and
//! releasing it again costs more than finding its value. So a column keeps the last ones, and if nobody else has one any
//! more when the next is asked for, writes the next value into it, as `zip` does with its tuple. Two, because a loop has
//! its element in a variable until the next one is there.
//!
//! **Invariants.** `Z1`: each object is null, or an exact float, an exact int past those that are kept for ever, or an exact
//! ASCII str of [`LENGTHS`] characters that was made as `text::ascii` does; the spare owns a reference to it. `Z2`: only threads that
//! are attached to the interpreter come here, so nobody counts references meanwhile. What has one reference is known to
//! nobody but the spare, and no other object can tell that its value changes. `Z3`: nothing is kept unless
//! `cpython::layouts` found that values can be written like this in this interpreter.
#![allow(unsafe_code, reason = "counts references, and writes into objects")]

use std::cell::Cell;
use std::ops::RangeInclusive;
use std::ptr;

use pyo3::ffi::{self, PyObject};

use crate::cpython::{layouts, pyfloat, pylong};
use crate::value::{scalar, text};

/// Strs of other lengths are made anew: those of one character are the interpreter's, and long ones would be kept for
/// as long as the view.
const LENGTHS: RangeInclusive<usize> = 2..=64;

/// How often the object may be found in use, one time after the other, before nothing is kept for a while: `list(view)`
/// keeps all objects itself, and then an object costs two references more that nobody needs.
const PATIENCE: u8 = 8;

/// See the top of this file.
pub(crate) struct Spare {
    last: Cell<*mut PyObject>,
    before: Cell<*mut PyObject>,
    /// How often both were found in use; past [`PATIENCE`], how many objects were not kept since, and then it is tried again.
    in_use: Cell<u8>,
}

// SAFETY: only attached threads use it, one at a time (Z2), and its objects are bound to none of them.
unsafe impl Send for Spare {}
// SAFETY: only attached threads use it, of which there is one at a time (Z2).
unsafe impl Sync for Spare {}

impl Spare {
    pub(crate) const fn new() -> Self {
        Self {
            last: Cell::new(ptr::null_mut()),
            before: Cell::new(ptr::null_mut()),
            in_use: Cell::new(0),
        }
    }

    /// One of the objects, if nobody else has it; it is the last one from then on.
    #[inline]
    fn free(&self) -> Option<*mut PyObject> {
        let (last, before) = (self.last.get(), self.before.get());
        // SAFETY: what the spare keeps (Z1).
        if unsafe { Self::is_free(before) } {
            self.last.set(before);
            self.before.set(last);
            self.in_use.set(0);
            return Some(before);
        }
        // SAFETY: what the spare keeps (Z1).
        if unsafe { Self::is_free(last) } {
            self.in_use.set(0);
            return Some(last);
        }
        if !last.is_null() {
            self.in_use.set(self.in_use.get().saturating_add(1));
        }
        None
    }

    /// Whether nobody but the spare has the object.
    ///
    /// # Safety
    /// - `object` is null, or an object to which the spare has a reference.
    #[inline]
    unsafe fn is_free(object: *mut PyObject) -> bool {
        // SAFETY: not null, so an object that the spare's reference keeps alive; no other thread counts references
        // meanwhile (Z2).
        !object.is_null() && unsafe { ffi::Py_REFCNT(object) } == 1
    }

    /// Keeps an object that is about to be handed out, or nothing if it is null, in place of the one before the last.
    #[inline]
    fn keep(&self, object: *mut PyObject) -> *mut PyObject {
        if !layouts::values_are_known() {
            return object;
        }
        let in_use = self.in_use.get();
        if in_use > PATIENCE {
            self.in_use.set(if in_use == u8::MAX {
                PATIENCE
            } else {
                in_use + 1
            });
            self.clear();
            return object;
        }
        // SAFETY: null, or what `int`, `float` or `ascii` have just made or found and the caller has a reference to, so
        // it is alive; no other thread counts references meanwhile (Z2).
        unsafe { ffi::Py_XINCREF(object) };
        self.replace(object);
        object
    }

    /// Puts an object, to which the spare now has a reference, or null in the place of the one before the last.
    #[inline]
    fn replace(&self, object: *mut PyObject) {
        let last = self.before.replace(self.last.replace(object));
        // SAFETY: null, or the reference that the spare owned (Z1) and, as its place was just taken, owns no longer;
        // the thread is attached (Z2). To release an exact int, float or str runs no Python code.
        unsafe { ffi::Py_XDECREF(last) };
    }

    /// Hands the spare's object out.
    ///
    /// # Safety
    /// - `object` is the spare's, as [`Spare::free`] gave it.
    #[inline]
    unsafe fn hand_out(object: *mut PyObject) -> *mut PyObject {
        // SAFETY: the spare owns a reference to it (Z1), which keeps it alive; no other thread counts references
        // meanwhile (Z2).
        unsafe { ffi::Py_INCREF(object) };
        object
    }

    /// An int, as a new reference, or null with an exception set.
    #[inline]
    pub(crate) fn int(&self, value: i64) -> *mut PyObject {
        if let Some(small) = scalar::small(value) {
            return small;
        }
        if let Some(object) = self.free() {
            // SAFETY: the spare's object, which is alive and no int that is kept for ever (Z1), and has no other
            // reference, as `free` says; the thread is attached (Z2).
            if unsafe { pylong::renew(object, value) } {
                // SAFETY: what `free` gave, and the spare still has.
                return unsafe { Self::hand_out(object) };
            }
        }
        self.keep(scalar::large(value))
    }

    /// A float, as a new reference, or null with an exception set.
    #[inline]
    pub(crate) fn float(&self, value: f64) -> *mut PyObject {
        if let Some(object) = self.free() {
            // SAFETY: the spare's object, which is alive (Z1) and has no other reference, as `free` says; the thread is
            // attached (Z2). There is an object only if F1 of `pyfloat` was found out (Z3).
            if unsafe { pyfloat::renew(object, value) } {
                // SAFETY: what `free` gave, and the spare still has.
                return unsafe { Self::hand_out(object) };
            }
        }
        // SAFETY: takes a plain number; the thread is attached (Z2).
        self.keep(unsafe { ffi::PyFloat_FromDouble(value) })
    }

    /// A str of ASCII characters, as a new reference, or null with an exception set.
    #[inline]
    pub(crate) fn ascii(&self, content: &[u8]) -> *mut PyObject {
        if !LENGTHS.contains(&content.len()) {
            return text::ascii(content);
        }
        if let Some(object) = self.free() {
            // SAFETY: the spare's object, which is alive; if it is a str, `text::ascii` made it, of more than one
            // character (Z1). It has no other reference, as `free` says, and the thread is attached (Z2).
            match unsafe { text::renew(object, content) } {
                // SAFETY: what `free` gave, and the spare still has.
                Some(true) => return unsafe { Self::hand_out(object) },
                // What is in it now is no text.
                Some(false) => self.clear(),
                None => {}
            }
        }
        self.keep(text::ascii(content))
    }

    /// An ASCII str of `len` characters that nobody else has, to be filled at the address: the spare gives its reference
    /// away. What is in it is no text until then.
    #[inline]
    pub(crate) fn take_ascii(&self, len: usize) -> Option<(*mut PyObject, *mut u8)> {
        if !LENGTHS.contains(&len) {
            return None;
        }
        let object = self.free()?;
        // SAFETY: the spare's object, which is alive; if it is a str, it is one of more than one character that was made as
        // `text::ascii` does (Z1). It has no other reference, as `free` says, and the thread is attached (Z2).
        let to = unsafe { text::room(object, len) }?;
        // `free` has made it the last one.
        self.last.set(self.before.replace(ptr::null_mut()));
        Some((object, to))
    }

    /// Keeps an exact ASCII str that was made as `text::ascii` does and is about to be handed out.
    ///
    /// # Safety
    /// - `object` is such a str, and its characters are ASCII.
    #[inline]
    pub(crate) unsafe fn keep_ascii(&self, object: *mut PyObject, len: usize) -> *mut PyObject {
        if LENGTHS.contains(&len) {
            return self.keep(object);
        }
        object
    }

    /// Lets the objects go.
    pub(crate) fn clear(&self) {
        self.replace(ptr::null_mut());
        self.replace(ptr::null_mut());
    }
}

impl Drop for Spare {
    /// Columns belong to Python objects, which are released by attached threads; others have never handed anything out.
    fn drop(&mut self) {
        self.clear();
    }
}
