//! Reads an image without copying it.
//!
//! [`Image::open`] checks the header; [`Image::root`] resolves a node once into typed slices. Both take constant time:
//! they prove that every section lies inside the image, is aligned and has the length that count and kind demand. What
//! the sections *contain* is checked where it is used: offsets of text at each access, words and blobs as they are
//! decoded. `validate` checks all of it at once.

use bytemuck::AnyBitPattern;

use super::array::Array;
use super::build::{KIND_SHIFT_NARROW, KIND_SHIFT_WIDE};
use super::error::{ImageError, corrupt};
use super::header::Header;
use super::node::{
    ColumnKind, FLAG_ASCII, FLAG_NULLABLE, FLAG_READ_ONLY, NodeHead, NodeKind, Section,
};
use super::plan::Container;
use super::text::{Text, TextKind};
use super::word::{Decoded, Scalar, Short, Word, read_blob};

/// An image whose header has been checked.
#[derive(Debug, Clone, Copy)]
pub struct Image<'a> {
    bytes: &'a [u8],
    root: u64,
}

/// A node, resolved.
#[derive(Debug, Clone, Copy)]
pub enum Node<'a> {
    /// A list or tuple.
    Sequence(Sequence<'a>),
    /// An n-dimensional array.
    Array(Array<'a>),
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
        let header = Header::read(bytes)?;
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

    /// Resolves the root node.
    ///
    /// # Errors
    /// [`ImageError::Corrupt`] if it does not hold together.
    pub fn root(&self) -> Result<Node<'a>, ImageError> {
        let head = NodeHead::read(self.bytes, self.root)?;
        let container = match head.kind {
            NodeKind::List => Container::List,
            NodeKind::Tuple => Container::Tuple,
            NodeKind::Array => {
                return Array::resolve(self.bytes, self.root, &head).map(Node::Array);
            }
        };
        Sequence::resolve(self.bytes, self.root, container, &head).map(Node::Sequence)
    }

    /// Resolves the root node, which must be a list or tuple.
    ///
    /// # Errors
    /// [`ImageError::Corrupt`] if it is something else, or does not hold together.
    pub fn sequence(&self) -> Result<Sequence<'a>, ImageError> {
        match self.root()? {
            Node::Sequence(sequence) => Ok(sequence),
            Node::Array(_) => Err(corrupt(self.root, "a list or tuple was expected")),
        }
    }

    /// Resolves the root node, which must be an array.
    ///
    /// # Errors
    /// [`ImageError::Corrupt`] if it is something else, or does not hold together.
    pub fn array(&self) -> Result<Array<'a>, ImageError> {
        match self.root()? {
            Node::Array(array) => Ok(array),
            Node::Sequence(_) => Err(corrupt(self.root, "an array was expected")),
        }
    }
}

/// A list or tuple, resolved.
///
/// **Invariants.** `V1`: items hold exactly `len` elements (offsets: `len + 1`). `V2`: a validity bitmap holds at least
/// `len` bits. `V3`: all slices lie inside the image and stay valid as long as its bytes do.
#[derive(Debug, Clone, Copy)]
pub struct Sequence<'a> {
    container: Container,
    len: usize,
    validity: Option<&'a [u8]>,
    items: Items<'a>,
}

/// The elements of a sequence, by column kind.
#[derive(Debug, Clone, Copy)]
pub enum Items<'a> {
    /// Ints of 8 bits.
    I8(&'a [i8]),
    /// Ints of 16 bits.
    I16(&'a [i16]),
    /// Ints of 32 bits.
    I32(&'a [i32]),
    /// Ints of 64 bits.
    I64(&'a [i64]),
    /// Ints from 0 to 2^64 − 1.
    U64(&'a [u64]),
    /// Floats.
    F64(&'a [f64]),
    /// Bools: 0 is false, anything else true.
    Bool(&'a [u8]),
    /// Text.
    Str(Spans<'a>),
    /// Bytes.
    Bytes(Spans<'a>),
    /// Mixtures.
    Words(Words<'a>),
}

/// Where each element's text or bytes begin.
#[derive(Debug, Clone, Copy)]
pub enum Offsets<'a> {
    /// 30 bits of offset below two bits of kind.
    Narrow(&'a [u32]),
    /// 62 bits of offset below two bits of kind.
    Wide(&'a [u64]),
}

/// Elements that are parts of one run of bytes.
#[derive(Debug, Clone, Copy)]
pub struct Spans<'a> {
    /// One more than there are elements.
    pub offsets: Offsets<'a>,
    /// The bytes that offsets point into.
    pub data: &'a [u8],
    /// Whether every element is announced as ASCII.
    pub ascii: bool,
}

/// Words, and the image that their blobs lie in.
#[derive(Debug, Clone, Copy)]
pub struct Words<'a> {
    /// One per element.
    pub words: &'a [u64],
    /// The whole image.
    pub image: &'a [u8],
}

/// An element of a sequence: a scalar, or a few bytes that were taken out of a word.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Element<'a> {
    /// A value that borrows from the image.
    Scalar(Scalar<'a>),
    /// Text that fit into its word.
    ShortStr(TextKind, Short),
    /// Bytes that fit into their word.
    ShortBytes(Short),
}

impl Element<'_> {
    /// The element as a scalar.
    #[must_use]
    pub fn as_scalar(&self) -> Scalar<'_> {
        match self {
            Self::Scalar(scalar) => *scalar,
            Self::ShortStr(kind, short) => Scalar::Str(Text {
                kind: *kind,
                bytes: short.as_bytes(),
            }),
            Self::ShortBytes(short) => Scalar::Bytes(short.as_bytes()),
        }
    }
}

impl<'a> From<Scalar<'a>> for Element<'a> {
    fn from(scalar: Scalar<'a>) -> Self {
        Self::Scalar(scalar)
    }
}

impl<'a> Sequence<'a> {
    fn resolve(
        image: &'a [u8],
        at: u64,
        container: Container,
        head: &NodeHead,
    ) -> Result<Self, ImageError> {
        let broken = |what| corrupt(at, what);
        let column = head.column.ok_or(broken("a list or tuple has a column"))?;
        let len = usize::try_from(head.count).map_err(|_| broken("element count"))?;
        if isize::try_from(len).is_err() {
            return Err(broken("element count"));
        }
        if column
            .item_size()
            .is_some_and(|size| size != head.item_size)
        {
            return Err(broken("item size does not match the column"));
        }
        let nullable = head.flags & FLAG_NULLABLE != 0;
        let ascii = head.flags & FLAG_ASCII != 0;
        if (nullable && column == ColumnKind::Words)
            || (ascii && column != ColumnKind::Str)
            || head.flags & FLAG_READ_ONLY != 0
        {
            return Err(broken("flag that this column cannot have"));
        }
        let mut sections = head.sections().iter();
        let mut next = |what| sections.next().copied().ok_or(corrupt(at, what));
        let items = next("a column has items")?;
        let validity = if nullable {
            let bits = next("a column with None has a validity bitmap")?.of(image)?;
            (bits.len() == len.div_ceil(8))
                .then_some(bits)
                .ok_or(broken("validity length"))?
        } else {
            &[]
        };
        let data = if column.has_data() {
            next("this column has data")?.of(image)?
        } else {
            &[]
        };
        if sections.next().is_some() {
            return Err(broken("more sections than the column has"));
        }
        let spans = || -> Result<_, ImageError> {
            let count = len.checked_add(1).ok_or(broken("element count"))?;
            let offsets = match head.item_size {
                4 => Offsets::Narrow(typed(image, items, count)?),
                8 => Offsets::Wide(typed(image, items, count)?),
                _ => return Err(broken("offsets have 4 or 8 bytes")),
            };
            Ok(Spans {
                offsets,
                data,
                ascii,
            })
        };
        let items = match column {
            ColumnKind::I8 => Items::I8(typed(image, items, len)?),
            ColumnKind::I16 => Items::I16(typed(image, items, len)?),
            ColumnKind::I32 => Items::I32(typed(image, items, len)?),
            ColumnKind::I64 => Items::I64(typed(image, items, len)?),
            ColumnKind::U64 => Items::U64(typed(image, items, len)?),
            ColumnKind::F64 => Items::F64(typed(image, items, len)?),
            ColumnKind::Bool => Items::Bool(typed(image, items, len)?),
            ColumnKind::Str => Items::Str(spans()?),
            ColumnKind::Bytes => Items::Bytes(spans()?),
            ColumnKind::Words => Items::Words(Words {
                words: typed(image, items, len)?,
                image,
            }),
        };
        Ok(Self {
            container,
            len,
            validity: nullable.then_some(validity),
            items,
        })
    }

    /// List or tuple.
    #[must_use]
    pub const fn container(&self) -> Container {
        self.container
    }

    /// Number of elements.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The validity bitmap, if some elements are `None`: bit `i % 8` of byte `i / 8` is clear for those.
    #[must_use]
    pub const fn validity(&self) -> Option<&'a [u8]> {
        self.validity
    }

    /// The elements, by column kind.
    #[must_use]
    pub const fn items(&self) -> Items<'a> {
        self.items
    }

    /// Element `index`, or `None` past the end.
    ///
    /// # Errors
    /// [`ImageError::Corrupt`] if its offset, word or blob does not hold.
    pub fn get(&self, index: usize) -> Result<Option<Element<'a>>, ImageError> {
        if index >= self.len {
            return Ok(None);
        }
        if let Some(bits) = self.validity {
            let byte = bits.get(index >> 3).copied().unwrap_or_default();
            if byte & (1 << (index & 7)) == 0 {
                return Ok(Some(Scalar::None.into()));
            }
        }
        let int = |value: i64| Some(Scalar::Int(value));
        let scalar = match self.items {
            Items::I8(items) => items.get(index).and_then(|&value| int(value.into())),
            Items::I16(items) => items.get(index).and_then(|&value| int(value.into())),
            Items::I32(items) => items.get(index).and_then(|&value| int(value.into())),
            Items::I64(items) => items.get(index).and_then(|&value| int(value)),
            Items::U64(items) => items.get(index).map(|&value| uint(value)),
            Items::F64(items) => items.get(index).map(|&value| Scalar::Float(value)),
            Items::Bool(items) => items.get(index).map(|&value| Scalar::Bool(value != 0)),
            Items::Str(spans) => Some(Scalar::Str(spans.text(index)?)),
            Items::Bytes(spans) => Some(Scalar::Bytes(spans.text(index)?.bytes)),
            Items::Words(words) => return words.get(index).map(Some),
        };
        Ok(scalar.map(Element::Scalar))
    }
}

/// The scalar of an int of 64 bits without sign.
fn uint(value: u64) -> Scalar<'static> {
    i64::try_from(value).map_or(Scalar::Uint(value), Scalar::Int)
}

/// A section as a slice of exactly `count` items.
pub(crate) fn typed<T: AnyBitPattern>(
    image: &[u8],
    section: Section,
    count: usize,
) -> Result<&[T], ImageError> {
    let items = bytemuck::try_cast_slice(section.of(image)?).map_err(|_| {
        corrupt(
            section.offset,
            "section is not aligned or not a whole number of items",
        )
    })?;
    if items.len() != count {
        return Err(corrupt(
            section.offset,
            "section length does not match the element count",
        ));
    }
    Ok(items)
}

impl<'a> Spans<'a> {
    /// Start, end and kind of element `index` as they are written, unchecked against the data.
    fn raw(&self, index: usize) -> Option<(u64, u64, u8)> {
        let end = index.checked_add(1)?;
        match self.offsets {
            Offsets::Narrow(offsets) => {
                const MASK: u32 = (1 << KIND_SHIFT_NARROW) - 1;
                let (start, end) = (*offsets.get(index)?, *offsets.get(end)?);
                let kind = (start >> KIND_SHIFT_NARROW) as u8;
                Some((u64::from(start & MASK), u64::from(end & MASK), kind))
            }
            Offsets::Wide(offsets) => {
                const MASK: u64 = (1 << KIND_SHIFT_WIDE) - 1;
                let (start, end) = (*offsets.get(index)?, *offsets.get(end)?);
                Some((start & MASK, end & MASK, (start >> KIND_SHIFT_WIDE) as u8))
            }
        }
    }

    /// The bytes of element `index` and the kind of text they are; for a bytes column the kind means nothing.
    ///
    /// # Errors
    /// [`ImageError::Corrupt`] if its offsets do not lie in the data, in order, and a whole number of characters apart.
    pub fn text(&self, index: usize) -> Result<Text<'a>, ImageError> {
        let wrong = corrupt(index as u64, "offsets of an element do not lie in its data");
        let (start, end, kind) = self.raw(index).ok_or(wrong.clone())?;
        let kind = TextKind::from_bits(kind);
        let range = usize::try_from(start).ok().zip(usize::try_from(end).ok());
        let bytes = range.and_then(|(start, end)| self.data.get(start..end));
        let bytes = bytes.filter(|bytes| bytes.len().is_multiple_of(kind.width()));
        Ok(Text {
            kind,
            bytes: bytes.ok_or(wrong)?,
        })
    }
}

impl<'a> Words<'a> {
    /// Element `index`.
    ///
    /// # Errors
    /// [`ImageError::Corrupt`] if its word or blob does not hold.
    pub fn get(&self, index: usize) -> Result<Element<'a>, ImageError> {
        let wrong = || corrupt(index as u64, "word with an unknown tag");
        let word = *self.words.get(index).ok_or_else(wrong)?;
        Ok(match Word(word).decode().ok_or_else(wrong)? {
            Decoded::None => Scalar::None.into(),
            Decoded::Bool(value) => Scalar::Bool(value).into(),
            Decoded::Int(value) => Scalar::Int(value).into(),
            Decoded::Float(value) => Scalar::Float(value).into(),
            Decoded::Str(kind, short) => Element::ShortStr(kind, short),
            Decoded::Bytes(short) => Element::ShortBytes(short),
            Decoded::Blob(offset) => read_blob(self.image, offset)?.into(),
        })
    }
}
