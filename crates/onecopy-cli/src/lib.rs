//! The `onecopy` command as a library, so that the Python package's command is the same program.
//!
//! ```text
//! arguments ──cli──▶ Cli ──options──▶ typed options ──command──▶ outcome ──output──▶ text or JSON
//! ```
//! Only this crate prints: what was asked for to standard output, everything else to standard error.
#![deny(unsafe_code)]

mod cli;
mod command;
mod options;
mod output;
mod watch;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::sync::Arc;

use anstream::stdout;
use clap::Parser as _;
use onecopy::printable_path;
use signal_hook::consts::signal::SIGXFSZ;

use cli::meter::Color;
use cli::{Cli, Command};
pub use command::run::side::hold as hold_side_folder;
pub use watch::{Watch, Watched};

/// The command did what it was asked.
pub const OK: i32 = 0;
/// It could not; standard error says why.
pub const FAILED: i32 = 1;
/// The command line was not understood.
pub const USAGE: i32 = 2;
/// There are more copies than `--max-copies` allows.
pub const BUDGET: i32 = 3;

/// Runs a command line, whose first item is the program's name, and returns the exit code.
#[must_use]
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> i32 {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    survive_limits();
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let error = named_safely(&arguments).unwrap_or(error);
            // Help goes to standard output and is no error; a reader that has left is none either.
            let printed = error.print().and_then(|()| stdout().flush());
            return match printed {
                _ if error.use_stderr() => USAGE,
                Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                    output::say(format_args!("cannot write to standard output: {error}"));
                    FAILED
                }
                _ => OK,
            };
        }
    };
    match cli.color {
        Color::Auto => {}
        Color::Always => anstream::ColorChoice::AlwaysAnsi.write_global(),
        Color::Never => anstream::ColorChoice::Never.write_global(),
    }
    let mut out = stdout();
    let done = match &cli.command {
        Command::Demo(arguments) => command::demo::run(arguments, &mut out).map(|()| OK),
        Command::Inspect(arguments) => command::inspect::run(arguments, &mut out).map(|()| OK),
        Command::Run(arguments) => return command::run::run(arguments),
        Command::Doctor(arguments) => command::doctor::run(arguments, &mut out),
        Command::Why(arguments) => command::why::run(arguments, &mut out),
        Command::Top(arguments) => command::top::run(arguments, &mut out),
        Command::Diff(arguments) => command::diff::run(arguments, &mut out),
        Command::Completions(arguments) => command::shell::completions(arguments, &mut out),
        Command::Man => command::shell::man(&mut out),
        Command::Schema(arguments) => command::shell::schema(arguments, &mut out),
        Command::Report(arguments) => command::report::run(arguments, &mut out),
    };
    let flushed = |code| Ok(out.flush().map(|()| code)?);
    match done.and_then(flushed) {
        Ok(code) => code,
        Err(error) if is_closed_pipe(&error) => OK,
        Err(error) => {
            output::say(format_args!("{error:#}"));
            FAILED
        }
    }
}

/// Makes a write beyond the largest file that is allowed (`ulimit -f`) fail with an error that can be told, `EFBIG`: by
/// default it ends the process (`setrlimit(2)`, SIGXFSZ). A handler, unlike ignoring it, is not inherited by commands that
/// are started (`execve(2)`).
fn survive_limits() {
    if command::run::ignored() >> (SIGXFSZ - 1) & 1 == 0 {
        // Nobody looks at the flag. Where no handler can be set, it is as it was.
        let _ = signal_hook::flag::register(SIGXFSZ, Arc::default());
    }
}

/// The error of a command line about arguments as a terminal may have them: they may be names of files, from a pattern.
fn named_safely(arguments: &[OsString]) -> Option<clap::Error> {
    let safe = arguments
        .iter()
        .map(|argument| printable_path(argument.as_ref()));
    Cli::try_parse_from(safe).err()
}

/// A report as `onecopy report` prints it, without colours.
#[must_use]
pub fn text(report: &onecopy_meter::Report) -> String {
    let mut out = anstream::StripStream::new(Vec::new());
    let (heading, style) = Default::default();
    // Memory takes whatever is written.
    let _ = output::report::report(&mut out, report, &heading, style);
    String::from_utf8_lossy(&out.into_inner())
        .trim_end()
        .to_owned()
}

/// Whether the reader of the output has had enough, as in `onecopy demo | head -3`.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|io| io.kind() == io::ErrorKind::BrokenPipe)
    })
}
