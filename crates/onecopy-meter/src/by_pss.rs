//! Frames that the bits of level B cannot tell apart, but whose share of PSS shows.
//!
//! A process that wrote to inherited pages and then forked has them together with its child. They are
//! mapped twice, just as the family's original is: without frame numbers, and unless the page was seen
//! before the fork, both look like one frame. The kernel's PSS divides each frame by its own number of
//! mappings, so the PSS of a mapping over all members adds up to its frames, if nobody else has them.
#![forbid(unsafe_code)]

use crate::account::{Account, Row};
use crate::parse::{Mapping, MappingKind};
use crate::read::Proc;
use crate::walk::Read;

/// Pages that PSS may be beyond the bits without meaning anything: the kernel reads both a while apart.
const SLACK_PAGES: u64 = 16;
const SLACK_PART: u64 = 500;

/// Adds what is missing to the account, and returns how many frames that were.
pub(crate) fn correct(proc: &Proc, account: &mut Account, members: &[Read]) -> u64 {
    if members.len() < 3 {
        // It takes a parent, one that wrote, and its child.
        return 0;
    }
    let Some(first) = members.first() else {
        return 0;
    };
    let mut found: Vec<(usize, u64)> = Vec::new();
    for mapping in first.mappings.iter().filter(|mapping| is_private(mapping)) {
        let pss = members.iter().map(|read| pss_of(&read.mappings, mapping));
        let missing = pss
            .sum::<Option<u64>>()
            .and_then(|pss| missing(proc, account, mapping, pss));
        found.extend(missing);
    }
    if found.is_empty() {
        return 0;
    }
    // Memory that was let go between the two ways of counting looks the same, so PSS is asked again:
    // what is missing both times is no matter of moments.
    let again: Vec<Vec<Mapping>> = members
        .iter()
        .map_while(|read| proc.mappings(read.stat.thread).ok())
        .collect();
    let mut total = 0;
    for (row, before) in found {
        let page = proc.page_size();
        let (start, end) = extent(&account.rows[row], page);
        let around = first
            .mappings
            .iter()
            .find(|mapping| mapping.start <= start && end <= mapping.end);
        let pss = around
            .filter(|_| again.len() == members.len())
            .and_then(|mapping| {
                let sum: Option<u64> = again.iter().map(|rows| pss_of(rows, mapping)).sum();
                missing(proc, account, mapping, sum?)
            });
        let confirmed = pss.map_or(0, |(_, after)| before.min(after));
        account.rows[row].sums.frames += confirmed;
        account.counts.sums.frames += confirmed;
        total += confirmed;
    }
    total
}

/// PSS of a mapping in one member; 0 where the member has nothing there, `None` where its mappings
/// have other borders.
fn pss_of(mappings: &[Mapping], like: &Mapping) -> Option<u64> {
    let touching = |mapping: &&Mapping| mapping.start < like.end && like.start < mapping.end;
    let mut pss = 0;
    for mapping in mappings.iter().filter(touching) {
        if (mapping.start, mapping.end) != (like.start, like.end) {
            return None;
        }
        pss += mapping.counts.pss;
    }
    Some(pss)
}

fn is_private(mapping: &Mapping) -> bool {
    let kind = mapping.kind();
    let anonymous = matches!(
        kind,
        MappingKind::Anonymous | MappingKind::Heap | MappingKind::Stack
    );
    anonymous && mapping.counts.rss == mapping.counts.anonymous
}

fn extent(row: &Row, page: u64) -> (u64, u64) {
    (row.start * page, (row.start + row.len) * page)
}

/// The largest row within the mapping, and the pages of PSS that its rows do not explain.
fn missing(proc: &Proc, account: &Account, mapping: &Mapping, pss: u64) -> Option<(usize, u64)> {
    let page = proc.page_size();
    let within = |row: &Row| {
        let (start, end) = extent(row, page);
        mapping.start <= start && end <= mapping.end
    };
    let rows = account
        .rows
        .iter()
        .enumerate()
        .filter(|(_, row)| within(row));
    let counted: u64 = rows
        .clone()
        .map(|(_, row)| row.sums.frames + row.sums.new)
        .sum();
    let largest = rows
        .max_by_key(|(_, row)| row.sums.frames)
        .map(|(index, _)| index)?;
    let missing = (pss / page).saturating_sub(counted);
    (missing > SLACK_PAGES + counted / SLACK_PART).then_some((largest, missing))
}
