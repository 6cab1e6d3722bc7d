//! What the experiment found, as data.
#![forbid(unsafe_code)]

use onecopy_meter::{Meminfo, ProcessMemory, Report};
use serde::{Deserialize, Serialize};

use crate::cli::Share;
use crate::options::DemoOptions;
use crate::output::units::Bytes;

/// The form of [`Outcome`] as data; changes whenever a field changes its meaning.
pub(crate) const SCHEMA: &str = "onecopy.demo/1";

/// The whole experiment.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) schema: String,
    #[serde(flatten)]
    pub(crate) options: DemoOptions,
    pub(crate) page_size: u64,
    /// The lines of the log, in order.
    pub(crate) moments: Vec<Moment>,
    pub(crate) workers_found: Vec<WorkerFinding>,
    pub(crate) verdict: Totals,
    /// The meter's report of the tree while all workers were alive.
    pub(crate) report: Report,
}

/// The machine and one process at one moment.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Moment {
    pub(crate) when: String,
    /// 0 for the first worker; `None` for the parent.
    pub(crate) worker: Option<usize>,
    pub(crate) machine: Meminfo,
    /// The sum that the original experiment logged.
    pub(crate) free_buffers_cached: u64,
    pub(crate) memory: ProcessMemory,
}

/// What one worker computed and holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct WorkerFinding {
    pub(crate) index: usize,
    pub(crate) pid: u32,
    pub(crate) row: u64,
    pub(crate) row_sum: f64,
    pub(crate) total: f64,
    pub(crate) seconds: f64,
    /// Its RSS of the array.
    pub(crate) data_rss: u64,
    /// Pages of the array that it has for itself because it wrote to them.
    pub(crate) data_copied: u64,
    /// Memory of its own beyond the array, its stack and libraries.
    pub(crate) private_elsewhere: u64,
}

/// What the memory of all processes amounts to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Totals {
    /// Physical memory behind the array divided by the array's size in whole pages.
    pub(crate) copies: f64,
    /// What arithmetic says: 1 + workers × pages written / pages.
    pub(crate) copies_expected: f64,
    /// Physical memory behind the array.
    pub(crate) physical_bytes: u64,
    /// The array in whole pages.
    pub(crate) distinct_bytes: u64,
    /// What adding up RSS would make of the array.
    pub(crate) rss_bytes: u64,
    /// The same as a number of copies.
    pub(crate) rss_copies: f64,
    /// ΣPSS of the parent before allocating.
    pub(crate) sum_pss_before: u64,
    /// Physical memory of all processes while all were alive: ΣPSS, and what a store occupies
    /// beyond the pages that somebody has mapped.
    pub(crate) sum_pss_with_workers: u64,
    /// Growth of that divided by the array's size: the workers' own memory included.
    pub(crate) growth_copies: f64,
    /// The largest `private_elsewhere`.
    pub(crate) private_elsewhere_max: u64,
    /// In plain words.
    pub(crate) sentence: String,
}

impl Totals {
    /// Says it in plain words.
    pub(crate) fn sentence(options: &DemoOptions, copies: f64, rss_copies: f64) -> String {
        let (workers, size) = (options.workers, Bytes(options.data_bytes));
        let all = options.processes();
        let noun = if workers == 1 { "worker" } else { "workers" };
        let means = match options.share {
            Share::Fork => "fork copied no page that was only read",
            Share::Store => "it lies in a store, and the workers read it there",
        };
        if options.written_rows == 0 {
            return format!(
                "All {all} processes use {copies:.3} copies of the {size} array between them: \
                 {means}. Adding up RSS would claim {rss_copies:.2}."
            );
        }
        format!(
            "{workers} {noun} overwrote {} of {} rows each, and each got pages of its own for \
             exactly these: {copies:.2} copies of the {size} array. Adding up RSS would claim \
             {rss_copies:.2}.",
            crate::output::units::grouped(options.written_rows),
            crate::output::units::grouped(options.n),
        )
    }
}
