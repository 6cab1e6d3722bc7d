//! The report of a run for people.
#![forbid(unsafe_code)]

use std::io::Write;

use anyhow::Result;

use super::budget::CREDIT;
use super::record::Record;
use crate::output::{report as text, units, why};

/// Prints the report.
pub(super) fn print(out: &mut dyn Write, record: &Record, style: units::Style) -> Result<()> {
    if let Some(report) = &record.report {
        let heading = text::Heading {
            moment: Some(format!(
                "{:.1} s, read at {:.1} s",
                record.seconds,
                record.report_t.unwrap_or_default()
            )),
            lines: lines(record, report.page_size, style),
        };
        text::report(out, report, &heading, style)?;
        if let Some(why) = &record.why {
            why::why(out, why, report.page_size, style)?;
        }
    } else {
        let reason = record.reason.as_deref().unwrap_or("no reason is known");
        writeln!(
            out,
            "── onecopy ─ {:.1} s ─ nothing measured: {reason}",
            record.seconds
        )?;
    }
    if !record.left_behind.is_empty() {
        let pids: Vec<String> = record.left_behind.iter().map(u32::to_string).collect();
        writeln!(out, "  note: still running: processes {}", pids.join(", "))?;
    }
    out.flush()?;
    Ok(())
}

fn lines(record: &Record, page_size: u64, style: units::Style) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    let mut line = |name: &str, text: String| lines.push((name.to_owned(), text));
    if let (Some(physical), Some(t)) = (record.peak_physical, record.peak_physical_t) {
        let most = match (record.max_copies, record.max_copies_t) {
            (Some(copies), Some(t)) => format!("; most copies {copies:.2} × at {t:.1} s"),
            _ => String::new(),
        };
        let kernel = record.cgroup_peak.map_or_else(String::new, |peak| {
            format!("; cgroup memory.peak {}", style.size(peak))
        });
        line(
            "peak",
            format!(
                "{:<12} at {t:.1} s; sum of RSS at most {}{most}{kernel}",
                style.size(physical),
                style.size(record.peak_sum_rss)
            ),
        );
    }
    let overhead = &record.overhead;
    let beyond = if overhead.fraction > overhead.allowed {
        format!(
            ", more than the {} % of --overhead: programs that run for a short time are measured on a credit of \
             {:.1} s",
            overhead.allowed * 100.0,
            CREDIT.as_secs_f64()
        )
    } else {
        String::new()
    };
    line(
        "measuring",
        format!(
            "{} readings and {} glances took {:.2} % of one processor{beyond}",
            overhead.readings,
            overhead.glances,
            overhead.fraction * 100.0
        ),
    );
    if let Some(reason) = &record.not_counted {
        line("NOT COUNTED", reason.clone());
    }
    // What one reading allocates is no more than this.
    if record.faults_unseen > 256 {
        line(
            "unseen",
            format!(
                "{} page faults after the last reading: up to {} more may have been copied; a larger \
                 --overhead looks more often and sooner",
                units::grouped(record.faults_unseen),
                style.size(record.faults_unseen * page_size)
            ),
        );
    }
    lines
}
