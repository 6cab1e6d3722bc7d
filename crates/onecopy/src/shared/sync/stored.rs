//! What these are in the store: containers that are kept, handed over and found as all others.
//!
//! ```text
//! root 5, of conditions and barriers: a reference to what belongs to it, or 0
//! ```
#![forbid(unsafe_code)]

use super::super::error::ContainerError;
use super::super::head::Inside;
use super::super::heap::Heap;
use super::super::layout::ROOT5;
use super::super::reference::Reference;
use super::super::rust_value::{Value, Values};
use super::super::value::{Word, read_value};
use crate::store::{Container, Store};

/// A container of one of these kinds.
pub(super) trait Stored: Sized {
    /// What the store calls the kind.
    const KIND: u8;
    /// How to go through its words that may be references.
    const INSIDE: Inside = Inside::without_blocks(no_word);

    /// What shows a container of this kind.
    fn of(heap: Heap) -> Self;
    fn heap(&self) -> &Heap;

    /// A new one of zeros, without a heap.
    fn create_empty(store: &Store, byte_len: u64) -> Result<Self, ContainerError> {
        Heap::create_empty(store, Self::KIND, byte_len, Self::INSIDE).map(Self::of)
    }

    /// A container that exists.
    fn open(container: Container) -> Result<Self, ContainerError> {
        Heap::open(container, |found| found == Self::KIND, Self::INSIDE).map(Self::of)
    }

    /// The container that a reference is to, if it is of this kind.
    fn referred(reference: &Reference) -> Result<Option<Self>, ContainerError> {
        let container = reference.container();
        let container = container.filter(|container| container.kind() == Self::KIND);
        container.cloned().map(Self::open).transpose()
    }
}

/// How each of these is handed over: by tokens and references.
macro_rules! handed_over {
    ($class:ident, $what:literal) => {
        impl $class {
            #[doc = concat!("Turns a token into the ", $what, ", in any process of the same user.")]
            ///
            /// # Errors
            #[doc = concat!("It is gone, or what the token leads to is no ", $what, ".")]
            pub fn attach(token: &Token) -> Result<Self, ContainerError> {
                Self::open(Container::attach(token)?)
            }

            #[doc = concat!("The ", $what, " that a reference is to; `None` if it is to something else.")]
            ///
            /// # Errors
            /// It is damaged.
            pub fn of_reference(reference: &Reference) -> Result<Option<Self>, ContainerError> {
                Self::referred(reference)
            }

            /// A reference to it, to be put into a container.
            #[must_use]
            pub fn reference(&self) -> Reference {
                Reference::of_container(&self.heap().container)
            }

            #[doc = concat!("A token for another process. It counts as an interest in the ", $what, " until it is attached once.")]
            ///
            /// # Errors
            /// The store's table of tokens is full.
            pub fn token(&self) -> Result<Token, ContainerError> {
                Ok(self.heap().container.token()?)
            }
        }
    };
}
pub(super) use handed_over;

#[allow(
    clippy::unnecessary_wraps,
    reason = "as of containers of many words, which may be damaged"
)]
fn no_word(_: &Heap, _: &mut dyn FnMut(u64)) -> Result<(), ContainerError> {
    Ok(())
}

/// The word of a companion: another container that belongs to this one, such as a condition's lock.
const COMPANION: u64 = ROOT5;

/// Of containers that may have a companion.
pub(super) fn companions_word(
    heap: &Heap,
    take: &mut dyn FnMut(u64),
) -> Result<(), ContainerError> {
    take(heap.load(heap.head.wrapping_add(COMPANION))?);
    Ok(())
}

/// Gives a container a companion, which it keeps, unless it has one.
pub(super) fn join(heap: &Heap, companion: &Reference) -> Result<(), ContainerError> {
    let locked = heap.lock()?;
    if Word(locked.root(COMPANION)).as_reference().is_some() {
        return Ok(());
    }
    let mut change = locked.change();
    let name = change.refer(companion)?;
    change.put_root(COMPANION, Word::of_reference(name).0)?;
    change.commit(false)
}

/// The companion of a container.
pub(super) fn companion(heap: &Heap) -> Result<Option<Reference>, ContainerError> {
    if heap.top.acquire(COMPANION) == 0 {
        return Ok(None);
    }
    let value = heap.read(|look| read_value(look, look.root(COMPANION), &Values))?;
    match value {
        Ok(Value::Reference(reference)) => Ok(Some(reference)),
        Ok(_) => Ok(None),
        Err(error) => Err(error.or(|| {
            heap.corrupt(heap.head.wrapping_add(COMPANION), "no companion")
                .into()
        })),
    }
}

/// What the store calls these kinds of containers.
pub(crate) mod kinds {
    pub(crate) const QUEUE: u8 = 16;
    pub(crate) const MUTEX: u8 = 17;
    pub(crate) const SEMAPHORE: u8 = 18;
    pub(crate) const EVENT: u8 = 19;
    pub(crate) const CONDITION: u8 = 20;
    pub(crate) const BARRIER: u8 = 21;
}
