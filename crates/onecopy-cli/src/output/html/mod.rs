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

/// The one drawing that says most: the timeline of a run, the map of a single reading. Where nothing was measured, the
/// picture says so: that is a result as well.
pub(crate) fn drawing(subject: Subject<'_>) -> String {
    let timeline = subject
        .record
        .and_then(|record| timeline::draw(record, WIDE));
    let map = || {
        subject
            .report
            .and_then(|report| treemap::draw(report, WIDE))
    };
    let drawing = timeline.or_else(map);
    svg::alone(&drawing.unwrap_or_else(|| nothing(subject)))
}

fn nothing(subject: Subject<'_>) -> String {
    let mut drawing = svg::Svg::new(WIDE);
    drawing.text(8.0, 24.0, "", "nothing was measured");
    let reason = subject.record.and_then(|record| record.reason.as_deref());
    drawing.text(8.0, 44.0, "soft", reason.unwrap_or_default());
    drawing.finish(56.0, "nothing was measured")
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::run::{record, sampler::Seen};

    #[test]
    fn a_run_of_which_nothing_is_known_is_a_picture_that_says_so() {
        let level = onecopy_meter::Level::B;
        let record = record(Vec::new(), &Seen::default(), level, None, None);
        let picture = drawing(Subject::run(&record));
        assert!(picture.starts_with("<svg ") && picture.trim_end().ends_with("</svg>"));
        assert!(
            picture.contains(">nothing was measured</text>"),
            "{picture}"
        );
        assert!(
            picture.contains("before its pages could be counted"),
            "{picture}"
        );
    }
}
