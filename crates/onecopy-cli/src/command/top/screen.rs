//! The screen as lines of text: nothing here needs a terminal, so tests can read it.
#![forbid(unsafe_code)]

use onecopy_meter::{MappingMemory, MappingSums, ProcessMemory};

use super::{Sort, State, View};
use crate::output::report::{reason, role};
use crate::output::text::{column, first_columns, printable};
use crate::output::units::Style;

/// The lines of a screen, none longer than `width`; the first two are the head.
pub(super) fn lines(state: &State, width: usize, height: usize) -> Vec<String> {
    let mut lines = vec![head(state), keys(state)];
    lines.extend(match state.view {
        View::Processes => processes(state, width),
        View::Mappings => mappings(state, width, |_| true),
        View::Objects => mappings(state, width, |row| row.tagged),
    });
    if let Some(failure) = &state.failure {
        lines.push(format!(" {failure}"));
    }
    for line in &mut lines {
        // What went wrong may hold names.
        first_columns(&printable(line), width).clone_into(line);
    }
    if lines.len() > height {
        let hidden = lines.len() - height + 1;
        lines.truncate(height.saturating_sub(1));
        lines.push(format!(" … and {hidden} more"));
    }
    lines
}

fn head(state: &State) -> String {
    let (tree, style) = (&state.report.tree, Style::default());
    let copies = tree
        .copies
        .value
        .map_or_else(|| "?".to_owned(), |copies| format!("{copies:.2}×"));
    let agreement = tree.copies.agreement.map_or_else(
        || "?".to_owned(),
        |agreement| format!("{:.0} %", agreement * 100.0),
    );
    format!(
        " copies {copies} {}  physical {}  ΣRSS {}  level {} agreement {agreement}",
        sparks(&state.copies),
        style.maybe(tree.sum_pss),
        style.maybe(tree.sum_rss),
        state.report.level,
    )
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
        " {:>8} {:<7} {:>5} {:>9} {:>9} {:>9} {:>9}  {}",
        "PID", "ROLE", "AGE", "SHARED", "COPIED", "NEW", "COPY/s", "SHARED █ COPIED ▒ NEW ·"
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
            " {:>8} {:<7} {age:>5} {:>9} {:>9} {:>9} {:>9}  ",
            row.pid,
            role(row),
            style.size(pages.shared + pages.last_owner),
            style.size(pages.copied),
            style.size(pages.new),
            style.size(rate(row)),
        );
        let room = width.saturating_sub(front.chars().count() + 1).min(40);
        let parts = [
            (pages.shared + pages.last_owner, '█'),
            (pages.copied, '▒'),
            (pages.new, '·'),
        ];
        lines.push(front + &bar(&parts, most, room));
    }
    for skipped in &state.report.skipped {
        lines.push(format!(
            " {:>8} {} not measured: {}",
            skipped.pid,
            column(&skipped.name, 7),
            reason(skipped)
        ));
    }
    lines
}

fn mappings(state: &State, width: usize, shown: impl Fn(&MappingMemory) -> bool) -> Vec<String> {
    let (style, page) = (Style::default(), state.report.page_size);
    let label = width.saturating_sub(52).clamp(14, 46);
    let mut lines = vec![format!(
        " {:<label$} {:>9} {:>9} {:>9} {:>8}  {:>6}",
        "MAPPING", "DISTINCT", "COPIED", "NEW", "COPIES", "USERS"
    )];
    let rows = state.report.mappings.iter().filter(|row| shown(row));
    let mut rows: Vec<(&MappingMemory, Option<MappingSums>)> =
        rows.map(|row| (row, row.sums())).collect();
    let extra: fn(MappingSums) -> u64 = |sums| sums.frames.saturating_sub(sums.pages);
    let by = |rows: &mut Vec<(_, Option<MappingSums>)>, size: fn(MappingSums) -> u64| {
        rows.sort_by_key(|(_, sums)| std::cmp::Reverse(sums.map(size)));
    };
    match state.sort {
        Sort::Copied | Sort::Rate => by(&mut rows, extra),
        Sort::New => by(&mut rows, |sums| sums.new),
        Sort::Shared => by(&mut rows, |sums| sums.pages),
        Sort::Tree => {}
    }
    // Sums of a part of the tree are not known.
    let size = |pages: Option<u64>| style.maybe(pages.map(|pages| pages * page));
    for (row, sums) in &rows {
        let copies = row
            .copies
            .map_or_else(|| "–".to_owned(), |copies| format!("{copies:.2} ×"));
        let name = column(&row.label, label);
        lines.push(format!(
            " {name} {:>9} {:>9} {:>9} {copies:>8}  {:>6}",
            size(row.pages),
            size(sums.map(extra)),
            size(row.new),
            row.processes.len(),
        ));
    }
    if rows.is_empty() {
        lines.push(
            " nothing is tagged: onecopy.tag(name, object) in the program, under `onecopy run`"
                .to_owned(),
        );
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
    use super::*;
    use std::collections::HashMap;

    fn state() -> State {
        let text = include_str!("../../../tests/recorded/report.json");
        State {
            report: serde_json::from_str(text).unwrap(),
            ages: HashMap::new(),
            rates: HashMap::new(),
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
                let lines = lines(&state, 80, 24);
                assert!(lines.len() <= 24 && lines.len() > 3, "{lines:#?}");
                assert!(
                    lines.iter().all(|line| line.chars().count() <= 80),
                    "{lines:#?}"
                );
            }
        }
        assert_eq!(
            lines(&state, 80, 4).len(),
            4.min(lines(&state, 80, 100).len())
        );
    }

    #[test]
    fn the_head_has_the_number_and_the_rows_have_bars() {
        let lines = lines(&state(), 80, 24);
        assert!(
            lines[0].starts_with(" copies ") && lines[0].contains('×'),
            "{lines:#?}"
        );
        assert!(lines[3].contains('█'), "{lines:#?}");
    }

    #[test]
    fn bars_are_as_long_as_their_parts() {
        assert_eq!(bar(&[(50, '#'), (25, '+'), (25, '.')], 100, 8), "####++..");
        assert_eq!(bar(&[(0, '#')], 0, 8), "");
        assert_eq!(duration(42), "42s");
        assert_eq!(duration(7_200), "2h");
    }
}
