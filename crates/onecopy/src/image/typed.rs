//! Objects of a class derived from list, tuple, dict, set or frozenset, or of one that keeps its content in such a one.
//!
//! Behind the 16 bytes of the head, whose count is 0, come fields of 8 bytes:
//!
//! | kind | fields |
//! |---|---|
//! | 12 typed | offset of the blob of its class; node of its content; word of the argument; word of the state |
//!
//! The content is a list, tuple, table, dict, row, set or frozenset, never another typed node. The *argument* is what the
//! class has beside it by itself: the factory of a `defaultdict`, the length of a `deque`; else `None`. The *state* is what
//! `object.__getstate__` gives: `None`, or the attributes as a dict, or a tuple of those and of the slots.

use super::arena::Arena;
use super::error::{BuildError, ImageError, corrupt};
use super::fields::{fields, place_node, put_fields};
use super::node::{NodeHead, NodeKind};
use super::word::{Scalar, Word, read_blob};

const TYPED_FIELDS: usize = 4;

/// An object that is more than its content, resolved.
#[derive(Debug, Clone, Copy)]
pub struct Typed<'a> {
    /// Offset of the blob of its class, which other nodes may share.
    pub class: u64,
    name: &'a [u8],
    /// Offset of the node of its content.
    pub content: u64,
    /// What the content is.
    pub content_kind: NodeKind,
    /// What the class has beside the content.
    pub argument: Word,
    /// Its attributes.
    pub state: Word,
}

impl<'a> Typed<'a> {
    pub(crate) fn resolve(image: &'a [u8], at: u64, head: &NodeHead) -> Result<Self, ImageError> {
        let [class, content, argument, state] = fields::<TYPED_FIELDS>(image, at)?;
        if head.count != 0 || head.flags != 0 {
            return Err(corrupt(at, "a typed node has neither a count nor flags"));
        }
        let Scalar::Class(name) = read_blob(image, class)? else {
            return Err(corrupt(class, "the name of a class was expected"));
        };
        let content_kind = NodeHead::read(image, content)?.kind;
        match content_kind {
            NodeKind::List
            | NodeKind::Tuple
            | NodeKind::Table
            | NodeKind::Dict
            | NodeKind::Row
            | NodeKind::Set
            | NodeKind::FrozenSet => {}
            _ => return Err(corrupt(at, "the content of an object is no container")),
        }
        Ok(Self {
            class,
            name,
            content,
            content_kind,
            argument: Word(argument),
            state: Word(state),
        })
    }

    /// The name of its class, `module:qualname`.
    ///
    /// # Errors
    /// [`ImageError::Corrupt`] if it is not UTF-8.
    pub fn class_name(&self) -> Result<String, ImageError> {
        let wrong = |_| corrupt(self.class, "the name of a class is not UTF-8");
        // A copy is looked at: others may write to the bytes of a file meanwhile.
        String::from_utf8(self.name.to_vec()).map_err(wrong)
    }
}

/// Takes memory for the node of an object, to be written by [`put_typed`] once its parts are known.
///
/// # Errors
/// As for [`Arena::alloc`].
pub fn place_typed(arena: &mut Arena<'_>) -> Result<u64, BuildError> {
    place_node(arena, TYPED_FIELDS)
}

/// Writes the node of an object where [`place_typed`] took memory for it: its class by the offset of the blob, its content
/// by its node.
///
/// # Errors
/// [`BuildError::Outgrown`] if it does not lie in the memory.
pub fn put_typed(
    arena: &mut Arena<'_>,
    node: u64,
    class: u64,
    content: u64,
    argument: Word,
    state: Word,
) -> Result<(), BuildError> {
    let head = NodeHead::new(NodeKind::Typed, None, 0, 0, 0);
    let fields = [class, content, argument.0, state.0];
    put_fields(arena, node, &head, &fields)
}
