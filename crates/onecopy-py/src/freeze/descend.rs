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
        // SAFETY: a live object of an attached thread, as this function asks.
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
            // SAFETY: a live object of an attached thread, as this function asks.
            let dict = unsafe { prepare::materialise_dict(object) };
            if !dict.is_null() {
                // SAFETY: the live object holds its `__dict__`, and nothing changes it (W1).
                unsafe { self.visit(dict) }?;
            }
        }
        if beside {
            // SAFETY: a live instance, as this function asks, of a class with a managed dict, as `describe` found in
            // its flags; whoever made the walk vouches for a calibrated interpreter of `self.version`.
            let dict = unsafe { header::managed_dict(object) };
            if !dict.is_null() {
                // SAFETY: the live object holds its `__dict__`, and nothing changes it (W1).
                unsafe { self.visit(dict) }?;
            }
        }
        // SAFETY: the live object holds its class, whose slots are fixed.
        if traverse && let Some(function) = unsafe { (*raw).tp_traverse } {
            let walk: *mut Self = self;
            // SAFETY: the traversal of the object's own class, which calls `visit_held` with `walk` while `self` is
            // not used otherwise.
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
                // SAFETY: a live list, as `native` says and this function asks; it does not change (W1).
                let items = unsafe { items::list_items(object) };
                // SAFETY: items of a live list, whose thread is attached, as this function asks.
                unsafe { self.items(items) }?;
            }
            Native::Tuple if !traverse => {
                // SAFETY: a live tuple, as `native` says and this function asks.
                let items = unsafe { items::tuple_items(object) };
                // SAFETY: items of a live tuple, whose thread is attached, as this function asks.
                unsafe { self.items(items) }?;
            }
            // SAFETY: a live dict, as `native` says and this function asks.
            Native::Dict => unsafe { self.dict(object) }?,
            Native::Range | Native::Time | Native::DateTime | Native::TimeZone => {
                for held in prepare::held_outside(object, native).into_iter().flatten() {
                    // SAFETY: `object` is alive, as this function asks, and holds it (W1).
                    unsafe { self.visit(held) }?;
                }
            }
            Native::NdArray => {
                // SAFETY: a live ndarray, as `native` says and this function asks, whose elements are objects:
                // `holds_others` has looked before it was queued.
                let elements = unsafe { prepare::array_elements(object) }.map_err(|_| NoMemory)?;
                // SAFETY: `elements` is a list that nobody else has, and keeps it alive to the end of this arm.
                let items = unsafe { items::list_items(elements.as_ptr()) };
                // SAFETY: the list holds them now, and the array, which lives on, holds them afterwards (W1).
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
                // SAFETY: the list or tuple that lives, as this function asks, holds the item.
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
            // SAFETY: a live dict, which does not change (W1).
            let more =
                unsafe { ffi::PyDict_Next(dict, &raw mut position, &raw mut key, &raw mut value) };
            if more == 0 {
                return Ok(());
            }
            // SAFETY: the live dict holds its keys, and does not change (W1).
            unsafe { self.visit(key) }?;
            // SAFETY: the live dict holds its values, and does not change (W1).
            unsafe { self.visit(value) }?;
        }
    }
}

/// What `tp_traverse` calls for each reference.
unsafe extern "C" fn visit_held(object: *mut PyObject, walk: *mut c_void) -> c_int {
    if object.is_null() {
        return 0;
    }
    // SAFETY: `descend` passes its own walk, which nothing else uses now. The lifetimes outlive the traversal.
    let walk = unsafe { &mut *walk.cast::<Walk<'_>>() };
    // SAFETY: the object that is traversed is alive and holds what it reports (W1); `descend` runs attached.
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
