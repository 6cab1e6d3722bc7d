//! `pagemap`: eight bytes per page (`proc_pid_pagemap(5)`).
#![forbid(unsafe_code)]

use std::io::{ErrorKind, Read};

use super::ParseError;

/// What the kernel says about one page of one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageState(u64);

impl PageState {
    /// No page at all.
    pub(crate) const ABSENT: Self = Self(0);

    /// Whether a page of memory stands behind the address (bit 63).
    #[must_use]
    pub fn is_present(self) -> bool {
        self.0 & (1 << 63) != 0
    }

    /// Whether the page was swapped out (bit 62).
    #[must_use]
    pub fn is_swapped(self) -> bool {
        self.0 & (1 << 62) != 0
    }

    /// Whether the page belongs to a file or to shared memory (bit 61).
    #[must_use]
    pub fn is_file_or_shared(self) -> bool {
        self.0 & (1 << 61) != 0
    }

    /// Whether the page is mapped exactly once (bit 56).
    ///
    /// It says nothing about who copied what: after a fork both sides show 0, after the other
    /// side's death 1. And it is wrong for pages mapped by a huge-page entry since Linux 6.15.
    #[must_use]
    pub fn is_mapped_once(self) -> bool {
        self.0 & (1 << 56) != 0
    }

    /// The number of the page frame (bits 0 to 54), or 0 where this process may not see it.
    #[must_use]
    pub fn frame(self) -> u64 {
        if self.is_present() {
            self.0 & ((1 << 55) - 1)
        } else {
            0
        }
    }

    /// The same page, with another answer to [`PageState::is_mapped_once`].
    pub(crate) fn with_mapped_once(self, mapped_once: bool) -> Self {
        Self(self.0 & !(1 << 56) | u64::from(mapped_once) << 56)
    }
}

/// Reads entries of `/proc/PID/pagemap`, in the machine's byte order, until the source ends.
///
/// # Errors
/// Reading failed, or the source ended within an entry.
pub fn pagemap(mut source: impl Read) -> Result<Vec<PageState>, ParseError> {
    let mut bytes = Vec::new();
    source.read_to_end(&mut bytes)?;
    let (entries, rest) = bytes.as_chunks::<8>();
    if !rest.is_empty() {
        return Err(ParseError::Read(ErrorKind::UnexpectedEof.into()));
    }
    Ok(entries
        .iter()
        .map(|entry| PageState(u64::from_ne_bytes(*entry)))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_told_apart() {
        let words = [
            1u64 << 63 | 1 << 56 | 0xabc,
            1 << 63 | 1 << 61,
            1 << 62 | 7,
            0,
        ];
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let pages = pagemap(&bytes[..]).unwrap();
        let bits = |page: &PageState| {
            [
                page.is_present(),
                page.is_swapped(),
                page.is_file_or_shared(),
                page.is_mapped_once(),
            ]
        };
        assert_eq!(bits(&pages[0]), [true, false, false, true]);
        assert_eq!(bits(&pages[1]), [true, false, true, false]);
        assert_eq!(bits(&pages[2]), [false, true, false, false]);
        assert_eq!(bits(&pages[3]), [false; 4]);
        assert_eq!(
            pages.iter().map(|page| page.frame()).collect::<Vec<_>>(),
            [0xabc, 0, 0, 0]
        );
        assert!(!pages[0].with_mapped_once(false).is_mapped_once());
        assert_eq!(
            pages[1].with_mapped_once(true).with_mapped_once(false),
            pages[1]
        );
    }

    #[test]
    fn half_an_entry_is_an_error() {
        assert!(pagemap(&[0u8; 12][..]).is_err());
        assert!(pagemap(&[][..]).unwrap().is_empty());
    }
}
