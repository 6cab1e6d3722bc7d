//! Watching this process's memory over time, and where objects' buffers lie.
#![forbid(unsafe_code)]

use std::path::PathBuf;

use onecopy_cli::{Watch as Sampling, Watched};
use onecopy_meter::{Proc, Session, Tag};
use pyo3::buffer::PyUntypedBuffer;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;

use crate::error::Error;
use crate::memory::Report;

/// A thread that samples a process tree; use `onecopy.watch()` instead.
#[pyclass(module = "onecopy._onecopy")]
pub(crate) struct Sampler {
    running: Option<Sampling>,
    seen: Option<Watched>,
}

#[pymethods]
impl Sampler {
    /// Starts at once.
    #[new]
    fn new(pid: u32, overhead: f64, side_folder: Option<PathBuf>) -> PyResult<Self> {
        if !(overhead > 0.0 && overhead <= 1.0) {
            return Err(PyValueError::new_err(format!(
                "overhead is a part of one processor, above 0 and at most 1, not {overhead}"
            )));
        }
        Ok(Self {
            running: Some(Sampling::start(pid, overhead, side_folder)),
            seen: None,
        })
    }

    /// Takes a last reading and ends; again is no error.
    fn stop(&mut self, py: Python<'_>) -> PyResult<()> {
        if let Some(running) = self.running.take() {
            let seen = py.detach(|| running.stop());
            self.seen = Some(seen.map_err(|error| PyRuntimeError::new_err(error.to_string()))?);
        }
        Ok(())
    }

    /// The reading with the most physical memory.
    fn report(&self) -> Option<Report> {
        let report = self.seen.as_ref()?.report()?;
        Some(Report::from(report.clone()))
    }

    /// The highest number of copies in any reading.
    fn max_copies(&self) -> Option<f64> {
        self.seen.as_ref()?.max_copies()
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

impl Sampler {
    fn said<E: std::fmt::Display>(
        &self,
        say: impl Fn(&Watched) -> Result<String, E>,
    ) -> PyResult<Option<String>> {
        let said = self.seen.as_ref().map(say).transpose();
        said.map_err(|error| PyRuntimeError::new_err(error.to_string()))
    }
}

/// Address and length of the memory behind an object with the buffer protocol.
#[pyfunction]
pub(crate) fn _buffer_range(buffer: &Bound<'_, PyAny>) -> PyResult<(usize, usize)> {
    let buffer = PyUntypedBuffer::get(buffer)?;
    Ok((buffer.buf_ptr().addr(), buffer.len_bytes()))
}

/// Measures the tree below a process with some ranges named, as JSON.
#[pyfunction]
pub(crate) fn _measure_ranges(
    py: Python<'_>,
    pid: u32,
    name: &str,
    ranges: Vec<(u64, u64)>,
) -> PyResult<String> {
    let owner = std::process::id();
    let tag = |(start, len)| Tag {
        pid: owner,
        name: name.to_owned(),
        start,
        len,
    };
    let tags = ranges.into_iter().map(tag).collect();
    let report = py.detach(|| {
        let mut session = Session::new(Proc::default(), pid).patient();
        session.set_tags(tags);
        session.read()
    });
    let report = report.map_err(Error::from)?;
    serde_json::to_string(&report).map_err(|error| PyValueError::new_err(error.to_string()))
}
