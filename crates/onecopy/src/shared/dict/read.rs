//! Many keys of one moment, in their order.
//!
//! A copy is of the keys, the values or both. It is taken without the lock, with a look at the counters
//! after each page; if writers do not let that succeed, of a small dict under the lock, of others in the past (past.rs).
#![forbid(unsafe_code)]

use super::super::error::ContainerError;
use super::super::look::{Look, Moment, Retry};
use super::super::snapshot::Snapshot;
use super::entry::{Shape, given};
use super::order::{PER, page_of};
use super::{FIRST, RawDict, STATE, VALUE_AT, used_of};

/// What is copied of each key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The key.
    Keys,
    /// The value.
    Values,
    /// Both, the key first.
    Items,
}

impl RawDict {
    /// A copy of what is in the dict at one moment. No writer waits for it, unless the dict is small.
    ///
    /// # Errors
    /// As in [`RawDict::len`].
    pub fn picture(&self, part: Part) -> Result<Snapshot, ContainerError> {
        let mut picture = Snapshot::default();
        self.heap
            .read_whole(|look| take_all(&mut picture, look, part))?;
        picture.check()?;
        Ok(picture)
    }

    /// Whether a moment is still now: nothing has changed since.
    #[inline(always)]
    #[must_use]
    pub fn is_now(&self, moment: Moment) -> bool {
        self.heap.is_now(moment)
    }
}

fn take_all(to: &mut Snapshot, look: &Look<'_>, part: Part) -> Result<(), Retry> {
    to.begin();
    let used = used_of(look.root(STATE));
    look.check()?;
    take(to, look, part, look.root(FIRST)..used)?;
    to.set_moment(look.moment());
    Ok(())
}

/// Adds what is at these places.
fn take(
    to: &mut Snapshot,
    look: &Look<'_>,
    part: Part,
    places: std::ops::Range<u64>,
) -> Result<(), Retry> {
    let mut entries = Vec::with_capacity(PER as usize);
    let mut place = places.start;
    while place < places.end {
        let page = page_of(look, place)?;
        let stop = places.end.min((place / PER + 1) * PER);
        entries.clear();
        for place in place..stop {
            let entry = look.load(page.wrapping_add(place % PER * 8))?;
            if entry != 0 {
                look.heap.words.prefetch(entry);
                entries.push(entry);
            }
        }
        for entry in &entries {
            take_one(to, look, part, *entry)?;
        }
        if !look.is_current() {
            return Err(Retry);
        }
        place = stop;
    }
    if look.is_current() {
        Ok(())
    } else {
        Err(Retry)
    }
}

fn take_one(to: &mut Snapshot, look: &Look<'_>, part: Part, entry: u64) -> Result<(), Retry> {
    if part != Part::Values {
        match given(look, entry)? {
            Shape::Word(at) => to.add(look, look.load(at)?)?,
            Shape::Blob(kind, at, len) => to.add_content(look, at, (kind, len))?,
        }
    }
    if part != Part::Keys {
        to.add(look, look.load(entry.wrapping_add(VALUE_AT))?)?;
    }
    Ok(())
}
