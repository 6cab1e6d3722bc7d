//! Where a list's words stand in the head, and what an entry of its directory is made of.
#![forbid(unsafe_code)]

use super::super::layout::{ROOT0, ROOT1, ROOT2, ROOT3, ROOT4, ROOT5, ROOT6, ROOT7};

/// Elements of a page.
pub(super) const PER: u64 = 512;
/// Bytes of a page.
pub(super) const PAGE_BYTES: u64 = 8 * PER;
/// In an entry of the directory: where the page stands.
pub(super) const OFFSET: u64 = (1 << 48) - 1;

/// The directory's first entry, 0 for none.
pub(super) const DIRECTORY_AT: u64 = ROOT0;
/// Elements. Stored last by whoever appends.
pub(crate) const LEN: u64 = ROOT1;
/// Position of the first element.
pub(super) const BASE: u64 = ROOT2;
/// The first position behind the last page.
pub(super) const CAP: u64 = ROOT3;
/// Entries that the directory has room for.
pub(super) const ENTRIES: u64 = ROOT4;
/// Position of the first page's first word.
pub(super) const FLOOR: u64 = ROOT5;
/// The most pages that this generation has had: what tells when to give memory back.
pub(super) const PEAK: u64 = ROOT6;
/// The heap's `end` when the list was last found small, so that it is not asked again all the time.
pub(super) const SMALL: u64 = ROOT7;
