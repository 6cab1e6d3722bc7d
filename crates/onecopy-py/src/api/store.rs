//! The store's figures and its housekeeping.
#![forbid(unsafe_code)]

use std::time::Duration;

use onecopy::{ContainerStats, Store, store};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::error::Error;

/// Adds the classes and functions to the extension module.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(_stats, module)?)?;
    module.add_function(wrap_pyfunction!(_containers, module)?)?;
    module.add_function(wrap_pyfunction!(_collect, module)?)
}

/// Figures of this process's store, by the names of `onecopy.store.Stats`.
#[pyfunction]
fn _stats(py: Python<'_>) -> Result<[(&'static str, u64); 15], Error> {
    let found: store::Stats =
        py.detach(|| -> Result<_, Error> { Ok(Store::current()?.stats()?) })?;
    Ok([
        ("live_objects", found.live_objects),
        ("building_objects", found.building_objects),
        ("dying_objects", found.dying_objects),
        ("holds", found.holds),
        ("units", found.units),
        ("references", found.references),
        ("processes", found.processes),
        ("containers", found.containers),
        ("chunks", found.chunks),
        ("container_bytes", found.container_bytes),
        ("allocated_bytes", found.allocated_bytes),
        ("occupied_bytes", found.occupied_bytes),
        ("max_bytes", found.max_bytes),
        ("capacity_bytes", found.capacity_bytes),
        ("retried_reads", onecopy::shared::retries()),
    ])
}

/// The containers of this process's store, by the names of `onecopy.store.ContainerStats`.
#[pyfunction]
fn _containers(py: Python<'_>) -> PyResult<Vec<Bound<'_, PyDict>>> {
    let found = py.detach(|| -> Result<_, Error> { Ok(Store::current()?.containers()?) })?;
    let row = |row: &ContainerStats| {
        let fields = PyDict::new(py);
        fields.set_item("id", row.id.to_string())?;
        fields.set_item("kind", row.kind.to_string())?;
        for (name, figure) in [
            ("length", row.len),
            ("holds", row.holds),
            ("units", row.units),
            ("chunks", row.chunks),
            ("total_bytes", row.bytes),
            ("live_bytes", row.live_bytes),
            ("free_bytes", row.free_bytes),
            ("limbo_bytes", row.limbo_bytes),
            ("large_values", row.large_values),
            ("large_bytes", row.large_bytes),
        ] {
            fields.set_item(name, figure)?;
        }
        Ok(fields)
    };
    found.iter().map(row).collect()
}

/// Gives back what nobody needs; returns how much, by the names of `onecopy.store.Collected`.
#[pyfunction]
fn _collect(py: Python<'_>, max_age: Option<f64>) -> Result<[(&'static str, u64); 6], Error> {
    let max_age = max_age.map(age).transpose()?;
    let found: store::Collected =
        py.detach(|| -> Result<_, Error> { Ok(Store::current()?.collect(max_age)?) })?;
    Ok([
        ("processes", found.processes),
        ("holds", found.holds),
        ("units", found.units),
        ("cycles", found.cycles),
        ("objects", found.objects),
        ("bytes", found.bytes),
    ])
}

fn age(seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds).map_err(|_| {
        PyValueError::new_err(format!(
            "max_age must be a number of seconds from 0 on, not {seconds}"
        ))
    })
}
