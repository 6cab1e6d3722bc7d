//! The meter's reports as the classes of `onecopy.meter`: attributes for programs, a table for people.
#![forbid(unsafe_code)]

use onecopy_meter::{self as meter, MeterError, Proc, SkipReason};
use pyo3::exceptions::{PyProcessLookupError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::error::Error;

/// Adds the classes and functions to the extension module.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(_memory, module)?)?;
    module.add_function(wrap_pyfunction!(_report_text, module)?)
}

/// The keyword arguments of a class in `onecopy.meter`.
macro_rules! fields {
    ($py:expr, { $($name:ident: $value:expr),* $(,)? }) => {{
        let fields = PyDict::new($py);
        $(fields.set_item(stringify!($name), $value)?;)*
        fields
    }};
}

/// A `onecopy.meter.Report` of a reading.
pub(crate) fn report<'py>(py: Python<'py>, reading: &meter::Report) -> PyResult<Bound<'py, PyAny>> {
    let classes = crate::cpython::module(py, "onecopy.meter")?;
    let new = |class: &str, fields: PyResult<Bound<'py, PyDict>>| {
        classes.getattr(class)?.call((), Some(&fields?))
    };
    let processes = reading.processes.iter();
    let skipped = reading.skipped.iter();
    let stores = reading.stores.iter();
    let (tree, copies) = (&reading.tree, &reading.tree.copies);
    let text =
        serde_json::to_string(reading).map_err(|error| PyValueError::new_err(error.to_string()))?;
    let fields = fields!(py, {
        root: reading.root,
        complete: reading.complete,
        drift: reading.drift,
        copies: copies.value,
        copies_reason: copies.reason.as_deref(),
        level: if matches!(reading.level, meter::Level::A) { "A" } else { "B" },
        agreement: copies.agreement,
        wasted: copies.wasted.map(|pages| pages * reading.page_size),
        sum_rss: tree.sum_rss,
        sum_pss: tree.sum_pss,
        sum_uss: tree.sum_uss,
        sum_private_dirty: tree.sum_private_dirty,
        allocated: tree.allocated,
        processes: all(py, processes.map(|row| new("ProcessMemory", process(py, row))))?,
        skipped: all(py, skipped.map(|row| new("SkippedProcess", skip(py, row))))?,
        stores: all(py, stores.map(|row| new("StoreMemory", store(py, row))))?,
        limits: PyTuple::new(py, &reading.limits)?,
        _json: text,
    });
    new("Report", Ok(fields))
}

/// A tuple of what an iterator yields.
fn all<'py>(
    py: Python<'py>,
    rows: impl Iterator<Item = PyResult<Bound<'py, PyAny>>>,
) -> PyResult<Bound<'py, PyTuple>> {
    PyTuple::new(py, rows.collect::<PyResult<Vec<_>>>()?)
}

fn process<'py>(py: Python<'py>, row: &meter::ProcessMemory) -> PyResult<Bound<'py, PyDict>> {
    let pages = row.pages.unwrap_or_default();
    Ok(fields!(py, {
        pid: row.pid,
        parent: row.parent,
        name: &row.name,
        threads: row.threads,
        rss: row.rss,
        pss: row.pss,
        uss: row.uss,
        shared: row.shared,
        private_dirty: row.private_dirty,
        pss_shmem: row.pss_shmem,
        swap: row.swap,
        role: match row.role {
            Some(meter::Role::Parent) => "parent",
            Some(meter::Role::Worker) => "worker",
            _ => "alone",
        },
        inherited: pages.inherited,
        copied: pages.copied,
        last_owner: pages.last_owner,
        new: pages.new,
    }))
}

fn skip<'py>(py: Python<'py>, row: &meter::Skipped) -> PyResult<Bound<'py, PyDict>> {
    let reason = match row.reason {
        SkipReason::Exited => "exited",
        SkipReason::Vanished => "vanished",
        SkipReason::Denied => "denied",
        SkipReason::KernelThread => "kernel_thread",
        SkipReason::ParentsMemory => "parents_memory",
        _ => "other",
    };
    Ok(fields!(py, { pid: row.pid, name: &row.name, reason: reason, rss: row.rss }))
}

fn store<'py>(py: Python<'py>, row: &meter::StoreMemory) -> PyResult<Bound<'py, PyDict>> {
    let pids = PyTuple::new(py, row.users.iter().map(|user| user.pid))?;
    Ok(fields!(py, { id: &row.id, allocated: row.allocated, pids: pids }))
}

/// What `onecopy report` prints of a reading that is there as JSON.
#[pyfunction]
fn _report_text(json: &str) -> PyResult<String> {
    let reading: meter::Report =
        serde_json::from_str(json).map_err(|error| PyValueError::new_err(error.to_string()))?;
    Ok(onecopy_cli::text(&reading))
}

/// Measures a process, and with `children` all below it; see `onecopy.memory`.
#[pyfunction]
fn _memory<'py>(
    py: Python<'py>,
    pid: Option<&Bound<'py, PyAny>>,
    children: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let pid = process_id(pid)?;
    let measured = py.detach(|| {
        let proc = Proc::default();
        let report = if children {
            proc.tree(pid)
        } else {
            proc.alone(pid)
        }?;
        // Others that cannot be read are in the report; about the one that was asked for there is nothing else to say.
        if report.skipped.iter().any(|skipped| skipped.pid == pid) {
            proc.process(pid)?;
        }
        Ok(report)
    });
    let reading = measured.map_err(|error: MeterError| Error::from(error))?;
    report(py, &reading)
}

/// The process that an argument names; this one if it is None.
pub(crate) fn process_id(pid: Option<&Bound<'_, PyAny>>) -> PyResult<u32> {
    let Some(pid) = pid else {
        return Ok(std::process::id());
    };
    // An int of any size, or whatever stands for one.
    let number = pid.call_method0("__index__").map_err(|_| {
        PyTypeError::new_err(format!(
            "pid: expected a process's number, found {}",
            pid.get_type()
                .qualname()
                .map_or_else(|_| "something else".to_owned(), |name| name.to_string())
        ))
    })?;
    if number.lt(1)? {
        return Err(PyValueError::new_err(format!(
            "pid must be at least 1, not {number}"
        )));
    }
    number
        .extract::<u32>()
        .map_err(|_| PyProcessLookupError::new_err(format!("process {number} does not exist")))
}
