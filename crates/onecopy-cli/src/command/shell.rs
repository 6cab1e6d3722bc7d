//! What shells and other programs want to know about this one: completions, the manual page, schemas.
#![forbid(unsafe_code)]

use std::fmt::Write as _;
use std::io::Write;

use anyhow::{Context as _, Result};
use clap::CommandFactory as _;

use crate::OK;
use crate::cli::Cli;
use crate::cli::meter::{CompletionsArguments, Output, SchemaArguments};

/// Prints completions.
pub(crate) fn completions(arguments: &CompletionsArguments, out: &mut dyn Write) -> Result<i32> {
    // The generator may only write to memory: it panics when a reader leaves.
    let mut text = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "onecopy", &mut text);
    print(out, &text)
}

/// Prints the manual page, the commands one after the other.
pub(crate) fn man(out: &mut dyn Write) -> Result<i32> {
    print(out, manual()?.as_bytes())
}

fn manual() -> Result<String> {
    let mut command = Cli::command();
    command.build();
    let mut text = Vec::new();
    let page = clap_mangen::Man::new(command.clone().override_usage(usage(&command)));
    page.render_title(&mut text)?;
    page.render_name_section(&mut text)?;
    page.render_synopsis_section(&mut text)?;
    page.render_description_section(&mut text)?;
    page.render_options_section(&mut text)?;
    let mut text = String::from_utf8(text)?;
    let parts = || {
        let parts = command.get_subcommands();
        parts.filter(|part| part.get_name() != "help")
    };
    // There is one page for all of them.
    text.push_str(".SH COMMANDS\n");
    for part in parts() {
        let about = part.get_about().map(ToString::to_string);
        let about = about.unwrap_or_default();
        let name = escaped(part.get_name());
        let _ = writeln!(text, ".TP\n\\fBonecopy {name}\\fR\n{}", escaped(&about));
    }
    for part in parts() {
        let _ = writeln!(text, ".SH \"ONECOPY {}\"", part.get_name().to_uppercase());
        let mut section = Vec::new();
        let page = clap_mangen::Man::new(part.clone().override_usage(usage(part)));
        page.render_synopsis_section(&mut section)?;
        page.render_description_section(&mut section)?;
        page.render_options_section(&mut section)?;
        let section = String::from_utf8(section)?;
        // They are parts of a section here.
        text.push_str(&section.replace("\n.SH ", "\n.SS "));
        if let Some(more) = part.get_after_help() {
            after(&mut text, &more.to_string());
        }
    }
    Ok(text)
}

/// The form of a command, with the values that its options take.
fn usage(command: &clap::Command) -> String {
    let name = command.get_bin_name().unwrap_or("onecopy");
    let mut usage = name.to_owned();
    let shown = || command.get_arguments().filter(|one| !one.is_hide_set());
    let values = |argument: &clap::Arg| {
        let names = argument.get_value_names().unwrap_or_default();
        let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
        names.join(" ")
    };
    for option in shown().filter(|one| !one.is_positional()) {
        let mut form = match (option.get_short(), option.get_long()) {
            (Some(short), Some(long)) => format!("-{short}|--{long}"),
            (None, Some(long)) => format!("--{long}"),
            (Some(short), None) => format!("-{short}"),
            (None, None) => continue,
        };
        if option.get_action().takes_values() {
            let _ = write!(form, " {}", values(option));
        }
        let _ = write!(usage, " [{form}]");
    }
    for positional in shown().filter(|one| one.is_positional()) {
        let value = values(positional);
        let _ = match (positional.is_last_set(), positional.is_required_set()) {
            (true, _) => write!(usage, " -- {value}..."),
            (false, true) => write!(usage, " {value}"),
            (false, false) => write!(usage, " [{value}]"),
        };
    }
    if command.has_subcommands() {
        usage.push_str(" COMMAND ...");
    }
    usage
}

/// What follows the options of a command: lines without indentation that end in a colon are headings.
fn after(text: &mut String, more: &str) {
    for line in more.lines() {
        match line.strip_suffix(':').filter(|_| !line.starts_with(' ')) {
            Some(heading) => {
                let _ = writeln!(text, ".SS {}\n.nf", heading.to_uppercase());
            }
            None if line.is_empty() => text.push_str(".fi\n"),
            None => {
                let _ = writeln!(text, "{}", escaped(line.strip_prefix("  ").unwrap_or(line)));
            }
        }
    }
    text.push_str(".fi\n");
}

/// A line that is no request of the formatter, and whose hyphens can be copied.
fn escaped(line: &str) -> String {
    let line = line.replace('\\', "\\e").replace('-', "\\-");
    if line.starts_with(['.', '\'']) {
        format!("\\&{line}")
    } else {
        line
    }
}

/// Prints a schema.
pub(crate) fn schema(arguments: &SchemaArguments, out: &mut dyn Write) -> Result<i32> {
    print(out, text(arguments.of).as_bytes())
}

fn print(out: &mut dyn Write, text: &[u8]) -> Result<i32> {
    let written = out.write_all(text).and_then(|()| out.flush());
    written.context("cannot write to standard output")?;
    Ok(OK)
}

fn text(of: Output) -> &'static str {
    match of {
        Output::Report => include_str!("../../schema/report.json"),
        Output::Run => include_str!("../../schema/run.json"),
        Output::Sample => include_str!("../../schema/sample.json"),
        Output::Why => include_str!("../../schema/why.json"),
        Output::Diff => include_str!("../../schema/diff.json"),
        Output::Doctor => include_str!("../../schema/doctor.json"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_names_what_there_is() {
        let manual = manual().unwrap();
        let has = |part: &str| assert!(manual.contains(part), "{part}: {manual}");
        has("\\fBonecopy run\\fR\n");
        has(".SS EXAMPLES\n.nf\nonecopy report $(pgrep \\-o gunicorn)\n");
        has("[\\-\\-max\\-copies X]");
        has("[\\-o|\\-\\-output FILE]");
        has(" \\-\\- COMMAND...");
        has("[\\-\\-every SECONDS]");
        // Each of these has its exit codes.
        for name in ["RUN", "REPORT", "TOP", "DIFF", "WHY"] {
            let (_, section) = manual
                .split_once(&format!(".SH \"ONECOPY {name}\""))
                .unwrap();
            let section = section.split("\n.SH ").next().unwrap();
            assert!(section.contains(".SS EXIT CODES\n"), "{section}");
            assert!(section.contains(".SS SYNOPSIS\n"), "{section}");
        }
        // Pages of their own they have not, and nothing is extra.
        for part in ["(1)", "EXTRA", ".SH SYNOPSIS\n\\fBonecopy run"] {
            assert!(!manual.contains(part), "{part}: {manual}");
        }
        // No line is taken for a request that is not meant as one.
        let requests = manual.lines().filter(|line| line.starts_with('.'));
        let known = [
            ".ie", ".el", ".TH", ".SH", ".SS", ".TP", ".PP", ".IP", ".RS", ".RE", ".br", ".nf",
            ".fi",
        ];
        for request in requests {
            let name = request.split(' ').next().unwrap();
            assert!(known.contains(&name), "{request}");
        }
    }
}
