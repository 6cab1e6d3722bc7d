//! From an element of a column to a Python object: one decoder per kind of column.
//!
//! They rely on the invariants of [`Parts`], `P1` to `P5`.
#![allow(
    unsafe_code,
    reason = "the hot path of every view: its bounds were proved when the image was resolved"
)]

use std::ffi::CStr;
use std::marker::PhantomData;

use onecopy::image::{Decoded, Scalar, Text, TextKind, Word, read_blob};
use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;

use super::parts::Parts;
use crate::error::corrupt;
use crate::image::{Image, element};
use crate::value::{failure, scalar, text};

/// Numbers that can be handed out as they lie: the buffer protocol's letter for them, and bytes per item.
#[derive(Clone, Copy)]
pub(crate) struct Format {
    pub(crate) letter: &'static CStr,
    pub(crate) item_size: usize,
}

impl Format {
    const fn of<T>(letter: &'static CStr) -> Self {
        let item_size = size_of::<T>();
        Self { letter, item_size }
    }
}

// What the letters l and L stand for.
const _: () = assert!(size_of::<std::ffi::c_long>() == 8);

/// An int that a column may consist of.
pub(super) trait Width: Copy + Into<i64> {
    const LETTER: &'static CStr;
}

impl Width for i8 {
    const LETTER: &'static CStr = c"b";
}

impl Width for i16 {
    const LETTER: &'static CStr = c"h";
}

impl Width for i32 {
    const LETTER: &'static CStr = c"i";
}

impl Width for i64 {
    const LETTER: &'static CStr = c"l";
}

/// Who reads one node of a column reads the next ones, in most cases. A view of one takes as long as memory takes to answer.
const AHEAD: usize = 2;

/// Makes objects of the elements of one kind of column.
pub(super) trait Decode {
    /// How the elements lie, if they are numbers that can be handed out.
    const FORMAT: Option<Format> = None;
    /// Whether elements may be containers or pickled objects.
    const LEADS_ON: bool = false;

    /// The object of element `index` as a new reference, or null with an exception set.
    ///
    /// # Safety
    /// - `parts` belong to a column of this kind and hold (P1 to P4);
    /// - `index` is below the number of elements;
    /// - the thread is attached to the interpreter.
    unsafe fn decode(parts: &Parts, index: usize) -> *mut PyObject;
}

/// Ints of a width below `i64` or of it.
pub(super) struct Int<T>(PhantomData<T>);
/// Ints of 64 bits without sign.
pub(super) struct Uint;
/// Floats.
pub(super) struct Float;
/// Bools.
pub(super) struct Bool;
/// Text that is all ASCII.
pub(super) struct Ascii<O>(PhantomData<O>);
/// Text of any kind.
pub(super) struct Str<O>(PhantomData<O>);
/// Bytes.
pub(super) struct Bytes<O>(PhantomData<O>);
/// Mixtures.
pub(super) struct Words;
/// Any of these with `None` among them.
pub(super) struct Nullable<D>(PhantomData<D>);

impl<T: Width> Decode for Int<T> {
    const FORMAT: Option<Format> = Some(Format::of::<T>(T::LETTER));

    #[inline]
    unsafe fn decode(parts: &Parts, index: usize) -> *mut PyObject {
        // SAFETY: the parts belong to a column of this kind, as this function asks, whose items have this type, one for
        // each element (P1), and `index` is an element.
        let value: T = unsafe { parts.item(index) };
        parts.spare.int(value.into())
    }
}

impl Decode for Uint {
    const FORMAT: Option<Format> = Some(Format::of::<u64>(c"L"));

    #[inline]
    unsafe fn decode(parts: &Parts, index: usize) -> *mut PyObject {
        // SAFETY: the parts belong to a column of this kind, as this function asks, whose items have this type, one for
        // each element (P1), and `index` is an element.
        let value: u64 = unsafe { parts.item(index) };
        // SAFETY: takes a plain number; the thread is attached, as this function asks.
        unsafe { ffi::PyLong_FromUnsignedLongLong(value) }
    }
}

impl Decode for Float {
    const FORMAT: Option<Format> = Some(Format::of::<f64>(c"d"));

    #[inline]
    unsafe fn decode(parts: &Parts, index: usize) -> *mut PyObject {
        // SAFETY: the parts belong to a column of this kind, as this function asks, whose items have this type, one for
        // each element (P1), and `index` is an element.
        let value: f64 = unsafe { parts.item(index) };
        parts.spare.float(value)
    }
}

impl Decode for Bool {
    const FORMAT: Option<Format> = Some(Format::of::<u8>(c"?"));

    #[inline]
    unsafe fn decode(parts: &Parts, index: usize) -> *mut PyObject {
        // SAFETY: the parts belong to a column of this kind, as this function asks, whose items have this type, one for
        // each element (P1), and `index` is an element.
        let value: u8 = unsafe { parts.item(index) };
        scalar::bool_object(value != 0)
    }
}

/// Offsets of 4 or 8 bytes; the top two bits carry the kind of text.
pub(super) trait Offset {
    type Item: Copy;
    fn split(item: Self::Item) -> (usize, TextKind);
}

pub(super) struct Narrow;
pub(super) struct Wide;

impl Offset for Narrow {
    type Item = u32;

    #[inline]
    fn split(item: u32) -> (usize, TextKind) {
        (
            (item & ((1 << 30) - 1)) as usize,
            TextKind::from_bits((item >> 30) as u8),
        )
    }
}

impl Offset for Wide {
    type Item = u64;

    #[inline]
    fn split(item: u64) -> (usize, TextKind) {
        (
            (item & ((1 << 62) - 1)) as usize,
            TextKind::from_bits((item >> 62) as u8),
        )
    }
}

/// The bytes of element `index` of a column with offsets, and the kind that they are marked with.
///
/// # Safety
/// - as for [`Decode::decode`], for a column whose offsets are `O`.
#[inline]
unsafe fn span<O: Offset>(parts: &Parts, index: usize) -> Option<(&[u8], TextKind)> {
    // SAFETY: there is one offset more than elements (P1), and `index` is one of an element, as this function asks.
    let (start, kind) = O::split(unsafe { parts.item(index) });
    // SAFETY: `index + 1` is at most the number of elements, so it is one of the offsets (P1).
    let (end, _) = O::split(unsafe { parts.item(index.wrapping_add(1)) });
    parts.data(start, end).map(|bytes| (bytes, kind))
}

impl<O: Offset> Decode for Ascii<O> {
    #[inline]
    unsafe fn decode(parts: &Parts, index: usize) -> *mut PyObject {
        // SAFETY: a column with offsets `O` that has this element: what `decode` asks is what `span` asks.
        match unsafe { span::<O>(parts, index) } {
            Some((bytes, _)) => parts.spare.ascii(bytes),
            None => raise_no_span::<O>(parts, index),
        }
    }
}

impl<O: Offset> Decode for Str<O> {
    #[inline]
    unsafe fn decode(parts: &Parts, index: usize) -> *mut PyObject {
        // SAFETY: a column with offsets `O` that has this element: what `decode` asks is what `span` asks.
        match unsafe { span::<O>(parts, index) } {
            Some((bytes, TextKind::Ascii)) => parts.spare.ascii(bytes),
            Some((bytes, kind)) => text::new(Text { kind, bytes }),
            None => raise_no_span::<O>(parts, index),
        }
    }
}

impl<O: Offset> Decode for Bytes<O> {
    #[inline]
    unsafe fn decode(parts: &Parts, index: usize) -> *mut PyObject {
        // SAFETY: a column with offsets `O` that has this element: what `decode` asks is what `span` asks.
        match unsafe { span::<O>(parts, index) } {
            Some((content, _)) => scalar::bytes(content),
            None => raise_no_span::<O>(parts, index),
        }
    }
}

impl Decode for Words {
    const LEADS_ON: bool = true;

    #[inline]
    unsafe fn decode(parts: &Parts, index: usize) -> *mut PyObject {
        // SAFETY: the parts belong to a column of this kind, as this function asks, whose items have this type, one for
        // each element (P1), and `index` is an element.
        let word = Word(unsafe { parts.item(index) });
        match word.decode() {
            Some(Decoded::Int(value)) => parts.spare.int(value),
            Some(Decoded::Float(value)) => parts.spare.float(value),
            Some(Decoded::None) => scalar::none(),
            Some(Decoded::Bool(value)) => scalar::bool_object(value),
            Some(Decoded::Str(kind, short)) => text::new(Text {
                kind,
                bytes: short.as_bytes(),
            }),
            Some(Decoded::Bytes(short)) => scalar::bytes(short.as_bytes()),
            Some(Decoded::Blob(offset)) => {
                match read_blob(parts.data(0, parts.data_len).unwrap_or_default(), offset) {
                    // SAFETY: `parts.image` is an `Image` that whoever has the parts keeps alive (P4); the thread is
                    // attached, as this function asks.
                    Ok(Scalar::Pickle(_)) => unsafe { element::pickled(parts.image, offset) },
                    Ok(value) => scalar::raw(&value),
                    Err(error) => failure::raise(error),
                }
            }
            Some(Decoded::Node(offset)) => {
                parts.expect_node(index.wrapping_add(AHEAD));
                // SAFETY: `parts.image` is an `Image` that whoever has the parts keeps alive (P4); the thread is
                // attached, as this function asks.
                unsafe { element::node(parts.image, offset) }
            }
            None => raise_corrupt(parts, index, 8, "word with an unknown tag"),
        }
    }
}

impl<D: Decode> Decode for Nullable<D> {
    #[inline]
    unsafe fn decode(parts: &Parts, index: usize) -> *mut PyObject {
        // SAFETY: `codec::of` chooses a nullable codec only where there is a bitmap, and `index` is an element, as this
        // function asks.
        if unsafe { parts.is_valid(index) } {
            // SAFETY: what this function asks is what the decoder of the elements asks.
            unsafe { D::decode(parts, index) }
        } else {
            scalar::none()
        }
    }
}

#[cold]
fn raise_no_span<O: Offset>(parts: &Parts, index: usize) -> *mut PyObject {
    let what = "offsets of an element do not lie in its data";
    raise_corrupt(parts, index, size_of::<O::Item>(), what)
}

#[cold]
fn raise_corrupt(
    parts: &Parts,
    index: usize,
    item_size: usize,
    what: &'static str,
) -> *mut PyObject {
    let offset = |image: &Bound<'_, Image>| {
        let start = image.get().bytes().as_ptr().addr();
        parts.address_of(index, item_size).wrapping_sub(start) as u64
    };
    // SAFETY: `parts.image` is the `Image` that the parts lie in, which whoever has them keeps alive (P4); decoders,
    // which alone call this, run attached to the interpreter.
    unsafe { element::with_image(parts.image, |image| Err(corrupt(offset(image), what))) }
}
