//! What the kernel tells this process about itself: each way is tried on memory in a known state.
#![forbid(unsafe_code)]

use std::fs;
use std::io;

use anyhow::{Context as _, Result};
use memmap2::{Advice, MmapMut};
use onecopy_meter::{Level, Proc};
use perf_event::Builder;
use perf_event::events::Software;

use super::{Finding, Outcome, kernel};

/// Everything that needs no other process.
pub(super) fn all(proc: &Proc) -> Vec<Finding> {
    vec![
        frames(proc),
        rollup(proc),
        zero_pages(proc),
        faults(),
        queries(),
        written_pages(),
        setting(
            "Yama",
            "/proc/sys/kernel/yama/ptrace_scope",
            "restricts attaching; reading is not affected",
        ),
    ]
}

fn frames(proc: &Proc) -> Finding {
    let shown = proc.level() == Level::A;
    let detail = if shown {
        "shown to this process"
    } else {
        "hidden without CAP_SYS_ADMIN"
    };
    Finding::here("frame numbers (level A)", shown, detail).lost(
        "level B does without them; forks of forks that were not seen are known from PSS alone",
    )
}

fn rollup(proc: &Proc) -> Finding {
    let (name, lost) = (
        "PSS (smaps_rollup)",
        "no agreement with the kernel's own sums, and no level B without it",
    );
    match proc.rollup(std::process::id()) {
        Ok(rollup) if rollup.pss_file.is_some() => {
            Finding::new(name, Outcome::Works, "with its parts")
        }
        Ok(_) => Finding::new(
            name,
            Outcome::NotHere,
            "without its parts (before Linux 5.9)",
        )
        .lost("no agreement, and no physical memory with files"),
        Err(error) => Finding::new(name, Outcome::NotHere, error.to_string()).lost(lost),
    }
}

/// Pages of small memory that is not written yet.
fn fresh(pages: usize, page: usize) -> Result<MmapMut> {
    let map = MmapMut::map_anon(pages * page).context("cannot allocate memory")?;
    // A kernel without huge pages has none to decline.
    let _ = map.advise(Advice::NoHugePage);
    Ok(map)
}

/// Eight pages are read, which gives zero pages; four others are written.
fn zero_pages(proc: &Proc) -> Finding {
    let name = "zero pages (PAGEMAP_SCAN)";
    let page = usize::try_from(proc.page_size()).unwrap_or(4096);
    let counted = fresh(16, page).and_then(|mut map| {
        for number in 0..8 {
            std::hint::black_box(map[number * page]);
        }
        for number in 8..12 {
            map[number * page] = 1;
        }
        let start = map.as_ptr().addr() as u64;
        let range = start..start + map.len() as u64;
        Ok(proc.range(&[std::process::id()], range)?.physical_pages())
    });
    let finding = match counted {
        Ok(Some(4)) => Finding::new(
            name,
            Outcome::Works,
            "4 pages written and found, 8 read and left out",
        ),
        Ok(found) if proc.can_scan() => Finding::new(
            name,
            Outcome::Wrong,
            format!("4 pages written, {found:?} found"),
        ),
        Ok(_) => Finding::new(name, Outcome::NotHere, "before Linux 6.7"),
        Err(error) => Finding::new(name, Outcome::Wrong, format!("{error:#}")),
    };
    finding
        .lost("pages that were only read count as memory, and bits of huge pages cannot be checked")
}

/// Takes 64 page faults under a counter.
fn faults() -> Finding {
    let (name, path) = (
        "page faults (perf events)",
        "/proc/sys/kernel/perf_event_paranoid",
    );
    let counted = || -> Result<u64> {
        let page = rustix::param::page_size();
        let mut map = fresh(64, page)?;
        let mut counter = Builder::new(Software::PAGE_FAULTS).observe_self().build()?;
        counter.enable()?;
        for number in 0..64 {
            map[number * page] = 1;
        }
        counter.disable()?;
        Ok(counter.read()?)
    };
    let setting = match fs::read_to_string(path) {
        Ok(text) => format!("{path} is {}", text.trim()),
        Err(_) => format!("{path} is not there"),
    };
    let finding = match counted() {
        Ok(found) if found >= 64 => Finding::new(
            name,
            Outcome::Works,
            format!("64 faults taken, {found} counted; {setting}"),
        ),
        Ok(found) => Finding::new(
            name,
            Outcome::NotHere,
            format!("64 faults taken, {found} counted"),
        ),
        Err(error) => Finding::new(name, Outcome::NotHere, format!("{error:#}; {setting}")),
    };
    finding.lost("`--why` and `why` cannot say which code wrote")
}

/// Asks for the mapping of a variable of this function.
fn queries() -> Finding {
    let name = "single mappings (PROCMAP_QUERY)";
    let here = std::ptr::from_ref(&name).addr() as u64;
    let finding = match kernel::mapping_at(here) {
        Ok(range) if range.contains(&here) => {
            Finding::new(name, Outcome::Works, "the stack was found")
        }
        Ok(range) => Finding::new(
            name,
            Outcome::Wrong,
            format!("{here:#x} was looked for, {range:x?} found"),
        ),
        Err(error) if is_unknown(&error) => {
            Finding::new(name, Outcome::NotHere, "before Linux 6.11")
        }
        Err(error) => Finding::new(name, Outcome::NotHere, error.to_string()),
    };
    finding.lost("nothing: mappings are read as text everywhere")
}

fn written_pages() -> Finding {
    let name = "written pages (userfaultfd)";
    let finding = match kernel::userfaultfd_tells_writes() {
        Ok(()) => Finding::new(
            name,
            Outcome::Works,
            "could be told; not used, as it changes what is measured",
        ),
        Err(error) if is_unknown(&error) => {
            Finding::new(name, Outcome::NotHere, "before Linux 6.7, or not built in")
        }
        Err(error) => Finding::new(name, Outcome::NotHere, error.to_string()),
    };
    finding.lost("nothing: copies are told by other ways everywhere")
}

/// Whether the kernel has never heard of the question.
fn is_unknown(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let raw = error.raw_os_error();
    [Errno::NOTTY, Errno::INVAL, Errno::NOSYS]
        .iter()
        .any(|code| raw == Some(code.raw_os_error()))
}

/// A kernel setting, as it stands.
fn setting(name: &'static str, path: &str, meaning: &str) -> Finding {
    let finding = match fs::read_to_string(path) {
        Ok(text) => Finding::here(name, true, format!("{path} is {}: {meaning}", text.trim())),
        Err(_) => Finding::here(name, false, format!("{path} is not there")),
    };
    finding.lost("nothing: what it would restrict is not restricted")
}
