//! Copies within one range of addresses.
#![forbid(unsafe_code)]

use std::ops::Range;

use super::bracket::has_kept_its_memory;
use super::pass::{in_families, open};
use super::sums::{agreement, copies};
use crate::account::{Account, PageCounts, SharedPages};
use crate::error::MeterError;
use crate::history::History;
use crate::parse::{Mapping, Stat};
use crate::read::Proc;
use crate::report::{Copies, Level};
use crate::walk::Walk;

/// Counts the pages of one address range, in processes of which the oldest comes first.
pub(crate) fn range(
    proc: &Proc,
    pids: &[u32],
    part: Range<u64>,
    level: Level,
) -> Result<Copies, MeterError> {
    let page = proc.page_size();
    let part = part.start / page * page..part.end.div_ceil(page).saturating_mul(page);
    let mut pss = Some(0u64);
    let mut reads = Vec::new();
    for pid in pids {
        let stat = proc.stat_with_memory(*pid)?;
        let (_, read) = open(proc, &stat)?;
        let touching = |mapping: &&Mapping| mapping.start < part.end && mapping.end > part.start;
        for mapping in read.mappings.iter().filter(touching) {
            let inside = part.start <= mapping.start && mapping.end <= part.end;
            // The kernel does not say how the PSS of a mapping is spread over it.
            pss = pss
                .filter(|_| inside)
                .and_then(|sum| sum.checked_add(mapping.counts.pss));
        }
        reads.push(read);
    }
    let (mut pages, mut shared) = (PageCounts::default(), SharedPages::default());
    let mut families = in_families(reads).0;
    for members in &mut families {
        let stats: Vec<&Stat> = members.iter().map(|read| &read.stat).collect();
        let members_of = History::default().members(&stats);
        let mut account = Account::new(members_of, level == Level::A, false);
        Walk::new(proc, members, &[], &mut account, &mut shared).run(&part)?;
        pages.add(&account.counts);
    }
    let mut reads = families.iter().flatten();
    if let Some(lost) = reads.find(|read| !has_kept_its_memory(proc, read)) {
        return Err(MeterError::Gone { pid: lost.stat.pid });
    }
    pages.shared = shared.count();
    let mut copies = copies(&pages, 0);
    if copies.value.is_none() {
        copies.reason = Some("nothing in this range is inherited or shared memory".to_owned());
    }
    let counted = pages.frames_and_new() * page;
    copies.agreement = pss.map(|pss| agreement(counted, pss));
    Ok(copies)
}
