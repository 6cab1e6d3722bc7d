//! What a word can refer to: another object of the store, held by this process.
#![forbid(unsafe_code)]

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
