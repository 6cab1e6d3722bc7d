//! Strs, made and read by hand: `PyO3` goes by UTF-8, and an image has each str in its narrowest of 1, 2 or 4 bytes a
//! character, as `CPython` has it.
//!
//! What is made gives what slots give: a new reference, or null with an exception set.
//!
//! **Invariant.** `V1`: as in [`super::scalar`], the functions are called by threads that are attached to the interpreter.
#![allow(
    unsafe_code,
    reason = "reads and writes the characters of strs where they lie"
)]

use std::ptr;
use std::sync::atomic::{Ordering, compiler_fence};

use onecopy::image::{ImageError, Text, TextKind};
use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;

use super::failure;
use crate::cpython::unicode;
use crate::error::Error;

/// A str of ASCII characters; checked, as a str that says so wrongly would break the interpreter.
#[inline]
pub(crate) fn ascii(content: &[u8]) -> *mut PyObject {
    let kind = TextKind::Ascii;
    if content.len() == 1 {
        return new(Text {
            kind,
            bytes: content,
        });
    }
    // SAFETY: takes plain numbers; whoever calls functions of this folder is attached (V1).
    let (object, to) = unsafe { unicode::new_ascii(content.len()) };
    if object.is_null() {
        return object;
    }
    // SAFETY: the str was just made for as many characters as `content` has bytes, in memory of the interpreter's own,
    // and nobody else has it.
    if unsafe { copy_ascii(content, to) } {
        return object;
    }
    not_narrowest(object)
}

/// Writes another text of ASCII characters into a str of as many. `None` if it cannot be done; then it is as it was.
/// `Some(false)` if the text is not ASCII; then the str is to be thrown away.
///
/// # Safety
/// - `object` is live, and nobody but the caller has a reference to it; the thread is attached;
/// - if it is an exact str, [`ascii`] made it, of more than one character.
#[inline]
pub(crate) unsafe fn renew(object: *mut PyObject, content: &[u8]) -> Option<bool> {
    // SAFETY: a live object that only the caller has and, if it is an exact str, `ascii` made, of more than one character:
    // this function's own duties.
    let to = unsafe { room(object, content.len()) }?;
    // SAFETY: `room` gives a place for `content.len()` characters, in memory of the interpreter's own, of a str
    // that only the caller has.
    Some(unsafe { copy_ascii(content, to) })
}

/// Where another text of `len` ASCII characters can be written into a str. `None` if it cannot be done; then it is as it was.
///
/// # Safety
/// - as for [`renew`].
#[inline]
pub(crate) unsafe fn room(object: *mut PyObject, len: usize) -> Option<*mut u8> {
    // SAFETY: reads the class in the head of `object`, which is live and whose thread is attached: this function's own
    // duty.
    if unsafe { ffi::PyUnicode_CheckExact(object) } == 0 {
        return None;
    }
    // SAFETY: an exact str, as was just found, so `ascii` made it, of more than one character and by
    // `unicode::new_ascii`, or as that does; only the caller has it: this function's own duties.
    unsafe { unicode::renew_ascii(object, len) }
}

/// Copies bytes of the image into a str, and tells whether all that were copied are ASCII.
///
/// # Safety
/// - as many bytes can be written at `to`, they lie outside the image, and nobody else refers to them for now.
#[inline]
unsafe fn copy_ascii(content: &[u8], to: *mut u8) -> bool {
    match content.len() {
        // SAFETY: there is room for as many bytes, outside the image and nobody else's, as this function asks too.
        8..=16 => unsafe { copy_short_ascii(content, to) },
        // SAFETY: there is room for as many bytes, outside the image and nobody else's, as this function asks too;
        // nothing is copied into the empty str.
        _ => unsafe { copy(content, to) }.is_ascii(),
    }
}

/// Copies 8 to 16 bytes as two words, which overlap, and tells whether all are ASCII. Many strs are as short, and calling
/// `memcpy` and looking at what it has copied takes longer than making the str.
///
/// # Safety
/// - as many bytes as `content` has can be written at `to`, they lie outside the image, and nobody else refers to them for
///   now.
#[inline]
unsafe fn copy_short_ascii(content: &[u8], to: *mut u8) -> bool {
    const NOT_ASCII: u64 = 0x8080_8080_8080_8080;
    let (Some(&head), Some(&tail)) = (content.first_chunk(), content.last_chunk()) else {
        return false;
    };
    // So that the compiler does not load them once more: what is looked at is what is written.
    compiler_fence(Ordering::SeqCst);
    let last = to.wrapping_add(content.len().wrapping_sub(size_of::<u64>()));
    // SAFETY: the first 8 of at least 8 bytes that can be written, as this function asks.
    unsafe { to.cast::<[u8; 8]>().write(head) };
    // SAFETY: `last` is 8 before the end of the same bytes, of which there are at least 8: the last ones, which can be
    // written.
    unsafe { last.cast::<[u8; 8]>().write(tail) };
    (u64::from_ne_bytes(head) | u64::from_ne_bytes(tail)) & NOT_ASCII == 0
}

/// Copies bytes of the image to where no other process can change them; what counts is what has been copied.
///
/// # Safety
/// - as many bytes can be written at `to`, they lie outside the image, and nobody else refers to them for now.
#[inline]
unsafe fn copy<'a>(content: &[u8], to: *mut u8) -> &'a [u8] {
    // SAFETY: `content` is readable, as many bytes at `to` are writable and lie elsewhere, as this function asks.
    unsafe { ptr::copy_nonoverlapping(content.as_ptr(), to, content.len()) };
    // So that the compiler does not take the bytes from where they were copied from.
    compiler_fence(Ordering::SeqCst);
    // SAFETY: written by the copy above, and nobody else's for now, as this function asks.
    unsafe { std::slice::from_raw_parts(to, content.len()) }
}

/// A str of any kind; checked to be in its narrowest form, as otherwise it would not equal the same text.
pub(crate) fn new(content: Text<'_>) -> *mut PyObject {
    let kind = content.kind;
    if kind.width() == 1 && content.bytes.len() == 1 {
        let mut letter = 0;
        // SAFETY: one byte of this function's frame is writable, lies outside the image, and nobody else knows it.
        let bytes = unsafe { copy(content.bytes, &raw mut letter) };
        if !(Text { kind, bytes }).is_canonical() {
            return not_narrowest(ptr::null_mut());
        }
        // SAFETY: `bytes` is one byte of this function's frame; the caller is attached (V1). The interpreter has these
        // strs as singletons.
        return unsafe { ffi::PyUnicode_FromKindAndData(1, bytes.as_ptr().cast(), 1) };
    }
    let widest = match kind {
        TextKind::Ascii => 0x7f,
        TextKind::Latin1 => 0xff,
        TextKind::Ucs2 => 0xffff,
        TextKind::Ucs4 => 0x0010_ffff,
    };
    // SAFETY: takes plain numbers; whoever calls functions of this folder is attached (V1).
    let object = unsafe { ffi::PyUnicode_New(content.char_count().cast_signed(), widest) };
    if object.is_null() {
        return object;
    }
    // SAFETY: `PyUnicode_New` gave a str, as it is not null, that is exact and ready.
    let to = unsafe { ffi::PyUnicode_DATA(object) }.cast::<u8>();
    // SAFETY: the str was made for as many characters of this width as `content` has, in memory of the interpreter's
    // own, and nobody else has it; nothing is copied into the empty one.
    let bytes = unsafe { copy(content.bytes, to) };
    if (Text { kind, bytes }).is_canonical() {
        return object;
    }
    not_narrowest(object)
}

/// A str of characters of this width, in the narrowest form that holds them. They are copied first, so that nobody changes
/// them between the look for the widest and the second copy.
pub(crate) fn narrowed<'py>(
    py: Python<'py>,
    width: usize,
    content: &[u8],
) -> PyResult<Bound<'py, PyAny>> {
    let count = content.len().checked_div(width).unwrap_or_default();
    // As characters of four bytes have to lie.
    let mut room = vec![0_u32; content.len().div_ceil(size_of::<u32>())];
    if !content.is_empty() {
        // SAFETY: the vector has at least as many bytes, in memory of its own, which nobody else refers to.
        unsafe { copy(content, room.as_mut_ptr().cast()) };
    }
    let kind = if width == 4 {
        4
    } else if width == 2 {
        2
    } else {
        1
    };
    // What the interpreter makes of others is no str.
    if kind == 4 && room.iter().any(|&unit| unit > u32::from(char::MAX)) {
        let what = "text has a character past the last code point";
        return Err(Error::from(ImageError::Corrupt { offset: 0, what }).into());
    }
    let size = count.cast_signed();
    // SAFETY: as many characters of this width lie there, aligned, none past the last code point; the vector lives to the end of this function. Attached:
    // `py`.
    let object = unsafe { ffi::PyUnicode_FromKindAndData(kind, room.as_ptr().cast(), size) };
    // SAFETY: a new reference, or null with an exception set.
    unsafe { Bound::from_owned_ptr_or_err(py, object) }
}

/// Raises for text that is not what it is marked as, and releases the str that was made of it.
#[cold]
fn not_narrowest(made: *mut PyObject) -> *mut PyObject {
    // SAFETY: null, or the one reference to a str that `ascii` or `new` has just made and does not use after this;
    // attached (V1). A str is released without a look at its characters.
    unsafe { ffi::Py_XDECREF(made) };
    failure::raise(ImageError::Corrupt {
        offset: 0,
        what: "text is not in its narrowest form",
    })
}

/// The characters of a str, in place; `None` if there was no memory to lay them out.
///
/// # Safety
/// - `object` is an exact str that outlives the result, and the thread is attached.
#[inline]
pub(crate) unsafe fn read<'a>(object: *mut PyObject) -> Option<Text<'a>> {
    // SAFETY: a live and exact str, and an attached thread, as this function asks too.
    if !unsafe { unicode::is_ready(object) } {
        return None;
    }
    // SAFETY: a live and exact str that outlives the result, as this function asks, and that was just found ready;
    // attached.
    let (bytes, width, ascii) = unsafe { unicode::characters(object) };
    let kind = match width {
        1 if ascii => TextKind::Ascii,
        1 => TextKind::Latin1,
        2 => TextKind::Ucs2,
        _ => TextKind::Ucs4,
    };
    Some(Text { kind, bytes })
}
