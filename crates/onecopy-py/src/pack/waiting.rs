//! Instances that stand alone: in a dict, beside objects of other classes, in another instance, or at the root.
//!
//! Each is given a node at once, which says in which table it will be a row. The tables are made when everything else is
//! written: one for all instances of a class with the same fields that have been met until then. What their cells lead to
//! may be such instances again, which wait for the next round. So a hundred thousand of them are a table of as many
//! rows, and a chain of them is no recursion.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use pyo3::prelude::*;
use pyo3::types::PyList;

use super::classes::Layout;
use super::fields::{Fields, Row};
use super::path::Step;

/// Instances of one class with the same fields, whose table is still to be made.
pub(super) struct Batch<'py> {
    pub(super) layout: Rc<Layout<'py>>,
    pub(super) objects: Bound<'py, PyList>,
    /// Their nodes.
    pub(super) nodes: Vec<u64>,
    /// The ways to them; only while measuring, as it is then that something can be refused.
    pub(super) paths: Vec<Vec<Step<'py>>>,
}

/// The instances of one class that wait.
struct ByShape<'py> {
    fields: Fields<'py>,
    /// The number of each shape's batch.
    batches: Vec<usize>,
}

/// All that wait.
#[derive(Default)]
pub(super) struct Waiting<'py> {
    classes: HashMap<usize, ByShape<'py>>,
    batches: VecDeque<Batch<'py>>,
    /// How many batches have been taken.
    taken: usize,
    row: Row<'py>,
}

impl<'py> Waiting<'py> {
    /// The batch that an instance belongs to; `None` if it has no fields, or such that are none.
    pub(super) fn batch_of(
        &mut self,
        object: &Bound<'py, PyAny>,
        layout: &Rc<Layout<'py>>,
    ) -> PyResult<Option<&mut Batch<'py>>> {
        let py = object.py();
        let class = layout.class.as_ptr().addr();
        let mut shape = None;
        // A class whose instances have had too many shapes or fields begins anew.
        for _ in 0..2 {
            let ByShape { fields, batches } = match self.classes.entry(class) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(place) => {
                    let Some(fields) = Fields::of_layout(py, layout)? else {
                        return Ok(None);
                    };
                    let batches = Vec::new();
                    place.insert(ByShape { fields, batches })
                }
            };
            shape = fields.take_apart(object, &mut self.row, true)?;
            let is_empty = self.row.cells.is_empty();
            self.row.clear();
            if let Some(shape) = shape {
                if is_empty {
                    return Ok(None);
                }
                batches.resize(batches.len().max(shape + 1), usize::MAX);
                break;
            }
            self.classes.remove(&class);
        }
        let (Some(shape), Some(known)) = (shape, self.classes.get_mut(&class)) else {
            return Ok(None);
        };
        let number = &mut known.batches[shape];
        if *number == usize::MAX || *number < self.taken {
            *number = self.taken + self.batches.len();
            self.batches.push_back(Batch {
                layout: layout.clone(),
                objects: PyList::empty(py),
                nodes: Vec::new(),
                paths: Vec::new(),
            });
        }
        Ok(self.batches.get_mut(*number - self.taken))
    }

    /// The batch that has waited longest.
    pub(super) fn next(&mut self) -> Option<Batch<'py>> {
        let batch = self.batches.pop_front()?;
        self.taken += 1;
        Some(batch)
    }
}
