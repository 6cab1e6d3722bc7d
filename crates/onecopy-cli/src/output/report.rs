//! A report of a tree as text: the number first, then what it is made of.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::io::Write;

use anstyle::{AnsiColor, Style};
use anyhow::Result;
use onecopy_meter::{Level, Report, SkipReason};

use super::answer::{Answer, Verdict, agreement, moved};
use super::by_label::by_label;
use super::members::{members, reason, role};
use super::text::{column, columns, paragraph, wrapped};
use super::units;

const STRONG: Style = Style::new().bold();
const GOOD: Style = STRONG.fg_color(Some(anstyle::Color::Ansi(AnsiColor::Green)));
const BAD: Style = STRONG.fg_color(Some(anstyle::Color::Ansi(AnsiColor::Red)));
/// Where the text of the lines with sums begins.
const SUMS: usize = 28;
/// Rows of mappings that are shown.
const ROWS: usize = 12;
/// Processes that are shown by themselves.
const PROCESSES: usize = 20;

/// What is said beside the numbers.
#[derive(Debug, Default)]
pub(crate) struct Heading {
    /// How long it ran, or when it was read.
    pub(crate) moment: Option<String>,
    /// Lines between the sums and the mappings.
    pub(crate) lines: Vec<(String, String)>,
}

/// Prints the report.
pub(crate) fn report(
    out: &mut dyn Write,
    report: &Report,
    heading: &Heading,
    style: units::Style,
) -> Result<()> {
    for line in wrapped(&title(report, heading), style.columns) {
        writeln!(out, "{STRONG}{line}{STRONG:#}")?;
    }
    sums(out, report, style)?;
    for (name, text) in &heading.lines {
        paragraph(out, &format!("  {name:<12} "), 15, text, style.columns)?;
    }
    mappings(out, report, style)?;
    processes(out, report, style)?;
    skipped(out, report, style)?;
    words(out, report, style)?;
    for limit in &report.limits {
        paragraph(out, "  note: ", 8, limit, style.columns)?;
    }
    Ok(())
}

/// What the words of the tables mean; of a tree that has nothing in common only what it has.
fn words(out: &mut dyn Write, report: &Report, style: units::Style) -> Result<()> {
    let has_common = Answer::of(report).common != Some(0);
    let words = if has_common {
        WORDS
    } else {
        "new: came after a fork, or without one"
    };
    paragraph(out, "  words: ", 9, words, style.columns)?;
    Ok(())
}

/// The words of the guide, short.
pub(crate) const WORDS: &str = "in common: inherited once + shared memory, which the copies are counted of; inherited: \
    was there when a process was forked; shared: inherited, and one with relatives; once, distinct: each page counted once; copied: inherited, then written to; \
    last owner: inherited, not copied, and nobody else has it any more; new: came after the fork, or without one";

/// Kernel threads that are named by themselves.
const THREADS: usize = 4;

fn skipped(out: &mut dyn Write, report: &Report, style: units::Style) -> Result<()> {
    let mut threads = 0;
    for skipped in &report.skipped {
        threads += usize::from(skipped.reason == SkipReason::KernelThread);
        if skipped.reason == SkipReason::KernelThread && threads > THREADS {
            continue;
        }
        let (name, reason) = (&skipped.name, reason(skipped));
        let text = format!("process {} ({name}) {reason}", skipped.pid);
        paragraph(out, "  not measured: ", 16, &text, style.columns)?;
    }
    if threads > THREADS {
        writeln!(
            out,
            "  not measured: {} more kernel threads",
            threads - THREADS
        )?;
    }
    Ok(())
}

fn title(report: &Report, heading: &Heading) -> String {
    let mut parts = vec!["── onecopy".to_owned(), members(report)];
    parts.extend(heading.moment.clone());
    parts.push(match report.level {
        Level::A => "level A (page frames)".to_owned(),
        _ => "level B (no privileges)".to_owned(),
    });
    parts.join(" ─ ")
}

fn sums(out: &mut dyn Write, report: &Report, style: units::Style) -> Result<()> {
    let (tree, answer) = (&report.tree, Answer::of(report));
    let mut line = |name: &str, value: &str, colour: Style, text: &str| {
        let before = format!("  {name:<12} {colour}{value:<12}{colour:#} ");
        paragraph(out, &before, SUMS, text, style.columns)
    };
    let plain = Style::new();
    match (answer.copies, &tree.copies.reason) {
        (Some(value), _) => {
            let colour = match answer.verdict() {
                Verdict::Good => GOOD,
                Verdict::Bad => BAD,
                Verdict::Open => STRONG,
            };
            let text = format!(
                "of the {} in common; {}",
                style.maybe(answer.common),
                answer.scale()
            );
            line("copies", &format!("{value:.2} ×"), colour, &text)?;
        }
        (None, reason) => {
            let reason = reason.as_deref().unwrap_or("no reason is known");
            line("copies", "unknown", plain, reason)?;
        }
    }
    if let Some(new) = answer.not_compared() {
        let text = "new, in one process each; perhaps the same: `onecopy why PID --content`";
        line("not compared", &style.size(new), STRONG, text)?;
    }
    let (copies, page) = (&tree.copies, report.page_size);
    let size = |pages: Option<u64>| style.maybe(pages.map(|pages| pages * page));
    if let Some(physical) = answer.physical {
        let text = format!(
            "= inherited once {} + copied {} + new {} + shared memory {} + files {}",
            size(copies.unique),
            size(copies.wasted),
            size(copies.new),
            size(copies.shared),
            style.maybe(tree.sum_pss_file),
        );
        line("physical", &style.size(physical), plain, &text)?;
    } else {
        let text = "a part of the tree is not the whole";
        line("physical", "unknown", plain, text)?;
    }
    match (tree.sum_rss, tree.sum_pss) {
        (Some(rss), Some(pss)) => {
            let times = rss as f64 / pss.max(1) as f64;
            let text = format!(
                "sum of RSS: {times:.1} × the sum of PSS, {}",
                style.size(pss)
            );
            line("top/ps says", &style.size(rss), plain, &text)?;
        }
        _ => line("top/ps says", "unknown", plain, "likewise")?,
    }
    let why = moved(report).map_or_else(String::new, |moved| format!("; {moved}"));
    let text = format!("with the sum of PSS{why}");
    line("agreement", &agreement(report), plain, &text)?;
    if let Some((allocated, copies)) = answer.stores {
        let copies = copies.map_or_else(String::new, |copies| format!(", {copies:.2} copies"));
        let text = format!("occupied by onecopy stores, touched or not{copies}");
        line("stores", &style.maybe(allocated), plain, &text)?;
    }
    Ok(())
}

fn mappings(out: &mut dyn Write, report: &Report, style: units::Style) -> Result<()> {
    let rows = by_label(&report.mappings);
    if rows.is_empty() {
        return Ok(());
    }
    let page = report.page_size;
    let who: Vec<String> = rows
        .iter()
        .take(ROWS)
        .map(|row| who(&row.copiers, style))
        .collect();
    let longest = who.iter().map(|who| columns(who)).max().unwrap_or(0);
    let size = style.size_columns();
    // Names have what the numbers leave.
    let others = 2 + 3 * (size + 1) + 9 + 2 + longest.max(10);
    let label = style.columns.saturating_sub(others).clamp(20, 40);
    writeln!(
        out,
        "\n  {STRONG}{:<label$} {:>size$} {:>size$} {:>size$} {:>8}  WHO COPIED{STRONG:#}",
        "MAPPING", "DISTINCT", "COPIED", "NEW", "COPIES"
    )?;
    for (row, who) in rows.iter().zip(&who) {
        let copies = row.copies();
        writeln!(
            out,
            "  {} {:>size$} {:>size$} {:>size$} {copies:>8}{}{who}",
            column(&row.label, label),
            style.size(row.pages * page),
            style.size(row.extra() * page),
            style.size(row.new * page),
            if who.is_empty() { "" } else { "  " },
        )?;
    }
    if rows.len() > ROWS {
        writeln!(out, "  … and {} smaller ones", rows.len() - ROWS)?;
    }
    Ok(())
}

/// Who copied: one process, or several with what each has, or the least and the most that one has.
fn who(copiers: &BTreeMap<u32, u64>, style: units::Style) -> String {
    let count = copiers.len() as u64;
    let (least, most) = (copiers.values().min(), copiers.values().max());
    match (copiers.keys().next(), least.zip(most)) {
        (Some(pid), _) if count == 1 => format!("process {pid}"),
        (Some(_), Some((least, most))) if *most > 2 * least => {
            let (least, most) = (style.size(*least), style.size(*most));
            format!("{count} processes, {least} to {most}")
        }
        (Some(_), _) => {
            let each = style.size(copiers.values().sum::<u64>() / count);
            format!("{count} processes ≈ {each} each")
        }
        (None, _) => String::new(),
    }
}

fn processes(out: &mut dyn Write, report: &Report, style: units::Style) -> Result<()> {
    let size = style.size_columns();
    let last = size.max("LAST OWNER".len());
    let others = 2 + 8 + 1 + 1 + 7 + 4 * (size + 1) + last + 1;
    let name = style.columns.saturating_sub(others).clamp(8, 16);
    writeln!(
        out,
        "\n  {STRONG}{:>8} {:<name$} {:<7} {:>size$} {:>size$} {:>last$} {:>size$} {:>size$}{STRONG:#}",
        "PID", "NAME", "ROLE", "SHARED", "COPIED", "LAST OWNER", "NEW", "RSS"
    )?;
    for process in report.processes.iter().take(PROCESSES) {
        let pages = process.pages.unwrap_or_default();
        writeln!(
            out,
            "  {:>8} {} {:<7} {:>size$} {:>size$} {:>last$} {:>size$} {:>size$}",
            process.pid,
            column(&process.name, name),
            role(process),
            style.size(pages.shared),
            style.size(pages.copied),
            style.size(pages.last_owner),
            style.size(pages.new),
            style.size(process.rss),
        )?;
    }
    if report.processes.len() > PROCESSES {
        writeln!(out, "  … and {} more", report.processes.len() - PROCESSES)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORDED: &str = include_str!("../../tests/recorded/report.json");

    fn printed(found: &Report) -> String {
        let mut out = anstream::StripStream::new(Vec::new());
        report(
            &mut out,
            found,
            &Heading::default(),
            units::Style::default(),
        )
        .unwrap();
        String::from_utf8(out.into_inner()).unwrap()
    }

    /// Four processes, of which each has loaded the data for itself.
    fn loaded_by_each() -> Report {
        let mut report: Report = serde_json::from_str(RECORDED).unwrap();
        let copies = &mut report.tree.copies;
        (copies.unique, copies.frames, copies.wasted) = (Some(0), Some(0), Some(0));
        (copies.shared, copies.new, copies.value) = (Some(1), Some(166 << 8), Some(1.0));
        report
    }

    #[test]
    fn the_number_says_of_how_much_it_speaks_and_of_what_not() {
        let plain: Report = serde_json::from_str(RECORDED).unwrap();
        let text = printed(&plain);
        let said = "2.01 ×       of the 13.9 MiB in common; 1.00 = one copy, 4.00 = one each";
        assert!(text.contains(said), "{text}");
        assert!(!text.contains("not compared"), "{text}");
        let text = printed(&loaded_by_each());
        let said = "1.00 ×       of the 4.00 KiB in common; 1.00 = one copy, 4.00 = one each";
        assert!(text.contains(said), "{text}");
        let said = "  not compared 166 MiB      new, in one process each; perhaps the same: `onecopy why PID --content`\n";
        assert!(text.contains(said), "{text}");
        // The same where the number itself is not known.
        let mut unknown = loaded_by_each();
        unknown.tree.copies.value = None;
        unknown.tree.copies.reason = Some("next to nothing is in common".to_owned());
        let text = printed(&unknown);
        assert!(text.contains("unknown      next to nothing"), "{text}");
        assert!(text.contains("  not compared 166 MiB "), "{text}");
    }

    #[test]
    fn what_moved_is_said_beside_the_agreement() {
        let mut report: Report = serde_json::from_str(RECORDED).unwrap();
        assert!(!printed(&report).contains("moved"));
        report.drift = 23_301;
        report.tree.copies.agreement = Some(0.948);
        let text = printed(&report);
        let line = text.lines().find(|line| line.starts_with("  agreement"));
        let expected = "  agreement    94.8 %       with the sum of PSS; 23,301 pages moved while the tree was read";
        assert_eq!(line, Some(expected), "{text}");
    }

    #[test]
    fn lines_fit_into_the_columns_there_are() {
        let mut report: Report = serde_json::from_str(RECORDED).unwrap();
        report.mappings[3].label =
            "/usr/lib/python3/dist-packages/numpy/_core/_multiarray_umath.cpython-313.so"
                .to_owned();
        report.drift = 23_301;
        report.processes[0].name = "a-name-of-15-by".to_owned();
        for width in [80, 100, 140] {
            let mut out = anstream::StripStream::new(Vec::new());
            let mut style = units::Style::default();
            style.columns = width;
            super::report(&mut out, &report, &Heading::default(), style).unwrap();
            let text = String::from_utf8(out.into_inner()).unwrap();
            for line in text.lines() {
                // Who has copied is worth more than the end of a line.
                let is_row = line.contains("processes ≈") || line.contains("processes, ");
                assert!(
                    columns(line) <= width || is_row && width < 100,
                    "{width}: {text}"
                );
                assert!(!line.ends_with(' '), "{text}");
            }
            let words: Vec<&str> = text.split_whitespace().collect();
            let words = words.join(" ");
            assert!(words.contains("distinct: each page counted once"), "{text}");
        }
    }

    #[test]
    fn names_chosen_to_confuse_stay_in_their_columns() {
        let plain: Report = serde_json::from_str(RECORDED).unwrap();
        let mut hostile = plain.clone();
        hostile.processes[0].name = "\u{1b}]0;owned\u{7}\nx".to_owned();
        hostile.processes[1].name = "中文中文中文中文中文".to_owned();
        for (row, label) in hostile.mappings.iter_mut().zip([
            "/memfd:\u{1b}[2Ja name\r\nwith everything in it (deleted)",
            "中文中文中文中文中文中文中文中文中文中文",
        ]) {
            row.label = label.to_owned();
        }
        hostile.limits.push("store \u{9b}31m: unknown".to_owned());
        let text = printed(&hostile);
        let obeyed = |character: char| character.is_control() && character != '\n';
        assert!(!text.contains(obeyed), "{text}");
        assert_eq!(text.lines().count(), printed(&plain).lines().count() + 1);
        let table = text.lines().skip_while(|line| !line.contains("NAME"));
        let widths: Vec<usize> = table.take(3).map(columns).collect();
        assert!(widths.windows(2).all(|pair| pair[0] == pair[1]), "{text}");
    }

    #[test]
    fn a_tree_without_processes_has_a_title_without_gaps() {
        let mut empty: Report = serde_json::from_str(RECORDED).unwrap();
        empty.processes.clear();
        let title = title(&empty, &Heading::default());
        let mut parts = title.split(" ─ ");
        assert!(parts.all(|part| !part.trim().is_empty()), "{title}");
        assert!(title.contains("no processes"), "{title}");
    }

    #[test]
    fn unequal_parts_are_no_mean() {
        let style = units::Style::default();
        let mib = |sizes: &[u64]| -> BTreeMap<u32, u64> {
            (1..).zip(sizes.iter().map(|size| size << 20)).collect()
        };
        assert_eq!(who(&mib(&[]), style), "");
        assert_eq!(who(&mib(&[7]), style), "process 1");
        assert_eq!(who(&mib(&[4, 8]), style), "2 processes ≈ 6.00 MiB each");
        let unequal = who(&mib(&[1, 3, 8]), style);
        assert_eq!(unequal, "3 processes, 1.00 MiB to 8.00 MiB");
    }
}
