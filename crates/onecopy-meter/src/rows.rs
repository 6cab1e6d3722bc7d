//! Rows of the account as rows of the report: large ones by themselves, small ones of
//! one label added up.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use crate::account::{Part, Row};
use crate::page_sums::ProcessPages;
use crate::parse::MappingKind;
use crate::report::{MappingMemory, MappingUse};

/// Pages from which on a mapping gets a row of its own.
const LARGE: u64 = 256;

/// Adds up small mappings and puts numbers into the report's units.
pub(crate) fn summed(rows: Vec<Row>, pids: &[u32], page_size: u64) -> Vec<MappingMemory> {
    let mut single = Vec::new();
    // A tag may have any name, that of a mapping too.
    let mut small: BTreeMap<(String, bool, MappingKind), Row> = BTreeMap::new();
    for row in rows {
        if row.len >= LARGE {
            single.push((true, row));
            continue;
        }
        let key = (row.label.clone(), row.tagged, row.kind);
        match small.get_mut(&key) {
            Some(sum) => add(sum, &row),
            None => {
                small.insert(key, row);
            }
        }
    }
    single.extend(small.into_values().map(|row| (false, row)));
    single
        .into_iter()
        .filter(|(_, row)| row.sums.frames + row.sums.new + row.shared > 0)
        .map(|(alone, row)| finished(row, pids, page_size, alone))
        .collect()
}

fn add(sum: &mut Row, row: &Row) {
    sum.sums += row.sums;
    sum.shared += row.shared;
    for (pages, more) in sum.members.iter_mut().zip(&row.members) {
        *pages += *more;
    }
    sum.strips.clear();
}

fn finished(row: Row, pids: &[u32], page_size: u64, alone: bool) -> MappingMemory {
    let pages = row.sums.unique + row.shared;
    let frames = row.sums.frames + row.shared;
    let per_part = row.len as f64 / crate::account::STRIP as f64;
    let mut strips = row.strips.into_iter();
    let processes = pids
        .iter()
        .zip(&row.members)
        .map(|(pid, member)| MappingUse {
            pid: *pid,
            pages: member.to_bytes(page_size),
            strip: strips
                .next()
                .map(|parts| parts.iter().map(|part| letter(*part, per_part)).collect())
                .unwrap_or_default(),
        })
        .filter(|user| row.members.len() == 1 || user.pages != ProcessPages::default().to_bytes(1))
        .collect();
    MappingMemory {
        label: row.label,
        kind: row.kind,
        tagged: row.tagged,
        start: alone.then(|| row.start * page_size),
        pages: Some(pages),
        frames: Some(frames),
        new: Some(row.sums.new),
        copies: (pages > 0).then(|| frames as f64 / pages as f64),
        processes,
    }
}

/// One part of a strip: what most of its pages are, but a few copied pages are always seen.
fn letter(part: Part, pages: f64) -> char {
    let (shared, own, new) = (
        f64::from(part.shared),
        f64::from(part.own),
        f64::from(part.new),
    );
    if new > (shared + own).max(pages / 4.0) {
        'n'
    } else if own > shared {
        'c'
    } else if own > 0.0 {
        '+'
    } else if shared > 0.0 {
        's'
    } else {
        '.'
    }
}
