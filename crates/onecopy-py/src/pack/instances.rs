//! The nodes of instances that stand alone, and the tables in which they are rows.
#![forbid(unsafe_code)]

use onecopy::image::{BuildError, Container, place_row, put_placed_row};
use pyo3::prelude::*;

use super::fields::Fields;
use super::known::{Known, node_word};
use super::packer::Packer;
use super::waiting::Batch;
use crate::error::Error;

impl<'py> Packer<'_, '_, 'py> {
    /// The node of an instance whose attributes are shared one by one; `None` for any other object.
    pub(super) fn instance(
        &mut self,
        object: &Bound<'py, PyAny>,
        extra: isize,
    ) -> PyResult<Option<u64>> {
        let Some(layout) = self.layouts.of(object)? else {
            return Ok(None);
        };
        let Some(batch) = self.waiting.batch_of(object, &layout)? else {
            return Ok(None);
        };
        let node = place_row(self.arena).map_err(Error::from)?;
        batch.objects.append(object)?;
        batch.nodes.push(node);
        if self.arena.is_measuring() {
            batch.paths.push(self.path.clone());
        }
        // One more owner than before: the batch.
        self.remember(
            object,
            extra.saturating_add(1),
            Known::Word(node_word(node)?),
        );
        Ok(Some(node))
    }

    /// Writes the table of instances that have waited.
    pub(super) fn run_batch(&mut self, batch: Batch<'py>) -> PyResult<()> {
        let Batch {
            layout,
            objects,
            nodes,
            paths,
        } = batch;
        let changed = || Error::from(BuildError::Changed { index: 0 });
        let fields = Fields::of_layout(self.py, &layout)?;
        let mut fields = fields.ok_or_else(changed)?;
        let objects = objects.into_any();
        if !self.survey_rows(&objects, &mut fields, true)? {
            return Err(changed().into());
        }
        let table = self.place_table_of(&fields)?;
        for (row, &node) in nodes.iter().enumerate() {
            put_placed_row(self.arena, node, table, row as u64).map_err(Error::from)?;
        }
        self.put_rows(&objects, Container::List, table, &mut fields, Some(&paths))
    }
}
