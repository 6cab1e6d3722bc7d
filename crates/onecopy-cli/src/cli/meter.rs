//! The arguments of the commands that measure.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// How measurements are taken and limits checked; the same for every command.
#[derive(Debug, Clone, Args)]
pub(crate) struct Measuring {
    /// Exit with 3 when there are more copies than this
    #[arg(long, value_name = "X", value_parser = copies)]
    pub(crate) max_copies: Option<f64>,

    /// Do without page frame numbers even where the kernel shows them (level B)
    #[arg(long)]
    pub(crate) no_frames: bool,
}

#[derive(Debug, Args)]
#[command(after_help = RUN_EXAMPLES)]
pub(crate) struct RunArguments {
    /// Find out which code wrote to the pages that were copied; costs Python programs seconds, see --help
    ///
    /// Page faults are recorded, which costs the command itself some time, not part of --overhead. Python
    /// programs are changed: before its first fork, each writes a table of all its objects, which takes about a second per
    /// 100,000 dicts, and memory that it may not give back to the system and that workers then inherit.
    /// `PYTHONPATH`, `PYTHONPERFSUPPORT` and `ONECOPY_OBJECTS` are set for the command. For numbers, run it without --why.
    #[arg(long)]
    pub(crate) why: bool,

    #[command(flatten)]
    pub(crate) measuring: Measuring,

    /// How much of one processor the measuring may take, in percent [default: 1; with --max-copies 10]
    ///
    /// A limit is worth as much as has been looked at.
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    pub(crate) overhead: Option<f64>,

    /// Write the report for people to this file instead of standard error; - is standard output
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) files: Files,

    /// No report on standard error; files that were asked for are written
    #[arg(short, long)]
    pub(crate) quiet: bool,

    /// Print bytes as plain numbers
    #[arg(long)]
    pub(crate) bytes: bool,

    /// The command and its arguments, after `--`
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

/// Percent of one processor, if nothing is said: without and with a limit that has to be checked.
const OVERHEAD: f64 = 1.0;
const OVERHEAD_OF_CHECKS: f64 = 10.0;

impl RunArguments {
    /// How much of one processor the measuring may take, in percent.
    pub(crate) fn overhead(&self) -> f64 {
        let is_checked = self.measuring.max_copies.is_some();
        let default = if is_checked {
            OVERHEAD_OF_CHECKS
        } else {
            OVERHEAD
        };
        self.overhead.unwrap_or(default)
    }
}

/// Files to be written beside what is printed.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Files {
    /// Write the report as a page that needs no network
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,

    /// Write the timeline, or the map of a single reading, as a picture
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,

    /// Write everything as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// Write a row per moment and process
    #[arg(long, value_name = "FILE")]
    pub(crate) csv: Option<PathBuf>,

    /// Write a line of JSON per moment
    #[arg(long, value_name = "FILE")]
    pub(crate) jsonl: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = REPORT_EXAMPLES)]
pub(crate) struct ReportArguments {
    /// The process; its children are measured, too
    pub(crate) pid: u32,

    #[command(flatten)]
    pub(crate) measuring: Measuring,

    /// The form of the report on standard output
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,

    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    pub(crate) json: bool,

    /// Print bytes as plain numbers
    #[arg(long)]
    pub(crate) bytes: bool,

    /// No names of columns in CSV
    #[arg(long)]
    pub(crate) no_header: bool,
}

impl ReportArguments {
    pub(crate) fn format(&self) -> Format {
        if self.json { Format::Json } else { self.format }
    }
}

#[derive(Debug, Args)]
#[command(after_help = TOP_KEYS)]
pub(crate) struct TopArguments {
    /// The process; the largest family of forked processes if not given
    pub(crate) pid: Option<u32>,

    /// The shortest time between two readings
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = seconds)]
    pub(crate) every: f64,

    /// How much of one processor the measuring may take, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 1.0, value_parser = percent)]
    pub(crate) overhead: f64,

    #[command(flatten)]
    pub(crate) measuring: Measuring,
}

#[derive(Debug, Args)]
#[command(after_help = DIFF_EXAMPLES)]
pub(crate) struct DiffArguments {
    /// A report or run as JSON, or a process
    pub(crate) before: String,

    /// Another one; of a process, it is read again after --every seconds
    pub(crate) after: Option<String>,

    /// How long to wait between two readings of a process
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0, value_parser = some_seconds)]
    pub(crate) every: f64,

    #[command(flatten)]
    pub(crate) measuring: Measuring,

    /// Print the changes as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CompletionsArguments {
    /// Which shell
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub(crate) struct SchemaArguments {
    /// Which output
    #[arg(value_enum)]
    pub(crate) of: Output,
}

/// Outputs with a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    Report,
    Run,
    /// One line of `run --jsonl`
    Sample,
    Why,
    Diff,
    Doctor,
}

#[derive(Debug, Args)]
#[command(after_help = WHY_EXAMPLES)]
pub(crate) struct WhyArguments {
    /// The process; its children are watched, too
    pub(crate) pid: u32,

    /// How long to watch; 0 only with --content
    #[arg(long = "for", value_name = "SECONDS", default_value_t = 5.0, value_parser = seconds)]
    pub(crate) seconds: f64,

    /// A folder with a table of objects, as `onecopy.write_objects(folder)` leaves one before the fork
    #[arg(long, value_name = "FOLDER")]
    pub(crate) objects: Option<PathBuf>,

    /// Read the memory itself: how many copies were needless, and what several processes hold alike
    #[arg(long)]
    pub(crate) content: bool,

    #[command(flatten)]
    pub(crate) measuring: Measuring,

    /// Print the findings as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArguments {
    /// Print the findings as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// The form of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Text,
    Json,
    /// One line of JSON
    Jsonl,
    /// One row per process
    Csv,
    /// A page that needs no network
    Html,
    /// The map of memory as a picture
    Svg,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal that can, unless `NO_COLOR` is set
    #[default]
    Auto,
    Always,
    Never,
}

/// What is said after the help of each command: examples, and what its exit code means.
macro_rules! after_help {
    ($text:literal, $three:literal) => {
        concat!(
            $text,
            "\n\nExit codes:\n  0  done\n  1  it could not be done; standard error says why\n  2  the command line was \
             not understood\n  3  with --max-copies: ",
            $three
        )
    };
}

const RUN_EXAMPLES: &str = "\
Examples:
  onecopy run -- gunicorn --preload -w 4 app:app
  onecopy run --why --html report.html -- python train.py
  onecopy run --max-copies 1.10 -q -- python -m pytest   exit code 3 if there were more copies
  onecopy run --overhead 20 -- ./short-lived             look more often than one percent allows

Streams and files:
  The command owns standard input and output; the report goes to standard error. Files are
  opened before the command starts and written after its end; until then they keep what they
  have. FILE can be - or /dev/stdout, after all that the command has written there (./- is a
  file of that name), /dev/stderr, or a named pipe, whose reader is waited for three seconds.
  Command lines may hold secrets: only you can read a new report. A report that replaces your
  file keeps its access rights.

Exit codes:
  The command's own; 128+n when signal n ended it; 127 not found, 126 not executable.
  If the command ended with 0:
  3    with --max-copies: a reading found more copies, or there is no number of the largest
       moment. Else 0, even if more may have been copied unseen: standard error says so then
  125  onecopy itself failed, be it before the start or when a report was to be written
  2    the command line was not understood";

const REPORT_EXAMPLES: &str = after_help!(
    "\
Examples:
  onecopy report $(pgrep -o gunicorn)
  onecopy report 4100 --json | jq .tree.copies.value
  onecopy report 4100 --format html > report.html",
    "there are more copies, or there is no number of copies"
);

const TOP_KEYS: &str = after_help!(
    "\
Keys:
  s  sort by copied, copy/s, new, shared, tree     v  mappings     o  tagged objects
  p  pause                                         q  quit",
    "there are more copies, or there is no number; only if it prints once"
);

const DIFF_EXAMPLES: &str = after_help!(
    "\
Examples:
  onecopy report 4100 --json > a.json; sleep 60; onecopy report 4100 --json > b.json
  onecopy diff a.json b.json
  onecopy diff 4100 --every 10",
    "the second report has more copies, or no number of copies"
);

const WHY_EXAMPLES: &str = after_help!(
    "\
Examples:
  onecopy why $(pgrep -o gunicorn) --for 10
  onecopy why 4100 --content                at its end, compares pages; needs the right to trace
  onecopy run --why -- python train.py      from the first fork on",
    "there are more copies at the end, or there is no number of copies"
);

/// A time that is spent waiting for something to happen.
fn some_seconds(text: &str) -> Result<f64, String> {
    match seconds(text)? {
        value if value > 0.0 => Ok(value),
        _ => Err("nothing can change in no time".to_owned()),
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=86_400.0).contains(&value) {
        Ok(value)
    } else {
        Err("not between 0 and 86400".to_owned())
    }
}

fn copies(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if value.is_finite() && value >= 1.0 {
        Ok(value)
    } else {
        Err("1.00 is one copy; fewer are impossible".to_owned())
    }
}

fn percent(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if value > 0.0 && value <= 100.0 {
        Ok(value)
    } else {
        Err("not above 0 and at most 100".to_owned())
    }
}
