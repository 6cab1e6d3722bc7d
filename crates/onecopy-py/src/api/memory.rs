//! The meter's report as Python objects: attributes for programs, a table for people.
#![forbid(unsafe_code)]

use onecopy_meter::{self as meter, MeterError, Proc, SkipReason};
use pyo3::exceptions::{PyProcessLookupError, PyTypeError, PyValueError};
use pyo3::prelude::*;

use crate::error::Error;

/// Adds the classes and functions to the extension module.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Report>()?;
    module.add_class::<ProcessMemory>()?;
    module.add_class::<SkippedProcess>()?;
    module.add_class::<StoreMemory>()?;
    module.add_function(wrap_pyfunction!(memory, module)?)
}

/// One process's memory; sizes in bytes, as the kernel accounts for them.
#[pyclass(frozen, eq, get_all, module = "onecopy")]
#[derive(Clone, PartialEq)]
pub(crate) struct ProcessMemory {
    /// Its id.
    pid: u32,
    /// Its parent's id.
    parent: u32,
    /// Its name, at most 15 bytes.
    name: String,
    /// Threads.
    threads: u32,
    /// Pages present, each counted in full however many processes map it.
    rss: u64,
    /// Pages present, each divided by the number of its mappings.
    pss: u64,
    /// Pages that only this process maps.
    uss: u64,
    /// Pages mapped more than once.
    shared: u64,
    /// The written part of `uss`.
    private_dirty: u64,
    /// The part of PSS in shared memory; None before Linux 5.9.
    pss_shmem: Option<u64>,
    /// Anonymous memory swapped out.
    swap: u64,
    /// `"parent"`, `"worker"` (forked from a relative that is alive) or `"alone"`.
    role: &'static str,
    /// Memory that existed when it, or one of its children, was forked.
    inherited: u64,
    /// The part of `inherited` that it has copied by writing.
    copied: u64,
    /// The part of `inherited` that nobody copied and nobody else has any more.
    last_owner: u64,
    /// Private memory that came after the fork.
    new: u64,
}

#[pymethods]
impl ProcessMemory {
    fn __repr__(&self) -> String {
        format!(
            "ProcessMemory(pid={}, name={:?}, rss={}, pss={}, uss={}, private_dirty={})",
            self.pid, self.name, self.rss, self.pss, self.uss, self.private_dirty
        )
    }
}

impl From<&meter::ProcessMemory> for ProcessMemory {
    fn from(row: &meter::ProcessMemory) -> Self {
        let pages = row.pages.unwrap_or_default();
        Self {
            role: match row.role {
                Some(meter::Role::Parent) => "parent",
                Some(meter::Role::Worker) => "worker",
                _ => "alone",
            },
            inherited: pages.inherited,
            copied: pages.copied,
            last_owner: pages.last_owner,
            new: pages.new,
            pid: row.pid,
            parent: row.parent,
            name: row.name.clone(),
            threads: row.threads,
            rss: row.rss,
            pss: row.pss,
            uss: row.uss,
            shared: row.shared,
            private_dirty: row.private_dirty,
            pss_shmem: row.pss_shmem,
            swap: row.swap,
        }
    }
}

/// A process of the tree that could not be measured.
#[pyclass(frozen, eq, get_all, module = "onecopy")]
#[derive(Clone, PartialEq)]
pub(crate) struct SkippedProcess {
    /// Its id.
    pid: u32,
    /// Its name, at most 15 bytes.
    name: String,
    /// `"exited"`, `"vanished"`, `"denied"` or `"kernel_thread"`.
    reason: &'static str,
    /// Its RSS in bytes, if that at least could be read.
    rss: Option<u64>,
}

#[pymethods]
impl SkippedProcess {
    fn __repr__(&self) -> String {
        format!(
            "SkippedProcess(pid={}, name={:?}, reason={:?})",
            self.pid, self.name, self.reason
        )
    }
}

impl From<&meter::Skipped> for SkippedProcess {
    fn from(skipped: &meter::Skipped) -> Self {
        let reason = match skipped.reason {
            SkipReason::Exited => "exited",
            SkipReason::Vanished => "vanished",
            SkipReason::Denied => "denied",
            SkipReason::KernelThread => "kernel_thread",
            SkipReason::ParentsMemory => "parents_memory",
            _ => "other",
        };
        Self {
            pid: skipped.pid,
            name: skipped.name.clone(),
            reason,
            rss: skipped.rss,
        }
    }
}

/// A store that the tree maps, counted once however many processes map it.
#[pyclass(frozen, eq, get_all, module = "onecopy")]
#[derive(Clone, PartialEq)]
pub(crate) struct StoreMemory {
    /// The store's id.
    id: String,
    /// Bytes of memory that it occupies, touched or not; None if no descriptor of it may be read.
    allocated: Option<u64>,
    /// Ids of the processes that map it.
    pids: Vec<u32>,
}

#[pymethods]
impl StoreMemory {
    fn __repr__(&self) -> String {
        let allocated = self
            .allocated
            .map_or_else(|| "None".to_owned(), |bytes| bytes.to_string());
        format!(
            "StoreMemory(id={:?}, allocated={allocated}, pids={:?})",
            self.id, self.pids
        )
    }
}

impl From<&meter::StoreMemory> for StoreMemory {
    fn from(store: &meter::StoreMemory) -> Self {
        Self {
            id: store.id.clone(),
            allocated: store.allocated,
            pids: store.users.iter().map(|user| user.pid).collect(),
        }
    }
}

/// What a process tree's memory is made of, and how many copies of its data exist.
///
/// Sums are None as soon as one living process could not be read: a part is never shown as the whole.
#[pyclass(frozen, module = "onecopy")]
pub(crate) struct Report {
    inner: meter::Report,
}

impl From<meter::Report> for Report {
    fn from(inner: meter::Report) -> Self {
        Self { inner }
    }
}

#[pymethods]
impl Report {
    /// Id of the process at the top.
    #[getter]
    fn root(&self) -> u32 {
        self.inner.root
    }

    /// Whether every living process of the tree was read, in one steady pass.
    #[getter]
    fn complete(&self) -> bool {
        self.inner.complete
    }

    /// Pages that moved while the tree was read, as page faults tell; the numbers may be off by as many.
    #[getter]
    fn drift(&self) -> u64 {
        self.inner.drift
    }

    /// Physical copies of the tree's data: 1.00 is one copy; None if it cannot be told.
    #[getter]
    fn copies(&self) -> Option<f64> {
        self.inner.tree.copies.value
    }

    /// Why `copies` is None.
    #[getter]
    fn copies_reason(&self) -> Option<&str> {
        self.inner.tree.copies.reason.as_deref()
    }

    /// What the count rests on: `"A"`, page frame numbers; `"B"`, bits that need no privilege.
    #[getter]
    fn level(&self) -> &'static str {
        match self.inner.level {
            meter::Level::A => "A",
            _ => "B",
        }
    }

    /// How much of the physical memory (PSS) the count explains, 1.0 for all of it; None if PSS is not known.
    #[getter]
    fn agreement(&self) -> Option<f64> {
        self.inner.tree.copies.agreement
    }

    /// Bytes that exist only because processes wrote to inherited memory.
    #[getter]
    fn wasted(&self) -> Option<u64> {
        let wasted = self.inner.tree.copies.wasted?;
        Some(wasted * self.inner.page_size)
    }

    /// What adding up `ps` or `top` would say, in bytes.
    #[getter]
    fn sum_rss(&self) -> Option<u64> {
        self.inner.tree.sum_rss
    }

    /// Physical memory of the tree in bytes, if all who share it are in it.
    #[getter]
    fn sum_pss(&self) -> Option<u64> {
        self.inner.tree.sum_pss
    }

    /// Bytes that only one process of the tree maps, added up.
    #[getter]
    fn sum_uss(&self) -> Option<u64> {
        self.inner.tree.sum_uss
    }

    /// Bytes that only one process maps and that were written, added up.
    #[getter]
    fn sum_private_dirty(&self) -> Option<u64> {
        self.inner.tree.sum_private_dirty
    }

    /// Bytes of memory that stores occupy, each store counted once.
    #[getter]
    fn allocated(&self) -> Option<u64> {
        self.inner.tree.allocated
    }

    /// The processes, parents before children.
    #[getter]
    fn processes(&self) -> Vec<ProcessMemory> {
        self.inner.processes.iter().map(Into::into).collect()
    }

    /// Processes that could not be measured, and why.
    #[getter]
    fn skipped(&self) -> Vec<SkippedProcess> {
        self.inner.skipped.iter().map(Into::into).collect()
    }

    /// The stores that the tree maps.
    #[getter]
    fn stores(&self) -> Vec<StoreMemory> {
        self.inner.stores.iter().map(Into::into).collect()
    }

    /// What the numbers cannot tell here, in plain words.
    #[getter]
    fn limits(&self) -> Vec<String> {
        self.inner.limits.clone()
    }

    /// Everything as dicts and lists, in the form that `onecopy report --json` prints.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let text = serde_json::to_string(&self.inner)
            .map_err(|error| pyo3::exceptions::PyValueError::new_err(error.to_string()))?;
        py.import("json")?.call_method1("loads", (text,))
    }

    fn __str__(&self) -> String {
        onecopy_cli::text(&self.inner)
    }

    fn __repr__(&self) -> String {
        onecopy_cli::text(&self.inner)
    }
}

/// Measures the memory of a process and its children, from the kernel's own accounting.
///
/// Args:
///     pid: The process; by default this one.
///     children: Whether to measure all processes below it as well.
///
/// Returns:
///     A report that prints as the one of the command `onecopy report`. A child that may not be looked into is in
///     `skipped`, and leaves the sums None.
///
/// Raises:
///     ProcessLookupError: There is no such process.
///     PermissionError: It may not be looked into: it is somebody else's, say.
///     TypeError: `pid` is no number.
///     ValueError: `pid` is below 1.
///
/// Example:
/// >>> import onecopy
/// >>> report = onecopy.memory()
/// >>> report.complete and report.sum_pss <= report.sum_rss
/// True
#[expect(
    clippy::doc_markdown,
    reason = "sections and names as in Python's help()"
)]
#[pyfunction]
#[pyo3(signature = (pid = None, children = true))]
fn memory(py: Python<'_>, pid: Option<&Bound<'_, PyAny>>, children: bool) -> PyResult<Report> {
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
    let inner = measured.map_err(|error: MeterError| Error::from(error))?;
    Ok(Report { inner })
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
