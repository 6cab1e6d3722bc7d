//! A report of a tree as text: the number first, then what it is made of.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::io::Write;

use anstyle::{AnsiColor, Style};
use anyhow::Result;
use onecopy_meter::{Level, MappingMemory, ProcessMemory, Report, Role, SkipReason, Skipped};

use super::text::{column, printable};
use super::units;

const STRONG: Style = Style::new().bold();
const GOOD: Style = STRONG.fg_color(Some(anstyle::Color::Ansi(AnsiColor::Green)));
const BAD: Style = STRONG.fg_color(Some(anstyle::Color::Ansi(AnsiColor::Red)));
/// Copies up to which the number is shown as good.
const FEW: f64 = 1.1;
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
    writeln!(out, "{STRONG}{}{STRONG:#}", title(report, heading))?;
    sums(out, report, style)?;
    for (name, text) in &heading.lines {
        writeln!(out, "  {name:<12} {text}")?;
    }
    mappings(out, report, style)?;
    processes(out, report, style)?;
    skipped(out, report)?;
    for limit in &report.limits {
        // They may hold names of stores.
        writeln!(out, "  note: {}", printable(limit))?;
    }
    Ok(())
}

/// Kernel threads that are named by themselves.
const THREADS: usize = 4;

fn skipped(out: &mut dyn Write, report: &Report) -> Result<()> {
    let mut threads = 0;
    for skipped in &report.skipped {
        threads += usize::from(skipped.reason == SkipReason::KernelThread);
        if skipped.reason == SkipReason::KernelThread && threads > THREADS {
            continue;
        }
        writeln!(
            out,
            "  not measured: process {} ({}) {}",
            skipped.pid,
            printable(&skipped.name),
            reason(skipped)
        )?;
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

/// Why a process has no row, as the end of a sentence about it.
pub(crate) fn reason(skipped: &Skipped) -> &'static str {
    match skipped.reason {
        SkipReason::Exited => "has exited and waits for its parent to notice",
        SkipReason::Denied if skipped.foreign == Some(true) => "belongs to somebody else",
        SkipReason::Denied => {
            "may not be looked into: it has more privileges than this one, or is not dumpable"
        }
        SkipReason::KernelThread => "is a kernel thread: it has no memory of its own",
        _ => "went away while the tree was read",
    }
}

/// `1 parent + 8 workers`, `3 processes`.
pub(crate) fn members(report: &Report) -> String {
    let count = |role| {
        report
            .processes
            .iter()
            .filter(|row| row.role == Some(role))
            .count()
    };
    let (parents, workers, alone) = (count(Role::Parent), count(Role::Worker), count(Role::Alone));
    let mut parts = Vec::new();
    let mut part = |number: usize, one: &str| match number {
        0 => {}
        1 => parts.push(format!("1 {one}")),
        more => {
            let plural = if one.ends_with('s') { "es" } else { "s" };
            parts.push(format!("{more} {one}{plural}"));
        }
    };
    part(parents, "parent");
    part(workers, "worker");
    part(
        alone,
        if parents > 0 {
            "other process"
        } else {
            "process"
        },
    );
    if parts.is_empty() {
        "no processes with memory".to_owned()
    } else {
        parts.join(" + ")
    }
}

fn title(report: &Report, heading: &Heading) -> String {
    let mut parts = vec!["── onecopy".to_owned(), members(report)];
    parts.extend(heading.moment.clone());
    parts.push(match report.level {
        Level::A => "level A (page frames)".to_owned(),
        _ => "level B (no privileges)".to_owned(),
    });
    let agreement = report.tree.copies.agreement;
    parts.push(match agreement {
        Some(agreement) => format!("agreement {:.1} %", agreement * 100.0),
        None => "agreement unknown".to_owned(),
    });
    parts.join(" ─ ")
}

fn sums(out: &mut dyn Write, report: &Report, style: units::Style) -> Result<()> {
    let (tree, page) = (&report.tree, report.page_size);
    let copies = &tree.copies;
    let each = report.processes.len();
    match (copies.value, &copies.reason) {
        (Some(value), _) => {
            let colour = if value <= FEW { GOOD } else { BAD };
            let shown = format!("{value:.2} ×");
            writeln!(
                out,
                "  {:<12} {colour}{shown:<12}{colour:#} 1.00 = one copy, {each}.00 = one each",
                "copies"
            )?;
        }
        (None, reason) => {
            let reason = reason.as_deref().unwrap_or("no reason is known");
            writeln!(out, "  {:<12} unknown      {reason}", "copies")?;
        }
    }
    let file = tree.sum_pss_file;
    let size = |pages: Option<u64>| style.maybe(pages.map(|pages| pages * page));
    if let Some(pages) = copies.physical_pages() {
        let physical = pages * page + file.unwrap_or(0);
        writeln!(
            out,
            "  {:<12} {:<12} = inherited once {} + copied {} + new {} + shared memory {} + files {}",
            "physical",
            style.size(physical),
            size(copies.unique),
            size(copies.wasted),
            size(copies.new),
            size(copies.shared),
            style.maybe(file),
        )?;
    } else {
        writeln!(
            out,
            "  {:<12} unknown      a part of the tree is not the whole",
            "physical"
        )?;
    }
    match (tree.sum_rss, tree.sum_pss) {
        (Some(rss), Some(pss)) => {
            let times = rss as f64 / pss.max(1) as f64;
            writeln!(
                out,
                "  {:<12} {:<12} sum of RSS: {times:.1} × the sum of PSS, {}",
                "top/ps says",
                style.size(rss),
                style.size(pss)
            )?;
        }
        _ => writeln!(out, "  {:<12} unknown      likewise", "top/ps says")?,
    }
    if !report.stores.is_empty() {
        writeln!(
            out,
            "  {:<12} {:<12} occupied by onecopy stores, touched or not",
            "stores",
            style.maybe(tree.allocated)
        )?;
    }
    Ok(())
}

/// The rows of one label, added up; counts of pages.
pub(crate) struct Labelled {
    pub(crate) label: String,
    pub(crate) pages: u64,
    pub(crate) frames: u64,
    pub(crate) new: u64,
    /// Bytes that each process has copied.
    copiers: BTreeMap<u32, u64>,
}

impl Labelled {
    /// Pages that exist because somebody wrote.
    pub(crate) fn extra(&self) -> u64 {
        self.frames.saturating_sub(self.pages)
    }

    /// `1.25 ×`, or a dash when nothing of it is inherited or shared.
    pub(crate) fn copies(&self) -> String {
        if self.pages > 0 {
            format!("{:.2} ×", self.frames as f64 / self.pages as f64)
        } else {
            "–".to_owned()
        }
    }
}

/// The mappings by label, the largest first; without those whose sums are not known.
pub(crate) fn by_label(rows: &[MappingMemory]) -> Vec<Labelled> {
    let mut found: Vec<Labelled> = Vec::new();
    for (row, sums) in rows.iter().filter_map(|row| Some((row, row.sums()?))) {
        let index = found.iter().position(|other| other.label == row.label);
        let index = index.unwrap_or_else(|| {
            found.push(Labelled {
                label: row.label.clone(),
                pages: 0,
                frames: 0,
                new: 0,
                copiers: BTreeMap::new(),
            });
            found.len() - 1
        });
        let sum = &mut found[index];
        sum.pages += sums.pages;
        sum.frames += sums.frames;
        sum.new += sums.new;
        for user in row.processes.iter().filter(|user| user.pages.copied > 0) {
            *sum.copiers.entry(user.pid).or_default() += user.pages.copied;
        }
    }
    found.sort_by_key(|sum| std::cmp::Reverse(sum.frames + sum.new));
    found
}

fn mappings(out: &mut dyn Write, report: &Report, style: units::Style) -> Result<()> {
    let rows = by_label(&report.mappings);
    if rows.is_empty() {
        return Ok(());
    }
    let page = report.page_size;
    writeln!(
        out,
        "\n  {STRONG}{:<30} {:>10} {:>10} {:>10} {:>8}  WHO COPIED{STRONG:#}",
        "MAPPING", "DISTINCT", "COPIED", "NEW", "COPIES"
    )?;
    for row in rows.iter().take(ROWS) {
        let copies = row.copies();
        let who = who(&row.copiers, style);
        writeln!(
            out,
            "  {} {:>10} {:>10} {:>10} {copies:>8}  {who}",
            column(&row.label, 30),
            style.size(row.pages * page),
            style.size(row.extra() * page),
            style.size(row.new * page),
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
    writeln!(
        out,
        "\n  {STRONG}{:>8} {:<16} {:<7} {:>10} {:>10} {:>10} {:>10} {:>10}{STRONG:#}",
        "PID", "NAME", "ROLE", "SHARED", "COPIED", "LAST OWNER", "NEW", "RSS"
    )?;
    for process in report.processes.iter().take(PROCESSES) {
        let pages = process.pages.unwrap_or_default();
        writeln!(
            out,
            "  {:>8} {} {:<7} {:>10} {:>10} {:>10} {:>10} {:>10}",
            process.pid,
            column(&process.name, 16),
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

/// A process's role in a word.
pub(crate) fn role(process: &ProcessMemory) -> &'static str {
    match process.role {
        Some(Role::Parent) => "parent",
        Some(Role::Worker) => "worker",
        _ => "alone",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::text::columns;

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
