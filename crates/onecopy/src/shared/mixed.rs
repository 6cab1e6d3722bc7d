//! Plain data with containers in it: a pickle, and the objects of the store that it refers to.
//!
//! A blob cannot refer to anything: the store has to know who keeps what. So such a value is a container of its own, which a word
//! of another container refers to: a list that is filled before anybody else can find it, and never changes afterwards. The
//! pickle is its first element; the others are references, in the order of their numbers in the pickle.
#![forbid(unsafe_code)]

use super::error::ContainerError;
use super::list::RawList;
use super::reference::Reference;
use super::snapshot::Snapshot;
use super::value::{Incoming, Kind};
use crate::store::Store;

/// What the container's head says it is.
pub(crate) const KIND: u8 = 8;

/// Plain data with containers in it, as one value for containers. What the pickle says is not looked at here.
#[derive(Debug, Clone)]
pub struct Mixed(RawList);

impl Mixed {
    /// Makes a value of a pickle and of what it refers to.
    ///
    /// # Errors
    /// No memory. A reference is to an object of another store.
    pub fn create(
        store: &Store,
        pickle: &[u8],
        parts: &[Reference],
    ) -> Result<Self, ContainerError> {
        let list = RawList::create_as(store, KIND)?;
        let first = Incoming::Blob(Kind::Pickle, pickle);
        let values: Vec<_> = std::iter::once(first)
            .chain(parts.iter().map(Incoming::Reference))
            .collect();
        list.extend(&values)?;
        Ok(Self(list))
    }

    /// The value that a reference is to; `None` if it is to something else.
    ///
    /// # Errors
    /// It is damaged.
    pub fn of_reference(reference: &Reference) -> Result<Option<Self>, ContainerError> {
        Ok(RawList::referred(reference, KIND)?.map(Self))
    }

    /// A reference to it, to be put into a container.
    #[must_use]
    pub fn reference(&self) -> Reference {
        self.0.reference()
    }

    /// The pickle, and behind it what it refers to, each as it was put in.
    ///
    /// # Errors
    /// It is damaged.
    pub fn parts(&self) -> Result<Snapshot, ContainerError> {
        self.0.snapshot()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::Value;

    #[test]
    fn it_keeps_what_it_refers_to_and_goes_with_what_refers_to_it() {
        let store = Store::new().unwrap();
        let outer = store.list().unwrap();
        let inner = store.list().unwrap();
        inner.append(&Value::from(7)).unwrap();
        let mixed = Mixed::create(&store, b"a pickle", &[inner.reference()]).unwrap();
        outer.append(&Value::Reference(mixed.reference())).unwrap();
        drop((mixed, inner));
        assert_eq!(store.containers().unwrap().len(), 3);
        let Value::Reference(reference) = outer.get(0).unwrap() else {
            panic!("the value is a reference");
        };
        let parts = Mixed::of_reference(&reference)
            .unwrap()
            .unwrap()
            .parts()
            .unwrap();
        assert_eq!(parts.len(), 2);
        assert_eq!(
            parts.get(0),
            Some(Incoming::Blob(Kind::Pickle, b"a pickle"))
        );
        let Some(Incoming::Reference(inner)) = parts.get(1) else {
            panic!("the part is a reference");
        };
        let inner = crate::List::of_reference(inner).unwrap().unwrap();
        assert_eq!(inner.get(0).unwrap(), Value::from(7));
        assert!(crate::List::of_reference(&reference).unwrap().is_none());
        drop((inner, parts, reference));
        outer.clear().unwrap();
        assert_eq!(store.containers().unwrap().len(), 1);
    }

    #[test]
    fn what_is_of_another_store_is_refused_and_nothing_is_left() {
        let store = Store::new().unwrap();
        let other = Store::new().unwrap().list().unwrap();
        let refused = Mixed::create(&store, b"", &[other.reference()]);
        assert!(matches!(refused, Err(ContainerError::OtherStore)));
        assert_eq!(store.containers().unwrap().len(), 0);
    }
}
