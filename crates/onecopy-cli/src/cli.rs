//! The command line as typed.
#![forbid(unsafe_code)]

pub(crate) mod meter;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};

use meter::{
    Color, CompletionsArguments, DiffArguments, DoctorArguments, ReportArguments, RunArguments,
    SchemaArguments, TopArguments, WhyArguments,
};

/// One copy of your data for all your worker processes, with proof.
#[derive(Debug, Parser)]
#[command(
    name = "onecopy",
    bin_name = "onecopy",
    version,
    arg_required_else_help = true
)]
pub(crate) struct Cli {
    /// When to use colours
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    pub(crate) color: Color,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a command and say how many copies of its data its processes made
    ///
    /// The memory of the command and of everything that it starts is read from the kernel while it runs. Nothing in
    /// the processes is changed, unless --why asks them to help, and no privilege is needed.
    Run(RunArguments),
    /// Say how many copies of their data a process and its children have now
    Report(ReportArguments),
    /// Show a process and its children while their memory changes; prints once if this is no terminal
    Top(TopArguments),
    /// Say what has changed between two reports, by mapping
    Diff(DiffArguments),
    /// Say what a process and its children copy, and which code and objects that comes from
    ///
    /// Watches for some seconds: page faults tell which code wrote to the pages that were copied.
    Why(WhyArguments),
    /// Check on this machine, with known numbers of written pages, which evidence the kernel gives
    Doctor(DoctorArguments),
    /// Print the completions for a shell
    Completions(CompletionsArguments),
    /// Print the manual page
    Man,
    /// Print the JSON Schema of an output
    Schema(SchemaArguments),
    /// Run the fork experiment: one big array, several workers, and how many copies of it exist
    ///
    /// Allocates an n × n array of float64 ones and starts worker processes. Each sums its row and
    /// then reads all of the array. While all of them are alive, the memory of every process is read
    /// from the kernel's own accounting, and the physical pages behind the array are counted.
    Demo(DemoArguments),
    /// Show what is in an image file: its nodes, their sizes, and sample values; or the containers of a process
    ///
    /// Nothing is unpickled. The file must not be changed meanwhile; `onecopy.save` never does that, as it replaces
    /// files. Bytes of a node do not include those of the nodes below it.
    Inspect(InspectArguments),
}

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DemoArguments {
    /// Rows and columns of the array; 15,000 are 1.7 GiB
    #[arg(long, default_value_t = 15_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) n: u64,

    /// Worker processes
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) workers: u16,

    /// Fraction of the rows, 0 to 1, that every worker overwrites for itself
    #[arg(long, default_value_t = 0.0, value_name = "FRACTION", value_parser = fraction)]
    pub(crate) write: f64,

    /// How the workers get at the array
    #[arg(long, value_enum, default_value_t = Share::Fork)]
    pub(crate) share: Share,

    /// Print the measurements as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = INSPECT_EXAMPLES)]
pub(crate) struct InspectArguments {
    /// The file, as `onecopy.save(data, path)` writes it, or the number of a process: then the containers in its stores are
    /// listed. A file whose name is a number is `./NUMBER`
    #[arg(value_name = "FILE|PID")]
    pub(crate) file: PathBuf,

    /// How many levels of nodes to show
    #[arg(long, default_value_t = 4, value_parser = depth)]
    pub(crate) depth: usize,

    /// How many sample values and nodes to show of each list or dict
    #[arg(long, default_value_t = 3)]
    pub(crate) samples: usize,

    /// Print the tree as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

impl InspectArguments {
    /// The process that was given, if it was one.
    pub(crate) fn pid(&self) -> Option<u32> {
        let text = self.file.to_str()?;
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| is_number)
    }
}

/// How workers get at the array.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Share {
    /// Memory that fork shares until somebody writes to it
    Fork,
    /// A onecopy store, read by the workers
    Store,
}

const EXAMPLES: &str = "\
Examples:
  onecopy demo                             1.7 GiB, four workers, one copy
  onecopy demo --write 0.25                every worker overwrites a quarter: two copies
  onecopy demo --share store --workers 8   the same array in a store
  onecopy demo --n 1500 --json | jq .verdict.copies";

const INSPECT_EXAMPLES: &str = "\
Examples:
  onecopy inspect data.onecopy
  onecopy inspect data.onecopy --depth 1 --samples 10
  onecopy inspect data.onecopy --json | jq '.root.children[].kind'
  onecopy inspect 4711                     the lists, dicts, ... that process 4711 shares, and their memory
  onecopy inspect 4711 --json | jq '.stores[].containers[].live_bytes'";

/// Each level is a call of a function.
fn depth(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(depth @ 0..=500) => Ok(depth),
        _ => Err("not a number from 0 to 500".to_owned()),
    }
}

fn fraction(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=1.0).contains(&value) {
        Ok(value)
    } else {
        Err("not between 0 and 1".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn demo(arguments: &[&str]) -> Result<DemoArguments, clap::Error> {
        let line = ["onecopy", "demo"].iter().chain(arguments);
        Cli::try_parse_from(line).map(|cli| match cli.command {
            Command::Demo(arguments) => arguments,
            _ => panic!("the word demo was given"),
        })
    }

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }

    #[test]
    fn what_is_not_said_is_the_original_experiment() {
        let plain = demo(&[]).unwrap();
        assert_eq!(
            (plain.n, plain.workers, plain.share),
            (15_000, 4, Share::Fork)
        );
        assert!(plain.write.abs() < f64::EPSILON && !plain.json);
    }

    #[test]
    fn a_limit_that_is_to_be_checked_is_looked_at_more_often() {
        let overhead = |arguments: &[&str]| {
            let line = [&["onecopy", "run"], arguments, &["--", "true"]].concat();
            match Cli::try_parse_from(line).unwrap().command {
                Command::Run(arguments) => arguments.overhead(),
                _ => panic!("the word run was given"),
            }
        };
        let both = ["--max-copies", "1.5", "--overhead", "2"];
        let found = [&both[..0], &both[..2], &both[2..], &both].map(overhead);
        assert_eq!(
            found.map(|percent| percent.to_string()),
            ["1", "10", "2", "2"]
        );
    }

    #[test]
    fn values_out_of_range_are_refused() {
        for bad in [
            ["--n", "0"],
            ["--n", "-1"],
            ["--n", "18446744073709551616"],
            ["--workers", "0"],
            ["--workers", "1025"],
            ["--write", "1.01"],
            ["--write", "-0.1"],
            ["--write", "NaN"],
            ["--share", "magic"],
        ] {
            let error = demo(&bad).unwrap_err();
            assert!(error.use_stderr(), "{bad:?}");
            assert_eq!(error.exit_code(), 2, "{bad:?}");
        }
        assert!((demo(&["--write", "1"]).unwrap().write - 1.0).abs() < f64::EPSILON);
    }
}
