//! Any object into the store.
#![forbid(unsafe_code)]

use onecopy::store::{Huge, Store};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyString};

use crate::error::Error;
use crate::image::Image;
use crate::{pack, view};

/// Adds the function to the extension module.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(share_graph, module)?)?;
    module.add_function(wrap_pyfunction!(_measure_graph, module)?)
}

/// Shares any object and returns a view of it. `progress` is called with the phase, the steps done and the steps in all
/// (0 if nobody knows); `judge`, before anything is written, with what every process will make anew.
#[pyfunction]
#[pyo3(signature = (data, huge = None, progress = None, judge = None))]
fn share_graph<'py>(
    data: &Bound<'py, PyAny>,
    huge: Option<&Bound<'py, PyAny>>,
    progress: Option<&Bound<'py, PyAny>>,
    judge: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = data.py();
    let huge = huge.map_or(Ok(Huge::Auto), read_huge)?;
    let object = if let Some(object) = pack::share_flat(data, huge)? {
        object
    } else {
        let mut planned = pack::measure(data, progress)?;
        let rebuilt = planned.rebuilt();
        if let Some(judge) = judge.filter(|_| !rebuilt.is_empty()) {
            judge.call1((rebuilt,))?;
        }
        let store = Store::current().map_err(Error::from)?;
        let len = planned.image_len;
        let mut building = py
            .detach(|| store.allocate(len, huge))
            .map_err(Error::from)?;
        planned.write(building.as_mut_slice(), progress)?;
        py.detach(|| building.publish()).map_err(Error::from)?
    };
    view::root_object(&Bound::new(py, Image::new(object))?)
}

/// How many bytes sharing an object would take, and what of it every process would make anew.
#[pyfunction]
fn _measure_graph<'py>(data: &Bound<'py, PyAny>) -> PyResult<(usize, Vec<pack::Row<'py>>)> {
    let planned = pack::measure(data, None)?;
    Ok((planned.image_len, planned.rebuilt()))
}

/// Reads the argument `huge`: `"auto"`, `True` or `False`.
pub(crate) fn read_huge(value: &Bound<'_, PyAny>) -> PyResult<Huge> {
    if let Ok(flag) = value.cast_exact::<PyBool>() {
        return Ok(if flag.is_true() {
            Huge::Always
        } else {
            Huge::Never
        });
    }
    let Ok(text) = value.cast::<PyString>() else {
        let found = value.get_type();
        return Err(PyTypeError::new_err(format!(
            "huge must be \"auto\", True or False, not {}",
            found.name()?
        )));
    };
    if text.to_str()? == "auto" {
        return Ok(Huge::Auto);
    }
    Err(PyValueError::new_err(format!(
        "huge must be \"auto\", True or False, not {}",
        text.repr()?
    )))
}
