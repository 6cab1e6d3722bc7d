//! `onecopy report PID`: one reading of a tree.
#![forbid(unsafe_code)]

use std::io::Write;

use anyhow::{Result, bail};
use onecopy_meter::{Proc, Report, SkipReason};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::cli::meter::{Format, Measuring, ReportArguments};
use crate::output::members::reason;
use crate::output::{csv, html, json, report, units};
use crate::{BUDGET, OK};

/// Measures once and prints.
pub(crate) fn run(arguments: &ReportArguments, out: &mut dyn Write) -> Result<i32> {
    let found = proc(&arguments.measuring).tree(arguments.pid)?;
    check_root(arguments.pid, &found)?;
    match arguments.format() {
        Format::Text => {
            let style = units::Style::new(arguments.bytes).on(std::io::stdout());
            report::report(out, &found, &report::Heading::default(), style)?;
        }
        Format::Json => json::write(out, &found)?,
        Format::Jsonl => json::line(out, &found)?,
        Format::Csv => csv::processes(out, &found, !arguments.no_header)?,
        Format::Html => html::write(out, html::Subject::reading(&found))?,
        Format::Svg => out.write_all(html::drawing(html::Subject::reading(&found)).as_bytes())?,
    }
    Ok(verdict(&arguments.measuring, &found))
}

/// An error if nothing of a tree could be read because its first process may not be looked into.
pub(crate) fn check_root(pid: u32, found: &Report) -> Result<()> {
    let mut skipped = found.skipped.iter();
    let root = skipped.find(|row| row.pid == pid && row.reason == SkipReason::Denied);
    match root {
        Some(_) if !found.processes.is_empty() => Ok(()),
        Some(row) if row.foreign == Some(true) => {
            bail!("process {pid} belongs to another user: run as that user or as root")
        }
        Some(row) => bail!("process {pid} {}; run as root", reason(row)),
        None => Ok(()),
    }
}

/// The way to read `/proc` that was asked for. To be called when the command was started, if there is one: what this
/// process may have opened then is not the command's affair.
pub(crate) fn proc(measuring: &Measuring) -> Proc {
    raise_limit_of_descriptors();
    let proc = Proc::default();
    if measuring.no_frames {
        proc.without_frames()
    } else {
        proc
    }
}

/// Lets this process open as many files as it may: a reading holds one per process of the tree, and the usual limit is
/// 1,024 (`getrlimit(2)`). Where that is refused, a reading of so many processes fails and says so.
fn raise_limit_of_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    );
}

/// The exit code; says on standard error when the budget is broken or cannot be checked.
pub(crate) fn verdict(measuring: &Measuring, found: &Report) -> i32 {
    let Some(most) = measuring.max_copies else {
        return OK;
    };
    let copies = &found.tree.copies;
    let (code, why) = check(most, copies.value, copies.reason.as_deref(), found.complete);
    if let Some(why) = why {
        crate::output::say(why);
    }
    code
}

/// What to do about data that are nobody's inheritance.
const OF_THEIR_OWN: &str = "what each process has loaded or unpickled for itself, `onecopy why PID --content` compares; of \
                            the data alone, onecopy.tag() and assert_shared() judge";

/// What a number of copies means for a budget: the exit code, and what to say. `is_whole` says whether all of the tree
/// was read, so that a number is missing for what was found there.
pub(crate) fn check(
    most: f64,
    copies: Option<f64>,
    reason: Option<&str>,
    is_whole: bool,
) -> (i32, Option<String>) {
    match copies {
        Some(copies) if copies > most => (
            BUDGET,
            Some(format!(
                "{copies:.3} copies, and --max-copies allows {most:.3}"
            )),
        ),
        Some(_) => (OK, None),
        None => {
            let reason = reason.unwrap_or("the number of copies is not known");
            let mut text = format!("--max-copies {most:.3} cannot be checked: {reason}");
            if is_whole {
                text.push_str("; ");
                text.push_str(OF_THEIR_OWN);
            }
            (BUDGET, Some(text))
        }
    }
}
