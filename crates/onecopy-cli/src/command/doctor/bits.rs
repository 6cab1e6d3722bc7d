//! Bit 56 of `pagemap`, on which level B rests, looked at directly: what it says after a fork, after a
//! write, after an exit, and behind huge-page entries.
#![forbid(unsafe_code)]

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;

use anyhow::{Context as _, Result};
use onecopy_meter::Proc;
use onecopy_meter::parse::{PageState, pagemap};

use super::experiment::{HUGE, Memory, forked};
use super::{Finding, Outcome};

/// Pages that a worker writes: not the first of a huge page, whose bit newer kernels show for all of it.
const WRITTEN: Range<usize> = 5..15;

/// Both experiments.
pub(super) fn all(proc: &Proc) -> Vec<Finding> {
    vec![small(proc), huge(proc)]
}

/// For each process, the pages that are mapped once.
fn mapped_once(pids: &[u32], range: &Range<u64>, page: u64) -> Result<Vec<Vec<usize>>> {
    let of = |pid: &u32| -> Result<Vec<usize>> {
        let path = format!("/proc/{pid}/pagemap");
        let file = File::open(&path).context(path.clone())?;
        let mut bytes = vec![0; usize::try_from((range.end - range.start) / page * 8)?];
        file.read_exact_at(&mut bytes, range.start / page * 8)
            .context(path)?;
        let once = |(number, state): (usize, &PageState)| state.is_mapped_once().then_some(number);
        Ok(pagemap(&bytes[..])?
            .iter()
            .enumerate()
            .filter_map(once)
            .collect())
    };
    pids.iter().map(of).collect()
}

fn small(proc: &Proc) -> Finding {
    let (name, count) = ("mapped once (bit 56)", 64);
    let page = proc.page_size();
    let look = |pids: &[u32], range: Range<u64>| mapped_once(pids, &range, page);
    let written: Vec<usize> = WRITTEN.collect();
    let finding = match forked(proc, &Memory::Small, count, &[WRITTEN], look) {
        Ok(Some((during, after)))
            if during.iter().all(|found| *found == written)
                && after.iter().all(|found| found.len() == count) =>
        {
            let detail = "not set after a fork, set on both sides after a write, set after an exit";
            Finding::new(name, Outcome::Works, detail)
        }
        Ok(Some((during, after))) => Finding::new(
            name,
            Outcome::NotHere,
            format!(
                "of {count} pages {} were written; set are {during:?}, and {} after the exit",
                written.len(),
                after.first().map_or(0, Vec::len)
            ),
        ),
        Ok(None) => Finding::new(name, Outcome::NotHere, "no memory to try it on"),
        Err(error) => Finding::new(name, Outcome::NotHere, format!("{error:#}")),
    };
    finding.lost("level B: copies cannot be counted without frame numbers")
}

fn huge(proc: &Proc) -> Finding {
    let name = "the same of huge pages";
    let page = proc.page_size();
    let count = 2 * HUGE / usize::try_from(page).unwrap_or(4096);
    let look = |pids: &[u32], range: Range<u64>| mapped_once(pids, &range, page);
    let written: Vec<usize> = WRITTEN.collect();
    let finding = match forked(proc, &Memory::Huge, count, &[WRITTEN], look) {
        Ok(Some((during, _))) if during.first() == Some(&written) => {
            Finding::new(name, Outcome::Works, "each page has its own")
        }
        Ok(Some(_)) => Finding::new(
            name,
            Outcome::NotHere,
            "the first page's bit is shown for all (since Linux 6.15)",
        ),
        Ok(None) => Finding::new(name, Outcome::NotHere, "this machine gives no huge pages"),
        Err(error) => Finding::new(name, Outcome::NotHere, format!("{error:#}")),
    };
    finding.lost("level B asks smaps instead, and may miss copies of whole huge pages in mappings that are partly shared")
}
