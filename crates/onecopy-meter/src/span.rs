//! Which of many ranges holds an address?
#![forbid(unsafe_code)]

use std::ops::Range;

use crate::parse::Mapping;

/// What lies from one address to another.
pub trait Span {
    /// The first address of it, and the first behind it.
    fn span(&self) -> Range<u64>;
}

impl Span for Range<u64> {
    fn span(&self) -> Range<u64> {
        self.clone()
    }
}

impl Span for Mapping {
    fn span(&self) -> Range<u64> {
        self.start..self.end
    }
}

impl<T> Span for (Range<u64>, T) {
    fn span(&self) -> Range<u64> {
        self.0.clone()
    }
}

/// The span that holds an address, among some that are sorted by their starts. Where several overlap, the last that begins
/// at or before the address decides.
pub fn holding<S: Span>(sorted: &[S], address: u64) -> Option<&S> {
    let behind = sorted.partition_point(|span| span.span().start <= address);
    let last = sorted.get(behind.checked_sub(1)?)?;
    last.span().contains(&address).then_some(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_is_found_where_a_search_one_by_one_finds_it() {
        let ranges = [2..5, 5..6, 8..8, 9..12, 20..u64::MAX];
        for count in 0..=ranges.len() {
            let some = &ranges[..count];
            for address in (0..25).chain([u64::MAX - 1, u64::MAX]) {
                let one_by_one = some.iter().find(|range| range.contains(&address));
                assert_eq!(holding(some, address), one_by_one, "{address} in {some:?}");
            }
        }
    }

    #[test]
    fn of_spans_that_overlap_the_last_to_begin_decides() {
        let functions = [(0..100, "outer"), (10..20, "inner"), (15..16, "innermost")];
        let name = |address| holding(&functions, address).map(|(_, name)| *name);
        assert_eq!(name(5), Some("outer"));
        assert_eq!(name(12), Some("inner"));
        assert_eq!(name(15), Some("innermost"));
        assert_eq!(name(17), None);
    }
}
