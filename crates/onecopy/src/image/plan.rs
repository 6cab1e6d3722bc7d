//! Decides how a sequence will lie in its image: the columns, and to the byte where everything goes.
//!
//! A [`Survey`] looks at every element once and remembers only what the choice depends on. Its [`Plan`] knows the
//! exact length of the image, so that memory is taken once and written once.
//!
//! ```text
//! 0        64                 128 (or 4096)
//! header | node, sections | items | validity (if any None) | data (str, bytes, words)
//! ```
//! Sections start at multiples of 64; numeric items of 64 KiB or more at a multiple of 4096, the granularity at which
//! a process can map them copy-on-write.

use super::bytes::round_up;
use super::error::BuildError;
use super::header::HEADER_LEN;
use super::node::{
    ColumnKind, FLAG_ASCII, FLAG_NULLABLE, NODE_HEAD_LEN, NodeHead, NodeKind, SECTION_LEN, Section,
    Sections,
};
use super::text::{Text, TextKind};
use super::word::{OFFSET_LIMIT, Scalar, blob_len};

/// Alignment of sections.
pub(crate) const SECTION_ALIGN: u64 = 64;
/// Alignment of large numeric data.
pub(crate) const PAGE_ALIGN: u64 = 4096;
/// Numeric data of at least this many bytes is large.
pub(crate) const LARGE_LEN: u64 = 64 * 1024;
/// Offset of the root node in images that this library writes.
pub(crate) const ROOT: u64 = HEADER_LEN as u64;
/// Where the sections of a sequence may begin.
const SECTIONS_START: u64 = 128;
/// A list or tuple has at most items, validity and data.
const SEQUENCE_SECTIONS: usize = 3;
/// Text and bytes past this length need offsets of eight bytes, as two bits of each carry the kind of text.
pub(crate) const NARROW_LIMIT: u64 = 1 << 30;

const _: () = assert!(
    SECTIONS_START as usize >= HEADER_LEN + NODE_HEAD_LEN + SEQUENCE_SECTIONS * SECTION_LEN
);

/// Which Python sequence it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Container {
    /// A list.
    List,
    /// A tuple.
    Tuple,
}

impl Container {
    pub(crate) const fn node_kind(self) -> NodeKind {
        match self {
            Self::List => NodeKind::List,
            Self::Tuple => NodeKind::Tuple,
        }
    }
}

/// How wide a column of ints is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntWidth {
    /// The narrowest of 8, 16, 32 and 64 bits that holds every element.
    Narrowest,
    /// 64 bits, as `NumPy` makes of a list of ints.
    Full,
}

/// What the elements of a sequence have in common; made by looking at each once.
#[derive(Debug, Clone)]
pub struct Survey {
    count: u64,
    nones: u64,
    bools: u64,
    ints: u64,
    uints: u64,
    bigs: u64,
    floats: u64,
    strs: u64,
    bytes: u64,
    int_min: i64,
    int_max: i64,
    text_len: u64,
    text_widest: TextKind,
    bytes_len: u64,
    blobs_len: u64,
    others: u64,
}

impl Default for Survey {
    fn default() -> Self {
        Self {
            count: 0,
            nones: 0,
            bools: 0,
            ints: 0,
            uints: 0,
            bigs: 0,
            floats: 0,
            strs: 0,
            bytes: 0,
            int_min: i64::MAX,
            int_max: i64::MIN,
            text_len: 0,
            text_widest: TextKind::Ascii,
            bytes_len: 0,
            blobs_len: 0,
            others: 0,
        }
    }
}

impl Survey {
    /// Looks at one element.
    #[inline]
    pub fn observe(&mut self, value: &Scalar<'_>) {
        self.count = self.count.wrapping_add(1);
        let seen = match *value {
            Scalar::None => &mut self.nones,
            Scalar::Bool(_) => &mut self.bools,
            Scalar::Int(value) => {
                self.int_min = self.int_min.min(value);
                self.int_max = self.int_max.max(value);
                &mut self.ints
            }
            Scalar::Uint(_) => &mut self.uints,
            Scalar::Big(_) => &mut self.bigs,
            Scalar::Float(_) => &mut self.floats,
            Scalar::Str(Text { kind, bytes }) => {
                self.text_widest = self.text_widest.max(kind);
                self.text_len = self.text_len.saturating_add(bytes.len() as u64);
                &mut self.strs
            }
            Scalar::Bytes(bytes) => {
                self.bytes_len = self.bytes_len.saturating_add(bytes.len() as u64);
                &mut self.bytes
            }
            Scalar::Complex(..) | Scalar::Pickle(_) | Scalar::Class(_) => &mut self.others,
        };
        *seen = seen.wrapping_add(1);
        self.blobs_len = self.blobs_len.saturating_add(blob_len(value));
    }

    /// Looks at so many elements that are `None`.
    pub fn observe_nones(&mut self, count: u64) {
        self.count = self.count.wrapping_add(count);
        self.nones = self.nones.wrapping_add(count);
    }

    /// Looks at an element that is a node, or is to be reached through a word for another reason.
    #[inline]
    pub fn observe_other(&mut self) {
        self.count = self.count.wrapping_add(1);
        self.others = self.others.wrapping_add(1);
    }

    /// Elements seen so far.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Bytes of text and bytes seen so far.
    #[must_use]
    pub const fn span_len(&self) -> u64 {
        self.text_len.saturating_add(self.bytes_len)
    }

    /// Whether an element needs a word of its own: the column will be words whatever follows.
    #[must_use]
    pub const fn needs_words(&self) -> bool {
        self.others > 0
    }

    fn column(&self, width: IntWidth) -> ColumnKind {
        let all = self.count.wrapping_sub(self.nones);
        let fits = |low: i64, high: i64| self.int_min >= low && self.int_max <= high;
        if self.others > 0 {
            ColumnKind::Words
        } else if self.count == 0 || (self.floats == all && all > 0) {
            // As NumPy has it: an empty list makes an array of float64.
            ColumnKind::F64
        } else if self.ints == all {
            match width {
                _ if all == 0 => ColumnKind::I8,
                IntWidth::Narrowest if fits(i8::MIN.into(), i8::MAX.into()) => ColumnKind::I8,
                IntWidth::Narrowest if fits(i16::MIN.into(), i16::MAX.into()) => ColumnKind::I16,
                IntWidth::Narrowest if fits(i32::MIN.into(), i32::MAX.into()) => ColumnKind::I32,
                IntWidth::Narrowest | IntWidth::Full => ColumnKind::I64,
            }
        } else if self.ints.wrapping_add(self.uints) == all && (self.ints == 0 || self.int_min >= 0)
        {
            ColumnKind::U64
        } else if self.bools == all {
            ColumnKind::Bool
        } else if self.strs == all {
            ColumnKind::Str
        } else if self.bytes == all {
            ColumnKind::Bytes
        } else {
            ColumnKind::Words
        }
    }

    /// Chooses the columns.
    #[must_use]
    pub fn plan(&self, container: Container, width: IntWidth) -> Plan {
        let column = self.column(width);
        Plan {
            container,
            column,
            nullable: self.nones > 0 && column != ColumnKind::Words,
            ascii: column == ColumnKind::Str && self.text_widest == TextKind::Ascii,
            count: self.count,
            data_len: match column {
                ColumnKind::Str => self.text_len,
                ColumnKind::Bytes => self.bytes_len,
                ColumnKind::Words => self.blobs_len,
                _ => 0,
            },
        }
    }
}

/// How a sequence will lie in its image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// List or tuple.
    pub container: Container,
    /// How the elements lie.
    pub column: ColumnKind,
    /// Whether some elements are `None`; never so for words, which hold `None` themselves.
    pub nullable: bool,
    /// Whether every str is ASCII.
    pub ascii: bool,
    /// Number of elements.
    pub count: u64,
    /// Bytes of text, bytes or blobs.
    pub data_len: u64,
}

/// A plan with every offset worked out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// The plan.
    pub plan: Plan,
    /// Length of the whole image in bytes.
    pub image_len: u64,
    /// The elements, or the offsets of their text or bytes, or their words.
    pub items: Section,
    /// The validity bitmap: bit `i % 8` of byte `i / 8` is clear where element `i` is `None`. Empty without `None`.
    pub validity: Section,
    /// Text, bytes or blobs. Empty where the column has none.
    pub data: Section,
}

impl Plan {
    /// The flags byte of the node.
    pub(crate) fn flags(&self) -> u8 {
        let mut flags = 0;
        if self.nullable {
            flags |= FLAG_NULLABLE;
        }
        if self.ascii {
            flags |= FLAG_ASCII;
        }
        flags
    }

    /// Bytes per item of the first section.
    #[must_use]
    pub fn item_size(&self) -> u32 {
        let offset_size = if self.data_len < NARROW_LIMIT { 4 } else { 8 };
        self.column.item_size().unwrap_or(offset_size)
    }

    /// Works out every offset.
    ///
    /// # Errors
    /// [`BuildError::TooLarge`] past 2^48 bytes.
    pub fn layout(&self) -> Result<Layout, BuildError> {
        self.place()
            .filter(|layout| layout.image_len <= OFFSET_LIMIT)
            .ok_or_else(|| {
                let item_bytes = self.count.saturating_mul(u64::from(self.item_size()));
                BuildError::TooLarge {
                    len: item_bytes.saturating_add(self.data_len),
                }
            })
    }

    fn place(&self) -> Option<Layout> {
        let item_count = self
            .count
            .checked_add(u64::from(self.column.has_offsets()))?;
        let items_len = item_count.checked_mul(u64::from(self.item_size()))?;
        let numeric = !self.column.has_data();
        let align = if numeric && items_len >= LARGE_LEN {
            PAGE_ALIGN
        } else {
            SECTION_ALIGN
        };
        let items = Section {
            offset: round_up(SECTIONS_START, align)?,
            len: items_len,
        };
        let validity_len = if self.nullable {
            self.count.div_ceil(8)
        } else {
            0
        };
        let validity = after(items, validity_len)?;
        let data = after(validity, self.data_len)?;
        let image_len = round_up(data.offset.checked_add(data.len)?, 8)?;
        Some(Layout {
            plan: *self,
            image_len,
            items,
            validity,
            data,
        })
    }
}

fn after(section: Section, len: u64) -> Option<Section> {
    let end = section.offset.checked_add(section.len)?;
    Some(Section {
        offset: round_up(end, SECTION_ALIGN)?,
        len,
    })
}

impl Layout {
    /// Writes the head of the node to the start of `out`; `false` if it does not fit.
    #[must_use]
    pub(crate) fn write_head(&self, out: &mut [u8]) -> bool {
        let sections = self.plan.sections(self.items, self.validity, self.data);
        self.plan.head().write(out, sections.as_slice())
    }
}

impl Plan {
    pub(crate) fn head(&self) -> NodeHead {
        NodeHead::new(
            self.container.node_kind(),
            Some(self.column),
            self.flags(),
            self.item_size(),
            self.count,
        )
    }

    /// Of the places where the parts may lie, those that there are.
    pub(crate) fn sections(&self, items: Section, validity: Section, data: Section) -> Sections {
        let mut sections = Sections::default();
        sections.push(items);
        if self.nullable {
            sections.push(validity);
        }
        if self.column.has_data() {
            sections.push(data);
        }
        sections
    }
}
