//! From Python objects straight into an image.
//!
//! The objects are walked twice over an arena: the first walk only measures, so that memory is taken once and at its
//! exact length; the second writes. Neither makes a second copy of the data. A flat list of numbers takes a shorter road.
//!
//! | file | question it answers |
//! |---|---|
//! | `flat` | how does a list of plain values get into the store, in one pass if it is numbers? |
//! | `source` | how are the elements of a real list read, and what if it changes meanwhile? |
//! | `walk` | which node does an object become? |
//! | `keys` | how are keys hashed, and shared by dicts that have the same? |
//! | `rows` | when are the elements of a list rows of a table? |
//! | `special` | how do arrays and pickled objects get in? |
//! | `path` | what is the way to the object that cannot be shared? |
#![deny(unsafe_code)]

pub(crate) mod flat;
mod keys;
mod path;
mod rows;
pub(crate) mod source;
mod special;
mod walk;

use onecopy::image::{Arena, BuildError, FORMAT_VERSION};
use onecopy::store::{Huge, Store};
use pyo3::prelude::*;

use crate::array::read_huge;
use crate::error::Error;
use crate::image::Image;
use crate::{progress, view};
use special::Spool;
use walk::Walk;

/// An object whose image has been measured and can be written.
pub(crate) struct Planned<'py> {
    data: Bound<'py, PyAny>,
    spool: Spool<'py>,
    /// Length of the image in bytes.
    pub(crate) image_len: usize,
    steps: u64,
}

/// Measures the image of an object.
pub(crate) fn measure<'py>(
    data: &Bound<'py, PyAny>,
    progress: Option<&Bound<'py, PyAny>>,
) -> PyResult<Planned<'py>> {
    let py = data.py();
    let mut spool = Spool::default();
    let mut arena = Arena::measure();
    let reporter = progress::Reporter::new(progress, "measuring", 0);
    let mut walk = Walk::new(py, &mut arena, &mut spool, reporter);
    let root = walk.root(data)?;
    let steps = walk.steps();
    let image_len = arena.finish(root, FORMAT_VERSION).map_err(Error::from)?;
    let image_len = usize::try_from(image_len)
        .map_err(|_| Error::from(BuildError::TooLarge { len: image_len }))?;
    Ok(Planned {
        data: data.clone(),
        spool,
        image_len,
        steps,
    })
}

impl<'py> Planned<'py> {
    /// Writes the image into memory of exactly its length.
    pub(crate) fn write(
        &mut self,
        out: &mut [u8],
        progress: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<()> {
        let py = self.data.py();
        self.spool.rewind();
        let mut arena = Arena::write(out);
        let reporter = progress::Reporter::new(progress, "writing", self.steps);
        let mut walk = Walk::new(py, &mut arena, &mut self.spool, reporter);
        let root = walk.root(&self.data)?;
        walk.done()?;
        arena
            .finish(root, FORMAT_VERSION)
            .map_err(|_| Error::from(BuildError::Outgrown))?;
        Ok(())
    }
}

/// Shares any object and returns a view of it. `progress` is called with the phase, the steps done and the steps in all
/// (0 if nobody knows).
#[pyfunction]
#[pyo3(signature = (data, huge = None, progress = None))]
pub(crate) fn share_graph<'py>(
    data: &Bound<'py, PyAny>,
    huge: Option<&Bound<'py, PyAny>>,
    progress: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = data.py();
    let huge = huge.map_or(Ok(Huge::Auto), read_huge)?;
    let object = if let Some(object) = flat::share(data, huge)? {
        object
    } else {
        let mut planned = measure(data, progress)?;
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
