//! Text of `/proc` in, numbers out. Nothing here opens a file: every parser takes any [`Read`], so
//! that captured and hostile texts can be tried, and whatever depends on the machine (the page
//! size) is an argument.
//!
//! **Invariants**
//! - I1: quantities leave this module in bytes; the kernel's "kB" is 1,024 bytes (`proc_meminfo(5)`).
//! - I2: a quantity with another unit, or one that does not fit 64 bits, is an error naming its line.
//! - I3: a field that is absent is an error or `None`, never 0.
#![forbid(unsafe_code)]

mod meminfo;
mod pagemap;
mod smaps;
mod stat;
mod status;
mod vmstat;

use std::io::{self, Read};

pub use meminfo::{Meminfo, meminfo};
pub use pagemap::{PageState, pagemap};
pub use smaps::{Mapping, MappingKind, MemoryCounts, Rollup, maps, rollup, smaps};
pub use stat::{Stat, Statm, stat, statm};
pub(crate) use status::{has_pending_kill, user};
pub(crate) use vmstat::migrated;

/// Why a text from `/proc` was not understood.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// A quantity in a unit other than kB.
    #[error("line {line_number}: {field} is given in {unit:?}, only kB is understood: {line:?}")]
    Unit {
        /// 1 for the first line.
        line_number: usize,
        /// The quantity.
        field: String,
        /// The unit found; empty when there is none.
        unit: String,
        /// The whole line.
        line: String,
    },
    /// A line of another form than the kernel documents.
    #[error("line {line_number}: expected {expected}, found {line:?}")]
    Line {
        /// 1 for the first line.
        line_number: usize,
        /// What should stand there.
        expected: &'static str,
        /// The whole line.
        line: String,
    },
    /// A field that every supported kernel writes is not there, or the text ends too early.
    #[error("{field} is missing{}", line_number.map(|n| format!(" (after line {n})")).unwrap_or_default())]
    Missing {
        /// The field.
        field: &'static str,
        /// The line where its block starts, when the text has blocks.
        line_number: Option<usize>,
    },
    /// Reading failed on the way.
    #[error("reading failed: {0}")]
    Read(#[from] io::Error),
}

/// Reads all of `source`; bytes that are not UTF-8 (file names may hold any) become U+FFFD.
fn text(mut source: impl Read) -> Result<String, ParseError> {
    let mut bytes = Vec::new();
    source.read_to_end(&mut bytes)?;
    Ok(match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    })
}

/// One line `Name:   123 kB` taken apart.
#[derive(Debug, Clone, Copy)]
struct Field<'a> {
    line_number: usize,
    line: &'a str,
    name: &'a str,
    value: &'a str,
}

impl<'a> Field<'a> {
    /// `None` when the line is not of the form `Name: value`.
    fn split(line_number: usize, line: &'a str) -> Option<Self> {
        let (name, value) = line.split_once(':')?;
        let simple = !name.is_empty() && !name.contains(char::is_whitespace);
        simple.then_some(Self {
            line_number,
            line,
            name,
            value: value.trim(),
        })
    }

    /// The value in bytes, which must be given in kB.
    fn bytes(&self) -> Result<u64, ParseError> {
        let (digits, unit) = match self.value.split_once(char::is_whitespace) {
            Some((digits, unit)) => (digits, unit.trim_start()),
            None => (self.value, ""),
        };
        let kilobytes: u64 = digits.parse().map_err(|_| self.not("a number of kB"))?;
        if unit != "kB" {
            return Err(ParseError::Unit {
                line_number: self.line_number,
                field: self.name.to_owned(),
                unit: unit.to_owned(),
                line: self.line.to_owned(),
            });
        }
        kilobytes
            .checked_mul(1024)
            .ok_or_else(|| self.not("a number of kB below 2^54"))
    }

    fn not(&self, expected: &'static str) -> ParseError {
        ParseError::Line {
            line_number: self.line_number,
            expected,
            line: self.line.to_owned(),
        }
    }
}
