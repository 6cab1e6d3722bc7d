//! Is this interpreter what [`super::immortal`] says? Looked at once, at import: a Python that differs can do everything
//! but freeze.
#![allow(unsafe_code, reason = "makes a probe of its own immortal")]

use std::sync::OnceLock;

use pyo3::ffi::PyObject;
use pyo3::prelude::*;

use super::immortal::{self, Version};
use super::layouts::{self, Part};
use super::{header, range, symbol};

static CALIBRATED: OnceLock<Result<(), String>> = OnceLock::new();

/// The version of this interpreter, if it passed [`calibrate`].
pub(crate) fn calibrated() -> Result<&'static Version, String> {
    let Some(version) = immortal::version() else {
        return Err("nobody has audited the object headers of this Python version".to_owned());
    };
    match CALIBRATED.get() {
        Some(Ok(())) => Ok(version),
        Some(Err(why)) => Err(why.clone()),
        None => Err("the extension module was not initialised".to_owned()),
    }
}

/// Compares this interpreter's own immortal objects with the table. Changes nothing but a probe of its own.
pub(crate) fn calibrate(py: Python<'_>) {
    let _ = CALIBRATED.get_or_init(|| match immortal::version() {
        Some(version) => compare(py, version),
        None => Ok(()),
    });
}

fn compare(py: Python<'_>, version: &Version) -> Result<(), String> {
    let hex = py
        .import("sys")
        .and_then(|sys| sys.getattr("hexversion"))
        .and_then(|hex| hex.extract::<u32>())
        .map_err(|error| error.to_string())?;
    if (hex >> 24, hex >> 16 & 0xFF) != (3, version.minor) {
        return Err(format!(
            "this extension was compiled for 3.{}",
            version.minor
        ));
    }
    if hex >> 8 & 0xFF < version.first_patch {
        return Err(format!(
            "patch levels below {} are not supported",
            version.first_patch
        ));
    }
    let none = py.None();
    // SAFETY: `none` was bound above and holds a reference, so the header can be read.
    let none = unsafe { header::word(none.as_ptr()) };
    if none as u32 != version.own {
        return Err(format!(
            "the header of None is {none:#x}, and not {:#x} as it should be",
            version.own
        ));
    }
    if let Some(flags) = version.own_flags {
        compare_flags(py, version, flags)?;
    }
    for part in Part::HOLDERS {
        layouts::known(part)?;
    }
    match range::check(py) {
        Ok(true) => Ok(()),
        Ok(false) => Err("ranges are laid out in an unknown way".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Asks the interpreter to make a float immortal, and looks what it wrote.
fn compare_flags(py: Python<'_>, version: &Version, flags: u16) -> Result<(), String> {
    type SetImmortal = unsafe extern "C" fn(*mut PyObject);
    // SAFETY: `SetImmortal` is a function pointer type, and the interpreter's function of this name has it: one object,
    // no result (Include/internal/pycore_object.h of 3.14 and 3.15, the versions with `own_flags`).
    let found = unsafe { symbol::find::<SetImmortal>(c"_Py_SetImmortalUntracked") };
    let Some(function) = found else {
        return Err("this Python does not export _Py_SetImmortalUntracked".to_owned());
    };
    let probe = pyo3::types::PyFloat::new(py, 0.577_215_664_9);
    // SAFETY: `function` has the type of its name, as above; it asks for a live object that the collector does not track,
    // as no float is. `probe` was made above and nobody else has it, so nobody counts its references meanwhile.
    unsafe { function(probe.as_ptr()) };
    // SAFETY: `probe` holds a reference, so the header can be read.
    let word = unsafe { header::word(probe.as_ptr()) };
    if word as u32 != version.own || (word >> 48) as u16 != flags {
        return Err(format!(
            "an immortal object has the header {word:#x}: expected count {:#x}, flags {flags:#x}",
            version.own
        ));
    }
    Ok(())
}
