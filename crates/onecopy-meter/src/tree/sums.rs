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

/// The same of a tree whose processes read files in place, which are left out: what is said of it names them.
pub(super) fn beside_files(copies: &mut Copies, files: &str) {
    if let (None, Some(reason)) = (copies.value, &copies.reason) {
        let without = reason.replace("the tree shares nothing: ", "");
        copies.reason = Some(format!(
            "{without}; files are one copy, and are left out: {files}"
        ));
    }
}

/// Of so many pages one must be common, or a copy of what is, for a number to speak of the tree.
const TELLING: u64 = 100;

/// The same of a whole tree, without a number where that would speak of next to nothing. The semaphores of a pool, say,
/// are one copy, whatever else each of its workers has unpickled.
pub(super) fn of_tree(pages: &PageCounts, by_pss: u64, page_size: u64) -> Copies {
    let mut copies = copies(pages, by_pss);
    let all = pages.frames_and_new();
    // Copies count here: of what hundreds of workers have copied, the original is a small part as well.
    let judged = pages.sums.frames + pages.shared;
    if copies.value.is_some() && judged.saturating_mul(TELLING) < all {
        copies.value = None;
        copies.reason = Some(format!(
            "processes have {} of {} in common: too little for a number",
            size((pages.sums.unique + pages.shared) * page_size),
            size(all * page_size)
        ));
    }
    copies
}

/// Bytes in units of 1024, short.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        (value, unit) = (value / 1024.0, unit + 1);
    }
    let is_whole = value >= 9.95 || value.fract() < 0.05;
    format!("{value:.*} {}", usize::from(!is_whole), UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(unique: u64, frames: u64, shared: u64, new: u64) -> Copies {
        let mut pages = PageCounts {
            shared,
            ..PageCounts::default()
        };
        (pages.sums.unique, pages.sums.frames, pages.sums.new) = (unique, frames, new);
        of_tree(&pages, 0, 4096)
    }

    #[test]
    fn a_number_that_speaks_of_next_to_nothing_is_none() {
        // A pool that was started anew: two pages of semaphores, and what each worker has unpickled.
        let pool = of(0, 0, 2, 43_800);
        assert_eq!(pool.value, None);
        assert_eq!(
            pool.reason.as_deref(),
            Some("processes have 8 KiB of 171 MiB in common: too little for a number")
        );
        // The parts are known all the same.
        assert_eq!((pool.shared, pool.new), (Some(2), Some(43_800)));
        // One page in a hundred is enough.
        assert_eq!(of(0, 0, 10, 990).value, Some(1.0));
        assert_eq!(of(0, 0, 10, 991).value, None);
        assert_eq!(of(9, 9, 1, 991).value, None);
        // Where all have copied all, the original is a small part, and the number is the point.
        assert_eq!(of(10, 3_000, 0, 1_000).value, Some(300.0));
        let alone = of(0, 0, 0, 500);
        assert!(alone.reason.unwrap().contains("shares nothing"));
    }

    #[test]
    fn sizes_are_short() {
        let shown = [0, 1023, 4096, 10_000, 1_300_000, 171 << 20, 40 << 40].map(size);
        let expected = [
            "0 B", "1023 B", "4 KiB", "9.8 KiB", "1.2 MiB", "171 MiB", "40 TiB",
        ];
        assert_eq!(shown, expected);
    }
}
