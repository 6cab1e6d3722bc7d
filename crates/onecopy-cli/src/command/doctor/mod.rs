//! `onecopy doctor`: what the kernel tells here, found out by experiments with known results.
//!
//! Each way in which the kernel tells something is tried on memory in a known state, and each line says
//! what is lost where it does not work. Each experiment forks workers that write known pages, measures them from outside as any process is
//! measured, and compares. So it also shows what the numbers are worth under this user, in this
//! container, on this kernel.

mod abilities;
mod bits;
mod experiment;
mod kernel;

use std::io::Write;

use anstyle::{AnsiColor, Color, Style};
use anyhow::Result;
use onecopy_meter::{Level, Proc};
use serde::Serialize;

use crate::cli::meter::DoctorArguments;
use crate::output::json;
use crate::{FAILED, OK};

const GOOD: Style = Style::new().fg_color(Some(Color::Ansi(AnsiColor::Green)));
const BAD: Style = Style::new().fg_color(Some(Color::Ansi(AnsiColor::Red)));

/// What became of one check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Works,
    /// The meter does without it.
    NotHere,
    /// The meter would say something wrong.
    Wrong,
}

/// One check.
#[derive(Debug, Serialize)]
struct Finding {
    name: &'static str,
    outcome: Outcome,
    /// What was seen, or what is missing.
    detail: String,
    /// What cannot be had, or not be believed, without it; `None` when it works.
    lost: Option<&'static str>,
}

impl Finding {
    fn new(name: &'static str, outcome: Outcome, detail: impl Into<String>) -> Self {
        Self {
            name,
            outcome,
            detail: detail.into(),
            lost: None,
        }
    }

    /// Says what is lost, unless it works.
    fn lost(mut self, what: &'static str) -> Self {
        self.lost = (self.outcome != Outcome::Works).then_some(what);
        self
    }

    /// `Works` or `NotHere`.
    fn here(name: &'static str, here: bool, detail: impl Into<String>) -> Self {
        let outcome = if here {
            Outcome::Works
        } else {
            Outcome::NotHere
        };
        Self::new(name, outcome, detail)
    }
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
#[expect(
    clippy::struct_field_names,
    reason = "the list is what the whole is named after"
)]
struct Findings {
    schema: &'static str,
    kernel: String,
    page_size: u64,
    level: Level,
    findings: Vec<Finding>,
}

/// Checks everything and prints what was found; fails when a number is wrong.
pub(crate) fn run(arguments: &DoctorArguments, out: &mut dyn Write) -> Result<i32> {
    let proc = Proc::default();
    let kernel = rustix::system::uname();
    let mut findings = abilities::all(&proc);
    findings.extend(bits::all(&proc));
    for level in [Level::A, Level::B] {
        let reader = match level {
            Level::B => proc.clone().without_frames(),
            _ if proc.level() == Level::A => proc.clone(),
            _ => continue,
        };
        findings.extend(experiment::all(&reader, level));
    }
    let findings = Findings {
        schema: "onecopy.doctor/1",
        kernel: kernel.release().to_string_lossy().into_owned(),
        page_size: proc.page_size(),
        level: proc.level(),
        findings,
    };
    if arguments.json {
        json::write(out, &findings)?;
    } else {
        print(out, &findings)?;
    }
    let wrong = findings
        .findings
        .iter()
        .any(|finding| finding.outcome == Outcome::Wrong);
    Ok(if wrong { FAILED } else { OK })
}

fn print(out: &mut dyn Write, findings: &Findings) -> Result<()> {
    writeln!(
        out,
        "Linux {}, pages of {} bytes: level {}",
        findings.kernel, findings.page_size, findings.level
    )?;
    for finding in &findings.findings {
        let (style, word) = match finding.outcome {
            Outcome::Works => (GOOD, "works"),
            Outcome::NotHere => (Style::new(), "not here"),
            Outcome::Wrong => (BAD, "WRONG"),
        };
        writeln!(
            out,
            "  {:<34} {style}{word:<9}{style:#} {}",
            finding.name, finding.detail
        )?;
        if let Some(lost) = finding.lost {
            writeln!(out, "  {:<34} {:<9} lost: {lost}", "", "")?;
        }
    }
    Ok(())
}
