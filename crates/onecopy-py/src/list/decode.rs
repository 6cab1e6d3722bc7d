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
use std::sync::atomic::{AtomicPtr, Ordering, compiler_fence};

use onecopy::image::{
    Decoded, ImageError, Items, Offsets, Scalar, Sequence, Spans, Text, TextKind, Word, read_blob,
};
use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

use super::iterator;
use crate::cpython::slot;
use crate::error::Error;
use crate::node;
use crate::object::Image;

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
        int(value.into())
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
        bool_object(value != 0)
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
            Some((bytes, _)) => ascii(bytes),
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
            Some((bytes, TextKind::Ascii)) => ascii(bytes),
            Some((bytes, kind)) => text(Text { kind, bytes }),
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
            Some((content, _)) => bytes(content),
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
            Some(Decoded::Int(value)) => int(value),
            // SAFETY: the thread is attached.
            Some(Decoded::Float(value)) => unsafe { ffi::PyFloat_FromDouble(value) },
            Some(Decoded::None) => none(),
            Some(Decoded::Bool(value)) => bool_object(value),
            Some(Decoded::Str(kind, short)) => text(Text {
                kind,
                bytes: short.as_bytes(),
            }),
            Some(Decoded::Bytes(short)) => bytes(short.as_bytes()),
            Some(Decoded::Blob(offset)) => {
                match read_blob(parts.data(0, parts.data_len).unwrap_or_default(), offset) {
                    // SAFETY: the parts' image is alive.
                    Ok(Scalar::Pickle(_)) => unsafe { node::pickled(parts.image, offset) },
                    Ok(value) => scalar(&value),
                    Err(error) => raise(error),
                }
            }
            // SAFETY: the parts' image is alive.
            Some(Decoded::Node(offset)) => unsafe { node::element(parts.image, offset) },
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
            none()
        }
    }
}

/// Ints kept in this process once one of them has been read: what most small columns are made of. `CPython` keeps those
/// from −5 to 256 itself; with these, a list of ints to a thousand is read without allocating.
const SMALL_LOW: i64 = -1024;
const SMALL_COUNT: usize = 5120;
static SMALL: [AtomicPtr<PyObject>; SMALL_COUNT] =
    [const { AtomicPtr::new(ptr::null_mut()) }; SMALL_COUNT];

/// An int as a new reference.
#[inline]
fn int(value: i64) -> *mut PyObject {
    let slot = value.wrapping_sub(SMALL_LOW).cast_unsigned();
    if slot >= SMALL_COUNT as u64 {
        // SAFETY: decoders run attached to the interpreter.
        return unsafe { ffi::PyLong_FromLongLong(value) };
    }
    let kept = &SMALL[slot as usize];
    // Relaxed: the interpreter's lock orders this load after the store that filled the slot.
    let object = kept.load(Ordering::Relaxed);
    if object.is_null() {
        keep(kept, value)
    } else {
        new_reference(object)
    }
}

#[cold]
fn keep(slot: &AtomicPtr<PyObject>, value: i64) -> *mut PyObject {
    // SAFETY: decoders run attached to the interpreter.
    let object = unsafe { ffi::PyLong_FromLongLong(value) };
    if object.is_null() {
        return object;
    }
    slot.store(object, Ordering::Relaxed);
    // The slot owns the first reference for the rest of the process.
    new_reference(object)
}

#[inline]
fn new_reference(object: *mut PyObject) -> *mut PyObject {
    // SAFETY: called with objects that live for the rest of the process, attached to the interpreter.
    unsafe { ffi::Py_INCREF(object) };
    object
}

#[inline]
fn none() -> *mut PyObject {
    // SAFETY: reads the address of a static.
    new_reference(unsafe { ffi::Py_None() })
}

#[inline]
fn bool_object(value: bool) -> *mut PyObject {
    if value {
        // SAFETY: reads the address of a static.
        new_reference(unsafe { ffi::Py_True() })
    } else {
        // SAFETY: reads the address of a static.
        new_reference(unsafe { ffi::Py_False() })
    }
}

#[inline]
fn bytes(content: &[u8]) -> *mut PyObject {
    // SAFETY: a slice's pointer and length; the thread is attached.
    unsafe { ffi::PyBytes_FromStringAndSize(content.as_ptr().cast(), content.len().cast_signed()) }
}

/// A str of ASCII characters; checked, as a str that says so wrongly would break the interpreter.
#[inline]
fn ascii(content: &[u8]) -> *mut PyObject {
    let kind = TextKind::Ascii;
    if content.len() == 1 {
        return text(Text {
            kind,
            bytes: content,
        });
    }
    // SAFETY: the thread is attached.
    let object = unsafe { ffi::PyUnicode_New(content.len().cast_signed(), 0x7f) };
    if object.is_null() {
        return object;
    }
    // SAFETY: an ASCII str has its characters right behind this head.
    let to = unsafe { object.cast::<ffi::PyASCIIObject>().add(1) }.cast::<u8>();
    // SAFETY: the str was made for this many characters, and nobody else has it; nothing is copied into the empty one.
    let copied = unsafe { copy(content, to) };
    if copied.is_ascii() {
        return object;
    }
    not_narrowest(object)
}

/// Copies bytes of the image to where no other process can change them; what counts is what has been copied (P5).
///
/// # Safety
/// - as many bytes can be written at `to`, they lie outside the image, and nobody else refers to them for now.
#[inline]
unsafe fn copy<'a>(content: &[u8], to: *mut u8) -> &'a [u8] {
    // SAFETY: the caller's word.
    unsafe { ptr::copy_nonoverlapping(content.as_ptr(), to, content.len()) };
    // So that the compiler does not take the bytes from where they were copied from.
    compiler_fence(Ordering::SeqCst);
    // SAFETY: just written.
    unsafe { std::slice::from_raw_parts(to, content.len()) }
}

/// A str of any kind; checked to be in its narrowest form, as otherwise it would not equal the same text.
fn text(content: Text<'_>) -> *mut PyObject {
    let kind = content.kind;
    if kind.width() == 1 && content.bytes.len() == 1 {
        let mut letter = 0;
        // SAFETY: one byte, of this function alone.
        let bytes = unsafe { copy(content.bytes, &raw mut letter) };
        if !(Text { kind, bytes }).is_canonical() {
            return not_narrowest(ptr::null_mut());
        }
        // SAFETY: one byte at a valid address. The interpreter has these as singletons.
        return unsafe { ffi::PyUnicode_FromKindAndData(1, bytes.as_ptr().cast(), 1) };
    }
    let widest = match kind {
        TextKind::Ascii => 0x7f,
        TextKind::Latin1 => 0xff,
        TextKind::Ucs2 => 0xffff,
        TextKind::Ucs4 => 0x0010_ffff,
    };
    // SAFETY: the thread is attached.
    let object = unsafe { ffi::PyUnicode_New(content.char_count().cast_signed(), widest) };
    if object.is_null() {
        return object;
    }
    // SAFETY: `object` is a new str.
    let to = unsafe { ffi::PyUnicode_DATA(object) }.cast::<u8>();
    // SAFETY: the str was made for as many characters of this width, and nobody else has it; nothing is copied into the
    // empty one.
    let bytes = unsafe { copy(content.bytes, to) };
    if (Text { kind, bytes }).is_canonical() {
        return object;
    }
    not_narrowest(object)
}

/// Raises for text that is not what it is marked as, and releases the str that was made of it.
#[cold]
fn not_narrowest(made: *mut PyObject) -> *mut PyObject {
    // SAFETY: null, or a reference of the caller's; a str is released without a look at its characters.
    unsafe { ffi::Py_XDECREF(made) };
    raise(ImageError::Corrupt {
        offset: 0,
        what: "text is not in its narrowest form",
    })
}

/// The object of a value that came from a blob.
pub(crate) fn scalar(value: &Scalar<'_>) -> *mut PyObject {
    match *value {
        Scalar::None => none(),
        Scalar::Bool(value) => bool_object(value),
        Scalar::Int(value) => int(value),
        // SAFETY: the thread is attached.
        Scalar::Uint(value) => unsafe { ffi::PyLong_FromUnsignedLongLong(value) },
        Scalar::Big(content) => big(content),
        // SAFETY: the thread is attached.
        Scalar::Float(value) => unsafe { ffi::PyFloat_FromDouble(value) },
        Scalar::Str(content) => text(content),
        Scalar::Bytes(content) => bytes(content),
        // SAFETY: the thread is attached.
        Scalar::Complex(real, imaginary) => unsafe { ffi::PyComplex_FromDoubles(real, imaginary) },
        Scalar::Pickle(_) | Scalar::Class(_) => raise(ImageError::Corrupt {
            offset: 0,
            what: "a pickle or class where a value was expected",
        }),
    }
}

/// An int past 64 bits, from two's complement.
fn big(content: &[u8]) -> *mut PyObject {
    // The interpreter goes through the bytes more than once (P5).
    let content = content.to_vec();
    let start = content.as_ptr();
    #[cfg(Py_3_13)]
    // SAFETY: a vector's pointer and length; the thread is attached.
    return unsafe {
        let flags = ffi::Py_ASNATIVEBYTES_LITTLE_ENDIAN;
        ffi::PyLong_FromNativeBytes(start.cast(), content.len(), flags)
    };
    #[cfg(not(Py_3_13))]
    // SAFETY: a vector's pointer and length, little-endian and with a sign; the thread is attached.
    return unsafe { ffi::_PyLong_FromByteArray(start, content.len(), 1, 1) };
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
    unsafe { node::with_image(parts.image, |image| Err(node::corrupt(offset(image), what))) }
}

#[cold]
fn raise(error: ImageError) -> *mut PyObject {
    // SAFETY: decoders run attached to the interpreter.
    unsafe { slot::enter(|_| Err(Error::from(error).into())) }
}
