//! Large values: objects of the store that a word refers to.
//!
//! ```text
//! object bytes:  {u64 "ONEVALUE" | eight times u8 kind | u64 length | zeros up to 64 | content}
//! ```
//! A container keeps one as it keeps any other object (referring.rs), and nobody else refers to it by anything but its word.
//! It is made before the container is locked, and never changes. A word that is replaced or deleted drops its reference, and
//! with the last one, and the last reader's hold, all pages of the object go back to the kernel at once.
//!
//! **Crash points.** Until a word refers to it, an object is the hold of the process that made it, and goes with it.
#![forbid(unsafe_code)]

use super::super::error::ContainerError;
use super::super::reference::Reference;
use super::kind::Kind;
use crate::store::{Huge, Object, Store};

/// The longest blob that is a block of its container; longer ones are objects of the store, and those are in huge pages.
///
/// Measured, a value that replaces one as long (2 cores, Linux 6.18): of 1.5 MiB, 75 µs in a block that is used again and 1.4 ms
/// as an object, nearly all of it for new small pages; of 2 MiB, from where objects are in huge pages, 20 ms and 0.2 ms; of
/// 64 MiB, 300 ms and 22 ms. A block is filled while the container is locked, and stays with it, fit for values of its own
/// size class only; what an object takes beyond its length is half a span on average, 2 % of 2 MiB.
pub(crate) const LARGE: usize = (2 << 20) - HEADER;
/// What an object of a large value begins with.
pub(crate) const MAGIC: [u8; 8] = *b"ONEVALUE";
/// The content begins here.
const HEADER: usize = 64;

/// A value that is an object of its own, held by this process.
#[derive(Debug, Clone)]
pub struct Large {
    reference: Reference,
    kind: Kind,
}

/// Two are equal if they are of the same type and have the same bytes.
impl PartialEq for Large {
    fn eq(&self, other: &Self) -> bool {
        self.reference == other.reference
            || self.kind == other.kind && self.bytes() == other.bytes()
    }
}

impl Eq for Large {}

impl Large {
    /// Whether a blob becomes an object. Ints are added to where they are, and keys are compared there.
    #[inline(always)]
    pub(crate) fn is_due(kind: Kind, bytes: &[u8]) -> bool {
        bytes.len() > LARGE && !matches!(kind, Kind::Int | Kind::Encoded)
    }

    /// Copies a value into the store.
    ///
    /// # Errors
    /// No memory.
    #[cold]
    #[inline(never)]
    pub(crate) fn create(store: &Store, kind: Kind, bytes: &[u8]) -> Result<Self, ContainerError> {
        let mut building = store.allocate(HEADER.saturating_add(bytes.len()), Huge::Auto)?;
        let (header, content) = building.as_mut_slice().split_at_mut(HEADER);
        let len = (bytes.len() as u64).to_le_bytes();
        let fields = [MAGIC, [kind as u8; 8], len];
        for (target, source) in header.iter_mut().zip(fields.iter().flatten()) {
            *target = *source;
        }
        content.copy_from_slice(bytes);
        let reference = Reference::of_image(building.publish()?);
        Ok(Self { reference, kind })
    }

    /// The value that an object is; `None` if its header says that it is none.
    pub(crate) fn open(reference: Reference) -> Option<Self> {
        let kind = kind_of(reference.image()?)?;
        Some(Self { reference, kind })
    }

    /// A reference to the object.
    pub(crate) fn reference(&self) -> &Reference {
        &self.reference
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its content, where it lies in the store.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        let object = self.reference.image().map(Object::bytes);
        object
            .and_then(|bytes| bytes.get(HEADER..))
            .unwrap_or_default()
    }
}

fn kind_of(object: &Object) -> Option<Kind> {
    let (header, content) = object.bytes().split_at_checked(HEADER)?;
    let [magic, kind, len, ..] = header.as_chunks::<8>().0 else {
        return None;
    };
    let [byte, ..] = *kind;
    let meant = Kind::of(byte)?;
    let is_one = *magic == MAGIC
        && *kind == [byte; 8]
        && u64::from_le_bytes(*len) == content.len() as u64
        && content.len().is_multiple_of(meant.unit());
    is_one.then_some(meant)
}
