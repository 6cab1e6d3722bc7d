//! Many elements of one moment.
//!
//! Words and the blobs that they lead to are copied without the lock, page by page, with a look at the counters after each;
//! after a few tries, few of them under the lock, and many as they were (past.rs). A snapshot knows its moment, so an iterator reads ahead and asks for each element
//! whether that moment is still now.
#![forbid(unsafe_code)]

use super::super::error::ContainerError;
use super::super::look::{Look, Moment, Retry};
use super::super::snapshot::Snapshot;
use super::place::entry_at;
use super::{BASE, DIRECTORY_AT, LEN, OFFSET, PER, RawList};

impl RawList {
    /// Up to `most` elements from the one at `start` on.
    ///
    /// # Errors
    /// As in [`RawList::len`].
    pub fn chunk(&self, start: u64, most: u64) -> Result<Snapshot, ContainerError> {
        self.read_many(|len| (start, len.saturating_sub(start).min(most), 1))
    }

    /// The same into a chunk that is there already: what it held goes, its room is used again.
    ///
    /// # Errors
    /// As in [`RawList::len`].
    pub fn read_chunk(
        &self,
        chunk: &mut Snapshot,
        start: u64,
        most: u64,
    ) -> Result<(), ContainerError> {
        let which = |len: u64| (start, len.saturating_sub(start).min(most), 1);
        self.heap.read_long(|look| read(chunk, look, &which))?;
        chunk.check()
    }

    /// All elements.
    ///
    /// # Errors
    /// As in [`RawList::len`].
    pub fn snapshot(&self) -> Result<Snapshot, ContainerError> {
        self.chunk(0, u64::MAX)
    }

    /// Whether a moment is still now: nothing has changed since.
    #[inline(always)]
    #[must_use]
    pub fn is_now(&self, moment: Moment) -> bool {
        self.heap.is_now(moment)
    }

    /// The elements that `which` says when it is told the length: the first, how many, and how far apart.
    pub(super) fn read_many(
        &self,
        which: impl Fn(u64) -> (u64, u64, i64),
    ) -> Result<Snapshot, ContainerError> {
        let mut chunk = Snapshot::default();
        self.heap
            .read_whole(|look| read(&mut chunk, look, &which))?;
        chunk.check()?;
        Ok(chunk)
    }
}

fn read(
    to: &mut Snapshot,
    look: &Look<'_>,
    which: &impl Fn(u64) -> (u64, u64, i64),
) -> Result<(), Retry> {
    let len = look.root(LEN);
    // What is counted has to be true before it is relied on.
    look.check()?;
    let (start, count, step) = which(len);
    to.set_list_len(len);
    fill(to, look, start, count, step)
}

/// Reads elements; what was there before goes.
pub(super) fn fill(
    to: &mut Snapshot,
    look: &Look<'_>,
    start: u64,
    count: u64,
    step: i64,
) -> Result<(), Retry> {
    to.begin();
    to.set_moment(look.moment());
    let (base, directory) = (look.root(BASE), look.root(DIRECTORY_AT));
    let mut done = 0;
    while done < count {
        let index = start.wrapping_add_signed(step.wrapping_mul(done as i64));
        let position = base.wrapping_add(index);
        let entry = look.load(entry_at(directory, position))?;
        let in_page = if step == 1 {
            (PER - position % PER).min(count - done)
        } else {
            1
        };
        look.check_page(entry)?;
        let first = to.len();
        // A page is a circle: what is asked for may go on at its beginning.
        let place = (entry >> 48).wrapping_add(position) % PER;
        let before_end = in_page.min(PER - place);
        let page = entry & OFFSET;
        to.add_words(look, page.wrapping_add(8 * place), before_end)?;
        to.add_words(look, page, in_page - before_end)?;
        to.follow(look, first)?;
        // Now and then is enough where a page is one element.
        if (step == 1 || done.is_multiple_of(PER)) && !look.is_current() {
            return Err(Retry);
        }
        done += in_page;
    }
    Ok(())
}
