//! Keys of dicts and members of sets: their hashes, and keys nodes that several dicts share.

use onecopy::image::{BuildError, Container, put_keys};
use pyo3::prelude::*;
use pyo3::types::PyList;

use super::packer::Packer;
use super::path::Step;
use crate::error::Error;
use crate::value::key_hash;

/// Dicts of more keys than this have keys nodes of their own.
const SHARED_KEYS: usize = 64;
/// So many different sets of keys are remembered.
const SHARED_LIMIT: usize = 1 << 16;

impl<'py> Packer<'_, '_, 'py> {
    /// The keys node of these keys; dicts with the very same keys share one. `extra` references of the walk hold each.
    pub(crate) fn keys(&mut self, keys: &Bound<'py, PyList>, step: Step<'py>) -> PyResult<u64> {
        if keys.len() > SHARED_KEYS {
            return self.new_keys(keys, step);
        }
        let mut identities = std::mem::take(&mut self.known_keys.scratch);
        identities.clear();
        identities.extend(keys.iter().map(|key| key.as_ptr().addr()));
        if let Some(&(_, node)) = self.known_keys.nodes.get(identities.as_slice()) {
            self.known_keys.scratch = identities;
            return Ok(node);
        }
        let node = self.new_keys(keys, step)?;
        if self.known_keys.nodes.len() < SHARED_LIMIT {
            let known = identities.as_slice().into();
            let kept = (keys.clone(), node);
            self.known_keys.nodes.insert(known, kept);
        }
        self.known_keys.scratch = identities;
        Ok(node)
    }

    fn new_keys(&mut self, keys: &Bound<'py, PyList>, step: Step<'py>) -> PyResult<u64> {
        self.path.push(step);
        let items = self.sequence_of(keys.as_any(), Container::Tuple, 1)?;
        self.path.pop();
        // A flag of the node, which has the same length either way.
        let opaque =
            !self.arena.is_measuring() && keys.iter().any(|key| key_hash(&key, 0, 0).is_none());
        let count = keys.len() as u64;
        let node = put_keys(self.arena, items, count, opaque, |seed, give| {
            for key in keys.iter() {
                give(key_hash(&key, seed, 0));
            }
            Ok::<(), BuildError>(())
        });
        Ok(node.map_err(Error::from)?)
    }
}
