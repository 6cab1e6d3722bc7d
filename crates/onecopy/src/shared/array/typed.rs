//! `Array`: atomics as the elements of an array, for Rust programs.
#![allow(unsafe_code, reason = "elements become a slice of atomics")]

use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::atomic::{
    AtomicI8, AtomicI16, AtomicI32, AtomicI64, AtomicU8, AtomicU16, AtomicU32, AtomicU64,
};

use super::super::error::ContainerError;
use super::super::heap::Heap;
use super::super::lock::WriterLock;
use super::super::reference::Reference;
use super::memory::{create, elements, of_reference, open};
use crate::store::{Container, Store, Token};
use crate::sys::mapping::PAGE;

/// Atomics that can be the elements of an [`Array`].
///
/// # Safety
/// - An atomic integer, for which all bytes are values, aligned to a page at most.
/// - [`Element::TAG`] is different for different types, and never zeros.
pub unsafe trait Element: Send + Sync + 'static {
    /// Eight letters that name the type.
    const TAG: [u8; 8];
}

macro_rules! elements {
    ($($kind:ty = $tag:literal),+ $(,)?) => {$(
        // SAFETY: an atomic integer of the standard library: it has the size and all bit patterns of the integer, and is
        // aligned to its size. The tags below differ.
        unsafe impl Element for $kind {
            const TAG: [u8; 8] = *$tag;
        }
    )+};
}

elements! {
    AtomicU8 = b"u8      ", AtomicU16 = b"u16     ", AtomicU32 = b"u32     ", AtomicU64 = b"u64     ",
    AtomicI8 = b"i8      ", AtomicI16 = b"i16     ", AtomicI32 = b"i32     ", AtomicI64 = b"i64     ",
}

/// An array whose elements are atomics: a slice of them that all processes of a family see.
///
/// # Examples
/// ```
/// use std::sync::atomic::{AtomicI64, Ordering};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = onecopy::Store::new()?;
/// let totals = store.array::<AtomicI64>(1000)?;
/// totals[3].fetch_add(40, Ordering::Relaxed);
///
/// let token = totals.token()?; // 64 bytes, for any process
/// let same = onecopy::Array::<AtomicI64>::attach(&token)?;
/// same[3].fetch_add(2, Ordering::Relaxed);
/// assert_eq!(totals[3].load(Ordering::Relaxed), 42);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Array<T> {
    heap: Heap,
    kind: PhantomData<fn() -> Box<T>>,
}

impl<T> Clone for Array<T> {
    fn clone(&self) -> Self {
        Self {
            heap: self.heap.clone(),
            kind: PhantomData,
        }
    }
}

impl Store {
    /// Makes an array of `count` zeros.
    ///
    /// # Errors
    /// No memory for it; nothing is left behind.
    pub fn array<T: Element>(&self, count: usize) -> Result<Array<T>, ContainerError> {
        let byte_len = (count as u64).saturating_mul(size_of::<T>() as u64);
        let heap = create(self, byte_len, size_of::<T>() as u64, tag::<T>())?;
        Ok(Array {
            heap,
            kind: PhantomData,
        })
    }
}

impl<T: Element> Array<T> {
    /// Turns a token into the array, in any process of the same user.
    ///
    /// # Errors
    /// It is gone, or what the token leads to is no array of this type.
    pub fn attach(token: &Token) -> Result<Self, ContainerError> {
        Ok(Self {
            heap: open(Container::attach(token)?, tag::<T>())?,
            kind: PhantomData,
        })
    }

    /// The array that a reference is to, if it is to one.
    ///
    /// # Errors
    /// It is an array of another type.
    pub fn of_reference(reference: &Reference) -> Result<Option<Self>, ContainerError> {
        let heap = of_reference(reference, tag::<T>())?;
        let kind = PhantomData;
        Ok(heap.map(|heap| Self { heap, kind }))
    }

    /// A reference to it, to be put into a container.
    #[must_use]
    pub fn reference(&self) -> Reference {
        Reference::of_container(&self.heap.container)
    }

    /// A token for another process. It counts as an interest in the array until it is attached once.
    ///
    /// # Errors
    /// The store's table of tokens is full.
    pub fn token(&self) -> Result<Token, ContainerError> {
        Ok(self.heap.container.token()?)
    }

    /// The lock for what is more than one step. Elements can be written without it.
    #[must_use]
    pub fn lock(&self) -> WriterLock {
        WriterLock::of(&self.heap)
    }
}

impl<T: Element> Deref for Array<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        const {
            assert!(
                align_of::<T>() <= PAGE as usize,
                "elements begin with a page"
            );
        };
        let (place, byte_len) = elements(&self.heap);
        let count = byte_len.checked_div(size_of::<T>()).unwrap_or(0);
        // SAFETY: either there are no elements, of which `place` is an address that is aligned for `T` (`elements`), or `count`
        // of them fit into the bytes at `place`, which are committed and mapped, readable and writable, as long as the
        // container is held, and so as long as `self` (I1, container.rs I1 and I2). They stay mapped in a fork child that
        // could be given no hold, which may have inherited this slice: its pages there are private ones (I3). They begin
        // with a page, which suits `T` (asserted). Any bytes are values, and every access, by any process, is one of these
        // atomics (I2 and `Element`).
        unsafe { std::slice::from_raw_parts(place.as_ptr().cast::<T>(), count) }
    }
}

/// The tag of a type as a word.
fn tag<T: Element>() -> u64 {
    u64::from_le_bytes(T::TAG)
}
