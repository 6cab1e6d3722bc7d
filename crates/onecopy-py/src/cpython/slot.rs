//! From a function that the interpreter calls directly to code that may fail.
//!
//! The slots and callbacks that are written by hand have none of what `PyO3` puts around its own. A panic in them would end the
//! process. And `PyO3` does not know in them that the thread is attached to the interpreter: every `Py` that is dropped
//! there is put on a list, to be released when something enters `PyO3` the ordinary way, which a loop over `view[i]` never
//! does.
//!
//! **Invariant.** `E1`: such functions go through [`enter`] for whatever could panic, or drop a `Py` or a `PyErr`. What they do
//! outside of it is arithmetic and calls of the C API.
#![allow(
    unsafe_code,
    reason = "enters PyO3 by a door that trusts the thread to be attached"
)]

use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use pyo3::ffi::PyObject;
use pyo3::impl_::trampoline::{MethodDef, noargs};
use pyo3::prelude::*;

use crate::error;

/// Does the work of a slot: its object as a new reference, or null with an exception set. A panic becomes `CorruptImage`:
/// all that is read here is shared bytes.
///
/// # Safety
/// - the thread is attached to the interpreter;
/// - what `work` gives is a new reference, or null with an exception set.
pub(crate) unsafe fn enter<W>(work: W) -> *mut PyObject
where
    W: FnOnce(Python<'_>) -> PyResult<*mut PyObject>,
{
    let mut work = Some(work);
    // What PyO3 puts around a method without arguments, and hands its first argument on as it is. Not part of its public
    // interface; that has `Python::try_attach`, which asks the interpreter anew whether the thread is attached: 14 ns on top
    // of 144 for reading a list in a list. And it refuses while the interpreter ends, when finalizers may still read.
    // SAFETY: `noargs` asks for an attached thread, as this function does, and hands its pointers to `call` as they
    // are. The first leads to `work` of this frame, which outlives the call and which nothing else uses meanwhile: what
    // `call` asks.
    unsafe { noargs::<Call<W>>((&raw mut work).cast(), ptr::null_mut()) }
}

/// The function that does the work behind the pointer that it is given.
struct Call<W>(PhantomData<W>);

impl<W> MethodDef<noargs::Func> for Call<W>
where
    W: FnOnce(Python<'_>) -> PyResult<*mut PyObject>,
{
    const METH: noargs::Func = call::<W>;
}

/// # Safety
/// - `work` points to an `Option<W>`, which nobody else uses meanwhile.
unsafe fn call<W>(py: Python<'_>, work: *mut PyObject) -> PyResult<*mut PyObject>
where
    W: FnOnce(Python<'_>) -> PyResult<*mut PyObject>,
{
    // SAFETY: an `Option<W>` lies there, and nobody else uses it meanwhile: this function's own duty.
    let work = unsafe { &mut *work.cast::<Option<W>>() };
    let Some(work) = work.take() else {
        return Ok(ptr::null_mut());
    };
    // Nothing of the work is used after a panic.
    catch_unwind(AssertUnwindSafe(|| work(py)))
        .unwrap_or_else(|panic| Err(error::of_panic(panic.as_ref())))
}
