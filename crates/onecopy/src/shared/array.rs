//! Arrays: elements in one piece, which all processes read and write where they lie.
//!
//! ```text
//! own run of spans:   head, one page (layout.rs)  |  elements
//! root 3: bytes of an element, for reports        root 4: the type of the elements of a Rust array, 0 of any other
//! from 1024 on, of any other: bytes of a description, and the description
//! ```
//! An array has no heap and no record: an element is one store of its own width, done or not begun. What belongs
//! together is written under the lock, and a writer that dies in it leaves what it had written.
//!
//! **Invariants.** `I1`: a container of this kind is as long as its head and its elements together, all of it committed, and
//! neither grows nor moves. `I3`: in a fork child that could be given no holds (container.rs I3) it has no elements, and who
//! had their addresses before the fork writes to private pages. `I2`: a Rust array's elements are accessed as its atomics and in no other width, by every
//! process: its type stands in its head, and only the same type attaches. Those of any other array are written by code that
//! this crate knows nothing of; here they are accessed as whole words.
//!
//! **Crash points.** A writer that dies while it makes an array leaves a container that it alone held.
#![allow(unsafe_code, reason = "elements become a slice of atomics")]

use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::atomic::{
    AtomicI8, AtomicI16, AtomicI32, AtomicI64, AtomicU8, AtomicU16, AtomicU32, AtomicU64,
};

use super::error::ContainerError;
use super::head::Inside;
use super::heap::Heap;
use super::layout::{RECORD, ROOT3, ROOT4};
use super::lock::WriterLock;
use super::reference::Reference;
use crate::error::AttachError;
use crate::store::{Container, Store, Token};
use crate::sys::mapping::PAGE;

/// What the store calls this kind of container.
pub(crate) const KIND: u8 = 4;
/// Where the elements begin, from the head on: a page, which suits every alignment.
const ELEMENTS: u64 = PAGE;
/// Bytes of an element.
pub(crate) const ITEM_BYTES: u64 = ROOT3;
const TYPE: u64 = ROOT4;
/// What whoever made the array says of its elements: its bytes, and then these.
const DESCRIPTION: u64 = RECORD;
/// The longest description.
const DESCRIPTION_MOST: usize = (PAGE - DESCRIPTION - 8) as usize;

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

fn create(
    store: &Store,
    byte_len: u64,
    item_bytes: u64,
    kind: u64,
) -> Result<Heap, ContainerError> {
    let heap = Heap::create_empty(
        store,
        KIND,
        byte_len.saturating_add(ELEMENTS),
        Inside::without_blocks(no_word),
    )?;
    heap.top.store(ITEM_BYTES, item_bytes);
    heap.top.store(TYPE, kind);
    Ok(heap)
}

fn open(container: Container, kind: u64) -> Result<Heap, ContainerError> {
    let heap = Heap::open(
        container,
        |found| found == KIND,
        Inside::without_blocks(no_word),
    )?;
    let len = heap.container.len();
    if len < ELEMENTS || heap.words.place(heap.head, len).is_none() {
        return Err(heap.corrupt(heap.head, "an array that is cut off").into());
    }
    let found = heap.top.relaxed(TYPE);
    if found == kind {
        return Ok(heap);
    }
    let what = match found {
        0 => "an array that is no Rust array".to_owned(),
        _ => format!(
            "an array of {}",
            String::from_utf8_lossy(&found.to_le_bytes()).trim_end()
        ),
    };
    let expected = "an array of this type";
    Err(AttachError::WrongType { expected, what }.into())
}

fn of_reference(reference: &Reference, kind: u64) -> Result<Option<Heap>, ContainerError> {
    let container = reference.container();
    let container = container.filter(|container| container.kind() == KIND);
    container
        .map(|container| open(container.clone(), kind))
        .transpose()
}

#[allow(
    clippy::unnecessary_wraps,
    reason = "as of containers of many words, which may be damaged"
)]
fn no_word(_: &Heap, _: &mut dyn FnMut(u64)) -> Result<(), ContainerError> {
    Ok(())
}

/// Where the elements lie, and their bytes: none, at the area's beginning, in a process where nothing keeps them.
fn elements(heap: &Heap) -> (NonNull<u8>, usize) {
    let byte_len = if heap.container.is_void() {
        0
    } else {
        byte_len(heap)
    };
    let place = heap.words.place(heap.head + ELEMENTS, byte_len);
    // An array's run is within the area, as was found out when it was made or attached.
    place.map_or((heap.words.start(), 0), |place| (place, byte_len as usize))
}

/// Elements of an array whose container is `len` bytes long and says that each has `item_bytes`.
pub(crate) fn count(len: u64, item_bytes: u64) -> u64 {
    let bytes = len.saturating_sub(ELEMENTS);
    bytes.checked_div(item_bytes).unwrap_or(0)
}

/// Bytes of all elements.
fn byte_len(heap: &Heap) -> u64 {
    heap.container.len().saturating_sub(ELEMENTS)
}

/// What the bytes of an element of a [`RawArray`] mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Number {
    /// A signed integer of so many bytes.
    Signed(u8),
    /// An unsigned one.
    Unsigned(u8),
    /// A float of 4 or 8 bytes.
    Float(u8),
}

/// What came of adding to an element.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sum {
    /// The element is this integer now.
    Int(i128),
    /// The element is this float now.
    Float(f64),
    /// The sum is no value of the element's type; nothing has happened.
    TooLarge,
    /// No such element lies there: beyond the end, or across a boundary of its own size.
    NoElement,
}

/// An array whose elements other code, `NumPy` for instance, reads and writes as it likes.
#[derive(Debug, Clone)]
pub struct RawArray {
    heap: Heap,
}

impl RawArray {
    /// Makes an array of `byte_len` zeros. `item_bytes` is said in reports.
    ///
    /// # Errors
    /// No memory for it; nothing is left behind.
    pub fn create(store: &Store, byte_len: u64, item_bytes: u64) -> Result<Self, ContainerError> {
        Ok(Self {
            heap: create(store, byte_len, item_bytes, 0)?,
        })
    }

    /// Writes down what the elements are, for whoever comes to the array by a reference. Nobody else knows the array yet.
    /// One that is too long is not kept.
    pub fn describe(&self, description: &[u8]) {
        if description.len() <= DESCRIPTION_MOST {
            let at = self.heap.head + DESCRIPTION;
            self.heap.words.fill(at + 8, description);
            self.heap.words.store(at, description.len() as u64);
        }
    }

    /// What the elements are; nothing if it was not said.
    #[must_use]
    pub fn description(&self) -> Vec<u8> {
        let at = self.heap.head + DESCRIPTION;
        let len = (self.heap.words.acquire(at) as usize).min(DESCRIPTION_MOST);
        let words =
            (0..len.div_ceil(8) as u64).map(|nth| self.heap.words.relaxed(at + 8 + 8 * nth));
        let mut bytes: Vec<u8> = words.flat_map(u64::to_le_bytes).collect();
        bytes.truncate(len);
        bytes
    }

    /// The array that a reference is to.
    ///
    /// # Errors
    /// It is damaged, or an array of atomics.
    pub fn of_reference(reference: &Reference) -> Result<Option<Self>, ContainerError> {
        Ok(of_reference(reference, 0)?.map(|heap| Self { heap }))
    }

    /// A reference to it, to be put into a container.
    #[must_use]
    pub fn reference(&self) -> Reference {
        Reference::of_container(&self.heap.container)
    }

    /// Turns a token into the array, in any process of the same user.
    ///
    /// # Errors
    /// It is gone, or what the token leads to is no such array.
    pub fn attach(token: &Token) -> Result<Self, ContainerError> {
        Ok(Self {
            heap: open(Container::attach(token)?, 0)?,
        })
    }

    /// A token for another process. It counts as an interest in the array until it is attached once.
    ///
    /// # Errors
    /// The store's table of tokens is full.
    pub fn token(&self) -> Result<Token, ContainerError> {
        Ok(self.heap.container.token()?)
    }

    /// The lock for what is more than one step.
    #[must_use]
    pub fn writer_lock(&self) -> WriterLock {
        WriterLock::of(&self.heap)
    }

    /// Where the elements begin in this process. They stay there, readable and writable, as long as the value lives.
    ///
    /// # Errors
    /// This process could be given no hold when it was forked, here and below.
    pub fn address(&self) -> Result<NonNull<u8>, ContainerError> {
        self.heap.container.check_held()?;
        Ok(elements(&self.heap).0)
    }

    /// Bytes of all elements.
    #[must_use]
    pub fn byte_len(&self) -> u64 {
        byte_len(&self.heap)
    }

    /// Adds to the element at a byte in one step.
    ///
    /// # Errors
    /// As in [`RawArray::address`].
    pub fn add_int(&self, at: u64, number: Number, amount: i128) -> Result<Sum, ContainerError> {
        let (Number::Signed(width) | Number::Unsigned(width)) = number else {
            return Ok(Sum::NoElement);
        };
        let mut sum = 0;
        let done = self.update(at, width, |bits| {
            let unused = 128u32.saturating_sub(8 * u32::from(width));
            let old = i128::from(bits);
            // Shifting up and down again extends the sign.
            let old = match number {
                Number::Signed(_) => old << unused >> unused,
                _ => old,
            };
            sum = old.checked_add(amount)?;
            let kept = match number {
                Number::Signed(_) => sum << unused >> unused,
                _ => ((sum as u128) << unused >> unused) as i128,
            };
            (kept == sum).then_some(sum as u64)
        })?;
        Ok(match done {
            None => Sum::NoElement,
            Some(false) => Sum::TooLarge,
            Some(true) => Sum::Int(sum),
        })
    }

    /// The same for floats. The amount is rounded to the element's type first, and so is the sum.
    ///
    /// # Errors
    /// As in [`RawArray::address`].
    pub fn add_float(&self, at: u64, number: Number, amount: f64) -> Result<Sum, ContainerError> {
        let mut sum = 0.0;
        let done = match number {
            Number::Float(4) => self.update(at, 4, |bits| {
                let new = f32::from_bits(bits as u32) + amount as f32;
                sum = f64::from(new);
                Some(u64::from(new.to_bits()))
            }),
            Number::Float(8) => self.update(at, 8, |bits| {
                sum = f64::from_bits(bits) + amount;
                Some(sum.to_bits())
            }),
            _ => Ok(None),
        };
        Ok(match done? {
            Some(true) => Sum::Float(sum),
            _ => Sum::NoElement,
        })
    }

    /// Replaces the bits of the element at a byte if they are `old`; whether they were. `None` if no element of 1, 2, 4 or 8
    /// bytes lies there.
    ///
    /// # Errors
    /// As in [`RawArray::address`].
    pub fn compare_exchange(
        &self,
        at: u64,
        width: u8,
        old: u64,
        new: u64,
    ) -> Result<Option<bool>, ContainerError> {
        self.update(at, width, |bits| (bits == old).then_some(new))
    }

    /// Replaces the bits of an element by what a function makes of them, in the word that it is a part of (I2); `false` if
    /// the function left it. `None` if there is none.
    #[inline(always)]
    fn update(
        &self,
        at: u64,
        width: u8,
        mut change: impl FnMut(u64) -> Option<u64>,
    ) -> Result<Option<bool>, ContainerError> {
        self.heap.container.check_held()?;
        let bytes = u64::from(width);
        let end = at.checked_add(bytes);
        let fits = matches!(width, 1 | 2 | 4 | 8) && at.is_multiple_of(bytes);
        if !fits || end.is_none_or(|end| end > self.byte_len()) {
            return Ok(None);
        }
        let before = if cfg!(target_endian = "little") {
            at & 7
        } else {
            8 - bytes - (at & 7)
        };
        let mask = u64::MAX >> (64 - 8 * bytes);
        let shift = 8 * before;
        // The word lies in the run, which is of whole pages.
        let word = self.heap.head.wrapping_add(ELEMENTS).wrapping_add(at) & !7;
        let updated = self.heap.words.update(word, |word| {
            let new = change(word >> shift & mask)? & mask;
            Some(word & !(mask << shift) | new << shift)
        });
        Ok(updated.map(|updated| updated.is_ok()))
    }
}
