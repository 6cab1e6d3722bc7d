//! What a word can refer to: another object of the store, held by this process.
#![forbid(unsafe_code)]

use std::sync::Arc;

use crate::error::AccessError;
use crate::store::{Container, Object, ObjectId, Referent};

/// Another object that a value of a container is: not a copy of it. It keeps the object, as any handle does.
#[derive(Debug, Clone)]
pub struct Reference(pub(crate) Referent);

/// Two references are equal if they are of the same object.
impl PartialEq for Reference {
    fn eq(&self, other: &Self) -> bool {
        self.0.is_same(&other.0)
    }
}

impl Eq for Reference {}

impl Reference {
    /// To an object that never changes.
    #[must_use]
    pub fn of_image(object: Object) -> Self {
        Self(Referent::Image(object))
    }

    pub(crate) fn of_container(container: &Container) -> Self {
        Self(Referent::Container(container.clone()))
    }

    /// The object, if it is one that never changes.
    #[must_use]
    pub fn image(&self) -> Option<&Object> {
        match &self.0 {
            Referent::Image(object) => Some(object),
            Referent::Container(_) => None,
        }
    }

    /// What kind of container it is, as `KIND`s of containers say; `None` for an object that never changes.
    #[must_use]
    pub fn kind(&self) -> Option<u8> {
        self.container().map(Container::kind)
    }

    pub(crate) fn container(&self) -> Option<&Container> {
        match &self.0 {
            Referent::Image(_) => None,
            Referent::Container(container) => Some(container),
        }
    }

    /// The object's name in its store.
    #[must_use]
    pub fn id(&self) -> ObjectId {
        self.0.id()
    }
}

/// What a change does to references, beside its words.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    /// Names that no word has after the change.
    pub(crate) dropped: Vec<u64>,
}

/// References that were read, in the place of whose names words have their numbers.
#[derive(Debug, Clone, Default)]
pub(crate) struct References {
    held: Vec<Reference>,
    /// Why one could not be held.
    failure: Option<Arc<AccessError>>,
}

impl References {
    /// Adds one; its number.
    pub(crate) fn add(&mut self, reference: Result<Reference, AccessError>) -> u64 {
        match reference {
            Ok(reference) => self.held.push(reference),
            Err(error) => self.failure = Some(Arc::new(error)),
        }
        self.held.len().saturating_sub(1) as u64
    }

    /// The one with this number.
    pub(crate) fn get(&self, number: u64) -> Option<&Reference> {
        self.held.get(number as usize)
    }

    /// Lets go of all.
    pub(crate) fn clear(&mut self) {
        self.held.clear();
        self.failure = None;
    }

    /// Whether all could be held.
    pub(crate) fn check(&mut self) -> Result<(), AccessError> {
        match self.failure.take().and_then(Arc::into_inner) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}
