//! Fills a list or tuple node that lies somewhere in an arena.
//!
//! A cursor knows where the parts of its node are and how far they are filled; it does not borrow the arena, so several
//! columns of a table can be filled side by side, and children placed between two elements.
//!
//! | form | when | parts |
//! |---|---|---|
//! | compact | below [`COMPACT_LIMIT`] bytes | behind the head: items, validity, data, each at the next multiple of 8 |
//! | sections | otherwise | a table behind the head names them; aligned as in a flat image |
//!
//! The blobs and nodes that a column of words leads to lie anywhere in the image; its data part is empty.

use super::arena::Arena;
use super::build::{KIND_SHIFT_NARROW, KIND_SHIFT_WIDE};
use super::bytes::round_up;
use super::error::BuildError;
use super::node::{ColumnKind, NODE_HEAD_LEN, SECTION_LEN, Section, Sections};
use super::plan::{LARGE_LEN, PAGE_ALIGN, Plan, SECTION_ALIGN};
use super::text::{Text, TextKind};
use super::word::{Scalar, Word};

/// Nodes whose parts take at least this many bytes have a section table.
pub const COMPACT_LIMIT: u64 = 4096;

/// A list or tuple node being filled, from the first element to the last.
#[derive(Debug, Clone, Copy)]
pub struct ColumnCursor {
    plan: Plan,
    /// Offset of the node.
    pub node: u64,
    items: Section,
    validity: u64,
    data: Section,
    next: u64,
    data_used: u64,
}

impl ColumnCursor {
    /// Takes memory for a node of this plan and writes its head.
    ///
    /// # Errors
    /// As for [`Arena::alloc`].
    pub fn place(arena: &mut Arena<'_>, plan: &Plan) -> Result<Self, BuildError> {
        let too_large = BuildError::TooLarge { len: u64::MAX };
        let lens = lens(plan).ok_or(too_large)?;
        let [items_len, validity_len, data_len] = lens;
        // Each is below 2^61, as memory for it exists or `alloc` refuses it.
        let padded = |len: u64| round_up(len, 8).unwrap_or(u64::MAX);
        let payload = lens.into_iter().map(padded).fold(0, u64::saturating_add);
        let head_len = NODE_HEAD_LEN as u64;
        let (node, starts, table);
        if payload < COMPACT_LIMIT {
            node = arena.alloc(head_len.saturating_add(payload), 8)?;
            let items = node.saturating_add(head_len);
            let validity = items.saturating_add(padded(items_len));
            starts = [
                items,
                validity,
                validity.saturating_add(padded(validity_len)),
            ];
            table = false;
        } else {
            let table_len = (SECTION_LEN as u64).saturating_mul(3);
            node = arena.alloc(head_len.saturating_add(table_len), 8)?;
            let large = !plan.column.has_data() && items_len >= LARGE_LEN;
            let align = if large { PAGE_ALIGN } else { SECTION_ALIGN };
            starts = [
                arena.alloc(items_len, align)?,
                arena.alloc(validity_len, SECTION_ALIGN)?,
                arena.alloc(data_len, SECTION_ALIGN)?,
            ];
            table = true;
        }
        let [items, validity, data] = starts;
        let cursor = Self {
            plan: *plan,
            node,
            items: Section {
                offset: items,
                len: items_len,
            },
            validity,
            data: Section {
                offset: data,
                len: data_len,
            },
            next: 0,
            data_used: 0,
        };
        cursor.write_head(arena, validity_len, table)?;
        Ok(cursor)
    }

    fn write_head(
        &self,
        arena: &mut Arena<'_>,
        validity_len: u64,
        table: bool,
    ) -> Result<(), BuildError> {
        let validity = Section {
            offset: self.validity,
            len: validity_len,
        };
        let sections = if table {
            self.plan.sections(self.items, validity, self.data)
        } else {
            Sections::default()
        };
        let len = if table {
            NODE_HEAD_LEN.saturating_add(SECTION_LEN.saturating_mul(3))
        } else {
            NODE_HEAD_LEN
        };
        if let Some(room) = arena.slice_mut(self.node, len as u64)?
            && !self.plan.head().write(room, sections.as_slice())
        {
            return Err(BuildError::Outgrown);
        }
        Ok(())
    }

    /// How the elements lie.
    #[must_use]
    pub const fn column(&self) -> ColumnKind {
        self.plan.column
    }

    /// Writes the next element.
    ///
    /// # Errors
    /// [`BuildError::Changed`] if it does not fit the plan; as for [`Arena::alloc`] if it needs a blob.
    #[inline]
    pub fn push(&mut self, arena: &mut Arena<'_>, value: &Scalar<'_>) -> Result<(), BuildError> {
        let index = self.next;
        if index >= self.plan.count {
            return Err(BuildError::Changed { index });
        }
        if self.plan.column == ColumnKind::Words {
            let word = arena.blob(value)?;
            return self.push_word(arena, word);
        }
        if arena.is_measuring() {
            self.next = index.saturating_add(1);
            return Ok(());
        }
        let done = match (self.plan.column, value) {
            (_, Scalar::None) => return self.push_none(arena),
            (ColumnKind::I64, &Scalar::Int(value)) => self.put_item(arena, &value.to_le_bytes()),
            (ColumnKind::F64, &Scalar::Float(value)) => self.put_item(arena, &value.to_le_bytes()),
            (ColumnKind::Bool, &Scalar::Bool(value)) => self.put_item(arena, &[u8::from(value)]),
            (ColumnKind::Str, &Scalar::Str(Text { kind, bytes })) => {
                if self.plan.ascii && kind != TextKind::Ascii {
                    return Err(BuildError::Changed { index });
                }
                self.put_span(arena, kind, bytes)
            }
            (ColumnKind::Bytes, &Scalar::Bytes(bytes)) => {
                self.put_span(arena, TextKind::Ascii, bytes)
            }
            _ => self.put_narrow(arena, value),
        };
        done.ok_or(BuildError::Changed { index })??;
        self.set_valid(arena, index)?;
        self.next = index.saturating_add(1);
        Ok(())
    }

    /// The rarer widths of ints.
    fn put_narrow(
        &self,
        arena: &mut Arena<'_>,
        value: &Scalar<'_>,
    ) -> Option<Result<(), BuildError>> {
        match (self.plan.column, value) {
            (ColumnKind::I8, &Scalar::Int(value)) => {
                self.put_item(arena, &i8::try_from(value).ok()?.to_le_bytes())
            }
            (ColumnKind::I16, &Scalar::Int(value)) => {
                self.put_item(arena, &i16::try_from(value).ok()?.to_le_bytes())
            }
            (ColumnKind::I32, &Scalar::Int(value)) => {
                self.put_item(arena, &i32::try_from(value).ok()?.to_le_bytes())
            }
            (ColumnKind::U64, &Scalar::Int(value)) => {
                self.put_item(arena, &u64::try_from(value).ok()?.to_le_bytes())
            }
            (ColumnKind::U64, &Scalar::Uint(value)) => self.put_item(arena, &value.to_le_bytes()),
            _ => None,
        }
    }

    /// Writes the next element of a column of words.
    ///
    /// # Errors
    /// [`BuildError::Changed`] if there is no room for one more, or the column is of another kind.
    #[inline]
    pub fn push_word(&mut self, arena: &mut Arena<'_>, word: Word) -> Result<(), BuildError> {
        let index = self.next;
        let changed = BuildError::Changed { index };
        if index >= self.plan.count || self.plan.column != ColumnKind::Words {
            return Err(changed);
        }
        let written = self.put_item(arena, &word.0.to_le_bytes());
        self.next = index.saturating_add(1);
        written.unwrap_or(Err(changed))
    }

    fn push_none(&mut self, arena: &mut Arena<'_>) -> Result<(), BuildError> {
        let index = self.next;
        if !self.plan.nullable {
            return Err(BuildError::Changed { index });
        }
        if self.plan.column.has_offsets() {
            self.put_span(arena, TextKind::Ascii, &[])
                .ok_or(BuildError::Changed { index })??;
        }
        self.next = index.saturating_add(1);
        Ok(())
    }

    #[inline]
    fn put_item(&self, arena: &mut Arena<'_>, bytes: &[u8]) -> Option<Result<(), BuildError>> {
        let distance = self.next.checked_mul(bytes.len() as u64)?;
        Some(arena.put(self.items.offset.checked_add(distance)?, bytes))
    }

    /// Writes bytes to the data, and the offset at which they end.
    #[inline]
    fn put_span(
        &mut self,
        arena: &mut Arena<'_>,
        kind: TextKind,
        bytes: &[u8],
    ) -> Option<Result<(), BuildError>> {
        let start = self.data_used;
        let end = start.checked_add(bytes.len() as u64)?;
        if end > self.data.len {
            return None;
        }
        self.data_used = end;
        Some(
            self.put_offsets(arena, start, end, kind)
                .and_then(|()| arena.put(self.data.offset.saturating_add(start), bytes)),
        )
    }

    /// The kind of text belongs to the offset at which an element starts; the one at which it ends is written without,
    /// until the next element overwrites it.
    fn put_offsets(
        &self,
        arena: &mut Arena<'_>,
        start: u64,
        end: u64,
        kind: TextKind,
    ) -> Result<(), BuildError> {
        let size = u64::from(self.plan.item_size());
        let at = self
            .next
            .saturating_mul(size)
            .saturating_add(self.items.offset);
        if size == 4 {
            let first = (start as u32) | (u32::from(kind as u8) << KIND_SHIFT_NARROW);
            let both = (u64::from(end as u32) << 32) | u64::from(first);
            arena.put(at, &both.to_le_bytes())
        } else {
            let first = start | (u64::from(kind as u8) << KIND_SHIFT_WIDE);
            let both = (u128::from(end) << 64) | u128::from(first);
            arena.put(at, &both.to_le_bytes())
        }
    }

    #[inline]
    fn set_valid(&self, arena: &mut Arena<'_>, index: u64) -> Result<(), BuildError> {
        if !self.plan.nullable {
            return Ok(());
        }
        let at = self.validity.saturating_add(index >> 3);
        if let Some([byte]) = arena.slice_mut(at, 1)? {
            *byte |= 1 << (index & 7);
        }
        Ok(())
    }

    /// Closes the node; returns its offset.
    ///
    /// # Errors
    /// [`BuildError::Changed`] if elements, text or bytes are missing.
    pub fn finish(self, arena: &Arena<'_>) -> Result<u64, BuildError> {
        let full = self.next == self.plan.count && self.data_used == self.data.len;
        if full || arena.is_measuring() {
            return Ok(self.node);
        }
        Err(BuildError::Changed { index: self.next })
    }
}

/// Lengths of items, validity and data.
fn lens(plan: &Plan) -> Option<[u64; 3]> {
    let offsets = u64::from(plan.column.has_offsets());
    let items = plan.count.checked_add(offsets)?;
    let items = items.checked_mul(u64::from(plan.item_size()))?;
    let validity = if plan.nullable {
        plan.count.div_ceil(8)
    } else {
        0
    };
    let data = if plan.column.has_offsets() {
        plan.data_len
    } else {
        0
    };
    Some([items, validity, data])
}
