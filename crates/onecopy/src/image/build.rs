//! Writes a planned image into memory, once and in order.
//!
//! The writer trusts neither the plan nor the elements: an element that does not fit the plan is
//! [`BuildError::Changed`], which is what happens when the source is altered between survey and writing. The memory
//! may hold anything before; every byte of the image is written.

use std::ops::Range;

use super::bytes::{put, round_up};
use super::error::BuildError;
use super::header::Header;
use super::node::{ColumnKind, Section};
use super::plan::{Container, IntWidth, Layout, Plan, ROOT, Survey};
use super::text::{Text, TextKind};
use super::word::{Scalar, Word, write_blob};

/// Two bits of an offset carry the kind of text: the top two of 32 or of 64.
pub(crate) const KIND_SHIFT_NARROW: u32 = 30;
/// See [`KIND_SHIFT_NARROW`].
pub(crate) const KIND_SHIFT_WIDE: u32 = 62;

/// The parts of an image that its elements go to, and how far they are filled.
#[derive(Debug)]
pub struct Writer<'a> {
    plan: Plan,
    items: &'a mut [u8],
    validity: &'a mut [u8],
    data: &'a mut [u8],
    /// Offset of `data` from the image's start.
    data_offset: u64,
    next: u64,
    data_used: usize,
}

impl<'a> Writer<'a> {
    /// Writes header, node head and the gaps between sections, and makes ready for the first element.
    ///
    /// # Errors
    /// [`BuildError::WrongLength`] if `out` is not exactly as long as the layout's image.
    pub fn new(layout: &Layout, out: &'a mut [u8]) -> Result<Self, BuildError> {
        let given = out.len() as u64;
        let wrong = || BuildError::WrongLength {
            needed: layout.image_len,
            given,
        };
        if given != layout.image_len {
            return Err(wrong());
        }
        write_head(layout, out).ok_or_else(wrong)?;
        let [items, validity, data] = [layout.items, layout.validity, layout.data].map(range);
        let parts = items
            .zip(validity)
            .zip(data)
            .and_then(|((items, validity), data)| {
                out.get_disjoint_mut([items, validity, data]).ok()
            });
        let [items, validity, data] = parts.ok_or_else(wrong)?;
        validity.fill(0);
        let mut writer = Self {
            plan: layout.plan,
            items,
            validity,
            data,
            data_offset: layout.data.offset,
            next: 0,
            data_used: 0,
        };
        if layout.plan.column.has_offsets() {
            writer.put_offset(0, TextKind::Ascii).ok_or_else(wrong)?;
        }
        Ok(writer)
    }

    /// Elements written so far.
    #[must_use]
    pub const fn written(&self) -> u64 {
        self.next
    }

    /// Writes the next element.
    ///
    /// # Errors
    /// [`BuildError::Changed`] if it does not fit the plan.
    #[inline]
    pub fn push(&mut self, value: &Scalar<'_>) -> Result<(), BuildError> {
        let index = self.next;
        if index >= self.plan.count {
            return Err(BuildError::Changed { index });
        }
        self.put(value).ok_or(BuildError::Changed { index })
    }

    fn put(&mut self, value: &Scalar<'_>) -> Option<()> {
        match (self.plan.column, value) {
            (ColumnKind::Words, value) => {
                let word = self.word(value)?;
                self.put_item(&word.0.to_le_bytes())?;
            }
            (_, Scalar::None) => return self.put_none(),
            (ColumnKind::I8, &Scalar::Int(value)) => {
                self.put_item(&i8::try_from(value).ok()?.to_le_bytes())?;
            }
            (ColumnKind::I16, &Scalar::Int(value)) => {
                self.put_item(&i16::try_from(value).ok()?.to_le_bytes())?;
            }
            (ColumnKind::I32, &Scalar::Int(value)) => {
                self.put_item(&i32::try_from(value).ok()?.to_le_bytes())?;
            }
            (ColumnKind::I64, &Scalar::Int(value)) => self.put_item(&value.to_le_bytes())?,
            (ColumnKind::U64, &Scalar::Int(value)) => {
                self.put_item(&u64::try_from(value).ok()?.to_le_bytes())?;
            }
            (ColumnKind::U64, &Scalar::Uint(value)) => self.put_item(&value.to_le_bytes())?,
            (ColumnKind::F64, &Scalar::Float(value)) => self.put_item(&value.to_le_bytes())?,
            (ColumnKind::Bool, &Scalar::Bool(value)) => self.put_item(&[u8::from(value)])?,
            (ColumnKind::Str, &Scalar::Str(Text { kind, bytes })) => {
                if self.plan.ascii && kind != TextKind::Ascii {
                    return None;
                }
                self.put_span(kind, bytes)?;
            }
            (ColumnKind::Bytes, &Scalar::Bytes(bytes)) => self.put_span(TextKind::Ascii, bytes)?,
            _ => return None,
        }
        self.mark_valid()?;
        self.next = self.next.checked_add(1)?;
        Some(())
    }

    /// Says that all elements have been written.
    ///
    /// # Errors
    /// [`BuildError::Changed`] if there are fewer than planned, or their text is shorter.
    pub fn finish(self) -> Result<(), BuildError> {
        if self.next != self.plan.count || self.data_used != self.data.len() {
            return Err(BuildError::Changed { index: self.next });
        }
        Ok(())
    }

    /// The bytes of the items, for a caller that fills a numeric column without `None` itself: little-endian, the
    /// plan's `item_size` each, all of them. `None` for other columns.
    #[must_use]
    pub fn into_numeric_items(self) -> Option<&'a mut [u8]> {
        let numeric = !self.plan.column.has_data() && !self.plan.nullable;
        numeric.then_some(self.items)
    }

    #[inline]
    fn put_item(&mut self, value: &[u8]) -> Option<()> {
        let at = (self.next as usize).checked_mul(value.len())?;
        put(self.items, at, value).then_some(())
    }

    #[inline]
    fn mark_valid(&mut self) -> Option<()> {
        if self.plan.nullable {
            let byte = self.validity.get_mut((self.next >> 3) as usize)?;
            *byte |= 1 << (self.next & 7);
        }
        Some(())
    }

    fn put_none(&mut self) -> Option<()> {
        if !self.plan.nullable {
            return None;
        }
        match self.plan.column {
            ColumnKind::Str | ColumnKind::Bytes => self.put_span(TextKind::Ascii, &[])?,
            column => {
                let zeros = 0_u64.to_le_bytes();
                self.put_item(zeros.get(..column.item_size()? as usize)?)?;
            }
        }
        self.next = self.next.checked_add(1)?;
        Some(())
    }

    /// Appends the bytes of one element and the offset of the next one's. An element's kind lies in its own offset,
    /// which was written, without it, by the element before.
    #[inline]
    fn put_span(&mut self, kind: TextKind, bytes: &[u8]) -> Option<()> {
        if !put(self.data, self.data_used, bytes) {
            return None;
        }
        if kind != TextKind::Ascii {
            self.put_offset(self.next, kind)?;
        }
        self.data_used = self.data_used.checked_add(bytes.len())?;
        self.put_offset(self.next.checked_add(1)?, TextKind::Ascii)
    }

    #[inline]
    fn put_offset(&mut self, index: u64, kind: TextKind) -> Option<()> {
        let used = self.data_used as u64;
        let index = usize::try_from(index).ok()?;
        let fits = if self.plan.item_size() == 4 {
            let offset = u32::try_from(used).ok()? | (u32::from(kind as u8) << KIND_SHIFT_NARROW);
            put(self.items, index.checked_mul(4)?, &offset.to_le_bytes())
        } else {
            let offset = used | (u64::from(kind as u8) << KIND_SHIFT_WIDE);
            put(self.items, index.checked_mul(8)?, &offset.to_le_bytes())
        };
        fits.then_some(())
    }

    #[inline]
    fn word(&mut self, value: &Scalar<'_>) -> Option<Word> {
        if let Some(word) = Word::inline(value) {
            return Some(word);
        }
        let offset = self.data_offset.checked_add(self.data_used as u64)?;
        let written = write_blob(value, self.data.get_mut(self.data_used..)?)?;
        self.data_used = self.data_used.checked_add(usize::try_from(written).ok()?)?;
        Word::blob(offset)
    }
}

fn range(section: Section) -> Option<Range<usize>> {
    let end = section.offset.checked_add(section.len)?;
    Some(usize::try_from(section.offset).ok()?..usize::try_from(end).ok()?)
}

/// Writes header and node head, and zeros wherever no section lies.
fn write_head(layout: &Layout, out: &mut [u8]) -> Option<()> {
    let mut written: usize = 0;
    for section in [layout.items, layout.validity, layout.data] {
        let section = range(section)?;
        out.get_mut(written..section.start)?.fill(0);
        written = section.end;
    }
    out.get_mut(written..)?.fill(0);
    let header = Header {
        image_len: layout.image_len,
        root: ROOT,
    };
    let node = out.get_mut(usize::try_from(ROOT).ok()?..)?;
    (layout.write_head(node) && put(out, 0, &header.to_bytes())).then_some(())
}

/// Builds the image of a sequence in memory of its own: survey, plan, write.
///
/// # Errors
/// [`BuildError::TooLarge`]; [`BuildError::Changed`] if the iterator yields other values when it is cloned.
///
/// # Examples
/// ```
/// use onecopy::image::{Container, Image, IntWidth, Scalar, sequence_image};
///
/// let values = [Scalar::Int(1), Scalar::None, Scalar::Float(0.5)];
/// let bytes = sequence_image(Container::List, IntWidth::Full, values.into_iter())?;
/// let image = Image::open(&bytes)?;
/// let list = image.sequence()?;
/// assert_eq!(list.len(), 3);
/// assert_eq!(list.get(2)?, Some(Scalar::Float(0.5).into()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn sequence_image<'v>(
    container: Container,
    width: IntWidth,
    values: impl Iterator<Item = Scalar<'v>> + Clone,
) -> Result<ImageBuf, BuildError> {
    let mut survey = Survey::default();
    values.clone().for_each(|value| survey.observe(&value));
    let layout = survey.plan(container, width).layout()?;
    let mut image = ImageBuf::zeroed(layout.image_len)?;
    let mut writer = Writer::new(&layout, image.as_mut_bytes())?;
    for value in values {
        writer.push(&value)?;
    }
    writer.finish()?;
    Ok(image)
}

/// An image in memory of its own, at an address that readers accept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageBuf {
    words: Vec<u64>,
    len: usize,
}

impl ImageBuf {
    pub(crate) fn zeroed(len: u64) -> Result<Self, BuildError> {
        let too_large = || BuildError::TooLarge { len };
        let words = round_up(len, 8).and_then(|len| usize::try_from(len >> 3).ok());
        let words = vec![0; words.ok_or_else(too_large)?];
        Ok(Self {
            words,
            len: usize::try_from(len).map_err(|_| too_large())?,
        })
    }

    /// Copies `bytes` to an address that readers accept.
    #[must_use]
    pub fn copy_of(bytes: &[u8]) -> Self {
        let mut words = vec![0_u64; bytes.len().div_ceil(8)];
        let room: &mut [u8] = bytemuck::cast_slice_mut(&mut words);
        let copied = put(room, 0, bytes);
        debug_assert!(copied, "the words are at least as long as the bytes");
        Self {
            words,
            len: bytes.len(),
        }
    }

    pub(crate) fn as_mut_bytes(&mut self) -> &mut [u8] {
        bytemuck::cast_slice_mut(&mut self.words)
            .get_mut(..self.len)
            .unwrap_or_default()
    }
}

impl std::ops::Deref for ImageBuf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        bytemuck::cast_slice(&self.words)
            .get(..self.len)
            .unwrap_or_default()
    }
}
