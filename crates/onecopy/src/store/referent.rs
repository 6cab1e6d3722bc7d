//! What a container refers to, as Rust values: an image or another container, with a hold of this process.
#![forbid(unsafe_code)]

use std::collections::HashSet;
use std::sync::Arc;

use super::ObjectId;
use super::attached::Attached;
use super::container::{Container, usable};
use super::hold::Hold;
use super::locked::PATIENCE;
use super::object::Object;
use super::objects::{Row, State};
use crate::error::AccessError;

/// An object of a store that a container can refer to.
#[derive(Debug, Clone)]
pub(crate) enum Referent {
    /// It never changes.
    Image(Object),
    /// It is written to.
    Container(Container),
}

impl Referent {
    /// The object's name.
    pub(crate) fn id(&self) -> ObjectId {
        match self {
            Self::Image(object) => object.id(),
            Self::Container(container) => container.id(),
        }
    }

    fn attached(&self) -> &Arc<Attached> {
        match self {
            Self::Image(object) => object.attached(),
            Self::Container(container) => container.attached(),
        }
    }

    /// Whether both are the same object of the same store.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.id() == other.id() && self.attached().file.uuid == other.attached().file.uuid
    }
}

/// The caller holds the container's own lock, but for [`Container::hold_reference`].
impl Container {
    /// Whether an object is in the container's store, so that it can refer to it.
    pub(crate) fn can_refer_to(&self, referent: &Referent) -> bool {
        self.attached().file.uuid == referent.attached().file.uuid
    }

    /// Adds a reference to an object of the same store; its name.
    pub(crate) fn add_reference(&self, referent: &Referent) -> Result<u64, AccessError> {
        let attached = self.attached();
        usable(attached)?;
        let session = attached.session()?;
        session
            .lock(PATIENCE)?
            .add_reference(self.id(), referent.id())
    }

    /// Drops references by their names; those that were dropped before stay so.
    pub(crate) fn drop_references(
        &self,
        names: impl IntoIterator<Item = u64>,
    ) -> Result<(), AccessError> {
        let attached = self.attached();
        usable(attached)?;
        let mut session = attached.session()?;
        let (slot, locked) = (session.slot, session.lock(PATIENCE)?);
        let dying = &mut session.local().unfinished;
        let mut names = names.into_iter();
        let dropped =
            names.try_for_each(|name| locked.drop_reference(self.id(), name, slot, dying));
        drop(locked);
        session.end(PATIENCE);
        dropped
    }

    /// Drops all references but some.
    pub(crate) fn keep_references(&self, kept: &HashSet<u64>) -> Result<(), AccessError> {
        let others = self.references()?;
        self.drop_references(others.into_iter().filter(|name| !kept.contains(name)))
    }

    /// The names of all references.
    pub(crate) fn references(&self) -> Result<Vec<u64>, AccessError> {
        usable(self.attached())?;
        let session = self.attached().session()?;
        let locked = session.lock(PATIENCE)?;
        let references = locked.references(&locked.container(self.id())?)?;
        Ok(references.iter().map(|reference| reference.0).collect())
    }

    /// The object that a name means; `None` if the reference was dropped.
    pub(crate) fn referent(&self, name: u64) -> Result<Option<ObjectId>, AccessError> {
        usable(self.attached())?;
        let session = self.attached().session()?;
        let row = session.lock(PATIENCE)?.referent(self.id(), name)?;
        Ok(row.map(|row| row.id))
    }

    /// Takes a hold on what a name means; `None` if the reference was dropped.
    pub(crate) fn hold_reference(&self, name: u64) -> Result<Option<Referent>, AccessError> {
        let attached = self.attached();
        usable(attached)?;
        let held = Hold::by_reference(attached, self.id(), name)?;
        Ok(held.map(|(hold, row)| of(hold, &row)))
    }
}

fn of(hold: Hold, row: &Row) -> Referent {
    if row.state == State::Container {
        Referent::Container(Container::of(hold, row.tag as u8, row))
    } else {
        Referent::Image(Object::of_hold(hold))
    }
}
