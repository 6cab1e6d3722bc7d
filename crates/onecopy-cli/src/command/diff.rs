//! `onecopy diff A B`: what has changed between two reports, by mapping.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use onecopy::printable;
use onecopy_meter::{Report, SCHEMA, Session};
use serde::Serialize;
use serde_json::Value;

use crate::cli::meter::DiffArguments;
use crate::command::report;
use crate::command::run::record;
use crate::output::{json, say, text, units};

/// Pages of the mappings of one name before and after.
#[derive(Debug, Default, Serialize, PartialEq, Eq)]
struct Change {
    label: String,
    pages_before: u64,
    pages_after: u64,
    frames_before: u64,
    frames_after: u64,
    new_before: u64,
    new_after: u64,
}

impl Change {
    /// Pages that came or went.
    fn weight(&self) -> u64 {
        self.frames_before.abs_diff(self.frames_after) + self.new_before.abs_diff(self.new_after)
    }
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Changes {
    schema: &'static str,
    page_size: u64,
    /// Whether all of both trees was read; if not, there are no changes of mappings.
    complete: bool,
    copies_before: Option<f64>,
    copies_after: Option<f64>,
    sum_pss_before: Option<u64>,
    sum_pss_after: Option<u64>,
    /// Those that changed, the largest change first.
    mappings: Vec<Change>,
}

/// Compares and prints.
pub(crate) fn run(arguments: &DiffArguments, out: &mut dyn Write) -> Result<i32> {
    let (before, after) = match (&arguments.after, arguments.before.parse::<u32>()) {
        (None, Ok(pid)) => {
            let mut session = Session::new(report::proc(&arguments.measuring), pid).patient();
            let before = session.read()?;
            thread::sleep(Duration::from_secs_f64(arguments.every));
            (before.into(), session.read()?.into())
        }
        (None, Err(_)) => bail!(
            "{} is one report: name a second one to compare with",
            arguments.before
        ),
        (Some(after), _) => (one(arguments, &arguments.before)?, one(arguments, after)?),
    };
    for doubt in doubts(&before, &after) {
        say(format_args!("{doubt}"));
    }
    let (before, after) = (before.report, after.report);
    if before.page_size != after.page_size {
        bail!(
            "pages of {} and of {} bytes cannot be compared",
            before.page_size,
            after.page_size
        );
    }
    let changes = Changes {
        schema: "onecopy.diff/1",
        page_size: before.page_size,
        complete: before.complete && after.complete,
        copies_before: before.tree.copies.value,
        copies_after: after.tree.copies.value,
        sum_pss_before: before.tree.sum_pss,
        sum_pss_after: after.tree.sum_pss,
        mappings: changes(&before, &after),
    };
    if arguments.json {
        json::write(out, &changes)?;
    } else {
        print(out, &changes)?;
    }
    Ok(report::verdict(&arguments.measuring, &after))
}

/// One side of the comparison.
struct Side {
    report: Report,
    /// The command and its arguments, where they are known.
    command: Option<Vec<String>>,
}

impl From<Report> for Side {
    fn from(report: Report) -> Self {
        Self {
            report,
            command: None,
        }
    }
}

/// A process as it is now, or what a file holds.
fn one(arguments: &DiffArguments, name: &str) -> Result<Side> {
    if let Ok(pid) = name.parse::<u32>() {
        return Ok(report::proc(&arguments.measuring).tree(pid)?.into());
    }
    let content = fs::read_to_string(name).with_context(|| format!("cannot read {name}"))?;
    let mut value: Value =
        serde_json::from_str(&content).with_context(|| format!("{name} is no JSON"))?;
    let found = match value["schema"].as_str() {
        Some(SCHEMA) => value.take(),
        Some(record::SCHEMA) if !value["report"].is_null() => value["report"].take(),
        Some(record::SCHEMA) => bail!("{name}: nothing was measured in that run"),
        other => bail!(
            "{name} is of the form {:?}; {SCHEMA} and {} are understood",
            other.unwrap_or("without a schema"),
            record::SCHEMA
        ),
    };
    Ok(Side {
        report: serde_json::from_value(found)
            .with_context(|| format!("{name} does not hold what its schema says"))?,
        command: serde_json::from_value(value["command"].take()).ok(),
    })
}

/// Why the two may be different for another reason than what memory has been used for.
fn doubts(before: &Side, after: &Side) -> Vec<String> {
    let first = |side: &Side| side.report.processes.first().map(|row| row.name.clone());
    let words = |side: &Side| side.command.as_ref().map(|words| words.join(" "));
    let mut doubts = Vec::new();
    let programs = match (words(before), words(after)) {
        (Some(before), Some(after)) => Some((before, after)),
        _ => first(before).zip(first(after)),
    };
    if let Some((before, after)) = programs.filter(|(before, after)| before != after) {
        doubts.push(format!(
            "different commands are compared: {} and {}",
            printable(&before),
            printable(&after)
        ));
    }
    let count = |side: &Side| side.report.processes.len();
    if count(before) != count(after) {
        doubts.push(format!(
            "different numbers of processes are compared: {} and {}",
            count(before),
            count(after)
        ));
    }
    doubts
}

fn changes(before: &Report, after: &Report) -> Vec<Change> {
    let mut found: BTreeMap<String, Change> = BTreeMap::new();
    if !before.complete || !after.complete {
        // What is missing on one side would look like a change.
        return Vec::new();
    }
    for row in &before.mappings {
        let (change, sums) = (
            found.entry(row.label.clone()).or_default(),
            row.sums().unwrap_or_default(),
        );
        change.pages_before += sums.pages;
        change.frames_before += sums.frames;
        change.new_before += sums.new;
    }
    for row in &after.mappings {
        let (change, sums) = (
            found.entry(row.label.clone()).or_default(),
            row.sums().unwrap_or_default(),
        );
        change.pages_after += sums.pages;
        change.frames_after += sums.frames;
        change.new_after += sums.new;
    }
    let mut changes: Vec<Change> = found
        .into_iter()
        .map(|(label, change)| Change { label, ..change })
        .filter(|change| change.weight() > 0)
        .collect();
    changes.sort_by_key(|change| std::cmp::Reverse(change.weight()));
    changes
}

fn print(out: &mut dyn Write, changes: &Changes) -> Result<()> {
    let style = units::Style::default();
    let copies = |value: Option<f64>| {
        value.map_or_else(|| "unknown".to_owned(), |value| format!("{value:.2} ×"))
    };
    writeln!(
        out,
        "  copies    {} → {}\n  ΣPSS      {} → {}",
        copies(changes.copies_before),
        copies(changes.copies_after),
        style.maybe(changes.sum_pss_before),
        style.maybe(changes.sum_pss_after),
    )?;
    writeln!(
        out,
        "\n  {:<40} {:>12} {:>12} {:>12}",
        "MAPPING", "DISTINCT", "COPIED", "NEW"
    )?;
    let signed = |before: u64, after: u64| {
        let size = style.size(before.abs_diff(after) * changes.page_size);
        match after.cmp(&before) {
            std::cmp::Ordering::Less => format!("−{size}"),
            std::cmp::Ordering::Equal => "0".to_owned(),
            std::cmp::Ordering::Greater => format!("+{size}"),
        }
    };
    for change in &changes.mappings {
        let label = text::column(&change.label, 40);
        writeln!(
            out,
            "  {label} {:>12} {:>12} {:>12}",
            signed(change.pages_before, change.pages_after),
            signed(
                change.frames_before.saturating_sub(change.pages_before),
                change.frames_after.saturating_sub(change.pages_after)
            ),
            signed(change.new_before, change.new_after),
        )?;
    }
    if !changes.complete {
        writeln!(out, "  unknown: not every process could be read both times")?;
    } else if changes.mappings.is_empty() {
        writeln!(out, "  nothing has changed")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(command: Option<&[&str]>) -> Side {
        let recorded = include_str!("../../tests/recorded/report.json");
        Side {
            report: serde_json::from_str(recorded).unwrap(),
            command: command.map(|words| words.iter().map(ToString::to_string).collect()),
        }
    }

    #[test]
    fn different_commands_and_numbers_of_processes_are_said() {
        let (sleep, copy) = (
            side(Some(&["sleep", "5"])),
            side(Some(&["cp", "\u{1b}[2J"])),
        );
        assert!(doubts(&sleep, &sleep).is_empty());
        let said = doubts(&sleep, &copy);
        assert_eq!(said.len(), 1);
        assert!(said[0].contains("sleep 5 and cp \\u{1b}[2J"), "{said:?}");
        // Of a reading only the name of the first process is known.
        let mut other = side(None);
        assert!(doubts(&sleep, &other).is_empty());
        other.report.processes[0].name = "other".to_owned();
        assert!(doubts(&sleep, &other)[0].contains("different commands"));
        let mut fewer = side(None);
        fewer.report.processes.pop();
        let said = doubts(&side(None), &fewer);
        assert_eq!(said.len(), 1);
        assert!(
            said[0].contains("different numbers of processes"),
            "{said:?}"
        );
    }
}
