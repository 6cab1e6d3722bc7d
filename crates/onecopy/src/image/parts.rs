//! Where the parts of a list or tuple lie: in a section table, or one after the other behind the head.

use super::build::{KIND_SHIFT_NARROW, KIND_SHIFT_WIDE};
use super::bytes::{round_up, slice, u32_at, u64_at};
use super::error::{ImageError, corrupt};
use super::node::{
    ColumnKind, FLAG_ASCII, FLAG_NULLABLE, FLAG_READ_ONLY, NODE_HEAD_LEN, NodeHead, Section,
};

/// The column that a head announces, and its number of elements, if the head does not contradict itself.
pub(super) fn check_head(at: u64, head: &NodeHead) -> Result<(ColumnKind, usize), ImageError> {
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
    Ok((column, len))
}

/// Where the parts of a list or tuple lie; those that it does not have are empty.
pub(super) struct Parts {
    pub(super) items: Section,
    pub(super) validity: Section,
    pub(super) data: Section,
}

impl Parts {
    /// Parts that a section table names.
    pub(super) fn listed(
        image: &[u8],
        at: u64,
        column: ColumnKind,
        head: &NodeHead,
    ) -> Result<Self, ImageError> {
        let sections = head.sections(image, at)?;
        let mut sections = sections.as_slice().iter();
        let mut next = |present: bool, what| {
            if present {
                sections.next().copied().ok_or(corrupt(at, what))
            } else {
                Ok(Section::default())
            }
        };
        let nullable = head.flags & FLAG_NULLABLE != 0;
        let parts = Self {
            items: next(true, "a column has items")?,
            validity: next(nullable, "a column with None has a validity bitmap")?,
            data: next(column.has_data(), "this column has data")?,
        };
        if sections.next().is_some() {
            return Err(corrupt(at, "more sections than the column has"));
        }
        Ok(parts)
    }

    /// Parts that follow the head.
    pub(super) fn compact(
        image: &[u8],
        at: u64,
        column: ColumnKind,
        head: &NodeHead,
    ) -> Result<Self, ImageError> {
        let wrong = corrupt(at, "element count");
        let after = |section: Section| {
            let end = section.offset.checked_add(section.len)?;
            round_up(end, 8)
        };
        let item_count = head.count.checked_add(u64::from(column.has_offsets()));
        let items_len = item_count.and_then(|count| count.checked_mul(u64::from(head.item_size)));
        let items = Section {
            offset: at.saturating_add(NODE_HEAD_LEN as u64),
            len: items_len.ok_or(wrong.clone())?,
        };
        let nullable = head.flags & FLAG_NULLABLE != 0;
        let validity = Section {
            offset: after(items).ok_or(wrong.clone())?,
            len: if nullable { head.count.div_ceil(8) } else { 0 },
        };
        let data_len = if column.has_offsets() {
            slice(image, items.offset, items.len, "items outside the image")?;
            let last = head.count.saturating_mul(u64::from(head.item_size));
            let last = items.offset.saturating_add(last);
            if head.item_size == 4 {
                u64::from(u32_at(image, last, "last offset")? & ((1 << KIND_SHIFT_NARROW) - 1))
            } else {
                u64_at(image, last, "last offset")? & ((1 << KIND_SHIFT_WIDE) - 1)
            }
        } else {
            0
        };
        let data = Section {
            offset: after(validity).ok_or(wrong)?,
            len: data_len,
        };
        Ok(Self {
            items,
            validity,
            data,
        })
    }
}
