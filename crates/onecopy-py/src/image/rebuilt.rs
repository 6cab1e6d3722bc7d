//! Objects that come out of pickles; `kept` has those that were made before.
#![forbid(unsafe_code)]

use onecopy::image::{Node, Scalar, read_blob};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyList};

use super::owner::Image;
use crate::error::{Error, corrupt};

/// Bytes of the smallest pickle that counts as memory of the process that reads it.
const COUNTED: usize = 1 << 14;

/// The pickled element at `offset`.
pub(crate) fn pickled<'py>(image: &Bound<'py, Image>, offset: u64) -> PyResult<Bound<'py, PyAny>> {
    let py = image.py();
    if let Some(known) = image.get().kept.element(py, offset) {
        return Ok(known);
    }
    let (object, pickle_len) = unpickle(image, offset)?;
    note(image, offset, pickle_len)?;
    let kept = object.clone().unbind();
    image.get().kept.keep_element(offset, kept);
    Ok(object)
}

/// The pickled element at `offset`, unpickled now.
pub(crate) fn fresh<'py>(image: &Bound<'py, Image>, offset: u64) -> PyResult<Bound<'py, PyAny>> {
    Ok(unpickle(image, offset)?.0)
}

/// The pickled element at `offset`, and the length of its pickle.
fn unpickle<'py>(image: &Bound<'py, Image>, offset: u64) -> PyResult<(Bound<'py, PyAny>, usize)> {
    let opened = image.get().open()?;
    match read_blob(opened.bytes(), offset).map_err(Error::from)? {
        Scalar::Pickle(pickle) => {
            let object = load(image, pickle, PyList::empty(image.py()))?;
            Ok((object, pickle.len()))
        }
        _ => Err(corrupt(offset, "a pickle was expected")),
    }
}

/// Counts an object that this process has made for itself; small ones come and go.
fn note(image: &Bound<'_, Image>, offset: u64, pickle_len: usize) -> PyResult<()> {
    if pickle_len >= COUNTED {
        let py = image.py();
        py.import("onecopy._rebuilt")?
            .call_method1("note", (image, offset, pickle_len))?;
    }
    Ok(())
}

/// The object at `offset`, over memory of the image.
pub(crate) fn object<'py>(image: &Bound<'py, Image>, offset: u64) -> PyResult<Bound<'py, PyAny>> {
    let py = image.py();
    if let Some(weak) = image.get().kept.object(py, offset) {
        let object = weak.bind(py).call0()?;
        if !object.is_none() {
            return Ok(object);
        }
    }
    let object = build(image, offset, true)?;
    if let Node::Object(node) = image.get().open()?.node(offset).map_err(Error::from)? {
        note(image, offset, node.pickle.len())?;
    }
    match crate::cpython::module(py, "weakref")?.call_method1("ref", (&object,)) {
        Ok(weak) => image.get().kept.keep_object(offset, weak.unbind()),
        // Some types allow no weak reference; they are built at each access.
        Err(error) if error.is_instance_of::<PyTypeError>(py) => {}
        Err(error) => return Err(error),
    }
    Ok(object)
}

/// Rebuilds the object at `offset`: over memory of the image, or over copies of its buffers that may be written to.
pub(crate) fn build<'py>(
    image: &Bound<'py, Image>,
    offset: u64,
    shared: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let py = image.py();
    let opened = image.get().open()?;
    let Node::Object(object) = opened.node(offset).map_err(Error::from)? else {
        return Err(corrupt(offset, "an object was expected"));
    };
    let buffers = PyList::empty(py);
    for index in 0..object.buffer_count() {
        let section = object.buffer(index).map_err(Error::from)?;
        if shared {
            let (start, len) = (section.offset as usize, section.len as usize);
            buffers.append(Bound::new(py, Image::buffer(image, start, len, offset)?)?)?;
        } else {
            let end = section.offset.saturating_add(section.len) as usize;
            let bytes = opened.bytes().get(section.offset as usize..end);
            buffers.append(PyByteArray::new(py, bytes.unwrap_or_default()))?;
        }
    }
    load(image, object.pickle, buffers)
}

fn load<'py>(
    image: &Bound<'py, Image>,
    pickle: &[u8],
    buffers: Bound<'py, PyList>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = image.py();
    let helper = crate::cpython::module(py, "onecopy._pickle")?;
    if !image.get().allows_pickle() {
        return Err(PyErr::from_value(helper.call_method1("refusal", (image,))?));
    }
    helper.call_method1("loads", (PyBytes::new(py, pickle), buffers))
}
