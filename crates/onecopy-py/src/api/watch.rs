//! Watching this process's memory over time, and where objects' buffers lie.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::IntoRawFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, Weak};

use onecopy_cli::{Watch as Sampling, Watched};
use onecopy_meter::{MappingMemory, MeterError, Proc, Session, Tag};
use pyo3::buffer::PyUntypedBuffer;
use pyo3::exceptions::{PyBufferError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;

use super::memory::{process_id, report};
use crate::error::Error;

/// Adds the classes and functions to the extension module.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Sampler>()?;
    module.add_function(wrap_pyfunction!(_buffer_range, module)?)?;
    module.add_function(wrap_pyfunction!(_measure_ranges, module)?)?;
    module.add_function(wrap_pyfunction!(_relatives, module)?)?;
    module.add_function(wrap_pyfunction!(_note_forks, module)?)?;
    module.add_function(wrap_pyfunction!(_fork_count, module)?)?;
    module.add_function(wrap_pyfunction!(_hold_side_folder, module)?)
}

/// A measurement under way; `None` once it has ended. Taken, with the lock held until the end, by whoever ends it.
/// Children leave it alone: another thread may have held the lock at the fork.
type Running = RwLock<Option<Sampling>>;

/// The measurements of this process, and in a child those of its parent, which are none of its own. Only threads that
/// are attached to the interpreter touch it, and none of them forks meanwhile.
static RUNNING: Mutex<Vec<(u32, Weak<Running>)>> = Mutex::new(Vec::new());

/// A thread that samples a process tree; use `onecopy.watch()` instead.
#[pyclass(module = "onecopy._onecopy", frozen)]
pub(crate) struct Sampler {
    running: Arc<Running>,
    seen: OnceLock<Watched>,
    /// The process that has the thread; its children have not.
    owner: u32,
}

#[pymethods]
impl Sampler {
    /// Starts at once.
    #[new]
    fn new(
        py: Python<'_>,
        pid: Option<&Bound<'_, PyAny>>,
        overhead: f64,
        side_folder: Option<PathBuf>,
        earlier: bool,
    ) -> PyResult<Self> {
        let pid = process_id(pid)?;
        if !(overhead > 0.0 && overhead <= 1.0) {
            return Err(PyValueError::new_err(format!(
                "overhead is a part of one processor, above 0 and at most 1, not {overhead}"
            )));
        }
        // A process that is gone or somebody else's is said now, and not by an empty report.
        py.detach(|| {
            let proc = Proc::default();
            if pid == std::process::id() {
                // Itself it may look into, if that is what its number means.
                return proc.stat(pid).map(drop);
            }
            proc.process(pid).map(drop)
        })
        .map_err(Error::from)?;
        let running = Sampling::start(pid, overhead, side_folder, earlier).map_err(|error| {
            PyRuntimeError::new_err(format!("no thread can be made to measure: {error}"))
        })?;
        let running = Arc::new(RwLock::new(Some(running)));
        let owner = std::process::id();
        let mut all = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        all.push((owner, Arc::downgrade(&running)));
        Ok(Self {
            running,
            seen: OnceLock::new(),
            owner,
        })
    }

    /// Whether it has neither ended nor been inherited by fork. One that is ending may still count as running.
    fn is_running(&self) -> bool {
        // Whoever has the lock is ending it.
        self.is_owner()
            && self
                .running
                .try_read()
                .is_ok_and(|running| running.is_some())
    }

    /// Reads now, and returns when that is done; None if there is nothing to read, or if it has ended.
    fn read<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        if !self.is_owner() {
            return Ok(None);
        }
        let reading = py.detach(|| {
            let running = self.running.read().unwrap_or_else(PoisonError::into_inner);
            running.as_ref().map_or(Ok(None), Sampling::read)
        });
        let reading = reading.map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
        reading.map(|reading| report(py, &reading)).transpose()
    }

    /// Takes a last reading and ends; again is no error, and neither is it in a forked child, where there is nothing to
    /// end. Who comes while another thread does it waits until it is done.
    fn stop(&self, py: Python<'_>) -> PyResult<()> {
        if !self.is_owner() {
            return Ok(());
        }
        let ended = py.detach(|| {
            let mut running = self.running.write().unwrap_or_else(PoisonError::into_inner);
            if let Some(running) = running.take() {
                let seen = running.stop().map_err(|error| error.to_string())?;
                self.seen.get_or_init(|| seen);
            }
            Ok(())
        });
        ended.map_err(PyRuntimeError::new_err::<String>)
    }

    /// The reading with the most physical memory.
    fn report<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let found = self.seen.get().and_then(Watched::report);
        found.map(|reading| report(py, reading)).transpose()
    }

    /// The reading with the most copies among those in which another process had memory in common with somebody.
    fn most_copied<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let found = self.seen.get().and_then(Watched::most_copied);
        found.map(|reading| report(py, reading)).transpose()
    }

    /// Forks noted, and processes that shared memory with somebody when they were read.
    fn forks(&self) -> (usize, usize) {
        let seen = self.seen.get();
        seen.map_or((0, 0), |seen| (seen.fork_count(), seen.sharers()))
    }

    /// The highest number of copies in any reading.
    fn max_copies(&self) -> Option<f64> {
        self.seen.get()?.max_copies()
    }

    /// Everything, as JSON.
    fn json(&self) -> PyResult<Option<String>> {
        self.said(Watched::json)
    }

    /// The report as a page.
    fn html(&self) -> PyResult<Option<String>> {
        self.said(Watched::html)
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        let mut all = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(_, running)| running.as_ptr() != Arc::as_ptr(&self.running));
        drop(all);
        // In a child there is no thread. Nobody else can have the measurement now, whatever its lock says.
        if !self.is_owner()
            && let Some(running) = Arc::get_mut(&mut self.running)
        {
            let running = running.get_mut().unwrap_or_else(PoisonError::into_inner);
            if let Some(running) = running.take() {
                running.abandon();
            }
        }
    }
}

impl Sampler {
    fn is_owner(&self) -> bool {
        std::process::id() == self.owner
    }

    fn said<E: std::fmt::Display>(
        &self,
        say: impl Fn(&Watched) -> Result<String, E>,
    ) -> PyResult<Option<String>> {
        let said = self.seen.get().map(say).transpose();
        said.map_err(|error| PyRuntimeError::new_err(error.to_string()))
    }
}

/// Notes, for each measurement of this process, that it is about to fork: what a child inherits is known best just before.
///
/// It is a builtin, and calls nothing of Python's, so that a signal that arrives meanwhile waits until after the fork.
/// An exception that a handler written in Python raised here would be lost (`os.register_at_fork`).
#[pyfunction]
fn _note_forks() {
    let own = std::process::id();
    let all: Vec<Arc<Running>> = {
        let all = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        let of_own = all.iter().filter(|(owner, _)| *owner == own);
        of_own
            .filter_map(|(_, running)| running.upgrade())
            .collect()
    };
    for running in all {
        // Whoever is ending it has the lock, and the last reading does not care.
        if let Ok(running) = running.try_read()
            && let Some(running) = running.as_ref()
        {
            running.note_fork();
        }
    }
}

/// Forks between this process and the one of its ancestors, or itself, that imported the module.
#[pyfunction]
fn _fork_count() -> u64 {
    onecopy::fork_count()
}

/// Address and length of the memory behind an object with the buffer protocol, from its lowest element to its highest.
#[pyfunction]
fn _buffer_range(buffer: &Bound<'_, PyAny>) -> PyResult<(usize, usize)> {
    let buffer = PyUntypedBuffer::get(buffer)?;
    if buffer.suboffsets().is_some() {
        return Err(PyBufferError::new_err(
            "the buffer's elements lie behind pointers",
        ));
    }
    let (mut low, mut high) = (buffer.buf_ptr().addr(), buffer.buf_ptr().addr());
    for (length, stride) in buffer.shape().iter().zip(buffer.strides()) {
        let Some(steps) = length.checked_sub(1) else {
            return Ok((low, 0));
        };
        let reach = stride.unsigned_abs().saturating_mul(steps);
        if *stride < 0 {
            low = low.saturating_sub(reach);
        } else {
            high = high.saturating_add(reach);
        }
    }
    Ok((low, high - low + buffer.item_size()))
}

/// Holds a side folder until this process, and every child that it forks, has ended; removes those that nobody holds.
#[pyfunction]
fn _hold_side_folder(py: Python<'_>, folder: PathBuf) {
    // It is never closed: the kernel does that at the end, in every process that has it.
    let held = py.detach(move || onecopy_cli::hold_side_folder(&folder));
    let _ = held.map(IntoRawFd::into_raw_fd);
}

/// Processes of the tree below `pid`, but this one, that are relatives of this one by fork.
#[pyfunction]
fn _relatives(py: Python<'_>, pid: Option<&Bound<'_, PyAny>>) -> PyResult<Vec<u32>> {
    let pid = process_id(pid)?;
    let glance = py.detach(|| Session::new(Proc::default(), pid).glance());
    let glance = glance.map_err(Error::from)?;
    let own = std::process::id();
    let proc = Proc::default();
    let place = |pid| {
        proc.stat(pid)
            .map(|stat| (stat.start_stack, stat.start_code))
    };
    let here = place(own).map_err(Error::from)?;
    // A fork keeps the stack and the code at their place. Where the kernel does not show it, everybody may be a
    // relative; who has ended meanwhile is none.
    let is_related = |pid| place(pid).is_ok_and(|there| here.0 == 0 || there == here);
    let pids = glance.processes.iter().map(|process| process.pid);
    Ok(pids.filter(|pid| *pid != own && is_related(*pid)).collect())
}

/// What is known of some ranges of memory: bytes by process.
#[derive(Default, IntoPyObject)]
struct RangesUse {
    shared: u64,
    copied: u64,
    new: u64,
}

/// What a measurement says of some ranges of this process's memory.
#[derive(IntoPyObject)]
struct Ranges<'py> {
    report: Bound<'py, PyAny>,
    /// Distinct pages that were inherited, and the frames behind them.
    pages: u64,
    frames: u64,
    /// Who has what of the pages that the number of copies speaks of.
    users: BTreeMap<u32, RangesUse>,
    /// Who else has pages of what lies there in files or shared memory.
    sharers: BTreeSet<u32>,
}

/// Measures the tree below a process with some ranges of this one's memory named.
#[pyfunction]
fn _measure_ranges<'py>(
    py: Python<'py>,
    pid: Option<&Bound<'py, PyAny>>,
    name: &str,
    ranges: Vec<(u64, u64)>,
) -> PyResult<Ranges<'py>> {
    let (pid, owner) = (process_id(pid)?, std::process::id());
    let tag = |&(start, len): &(u64, u64)| Tag {
        pid: owner,
        start_time_ticks: None,
        name: name.to_owned(),
        start,
        len,
    };
    let tags = ranges.iter().map(tag).collect();
    let measured = py.detach(|| {
        let mut session = Session::new(Proc::default(), pid).patient();
        session.set_tags(tags);
        let reading = session.read()?;
        let pids = reading.processes.iter().map(|process| process.pid);
        let others: Vec<u32> = pids.filter(|pid| *pid != owner).collect();
        let mut sharers = BTreeSet::new();
        for (start, len) in ranges {
            let range = start..start.saturating_add(len);
            sharers.extend(Proc::default().sharers(owner, range, &others)?);
        }
        Ok((reading, sharers))
    });
    let (reading, sharers) = measured.map_err(|error: MeterError| Error::from(error))?;
    let (mut pages, mut frames) = (0, 0);
    let mut users = BTreeMap::<u32, RangesUse>::new();
    let named = |mapping: &&MappingMemory| mapping.tagged && mapping.label == name;
    for mapping in reading.mappings.iter().filter(named) {
        // Not known when a process could not be read, which the report says, too.
        pages += mapping.pages.unwrap_or_default();
        frames += mapping.frames.unwrap_or_default();
        for part in &mapping.processes {
            let user = users.entry(part.pid).or_default();
            user.shared += part.pages.shared;
            user.copied += part.pages.copied;
            user.new += part.pages.new;
        }
    }
    let report = report(py, &reading)?;
    Ok(Ranges {
        report,
        pages,
        frames,
        users,
        sharers,
    })
}
