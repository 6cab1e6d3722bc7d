//! Outcomes as JSON: bytes and counts as numbers, what is not known as `null`.
#![forbid(unsafe_code)]

use std::io::Write;

use anyhow::Result;
use serde::Serialize;

/// Writes one document, indented, with a line end.
pub(crate) fn write(out: &mut dyn Write, outcome: &impl Serialize) -> Result<()> {
    let mut text = serde_json::to_string_pretty(outcome)?;
    text.push('\n');
    out.write_all(text.as_bytes())?;
    Ok(())
}

/// Writes one document as one line.
pub(crate) fn line(out: &mut dyn Write, outcome: &impl Serialize) -> Result<()> {
    let mut text = serde_json::to_string(outcome)?;
    text.push('\n');
    out.write_all(text.as_bytes())?;
    Ok(())
}
