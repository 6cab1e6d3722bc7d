//! The page: the answer first, as a number, as blocks and as a sentence.
#![forbid(unsafe_code)]

use std::io::Write;

use anyhow::Result;
use onecopy_meter::Report;

use super::svg::{STYLE, escaped};
use super::{NARROW, Subject, WIDE, answer, flame, strips, timeline, treemap, why};
use crate::output::by_label::by_label;
use crate::output::members::{reason, role};
use crate::output::report::WORDS;
use crate::output::text::shortened;
use crate::output::units::Style;

const PAGE_STYLE: &str = include_str!("page.css");
/// Characters of a name in a table, in wide windows and on phones.
const NAME: usize = 38;
const SHORT: usize = 18;
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
        answer::write(out, subject, report)?;
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

fn drawings(out: &mut dyn Write, subject: Subject<'_>, report: &Report) -> Result<()> {
    if let Some(record) = subject.record {
        both(out, "Over time", &|width| timeline::draw(record, width))?;
    }
    both(out, "Why pages were copied", &|width| {
        flame::draw(subject, width)
    })?;
    why::write(out, subject, report)?;
    both(out, "Where the memory is", &|width| {
        treemap::draw(report, width)
    })?;
    both(out, "Which pages each process has copied", &|width| {
        strips::draw(report, width)
    })
}

/// A drawing for wide windows and for narrow ones, if there is one.
fn both(out: &mut dyn Write, name: &str, draw: &dyn Fn(f64) -> Option<String>) -> Result<()> {
    let (Some(wide), Some(narrow)) = (draw(WIDE), draw(NARROW)) else {
        return Ok(());
    };
    writeln!(
        out,
        "<h2>{name}</h2><div class=\"wide\">{wide}</div><div class=\"narrow\">{narrow}</div>"
    )?;
    Ok(())
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
                "<tr><td title=\"{}\"><span class=\"wide\">{}</span><span class=\"narrow\">{}</span></td>\
                 <td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
                escaped(&row.label),
                escaped(&shortened(&row.label, NAME)),
                escaped(&shortened(&row.label, SHORT)),
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
    }
    writeln!(out, "<h2>What to know</h2><ul>")?;
    for note in notes {
        writeln!(out, "<li>{}</li>", escaped(&note))?;
    }
    writeln!(
        out,
        "<li>copies = physical frames / distinct pages; 1.00 is one copy</li>"
    )?;
    for words in WORDS.split("; ") {
        writeln!(out, "<li>{words}</li>")?;
    }
    writeln!(out, "</ul>")?;
    Ok(())
}
