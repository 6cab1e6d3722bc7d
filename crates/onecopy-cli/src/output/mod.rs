//! Outcomes in the forms in which they are printed.
#![forbid(unsafe_code)]

use std::io::Write as _;

use onecopy::printable;

pub(crate) mod answer;
pub(crate) mod by_label;
pub(crate) mod csv;
pub(crate) mod html;
pub(crate) mod json;
pub(crate) mod members;
pub(crate) mod report;
pub(crate) mod table;
pub(crate) mod text;
pub(crate) mod units;
pub(crate) mod why;
pub(crate) mod why_rows;

/// Says something on standard error, for people, on one line, whatever names there are in it. Where that cannot be written to, on a full disk say, nothing is said:
/// the exit code still tells.
pub(crate) fn say(text: impl std::fmt::Display) {
    let _ = writeln!(
        anstream::stderr(),
        "onecopy: {}",
        printable(&text.to_string())
    );
}
