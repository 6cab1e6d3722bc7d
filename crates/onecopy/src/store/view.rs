//! Typed slices over objects, for Rust programs.
//!
//! ```text
//! object bytes:  {u64 "ONESLICE" | u64 size of T | u64 align of T | u64 type tag | values, 64-byte aligned}
//! ```
#![allow(unsafe_code, reason = "bytes of an object become a slice of T")]

use std::marker::PhantomData;
use std::ops::Deref;

use super::building::Building;
use super::object::Object;
use super::token::Token;
use crate::error::{AccessError, AllocateError, AttachError};

/// Types whose bytes mean the same in every process.
///
/// # Safety
/// - Fixed layout, no pointers, no padding, no interior mutability.
/// - Every bit pattern is a valid value.
/// - [`Portable::TAG`] is different for types whose bytes mean different things.
pub unsafe trait Portable: Copy + Send + Sync + 'static {
    /// Eight letters that name the type.
    const TAG: [u8; 8];
}

macro_rules! portable {
    ($($kind:ty = $tag:literal),+ $(,)?) => {$(
        // SAFETY: a primitive number: of the size in its name, without padding or pointers, all bit patterns valid; the
        // tags below differ.
        unsafe impl Portable for $kind {
            const TAG: [u8; 8] = *$tag;
        }
    )+};
}

portable! {
    u8 = b"u8      ", u16 = b"u16     ", u32 = b"u32     ", u64 = b"u64     ", u128 = b"u128    ",
    i8 = b"i8      ", i16 = b"i16     ", i32 = b"i32     ", i64 = b"i64     ", i128 = b"i128    ",
    f32 = b"f32     ", f64 = b"f64     ",
}

const MAGIC: [u8; 8] = *b"ONESLICE";
/// Values begin here: a cache line, which suits every primitive's alignment.
const VALUES: usize = 64;

/// A read-only slice in a store, the same memory in every process that has it.
pub struct View<T: ?Sized> {
    object: Object,
    kind: PhantomData<fn() -> Box<T>>,
}

impl<T: ?Sized> Clone for View<T> {
    fn clone(&self) -> Self {
        Self {
            object: self.object.clone(),
            kind: PhantomData,
        }
    }
}

impl<T: Portable> View<[T]> {
    pub(crate) fn share(
        values: &[T],
        allocate: impl FnOnce(usize) -> Result<Building, AllocateError>,
    ) -> Result<Self, AllocateError> {
        const { assert!(align_of::<T>() <= VALUES, "values are aligned to 64 bytes") };
        let bytes = size_of_val(values);
        // A slice has at most isize::MAX bytes, so the sum cannot overflow a usize.
        let mut building = allocate(bytes.saturating_add(VALUES))?;
        let (header, rest) = building.as_mut_slice().split_at_mut(VALUES);
        let fields = [MAGIC, size_bytes::<T>(), align_bytes::<T>(), T::TAG];
        for (target, source) in header.iter_mut().zip(fields.iter().flatten()) {
            *target = *source;
        }
        // SAFETY: `bytes` is the size of `values`, which are borrowed for as long; `T` is Portable, without padding, so
        // each of these bytes is initialised, and without interior mutability, so none changes.
        let source = unsafe { std::slice::from_raw_parts(values.as_ptr().cast::<u8>(), bytes) };
        rest.copy_from_slice(source);
        let object = building.publish()?;
        Ok(Self {
            object,
            kind: PhantomData,
        })
    }

    /// Attaches the slice behind a token.
    ///
    /// # Errors
    /// [`AttachError::WrongType`] if the object is not a slice of `T`; see [`Object::attach`].
    pub fn attach(token: &Token) -> Result<Self, AttachError> {
        Self::from_object(Object::attach(token)?)
    }

    /// Reads an object as a slice of `T`.
    ///
    /// # Errors
    /// [`AttachError::WrongType`] if it is something else.
    pub fn from_object(object: Object) -> Result<Self, AttachError> {
        let wrong = |what: String| AttachError::WrongType {
            expected: "a slice of this type",
            what,
        };
        let bytes = object.bytes();
        let Some((header, values)) = bytes.split_at_checked(VALUES) else {
            return Err(wrong(format!("an object of {} bytes", bytes.len())));
        };
        let fields = header.as_chunks::<8>().0;
        if fields.first() != Some(&MAGIC) {
            return Err(wrong("not a slice shared from Rust".to_owned()));
        }
        let expected = [size_bytes::<T>(), align_bytes::<T>(), T::TAG];
        if fields.get(1..4) != Some(expected.as_slice()) {
            let tag = fields.get(3).copied().unwrap_or_default();
            return Err(wrong(format!(
                "a slice of {}",
                String::from_utf8_lossy(&tag).trim_end()
            )));
        }
        if values
            .len()
            .checked_rem(size_of::<T>())
            .is_some_and(|rest| rest != 0)
        {
            return Err(wrong("a slice that is cut off".to_owned()));
        }
        Ok(Self {
            object,
            kind: PhantomData,
        })
    }
}

fn size_bytes<T>() -> [u8; 8] {
    (size_of::<T>() as u64).to_le_bytes()
}

fn align_bytes<T>() -> [u8; 8] {
    (align_of::<T>() as u64).to_le_bytes()
}

impl<T: ?Sized> View<T> {
    /// The object behind the view.
    #[must_use]
    pub fn object(&self) -> &Object {
        &self.object
    }

    /// A token for another process; see [`Object::token`].
    pub fn token(&self) -> Result<Token, AccessError> {
        self.object.token()
    }
}

impl<T: Portable> Deref for View<[T]> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        let values = self.object.bytes().get(VALUES..).unwrap_or_default();
        let len = values.len().checked_div(size_of::<T>()).unwrap_or(0);
        // SAFETY: `len` values of this size fit into the bytes, which are borrowed from the object and never change as
        // long as it is held (object.rs I2). An object begins with a span, 64 KiB aligned in a mapping that is so too,
        // so the values are aligned to 64, which suits `T` (asserted in `share`, and compared in `from_object`). Any
        // bytes are values, as `T` is Portable.
        unsafe { std::slice::from_raw_parts(values.as_ptr().cast::<T>(), len) }
    }
}

impl<T: Portable + std::fmt::Debug> std::fmt::Debug for View<[T]> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(&**self, formatter)
    }
}
