//! The store's figures and its housekeeping.
#![forbid(unsafe_code)]

use std::time::Duration;

use onecopy::{Store, store};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::error::Error;

/// Adds the classes and functions to the extension module.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Stats>()?;
    module.add_class::<Collected>()?;
    module.add_function(wrap_pyfunction!(stats, module)?)?;
    module.add_function(wrap_pyfunction!(collect, module)?)
}

/// Figures of this process's store at one moment; sizes in bytes.
#[pyclass(frozen, eq, get_all, module = "onecopy")]
#[derive(PartialEq)]
pub(crate) struct Stats {
    /// Shared objects that can be read.
    live_objects: u64,
    /// Objects being built, among them arrays born in the store and not yet shared.
    building_objects: u64,
    /// Objects whose memory is being given back.
    dying_objects: u64,
    /// Holds: one per object and process that uses it.
    holds: u64,
    /// Pickled tokens that nobody has unpickled yet.
    units: u64,
    /// Processes that use the store.
    processes: u64,
    /// Bytes of all objects, in whole pages.
    allocated_bytes: u64,
    /// Bytes of memory that the store occupies, its own tables included.
    occupied_bytes: u64,
    /// Quota for `allocated_bytes`; 0 means none.
    max_bytes: u64,
    /// Address space set aside for the store, which costs no memory.
    capacity_bytes: u64,
}

#[pymethods]
impl Stats {
    /// The figures as a dict.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        for (name, value) in self.rows() {
            dict.set_item(name, value)?;
        }
        Ok(dict)
    }

    fn __repr__(&self) -> String {
        let rows: Vec<_> = self
            .rows()
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        format!("Stats({})", rows.join(", "))
    }
}

impl Stats {
    fn rows(&self) -> [(&'static str, u64); 10] {
        [
            ("live_objects", self.live_objects),
            ("building_objects", self.building_objects),
            ("dying_objects", self.dying_objects),
            ("holds", self.holds),
            ("units", self.units),
            ("processes", self.processes),
            ("allocated_bytes", self.allocated_bytes),
            ("occupied_bytes", self.occupied_bytes),
            ("max_bytes", self.max_bytes),
            ("capacity_bytes", self.capacity_bytes),
        ]
    }
}

/// What `collect()` gave back.
#[pyclass(frozen, eq, get_all, module = "onecopy")]
#[derive(PartialEq)]
pub(crate) struct Collected {
    /// Dead processes that were recovered.
    processes: u64,
    /// Holds they had left behind.
    holds: u64,
    /// Pickled tokens that were given up because of their age.
    units: u64,
    /// Objects that went with these.
    objects: u64,
    /// Bytes of those objects.
    bytes: u64,
}

#[pymethods]
impl Collected {
    fn __repr__(&self) -> String {
        format!(
            "Collected(processes={}, holds={}, units={}, objects={}, bytes={})",
            self.processes, self.holds, self.units, self.objects, self.bytes
        )
    }
}

/// Figures of this process's store.
///
/// >>> import onecopy
/// >>> before = onecopy.stats().live_objects
/// >>> view = onecopy.share([1, 2, 3])
/// >>> onecopy.stats().live_objects - before
/// 1
#[pyfunction]
fn stats(py: Python<'_>) -> Result<Stats, Error> {
    let found: store::Stats =
        py.detach(|| -> Result<_, Error> { Ok(Store::current()?.stats()?) })?;
    Ok(Stats {
        live_objects: found.live_objects,
        building_objects: found.building_objects,
        dying_objects: found.dying_objects,
        holds: found.holds,
        units: found.units,
        processes: found.processes,
        allocated_bytes: found.allocated_bytes,
        occupied_bytes: found.occupied_bytes,
        max_bytes: found.max_bytes,
        capacity_bytes: found.capacity_bytes,
    })
}

/// Gives back what nobody needs: holds of dead processes and, with `max_age` in seconds, tokens pickled longer ago
/// and never unpickled.
///
/// >>> import onecopy
/// >>> onecopy.collect().units
/// 0
#[pyfunction]
#[pyo3(signature = (max_age = None))]
fn collect(py: Python<'_>, max_age: Option<f64>) -> Result<Collected, Error> {
    let max_age = max_age.map(age).transpose()?;
    let found: store::Collected =
        py.detach(|| -> Result<_, Error> { Ok(Store::current()?.collect(max_age)?) })?;
    Ok(Collected {
        processes: found.processes,
        holds: found.holds,
        units: found.units,
        objects: found.objects,
        bytes: found.bytes,
    })
}

fn age(seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds).map_err(|_| {
        PyValueError::new_err(format!(
            "max_age must be a number of seconds from 0 on, not {seconds}"
        ))
    })
}
