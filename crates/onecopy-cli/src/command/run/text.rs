//! The report of a run for people.
#![forbid(unsafe_code)]

use std::io::Write;

use anyhow::Result;

use super::budget::CREDIT;
use super::faults;
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
    let objects = record.why.as_ref().and_then(|why| why.objects.as_ref());
    let tables = match objects.and_then(|objects| objects.seconds) {
        Some(seconds) => {
            format!("; the programs themselves took {seconds:.1} s for tables of their objects")
        }
        None => String::new(),
    };
    line(
        "measuring",
        format!(
            "{} readings and {} glances took {:.2} % of one processor{beyond}{tables}",
            overhead.readings,
            overhead.glances,
            overhead.fraction * 100.0
        ),
    );
    if let Some(reason) = &record.not_counted {
        line("NOT COUNTED", reason.clone());
    }
    if record.faults_unseen > faults::FEW {
        let inherited = record
            .report
            .as_ref()
            .and_then(|report| report.tree.copies.unique);
        // Where nothing was inherited, nothing can have been copied.
        let what = if inherited == Some(0) {
            "touched"
        } else {
            "copied"
        };
        line(
            "unseen",
            format!(
                "{} page faults that no reading has seen: up to {} more may have been {what}; a larger \
                 --overhead looks more often and sooner",
                units::grouped(record.faults_unseen),
                style.size(record.faults_unseen * page_size)
            ),
        );
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::super::sampler::Seen;
    use super::*;

    #[test]
    fn what_nobody_has_inherited_cannot_have_been_copied() {
        let recorded = include_str!("../../../tests/recorded/report.json");
        let mut report: onecopy_meter::Report = serde_json::from_str(recorded).unwrap();
        let mut said = |unique, unseen| {
            report.tree.copies.unique = Some(unique);
            let seen = Seen {
                faults_unseen: unseen,
                report: Some((0.5, report.clone())),
                ..Seen::default()
            };
            let record = super::super::record(Vec::new(), &seen, report.level, None, None);
            let mut text = Vec::new();
            print(&mut text, &record, units::Style::default()).unwrap();
            String::from_utf8(text).unwrap()
        };
        let (copied, touched) = (said(10, 512), said(0, 512));
        assert!(
            copied.contains(
                "512 page faults that no reading has seen: up to 2.00 MiB more may have been copied"
            ),
            "{copied}"
        );
        assert!(touched.contains("may have been touched"), "{touched}");
        assert!(!said(10, faults::FEW).contains("unseen"));
    }

    #[test]
    fn what_the_tables_of_objects_took_is_a_fact_of_the_measuring() {
        let recorded = include_str!("../../../tests/recorded/report.json");
        let report: onecopy_meter::Report = serde_json::from_str(recorded).unwrap();
        let objects = serde_json::from_str(r#"{"types": [], "other": 0, "seconds": 4.5}"#).unwrap();
        let why = crate::command::why::Why {
            objects: Some(objects),
            ..Default::default()
        };
        let seen = Seen {
            report: Some((0.5, report)),
            ..Seen::default()
        };
        let level = onecopy_meter::Level::B;
        let record = super::super::record(Vec::new(), &seen, level, None, Some(why));
        let mut text = Vec::new();
        print(&mut text, &record, units::Style::default()).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(
            text.contains("took 4.5 s for tables of their objects"),
            "{text}"
        );
    }
}
