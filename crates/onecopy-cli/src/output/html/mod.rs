//! Reports as a page that stands alone: text, tables and drawings in one file, no script, no network.
//!
//! Each drawing is there twice, for wide windows and for phones, so that its text has the same size in
//! both; the style sheet shows the one that fits.
#![forbid(unsafe_code)]

mod answer;
mod flame;
mod page;
mod strips;
mod svg;
mod timeline;
mod treemap;
mod why;

use anyhow::{Context as _, Result};
use onecopy_meter::Report;

use crate::command::run::record::Record;

pub(crate) use page::write;

/// Widths of the drawings.
const WIDE: f64 = 920.0;
const NARROW: f64 = 340.0;

/// What is to be shown: a run, or a single reading.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) record: Option<&'a Record>,
    pub(crate) report: Option<&'a Report>,
}

impl<'a> Subject<'a> {
    pub(crate) fn run(record: &'a Record) -> Self {
        Self {
            record: Some(record),
            report: record.report.as_ref(),
        }
    }

    pub(crate) fn reading(report: &'a Report) -> Self {
        Self {
            record: None,
            report: Some(report),
        }
    }
}

/// The one drawing that says most: the timeline of a run, the map of a single reading.
pub(crate) fn drawing(subject: Subject<'_>) -> Result<String> {
    let timeline = subject
        .record
        .and_then(|record| timeline::draw(record, WIDE));
    let map = || {
        subject
            .report
            .and_then(|report| treemap::draw(report, WIDE))
    };
    let drawing = timeline
        .or_else(map)
        .context("there is nothing to draw: nothing was measured")?;
    Ok(svg::alone(&drawing))
}

/// The class that colours a number of copies, pale to dark.
fn shade(copies: f64) -> &'static str {
    match copies {
        copies if copies < 1.05 => "c1",
        copies if copies < 1.25 => "c2",
        copies if copies < 2.0 => "c3",
        copies if copies < 4.0 => "c4",
        _ => "c5",
    }
}

/// The start of a text of others, if it is longer than so many characters.
fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let start = text.chars().take(most.saturating_sub(1));
    start.chain(['…']).collect()
}
