//! Where instances of classes keep what `__slots__` names.
//!
//! Slots follow each other behind what the base class has, in order of their names, and the class's instances end with
//! them: what comes with a dict or weak references lies before the object, or belongs to a base. (Before 3.12 weak references
//! may come behind the slots.) [`offset_of`] says where a descriptor finds its slot, and who relies on the end compares.
#![allow(unsafe_code, reason = "reads and writes slots where they lie")]

use pyo3::exceptions::PyTypeError;
use pyo3::ffi::{self, PyObject, PyTypeObject};
use pyo3::prelude::*;
use pyo3::types::PyType;

/// Bytes of a slot.
const SLOT: usize = size_of::<*mut PyObject>();

/// How far from an instance's start the slot of a descriptor lies.
pub(crate) fn offset_of(descriptor: &Bound<'_, PyAny>) -> PyResult<usize> {
    let wrong = || PyTypeError::new_err("the descriptor of a slot was expected");
    if !std::ptr::eq(
        descriptor.get_type_ptr(),
        &raw const ffi::PyMemberDescr_Type,
    ) {
        return Err(wrong());
    }
    let member = descriptor.as_ptr().cast::<ffi::PyMemberDescrObject>();
    // SAFETY: a live descriptor of a member, as its class has just said, which never changes.
    let member = unsafe { (*member).d_member };
    // SAFETY: what a descriptor describes belongs to its class, which it holds.
    let offset = unsafe { (*member).offset };
    usize::try_from(offset).map_err(|_| wrong())
}

/// Whether instances of a class have a dict, if they consist of what `slot_count` slots, a dict and weak references take:
/// `None` if there is more to them, or if a class that the interpreter has brought along is among its bases.
pub(crate) fn plain_layout(class: &Bound<'_, PyType>, slot_count: usize) -> PyResult<Option<bool>> {
    for base in class.mro().iter() {
        let base = base.cast_into::<PyType>()?;
        // SAFETY: the class of a `Bound` is live; attached, as it shows.
        let is_made =
            unsafe { ffi::PyType_HasFeature(base.as_type_ptr(), ffi::Py_TPFLAGS_HEAPTYPE) };
        if is_made == 0 && !base.is(base.py().get_type::<PyAny>()) {
            return Ok(None);
        }
    }
    let raw = class.as_type_ptr();
    // SAFETY: a field of a live class; attached.
    let size = unsafe { (*raw).tp_basicsize };
    // SAFETY: a field of a live class; attached.
    let item = unsafe { (*raw).tp_itemsize };
    // SAFETY: a field of a live class; attached.
    let dict = unsafe { (*raw).tp_dictoffset };
    // SAFETY: a field of a live class; attached.
    let weak = unsafe { (*raw).tp_weaklistoffset };
    // What the interpreter keeps before the object has an offset below zero.
    let beside = usize::from(dict > 0) + usize::from(weak > 0);
    let most = size_of::<PyObject>() + (slot_count + beside) * SLOT;
    let is_plain = item == 0 && size.cast_unsigned() <= most;
    Ok(is_plain.then_some(dict != 0))
}

/// A flag of classes whose instances have room for the values of their attributes behind them.
#[cfg(Py_3_13)]
const INLINE_VALUES: std::ffi::c_ulong = 1 << 2;

/// Leaves a class's instances without room for attributes: some 300 bytes, which are cleared when an instance is made and
/// looked through when it goes. They get a dict if somebody gives them an attribute, as instances of classes derived from
/// tuple do. Before 3.13 the room is made when the first attribute is.
///
/// # Safety
/// - `class` is a live class that has no instances and has had none, and from which none is derived; the thread is attached.
pub(crate) unsafe fn without_attributes(class: *mut PyTypeObject) {
    #[cfg(Py_3_13)]
    {
        // SAFETY: a field of a live class, as this function asks; attached, so nobody else reads or writes it meanwhile.
        let flags = unsafe { &mut (*class).tp_flags };
        *flags &= !INLINE_VALUES;
        // SAFETY: a live class; attached. The interpreter forgets what it remembers of it.
        unsafe { ffi::PyType_Modified(class) };
    }
    #[cfg(not(Py_3_13))]
    let _ = class;
}

/// How far from an instance's start the last slots lie, of which there are `count`.
///
/// # Safety
/// - `class` is a live class that was made with slots, and the thread is attached.
#[inline]
pub(crate) unsafe fn last_slots(class: *mut PyTypeObject, count: usize) -> usize {
    // SAFETY: a field of a live class, as this function asks.
    let size = unsafe { (*class).tp_basicsize };
    #[cfg(not(Py_3_12))]
    let size = {
        // Weak references come behind the slots if the class's first base has none.
        // SAFETY: a field of a live class, as this function asks.
        let weak = unsafe { (*class).tp_weaklistoffset };
        let is_last = weak > 0 && weak == size.wrapping_sub(SLOT.cast_signed());
        if is_last { weak } else { size }
    };
    size.cast_unsigned().wrapping_sub(count * SLOT)
}

/// Releases an instance of a class that has nothing of its own to release: what a base's `tp_dealloc` is left to do when the
/// interpreter has emptied the slots.
///
/// # Safety
/// - as the interpreter calls `tp_dealloc`: attached, with an instance that nobody refers to.
pub(crate) unsafe extern "C" fn dealloc(object: *mut PyObject) {
    // SAFETY: the object's memory is still there, and it holds its class; attached, as this function asks.
    let class = unsafe { ffi::Py_TYPE(object) };
    // SAFETY: a field of a live class.
    if let Some(free) = unsafe { (*class).tp_free } {
        // SAFETY: the memory of an instance of this class, which nobody uses any more.
        unsafe { free(object.cast()) };
    }
    // SAFETY: the reference that the instance had to its class, which a `class` statement made or something like one.
    unsafe { ffi::Py_DECREF(class.cast()) };
}

/// Where the `index`-th of the last two slots of an instance lies.
///
/// # Safety
/// - `object` is a live instance of a class that ends with two slots, and the thread is attached.
#[inline]
pub(crate) unsafe fn slot(object: *mut PyObject, index: usize) -> *mut *mut PyObject {
    // SAFETY: a live object, as this function asks, has a live class; attached, as it asks too.
    let class = unsafe { ffi::Py_TYPE(object) };
    // SAFETY: the live class; attached.
    let start = unsafe { last_slots(class, 2) };
    // Inside the instance, as its class ends with two slots.
    object
        .wrapping_byte_add(start + index * SLOT)
        .cast::<*mut PyObject>()
}

/// A new instance of a class, past its `__new__`: a new reference, all of whose slots are empty, and which the cycle
/// collector leaves alone; null with an exception set if there is no memory.
///
/// # Safety
/// - `class` is a live class that a `class` statement has made, or something like one, and the thread is attached;
/// - nothing that the instance will refer to leads back to it.
#[inline]
pub(crate) unsafe fn new(class: *mut PyTypeObject) -> *mut PyObject {
    // SAFETY: a live class whose instances are laid out by the interpreter alone, as this function asks; attached.
    let object = unsafe { ffi::PyType_GenericAlloc(class, 0) };
    // SAFETY: a live class.
    let is_tracked = unsafe { ffi::PyType_IS_GC(class) } != 0;
    if !object.is_null() && is_tracked {
        // SAFETY: a new object of a class whose instances have what the collector needs, as was just asked.
        unsafe { ffi::PyObject_GC_UnTrack(object.cast()) };
    }
    object
}
