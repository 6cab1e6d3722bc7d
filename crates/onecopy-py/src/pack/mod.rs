//! How do objects become an image?
//!
//! The objects are walked twice over an arena: the first walk only measures, so that memory is taken once and at its
//! exact length; the second writes. Neither makes a second copy of the data. A flat list of numbers takes a shorter road.
//!
//! | file | question it answers |
//! |---|---|
//! | `flat` | how does a list of plain values get into the store, in one pass if it is numbers? |
//! | `source` | how are the elements of a real list read, and what if it changes meanwhile? |
//! | `nodes` | which node does an object become? |
//! | `packer` | what does a walk know? |
//! | `known` | what if an object is met again? |
//! | `keys` | how are keys hashed, and shared by dicts that have the same? |
//! | `rows` | when are the elements of a list rows of a table? |
//! | `classes` | which classes' instances are rows? |
//! | `fields` | which fields and shapes do rows have? |
//! | `waiting`, `instances` | what of instances that stand alone? |
//! | `spool` | what is made only once, while measuring? |
//! | `special` | how do arrays and pickled objects get in? |
//! | `ways`, `typed` | which objects of subclasses are shared by their content, and how do they get in? |
//! | `path` | what is the way to the object that cannot be shared? |
//! | `progress` | how does a long walk tell how far it has come? |
#![deny(unsafe_code)]

mod classes;
mod fields;
mod flat;
mod instances;
mod keys;
mod known;
mod nodes;
mod packer;
mod path;
mod progress;
mod rows;
mod source;
mod special;
mod spool;
mod typed;
mod waiting;
mod ways;

use onecopy::image::{Arena, BuildError};
use pyo3::prelude::*;
use pyo3::types::PyType;

use crate::error::Error;
pub(crate) use flat::share as share_flat;
use packer::Packer;
use spool::Spool;

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
    let mut packer = Packer::new(py, &mut arena, &mut spool, reporter);
    let root = packer.root(data)?;
    let (steps, version) = (packer.steps(), packer.version());
    let image_len = arena.finish(root, version).map_err(Error::from)?;
    let image_len = usize::try_from(image_len)
        .map_err(|_| Error::from(BuildError::TooLarge { len: image_len }))?;
    Ok(Planned {
        data: data.clone(),
        spool,
        image_len,
        steps,
    })
}

/// A class of objects that every process makes anew: the way to the first of them, the class, how many there are, and the
/// bytes of their pickles.
pub(crate) type Row<'py> = (String, Bound<'py, PyType>, u64, u64);

impl<'py> Planned<'py> {
    /// What of it is pickled, by class: first what takes most.
    pub(crate) fn rebuilt(&self) -> Vec<Row<'py>> {
        let all = self.spool.rebuilt().into_iter();
        all.map(|row| (row.path.clone(), row.class.clone(), row.count, row.bytes))
            .collect()
    }

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
        let mut packer = Packer::new(py, &mut arena, &mut self.spool, reporter);
        let root = packer.root(&self.data)?;
        packer.done()?;
        let version = packer.version();
        arena
            .finish(root, version)
            .map_err(|_| Error::from(BuildError::Outgrown))?;
        Ok(())
    }
}
