//! Why pages were copied, as text.
#![forbid(unsafe_code)]

use std::io::Write;

use anstyle::Style;
use anyhow::Result;

use super::units;
use crate::command::why::{Cause, Why, WhyRow};

const STRONG: Style = Style::new().bold();
/// Rows that are shown.
const STACKS: usize = 10;
const TYPES: usize = 10;

/// Prints stacks, objects and advice.
pub(crate) fn why(
    out: &mut dyn Write,
    why: &Why,
    page_size: u64,
    style: units::Style,
) -> Result<()> {
    if why.pages == 0 {
        writeln!(out, "\n  {STRONG}WHY{STRONG:#}  nothing was copied")?;
        return Ok(());
    }
    let all = style.size(why.pages * page_size);
    writeln!(
        out,
        "\n  {STRONG}WHY  {all} of copied pages, joined with write faults{STRONG:#}"
    )?;
    let part = |pages: u64| format!("{:>4.0} %", 100.0 * pages as f64 / why.pages.max(1) as f64);
    for row in why.stacks.iter().take(STACKS) {
        writeln!(
            out,
            "  {}  {:<20} {}",
            part(row.pages),
            cause(row.cause),
            stack(row)
        )?;
    }
    let more: u64 = why.stacks.iter().skip(STACKS).map(|row| row.pages).sum();
    if more > 0 {
        writeln!(
            out,
            "  {}  … and {} more stacks",
            part(more),
            why.stacks.len() - STACKS
        )?;
    }
    if why.unattributed > 0 || why.stacks.is_empty() {
        let reason = why
            .reason
            .as_deref()
            .map_or_else(String::new, |reason| format!(": {reason}"));
        writeln!(out, "  {}  unattributed{reason}", part(why.unattributed))?;
    }
    if why.lost > 0 {
        writeln!(
            out,
            "          {} faults could not be recorded",
            units::grouped(why.lost)
        )?;
    }
    if !why.python.is_empty() {
        writeln!(
            out,
            "\n  {STRONG}IN PYTHON  from every 61st fault{STRONG:#}"
        )?;
        for row in why.python.iter().take(TYPES) {
            let callers = row.stack.join(" ← ");
            writeln!(out, "  {:>4.0} %  {callers}", row.fraction * 100.0)?;
        }
    }
    if let Some(objects) = &why.objects {
        writeln!(
            out,
            "\n  {STRONG}{:<30} {:>12} {:>12} {:>12}{STRONG:#}",
            "OBJECTS ON COPIED PAGES", "MOST COPIED", "OF", "BYTES IN ALL"
        )?;
        for row in objects.types.iter().take(TYPES) {
            writeln!(
                out,
                "  {:<30} {:>12} {:>12} {:>12}",
                row.name,
                units::grouped(row.objects),
                units::grouped(row.of),
                style.size(row.bytes)
            )?;
        }
        let rest: u64 = objects.types.iter().skip(TYPES).map(|row| row.bytes).sum();
        writeln!(
            out,
            "  {:<30} {:>38}",
            "other types, and what is no object",
            style.size(rest + objects.other)
        )?;
    }
    for line in &why.advice {
        writeln!(out, "  → {line}")?;
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
    let native = row.stack.iter().skip(1).take(2);
    let (mut callers, rest): (Vec<&str>, Vec<&str>) = (
        python.map(String::as_str).take(2).collect(),
        native.map(String::as_str).collect(),
    );
    if callers.is_empty() {
        callers = rest;
    }
    parts.append(&mut callers);
    parts.join(" ← ")
}
