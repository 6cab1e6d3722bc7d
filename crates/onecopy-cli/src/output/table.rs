//! Outcomes as text for a terminal of 100 columns.
#![forbid(unsafe_code)]

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use anyhow::Result;
use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};

use super::text::wrapped;
use super::units::{Bytes, Change, grouped, kilobytes, mebibytes};
use crate::cli::Share;
use crate::command::demo::{Moment, Outcome};
use crate::options::DemoOptions;

const STRONG: Style = Style::new().bold();
const GOOD: Style = Style::new()
    .bold()
    .fg_color(Some(anstyle::Color::Ansi(AnsiColor::Green)));
const RULE: LineStyle = LineStyle::none().fill('─').junction('─');
/// A rule above the table, below its header, and below it.
const RULES: TableStyle = TableStyle::new()
    .top_border(RULE)
    .header_separator(RULE)
    .bottom_border(RULE);
/// Copies beyond what arithmetic says that are still called exact.
const EXACT: f64 = 0.001;

/// Says what is about to be done.
pub(crate) fn title(out: &mut dyn Write, options: &DemoOptions) -> Result<()> {
    let n = grouped(options.n);
    let how = match options.share {
        Share::Fork => "memory that fork shares",
        Share::Store => "a onecopy store",
    };
    let noun = if options.workers == 1 {
        "worker"
    } else {
        "workers"
    };
    writeln!(
        out,
        "{STRONG}{n} × {n} float64 = {} in {how}, {} {noun}{STRONG:#}",
        Bytes(options.data_bytes),
        options.workers,
    )?;
    out.flush()?;
    Ok(())
}

/// One line of the log, as the original experiment wrote it, at the moment it is taken.
pub(crate) fn log_line(out: &mut dyn Write, moment: &Moment) -> Result<()> {
    writeln!(
        out,
        "  {:<18} MemFree + Buffers + Cached {:>11} kB   process {:>7}  RSS {:>8} MiB",
        moment.when,
        kilobytes(moment.free_buffers_cached),
        moment.memory.pid,
        mebibytes(moment.memory.rss),
    )?;
    out.flush()?;
    Ok(())
}

/// The table of all moments, and the verdict.
pub(crate) fn outcome(out: &mut dyn Write, outcome: &Outcome) -> Result<()> {
    writeln!(out, "\n{}", moments(outcome))?;
    verdict(out, outcome)
}

/// A table with rules around its header and below, as wide as its content.
pub(crate) fn ruled() -> Table {
    let mut table = Table::new();
    table
        .load_style(RULES)
        .set_content_arrangement(ContentArrangement::Disabled);
    table
}

fn moments(outcome: &Outcome) -> Table {
    let mut table = ruled();
    table.set_header([
        "",
        "MemFree\n+Buffers\n+Cached kB",
        "Mem-\nAvailable\nkB",
        "\nShmem\nkB",
        "\nRSS\nMiB",
        "\nPSS\nMiB",
        "\nUSS\nMiB",
        "private\ndirty\nMiB",
    ]);
    for moment in &outcome.moments {
        let memory = &moment.memory;
        table.add_row([
            moment.when.clone(),
            kilobytes(moment.free_buffers_cached),
            kilobytes(moment.machine.available),
            kilobytes(moment.machine.shmem),
            mebibytes(memory.rss),
            mebibytes(memory.pss),
            mebibytes(memory.uss),
            mebibytes(memory.private_dirty),
        ]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
        column.set_padding((2, 0));
    }
    table
}

fn verdict(out: &mut dyn Write, outcome: &Outcome) -> Result<()> {
    let verdict = &outcome.verdict;
    let (workers, processes) = (outcome.options.workers, outcome.options.processes());
    let exact = (verdict.copies - verdict.copies_expected).abs() <= EXACT * verdict.copies;
    let style = if exact { GOOD } else { STRONG };
    let evidence = match outcome.options.share {
        Share::Fork => format!("pages of the array counted in all {processes} processes"),
        Share::Store => {
            "what the store's memory file occupies, and private copies of it".to_owned()
        }
    };
    line(
        out,
        "array",
        &Bytes(outcome.options.data_bytes).to_string(),
        "read from end to end by every worker",
    )?;
    line(
        out,
        "physical",
        &Bytes(verdict.physical_bytes).to_string(),
        &evidence,
    )?;
    line(
        out,
        "copies",
        &format!("{:.3} ×", verdict.copies),
        &format!(
            "1.000 = one copy, {processes}.000 = one for each process; expected {:.3}",
            verdict.copies_expected
        ),
    )?;
    line(
        out,
        "RSS says",
        &Bytes(verdict.rss_bytes).to_string(),
        &format!(
            "{:.2} copies: it counts a shared page in every process",
            verdict.rss_copies
        ),
    )?;
    line(
        out,
        "PSS says",
        &Change {
            from: verdict.sum_pss_before,
            to: verdict.sum_pss_with_workers,
        }
        .to_string(),
        &format!(
            "all memory of all processes since before allocating: {:.3} copies",
            verdict.growth_copies
        ),
    )?;
    line(
        out,
        "private",
        &Bytes(verdict.private_elsewhere_max).to_string(),
        &format!("at most, in each of {workers} workers, beyond the array, stack and libraries"),
    )?;
    machine(out, outcome)?;
    writeln!(
        out,
        "\n{style}{}{style:#}",
        wrapped(&verdict.sentence, 98).join("\n")
    )?;
    out.flush()?;
    Ok(())
}

/// What the machine says, and why it is not believed.
fn machine(out: &mut dyn Write, outcome: &Outcome) -> Result<()> {
    let moments = &outcome.moments;
    if let (Some(before), Some(after)) = (moments.first(), moments.last()) {
        let sum = Change {
            from: before.machine.free_buffers_cached(),
            to: after.machine.free_buffers_cached(),
        };
        let available = Change {
            from: before.machine.available,
            to: after.machine.available,
        };
        line(
            out,
            "free",
            &sum.to_string(),
            "MemFree + Buffers + Cached, of the whole machine",
        )?;
        line(
            out,
            "available",
            &available.to_string(),
            "MemAvailable, likewise",
        )?;
        writeln!(
            out,
            "\n  MemFree + Buffers + Cached misleads: Cached counts shared memory (Shmem) as free, and both\n  \
             sums move with everything else that runs on the machine. PSS counts these processes only."
        )?;
    }
    Ok(())
}

fn line(out: &mut dyn Write, name: &str, value: &str, meaning: &str) -> io::Result<()> {
    writeln!(out, "  {name:<10} {value:>13}   {meaning}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPTURED: &str = include_str!("../../tests/recorded/demo.json");
    const RECORDED: &str = include_str!("../../tests/recorded/demo.txt");

    /// Everything that a run with the captured numbers prints, without colours.
    fn printed() -> String {
        let captured: Outcome = serde_json::from_str(CAPTURED).unwrap();
        let mut out = anstream::StripStream::new(Vec::new());
        title(&mut out, &captured.options).unwrap();
        for moment in &captured.moments {
            log_line(&mut out, moment).unwrap();
        }
        outcome(&mut out, &captured).unwrap();
        String::from_utf8(out.into_inner()).unwrap()
    }

    #[test]
    fn captured_numbers_print_as_recorded() {
        let printed = printed();
        assert_eq!(printed, RECORDED, "\n{printed}");
    }

    #[test]
    fn the_text_fits_a_hundred_columns() {
        for line in printed().lines() {
            assert!(
                line.chars().count() <= 100,
                "{} columns: {line}",
                line.chars().count()
            );
        }
    }

    #[test]
    fn json_of_captured_numbers_is_the_same_again() {
        let captured: Outcome = serde_json::from_str(CAPTURED).unwrap();
        let mut out = Vec::new();
        super::super::json::write(&mut out, &captured).unwrap();
        let (again, was): (serde_json::Value, serde_json::Value) = (
            serde_json::from_slice(&out).unwrap(),
            serde_json::from_str(CAPTURED).unwrap(),
        );
        assert_eq!(again, was);
        assert_eq!(again["schema"], "onecopy.demo/1");
    }
}
