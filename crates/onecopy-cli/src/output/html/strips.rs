//! Which parts of a mapping each process has copied: reference counts show as combs, a scan as a block.
//!
//! All ranges of one name are one strip for each process, in the order of their addresses and as long as what they hold;
//! of small ranges only sums are known, which stand at the right.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};

use onecopy_meter::{MappingMemory, MappingUse, Report};

use super::svg::Svg;
use super::treemap::fitting;
use crate::output::by_label::{Labelled, by_label};
use crate::output::units::Style;

const LEFT: f64 = 64.0;
const HEIGHT: f64 = 11.0;
/// From one process to the next: their numbers need it.
const ROW: f64 = 14.0;
/// Names and processes that are drawn.
const NAMES: usize = 8;
const PROCESSES: usize = 12;
/// Below one part in so many of all memory nothing is drawn, unless it is tagged.
const SMALLEST: u64 = 200;

/// Draws the mappings with the most copied memory, what a program has tagged first.
pub(super) fn draw(report: &Report, width: f64) -> Option<String> {
    let chosen = chosen(report);
    if chosen.is_empty() {
        return None;
    }
    let mut svg = Svg::new(width);
    let mut y = 0.0;
    for (sum, ranges) in &chosen {
        let bytes = (sum.frames + sum.new) * report.page_size;
        let title = format!(
            "{}: {}, {}",
            sum.label,
            Style::default().size(bytes),
            sum.copies()
        );
        svg.text(0.0, y + 12.0, "", &fitting(&title, width));
        y = strips(&mut svg, ranges, y + 18.0, width - LEFT) + 6.0;
    }
    let names = [
        ("once", "not copied: shared, or last owner"),
        ("wasted", "copied"),
        ("some", "partly copied"),
        ("new", "new"),
    ];
    let mut x = 0.0;
    for (class, name) in names {
        let need = 30.0 + name.len() as f64 * 6.6;
        if x > 0.0 && x + need > width {
            (x, y) = (0.0, y + 18.0);
        }
        svg.rect([x, y + 3.0, 12.0, 10.0], class, "");
        svg.text(x + 16.0, y + 12.0, "soft", name);
        x += need;
    }
    Some(svg.finish(y + 18.0, "which pages each process has copied"))
}

/// What is drawn: sums of each name, and its ranges.
fn chosen(report: &Report) -> Vec<(Labelled, Vec<&MappingMemory>)> {
    let size = |sum: &Labelled| sum.frames + sum.new;
    let sums = by_label(&report.mappings);
    let all: u64 = sums.iter().map(size).sum();
    let mut found: Vec<(Labelled, Vec<&MappingMemory>)> = sums
        .into_iter()
        .filter(|sum| sum.pages > 0 && (sum.tagged || size(sum) * SMALLEST >= all))
        .map(|sum| {
            let ranges = report.mappings.iter();
            let mut ranges: Vec<_> = ranges.filter(|row| row.label == sum.label).collect();
            // Small ranges have no address; they come last.
            ranges.sort_by_key(|row| row.start.unwrap_or(u64::MAX));
            (sum, ranges)
        })
        .filter(|(_, ranges)| users(ranges).len() > 1)
        .collect();
    let rank = |sum: &Labelled| (sum.tagged, sum.extra(), sum.frames);
    found.sort_by_key(|(sum, _)| std::cmp::Reverse(rank(sum)));
    found.truncate(NAMES);
    found
}

fn users(ranges: &[&MappingMemory]) -> BTreeSet<u32> {
    let users = ranges.iter().flat_map(|row| &row.processes);
    users.map(|user| user.pid).collect()
}

/// A strip for each process; returns where the next thing begins.
fn strips(svg: &mut Svg, ranges: &[&MappingMemory], top: f64, width: f64) -> f64 {
    let weights: Vec<u64> = ranges.iter().map(|row| most(row)).collect();
    let all = weights.iter().sum::<u64>().max(1);
    let users = users(ranges);
    let mut rows = BTreeMap::new();
    for (index, pid) in users.iter().take(PROCESSES).enumerate() {
        let y = top + index as f64 * ROW;
        svg.text(LEFT - 6.0, y + HEIGHT - 1.0, "end", &pid.to_string());
        svg.rect([LEFT, y, width, HEIGHT], "empty", "");
        rows.insert(*pid, y);
    }
    let mut x = LEFT;
    for (range, weight) in ranges.iter().zip(weights) {
        let part = width * weight as f64 / all as f64;
        for user in &range.processes {
            let Some(y) = rows.get(&user.pid) else {
                continue;
            };
            if user.strip.is_empty() {
                sums(svg, user, [x, *y, part], weight);
            } else {
                runs(svg, &user.strip, [x, *y, part]);
            }
        }
        x += part;
    }
    let mut y = top + rows.len() as f64 * ROW;
    let mut notes = Vec::new();
    if users.len() > PROCESSES {
        notes.push(format!("and {} more", users.len() - PROCESSES));
    }
    let added_up = ranges.iter().filter(|row| is_added_up(row)).count();
    if added_up == ranges.len() {
        notes.push("small ranges only, added up".to_owned());
    } else if added_up > 0 {
        notes.push("at the right: small ranges, added up".to_owned());
    }
    if !notes.is_empty() {
        svg.text(LEFT, y + 9.0, "soft", &notes.join("; "));
        y += ROW;
    }
    y
}

/// The most that one process has of a range, in bytes.
fn most(row: &MappingMemory) -> u64 {
    let sizes = row.processes.iter();
    sizes.map(whole).max().unwrap_or(0)
}

fn whole(user: &MappingUse) -> u64 {
    let pages = user.pages;
    pages.shared + pages.copied + pages.last_owner + pages.new
}

fn is_added_up(row: &MappingMemory) -> bool {
    let mut users = row.processes.iter();
    users.any(|user| user.strip.is_empty() && whole(user) > 0)
}

/// What a process has, where nothing is known of the places.
fn sums(svg: &mut Svg, user: &MappingUse, [x, y, width]: [f64; 3], most: u64) {
    let pages = user.pages;
    let mut from = x;
    for (class, bytes) in [
        ("once", pages.shared + pages.last_owner),
        ("wasted", pages.copied),
        ("new", pages.new),
    ] {
        let part = width * bytes as f64 / most.max(1) as f64;
        if part > 0.0 {
            svg.rect([from, y, part, HEIGHT], class, "");
        }
        from += part;
    }
}

/// Parts of the same kind as one rectangle.
fn runs(svg: &mut Svg, strip: &str, [x, y, width]: [f64; 3]) {
    let letters: Vec<char> = strip.chars().collect();
    let part = width / letters.len().max(1) as f64;
    let mut from = 0;
    for run in letters.chunk_by(|one, next| one == next) {
        let class = match run.first() {
            Some('s') => "once",
            Some('c') => "wasted",
            Some('+') => "some",
            Some('n') => "new",
            _ => "",
        };
        if !class.is_empty() {
            let place = [x + from as f64 * part, y, run.len() as f64 * part, HEIGHT];
            svg.rect(place, class, "");
        }
        from += run.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORDED: &str = include_str!("../../../tests/recorded/report.json");

    /// A tag in pieces too small for strips, copied by each.
    fn tagged() -> Report {
        let mut report: Report = serde_json::from_str(RECORDED).unwrap();
        let mut row = report.mappings[3].clone();
        row.label = "words".to_owned();
        (row.tagged, row.start) = (true, None);
        (row.pages, row.frames) = (Some(10), Some(30));
        for user in &mut row.processes {
            user.strip.clear();
        }
        report.mappings.push(row);
        report
    }

    #[test]
    fn tags_come_first_whether_their_ranges_are_large_or_small() {
        let report = tagged();
        let chosen = chosen(&report);
        assert_eq!(chosen[0].0.label, "words");
        let extra: Vec<u64> = chosen[1..].iter().map(|(sum, _)| sum.extra()).collect();
        assert!(extra.is_sorted_by(|one, next| one >= next), "{extra:?}");
        let drawing = draw(&report, 1000.0).unwrap();
        let words = drawing.find(">words: ").unwrap();
        assert!(drawing[words..].contains("3.00 ×"), "{drawing}");
        assert!(words < drawing.find(">anonymous: ").unwrap(), "{drawing}");
        let before = drawing.find(">small ranges only, added up<").unwrap();
        let copied = drawing[words..before].matches("class=\"wasted\"").count();
        assert_eq!(copied, 3, "{drawing}"); // the workers
    }

    #[test]
    fn ranges_of_one_name_are_one_strip() {
        let report: Report = serde_json::from_str(RECORDED).unwrap();
        let rows = report.mappings.iter();
        assert!(rows.filter(|row| row.label == "anonymous").count() > 3);
        let drawing = draw(&report, 1000.0).unwrap();
        assert_eq!(drawing.matches(">anonymous: ").count(), 1, "{drawing}");
        assert!(
            drawing.contains(">not copied: shared, or last owner<"),
            "{drawing}"
        );
        // Letters are 12 high, and numbers of processes do not overlap.
        let places = drawing
            .split("<text ")
            .filter(|text| text.contains("class=\"end\""));
        let number = |text: &str| -> f64 {
            let (_, rest) = text.split_once("y=\"").unwrap();
            rest.split_once('"').unwrap().0.parse().unwrap()
        };
        let places: Vec<f64> = places.map(number).collect();
        assert!(
            places.windows(2).all(|pair| pair[1] - pair[0] >= 12.0),
            "{places:?}"
        );
    }
}
