//! An array whose elements other code reads and writes: of numbers whose type only that code knows.
#![forbid(unsafe_code)]

use std::ptr::NonNull;

use super::super::error::ContainerError;
use super::super::heap::Heap;
use super::super::layout::RECORD;
use super::super::lock::WriterLock;
use super::super::reference::Reference;
use super::memory::{ELEMENTS, byte_len, create, elements, of_reference, open};
use crate::store::{Container, Store, Token};
use crate::sys::mapping::PAGE;

/// What whoever made the array says of its elements: its bytes, and then these.
const DESCRIPTION: u64 = RECORD;
/// The longest description.
const DESCRIPTION_MOST: usize = (PAGE - DESCRIPTION - 8) as usize;

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
