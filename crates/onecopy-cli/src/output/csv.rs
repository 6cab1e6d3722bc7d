//! Rows for spreadsheets: bytes and counts as plain numbers, what is not known left empty.
#![forbid(unsafe_code)]

use std::fmt::Write as _;
use std::io::Write;

use anyhow::Result;
use onecopy::printable;
use onecopy_meter::{PageBytes, ProcessMemory, Report};

/// The columns of a process, behind those that say when.
const PROCESS: &str = "pid,parent,name,role,rss,pss,uss,inherited,shared,copied,last_owner,new";

/// One row per process of a single reading.
pub(crate) fn processes(out: &mut dyn Write, report: &Report, header: bool) -> Result<()> {
    if header {
        writeln!(out, "{PROCESS}")?;
    }
    for process in &report.processes {
        writeln!(out, "{}", row(process))?;
    }
    Ok(())
}

/// The names of the columns of [`row_at`].
pub(crate) fn header_at(out: &mut dyn Write) -> Result<()> {
    writeln!(out, "t,{PROCESS}")?;
    Ok(())
}

/// A process at a moment, `t` in seconds.
pub(crate) fn row_at(out: &mut dyn Write, t: f64, process: &ProcessMemory) -> Result<()> {
    writeln!(out, "{t:.3},{}", row(process))?;
    Ok(())
}

fn row(process: &ProcessMemory) -> String {
    let role = process.role.map(|role| match role {
        onecopy_meter::Role::Parent => "parent",
        onecopy_meter::Role::Worker => "worker",
        _ => "alone",
    });
    let mut row = format!(
        "{},{},{},{},{},{},{}",
        process.pid,
        process.parent,
        quoted(&process.name),
        role.unwrap_or_default(),
        process.rss,
        process.pss,
        process.uss,
    );
    let fields: [fn(&PageBytes) -> u64; 5] = [
        |pages| pages.inherited,
        |pages| pages.shared,
        |pages| pages.copied,
        |pages| pages.last_owner,
        |pages| pages.new,
    ];
    for field in fields {
        row.push(',');
        if let Some(pages) = &process.pages {
            // Writing to a String cannot fail.
            let _ = write!(row, "{}", field(pages));
        }
    }
    row
}

/// A name in quotes if it holds anything that would end the cell (RFC 4180). Control characters are shown
/// by their numbers: a row stays a line, and looking at the file does nothing to a terminal.
fn quoted(text: &str) -> String {
    let text = printable(text);
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_cell() {
        assert_eq!(quoted("python3"), "python3");
        assert_eq!(quoted("a,\"b\""), "\"a,\"\"b\"\"\"");
        assert_eq!(quoted("\u{1b}[2J\n7,x"), "\"\\u{1b}[2J\\n7,x\"");
    }
}
