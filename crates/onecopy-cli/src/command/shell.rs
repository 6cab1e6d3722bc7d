//! What shells and other programs want to know about this one: completions, the manual page, schemas.
#![forbid(unsafe_code)]

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
    let mut command = Cli::command();
    command.build();
    let mut text = Vec::new();
    let page = clap_mangen::Man::new(command.clone());
    page.render(&mut text)?;
    for part in command
        .get_subcommands()
        .filter(|part| part.get_name() != "help")
    {
        let name = part.get_name().to_uppercase();
        writeln!(text, ".SH \"ONECOPY {name}\"")?;
        let page = clap_mangen::Man::new(part.clone());
        page.render_synopsis_section(&mut text)?;
        page.render_description_section(&mut text)?;
        page.render_options_section(&mut text)?;
        page.render_extra_section(&mut text)?;
    }
    print(out, &text)
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
