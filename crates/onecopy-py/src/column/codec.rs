//! What is specialised for a kind of column, chosen once per view: the getter behind `view[i]`, the loop behind
//! `list(view)` and the step of the iterator. None of them dispatches on anything per element.
#![allow(
    unsafe_code,
    reason = "the hot path of every view: its bounds were proved when the image was resolved"
)]

use std::ptr;

use onecopy::image::{Items, Offsets, Sequence, Spans};
use pyo3::ffi::PyObject;
use pyo3::prelude::*;

use super::decode::{
    Ascii, Bool, Bytes, Decode, Float, Format, Int, Narrow, Nullable, Str, Uint, Wide, Words,
};
use super::iterator::{self, IteratorType};
use super::parts::Parts;
use super::spare::Spare;
use super::steps::Steps;
use crate::image::Image;

/// Makes the object of one element.
pub(crate) type Getter = unsafe fn(&Parts, usize) -> *mut PyObject;
/// Makes the objects of all elements of a view, into memory for as many pointers; says how many it made.
pub(crate) type Filler = unsafe fn(&Parts, &Steps, *mut *mut PyObject) -> usize;

/// What is specialised for a kind of column.
pub(crate) struct Codec {
    pub(crate) get: Getter,
    pub(crate) fill: Filler,
    pub(crate) iterator: IteratorType,
    /// Whether elements may be containers or pickled objects.
    leads_on: bool,
    format: Option<Format>,
}

impl Codec {
    /// How the elements lie, if they are numbers that can be handed out.
    pub(crate) const fn format(&self) -> Option<Format> {
        self.format
    }

    /// Whether elements may be containers or pickled objects.
    pub(crate) const fn leads_on(&self) -> bool {
        self.leads_on
    }
}

/// # Safety
/// - `parts` belong to a column of this kind and hold (P1 to P4), and `steps` stay inside it (S1);
/// - `out` has room for as many pointers as there are steps, and is nobody else's for now;
/// - the thread is attached to the interpreter.
unsafe fn fill<D: Decode>(parts: &Parts, steps: &Steps, out: *mut *mut PyObject) -> usize {
    for index in 0..steps.len {
        // SAFETY: `index` is below `len`, so `steps.at(index)` is an element (S1); the parts hold for a column of this
        // kind, and the thread is attached, as this function asks.
        let object = unsafe { D::decode(parts, steps.at(index)) };
        if object.is_null() {
            return index;
        }
        // SAFETY: `index` is below `len`, and there is memory for `len` pointers at `out`, as this function asks.
        let slot = unsafe { out.add(index) };
        // SAFETY: inside that memory, which nobody else uses now, as this function asks.
        unsafe { slot.write(object) };
    }
    steps.len
}

unsafe extern "C" fn next<D: Decode>(iterator: *mut PyObject) -> *mut PyObject {
    // SAFETY: the interpreter calls this slot, which only types of `iterator.rs` have, attached and with an object of
    // one of them, which it holds until the slot returns.
    let Some((parts, at)) = (unsafe { iterator::advance(iterator) }) else {
        return ptr::null_mut();
    };
    // SAFETY: the type that has this slot stands beside `D` in one `CODEC`, so the iterator's parts are those of a
    // column of this kind, and hold as long as it has its view (T1 of `iterator`), which it still has: `at` is an
    // element (T2). Attached.
    unsafe { D::decode(parts, at) }
}

macro_rules! codec {
    ($kind:ty) => {{
        static CODEC: Codec = Codec {
            get: <$kind as Decode>::decode,
            fill: fill::<$kind>,
            iterator: IteratorType::new(next::<$kind>),
            leads_on: <$kind as Decode>::LEADS_ON,
            format: <$kind as Decode>::FORMAT,
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

/// The parts of a resolved sequence and the codec for its column.
pub(crate) fn of(image: &Bound<'_, Image>, sequence: &Sequence<'_>) -> (Parts, &'static Codec) {
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
        Parts {
            items,
            validity,
            data: data.as_ptr(),
            data_len: data.len(),
            image: image.as_ptr(),
            spare: Spare::new(),
        },
        codec,
    )
}
