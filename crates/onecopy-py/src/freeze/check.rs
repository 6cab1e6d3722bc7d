//! Is this interpreter what the table says? Once at import, looking; once at the first use, trying in a child.
#![allow(unsafe_code)] // Makes probes immortal, and forks a child that runs no Python code.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use super::classes::Types;
use super::table::{self, Row};
use super::walk::{Marks, Prepare, Walk};
use super::{header, prepare, symbol};

static CALIBRATED: OnceLock<Result<(), String>> = OnceLock::new();
static TESTED: OnceLock<Result<(), String>> = OnceLock::new();
/// No child needs longer than this; one that does is stuck.
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_micros(200);

/// The row of this interpreter, if it passed [`calibrate`].
pub(super) fn calibrated() -> Result<&'static Row, String> {
    let Some(row) = table::row() else {
        return Err("nobody has audited the object headers of this Python version".to_owned());
    };
    match CALIBRATED.get() {
        Some(Ok(())) => Ok(row),
        Some(Err(why)) => Err(why.clone()),
        None => Err("the extension module was not initialised".to_owned()),
    }
}

/// Compares this interpreter's own immortal objects with the table. Changes nothing but a probe of its own.
pub(crate) fn calibrate(py: Python<'_>) {
    let _ = CALIBRATED.get_or_init(|| match table::row() {
        Some(row) => compare(py, row),
        None => Ok(()),
    });
}

fn compare(py: Python<'_>, row: &Row) -> Result<(), String> {
    let hex = py
        .import("sys")
        .and_then(|sys| sys.getattr("hexversion"))
        .and_then(|hex| hex.extract::<u32>())
        .map_err(|error| error.to_string())?;
    if (hex >> 24, hex >> 16 & 0xFF) != (3, row.minor) {
        return Err(format!("this extension was compiled for 3.{}", row.minor));
    }
    if hex >> 8 & 0xFF < row.first_patch {
        return Err(format!(
            "patch levels below {} are not supported",
            row.first_patch
        ));
    }
    let none = py.None();
    // SAFETY: a live object.
    let none = unsafe { header::word(none.as_ptr()) };
    if none as u32 != row.own {
        return Err(format!(
            "the header of None is {none:#x}, and not {:#x} as it should be",
            row.own
        ));
    }
    if let Some(flags) = row.own_flags {
        compare_flags(py, row, flags)?;
    }
    match prepare::check_range(py) {
        Ok(true) => Ok(()),
        Ok(false) => Err("ranges are laid out in an unknown way".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Asks the interpreter to make a float immortal, and looks what it wrote.
fn compare_flags(py: Python<'_>, row: &Row, flags: u16) -> Result<(), String> {
    type SetImmortal = unsafe extern "C" fn(*mut PyObject);
    // SAFETY: the interpreter's function of this name has this type (Include/internal/pycore_object.h).
    let found = unsafe { symbol::find::<SetImmortal>(c"_Py_SetImmortalUntracked") };
    let Some(function) = found else {
        return Err("this Python does not export _Py_SetImmortalUntracked".to_owned());
    };
    let probe = pyo3::types::PyFloat::new(py, 0.577_215_664_9);
    // SAFETY: a live object that nobody else has; it is never freed from now on.
    unsafe { function(probe.as_ptr()) };
    // SAFETY: a live object.
    let word = unsafe { header::word(probe.as_ptr()) };
    if word as u32 != row.own || (word >> 48) as u16 != flags {
        return Err(format!(
            "an immortal object has the header {word:#x}: expected count {:#x}, flags {flags:#x}",
            row.own
        ));
    }
    Ok(())
}

/// Freezes a few objects and lets a child read them: its reading must write no header. Done once.
pub(super) fn self_test(py: Python<'_>) -> Result<(), String> {
    let row = calibrated()?;
    if let Some(known) = TESTED.get() {
        return known.clone();
    }
    let result = try_it(py, row);
    TESTED.get_or_init(|| result).clone()
}

fn try_it(py: Python<'_>, row: &Row) -> Result<(), String> {
    let probes = probes(py).map_err(|error| error.to_string())?;
    let types = Types::find(py).map_err(|error| error.to_string())?;
    let wanted = Prepare {
        hash: true,
        dicts: false,
        utf8: true,
    };
    let mut walk = Walk::new(row, &types, Marks::Freeze(wanted));
    // SAFETY: a live list of our own, and the interpreter was calibrated.
    unsafe { walk.run(probes.as_ptr()) }.map_err(|_| "no memory for the self-test".to_owned())?;
    drop(walk);
    // SAFETY: a live list.
    let items = unsafe { prepare::list_items(probes.as_ptr()) };
    let before: Vec<u64> = items
        .iter()
        // SAFETY: the list holds it.
        .map(|&item| unsafe { header::word(item) })
        .collect();
    if before.iter().any(|&word| !header::is_immortal(word)) {
        return Err("an object that was frozen does not count as immortal".to_owned());
    }
    // SAFETY: the child calls C functions that read, and `_exit`.
    match unsafe { bare_fork() } {
        0 => {
            // SAFETY: the child is a copy of this thread, which is attached.
            let changed = unsafe { read_all(probes.as_ptr(), items, &before) };
            // SAFETY: ends the child here; nothing of the parent's is run.
            unsafe { libc::_exit(i32::from(changed)) }
        }
        child if child > 0 => wait_for(child),
        _ => Err(format!("cannot fork: {}", std::io::Error::last_os_error())),
    }
}

/// One of each kind that the test reads.
fn probes(py: Python<'_>) -> PyResult<Bound<'_, PyList>> {
    let list = PyList::empty(py);
    list.append(1_234_567_890_123_i64)?;
    list.append("onecopy self-test: one str")?;
    list.append(2.75)?;
    list.append(pyo3::types::PyBytes::new(
        py,
        b"onecopy self-test: some bytes",
    ))?;
    list.append((7_654_321, "onecopy self-test: in a tuple"))?;
    list.append(PyList::new(py, [1_000_003, 1_000_033])?)?;
    let dict = PyDict::new(py);
    dict.set_item("onecopy self-test: a key", 1_000_037)?;
    list.append(dict)?;
    Ok(list)
}

/// Takes and gives back references to each element, hashes and compares it, as a reader would. True if that wrote.
///
/// # Safety
/// - the thread is attached; `list` is a live list with these `items`.
unsafe fn read_all(list: *mut PyObject, items: &[*mut PyObject], before: &[u64]) -> bool {
    for _ in 0..3 {
        // SAFETY: a live list.
        let copy = unsafe { ffi::PyList_AsTuple(list) };
        // SAFETY: null or a reference of ours.
        unsafe { ffi::Py_XDECREF(copy) };
        // SAFETY: two live objects.
        let equal = unsafe { ffi::PyObject_RichCompareBool(list, list, ffi::Py_EQ) };
        for &item in items {
            // SAFETY: the list holds it.
            let hash = unsafe { ffi::PyObject_Hash(item) };
            if hash == -1 {
                // SAFETY: attached.
                unsafe { ffi::PyErr_Clear() };
            }
            // SAFETY: two live objects.
            let position = unsafe { ffi::PySequence_Index(list, item) };
            if equal != 1 || position < 0 {
                return true;
            }
        }
    }
    items
        .iter()
        .zip(before)
        // SAFETY: the list holds it.
        .any(|(&item, &word)| unsafe { header::word(item) } != word)
}

/// Forks by the plain system call: no handlers run, and no signal tells of the child's end.
///
/// # Safety
/// - the child may only do what needs no other thread, and has to end by `_exit`.
unsafe fn bare_fork() -> libc::pid_t {
    // clone(2) with no flags, no stack of its own and no exit signal: like fork, but nobody who waits for any child
    // sees it. All arguments are zero, so their order, which differs between architectures, does not matter.
    // SAFETY: the caller's word.
    unsafe { libc::syscall(libc::SYS_clone, 0, 0, 0, 0, 0) as libc::pid_t }
}

fn wait_for(child: libc::pid_t) -> Result<(), String> {
    let started = Instant::now();
    let mut status = 0;
    loop {
        // SAFETY: a child of this process, and a place for its status. wait(2): a child without exit signal is only
        // seen with __WALL or __WCLONE.
        let seen = unsafe { libc::waitpid(child, &raw mut status, libc::WNOHANG | libc::__WALL) };
        if seen == child {
            break;
        }
        let error = std::io::Error::last_os_error();
        if seen < 0 && error.kind() != std::io::ErrorKind::Interrupted {
            return Err(format!("cannot wait for the self-test's child: {error}"));
        }
        if started.elapsed() > PATIENCE {
            // SAFETY: the child was not waited for yet, so its id is still its own.
            unsafe { libc::kill(child, libc::SIGKILL) };
            // SAFETY: as above.
            unsafe { libc::waitpid(child, &raw mut status, libc::__WALL) };
            return Err("the self-test's child did not answer".to_owned());
        }
        std::thread::sleep(PAUSE);
    }
    if status == 0 {
        Ok(())
    } else {
        Err("reading frozen objects in a child wrote to their headers".to_owned())
    }
}
