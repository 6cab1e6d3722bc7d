//! What a container is in the store: how it is made, kept, handed over and found.
#![forbid(unsafe_code)]

use super::error::ContainerError;
use super::head::Inside;
use super::heap::Heap;
use super::reference::Reference;
use crate::store::{Container, Store};

/// A kind of containers.
pub(super) trait Stored: Sized {
    /// What the store calls the kind, and the head.
    const KIND: u8;
    /// How to go through its words that may be references.
    const INSIDE: Inside = Inside::without_blocks(no_word);

    /// What shows a container of this kind.
    fn of(heap: Heap) -> Self;
    fn heap(&self) -> &Heap;

    /// Whether the store may call it so; a dict has several names.
    fn is_kind(kind: u8) -> bool {
        kind == Self::KIND
    }

    /// A new one of zeros, without a heap.
    fn create_empty(store: &Store, byte_len: u64) -> Result<Self, ContainerError> {
        Heap::create_empty(store, Self::KIND, byte_len, Self::INSIDE).map(Self::of)
    }

    /// A container that exists.
    fn open(container: Container) -> Result<Self, ContainerError> {
        Heap::open(container, Self::is_kind, Self::INSIDE).map(Self::of)
    }

    /// The container that a reference is to, if it is of this kind.
    fn referred(reference: &Reference) -> Result<Option<Self>, ContainerError> {
        let container = reference.container();
        let container = container.filter(|container| Self::is_kind(container.kind()));
        container.cloned().map(Self::open).transpose()
    }
}

/// How a container is handed over: by tokens and references.
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

/// Of a container that holds no values.
#[allow(
    clippy::unnecessary_wraps,
    reason = "as of containers of many words, which may be damaged"
)]
pub(super) fn no_word(_: &Heap, _: &mut dyn FnMut(u64)) -> Result<(), ContainerError> {
    Ok(())
}
