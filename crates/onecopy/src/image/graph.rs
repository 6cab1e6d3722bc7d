//! Nodes that lead to other nodes: dicts, sets, objects, values; tables: table.rs.
//!
//! Behind the 16 bytes of the head, whose count is that of the members, come fields of 8 bytes:
//!
//! | kind | fields |
//! |---|---|
//! | 4 dict | keys node; list node with the values |
//! | 5 set, 6 frozenset | keys node |
//! | 9 object | offset and length of the pickle; offset and length of each of *count* buffers |
//! | 10 value | a word |

use super::arena::Arena;
use super::bytes::once;
use super::error::{BuildError, ImageError, corrupt};
use super::fields::{field_list, fields, place_node, put_fields, put_node};
use super::keys::Keys;
use super::node::{FLAG_CALLABLE, NodeHead, NodeKind, Section};
use super::plan::{LARGE_LEN, PAGE_ALIGN, SECTION_ALIGN};
use super::sequence::Sequence;
use super::word::Word;

/// A dict, resolved.
#[derive(Debug, Clone, Copy)]
pub struct Dict<'a> {
    /// The keys, in order of insertion.
    pub keys: Keys<'a>,
    /// Their values.
    pub values: Sequence<'a>,
    /// Offset of the keys node, which other dicts may share.
    pub keys_offset: u64,
    /// Offset of the list node with the values.
    pub values_offset: u64,
}

impl<'a> Dict<'a> {
    pub(crate) fn resolve(image: &'a [u8], at: u64, head: &NodeHead) -> Result<Self, ImageError> {
        let DictParts {
            keys_offset,
            values_offset,
            values,
        } = DictParts::resolve(image, at, head)?;
        let keys = Keys::at(image, keys_offset)?;
        if keys.len() != values.len() {
            return Err(corrupt(at, "a dict has as many keys as values"));
        }
        Ok(Self {
            keys,
            values,
            keys_offset,
            values_offset,
        })
    }
}

/// A dict whose keys are not looked at, as whoever reads several dicts with the same keys need not resolve them anew.
#[derive(Debug, Clone, Copy)]
pub struct DictParts<'a> {
    /// Offset of the keys node, which other dicts may share.
    pub keys_offset: u64,
    /// Offset of the list node with the values.
    pub values_offset: u64,
    /// The values, of which there must be as many as keys.
    pub values: Sequence<'a>,
}

impl<'a> DictParts<'a> {
    pub(crate) fn resolve(image: &'a [u8], at: u64, head: &NodeHead) -> Result<Self, ImageError> {
        if head.kind != NodeKind::Dict {
            return Err(corrupt(at, "a dict was expected"));
        }
        let [keys_offset, values_offset] = fields(image, at)?;
        let values = Sequence::at(image, values_offset)?;
        if values.len() as u64 != head.count {
            return Err(corrupt(at, "a dict has as many keys as values"));
        }
        Ok(Self {
            keys_offset,
            values_offset,
            values,
        })
    }
}

/// A set or frozenset, resolved.
#[derive(Debug, Clone, Copy)]
pub struct Set<'a> {
    /// Whether it is a frozenset.
    pub frozen: bool,
    /// The members.
    pub keys: Keys<'a>,
    /// Offset of the keys node.
    pub keys_offset: u64,
}

impl<'a> Set<'a> {
    pub(crate) fn resolve(image: &'a [u8], at: u64, head: &NodeHead) -> Result<Self, ImageError> {
        let [keys_offset] = fields(image, at)?;
        let keys = Keys::at(image, keys_offset)?;
        if keys.len() as u64 != head.count {
            return Err(corrupt(at, "number of members does not match"));
        }
        Ok(Self {
            frozen: head.kind == NodeKind::FrozenSet,
            keys,
            keys_offset,
        })
    }
}

/// A pickled object with its buffers, resolved.
#[derive(Debug, Clone, Copy)]
pub struct ObjectNode<'a> {
    /// The pickle, protocol 5.
    pub pickle: &'a [u8],
    /// Whether the object can be called, which nobody could say who has not built it.
    pub callable: bool,
    buffers: &'a [u64],
    bytes: &'a [u8],
}

impl<'a> ObjectNode<'a> {
    pub(crate) fn resolve(image: &'a [u8], at: u64, head: &NodeHead) -> Result<Self, ImageError> {
        if head.flags & !FLAG_CALLABLE != 0 {
            return Err(corrupt(at, "flags of an object node"));
        }
        let count = usize::try_from(head.count).unwrap_or(usize::MAX);
        let all = field_list(image, at, count.saturating_mul(2).saturating_add(2))?;
        let (pickle, buffers) = all
            .split_first_chunk::<2>()
            .ok_or(corrupt(at, "object node"))?;
        let [offset, len] = once(pickle);
        Ok(Self {
            pickle: Section { offset, len }.of(image)?,
            callable: head.flags & FLAG_CALLABLE != 0,
            buffers,
            bytes: image,
        })
    }

    /// Number of buffers.
    #[must_use]
    pub const fn buffer_count(&self) -> usize {
        self.buffers.len() >> 1
    }

    /// Where a buffer lies.
    ///
    /// # Errors
    /// [`ImageError::Corrupt`] if it does not lie in the image.
    pub fn buffer(&self, index: usize) -> Result<Section, ImageError> {
        let missing = corrupt(0, "the object has no such buffer");
        let pair = self.buffers.as_chunks::<2>().0.get(index);
        let [offset, len] = pair.map(once).ok_or(missing)?;
        let section = Section { offset, len };
        section.of(self.bytes)?;
        Ok(section)
    }
}

/// Takes memory for a dict node of `count` entries, to be written by [`put_dict`] once its parts are known.
///
/// # Errors
/// As for [`Arena::alloc`].
pub fn place_dict(arena: &mut Arena<'_>) -> Result<u64, BuildError> {
    place_node(arena, 2)
}

/// Writes a dict node where [`place_dict`] took memory for it.
///
/// # Errors
/// [`BuildError::Outgrown`] if it does not lie in the memory.
pub fn put_dict(
    arena: &mut Arena<'_>,
    node: u64,
    count: u64,
    keys: u64,
    values: u64,
) -> Result<(), BuildError> {
    let head = NodeHead::new(NodeKind::Dict, None, 0, 0, count);
    put_fields(arena, node, &head, &[keys, values])
}

/// Takes memory for a set node.
///
/// # Errors
/// As for [`Arena::alloc`].
pub fn place_set(arena: &mut Arena<'_>) -> Result<u64, BuildError> {
    place_node(arena, 1)
}

/// Writes a set or frozenset node where [`place_set`] took memory for it.
///
/// # Errors
/// [`BuildError::Outgrown`] if it does not lie in the memory.
pub fn put_set(
    arena: &mut Arena<'_>,
    node: u64,
    count: u64,
    frozen: bool,
    keys: u64,
) -> Result<(), BuildError> {
    let kind = if frozen {
        NodeKind::FrozenSet
    } else {
        NodeKind::Set
    };
    put_fields(
        arena,
        node,
        &NodeHead::new(kind, None, 0, 0, count),
        &[keys],
    )
}

/// Writes the node of a root that is no container.
///
/// # Errors
/// As for [`Arena::alloc`].
pub fn put_value(arena: &mut Arena<'_>, word: Word) -> Result<u64, BuildError> {
    put_node(arena, NodeKind::Value, 1, &[word.0])
}

/// Where the parts of an object go.
#[derive(Debug, Clone)]
pub struct ObjectPlace {
    /// Offset of the node.
    pub node: u64,
    /// Where the pickle goes.
    pub pickle: Section,
    /// Where the buffers go.
    pub buffers: Vec<Section>,
}

/// Writes the node of a pickled object and takes memory for its pickle and buffers.
///
/// # Errors
/// As for [`Arena::alloc`].
pub fn place_object(
    arena: &mut Arena<'_>,
    pickle_len: u64,
    buffer_lens: &[u64],
    callable: bool,
) -> Result<ObjectPlace, BuildError> {
    let count = buffer_lens.len() as u64;
    let node = place_node(arena, buffer_lens.len().saturating_mul(2).saturating_add(2))?;
    let pickle = Section {
        offset: arena.alloc(pickle_len, 8)?,
        len: pickle_len,
    };
    let mut fields = vec![pickle.offset, pickle.len];
    let mut buffers = Vec::with_capacity(buffer_lens.len());
    for &len in buffer_lens {
        let align = if len >= LARGE_LEN {
            PAGE_ALIGN
        } else {
            SECTION_ALIGN
        };
        let offset = arena.alloc(len, align)?;
        buffers.push(Section { offset, len });
        fields.extend([offset, len]);
    }
    let flags = if callable { FLAG_CALLABLE } else { 0 };
    let head = NodeHead::new(NodeKind::Object, None, flags, 0, count);
    put_fields(arena, node, &head, &fields)?;
    Ok(ObjectPlace {
        node,
        pickle,
        buffers,
    })
}
