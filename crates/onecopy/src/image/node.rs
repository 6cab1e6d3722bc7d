//! A node's head: what lies there, how many of it, and where.
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 1 | kind: 1 list, 2 tuple, 3 array; others in `graph`, `table`, `keys`, `typed` |
//! | 1 | 1 | column kind of a list or tuple; 0 in an array |
//! | 2 | 1 | flags: bit 0 has `None`, bit 1 all text is ASCII, bit 2 read-only (array) |
//! | 3 | 1 | number of sections; 0 in a compact list or tuple, whose parts follow the head, and in nodes with `fields` |
//! | 4 | 4 | bytes per item of the first section (array: per item of its data) |
//! | 8 | 8 | number of elements |
//! | 16 | 16 × n | sections: offset from the image's start (8), length in bytes (8) |
//!
//! A reader refuses kinds, columns and flags that it does not know; what a node contains can therefore grow with new
//! kinds while old files stay readable.

use bytemuck::AnyBitPattern;

use super::bytes::{once, put, slice, u64_at};
use super::error::{ImageError, corrupt};

/// Length of a node's head without its sections.
pub(crate) const NODE_HEAD_LEN: usize = 16;
/// Length of one entry of the section table.
pub(crate) const SECTION_LEN: usize = 16;
/// No kind of node has more sections than this.
pub(crate) const SECTION_LIMIT: usize = 4;

/// Flag: some elements are `None`, and a validity bitmap says which.
pub(crate) const FLAG_NULLABLE: u8 = 1;
/// Flag of an object: it can be called.
pub(crate) const FLAG_CALLABLE: u8 = 1;
/// Flag: every str of the column is ASCII.
pub(crate) const FLAG_ASCII: u8 = 2;
/// Flag: the array was read-only where it came from.
pub(crate) const FLAG_READ_ONLY: u8 = 4;

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum NodeKind {
    /// A list.
    List = 1,
    /// A tuple.
    Tuple = 2,
    /// An n-dimensional array.
    Array = 3,
    /// Keys and values.
    Dict = 4,
    /// A set.
    Set = 5,
    /// A frozenset.
    FrozenSet = 6,
    /// Keys and their index; part of a dict, set or table.
    Keys = 7,
    /// Rows with the same fields, one column per field.
    Table = 8,
    /// A pickle with its buffers.
    Object = 9,
    /// A root that is no container.
    Value = 10,
    /// A row of a table.
    Row = 11,
    /// Content with a class of its own.
    Typed = 12,
}

/// How the elements of a list or tuple lie in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ColumnKind {
    /// Ints of 8 bits.
    I8 = 1,
    /// Ints of 16 bits.
    I16 = 2,
    /// Ints of 32 bits.
    I32 = 3,
    /// Ints of 64 bits.
    I64 = 4,
    /// Ints from 0 to 2^64 − 1, some past 2^63.
    U64 = 5,
    /// Floats.
    F64 = 6,
    /// Bools, one byte each.
    Bool = 7,
    /// Offsets into text; each carries the text's kind in its top two bits.
    Str = 8,
    /// Offsets into bytes.
    Bytes = 9,
    /// Words, for mixtures.
    Words = 10,
}

impl ColumnKind {
    fn from_u8(number: u8) -> Option<Self> {
        const KINDS: [ColumnKind; 10] = [
            ColumnKind::I8,
            ColumnKind::I16,
            ColumnKind::I32,
            ColumnKind::I64,
            ColumnKind::U64,
            ColumnKind::F64,
            ColumnKind::Bool,
            ColumnKind::Str,
            ColumnKind::Bytes,
            ColumnKind::Words,
        ];
        KINDS.into_iter().find(|&kind| kind as u8 == number)
    }

    /// Whether elements are found through offsets into a data section.
    #[must_use]
    pub const fn has_offsets(self) -> bool {
        matches!(self, Self::Str | Self::Bytes)
    }

    /// Whether there is a section of data beside the items.
    #[must_use]
    pub const fn has_data(self) -> bool {
        matches!(self, Self::Str | Self::Bytes | Self::Words)
    }

    /// Bytes per item where the kind fixes them; offsets are 4 or 8.
    #[must_use]
    pub const fn item_size(self) -> Option<u32> {
        match self {
            Self::I8 | Self::Bool => Some(1),
            Self::I16 => Some(2),
            Self::I32 => Some(4),
            Self::I64 | Self::U64 | Self::F64 | Self::Words => Some(8),
            Self::Str | Self::Bytes => None,
        }
    }
}

/// A part of the image, by offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Section {
    /// From the image's start.
    pub offset: u64,
    /// In bytes.
    pub len: u64,
}

impl NodeKind {
    fn from_u8(number: u8) -> Option<Self> {
        const KINDS: [NodeKind; 12] = [
            NodeKind::List,
            NodeKind::Tuple,
            NodeKind::Array,
            NodeKind::Dict,
            NodeKind::Set,
            NodeKind::FrozenSet,
            NodeKind::Keys,
            NodeKind::Table,
            NodeKind::Object,
            NodeKind::Value,
            NodeKind::Row,
            NodeKind::Typed,
        ];
        KINDS.into_iter().find(|&kind| kind as u8 == number)
    }
}

impl Section {
    /// The section's bytes.
    pub(crate) fn of<'a>(&self, image: &'a [u8]) -> Result<&'a [u8], ImageError> {
        slice(image, self.offset, self.len, "section outside the image")
    }

    /// The section as a slice of exactly `count` items.
    pub(crate) fn typed<'a, T: AnyBitPattern>(
        &self,
        image: &'a [u8],
        count: usize,
    ) -> Result<&'a [T], ImageError> {
        let items: &[T] = bytemuck::try_cast_slice(self.of(image)?).map_err(|_| {
            corrupt(
                self.offset,
                "section is not aligned or not a whole number of items",
            )
        })?;
        if items.len() != count {
            return Err(corrupt(
                self.offset,
                "section length does not match the element count",
            ));
        }
        Ok(items)
    }
}

/// A node's head, read and checked for what can be known without its kind's rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeHead {
    /// What the node is.
    pub kind: NodeKind,
    /// How its elements lie; `None` for an array.
    pub column: Option<ColumnKind>,
    /// The flags byte.
    pub flags: u8,
    section_count: u8,
    /// Bytes per item.
    pub item_size: u32,
    /// Number of elements.
    pub count: u64,
}

/// The sections of a node, in the order that its kind prescribes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sections {
    all: [Section; SECTION_LIMIT],
    count: usize,
}

impl Sections {
    /// One more.
    ///
    /// # Panics
    /// No kind of node has more than four.
    pub(crate) fn push(&mut self, section: Section) {
        let room = self.all.get_mut(self.count);
        *room.expect("no kind of node has that many sections") = section;
        self.count = self.count.saturating_add(1);
    }

    pub(crate) fn as_slice(&self) -> &[Section] {
        self.all.get(..self.count).unwrap_or_default()
    }
}

impl NodeHead {
    /// A head to be written.
    pub(crate) const fn new(
        kind: NodeKind,
        column: Option<ColumnKind>,
        flags: u8,
        item_size: u32,
        count: u64,
    ) -> Self {
        Self {
            kind,
            column,
            flags,
            section_count: 0,
            item_size,
            count,
        }
    }

    /// Whether the parts of a list or tuple follow the head.
    pub(crate) const fn is_compact(&self) -> bool {
        self.section_count == 0
    }

    /// Writes the head and a table of its sections to the start of `out`; `false` if they do not fit.
    #[must_use]
    pub(crate) fn write(&self, out: &mut [u8], sections: &[Section]) -> bool {
        let column = self.column.map_or(0, |column| column as u8);
        let count = sections.len() as u8;
        let mut fits = put(out, 0, &[self.kind as u8, column, self.flags, count])
            && put(out, 4, &self.item_size.to_le_bytes())
            && put(out, 8, &self.count.to_le_bytes());
        let entries = out
            .get_mut(NODE_HEAD_LEN..)
            .unwrap_or_default()
            .chunks_mut(SECTION_LEN);
        let mut written: usize = 0;
        for (entry, section) in entries.zip(sections) {
            fits &= put(entry, 0, &section.offset.to_le_bytes())
                && put(entry, 8, &section.len.to_le_bytes());
            written = written.saturating_add(1);
        }
        fits && written == sections.len()
    }

    /// Reads the head at `offset` of `image`.
    ///
    /// # Errors
    /// [`ImageError::Corrupt`] if it is not a head that this version knows.
    #[inline]
    pub fn read(image: &[u8], offset: u64) -> Result<Self, ImageError> {
        if !offset.is_multiple_of(8) {
            return Err(corrupt(offset, "a node starts at a multiple of 8"));
        }
        let outside = "node outside the image";
        let words = slice(image, offset, NODE_HEAD_LEN as u64, outside)?;
        let words = bytemuck::try_from_bytes(words).map_err(|_| corrupt(offset, outside))?;
        let [first, count]: [u64; 2] = once(words);
        let [kind, column, flags, section_count, ..] = first.to_le_bytes();
        let at = |distance: u64| offset.saturating_add(distance);
        let kind = NodeKind::from_u8(kind).ok_or(corrupt(offset, "unknown kind of node"))?;
        let column = match (kind, column) {
            (NodeKind::List | NodeKind::Tuple, number) => {
                let known = ColumnKind::from_u8(number);
                Some(known.ok_or(corrupt(at(1), "unknown kind of column"))?)
            }
            // The one byte of a table says whether its rows are a list or a tuple.
            (NodeKind::Table, 1 | 2) | (_, 0) => None,
            _ => return Err(corrupt(at(1), "this kind of node has no column kind")),
        };
        if flags & !(FLAG_NULLABLE | FLAG_ASCII | FLAG_READ_ONLY) != 0 {
            return Err(corrupt(at(2), "unknown node flags"));
        }
        let most = match kind {
            NodeKind::List | NodeKind::Tuple | NodeKind::Array => SECTION_LIMIT,
            _ => 0,
        };
        if usize::from(section_count) > most {
            return Err(corrupt(at(3), "too many sections"));
        }
        Ok(Self {
            kind,
            column,
            flags,
            section_count,
            item_size: (first >> 32) as u32,
            count,
        })
    }

    /// Reads the sections of the node at `offset` of `image`, whose head this is.
    ///
    /// # Errors
    /// [`ImageError::Corrupt`] if one of them does not lie inside the image.
    pub(crate) fn sections(&self, image: &[u8], offset: u64) -> Result<Sections, ImageError> {
        let mut sections = Sections::default();
        let mut entry = offset.saturating_add(NODE_HEAD_LEN as u64);
        for _ in 0..self.section_count {
            let section = Section {
                offset: u64_at(image, entry, "section table outside the image")?,
                len: u64_at(
                    image,
                    entry.saturating_add(8),
                    "section table outside the image",
                )?,
            };
            section
                .of(image)
                .map_err(|_| corrupt(entry, "section outside the image"))?;
            sections.push(section);
            entry = entry.saturating_add(SECTION_LEN as u64);
        }
        Ok(sections)
    }
}
