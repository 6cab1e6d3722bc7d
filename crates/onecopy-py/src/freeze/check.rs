//! Does reading frozen objects leave them alone? Tried in a child, at the first use; `cpython::calibrate` has compared
//! their looks before.
#![allow(unsafe_code)] // Makes probes immortal, and forks a child that runs no Python code.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use super::classes::Types;
use super::prepare::Prepare;
use super::walk::{Marks, Walk};
use crate::cpython::calibrate::calibrated;
use crate::cpython::immortal::Version;
use crate::cpython::{header, items};

static TESTED: OnceLock<Result<(), String>> = OnceLock::new();
/// No child needs longer than this; one that does is stuck.
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_micros(200);

/// Freezes a few objects and lets a child read them: its reading must write no header. Done once.
pub(super) fn self_test(py: Python<'_>) -> Result<(), String> {
    let version = calibrated()?;
    if let Some(known) = TESTED.get() {
        return known.clone();
    }
    let result = try_it(py, version);
    TESTED.get_or_init(|| result).clone()
}

fn try_it(py: Python<'_>, version: &Version) -> Result<(), String> {
    let probes = probes(py).map_err(|error| error.to_string())?;
    let types = Types::find(py).map_err(|error| error.to_string())?;
    let wanted = Prepare {
        hash: true,
        dicts: false,
        utf8: true,
    };
    let mut walk = Walk::new(version, &types, Marks::Freeze(wanted));
    // SAFETY: `probes` holds the list to the end of this function, `py` shows that the thread is attached, and
    // `calibrated()` gave `version`, so the interpreter was calibrated.
    unsafe { walk.run(probes.as_ptr()) }.map_err(|_| "no memory for the self-test".to_owned())?;
    drop(walk);
    // SAFETY: `probes` holds the list to the end of this function, and nobody else has it to change it; attached, as
    // `py` shows.
    let items = unsafe { items::list_items(probes.as_ptr()) };
    let before: Vec<u64> = items
        .iter()
        // SAFETY: `probes` holds its items, and nothing has changed it since they were listed; attached, as `py` shows.
        .map(|&item| unsafe { header::word(item) })
        .collect();
    if before.iter().any(|&word| !header::is_immortal(word)) {
        return Err("an object that was frozen does not count as immortal".to_owned());
    }
    // SAFETY: the child branch does nothing but `read_all`, which calls C functions of the interpreter on ints, floats,
    // strs, bytes, lists, tuples and dicts of them: they wait for no other thread, as this one is attached. It ends by
    // `_exit`.
    match unsafe { bare_fork() } {
        0 => {
            // SAFETY: the child is a copy of this thread, which is attached, and has copies of the live list and its
            // items.
            let changed = unsafe { read_all(probes.as_ptr(), items, &before) };
            // SAFETY: _exit(2) takes a number, does not return and runs nothing of the program, which `bare_fork` asks
            // for.
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
/// - the thread is attached; `list` is a live list with these `items`, which nobody changes meanwhile.
unsafe fn read_all(list: *mut PyObject, items: &[*mut PyObject], before: &[u64]) -> bool {
    for _ in 0..3 {
        // SAFETY: a live list of an attached thread, as this function asks.
        let copy = unsafe { ffi::PyList_AsTuple(list) };
        // SAFETY: null, or the new reference that the call above has given to this function alone.
        unsafe { ffi::Py_XDECREF(copy) };
        // SAFETY: a live list of an attached thread, as this function asks.
        let equal = unsafe { ffi::PyObject_RichCompareBool(list, list, ffi::Py_EQ) };
        for &item in items {
            // SAFETY: the live list holds `item`, and the thread is attached, as this function asks.
            let hash = unsafe { ffi::PyObject_Hash(item) };
            if hash == -1 {
                // SAFETY: takes nothing; attached, as this function asks.
                unsafe { ffi::PyErr_Clear() };
            }
            // SAFETY: a live list, which holds `item`, and an attached thread, as this function asks.
            let position = unsafe { ffi::PySequence_Index(list, item) };
            if equal != 1 || position < 0 {
                return true;
            }
        }
    }
    items
        .iter()
        .zip(before)
        // SAFETY: the live list holds `item`, and the thread is attached, as this function asks.
        .any(|(&item, &word)| unsafe { header::word(item) } != word)
}

/// Forks by the plain system call: no handlers run, and no signal tells of the child's end.
///
/// # Safety
/// - the child may only do what needs no other thread, and has to end by `_exit`.
unsafe fn bare_fork() -> libc::pid_t {
    // clone(2) with no flags, no stack of its own and no exit signal: like fork, but nobody who waits for any child
    // sees it. All arguments are zero, so their order, which differs between architectures, does not matter.
    // SAFETY: clone(2) without flags copies the process and touches no memory of it. Other threads do not exist in the
    // child, whose memory is as they had it at that moment; it does nothing that needs them, as this function asks.
    unsafe { libc::syscall(libc::SYS_clone, 0, 0, 0, 0, 0) as libc::pid_t }
}

fn wait_for(child: libc::pid_t) -> Result<(), String> {
    let started = Instant::now();
    let mut status = 0;
    loop {
        // SAFETY: waitpid(2) writes to one int, which `status` is. A child without exit signal is only seen with __WALL
        // or __WCLONE.
        let seen = unsafe { libc::waitpid(child, &raw mut status, libc::WNOHANG | libc::__WALL) };
        if seen == child {
            break;
        }
        let error = std::io::Error::last_os_error();
        if seen < 0 && error.kind() != std::io::ErrorKind::Interrupted {
            return Err(format!("cannot wait for the self-test's child: {error}"));
        }
        if started.elapsed() > PATIENCE {
            // SAFETY: kill(2) takes numbers. The child was not waited for yet, so its id is still its own.
            unsafe { libc::kill(child, libc::SIGKILL) };
            // SAFETY: waitpid(2) writes to one int, which `status` is.
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
