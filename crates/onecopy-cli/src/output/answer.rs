//! What the number of copies speaks of, and what it does not: the same for text, page and `top`.
//!
//! *In common* is what is counted in `copies`: inherited memory and shared memory, each distinct page once. *New* memory
//! lies in one process each, is in neither part of the number, and nobody has looked whether it holds the same.
#![forbid(unsafe_code)]

use onecopy_meter::Report;

use super::units::{Style, grouped};
use crate::command::run::record::Record;
use crate::command::run::unseen;

/// Copies up to which the number is shown as good.
const FEW: f64 = 1.1;
/// How labels of the memory files of stores begin.
const STORE: &str = "/memfd:onecopy-";
/// How the number is to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Good,
    Bad,
    /// It speaks of the smaller part of the memory only.
    Open,
}

/// The sums behind the number; in bytes, `None` where they are not known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer {
    pub(crate) copies: Option<f64>,
    /// Inherited once, and shared memory.
    pub(crate) common: Option<u64>,
    /// Exists because somebody wrote.
    pub(crate) copied: Option<u64>,
    pub(crate) new: Option<u64>,
    /// Everything that was counted, with files as PSS divides them.
    pub(crate) physical: Option<u64>,
    /// Memory that stores occupy, and the copies of it; `None` without stores.
    pub(crate) stores: Option<(Option<u64>, Option<f64>)>,
    pub(crate) processes: usize,
}

impl Answer {
    pub(crate) fn of(report: &Report) -> Self {
        let (copies, page) = (&report.tree.copies, report.page_size);
        let bytes = |pages: Option<u64>| pages.map(|pages| pages * page);
        let common = copies.unique.zip(copies.shared);
        let stores =
            (!report.stores.is_empty()).then(|| (report.tree.allocated, copies_of_stores(report)));
        let files = report.tree.sum_pss_file.unwrap_or(0);
        Self {
            copies: copies.value,
            common: bytes(common.map(|(unique, shared)| unique + shared)),
            copied: bytes(copies.wasted),
            new: bytes(copies.new),
            physical: bytes(copies.physical_pages()).map(|counted| counted + files),
            stores,
            processes: report.processes.len(),
        }
    }

    /// New memory, if there is more of it than of what the number speaks of.
    pub(crate) fn not_compared(&self) -> Option<u64> {
        let (new, common) = self.new.zip(self.common)?;
        (new > common && self.processes > 1).then_some(new)
    }

    pub(crate) fn verdict(&self) -> Verdict {
        match self.copies {
            Some(_) if self.not_compared().is_some() => Verdict::Open,
            Some(copies) if copies > FEW => Verdict::Bad,
            Some(_) => Verdict::Good,
            None => Verdict::Open,
        }
    }

    /// `1.00 = one copy, 4.00 = one each`; of one process the two are the same.
    pub(crate) fn scale(&self) -> String {
        if self.processes < 2 {
            return "1.00 = one copy".to_owned();
        }
        format!("1.00 = one copy, {}.00 = one each", self.processes)
    }

    /// `3.04 MiB, 1.00 copies`; `None` without stores.
    pub(crate) fn stores(&self, style: Style) -> Option<String> {
        let (allocated, copies) = self.stores?;
        let copies = copies.map_or_else(
            || "copies unknown".to_owned(),
            |copies| format!("{copies:.2} copies"),
        );
        Some(format!("{}, {copies}", style.maybe(allocated)))
    }
}

/// Frames behind each page of stores that somebody has touched.
fn copies_of_stores(report: &Report) -> Option<f64> {
    let (mut pages, mut frames) = (0, 0);
    for row in &report.mappings {
        if row.label.starts_with(STORE) {
            let sums = row.sums()?;
            pages += sums.pages;
            frames += sums.frames;
        }
    }
    (pages > 0).then(|| frames as f64 / pages as f64)
}

/// What was not seen after the last reading, as a sentence without its full stop.
pub(crate) fn unseen(record: &Record, page_size: u64, style: Style) -> Option<String> {
    let unseen = record.faults_unseen;
    let report = record.report.as_ref();
    let inherited = report.and_then(|report| report.tree.copies.unique);
    // Where nothing was inherited, nothing can have been copied.
    let what = if inherited == Some(0) {
        "touched"
    } else {
        "copied"
    };
    (unseen > unseen::FEW).then(|| {
        format!(
            "{} page faults that no reading has seen: up to {} more may have been {what}; a larger --overhead looks more \
             often and sooner",
            grouped(unseen),
            style.size(unseen * page_size)
        )
    })
}

/// `94.8 %`, or that it is not known.
pub(crate) fn agreement(report: &Report) -> String {
    let agreement = report.tree.copies.agreement;
    agreement.map_or_else(
        || "unknown".to_owned(),
        |agreement| format!("{:.1} %", agreement * 100.0),
    )
}

/// What keeps the counts from agreeing with PSS.
pub(crate) fn moved(report: &Report) -> Option<String> {
    let noun = if report.drift == 1 { "page" } else { "pages" };
    (report.drift > 0).then(|| {
        let drift = grouped(report.drift);
        format!("{drift} {noun} moved while the tree was read")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(copies: Option<f64>, common: u64, new: u64) -> Answer {
        Answer {
            copies,
            common: Some(common),
            copied: Some(0),
            new: Some(new),
            physical: Some(common + new),
            stores: None,
            processes: 6,
        }
    }

    #[test]
    fn a_number_that_speaks_of_the_smaller_part_is_not_good_and_not_bad() {
        assert_eq!(answer(Some(1.0), 100, 100).verdict(), Verdict::Good);
        assert_eq!(answer(Some(1.0), 100, 101).verdict(), Verdict::Open);
        assert_eq!(answer(Some(3.07), 100, 101).verdict(), Verdict::Open);
        assert_eq!(answer(Some(3.07), 100, 99).verdict(), Verdict::Bad);
        assert_eq!(answer(None, 100, 0).verdict(), Verdict::Open);
        assert_eq!(
            answer(Some(1.0), 4 << 10, 166 << 20).not_compared(),
            Some(166 << 20)
        );
        assert_eq!(answer(Some(1.0), 100, 99).not_compared(), None);
        // What one process has for itself cannot be there twice.
        let alone = Answer {
            processes: 1,
            ..answer(None, 0, 100)
        };
        assert_eq!(alone.not_compared(), None);
    }

    #[test]
    fn stores_have_a_number_of_their_own() {
        let text = include_str!("../../tests/recorded/report.json");
        let mut report: Report = serde_json::from_str(text).unwrap();
        assert_eq!(Answer::of(&report).stores(Style::default()), None);
        let store = serde_json::json!({
            "id": "a", "device": [0, 1], "inode": 2, "allocated": 3 << 20, "len": null, "users": []
        });
        report.stores.push(serde_json::from_value(store).unwrap());
        report.tree.allocated = Some(3 << 20);
        report.mappings[0].label = "/memfd:onecopy-a (deleted)".to_owned();
        (report.mappings[0].pages, report.mappings[0].frames) = (Some(500), Some(510));
        let stores = Answer::of(&report).stores(Style::default());
        assert_eq!(stores.as_deref(), Some("3.00 MiB, 1.02 copies"));
        // The heap was copied more, and does not count here.
        assert!(Answer::of(&report).copies.unwrap() > 1.5);
    }
}
