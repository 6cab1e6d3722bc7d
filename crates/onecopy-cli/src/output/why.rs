//! Why pages were copied, as text.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::io::Write;

use anstyle::Style;
use anyhow::Result;

use super::text::{column, paragraph};
use super::units;
use crate::command::why::content::Content;
use crate::command::why::objects::{Objects, TypeRow};
use crate::command::why::{Cause, OTHERS, Why, WhyRow};

const STRONG: Style = Style::new().bold();
/// Rows that are shown of each kind.
const STACKS: usize = 10;
const TYPES: usize = 10;
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

/// Who has copied, and when that was looked at.
pub(crate) fn processes(count: u64) -> String {
    match count {
        1 => "one process, at its last reading".to_owned(),
        _ => format!(
            "{} processes, each at its last reading",
            units::grouped(count)
        ),
    }
}

/// What code has copied, in percent, as lines that go on below themselves.
fn parts(out: &mut dyn Write, rows: &[(u64, String)], style: units::Style) -> Result<()> {
    for (percent, text) in rows {
        let before = format!("  {percent:>4} %  ");
        paragraph(out, &before, 10, text, style.columns)?;
    }
    Ok(())
}

/// Rows of percentages that add up to 100: those that are too many or too small are one.
pub(crate) fn stacks(why: &Why) -> Vec<(u64, String)> {
    let mut rows: Vec<(String, u64)> = Vec::new();
    let mut others = 0;
    for row in &why.stacks {
        let text = format!("{:<20} {}", cause(row.cause), stack(row));
        match rows.iter_mut().find(|(known, _)| *known == text) {
            _ if row.stack == [OTHERS] => others += row.pages,
            // Stacks that differ only further out look the same here.
            Some((_, pages)) => *pages += row.pages,
            None => rows.push((text, row.pages)),
        }
    }
    rows.sort_by_key(|(_, pages)| std::cmp::Reverse(*pages));
    let is_shown = |index: usize, pages: u64| index < STACKS && 200 * pages >= why.pages;
    let shown = rows
        .iter()
        .enumerate()
        .take_while(|(index, (_, pages))| is_shown(*index, *pages))
        .count();
    let hidden = rows.split_off(shown);
    others += hidden.iter().map(|(_, pages)| pages).sum::<u64>();
    rows.push(("other stacks".to_owned(), others));
    rows.push(("unattributed".to_owned(), why.unattributed));
    let counts: Vec<u64> = rows.iter().map(|(_, pages)| *pages).collect();
    let rows = rows.into_iter().zip(percents(&counts));
    rows.map(|((text, _), percent)| (percent, text))
        .filter(|(percent, _)| *percent > 0)
        .collect()
}

/// Whole percentages of the sum that add up to 100: what rounding down leaves goes to the largest remainders.
fn percents(counts: &[u64]) -> Vec<u64> {
    let all: u128 = counts
        .iter()
        .map(|count| u128::from(*count))
        .sum::<u128>()
        .max(1);
    let parts: Vec<u128> = counts
        .iter()
        .map(|count| 100 * u128::from(*count))
        .collect();
    let mut percents: Vec<u64> = parts.iter().map(|part| (part / all) as u64).collect();
    let missing = 100u64.saturating_sub(percents.iter().sum());
    let mut order: Vec<usize> = (0..counts.len()).collect();
    order.sort_by_key(|index| std::cmp::Reverse(parts[*index] % all));
    for index in order.into_iter().take(missing as usize) {
        percents[index] += 1;
    }
    percents
}

/// What is said above the Python functions.
pub(crate) const PYTHON: &str = "IN PYTHON  from every 61st fault";

/// Faults that are missing, as a sentence.
pub(crate) fn lost(why: &Why) -> Option<String> {
    (why.lost > 0).then(|| {
        let lost = units::grouped(why.lost);
        format!("{lost} faults could not be recorded; their pages are among the unattributed")
    })
}

/// Python functions and their callers, in percent of the copied pages; without those below half a percent.
pub(crate) fn python(why: &Why) -> Vec<(u64, String)> {
    let mut rows: Vec<(String, f64)> = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    for row in &why.python {
        let text = row.stack.join(" ← ");
        let index = *known.entry(text.clone()).or_insert_with(|| {
            rows.push((text, 0.0));
            rows.len() - 1
        });
        rows[index].1 += row.fraction;
    }
    let shown = rows
        .iter()
        .take(TYPES)
        .take_while(|(_, fraction)| *fraction >= 0.005)
        .count();
    let rest: f64 = rows.drain(shown..).map(|(_, fraction)| fraction).sum();
    rows.push(("elsewhere".to_owned(), rest));
    #[expect(clippy::cast_sign_loss, reason = "a part of all pages")]
    let percent = |fraction: f64| (fraction * 100.0).round() as u64;
    rows.into_iter()
        .filter(|(_, fraction)| *fraction >= 0.005)
        .map(|(text, fraction)| (percent(fraction), text))
        .collect()
}

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

/// Copied bytes by mapping, the small ones in one row.
pub(crate) fn mapping_rows(why: &Why) -> Vec<(String, u64)> {
    let (shown, hidden) = why.mappings.split_at(MAPPINGS.min(why.mappings.len()));
    let rows = shown.iter().map(|row| (row.label.clone(), row.bytes));
    let rest: u64 = hidden.iter().map(|row| row.bytes).sum();
    rows.chain((rest > 0).then(|| ("others".to_owned(), rest)))
        .collect()
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

/// What the last row of the table of objects is called.
pub(crate) const REST: &str = "other types, and what is no object";

/// The types that are shown, and the bytes of all else.
pub(crate) fn object_rows(objects: &Objects) -> (&[TypeRow], u64) {
    let (shown, hidden) = objects.types.split_at(TYPES.min(objects.types.len()));
    let rest: u64 = hidden.iter().map(|row| row.bytes).sum();
    (shown, rest + objects.other)
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

/// What a cause is called.
pub(crate) fn cause(cause: Cause) -> &'static str {
    match cause {
        Cause::GarbageCollector => "garbage collector",
        Cause::Interpreter => "reference counts",
        Cause::Allocation => "allocation",
        Cause::Other => "",
    }
}

/// The innermost function, and the code of the program that led there.
fn stack(row: &WhyRow) -> String {
    let mut parts: Vec<&str> = row.stack.iter().take(1).map(String::as_str).collect();
    let python = row
        .stack
        .iter()
        .skip(1)
        .filter(|name| name.ends_with(".py)"));
    let mut callers: Vec<&str> = python.map(String::as_str).take(2).collect();
    if callers.is_empty() {
        let native = row.stack.iter().skip(1).map(String::as_str);
        // A file says nothing about a function that has a name.
        let is_file = |name: &str| name.contains(".so");
        let named = native.clone().filter(|name| !is_file(name)).take(2);
        callers = named.collect();
        if callers.is_empty() && parts.iter().any(|name| is_file(name)) {
            callers = native.take(1).collect();
        }
    }
    parts.append(&mut callers);
    parts.join(" ← ")
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn any_numbers_add_up_to_a_hundred() {
        for counts in [
            &[1, 1, 1][..],
            &[1, 2, 4],
            &[u64::MAX / 3, 1, u64::MAX / 3],
            &[7; 13],
            &[5],
        ] {
            assert_eq!(percents(counts).iter().sum::<u64>(), 100, "{counts:?}");
        }
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
