//! What views of lists, of tuples and of tables have in common: elements that are read by their index.
#![forbid(unsafe_code)]

use std::ops::Range;

use onecopy::image::Container;
use pyo3::prelude::*;

use crate::column::{Elements, scan};

/// Elements in an order.
pub(crate) trait Sequential {
    /// List or tuple.
    fn container(&self) -> Container;

    /// Number of elements.
    fn len(&self) -> usize;

    /// Element `index`, of which there must be one.
    fn element<'py>(&self, py: Python<'py>, index: usize) -> PyResult<Bound<'py, PyAny>>;

    /// The first element in `range` that equals `value`, if that can be seen without objects: `None` says that it cannot,
    /// `Some(None)` that there is no such element.
    #[allow(clippy::option_option, reason = "two different questions")]
    fn scan(
        &self,
        value: &Bound<'_, PyAny>,
        range: Range<usize>,
    ) -> PyResult<Option<Option<usize>>> {
        let _ = (value, range);
        Ok(None)
    }
}

impl Sequential for Elements {
    fn container(&self) -> Container {
        self.container
    }

    fn len(&self) -> usize {
        self.steps.len
    }

    fn element<'py>(&self, py: Python<'py>, index: usize) -> PyResult<Bound<'py, PyAny>> {
        self.get(py, index)
    }

    fn scan(
        &self,
        value: &Bound<'_, PyAny>,
        range: Range<usize>,
    ) -> PyResult<Option<Option<usize>>> {
        scan::find(self, value, range)
    }
}
