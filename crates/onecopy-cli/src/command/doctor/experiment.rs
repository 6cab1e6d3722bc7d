//! Experiments: memory in a known state, and what the meter says of it.
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::ops::Range;

use anyhow::{Context as _, Result, ensure};
use memmap2::{Advice, MmapMut};
use onecopy::fork::Workers;
use onecopy_meter::{Copies, Level, Proc};

use super::{Finding, Outcome};

/// Bytes of a huge page where pages have 4 KiB; experiments with them need no exact size.
pub(super) const HUGE: usize = 2 << 20;

/// All experiments at one level.
pub(super) fn all(proc: &Proc, level: Level) -> Vec<Finding> {
    let page = usize::try_from(proc.page_size()).unwrap_or(4096);
    let a = level == Level::A;
    let mut findings = Vec::new();
    let lost = if a {
        "copies at level A, as root measures, are not to be believed here"
    } else {
        "copies at level B, as all others measure, are not to be believed here"
    };
    let mut check = |name_a, name_b, expected: u64, found: Result<Option<Copies>>| {
        let name = if a { name_a } else { name_b };
        let finding = match found {
            Ok(None) => Finding::new(name, Outcome::NotHere, "this machine gives no huge pages"),
            Ok(Some(copies)) => match copies.physical_pages() {
                Some(found) if found == expected => Finding::new(
                    name,
                    Outcome::Works,
                    format!("{expected} frames expected and found"),
                ),
                found => Finding::new(
                    name,
                    Outcome::Wrong,
                    format!("{expected} frames expected, {found:?} found"),
                ),
            },
            Err(error) => Finding::new(name, Outcome::Wrong, format!("{error:#}")),
        };
        findings.push(finding.lost(lost));
    };
    let look = |pids: &[u32], range: Range<u64>| Ok(proc.range(pids, range)?);
    let counted = |memory: &Memory, count: usize, writes: &[Range<usize>]| {
        let found = forked(proc, memory, count, writes, look)?;
        Ok(found.map(|(during, _)| during))
    };
    let small = |writes: &[Range<usize>]| counted(&Memory::Small, 4_096, writes);
    check(
        "A: pages that workers copied",
        "B: pages that workers copied",
        4_096 + 1_000 + 2_000 + 500,
        small(&[0..1_000, 500..2_500, 0..0, 3_000..3_500]),
    );
    check(
        "A: pages that nobody copied",
        "B: pages that nobody copied",
        4_096,
        small(&[0..0, 0..0]),
    );
    let huge = |writes: &[Range<usize>]| counted(&Memory::Huge, 4 * HUGE / page, writes);
    let all = (4 * HUGE / page) as u64;
    check(
        "A: parts of huge pages",
        "B: parts of huge pages",
        all + 3,
        huge(&[5..8, 0..0]),
    );
    check(
        "A: first parts of huge pages",
        "B: first parts of huge pages",
        all + 3,
        huge(&[0..3, 0..0]),
    );
    findings
}

pub(super) enum Memory {
    Small,
    Huge,
}

/// Forks a worker for each range of pages, which it overwrites; looks while all are alive, this process
/// first, and once more at this process alone when they have gone. `None` when there are no huge pages to
/// be had.
pub(super) fn forked<T>(
    proc: &Proc,
    memory: &Memory,
    count: usize,
    writes: &[Range<usize>],
    look: impl Fn(&[u32], Range<u64>) -> Result<T>,
) -> Result<Option<(T, T)>> {
    let page = usize::try_from(proc.page_size()).unwrap_or(4096);
    let len = count * page;
    let mut map = MmapMut::map_anon(len + HUGE).context("cannot allocate memory")?;
    let advice = match memory {
        Memory::Small => Advice::NoHugePage,
        Memory::Huge => Advice::HugePage,
    };
    // A kernel without huge pages has none to decline.
    let advised = map.advise(advice).is_ok();
    let skip = map.as_ptr().align_offset(HUGE);
    map[skip..skip + len].fill(1);
    let start = map[skip..].as_ptr().addr() as u64;
    let range = start..start + len as u64;
    let own = std::process::id();
    if matches!(memory, Memory::Huge) {
        let mappings = proc.mappings(own)?;
        let mut covering = mappings
            .iter()
            .filter(|row| row.start <= start && start < row.end);
        if !advised || !covering.any(|row| row.counts.anonymous_huge >= len as u64) {
            return Ok(None);
        }
    }
    let map = RefCell::new(map);
    let workers = Workers::new(writes.len()).allow_threads(true);
    let mut running = workers.start(|worker| {
        for number in writes[worker.index()].clone() {
            map.borrow_mut()[skip + number * page] = 2;
        }
        worker.pause();
    })?;
    let paused = running.wait_paused()?;
    ensure!(
        paused == writes.len(),
        "a worker ended before it could be measured"
    );
    let pids: Vec<u32> = std::iter::once(own).chain(running.pids()).collect();
    let during = look(&pids, range.clone());
    running.resume()?;
    running.join()?;
    Ok(Some((during?, look(&[own], range)?)))
}
