//! The screen as lines of text: nothing here needs a terminal, so tests can read it.
#![forbid(unsafe_code)]

use onecopy_meter::ProcessMemory;

use super::{Sort, State, View};
use crate::output::answer::{Answer, agreement};
use crate::output::by_label::{by_label, unknown_labels};
use crate::output::members::{reason, role};
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
mod tests;
