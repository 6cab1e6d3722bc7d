//! `onecopy demo`: an array, workers that read it, and the memory of everybody at the same moment.
//!
//! ```text
//! parent   measure ▶ allocate ▶ measure ▶ start ──────────────▶ measure all ▶ let go ▶ verdict
//! worker                                   └▶ sum row, read all, write, pause ──────┘
//! ```
//! The number of copies is physical pages behind the array divided by its pages. For memory shared by
//! fork the pages are counted one by one over all processes, and checked against the kernel's PSS; for
//! a store they are what its memory file occupies and what private writes have copied out of it.
#![forbid(unsafe_code)]

mod data;
mod outcome;
mod worker;

use std::io::Write;

use anyhow::{Context as _, Result, bail, ensure};
use indicatif::ProgressBar;
use onecopy::fork::{Running, Workers};
use onecopy_meter::{Mapping, MappingKind, MemoryCounts, Report};

use crate::cli::{DemoArguments, Share};
use crate::options::DemoOptions;
use crate::output::{json, table};
use data::{Data, Place};
use outcome::SCHEMA;
pub(crate) use outcome::{Moment, Outcome, Totals, WorkerFinding};
use worker::Reply;

/// Runs the experiment and prints it: the log as it happens, then the tables.
pub(crate) fn run(arguments: &DemoArguments, out: &mut dyn Write) -> Result<()> {
    let options = DemoOptions::resolve(arguments)?;
    options.check_fits(&onecopy_meter::meminfo()?)?;
    let outcome = if arguments.json {
        measure(&options, &mut |_| Ok(()))?
    } else {
        table::title(out, &options)?;
        measure(&options, &mut |moment| table::log_line(out, moment))?
    };
    if arguments.json {
        json::write(out, &outcome)
    } else {
        table::outcome(out, &outcome)
    }
}

/// What the processes hold at one moment, and how much of it is the array.
struct Held {
    rows: Vec<Mapping>,
}

impl Held {
    fn of(pid: u32) -> Result<Self> {
        Ok(Self {
            rows: onecopy_meter::mappings(pid)?,
        })
    }

    /// Sums the counts of the mappings that `choose` takes.
    fn sum(&self, choose: impl Fn(&Mapping) -> bool) -> MemoryCounts {
        let mut sum = MemoryCounts::default();
        self.rows
            .iter()
            .filter(|mapping| choose(mapping))
            .for_each(|row| sum.add(&row.counts));
        sum
    }
}

fn measure(options: &DemoOptions, log: &mut dyn FnMut(&Moment) -> Result<()>) -> Result<Outcome> {
    let parent = std::process::id();
    let mut moments = Vec::new();
    let mut note = |when: &str, worker, pid| -> Result<()> {
        let moment = Moment::now(when, worker, pid)?;
        log(&moment)?;
        moments.push(moment);
        Ok(())
    };

    let place = Place::new(options.share)?;
    note("before allocating", None, parent)?;
    let before = alone(parent)?;
    let data = place.allocate(options)?;
    let total = data.read(worker::total);
    ensure!(
        worker::is(total, worker::expected_total(options)),
        "the parent reads a sum of {total}"
    );
    note("after allocating", None, parent)?;

    // The closure allocates and reads and writes memory, and takes no lock of anybody's, so threads
    // that a host program may have (Python's numerical libraries start some) do no harm.
    let workers = Workers::new(usize::try_from(options.workers)?).allow_threads(true);
    options.check_still_fits(&onecopy_meter::meminfo()?, 0)?;
    let waiting = ProgressBar::new_spinner().with_message("the workers are reading the array");
    let mut running = workers.start(|worker| worker::work(worker, options, &data))?;
    waiting.tick();
    let paused = running.wait_paused()?;
    waiting.finish_and_clear();
    if paused < usize::try_from(options.workers)? {
        return Err(first_failure(running));
    }
    let pids = running.pids();
    for (index, pid) in pids.iter().enumerate() {
        note(&format!("worker {}", index + 1), Some(index), *pid)?;
    }
    note("all are alive", None, parent)?;
    let seen = Seen::now(parent, &pids, &data)?;
    let replies = running
        .join()?
        .into_iter()
        .collect::<Result<Vec<Reply>, _>>()?;
    let total = data.read(worker::total);
    ensure!(
        worker::is(total, worker::expected_total(options)),
        "what a worker wrote is visible in the parent: it reads a sum of {total}"
    );
    let workers_found = seen.findings(options, &data, &pids, &replies)?;
    let verdict = seen.verdict(options, &data, &before, &workers_found)?;
    Ok(Outcome {
        schema: SCHEMA.to_owned(),
        options: options.clone(),
        page_size: seen.report.page_size,
        moments,
        workers_found,
        verdict,
        report: seen.report,
    })
}

fn alone(pid: u32) -> Result<Report> {
    let report = onecopy_meter::Proc::default().alone(pid)?;
    ensure!(
        report.complete,
        "this process could not be measured: {}",
        report.limits.join("; ")
    );
    Ok(report)
}

/// Why not all workers got as far as the measurement.
fn first_failure(running: Running<Reply>) -> anyhow::Error {
    match running.join() {
        Err(error) => error.into(),
        Ok(results) => results.into_iter().find_map(Result::err).map_or_else(
            || anyhow::anyhow!("a worker did not wait to be measured"),
            Into::into,
        ),
    }
}

impl Moment {
    fn now(when: &str, worker: Option<usize>, pid: u32) -> Result<Self> {
        let machine = onecopy_meter::meminfo()?;
        Ok(Self {
            when: when.to_owned(),
            worker,
            machine,
            free_buffers_cached: machine.free_buffers_cached(),
            memory: onecopy_meter::process(pid)?,
        })
    }
}

/// Everything that was read while all workers were alive.
struct Seen {
    report: Report,
    parent: Held,
    workers: Vec<Held>,
    /// Counted page by page, for memory shared by fork.
    pages: Option<onecopy_meter::Copies>,
}

impl Seen {
    fn now(parent: u32, workers: &[u32], data: &Data) -> Result<Self> {
        let report = onecopy_meter::tree(parent)?;
        ensure!(
            report.complete,
            "the tree could not be measured: {}",
            report.limits.join("; ")
        );
        let pids: Vec<u32> = std::iter::once(parent)
            .chain(workers.iter().copied())
            .collect();
        let addresses = data.addresses(report.page_size);
        let pages = match data {
            Data::Fork(_) => Some(onecopy_meter::range(&pids, addresses)?),
            Data::Store { .. } => None,
        };
        Ok(Self {
            parent: Held::of(parent)?,
            workers: workers
                .iter()
                .map(|pid| Held::of(*pid))
                .collect::<Result<_>>()?,
            report,
            pages,
        })
    }

    /// Tells the array's mappings from all others.
    fn is_data(&self, data: &Data) -> impl Fn(&Mapping) -> bool + Copy {
        let addresses = data.addresses(self.report.page_size);
        let (start, end) = (addresses.start, addresses.end);
        let store = self
            .report
            .stores
            .iter()
            .find(|store| data.store_id() == Some(&store.id));
        let file = store.map(|store| (store.device, store.inode));
        move |mapping| match file {
            Some(file) => (mapping.device, mapping.inode) == file,
            None => start <= mapping.start && mapping.end <= end,
        }
    }

    fn findings(
        &self,
        options: &DemoOptions,
        data: &Data,
        pids: &[u32],
        replies: &[Reply],
    ) -> Result<Vec<WorkerFinding>> {
        let is_data = self.is_data(data);
        let mut findings = Vec::new();
        for (index, ((held, pid), answer)) in self.workers.iter().zip(pids).zip(replies).enumerate()
        {
            answer.check(index, options)?;
            let array = held.sum(is_data);
            let own = held.sum(|mapping| {
                let kind = mapping.kind();
                let other = matches!(
                    kind,
                    MappingKind::Stack | MappingKind::File | MappingKind::Special
                );
                !other && !is_data(mapping)
            });
            findings.push(WorkerFinding {
                index,
                pid: *pid,
                row: answer.row,
                row_sum: answer.row_sum,
                total: answer.total,
                seconds: answer.seconds,
                data_rss: array.rss,
                data_copied: match options.share {
                    Share::Fork => array.uss(),
                    Share::Store => array.anonymous,
                },
                private_elsewhere: own.uss(),
            });
        }
        Ok(findings)
    }

    fn verdict(
        &self,
        options: &DemoOptions,
        data: &Data,
        before: &Report,
        workers: &[WorkerFinding],
    ) -> Result<Totals> {
        let page = self.report.page_size;
        let is_data = self.is_data(data);
        let distinct_bytes = options.data_bytes.next_multiple_of(page);
        let (physical_bytes, untouched) = match (&self.pages, data.store_id()) {
            (Some(pages), _) => {
                let counted = pages.physical_pages();
                (
                    counted.context("the pages of the array are not known")? * page,
                    0,
                )
            }
            (None, Some(id)) => {
                let occupied = |report: &Report| {
                    let store = report.stores.iter().find(|store| store.id == id);
                    store
                        .and_then(|store| store.allocated)
                        .context("the store cannot be measured")
                };
                let grown = occupied(&self.report)?.saturating_sub(occupied(before)?);
                let copied: u64 = workers.iter().map(|worker| worker.data_copied).sum();
                let mapped = self.report.stores.iter().flat_map(|store| &store.users);
                let seen: u64 = mapped.map(|user| user.pss).sum();
                (
                    grown + copied,
                    (occupied(&self.report)? + copied).saturating_sub(seen),
                )
            }
            (None, None) => bail!("the array is neither in a store nor in memory of its own"),
        };
        let all = std::iter::once(&self.parent).chain(&self.workers);
        let rss_bytes = all.map(|held| held.sum(is_data).rss).sum::<u64>();
        let written = options.written_bytes().next_multiple_of(page) * options.workers;
        let copies = physical_bytes as f64 / distinct_bytes as f64;
        let rss_copies = rss_bytes as f64 / distinct_bytes as f64;
        let sum_pss = |report: &Report| report.tree.sum_pss.context("the sum of PSS is not known");
        let (sum_pss_before, pss) = (sum_pss(before)?, sum_pss(&self.report)?);
        let sum_pss_with_workers = pss + untouched;
        let growth = sum_pss_with_workers.saturating_sub(sum_pss_before);
        Ok(Totals {
            copies,
            copies_expected: 1.0 + written as f64 / distinct_bytes as f64,
            physical_bytes,
            distinct_bytes,
            rss_bytes,
            rss_copies,
            sum_pss_before,
            sum_pss_with_workers,
            growth_copies: growth as f64 / distinct_bytes as f64,
            private_elsewhere_max: workers
                .iter()
                .map(|w| w.private_elsewhere)
                .max()
                .unwrap_or(0),
            sentence: Totals::sentence(options, copies, rss_copies),
        })
    }
}
