//! The fields of 8 bytes behind the head of a node that leads to others.

use super::arena::Arena;
use super::bytes::{once, slice};
use super::error::{BuildError, ImageError, corrupt};
use super::node::{NODE_HEAD_LEN, NodeHead, NodeKind};

/// Takes memory for a node with so many fields.
///
/// # Errors
/// As for [`Arena::alloc`].
pub(crate) fn place_node(arena: &mut Arena<'_>, field_count: usize) -> Result<u64, BuildError> {
    let len = (field_count as u64).saturating_mul(8);
    arena.alloc(len.saturating_add(NODE_HEAD_LEN as u64), 8)
}

/// Takes memory for a node and writes it.
///
/// # Errors
/// As for [`Arena::alloc`].
pub(crate) fn put_node(
    arena: &mut Arena<'_>,
    kind: NodeKind,
    count: u64,
    fields: &[u64],
) -> Result<u64, BuildError> {
    let node = place_node(arena, fields.len())?;
    put_fields(arena, node, &NodeHead::new(kind, None, 0, 0, count), fields)?;
    Ok(node)
}

/// Writes a head and the fields behind it.
pub(crate) fn put_fields(
    arena: &mut Arena<'_>,
    node: u64,
    head: &NodeHead,
    fields: &[u64],
) -> Result<(), BuildError> {
    if let Some(room) = arena.slice_mut(node, NODE_HEAD_LEN as u64)?
        && !head.write(room, &[])
    {
        return Err(BuildError::Outgrown);
    }
    let at = node.saturating_add(NODE_HEAD_LEN as u64);
    arena.put(at, bytemuck::cast_slice(fields))
}

/// The first fields behind a head.
pub(crate) fn fields<const N: usize>(image: &[u8], at: u64) -> Result<[u64; N], ImageError> {
    let chunk = field_list(image, at, N)?.first_chunk();
    chunk.map(once).ok_or(corrupt(at, "node outside the image"))
}

/// The fields behind a head, as they lie.
pub(crate) fn field_list(image: &[u8], at: u64, count: usize) -> Result<&[u64], ImageError> {
    let start = at.saturating_add(NODE_HEAD_LEN as u64);
    let len = (count as u64).saturating_mul(8);
    let bytes = slice(image, start, len, "node outside the image")?;
    bytemuck::try_cast_slice(bytes).map_err(|_| corrupt(at, "a node starts at a multiple of 8"))
}
