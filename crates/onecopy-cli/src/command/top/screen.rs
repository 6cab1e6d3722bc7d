//! The screen as lines of text: nothing here needs a terminal, so tests can read it.
#![forbid(unsafe_code)]

use onecopy_meter::ProcessMemory;

use super::{Sort, State, View};
use crate::output::answer::{Answer, agreement};
use crate::output::report::{by_label, reason, role, unknown_labels};
use crate::output::text::{column, first_columns, wrapped};
use crate::output::units::Style;
use onecopy::printable;

/// What bars are made of.
const SHARED: char = '█';
const COPIED: char = '▒';
const LAST_OWNER: char = '░';
const NEW: char = '·';

/// A screen: a head, one line with the names of columns, rows.
#[derive(Debug)]
pub(super) struct Screen {
    pub(super) lines: Vec<String>,
    /// The line with the names of columns.
    #[cfg_attr(not(feature = "top"), allow(dead_code))]
    pub(super) columns: usize,
}

/// The lines of a screen, none longer than `width`.
pub(super) fn lines(state: &State, width: usize, height: usize) -> Screen {
    let mut lines = head(state);
    lines.push(keys(state));
    if state.view == View::Processes {
        lines.push(format!(
            " bars: SHARED {SHARED}  COPIED {COPIED}  LAST OWNER {LAST_OWNER}  NEW {NEW}"
        ));
    }
    let columns = lines.len();
    lines.extend(match state.view {
        View::Processes => processes(state, width),
        View::Mappings => mappings(state, width, false),
        View::Objects => mappings(state, width, true),
    });
    // What went wrong may hold names.
    if let Some(failure) = &state.failure {
        let failure = wrapped(failure, width.saturating_sub(1));
        lines.extend(failure.into_iter().map(|line| format!(" {line}")));
    }
    for line in &mut lines {
        first_columns(&printable(line), width).clone_into(line);
    }
    if lines.len() > height {
        let hidden = lines.len() - height + 1;
        lines.truncate(height.saturating_sub(1));
        lines.push(format!(" … and {hidden} more"));
    }
    Screen { lines, columns }
}

/// The number and what it speaks of; what it is made of; what it does not speak of.
fn head(state: &State) -> Vec<String> {
    let (tree, style) = (&state.report.tree, Style::default());
    let answer = Answer::of(&state.report);
    let copies = answer
        .copies
        .map_or_else(|| "?".to_owned(), |copies| format!("{copies:.2}×"));
    let mut lines = vec![
        format!(
            " copies {copies} of {} in common  {}  {}",
            style.maybe(answer.common),
            answer.scale(),
            sparks(&state.copies),
        ),
        format!(
            " physical {}  ΣRSS {}  level {}  agreement {}{}",
            style.maybe(answer.physical),
            style.maybe(tree.sum_rss),
            state.report.level,
            agreement(&state.report),
            answer
                .stores(style)
                .map_or_else(String::new, |stores| format!("  stores {stores}")),
        ),
    ];
    if let Some(new) = answer.not_compared() {
        lines.push(format!(
            " not compared: {} new, in one process each (onecopy why PID --content)",
            style.size(new)
        ));
    }
    lines
}

fn keys(state: &State) -> String {
    let view = match state.view {
        View::Processes => "processes",
        View::Mappings => "mappings",
        View::Objects => "objects",
    };
    let paused = if state.paused { "  PAUSED" } else { "" };
    format!(
        " {view} by {}   [s]ort [v]ma [o]bjects [p]ause [q]uit{paused}",
        state.sort.name()
    )
}

/// Numbers of copies as a line, from one copy up to the most that was seen.
fn sparks(copies: &[Option<f64>]) -> String {
    const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = copies
        .iter()
        .flatten()
        .fold(1.05f64, |most, value| most.max(*value));
    copies
        .iter()
        .map(|value| match value {
            None => ' ',
            #[expect(clippy::cast_sign_loss, reason = "copies are never below one")]
            Some(value) => LEVELS[(((value - 1.0) / (most - 1.0) * 7.0).max(0.0) as usize).min(7)],
        })
        .collect()
}

fn processes(state: &State, width: usize) -> Vec<String> {
    let mut lines = vec![format!(
        " {:>7} {:<6} {:>4} {:>8} {:>8} {:>10} {:>8} {:>8}",
        "PID", "ROLE", "AGE", "SHARED", "COPIED", "LAST OWNER", "NEW", "COPY/s"
    )];
    let mut rows: Vec<&ProcessMemory> = state.report.processes.iter().collect();
    let rate = |row: &ProcessMemory| state.rates.get(&row.pid).copied().unwrap_or(0);
    let pages = |row: &ProcessMemory| row.pages.unwrap_or_default();
    // Sorting keeps the order of the tree among equals.
    match state.sort {
        Sort::Tree => {}
        Sort::Shared => rows.sort_by_key(|row| std::cmp::Reverse(pages(row).shared)),
        Sort::Copied => rows.sort_by_key(|row| std::cmp::Reverse(pages(row).copied)),
        Sort::New => rows.sort_by_key(|row| std::cmp::Reverse(pages(row).new)),
        Sort::Rate => rows.sort_by_key(|row| std::cmp::Reverse(rate(row))),
    }
    let whole = |row: &ProcessMemory| {
        let pages = pages(row);
        pages.inherited + pages.new
    };
    let most = rows.iter().map(|row| whole(row)).max().unwrap_or(0);
    let style = Style::default();
    for row in rows {
        let pages = pages(row);
        let age = state
            .ages
            .get(&row.pid)
            .map_or_else(|| "?".to_owned(), |age| duration(*age));
        let front = format!(
            " {:>7} {:<6} {age:>4} {:>8} {:>8} {:>10} {:>8} {:>8}  ",
            row.pid,
            role(row),
            style.size(pages.shared),
            style.size(pages.copied),
            style.size(pages.last_owner),
            style.size(pages.new),
            style.size(rate(row)),
        );
        let room = width.saturating_sub(front.chars().count() + 1).min(40);
        let parts = [
            (pages.shared, SHARED),
            (pages.copied, COPIED),
            (pages.last_owner, LAST_OWNER),
            (pages.new, NEW),
        ];
        lines.push(front + &bar(&parts, most, room));
    }
    for skipped in &state.report.skipped {
        lines.push(format!(
            " {:>7} {} not measured: {}",
            skipped.pid,
            column(&skipped.name, 7),
            reason(skipped)
        ));
    }
    lines
}

fn mappings(state: &State, width: usize, tagged: bool) -> Vec<String> {
    let (style, page) = (Style::default(), state.report.page_size);
    let label = width.saturating_sub(52).clamp(14, 46);
    let mut lines = vec![format!(
        " {:<label$} {:>9} {:>9} {:>9} {:>8}  {:>6}",
        "MAPPING", "DISTINCT", "COPIED", "NEW", "COPIES", "USERS"
    )];
    let mut rows = by_label(&state.report.mappings);
    rows.retain(|row| row.tagged || !tagged);
    match state.sort {
        Sort::Copied | Sort::Rate => rows.sort_by_key(|row| std::cmp::Reverse(row.extra())),
        Sort::New => rows.sort_by_key(|row| std::cmp::Reverse(row.new)),
        Sort::Shared => rows.sort_by_key(|row| std::cmp::Reverse(row.pages)),
        Sort::Tree => {}
    }
    for row in &rows {
        lines.push(format!(
            " {} {:>9} {:>9} {:>9} {:>8}  {:>6}",
            column(&row.label, label),
            style.size(row.pages * page),
            style.size(row.extra() * page),
            style.size(row.new * page),
            row.copies(),
            row.users.len(),
        ));
    }
    // Sums of a part of the tree are not known.
    let of_kind = |name: &&str| {
        let rows = &state.report.mappings;
        !tagged || rows.iter().any(|row| row.tagged && row.label == **name)
    };
    let unknown = unknown_labels(&state.report.mappings);
    for name in unknown.into_iter().filter(of_kind) {
        let name = column(name, label);
        let unknown = "unknown";
        lines.push(format!(
            " {name} {unknown:>9} {unknown:>9} {unknown:>9} {:>8}",
            "–"
        ));
    }
    if lines.len() == 1 && tagged {
        let hint =
            "nothing is tagged: onecopy.tag(name, object) in the program, under `onecopy run`";
        let hint = wrapped(hint, width.saturating_sub(1));
        lines.extend(hint.into_iter().map(|line| format!(" {line}")));
    }
    lines
}

/// Parts of a bar whose whole length stands for `most`.
fn bar(parts: &[(u64, char)], most: u64, room: usize) -> String {
    let mut bar = String::new();
    let (mut sum, mut drawn) = (0u64, 0usize);
    for (bytes, character) in parts {
        sum += bytes;
        #[expect(clippy::cast_sign_loss, reason = "sizes are not negative")]
        let until = (sum as f64 * room as f64 / most.max(1) as f64).round() as usize;
        bar.extend(std::iter::repeat_n(*character, until.saturating_sub(drawn)));
        drawn = drawn.max(until);
    }
    bar
}

/// Seconds as one short number.
fn duration(seconds: u64) -> String {
    match seconds {
        0..100 => format!("{seconds}s"),
        100..6_000 => format!("{}m", seconds / 60),
        6_000..360_000 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::time::{Duration, Instant};

    use super::super::Rated;
    use super::*;

    fn state() -> State {
        let text = include_str!("../../../tests/recorded/report.json");
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
}
