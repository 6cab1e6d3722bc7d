//! The screen over recorded reports.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::super::Rated;
use super::*;

fn state() -> State {
    let text = include_str!("../../../../tests/recorded/report.json");
    State {
        report: serde_json::from_str(text).unwrap(),
        ages: HashMap::new(),
        rates: HashMap::new(),
        rated: Rated {
            moment: Instant::now(),
            copied: HashMap::new(),
        },
        copies: vec![None, Some(1.0), Some(1.7)],
        view: View::Processes,
        sort: Sort::Tree,
        paused: false,
        failure: None,
    }
}

#[test]
fn every_view_fits_into_eighty_columns_and_the_height() {
    let mut state = state();
    for view in [View::Processes, View::Mappings, View::Objects] {
        state.view = view;
        for sort in [
            Sort::Tree,
            Sort::Copied,
            Sort::Rate,
            Sort::New,
            Sort::Shared,
        ] {
            state.sort = sort;
            let lines = lines(&state, 80, 24).lines;
            assert!(lines.len() <= 24 && lines.len() > 3, "{lines:#?}");
            assert!(
                lines.iter().all(|line| line.chars().count() <= 80),
                "{lines:#?}"
            );
        }
    }
    assert_eq!(
        lines(&state, 80, 4).lines.len(),
        4.min(lines(&state, 80, 100).lines.len())
    );
}

#[test]
fn a_reading_in_which_somebody_went_away_is_no_step_of_a_rate() {
    let (mut state, begun) = (state(), Instant::now());
    let mut report = state.report.clone();
    let at = |seconds| begun + Duration::from_secs(seconds);
    state.rate(&report, at(1));
    let worker = report.processes.len() - 1;
    let pid = report.processes[worker].pid;
    let mut read = |state: &mut State, copied: u64, seconds, vanished: bool| {
        report.processes[worker].pages.as_mut().unwrap().copied = copied;
        report.skipped.clear();
        if vanished {
            let gone = r#"{"pid": 1, "name": "x", "reason": "vanished", "rss": null}"#;
            report.skipped.push(serde_json::from_str(gone).unwrap());
        }
        state.rate(&report, at(seconds));
        state.rates.get(&pid).copied()
    };
    read(&mut state, 1000, 2, false);
    assert_eq!(read(&mut state, 0, 3, true), None);
    // Since the second reading, not since the third.
    assert_eq!(read(&mut state, 1200, 4, false), Some(100));
}

#[test]
fn the_head_has_the_number_and_the_rows_have_bars() {
    let mut state = state();
    // Another number than what was counted.
    state.report.tree.sum_pss = Some(1 << 20);
    let lines = lines(&state, 80, 24).lines;
    assert!(
        lines[0].starts_with(" copies ") && lines[0].contains('×'),
        "{lines:#?}"
    );
    assert_eq!(
        lines[0],
        " copies 2.01× of 13.9 MiB in common  1.00 = one copy, 4.00 = one each   ▁█"
    );
    assert!(lines[1].contains("physical 33.0 MiB"), "{lines:#?}");
    let rows: Vec<&String> = lines.iter().filter(|line| line.contains('█')).collect();
    assert!(rows.len() > 3, "{lines:#?}");
}

#[test]
fn every_sign_of_the_bars_is_explained_and_no_column_means_two_things() {
    let state = state();
    let found = lines(&state, 80, 24);
    let legend = &found.lines[found.columns - 1];
    for sign in [SHARED, COPIED, LAST_OWNER, NEW] {
        assert!(legend.contains(sign), "{legend}");
    }
    let names = found.lines[found.columns].split_whitespace();
    assert_eq!(names.clone().next(), Some("PID"), "{found:#?}");
    // The parent's row, as the report has it.
    let pages = state.report.processes[0].pages.unwrap();
    let style = Style::default();
    let row = &found.lines[found.columns + 1];
    let sizes = [pages.shared, pages.copied, pages.last_owner].map(|size| style.size(size));
    let places: Vec<_> = sizes.iter().map(|size| row.find(size)).collect();
    assert!(places.is_sorted() && places[0].is_some(), "{row}");
}

#[test]
fn new_memory_that_is_most_of_all_is_named_in_the_head() {
    let mut state = state();
    assert!(
        !lines(&state, 80, 24)
            .lines
            .iter()
            .any(|line| line.contains("not compared"))
    );
    let copies = &mut state.report.tree.copies;
    (copies.unique, copies.shared, copies.new) = (Some(1), Some(0), Some(1000 << 8));
    (copies.value, copies.reason) = (None, Some("next to nothing".to_owned()));
    let lines = lines(&state, 80, 24).lines;
    assert_eq!(
        lines[2],
        " not compared: 1000 MiB new, in one process each (onecopy why PID --content)"
    );
}

#[test]
fn names_stand_in_one_row_and_hints_are_whole() {
    let mut state = state();
    state.view = View::Mappings;
    let found = lines(&state, 80, 100).lines;
    let count = |name: &str| found.iter().filter(|line| line.contains(name)).count();
    assert_eq!(count(" anonymous "), 1, "{found:#?}");
    state.view = View::Objects;
    let found = lines(&state, 80, 24).lines.join("");
    assert!(
        found.contains("in the program, under `onecopy run`"),
        "{found}"
    );
    for row in &mut state.report.mappings[..2] {
        (row.label, row.tagged) = ("words".to_owned(), true);
    }
    let found = lines(&state, 80, 24).lines;
    let words: Vec<_> = found
        .iter()
        .filter(|line| line.starts_with(" words "))
        .collect();
    assert_eq!(words.len(), 1, "{found:#?}");
    // 765 + 756 distinct pages.
    assert!(words[0].contains("5.94 MiB"), "{found:#?}");
    (
        state.report.mappings[0].pages,
        state.report.mappings[0].frames,
    ) = (None, None);
    let found = lines(&state, 80, 24).lines;
    let words: Vec<_> = found
        .iter()
        .filter(|line| line.starts_with(" words "))
        .collect();
    assert!(
        words.len() == 1 && words[0].contains("unknown"),
        "{found:#?}"
    );
}

#[test]
fn nothing_is_cut_at_eighty_columns() {
    let mut state = state();
    let whole = |state: &State| lines(state, 200, 24).lines;
    for view in [View::Processes, View::Objects] {
        state.view = view;
        let (narrow, wide) = (lines(&state, 80, 24), whole(&state));
        for (line, full) in narrow.lines[..narrow.columns].iter().zip(&wide) {
            assert_eq!(line, full);
        }
    }
}

#[test]
fn bars_are_as_long_as_their_parts() {
    assert_eq!(bar(&[(50, '#'), (25, '+'), (25, '.')], 100, 8), "####++..");
    assert_eq!(bar(&[(0, '#')], 0, 8), "");
    assert_eq!(duration(42), "42s");
    assert_eq!(duration(7_200), "2h");
}
