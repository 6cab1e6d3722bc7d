//! The rows that say why pages were copied, for text and for HTML alike: what is shown, and what is summed up.
#![forbid(unsafe_code)]

use std::collections::HashMap;

use super::units;
use crate::command::why::objects::{Objects, TypeRow};
use crate::command::why::{Cause, OTHERS, Why, WhyRow};

/// Rows that are shown of each kind.
const STACKS: usize = 10;
const TYPES: usize = 10;
const MAPPINGS: usize = 5;

/// Who has copied, and when that was looked at.
pub(crate) fn processes(count: u64) -> String {
    match count {
        1 => "one process, at its last reading".to_owned(),
        _ => format!(
            "{} processes, each at its last reading",
            units::grouped(count)
        ),
    }
}

/// Rows of percentages that add up to 100: those that are too many or too small are one.
pub(crate) fn stacks(why: &Why) -> Vec<(u64, String)> {
    let mut rows: Vec<(String, u64)> = Vec::new();
    let mut others = 0;
    for row in &why.stacks {
        let text = format!("{:<20} {}", cause(row.cause), stack(row));
        match rows.iter_mut().find(|(known, _)| *known == text) {
            _ if row.stack == [OTHERS] => others += row.pages,
            // Stacks that differ only further out look the same here.
            Some((_, pages)) => *pages += row.pages,
            None => rows.push((text, row.pages)),
        }
    }
    rows.sort_by_key(|(_, pages)| std::cmp::Reverse(*pages));
    let is_shown = |index: usize, pages: u64| index < STACKS && 200 * pages >= why.pages;
    let shown = rows
        .iter()
        .enumerate()
        .take_while(|(index, (_, pages))| is_shown(*index, *pages))
        .count();
    let hidden = rows.split_off(shown);
    others += hidden.iter().map(|(_, pages)| pages).sum::<u64>();
    rows.push(("other stacks".to_owned(), others));
    rows.push(("unattributed".to_owned(), why.unattributed));
    let counts: Vec<u64> = rows.iter().map(|(_, pages)| *pages).collect();
    let rows = rows.into_iter().zip(percents(&counts));
    rows.map(|((text, _), percent)| (percent, text))
        .filter(|(percent, _)| *percent > 0)
        .collect()
}

/// Whole percentages of the sum that add up to 100: what rounding down leaves goes to the largest remainders.
fn percents(counts: &[u64]) -> Vec<u64> {
    let all: u128 = counts
        .iter()
        .map(|count| u128::from(*count))
        .sum::<u128>()
        .max(1);
    let parts: Vec<u128> = counts
        .iter()
        .map(|count| 100 * u128::from(*count))
        .collect();
    let mut percents: Vec<u64> = parts.iter().map(|part| (part / all) as u64).collect();
    let missing = 100u64.saturating_sub(percents.iter().sum());
    let mut order: Vec<usize> = (0..counts.len()).collect();
    order.sort_by_key(|index| std::cmp::Reverse(parts[*index] % all));
    for index in order.into_iter().take(missing as usize) {
        percents[index] += 1;
    }
    percents
}

/// Faults that are missing, as a sentence.
pub(crate) fn lost(why: &Why) -> Option<String> {
    (why.lost > 0).then(|| {
        let lost = units::grouped(why.lost);
        format!("{lost} faults could not be recorded; their pages are among the unattributed")
    })
}

/// Python functions and their callers, in percent of the copied pages; without those below half a percent.
pub(crate) fn python(why: &Why) -> Vec<(u64, String)> {
    let mut rows: Vec<(String, f64)> = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    for row in &why.python {
        let text = row.stack.join(" ← ");
        let index = *known.entry(text.clone()).or_insert_with(|| {
            rows.push((text, 0.0));
            rows.len() - 1
        });
        rows[index].1 += row.fraction;
    }
    let shown = rows
        .iter()
        .take(TYPES)
        .take_while(|(_, fraction)| *fraction >= 0.005)
        .count();
    let rest: f64 = rows.drain(shown..).map(|(_, fraction)| fraction).sum();
    rows.push(("elsewhere".to_owned(), rest));
    #[expect(clippy::cast_sign_loss, reason = "a part of all pages")]
    let percent = |fraction: f64| (fraction * 100.0).round() as u64;
    rows.into_iter()
        .filter(|(_, fraction)| *fraction >= 0.005)
        .map(|(text, fraction)| (percent(fraction), text))
        .collect()
}

/// Copied bytes by mapping, the small ones in one row.
pub(crate) fn mapping_rows(why: &Why) -> Vec<(String, u64)> {
    let (shown, hidden) = why.mappings.split_at(MAPPINGS.min(why.mappings.len()));
    let rows = shown.iter().map(|row| (row.label.clone(), row.bytes));
    let rest: u64 = hidden.iter().map(|row| row.bytes).sum();
    rows.chain((rest > 0).then(|| ("others".to_owned(), rest)))
        .collect()
}

/// What the last row of the table of objects is called.
pub(crate) const REST: &str = "other types, and what is no object";

/// The types that are shown, and the bytes of all else.
pub(crate) fn object_rows(objects: &Objects) -> (&[TypeRow], u64) {
    let (shown, hidden) = objects.types.split_at(TYPES.min(objects.types.len()));
    let rest: u64 = hidden.iter().map(|row| row.bytes).sum();
    (shown, rest + objects.other)
}

/// What a cause is called.
pub(crate) fn cause(cause: Cause) -> &'static str {
    match cause {
        Cause::GarbageCollector => "garbage collector",
        Cause::Interpreter => "reference counts",
        Cause::Allocation => "allocation",
        Cause::Other => "",
    }
}

/// The innermost function, and the code of the program that led there.
fn stack(row: &WhyRow) -> String {
    let mut parts: Vec<&str> = row.stack.iter().take(1).map(String::as_str).collect();
    let python = row
        .stack
        .iter()
        .skip(1)
        .filter(|name| name.ends_with(".py)"));
    let mut callers: Vec<&str> = python.map(String::as_str).take(2).collect();
    if callers.is_empty() {
        let native = row.stack.iter().skip(1).map(String::as_str);
        // A file says nothing about a function that has a name.
        let is_file = |name: &str| name.contains(".so");
        let named = native.clone().filter(|name| !is_file(name)).take(2);
        callers = named.collect();
        if callers.is_empty() && parts.iter().any(|name| is_file(name)) {
            callers = native.take(1).collect();
        }
    }
    parts.append(&mut callers);
    parts.join(" ← ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_numbers_add_up_to_a_hundred() {
        for counts in [
            &[1, 1, 1][..],
            &[1, 2, 4],
            &[u64::MAX / 3, 1, u64::MAX / 3],
            &[7; 13],
            &[5],
        ] {
            assert_eq!(percents(counts).iter().sum::<u64>(), 100, "{counts:?}");
        }
    }
}
