//! The mappings of a report, added up by label: what every table of them shows.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};

use onecopy_meter::MappingMemory;

/// The rows of one label, added up; counts of pages.
pub(crate) struct Labelled {
    pub(crate) label: String,
    pub(crate) pages: u64,
    pub(crate) frames: u64,
    pub(crate) new: u64,
    /// Whether a program has named it.
    pub(crate) tagged: bool,
    /// Everybody who has some of it.
    pub(crate) users: BTreeSet<u32>,
    /// Bytes that each process has copied.
    pub(super) copiers: BTreeMap<u32, u64>,
}

impl Labelled {
    /// Pages that exist because somebody wrote.
    pub(crate) fn extra(&self) -> u64 {
        self.frames.saturating_sub(self.pages)
    }

    /// `1.25 ×`, or a dash when nothing of it is inherited or shared.
    pub(crate) fn copies(&self) -> String {
        if self.pages > 0 {
            format!("{:.2} ×", self.frames as f64 / self.pages as f64)
        } else {
            "–".to_owned()
        }
    }
}

/// Labels of which not everything is known.
pub(crate) fn unknown_labels(rows: &[MappingMemory]) -> BTreeSet<&str> {
    let unknown = rows.iter().filter(|row| row.sums().is_none());
    unknown.map(|row| row.label.as_str()).collect()
}

/// The mappings by label, the largest first; without those whose sums are not known.
pub(crate) fn by_label(rows: &[MappingMemory]) -> Vec<Labelled> {
    let mut found: Vec<Labelled> = Vec::new();
    // A part of a label is not the whole of it.
    let unknown: BTreeSet<&str> = unknown_labels(rows);
    let known = rows
        .iter()
        .filter(|row| !unknown.contains(row.label.as_str()));
    for (row, sums) in known.filter_map(|row| Some((row, row.sums()?))) {
        let index = found.iter().position(|other| other.label == row.label);
        let index = index.unwrap_or_else(|| {
            found.push(Labelled {
                label: row.label.clone(),
                pages: 0,
                frames: 0,
                new: 0,
                tagged: false,
                users: BTreeSet::new(),
                copiers: BTreeMap::new(),
            });
            found.len() - 1
        });
        let sum = &mut found[index];
        sum.pages += sums.pages;
        sum.frames += sums.frames;
        sum.new += sums.new;
        sum.tagged |= row.tagged;
        sum.users.extend(row.processes.iter().map(|user| user.pid));
        for user in row.processes.iter().filter(|user| user.pages.copied > 0) {
            *sum.copiers.entry(user.pid).or_default() += user.pages.copied;
        }
    }
    found.sort_by_key(|sum| std::cmp::Reverse(sum.frames + sum.new));
    found
}
