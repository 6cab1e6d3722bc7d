//! `onecopy diff A B`: what has changed between two reports, by mapping.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use onecopy_meter::{Report, SCHEMA, Session};
use serde::Serialize;
use serde_json::Value;

use crate::cli::meter::DiffArguments;
use crate::command::report;
use crate::command::run::record;
use crate::output::{json, text, units};

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
            (before, session.read()?)
        }
        (None, Err(_)) => bail!(
            "{} is one report: name a second one to compare with",
            arguments.before
        ),
        (Some(after), _) => (one(arguments, &arguments.before)?, one(arguments, after)?),
    };
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

/// A process as it is now, or what a file holds.
fn one(arguments: &DiffArguments, name: &str) -> Result<Report> {
    if let Ok(pid) = name.parse::<u32>() {
        return Ok(report::proc(&arguments.measuring).tree(pid)?);
    }
    let content = fs::read_to_string(name).with_context(|| format!("cannot read {name}"))?;
    let value: Value =
        serde_json::from_str(&content).with_context(|| format!("{name} is no JSON"))?;
    let found = match value["schema"].as_str() {
        Some(SCHEMA) => value,
        Some(record::SCHEMA) if !value["report"].is_null() => value["report"].clone(),
        Some(record::SCHEMA) => bail!("{name}: nothing was measured in that run"),
        other => bail!(
            "{name} is of the form {:?}; {SCHEMA} and {} are understood",
            other.unwrap_or("without a schema"),
            record::SCHEMA
        ),
    };
    serde_json::from_value(found)
        .with_context(|| format!("{name} does not hold what its schema says"))
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
