//! Reads an image without copying it.
//!
//! [`Image::open`] checks the header; [`Image::root`] resolves a node once into typed slices. Both take constant time:
//! they prove that every section lies inside the image, is aligned and has the length that count and kind demand. What
//! the sections *contain* is checked where it is used: offsets of text at each access, words and blobs as they are
//! decoded. `validate` checks all of it at once.

use super::array::Array;
use super::bytes::u64_at;
use super::error::{ImageError, corrupt};
use super::graph::{Dict, DictParts, ObjectNode, Set};
use super::header::Header;
use super::keys::Keys;
use super::node::{NODE_HEAD_LEN, NodeHead, NodeKind};
use super::sequence::Sequence;
use super::table::{RowNode, Table};
use super::typed::Typed;
use super::word::Word;

/// An image whose header has been checked.
#[derive(Debug, Clone, Copy)]
pub struct Image<'a> {
    bytes: &'a [u8],
    root: u64,
}

/// A node, resolved.
#[derive(Debug, Clone)]
pub enum Node<'a> {
    /// A list or tuple.
    Sequence(Sequence<'a>),
    /// An n-dimensional array.
    Array(Array<'a>),
    /// A dict.
    Dict(Dict<'a>),
    /// A set or frozenset.
    Set(Set<'a>),
    /// The keys of a dict, set or table; never a value by itself.
    Keys(Keys<'a>),
    /// A list or tuple of rows.
    Table(Table<'a>),
    /// A pickled object.
    Object(ObjectNode<'a>),
    /// A row of a table that is also reached from elsewhere.
    Row(RowNode),
    /// Content with a class of its own.
    Typed(Typed<'a>),
    /// A root that is no container.
    Value(Word),
}

impl<'a> Image<'a> {
    /// Checks the header. Bytes past the image's own length are ignored.
    ///
    /// # Errors
    /// See [`ImageError`].
    pub fn open(bytes: &'a [u8]) -> Result<Self, ImageError> {
        let address = bytes.as_ptr().addr();
        if !address.is_multiple_of(8) {
            return Err(ImageError::Misaligned { address });
        }
        Self::with_header(bytes, Header::read(bytes)?)
    }

    /// The image in bytes whose header was read before.
    ///
    /// # Errors
    /// [`ImageError::Corrupt`] if there are fewer bytes than the header says.
    pub fn with_header(bytes: &'a [u8], header: Header) -> Result<Self, ImageError> {
        let len = usize::try_from(header.image_len).unwrap_or(usize::MAX);
        let bytes = bytes.get(..len).ok_or(corrupt(0, "image length"))?;
        Ok(Self {
            bytes,
            root: header.root,
        })
    }

    /// The image's own bytes.
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Offset of the root node.
    #[must_use]
    pub const fn root_offset(&self) -> u64 {
        self.root
    }

    /// Resolves the root node.
    ///
    /// # Errors
    /// [`ImageError::Corrupt`] if it does not hold together.
    pub fn root(&self) -> Result<Node<'a>, ImageError> {
        self.node(self.root)
    }

    /// Resolves the node at `offset`.
    ///
    /// # Errors
    /// [`ImageError::Corrupt`] if it does not hold together.
    pub fn node(&self, offset: u64) -> Result<Node<'a>, ImageError> {
        self.node_of(offset, &self.head(offset)?)
    }

    /// Reads the head of the node at `offset`: what lies there, before any of it is resolved.
    ///
    /// # Errors
    /// [`ImageError::Corrupt`] if it is not a head that this version knows.
    pub fn head(&self, offset: u64) -> Result<NodeHead, ImageError> {
        NodeHead::read(self.bytes, offset)
    }

    /// Resolves the node at `offset`, whose head this is.
    ///
    /// # Errors
    /// [`ImageError::Corrupt`] if it does not hold together.
    pub fn node_of(&self, offset: u64, head: &NodeHead) -> Result<Node<'a>, ImageError> {
        Ok(match head.kind {
            NodeKind::List | NodeKind::Tuple => Node::Sequence(self.sequence_of(offset, head)?),
            NodeKind::Array => Node::Array(Array::resolve(self.bytes, offset, head)?),
            NodeKind::Dict => Node::Dict(Dict::resolve(self.bytes, offset, head)?),
            NodeKind::Set | NodeKind::FrozenSet => {
                Node::Set(Set::resolve(self.bytes, offset, head)?)
            }
            NodeKind::Keys => Node::Keys(Keys::resolve(self.bytes, offset, head)?),
            NodeKind::Table => Node::Table(Table::resolve(self.bytes, offset, head)?),
            NodeKind::Object => Node::Object(ObjectNode::resolve(self.bytes, offset, head)?),
            NodeKind::Row => Node::Row(RowNode::resolve(self.bytes, offset, head)?),
            NodeKind::Typed => Node::Typed(Typed::resolve(self.bytes, offset, head)?),
            NodeKind::Value => {
                let at = offset.saturating_add(NODE_HEAD_LEN as u64);
                let word = Word(u64_at(self.bytes, at, "value node")?);
                // Only what is no container is a value, so one never leads to itself.
                if word.node_offset().is_some() {
                    return Err(corrupt(at, "a value that is no node was expected"));
                }
                Node::Value(word)
            }
        })
    }

    /// Resolves the list or tuple at `offset`.
    ///
    /// # Errors
    /// [`ImageError::Corrupt`] if it is something else, or does not hold together.
    pub fn sequence_at(&self, offset: u64) -> Result<Sequence<'a>, ImageError> {
        Sequence::at(self.bytes, offset)
    }

    /// Resolves the list or tuple at `offset`, whose head this is.
    ///
    /// # Errors
    /// [`ImageError::Corrupt`] if it is something else, or does not hold together.
    pub fn sequence_of(&self, offset: u64, head: &NodeHead) -> Result<Sequence<'a>, ImageError> {
        Sequence::resolve(self.bytes, offset, head)
    }

    /// Resolves the dict at `offset` but for its keys.
    ///
    /// # Errors
    /// [`ImageError::Corrupt`] if it is something else, or does not hold together.
    pub fn dict_parts(&self, offset: u64) -> Result<DictParts<'a>, ImageError> {
        DictParts::resolve(self.bytes, offset, &self.head(offset)?)
    }

    /// Resolves the keys at `offset`.
    ///
    /// # Errors
    /// [`ImageError::Corrupt`] if it is something else, or does not hold together.
    pub fn keys_at(&self, offset: u64) -> Result<Keys<'a>, ImageError> {
        Keys::at(self.bytes, offset)
    }

    /// Resolves the root node, which must be a list or tuple.
    ///
    /// # Errors
    /// [`ImageError::Corrupt`] if it is something else, or does not hold together.
    pub fn sequence(&self) -> Result<Sequence<'a>, ImageError> {
        self.sequence_at(self.root)
    }

    /// Resolves the root node, which must be an array.
    ///
    /// # Errors
    /// [`ImageError::Corrupt`] if it is something else, or does not hold together.
    pub fn array(&self) -> Result<Array<'a>, ImageError> {
        match self.root()? {
            Node::Array(array) => Ok(array),
            _ => Err(corrupt(self.root, "an array was expected")),
        }
    }
}
