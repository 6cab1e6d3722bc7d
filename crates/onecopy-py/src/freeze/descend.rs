//! What an object holds: by `tp_traverse`, and by hand where that leaves something out or is slower.
//!
//! The invariants `W1` to `W3` of [`super::walk`] hold here too.
#![allow(unsafe_code, reason = "visits objects through their raw slots")]

use std::ffi::{c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use pyo3::ffi::{self, PyObject};

use super::classes::Native;
use super::prepare::{self, Prepare};
use super::walk::{Marks, NoMemory, Walk};
use crate::cpython::{header, items};

impl Walk<'_> {
    /// Visits what a queued object holds.
    ///
    /// # Safety
    /// - `object` is a live object, and the thread is attached.
    pub(super) unsafe fn descend(&mut self, object: *mut PyObject) -> Result<(), NoMemory> {
        // SAFETY: a live object of an attached thread, as this function asks too.
        let index = unsafe { self.class_of(object) }?;
        let Some(class) = self.classes.get(index) else {
            return Ok(());
        };
        self.at_class = class.raw;
        let (native, traverse, has_dict) = (class.native, class.traverse, class.has_dict);
        let beside = class.managed_dict && self.version.dict_beside_values;
        let raw = class.raw;
        // SAFETY: a live object of the kind that its class says, and an attached thread, as this function asks.
        unsafe { self.descend_native(object, native, traverse) }?;
        if let Marks::Freeze(Prepare { dicts: true, .. }) = self.marks
            && has_dict
        {
            // SAFETY: a live object of an attached thread, as this function asks too.
            let dict = unsafe { prepare::materialise_dict(object) };
            if !dict.is_null() {
                // SAFETY: not null, so the `__dict__` that the live object holds, and goes on holding (W1); attached.
                unsafe { self.visit(dict) }?;
            }
        }
        if beside {
            // SAFETY: a live instance, as this function asks, of a class with a managed dict, as `describe` found in
            // its flags; the interpreter is a calibrated one of `self.version` (`Walk::run`), which says that the word
            // is there.
            let dict = unsafe { header::managed_dict(object) };
            if !dict.is_null() {
                // SAFETY: not null, so the `__dict__` that the live object holds, and goes on holding (W1); attached.
                unsafe { self.visit(dict) }?;
            }
        }
        // SAFETY: the class of `object`, as `class_of` has found, which the live object holds; the slot is fixed once
        // it is ready.
        if traverse && let Some(function) = unsafe { (*raw).tp_traverse } {
            let walk: *mut Self = self;
            // SAFETY: the traversal of the object's own class, called with the live object and attached, as this
            // function asks. It calls `visit_held` with `walk`, which leads to `self`, and only until it returns;
            // `self` is not used meanwhile.
            let failed = unsafe { function(object, visit_held, walk.cast()) };
            if let Some(panic) = self.panic.take() {
                resume_unwind(panic);
            }
            if failed != 0 {
                return Err(NoMemory);
            }
        }
        Ok(())
    }

    /// Visits what `tp_traverse` leaves out, and what is found faster without it.
    ///
    /// # Safety
    /// - `object` is a live object of this kind, and the thread is attached.
    unsafe fn descend_native(
        &mut self,
        object: *mut PyObject,
        native: Native,
        traverse: bool,
    ) -> Result<(), NoMemory> {
        match native {
            Native::List if !traverse => {
                // SAFETY: a live list, as `native` says and this function asks; nobody changes or frees it (W1);
                // attached.
                let items = unsafe { items::list_items(object) };
                // SAFETY: what a live list holds, and an attached thread, as this function asks.
                unsafe { self.items(items) }?;
            }
            Native::Tuple if !traverse => {
                // SAFETY: a live tuple, as `native` says and this function asks; nobody frees it (W1); attached.
                let items = unsafe { items::tuple_items(object) };
                // SAFETY: what a live tuple holds, and an attached thread, as this function asks.
                unsafe { self.items(items) }?;
            }
            // SAFETY: a live dict, as `native` says and this function asks; attached.
            Native::Dict => unsafe { self.dict(object) }?,
            Native::Range | Native::Time | Native::DateTime | Native::TimeZone => {
                // SAFETY: a live object of this kind, and an attached thread, as this function asks; the interpreter was
                // calibrated, as whoever made the walk had to see to (`Walk::run`).
                let held = unsafe { prepare::held_outside(object, native) };
                for held in held.into_iter().flatten() {
                    // SAFETY: `object` is alive, as this function asks, and holds it (W1).
                    unsafe { self.visit(held) }?;
                }
            }
            Native::NdArray => {
                // SAFETY: a live ndarray, as `native` says and this function asks, whose elements are objects:
                // `holds_others` has looked before it was queued. Attached to the end of the walk (W1).
                let elements = unsafe { prepare::array_elements(object) }.map_err(|_| NoMemory)?;
                // SAFETY: a list that `tolist` made, which `elements` holds to the end of this arm and nobody else has;
                // attached.
                let items = unsafe { items::list_items(elements.as_ptr()) };
                // SAFETY: what that list holds; the array, which lives on, holds them afterwards (W1). Attached.
                unsafe { self.items(items) }?;
            }
            _ => {}
        }
        Ok(())
    }

    /// # Safety
    /// - `items` are what a live list or tuple holds, and the thread is attached.
    unsafe fn items(&mut self, items: &[*mut PyObject]) -> Result<(), NoMemory> {
        for &item in items {
            // A list or tuple that is being built has empty places.
            if !item.is_null() {
                // SAFETY: not null, so an object that the list or tuple holds, which lives, as this function asks;
                // attached.
                unsafe { self.visit(item) }?;
            }
        }
        Ok(())
    }

    /// # Safety
    /// - `dict` is a live dict, and the thread is attached.
    unsafe fn dict(&mut self, dict: *mut PyObject) -> Result<(), NoMemory> {
        let mut position = 0;
        let (mut key, mut value) = (std::ptr::null_mut(), std::ptr::null_mut());
        loop {
            // SAFETY: a live dict, as this function asks, which does not change from call to call (W1), and three
            // variables of this function for the results; attached.
            let more =
                unsafe { ffi::PyDict_Next(dict, &raw mut position, &raw mut key, &raw mut value) };
            if more == 0 {
                return Ok(());
            }
            // SAFETY: `PyDict_Next` gave a key that the live dict holds, and goes on holding (W1); attached.
            unsafe { self.visit(key) }?;
            // SAFETY: `PyDict_Next` gave a value that the live dict holds, and goes on holding (W1); attached.
            unsafe { self.visit(value) }?;
        }
    }
}

/// What `tp_traverse` calls for each reference.
unsafe extern "C" fn visit_held(object: *mut PyObject, walk: *mut c_void) -> c_int {
    if object.is_null() {
        return 0;
    }
    // SAFETY: `descend` alone hands this function out, with a pointer to its walk, which it does not use before the
    // traversal has returned; the traversal calls it and returns, so there is no second reference. What the walk
    // borrows outlives it.
    let walk = unsafe { &mut *walk.cast::<Walk<'_>>() };
    // SAFETY: not null, so an object that the traversed one holds, which is alive, as `descend` asks (W1); `descend`
    // runs attached.
    let visit = AssertUnwindSafe(|| unsafe { walk.visit(object) });
    match catch_unwind(visit) {
        Ok(Ok(())) => 0,
        Ok(Err(NoMemory)) => -1,
        // A panic must not cross the C function that calls this; `descend` goes on with it.
        Err(panic) => {
            walk.panic = Some(panic);
            -1
        }
    }
}
