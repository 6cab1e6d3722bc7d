//! Why pages were copied, as text.
#![forbid(unsafe_code)]

use std::io::Write;

use anstyle::Style;
use anyhow::Result;

use super::text::{column, paragraph};
use super::units;
use super::why_rows::{REST, lost, mapping_rows, object_rows, processes, python, stacks};
use crate::command::why::Why;
use crate::command::why::content::Content;
use crate::command::why::objects::Objects;

const STRONG: Style = Style::new().bold();
/// Mappings that are shown beside the content of pages.
const MAPPINGS: usize = 5;

/// Prints stacks, objects and advice.
pub(crate) fn why(
    out: &mut dyn Write,
    why: &Why,
    page_size: u64,
    style: units::Style,
) -> Result<()> {
    if why.pages == 0 {
        writeln!(out, "\n  {STRONG}WHY{STRONG:#}  nothing was copied")?;
        for line in &why.advice {
            writeln!(out, "  → {line}")?;
        }
        return Ok(());
    }
    let joined = if why.reason.is_none() {
        ", joined with write faults"
    } else {
        ""
    };
    writeln!(
        out,
        "\n  {STRONG}WHY  {} copied by {}{joined}{STRONG:#}",
        style.size(why.pages * page_size),
        processes(why.processes),
    )?;
    parts(out, &stacks(why), style)?;
    for said in why.reason.iter().cloned().chain(lost(why)) {
        paragraph(out, "          ", 10, &said, style.columns)?;
    }
    let rows = python(why);
    if !rows.is_empty() {
        writeln!(out, "\n  {STRONG}{PYTHON}{STRONG:#}")?;
        parts(out, &rows, style)?;
    }
    // The report above shows the mappings of one moment, these are the sums that the rest is about.
    if why.reason.is_some() {
        mappings(out, why, style)?;
    }
    objects_and_advice(out, why, style)
}

/// Prints what had been copied before anybody watched.
pub(crate) fn before(
    out: &mut dyn Write,
    why: &Why,
    page_size: u64,
    style: units::Style,
) -> Result<()> {
    if why.pages == 0 {
        return Ok(());
    }
    writeln!(
        out,
        "\n  {STRONG}BEFORE  {} had been copied by {}; what wrote there was not seen{STRONG:#}",
        style.size(why.pages * page_size),
        processes(why.processes),
    )?;
    mappings(out, why, style)?;
    objects_and_advice(out, why, style)
}

fn objects_and_advice(out: &mut dyn Write, why: &Why, style: units::Style) -> Result<()> {
    if let Some(found) = &why.objects {
        objects(out, found, style)?;
    }
    for line in &why.advice {
        paragraph(out, "  → ", 4, line, style.columns)?;
    }
    Ok(())
}

/// What code has copied, in percent, as lines that go on below themselves.
fn parts(out: &mut dyn Write, rows: &[(u64, String)], style: units::Style) -> Result<()> {
    for (percent, text) in rows {
        let before = format!("  {percent:>4} %  ");
        paragraph(out, &before, 10, text, style.columns)?;
    }
    Ok(())
}

/// What is said above the Python functions.
const PYTHON: &str = "IN PYTHON  from every 61st fault";

fn mappings(out: &mut dyn Write, why: &Why, style: units::Style) -> Result<()> {
    if why.mappings.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "\n  {STRONG}{:<56} {:>12}{STRONG:#}",
        "COPIED PAGES OF", "BYTES IN ALL"
    )?;
    for (label, bytes) in mapping_rows(why) {
        let label = column(&label, 56);
        writeln!(out, "  {label} {:>12}", style.size(bytes))?;
    }
    Ok(())
}

fn objects(out: &mut dyn Write, objects: &Objects, style: units::Style) -> Result<()> {
    writeln!(
        out,
        "\n  {STRONG}{:<30} {:>12} {:>12} {:>12}{STRONG:#}",
        "OBJECTS ON COPIED PAGES", "MOST COPIED", "OF", "BYTES IN ALL"
    )?;
    let (types, rest) = object_rows(objects);
    for row in types {
        writeln!(
            out,
            "  {:<30} {:>12} {:>12} {:>12}",
            column(&row.name, 30),
            units::grouped(row.objects),
            units::grouped(row.of),
            style.size(row.bytes)
        )?;
    }
    writeln!(out, "  {REST:<34} {:>34}", style.size(rest))?;
    for limit in &objects.limits {
        paragraph(out, "    ", 4, limit, style.columns)?;
    }
    Ok(())
}

/// Prints what was found in the pages.
pub(crate) fn content(
    out: &mut dyn Write,
    found: &Content,
    page_size: u64,
    style: units::Style,
) -> Result<()> {
    let size = |pages: u64| style.size(pages * page_size);
    writeln!(out, "\n  {STRONG}CONTENT{STRONG:#}")?;
    let text = format!(
        "{} of {} that were compared hold what the original holds: a reference count, for example, went up and down",
        size(found.needless),
        size(found.pages)
    );
    paragraph(out, "  needless copies  ", 19, &text, style.columns)?;
    for row in found
        .mappings
        .iter()
        .filter(|row| row.needless > 0)
        .take(MAPPINGS)
    {
        let label = column(&row.label, 30);
        writeln!(
            out,
            "    {label} {:>12} of {:>12}",
            size(row.needless),
            size(row.pages)
        )?;
    }
    if found.unknown > 0 {
        let unknown = size(found.unknown);
        let text = format!("{unknown}: nobody has the original, or it may not be read");
        paragraph(out, "  not compared     ", 19, &text, style.columns)?;
    }
    let text = format!(
        "{}{} of {} that processes have for themselves could go: another process has the same page",
        if found.estimated { "about " } else { "" },
        size(found.duplicates),
        size(found.own)
    );
    paragraph(out, "  duplicates       ", 19, &text, style.columns)?;
    let text = "whole pages are compared: found are buffers, such as arrays, texts and files read, but not lists, dicts and \
                other objects that were unpickled twice, as these hold addresses";
    paragraph(out, "                   ", 19, text, style.columns)?;
    for denied in &found.denied {
        writeln!(out, "  not read: process {}: {}", denied.pid, denied.reason)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::why::{Cause, WhyRow};

    fn row(name: &str, pages: u64) -> WhyRow {
        WhyRow {
            stack: vec![name.to_owned()],
            pages,
            cause: Cause::Other,
        }
    }

    /// The percentages that are printed, in order.
    fn printed(pages: u64, stacks: Vec<WhyRow>) -> (Vec<u64>, String) {
        let explained: u64 = stacks.iter().map(|row| row.pages).sum();
        let found = Why {
            pages,
            stacks,
            unattributed: pages - explained,
            ..Why::default()
        };
        let mut text = Vec::new();
        why(&mut text, &found, 4096, units::Style::default()).unwrap();
        let text = String::from_utf8(text).unwrap();
        let numbers = text
            .lines()
            .filter_map(|line| line.trim().split_once(" %")?.0.parse().ok());
        (numbers.collect(), text)
    }

    #[test]
    fn percentages_add_up_and_small_rows_are_one() {
        // Many of less than half a percent each, which together are ten.
        let mut rows = vec![row("large", 600), row("medium", 251)];
        rows.extend((0..25).map(|number| row(&format!("small{number}"), 4)));
        let (numbers, text) = printed(1000, rows);
        assert_eq!(numbers, [60, 25, 10, 5], "{text}");
        assert!(
            text.contains("other stacks") && !text.contains("small"),
            "{text}"
        );
    }

    #[test]
    fn no_row_says_zero_percent() {
        let (numbers, text) = printed(
            100_000,
            vec![row("all", 99_900), row("next to nothing", 50)],
        );
        assert_eq!(numbers, [100], "{text}");
    }

    #[test]
    fn stacks_that_look_the_same_are_one_row() {
        let deep = |outer: &str, pages| WhyRow {
            stack: ["f", "g", "h", outer].map(str::to_owned).to_vec(),
            pages,
            cause: Cause::Interpreter,
        };
        let (numbers, text) = printed(100, vec![deep("a", 60), deep("b", 40)]);
        assert_eq!(numbers, [100], "{text}");
    }

    #[test]
    fn duplicates_are_what_could_go_and_what_cannot_be_found_is_said() {
        let found = Content {
            own: 1_000,
            duplicates: 750,
            ..Content::default()
        };
        let mut text = Vec::new();
        content(&mut text, &found, 4096, units::Style::default()).unwrap();
        let text = String::from_utf8(text).unwrap();
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let line = "2.93 MiB of 3.91 MiB that processes have for themselves could go: another process has the same page";
        assert!(text.contains(line), "{text}");
        assert!(text.contains("but not lists, dicts"), "{text}");
    }

    #[test]
    fn advice_is_given_even_where_nothing_was_copied() {
        let found = Why {
            advice: vec!["share it".to_owned()],
            ..Why::default()
        };
        let mut text = Vec::new();
        why(&mut text, &found, 4096, units::Style::default()).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains("nothing was copied\n  → share it"), "{text}");
    }
}
