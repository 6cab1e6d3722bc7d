//! From an image's column to Python objects: one decoder per column kind, chosen once per view.
//!
//! A [`Codec`] holds what is specialised for its kind: the getter behind `view[i]`, the loop behind `list(view)` and the
//! step of the iterator. None of them dispatches on anything per element.
//!
//! **Invariants** of [`Parts`], established by [`Parts::of`] from a resolved `Sequence` and relied on below. `P1`:
//! `items` points to as many items of the codec's type as the sequence has elements (offsets: one more), aligned. `P2`:
//! `validity` has a bit for each element if the codec looks at it. `P3`: `data` can be read for `data_len` bytes. `P4`:
//! all of it stays where it is as long as the image beside it lives. It is published and nobody should write to it, but
//! another process of the user could. `P5`: so no decoder relies on what the bytes are. A number is loaded once; text and
//! digits are copied, and the copy is checked.
#![allow(unsafe_code)] // The hot path of every view: bounds were proved when the image was resolved.

use std::marker::PhantomData;
use std::ptr;

use onecopy::image::{
    Decoded, Items, Offsets, Scalar, Sequence, Spans, Text, TextKind, Word, read_blob,
};
use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

use super::iterator;
use crate::error::corrupt;
use crate::image::{Image, element};
use crate::value::{scalar, text};

/// Where the elements of an image lie in this process.
#[derive(Clone, Copy)]
pub(crate) struct Parts {
    pub(crate) items: *const u8,
    validity: *const u8,
    data: *const u8,
    data_len: usize,
    /// The `Image` that all of it lies in, kept alive by whoever has the parts.
    image: *mut PyObject,
}

// SAFETY: the pointers lead to memory that this process only reads (P4).
unsafe impl Send for Parts {}
// SAFETY: the pointers lead to memory that this process only reads (P4).
unsafe impl Sync for Parts {}

/// Which elements of an image, in which order: element `i` of the view is element `start + i * step` of the image.
///
/// **Invariant.** `S1`: that lies in the image for every `i < len`.
#[derive(Clone, Copy)]
pub(crate) struct Steps {
    pub(crate) start: isize,
    pub(crate) step: isize,
    pub(crate) len: usize,
}

impl Steps {
    /// Checks that the steps stay inside a sequence of `count` elements.
    pub(crate) fn checked(start: isize, step: isize, len: usize, count: usize) -> Option<Self> {
        let inside = |at: isize| usize::try_from(at).is_ok_and(|at| at < count);
        let steps = Self { start, step, len };
        if len == 0 {
            return Some(Self {
                start: 0,
                step: 1,
                len: 0,
            });
        }
        let last = isize::try_from(len - 1)
            .ok()?
            .checked_mul(step)?
            .checked_add(start)?;
        (inside(start) && inside(last)).then_some(steps)
    }

    /// The image's index of element `index`, which must be below `len`.
    #[inline]
    pub(crate) fn at(&self, index: usize) -> usize {
        // By S1 this does not wrap.
        self.start
            .wrapping_add(index.cast_signed().wrapping_mul(self.step))
            .cast_unsigned()
    }

    /// The image's index of an element counted from the front, or from the end if negative.
    #[inline]
    pub(crate) fn position(&self, index: isize) -> Option<usize> {
        let from_front = if index < 0 {
            index.wrapping_add(self.len.cast_signed())
        } else {
            index
        };
        let index = from_front.cast_unsigned();
        (index < self.len).then(|| self.at(index))
    }

    /// Elements of these: `len` of them from `start` on, `step` apart, all of which exist.
    pub(crate) fn slice(&self, start: isize, step: isize, len: usize) -> Self {
        let (start, step) = match len {
            0 => (0, 1),
            // A single element may come with any step, which would overflow.
            1 => (self.at(start.unsigned_abs()).cast_signed(), 1),
            _ => (
                self.at(start.unsigned_abs()).cast_signed(),
                self.step * step,
            ),
        };
        Self { start, step, len }
    }

    /// The same elements from the last to the first.
    pub(crate) fn reversed(&self) -> Self {
        if self.len == 0 {
            return *self;
        }
        let start = self.at(self.len - 1).cast_signed();
        Self {
            start,
            step: self.step.wrapping_neg(),
            len: self.len,
        }
    }
}

/// Makes the object of one element.
pub(crate) type Getter = unsafe fn(&Parts, usize) -> *mut PyObject;
/// Makes the objects of all elements of a view, into memory for as many pointers; says how many it made.
pub(crate) type Filler = unsafe fn(&Parts, &Steps, *mut *mut PyObject) -> usize;

/// What is specialised for a kind of column.
pub(crate) struct Codec {
    pub(crate) get: Getter,
    pub(crate) fill: Filler,
    pub(crate) next: ffi::iternextfunc,
    pub(crate) iterator: PyOnceLock<Py<PyType>>,
    /// Whether elements may be containers or pickled objects.
    leads_on: bool,
}

impl Codec {
    /// Whether elements may be containers or pickled objects.
    pub(crate) const fn leads_on(&self) -> bool {
        self.leads_on
    }
}

trait Decode {
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

unsafe fn fill<D: Decode>(parts: &Parts, steps: &Steps, out: *mut *mut PyObject) -> usize {
    for index in 0..steps.len {
        // SAFETY: `index` is below `len`, so `at` is an element of the image (S1); the caller vouches for the parts.
        let object = unsafe { D::decode(parts, steps.at(index)) };
        if object.is_null() {
            return index;
        }
        // SAFETY: the caller gave memory for `len` pointers.
        let slot = unsafe { out.add(index) };
        // SAFETY: as above.
        unsafe { slot.write(object) };
    }
    steps.len
}

unsafe extern "C" fn next<D: Decode>(iterator: *mut PyObject) -> *mut PyObject {
    // SAFETY: the interpreter calls this slot with an object of the type that has it.
    let Some((parts, at)) = (unsafe { iterator::advance(iterator) }) else {
        return ptr::null_mut();
    };
    // SAFETY: an iterator's parts and positions come from a view (P1 to P4, S1), which it holds.
    unsafe { D::decode(parts, at) }
}

macro_rules! codec {
    ($kind:ty) => {{
        static CODEC: Codec = Codec {
            get: <$kind as Decode>::decode,
            fill: fill::<$kind>,
            next: next::<$kind>,
            iterator: PyOnceLock::new(),
            leads_on: <$kind as Decode>::LEADS_ON,
        };
        &CODEC
    }};
}

/// Two codecs, without and with `None`; which one, the sequence says.
macro_rules! codecs {
    ($sequence:expr, $kind:ty) => {
        if $sequence.validity().is_some() {
            codec!(Nullable<$kind>)
        } else {
            codec!($kind)
        }
    };
}

impl Parts {
    /// The parts of a resolved sequence and the codec for its column.
    pub(crate) fn of(image: &Bound<'_, Image>, sequence: &Sequence<'_>) -> (Self, &'static Codec) {
        let none: &[u8] = &[];
        let plain = |items: *const u8| (items, none);
        let spans = |spans: &Spans<'_>| match spans.offsets {
            Offsets::Narrow(offsets) => offsets.as_ptr().cast::<u8>(),
            Offsets::Wide(offsets) => offsets.as_ptr().cast(),
        };
        let s = sequence;
        let ((items, data), codec) = match sequence.items() {
            Items::I8(items) => (plain(items.as_ptr().cast()), codecs!(s, Int<i8>)),
            Items::I16(items) => (plain(items.as_ptr().cast()), codecs!(s, Int<i16>)),
            Items::I32(items) => (plain(items.as_ptr().cast()), codecs!(s, Int<i32>)),
            Items::I64(items) => (plain(items.as_ptr().cast()), codecs!(s, Int<i64>)),
            Items::U64(items) => (plain(items.as_ptr().cast()), codecs!(s, Uint)),
            Items::F64(items) => (plain(items.as_ptr().cast()), codecs!(s, Float)),
            Items::Bool(items) => (plain(items.as_ptr()), codecs!(s, Bool)),
            Items::Str(column) => (
                (spans(&column), column.data),
                match (column.offsets, column.ascii) {
                    (Offsets::Narrow(_), true) => codecs!(s, Ascii<Narrow>),
                    (Offsets::Narrow(_), false) => codecs!(s, Str<Narrow>),
                    (Offsets::Wide(_), true) => codecs!(s, Ascii<Wide>),
                    (Offsets::Wide(_), false) => codecs!(s, Str<Wide>),
                },
            ),
            Items::Bytes(column) => (
                (spans(&column), column.data),
                match column.offsets {
                    Offsets::Narrow(_) => codecs!(s, Bytes<Narrow>),
                    Offsets::Wide(_) => codecs!(s, Bytes<Wide>),
                },
            ),
            Items::Words(column) => ((column.words.as_ptr().cast(), column.image), codec!(Words)),
        };
        let validity = sequence.validity().map_or(ptr::null(), <[u8]>::as_ptr);
        (
            Self {
                items,
                validity,
                data: data.as_ptr(),
                data_len: data.len(),
                image: image.as_ptr(),
            },
            codec,
        )
    }

    /// Item `index` of the first section.
    ///
    /// # Safety
    /// - the section holds items of type `T`, at least `index + 1` of them (P1).
    #[inline]
    unsafe fn item<T: Copy>(&self, index: usize) -> T {
        // SAFETY: inside the section, by the caller's word.
        let at = unsafe { self.items.cast::<T>().add(index) };
        // SAFETY: aligned and readable (P1). Volatile: loaded once, so that what is checked is what is used (P5).
        unsafe { at.read_volatile() }
    }

    /// Whether element `index` is something else than `None`.
    ///
    /// # Safety
    /// - there is a validity bitmap, and `index` is below the number of elements (P2).
    #[inline]
    unsafe fn is_valid(&self, index: usize) -> bool {
        // SAFETY: the bitmap has a bit for every element (P2).
        let at = unsafe { self.validity.add(index >> 3) };
        // SAFETY: the byte at `at` can be read as long as the image is there (P4).
        let byte = unsafe { at.read_volatile() };
        byte & (1 << (index & 7)) != 0
    }

    /// The bytes from `start` to `end` of the data, or `None` if they do not lie there.
    #[inline]
    fn data(&self, start: usize, end: usize) -> Option<&[u8]> {
        // SAFETY: the data can be read for `data_len` bytes (P3) as long as the image is there (P4).
        let data = unsafe { std::slice::from_raw_parts(self.data, self.data_len) };
        data.get(start..end)
    }
}

/// Ints of a width below `i64` or of it.
struct Int<T>(PhantomData<T>);
/// Ints of 64 bits without sign.
struct Uint;
/// Floats.
struct Float;
/// Bools.
struct Bool;
/// Text that is all ASCII.
struct Ascii<O>(PhantomData<O>);
/// Text of any kind.
struct Str<O>(PhantomData<O>);
/// Bytes.
struct Bytes<O>(PhantomData<O>);
/// Mixtures.
struct Words;
/// Any of these with `None` among them.
struct Nullable<D>(PhantomData<D>);

impl<T: Copy + Into<i64>> Decode for Int<T> {
    #[inline]
    unsafe fn decode(parts: &Parts, index: usize) -> *mut PyObject {
        // SAFETY: the caller's word is P1 for items of this type.
        let value: T = unsafe { parts.item(index) };
        scalar::int(value.into())
    }
}

impl Decode for Uint {
    #[inline]
    unsafe fn decode(parts: &Parts, index: usize) -> *mut PyObject {
        // SAFETY: the caller's word is P1 for items of this type.
        let value: u64 = unsafe { parts.item(index) };
        // SAFETY: the thread is attached.
        unsafe { ffi::PyLong_FromUnsignedLongLong(value) }
    }
}

impl Decode for Float {
    #[inline]
    unsafe fn decode(parts: &Parts, index: usize) -> *mut PyObject {
        // SAFETY: the caller's word is P1 for items of this type.
        let value: f64 = unsafe { parts.item(index) };
        // SAFETY: the thread is attached.
        unsafe { ffi::PyFloat_FromDouble(value) }
    }
}

impl Decode for Bool {
    #[inline]
    unsafe fn decode(parts: &Parts, index: usize) -> *mut PyObject {
        // SAFETY: the caller's word is P1 for items of this type.
        let value: u8 = unsafe { parts.item(index) };
        scalar::bool_object(value != 0)
    }
}

/// Offsets of 4 or 8 bytes; the top two bits carry the kind of text.
trait Offset {
    type Item: Copy;
    fn split(item: Self::Item) -> (usize, TextKind);
}

struct Narrow;
struct Wide;

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
    // SAFETY: there is one offset more than elements (P1).
    let (start, kind) = O::split(unsafe { parts.item(index) });
    // SAFETY: as above; `index + 1` is at most the number of elements.
    let (end, _) = O::split(unsafe { parts.item(index.wrapping_add(1)) });
    parts.data(start, end).map(|bytes| (bytes, kind))
}

impl<O: Offset> Decode for Ascii<O> {
    #[inline]
    unsafe fn decode(parts: &Parts, index: usize) -> *mut PyObject {
        // SAFETY: the caller's word.
        match unsafe { span::<O>(parts, index) } {
            Some((bytes, _)) => text::ascii(bytes),
            None => raise_corrupt(
                parts,
                index,
                size_of::<O::Item>(),
                "offsets of an element do not lie in its data",
            ),
        }
    }
}

impl<O: Offset> Decode for Str<O> {
    #[inline]
    unsafe fn decode(parts: &Parts, index: usize) -> *mut PyObject {
        // SAFETY: the caller's word.
        match unsafe { span::<O>(parts, index) } {
            Some((bytes, TextKind::Ascii)) => text::ascii(bytes),
            Some((bytes, kind)) => text::new(Text { kind, bytes }),
            None => raise_corrupt(
                parts,
                index,
                size_of::<O::Item>(),
                "offsets of an element do not lie in its data",
            ),
        }
    }
}

impl<O: Offset> Decode for Bytes<O> {
    #[inline]
    unsafe fn decode(parts: &Parts, index: usize) -> *mut PyObject {
        // SAFETY: the caller's word.
        match unsafe { span::<O>(parts, index) } {
            Some((content, _)) => scalar::bytes(content),
            None => raise_corrupt(
                parts,
                index,
                size_of::<O::Item>(),
                "offsets of an element do not lie in its data",
            ),
        }
    }
}

impl Decode for Words {
    const LEADS_ON: bool = true;

    #[inline]
    unsafe fn decode(parts: &Parts, index: usize) -> *mut PyObject {
        // SAFETY: the caller's word is P1 for items of this type.
        let word = Word(unsafe { parts.item(index) });
        match word.decode() {
            Some(Decoded::Int(value)) => scalar::int(value),
            // SAFETY: the thread is attached.
            Some(Decoded::Float(value)) => unsafe { ffi::PyFloat_FromDouble(value) },
            Some(Decoded::None) => scalar::none(),
            Some(Decoded::Bool(value)) => scalar::bool_object(value),
            Some(Decoded::Str(kind, short)) => text::new(Text {
                kind,
                bytes: short.as_bytes(),
            }),
            Some(Decoded::Bytes(short)) => scalar::bytes(short.as_bytes()),
            Some(Decoded::Blob(offset)) => {
                match read_blob(parts.data(0, parts.data_len).unwrap_or_default(), offset) {
                    // SAFETY: the parts' image is alive.
                    Ok(Scalar::Pickle(_)) => unsafe { element::pickled(parts.image, offset) },
                    Ok(value) => scalar::raw(&value),
                    Err(error) => scalar::raise(error),
                }
            }
            // SAFETY: the parts' image is alive.
            Some(Decoded::Node(offset)) => unsafe { element::node(parts.image, offset) },
            None => raise_corrupt(parts, index, 8, "word with an unknown tag"),
        }
    }
}

impl<D: Decode> Decode for Nullable<D> {
    #[inline]
    unsafe fn decode(parts: &Parts, index: usize) -> *mut PyObject {
        // SAFETY: nullable codecs are chosen only where there is a bitmap (P2).
        if unsafe { parts.is_valid(index) } {
            // SAFETY: the caller's word.
            unsafe { D::decode(parts, index) }
        } else {
            scalar::none()
        }
    }
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
        let items = parts.items.addr().wrapping_sub(start);
        items.wrapping_add(index.wrapping_mul(item_size)) as u64
    };
    // SAFETY: whoever has the parts keeps their image alive; decoders run attached to the interpreter.
    unsafe { element::with_image(parts.image, |image| Err(corrupt(offset(image), what))) }
}
