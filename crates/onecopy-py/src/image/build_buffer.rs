//! An array's data while its image is built, as writable memory.
//!
//! The invariants `B1` and `B2` of [`super::buffer`] hold here too.
#![allow(unsafe_code, reason = "the buffer protocol hands out addresses")]

use std::ffi::c_int;
use std::sync::{Mutex, MutexGuard, PoisonError};

use onecopy::image::{ArrayLayout, ArraySpec};
use onecopy::store::{Building, OldAddress};
use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;

use super::array::{self, ArraySource, Shown};
use super::copy::Address;
use super::owner::Image;
use crate::cpython::export::export;
use crate::error::Error;

/// An array's data while its image is built: writable until it is published.
#[pyclass(frozen, module = "onecopy._onecopy")]
pub(crate) struct BuildBuffer {
    state: Mutex<State>,
    layout: ArrayLayout,
    address: Address,
}

/// What an image under construction has become.
enum State {
    Building(Building),
    Published {
        _address_stays_valid: OldAddress,
    },
    /// In the hands of a method that is at work on it, or what it failed at.
    Taken,
}

impl BuildBuffer {
    /// Describes the array in the image's head; the data stay zero.
    pub(crate) fn new(
        mut building: Building,
        layout: ArrayLayout,
        spec: &ArraySpec,
    ) -> Result<Self, Error> {
        layout.write(&spec.as_shape(), building.as_mut_slice())?;
        let address = Address(
            building
                .as_mut_ptr()
                .wrapping_add(layout.data.offset as usize),
        );
        Ok(Self {
            state: Mutex::new(State::Building(building)),
            layout,
            address,
        })
    }

    fn len(&self) -> usize {
        self.layout.data.len as usize
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The object that is being built, taken out for a while or for good; None if there is none.
    ///
    /// The lock is not held longer: waiting for the GIL with it would stop a thread that has the GIL and wants it.
    fn take(&self) -> Option<Building> {
        let mut state = self.lock();
        match std::mem::replace(&mut *state, State::Taken) {
            State::Building(building) => Some(building),
            other => {
                *state = other;
                None
            }
        }
    }

    /// Describes the array anew and publishes it; `None` if it cannot be done in place.
    fn publish_as(&self, py: Python<'_>, spec: &ArraySpec) -> Result<Option<Image>, Error> {
        let layout = ArrayLayout::new(&spec.as_shape(), self.layout.data.len)?;
        if layout.image_len != self.layout.image_len || layout.data != self.layout.data {
            return Ok(None);
        }
        let Some(mut building) = self.take() else {
            return Ok(None);
        };
        if building.is_inherited() {
            *self.lock() = State::Building(building);
            return Ok(None);
        }
        let head_len = layout.data.offset as usize;
        // Only the data have ever been exported, so the head is this value's alone.
        let head = &mut building.as_mut_slice()[..head_len];
        if let Err(error) = layout.write_head(&spec.as_shape(), head) {
            *self.lock() = State::Building(building);
            return Err(error.into());
        }
        // After a failure the store keeps the memory: whoever has its address may go on writing (B1).
        let (object, old_address) = py.detach(|| building.publish_keeping_address())?;
        *self.lock() = State::Published {
            _address_stays_valid: old_address,
        };
        Ok(Some(Image::new(object)))
    }
}

#[pymethods]
impl BuildBuffer {
    /// Address of the first byte of data.
    #[getter]
    fn address(&self) -> usize {
        self.address.0.addr()
    }

    /// Number of bytes of data.
    #[getter]
    fn nbytes(&self) -> usize {
        self.len()
    }

    /// Makes the image visible and immutable if `array` is all of it: the memory stays valid and becomes private to this
    /// process. Returns what NumPy shows the array by.
    ///
    /// None if it cannot be done in place: `array` is only a part, the memory came here by fork, is published or being
    /// published by another thread, or this description needs a longer head.
    fn publish<'py>(&self, array: &Bound<'py, PyAny>, dtype: &str) -> PyResult<Option<Shown<'py>>> {
        let source = ArraySource::of(array, dtype)?;
        if !source.is_whole(self.address, self.len()) {
            return Ok(None);
        }
        let py = array.py();
        let Some(image) = self.publish_as(py, &source.spec)? else {
            return Ok(None);
        };
        array::shown(&Bound::new(py, image)?, 0).map(Some)
    }

    unsafe fn __getbuffer__(
        slf: &Bound<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        let this = slf.get();
        let writable = match *this.lock() {
            State::Building(_) => true,
            State::Published { .. } => false,
            State::Taken => {
                return Err(PyBufferError::new_err("the image is complete already"));
            }
        };
        // SAFETY: the interpreter calls this slot with a structure to fill. `new` has laid the data out inside the
        // object, whose memory stays mapped, readable and writable as long as `slf` lives: `state` has the object, or
        // what keeps its address valid afterwards (B1).
        unsafe {
            export(
                view,
                flags,
                slf.as_any(),
                this.address.0,
                this.len(),
                writable,
            )
        }
    }
}
