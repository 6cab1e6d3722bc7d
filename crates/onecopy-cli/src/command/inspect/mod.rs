//! `onecopy inspect FILE|PID`: what is in an image file, or in the stores of a process.
#![deny(unsafe_code)]

mod open;
mod process;
mod tree;

use std::io::Write;

use anyhow::{Context as _, Result, anyhow};
use onecopy::image::Image;
use onecopy::printable;
use serde::Serialize;

use crate::cli::InspectArguments;
use crate::output::json;
use crate::output::units::{Bytes, grouped};
use tree::{Entry, Limits, Looker};

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Inspection {
    schema: &'static str,
    path: String,
    bytes: u64,
    root: Entry,
}

/// Looks at a file, or at the stores of a process, and prints what is in it. Nothing is unpickled.
pub(crate) fn run(arguments: &InspectArguments, out: &mut dyn Write) -> Result<()> {
    if let Some(pid) = arguments.pid() {
        return process::run(pid, arguments.json, out);
    }
    let path = arguments.file.display().to_string();
    let file = open::open(&arguments.file)?;
    let image = Image::open(file.bytes());
    let image = image.map_err(|error| anyhow!(error.of_file(&arguments.file)))?;
    let limits = Limits {
        depth: arguments.depth,
        samples: arguments.samples,
    };
    let root = Looker::new(image, limits)
        .node("root".to_owned(), image.root_offset(), 0)
        .with_context(|| path.clone())?;
    let bytes = image.bytes().len() as u64;
    if arguments.json {
        let schema = "onecopy.inspect/1";
        let inspection = Inspection {
            schema,
            path,
            bytes,
            root,
        };
        return json::write(out, &inspection);
    }
    writeln!(out, "{}: {}", printable(&path), Bytes(bytes))?;
    print(out, &root, "", "")
}

fn print(out: &mut dyn Write, entry: &Entry, branch: &str, indent: &str) -> Result<()> {
    let samples = if entry.samples.is_empty() {
        String::new()
    } else {
        let more = if entry.count > entry.samples.len() as u64 {
            ", …"
        } else {
            ""
        };
        format!(": {}{more}", entry.samples.join(", "))
    };
    writeln!(
        out,
        "{branch}{} {}, {} of them, {}{samples}",
        entry.name,
        entry.kind,
        grouped(entry.count),
        Bytes(entry.bytes)
    )?;
    let last = entry.children.len().saturating_sub(1);
    for (index, child) in entry.children.iter().enumerate() {
        let (turn, bar) = if index == last {
            ("└ ", "  ")
        } else {
            ("├ ", "│ ")
        };
        print(
            out,
            child,
            &format!("{indent}{turn}"),
            &format!("{indent}{bar}"),
        )?;
    }
    Ok(())
}
