//! The array node: a self-describing n-dimensional array.
//!
//! | section | content |
//! |---|---|
//! | 0 | the type of its items as `NumPy` writes it (`<f8`, `|b1`, `<M8[ns]`, `<U16`), UTF-8 |
//! | 1 | shape: one `u64` per dimension |
//! | 2 | strides in bytes: one `i64` per dimension, none negative |
//! | 3 | data, from the element with all indexes 0 |
//!
//! `count` is the number of elements, `item_size` the size of one. An array of negative strides is laid out anew by
//! its writer, as nobody reads it faster for lying backwards. Data of 4096 bytes or more start at a multiple of 4096.

use super::arena::Arena;
use super::bytes::{put, round_up};
use super::error::{BuildError, ImageError, corrupt};
use super::header::Header;
use super::node::{FLAG_READ_ONLY, NODE_HEAD_LEN, NodeHead, NodeKind, SECTION_LEN, Section};
use super::plan::{PAGE_ALIGN, ROOT, SECTION_ALIGN};

/// `NumPy` allows no more dimensions.
pub const DIMENSION_LIMIT: usize = 64;
/// Where the sections of an array may begin: past a node head with four sections.
const SECTIONS_START: u64 = 192;

/// What an array is, apart from its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArrayShape<'a> {
    /// The type of its items as `NumPy` writes it.
    pub dtype: &'a str,
    /// Bytes per item.
    pub item_size: u32,
    /// Elements along each dimension.
    pub shape: &'a [u64],
    /// Bytes from one element to the next along each dimension; none negative.
    pub strides: &'a [i64],
    /// Whether the array was read-only where it came from.
    pub read_only: bool,
}

/// An array's description of its own, which stays what it is when the image changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArraySpec {
    /// The type of its items as `NumPy` writes it.
    pub dtype: String,
    /// Bytes per item.
    pub item_size: u32,
    /// Elements along each dimension.
    pub shape: Vec<u64>,
    /// Bytes from one element to the next along each dimension; none negative.
    pub strides: Vec<i64>,
    /// Whether the array was read-only where it came from.
    pub read_only: bool,
}

impl ArraySpec {
    /// The same, borrowed.
    #[must_use]
    pub fn as_shape(&self) -> ArrayShape<'_> {
        ArrayShape {
            dtype: &self.dtype,
            item_size: self.item_size,
            shape: &self.shape,
            strides: &self.strides,
            read_only: self.read_only,
        }
    }
}

impl ArrayShape<'_> {
    /// Number of elements; `None` past the end of `u64`.
    #[must_use]
    pub fn count(&self) -> Option<u64> {
        if self.shape.contains(&0) {
            return Some(0);
        }
        self.shape
            .iter()
            .try_fold(1, |count: u64, &len| count.checked_mul(len))
    }

    /// Bytes from the first element's start to the last one's end; `None` if the shape contradicts itself.
    #[must_use]
    pub fn extent(&self) -> Option<u64> {
        if self.shape.len() != self.strides.len() || self.shape.len() > DIMENSION_LIMIT {
            return None;
        }
        if self.count()? == 0 {
            return Some(0);
        }
        let mut last: u64 = 0;
        for (&len, &stride) in self.shape.iter().zip(self.strides) {
            let steps = len.checked_sub(1)?;
            last = last.checked_add(steps.checked_mul(u64::try_from(stride).ok()?)?)?;
        }
        last.checked_add(u64::from(self.item_size))
    }
}

/// An array's image with every offset worked out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArrayLayout {
    /// Length of the whole image in bytes.
    pub image_len: u64,
    /// Where the data go.
    pub data: Section,
    dtype: Section,
    shape: Section,
    strides: Section,
    count: u64,
}

impl ArrayLayout {
    /// Works out every offset for an array with `data_len` bytes of data.
    ///
    /// # Errors
    /// [`BuildError::ArrayShape`] if shape, strides and `data_len` contradict each other.
    pub fn new(array: &ArrayShape<'_>, data_len: u64) -> Result<Self, BuildError> {
        let wrong = BuildError::ArrayShape { data_len };
        if array.extent().is_none_or(|extent| extent > data_len) {
            return Err(wrong);
        }
        Self::place(array, data_len).ok_or(wrong)
    }

    fn place(array: &ArrayShape<'_>, data_len: u64) -> Option<Self> {
        let align = if data_len >= PAGE_ALIGN {
            PAGE_ALIGN
        } else {
            SECTION_ALIGN
        };
        let per_dimension = (array.shape.len() as u64).checked_mul(8)?;
        let dtype = Section {
            offset: SECTIONS_START,
            len: array.dtype.len() as u64,
        };
        let shape = after(dtype, per_dimension, 8)?;
        let strides = after(shape, per_dimension, 8)?;
        let data = after(strides, data_len, align)?;
        let image_len = round_up(data.offset.checked_add(data.len)?, 8)?;
        Some(Self {
            image_len,
            data,
            dtype,
            shape,
            strides,
            count: array.count()?,
        })
    }

    /// Writes everything but the data, which the caller copies to `out[data.offset..][..data.len]`.
    ///
    /// # Errors
    /// [`BuildError::WrongLength`] if `out` is not exactly as long as the image.
    pub fn write(&self, array: &ArrayShape<'_>, out: &mut [u8]) -> Result<(), BuildError> {
        let given = out.len() as u64;
        let wrong = BuildError::WrongLength {
            needed: self.image_len,
            given,
        };
        if given != self.image_len {
            return Err(wrong);
        }
        self.write_parts(array, out).ok_or(wrong)
    }

    fn write_parts(&self, array: &ArrayShape<'_>, out: &mut [u8]) -> Option<()> {
        let data_end = self.data.offset.checked_add(self.data.len)? as usize;
        out.get_mut(data_end..)?.fill(0);
        self.write_head_parts(array, out.get_mut(..self.data.offset as usize)?)
    }

    /// Describes the array anew in the bytes before its data, whose length is `data.offset`: for data that stay where
    /// they are, and that somebody else may be looking at.
    ///
    /// # Errors
    /// [`BuildError::WrongLength`] if `head` is not exactly as long as what precedes the data.
    pub fn write_head(&self, array: &ArrayShape<'_>, head: &mut [u8]) -> Result<(), BuildError> {
        let given = head.len() as u64;
        let wrong = BuildError::WrongLength {
            needed: self.data.offset,
            given,
        };
        if given != self.data.offset {
            return Err(wrong);
        }
        self.write_head_parts(array, head).ok_or(wrong)
    }

    fn write_head_parts(&self, array: &ArrayShape<'_>, out: &mut [u8]) -> Option<()> {
        out.fill(0);
        let head = NodeHead::new(
            NodeKind::Array,
            None,
            if array.read_only { FLAG_READ_ONLY } else { 0 },
            array.item_size,
            self.count,
        );
        let sections = [self.dtype, self.shape, self.strides, self.data];
        let header = Header {
            image_len: self.image_len,
            root: ROOT,
        };
        let written = put(out, 0, &header.to_bytes())
            && head.write(out.get_mut(ROOT as usize..)?, &sections)
            && put(out, self.dtype.offset as usize, array.dtype.as_bytes())
            && put(
                out,
                self.shape.offset as usize,
                bytemuck::cast_slice(array.shape),
            )
            && put(
                out,
                self.strides.offset as usize,
                bytemuck::cast_slice(array.strides),
            );
        written.then_some(())
    }
}

/// Places an array node with `data_len` bytes of data in an arena; returns its offset and where the data go.
///
/// # Errors
/// [`BuildError::ArrayShape`] if shape, strides and `data_len` contradict each other; as for [`Arena::alloc`].
pub fn place_array(
    arena: &mut Arena<'_>,
    array: &ArrayShape<'_>,
    data_len: u64,
) -> Result<(u64, Section), BuildError> {
    let wrong = BuildError::ArrayShape { data_len };
    if array.extent().is_none_or(|extent| extent > data_len) {
        return Err(wrong);
    }
    let count = array.count().ok_or(wrong)?;
    let per_dimension = (array.shape.len() as u64).saturating_mul(8);
    let node = arena.alloc(
        (NODE_HEAD_LEN.saturating_add(SECTION_LEN.saturating_mul(4))) as u64,
        8,
    )?;
    let align = if data_len >= PAGE_ALIGN {
        PAGE_ALIGN
    } else {
        SECTION_ALIGN
    };
    let mut part = |len: u64, align: u64| -> Result<Section, BuildError> {
        let offset = arena.alloc(len, align)?;
        Ok(Section { offset, len })
    };
    let dtype = part(array.dtype.len() as u64, 8)?;
    let shape = part(per_dimension, 8)?;
    let strides = part(per_dimension, 8)?;
    let data = part(data_len, align)?;
    let flags = if array.read_only { FLAG_READ_ONLY } else { 0 };
    let sections = [dtype, shape, strides, data];
    let head = NodeHead::new(NodeKind::Array, None, flags, array.item_size, count);
    if let Some(room) = arena.slice_mut(node, dtype.offset.saturating_sub(node))?
        && !head.write(room, &sections)
    {
        return Err(BuildError::Outgrown);
    }
    arena.put(dtype.offset, array.dtype.as_bytes())?;
    arena.put(shape.offset, bytemuck::cast_slice(array.shape))?;
    arena.put(strides.offset, bytemuck::cast_slice(array.strides))?;
    Ok((node, data))
}

fn after(section: Section, len: u64, align: u64) -> Option<Section> {
    let end = section.offset.checked_add(section.len)?;
    Some(Section {
        offset: round_up(end, align)?,
        len,
    })
}

/// An array, resolved: its elements all lie in `data`.
#[derive(Debug, Clone)]
pub struct Array<'a> {
    /// Type, shape and strides.
    pub spec: ArraySpec,
    /// The data.
    pub data: &'a [u8],
    /// Where the data lie, from the image's start.
    pub data_offset: u64,
}

impl<'a> Array<'a> {
    pub(crate) fn resolve(image: &'a [u8], at: u64, head: &NodeHead) -> Result<Self, ImageError> {
        let sections = head.sections(image, at)?;
        let &[dtype, shape, strides, data] = sections.as_slice() else {
            return Err(corrupt(at, "an array has four sections"));
        };
        if head.flags & !FLAG_READ_ONLY != 0 {
            return Err(corrupt(at, "flag that an array cannot have"));
        }
        let dimensions = (shape.len >> 3) as usize;
        if dimensions > DIMENSION_LIMIT {
            return Err(corrupt(at, "more dimensions than an array has"));
        }
        let spec = ArraySpec {
            dtype: String::from_utf8(dtype.of(image)?.to_vec())
                .map_err(|_| corrupt(dtype.offset, "the type of an array is not UTF-8"))?,
            item_size: head.item_size,
            shape: shape.typed(image, dimensions)?.to_vec(),
            strides: strides.typed(image, dimensions)?.to_vec(),
            read_only: head.flags & FLAG_READ_ONLY != 0,
        };
        // What is checked is the copy (O1 of `bytes`).
        let array = spec.as_shape();
        if array.count() != Some(head.count) {
            return Err(corrupt(at, "element count does not match the shape"));
        }
        if array.extent().is_none_or(|extent| extent > data.len) {
            return Err(corrupt(at, "shape and strides reach past the data"));
        }
        Ok(Self {
            data: data.of(image)?,
            spec,
            data_offset: data.offset,
        })
    }
}
