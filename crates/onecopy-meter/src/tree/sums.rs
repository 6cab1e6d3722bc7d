//! Sums over the tree.
#![forbid(unsafe_code)]

use crate::account::PageCounts;
use crate::error::MeterError;
use crate::report::{Copies, ProcessMemory, Tree};

pub(super) fn sums(processes: &[ProcessMemory], complete: bool) -> Result<Tree, MeterError> {
    // A field that one kernel does not tell is unknown for the sum as well.
    let sum = |what, get: fn(&ProcessMemory) -> Option<u64>| {
        if !complete {
            return Ok(None);
        }
        let mut total = 0u64;
        for process in processes {
            let Some(value) = get(process) else {
                return Ok(None);
            };
            total = total.checked_add(value).ok_or(MeterError::Overflow {
                what,
                processes: processes.len(),
            })?;
        }
        Ok(Some(total))
    };
    Ok(Tree {
        processes: processes.len(),
        sum_rss: sum("RSS", |process| Some(process.rss))?,
        sum_pss: sum("PSS", |process| Some(process.pss))?,
        sum_uss: sum("USS", |process| Some(process.uss))?,
        sum_private_dirty: sum("private dirty pages", |process| Some(process.private_dirty))?,
        sum_pss_anon: sum("anonymous PSS", |process| process.pss_anon)?,
        sum_pss_file: sum("file PSS", |process| process.pss_file)?,
        sum_pss_shmem: sum("shared-memory PSS", |process| process.pss_shmem)?,
        sum_swap_pss: sum("swap", |process| process.swap_pss)?,
        allocated: None,
        copies: unknown("not every process of the tree could be read"),
    })
}

/// 1 − the part of `pss` that `counted` does not explain.
pub(super) fn agreement(counted: u64, pss: u64) -> f64 {
    1.0 - counted.abs_diff(pss) as f64 / pss.max(1) as f64
}

pub(super) fn explained(pages: &PageCounts, tree: &Tree, page_size: u64) -> Option<f64> {
    let (pss, file) = tree.sum_pss.zip(tree.sum_pss_file)?;
    if pss == 0 {
        // A tree without memory, of kernel threads say: there is nothing to agree about.
        return None;
    }
    Some(agreement(pages.frames_and_new() * page_size + file, pss))
}

/// Nothing but the reason: sums of a part would be taken for those of the whole.
pub(super) fn unknown(reason: &str) -> Copies {
    Copies {
        value: None,
        reason: Some(reason.to_owned()),
        unique: None,
        frames: None,
        shared: None,
        new: None,
        wasted: None,
        saved: None,
        by_pss: None,
        agreement: None,
    }
}

/// What the pages of all processes come to.
pub(super) fn copies(pages: &PageCounts, by_pss: u64) -> Copies {
    let sums = &pages.sums;
    let distinct = sums.unique + pages.shared;
    let value = (sums.frames + pages.shared) as f64 / distinct.max(1) as f64;
    let nothing = "the tree shares nothing: no fork family and no shared memory in it";
    Copies {
        value: (distinct > 0).then_some(value),
        reason: (distinct == 0).then(|| nothing.to_owned()),
        unique: Some(sums.unique),
        frames: Some(sums.frames),
        shared: Some(pages.shared),
        new: Some(sums.new),
        wasted: Some(sums.frames - sums.unique),
        saved: Some(sums.present.saturating_sub(sums.frames)),
        by_pss: Some(by_pss),
        agreement: None,
    }
}
