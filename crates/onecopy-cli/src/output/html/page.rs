//! The page: the answer first, as a number, as blocks and as a sentence.
#![forbid(unsafe_code)]

use std::io::Write;

use anyhow::Result;
use onecopy_meter::Report;

use super::svg::{STYLE, escaped};
use super::{NARROW, Subject, WIDE, flame, strips, timeline, treemap};
use crate::output::report::{by_label, members, reason, role};
use crate::output::units::Style;

const PAGE_STYLE: &str = include_str!("page.css");
/// Copies up to which the number is shown as good.
const FEW: f64 = 1.1;
/// Rows of the table of mappings.
const ROWS: usize = 30;

/// Writes the page.
pub(crate) fn write(out: &mut dyn Write, subject: Subject<'_>) -> Result<()> {
    write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{}</title>\n<style>{STYLE}{PAGE_STYLE}</style></head><body>\n",
        escaped(&title(subject))
    )?;
    writeln!(out, "<h1>{}</h1>", escaped(&heading(subject)))?;
    if let Some(report) = subject.report {
        answer(out, subject, report)?;
        drawings(out, subject, report)?;
        tables(out, report)?;
        notes(out, subject, report)?;
    } else {
        let reason = subject.record.and_then(|record| record.reason.as_deref());
        let reason = reason.unwrap_or("no reason is known");
        writeln!(
            out,
            "<p class=\"sentence\">Nothing was measured: {}.</p>",
            escaped(reason)
        )?;
    }
    writeln!(out, "</body></html>")?;
    Ok(())
}

fn title(subject: Subject<'_>) -> String {
    let copies = subject.report.and_then(|report| report.tree.copies.value);
    match copies {
        Some(copies) => format!("{copies:.2} copies – onecopy"),
        None => "onecopy".to_owned(),
    }
}

fn heading(subject: Subject<'_>) -> String {
    match (subject.record, subject.report) {
        (Some(record), _) => format!("onecopy run -- {}", record.command.join(" ")),
        (None, Some(report)) => format!("onecopy report {}", report.root),
        (None, None) => "onecopy".to_owned(),
    }
}

/// The number, blocks of which each is a whole copy, and the same in words.
fn answer(out: &mut dyn Write, subject: Subject<'_>, report: &Report) -> Result<()> {
    let (copies, page, each) = (
        &report.tree.copies,
        report.page_size,
        report.processes.len(),
    );
    let style = Style::default();
    let Some(value) = copies.value else {
        let reason = copies.reason.as_deref().unwrap_or("no reason is known");
        writeln!(
            out,
            "<div class=\"answer\"><b>–</b><span>copies unknown</span></div>\n\
             <p class=\"sentence\">{}.</p>",
            escaped(reason)
        )?;
        return Ok(());
    };
    let class = if value <= FEW { "good" } else { "bad" };
    let noun = if (value - 1.0).abs() < 0.005 {
        "copy"
    } else {
        "copies"
    };
    writeln!(
        out,
        "<div class=\"answer\"><b class=\"{class}\">{value:.2}</b><span>{noun} of the data in {each} \
         processes</span></div>"
    )?;
    write!(out, "<div class=\"blocks\" aria-hidden=\"true\">")?;
    for block in 0..each.min(32) {
        let filled = ((value - block as f64) * 100.0).clamp(0.0, 100.0);
        write!(out, "<i><b style=\"width:{filled:.0}%\"></b></i>")?;
    }
    writeln!(out, "</div>")?;
    let distinct = copies.unique.zip(copies.shared);
    if let (Some((unique, shared)), Some(wasted)) = (distinct, copies.wasted) {
        let once = style.size((unique + shared) * page);
        let sentence = if wasted == 0 {
            format!("{once} are shared, and nothing of them was copied.")
        } else {
            let more = style.size(wasted * page);
            format!("{once} are shared; {more} more exist because processes wrote to them.")
        };
        writeln!(out, "<p class=\"sentence\">{sentence}</p>")?;
    }
    let mut small = vec![
        members(report),
        format!("level {}", report.level),
        format!("top would say {}", style.maybe(report.tree.sum_rss)),
        format!("physical (PSS) {}", style.maybe(report.tree.sum_pss)),
    ];
    if let Some(agreement) = copies.agreement {
        small.push(format!("agreement with PSS {:.1} %", agreement * 100.0));
    }
    if let Some(record) = subject.record {
        let t = record.report_t.unwrap_or_default();
        small.push(format!("read at {t:.1} s of {:.1} s", record.seconds));
    }
    writeln!(out, "<p class=\"soft\">{}</p>", escaped(&small.join(" · ")))?;
    Ok(())
}

fn drawings(out: &mut dyn Write, subject: Subject<'_>, report: &Report) -> Result<()> {
    let mut both = |name: &str, draw: &dyn Fn(f64) -> Option<String>| -> Result<()> {
        let (Some(wide), Some(narrow)) = (draw(WIDE), draw(NARROW)) else {
            return Ok(());
        };
        writeln!(
            out,
            "<h2>{name}</h2><div class=\"wide\">{wide}</div><div class=\"narrow\">{narrow}</div>"
        )?;
        Ok(())
    };
    if let Some(record) = subject.record {
        both("Over time", &|width| timeline::draw(record, width))?;
    }
    both("Why pages were copied", &|width| {
        flame::draw(subject, width)
    })?;
    both("Where the memory is", &|width| treemap::draw(report, width))?;
    both("Which pages each process has copied", &|width| {
        strips::draw(report, width)
    })
}

fn tables(out: &mut dyn Write, report: &Report) -> Result<()> {
    let (style, page) = (Style::default(), report.page_size);
    let rows = by_label(&report.mappings);
    if !rows.is_empty() {
        writeln!(
            out,
            "<h2>Mappings</h2><div class=\"table\"><table><tr><th>mapping</th><th>copies</th>\
             <th>distinct</th><th>copied</th><th>new</th></tr>"
        )?;
        for row in rows.iter().take(ROWS) {
            writeln!(
                out,
                "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
                escaped(&row.label),
                row.copies(),
                style.size(row.pages * page),
                style.size(row.extra() * page),
                style.size(row.new * page),
            )?;
        }
        writeln!(out, "</table></div>")?;
    }
    writeln!(
        out,
        "<h2>Processes</h2><div class=\"table\"><table><tr><th>process</th><th>role</th>\
         <th>shared</th><th>copied</th><th>last owner</th><th>new</th><th>RSS</th></tr>"
    )?;
    for process in &report.processes {
        let pages = process.pages.unwrap_or_default();
        writeln!(
            out,
            "<tr><td>{} {}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            process.pid,
            escaped(&process.name),
            role(process),
            style.size(pages.shared),
            style.size(pages.copied),
            style.size(pages.last_owner),
            style.size(pages.new),
            style.size(process.rss),
        )?;
    }
    writeln!(out, "</table></div>")?;
    Ok(())
}

fn notes(out: &mut dyn Write, subject: Subject<'_>, report: &Report) -> Result<()> {
    let mut notes = report.limits.clone();
    notes.extend(report.skipped.iter().map(|skipped| {
        let why = reason(skipped);
        format!(
            "not measured: process {} ({}) {why}",
            skipped.pid, skipped.name
        )
    }));
    if let Some(record) = subject.record {
        let overhead = &record.overhead;
        notes.push(format!(
            "measuring took {:.2} % of one processor: {} readings, {} glances",
            overhead.fraction * 100.0,
            overhead.readings,
            overhead.glances
        ));
        notes.extend(
            record
                .not_counted
                .iter()
                .map(|reason| format!("not counted: {reason}")),
        );
    }
    writeln!(out, "<h2>What to know</h2><ul>")?;
    for note in notes {
        writeln!(out, "<li>{}</li>", escaped(&note))?;
    }
    writeln!(
        out,
        "<li>copies = physical frames / distinct pages; 1.00 is one copy</li></ul>"
    )?;
    Ok(())
}
