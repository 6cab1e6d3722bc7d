//! The report of a run for people.
#![forbid(unsafe_code)]

use std::io::Write;

use anyhow::Result;

use super::budget::CREDIT;
use super::record::{Overhead, Record};
use crate::output::text::{paragraph, pids};
use crate::output::{answer, report as text, units, why};

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
        let text = format!(
            "── onecopy ─ {:.1} s ─ nothing measured: {reason}",
            record.seconds
        );
        paragraph(out, "", 11, &text, style.columns)?;
    }
    if !record.left_behind.is_empty() {
        let text = format!("still running: {}", pids(&record.left_behind));
        paragraph(out, "  note: ", 8, &text, style.columns)?;
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
    let objects = record.why.as_ref().and_then(|why| why.objects.as_ref());
    let tables = match objects.and_then(|objects| objects.seconds) {
        Some(seconds) => {
            format!("; the programs themselves took {seconds:.1} s for tables of their objects")
        }
        None => String::new(),
    };
    line("measuring", format!("{}{tables}", measuring(overhead)));
    if let Some(reason) = &record.not_counted {
        line("NOT COUNTED", reason.clone());
    }
    if let Some(unseen) = answer::unseen(record, page_size, style) {
        line("unseen", unseen);
    }
    lines
}

/// What measuring took, and whether that was more than it may.
fn measuring(overhead: &Overhead) -> String {
    let count = |number: usize, one: &str| match number {
        1 => format!("1 {one}"),
        more => format!("{more} {one}s"),
    };
    let (readings, glances) = (
        count(overhead.readings, "reading"),
        count(overhead.glances, "glance"),
    );
    let took = format!(
        "{readings} and {glances} took {:.2} s",
        overhead.cpu_seconds
    );
    let (part, credit) = (overhead.fraction * 100.0, CREDIT.as_secs_f64());
    let earned = overhead.cpu_seconds * overhead.allowed / overhead.fraction.max(1e-9);
    if overhead.fraction <= overhead.allowed {
        format!("{took} of processor time, {part:.2} % of one processor")
    } else if overhead.cpu_seconds <= earned + credit {
        format!("{took} of processor time, within the credit of {credit:.1} s")
    } else {
        let allowed = overhead.allowed * 100.0;
        format!(
            "{took} of processor time, {part:.2} % of one processor: beyond the {allowed} % of --overhead and the credit of {credit:.1} s"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::{sampler::Seen, unseen};
    use super::*;

    #[test]
    fn what_measuring_took_is_no_accusation_within_the_credit() {
        let said = |cpu_seconds: f64, fraction: f64| {
            measuring(&Overhead {
                allowed: 0.01,
                readings: 1,
                glances: 12,
                cpu_seconds,
                fraction,
                longest_reading: 0.01,
            })
        };
        let short = said(0.05, 0.0225);
        assert_eq!(
            short,
            "1 reading and 12 glances took 0.05 s of processor time, within the credit of 0.6 s"
        );
        let long = said(0.9, 0.009);
        assert!(long.ends_with("0.90 % of one processor"), "{long}");
        // A minute and a half, of which the first half spent what it had not earned yet.
        assert!(said(1.4, 0.0155).ends_with("within the credit of 0.6 s"));
        let beyond = said(2.0, 0.02);
        assert!(
            beyond.ends_with(
                "2.00 % of one processor: beyond the 1 % of --overhead and the credit of 0.6 s"
            ),
            "{beyond}"
        );
    }

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
        assert!(!said(10, unseen::FEW).contains("unseen"));
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
