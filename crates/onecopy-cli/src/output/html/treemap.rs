//! Where the memory is: area is physical memory, colour the number of copies.
#![forbid(unsafe_code)]

use std::collections::HashMap;

use onecopy_meter::{MappingKind, Report};

use super::svg::Svg;
use crate::output::text::shortened;
use crate::output::units::Style;

const HEIGHT: f64 = 260.0;
const HEAD: f64 = 16.0;
/// Mappings below this part of all are drawn together.
const SMALLEST: f64 = 0.004;

/// A rectangle to be divided.
type Area = [f64; 4];

struct Cell {
    label: String,
    kind: &'static str,
    bytes: u64,
    new: u64,
    copies: Option<f64>,
}

/// Draws a reading.
pub(super) fn draw(report: &Report, width: f64) -> Option<String> {
    let cells = cells(report);
    let total: u64 = cells.iter().map(|cell| cell.bytes).sum();
    if total == 0 {
        return None;
    }
    let mut kinds: Vec<(&'static str, u64)> = Vec::new();
    for cell in &cells {
        match kinds.iter_mut().find(|(kind, _)| *kind == cell.kind) {
            Some((_, bytes)) => *bytes += cell.bytes,
            None => kinds.push((cell.kind, cell.bytes)),
        }
    }
    kinds.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    let mut svg = Svg::new(width);
    let sizes: Vec<u64> = kinds.iter().map(|(_, bytes)| *bytes).collect();
    for ((kind, bytes), area) in kinds.iter().zip(divided(&sizes, [0.0, 0.0, width, HEIGHT])) {
        let [x, y, w, h] = area;
        let head = if h > 3.0 * HEAD && w > 60.0 {
            HEAD
        } else {
            0.0
        };
        if head > 0.0 {
            let text = format!("{kind} {}", Style::default().size(*bytes));
            svg.text(x + 3.0, y + 12.0, "soft", &fitting(&text, w));
        }
        let of_kind: Vec<&Cell> = cells.iter().filter(|cell| cell.kind == *kind).collect();
        let sizes: Vec<u64> = of_kind.iter().map(|cell| cell.bytes).collect();
        let inner = [x, y + head, w, h - head];
        for (cell, area) in of_kind.iter().zip(divided(&sizes, inner)) {
            draw_cell(&mut svg, cell, area);
        }
    }
    Some(svg.finish(HEIGHT, "map of physical memory"))
}

fn cells(report: &Report) -> Vec<Cell> {
    let page = report.page_size;
    let mut cells: Vec<Cell> = Vec::new();
    let mut pages: Vec<(u64, u64)> = Vec::new();
    let known = || {
        let rows = report.mappings.iter();
        rows.filter_map(|row| Some((row, row.sums()?)))
    };
    let all: u64 = known().map(|(_, sums)| sums.frames + sums.new).sum();
    let mut of_label: HashMap<&str, u64> = HashMap::new();
    for (row, sums) in known() {
        *of_label.entry(&row.label).or_default() += sums.frames + sums.new;
    }
    for (row, sums) in known() {
        let size = of_label.get(row.label.as_str()).copied();
        let small = (size.unwrap_or(0) as f64) < SMALLEST * all as f64;
        let (label, kind) = (
            if small {
                "others".to_owned()
            } else {
                row.label.clone()
            },
            if row.tagged { "tagged" } else { kind(row.kind) },
        );
        let index = cells
            .iter()
            .position(|cell| cell.label == label && cell.kind == kind);
        let index = index.unwrap_or_else(|| {
            cells.push(Cell {
                label,
                kind,
                bytes: 0,
                new: 0,
                copies: None,
            });
            pages.push((0, 0));
            cells.len() - 1
        });
        cells[index].bytes += (sums.frames + sums.new) * page;
        cells[index].new += sums.new * page;
        pages[index].0 += sums.frames;
        pages[index].1 += sums.pages;
    }
    for (cell, (frames, distinct)) in cells.iter_mut().zip(pages) {
        cell.copies = (distinct > 0).then(|| frames as f64 / distinct as f64);
    }
    cells.sort_by_key(|cell| std::cmp::Reverse(cell.bytes));
    cells
}

fn kind(kind: MappingKind) -> &'static str {
    match kind {
        MappingKind::Heap => "heap",
        MappingKind::Stack => "stack",
        MappingKind::Anonymous => "private",
        MappingKind::SharedMemory => "shared memory",
        _ => "files",
    }
}

fn draw_cell(svg: &mut Svg, cell: &Cell, [x, y, w, h]: Area) {
    let copies = cell
        .copies
        .map_or_else(|| "new".to_owned(), |copies| format!("{copies:.2} ×"));
    let size = Style::default().size(cell.bytes);
    let title = format!(
        "{}: {size}, {copies}, of it new {}",
        cell.label,
        Style::default().size(cell.new)
    );
    let class = match cell.copies {
        Some(copies) => format!("{} cell", super::shade(copies)),
        None => "new cell fresh".to_owned(),
    };
    svg.rect([x, y, w, h], &class, &title);
    let dark = matches!(cell.copies.map(super::shade), Some("c4" | "c5"));
    let (strong, soft) = if dark { ("pale", "pale") } else { ("", "soft") };
    if w > 46.0 && h > 17.0 {
        svg.text(x + 4.0, y + 13.0, strong, &fitting(&copies, w));
        if h > 32.0 {
            svg.text(x + 4.0, y + 27.0, soft, &fitting_name(&cell.label, w));
        }
        if h > 46.0 {
            svg.text(x + 4.0, y + 41.0, soft, &fitting(&size, w));
        }
    }
}

/// As much of a text as fits into so many pixels.
pub(super) fn fitting(text: &str, width: f64) -> String {
    super::cut(text, room(width))
}

/// What tells most of a name, likewise.
fn fitting_name(name: &str, width: f64) -> String {
    shortened(name, room(width))
}

fn room(width: f64) -> usize {
    #[expect(clippy::cast_sign_loss, reason = "the width of a rectangle")]
    let room = ((width - 6.0) / 7.3).max(0.0) as usize;
    room
}

/// Divides an area into parts of these sizes, largest first, each as square as may be: rows are filled
/// along the shorter side as long as that makes their parts squarer.
fn divided(sizes: &[u64], area: Area) -> Vec<Area> {
    let total: u64 = sizes.iter().sum();
    let scale = area[2] * area[3] / total.max(1) as f64;
    let mut areas = Vec::with_capacity(sizes.len());
    let (mut rest, mut from) = (area, 0);
    while from < sizes.len() {
        let side = rest[2].min(rest[3]).max(1e-6);
        let worst = |to: usize| {
            let row = sizes[from..to].iter().sum::<u64>() as f64 * scale;
            let ratio = |size: &u64| {
                let part = (*size as f64 * scale).max(1e-9);
                let ratio = side * side * part / (row * row).max(1e-9);
                ratio.max(1.0 / ratio.max(1e-9))
            };
            sizes[from..to].iter().map(ratio).fold(0.0, f64::max)
        };
        let mut to = from + 1;
        while to < sizes.len() && worst(to + 1) <= worst(to) {
            to += 1;
        }
        let row = sizes[from..to].iter().sum::<u64>() as f64 * scale;
        let thick = row / side;
        let mut along = 0.0;
        for size in &sizes[from..to] {
            let long = *size as f64 * scale / thick.max(1e-9);
            areas.push(if rest[2] >= rest[3] {
                [rest[0], rest[1] + along, thick, long]
            } else {
                [rest[0] + along, rest[1], long, thick]
            });
            along += long;
        }
        rest = if rest[2] >= rest[3] {
            [rest[0] + thick, rest[1], rest[2] - thick, rest[3]]
        } else {
            [rest[0], rest[1] + thick, rest[2], rest[3] - thick]
        };
        from = to;
    }
    areas
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_are_as_large_as_what_they_stand_for_and_stay_inside() {
        let sizes = [600, 300, 60, 30, 9, 1, 0];
        let areas = divided(&sizes, [10.0, 20.0, 500.0, 200.0]);
        assert_eq!(areas.len(), sizes.len());
        for (size, [x, y, w, h]) in sizes.iter().zip(areas) {
            assert!(
                (w * h - *size as f64 * 100.0).abs() < 1e-3,
                "{size}: {w} × {h}"
            );
            assert!(x >= 10.0 && y >= 20.0 && x + w <= 510.001 && y + h <= 220.001);
        }
    }

    #[test]
    fn ranges_of_one_name_are_one_cell() {
        let text = include_str!("../../../tests/recorded/report.json");
        let report: Report = serde_json::from_str(text).unwrap();
        let cells = cells(&report);
        let anonymous: Vec<_> = cells
            .iter()
            .filter(|cell| cell.label == "anonymous")
            .collect();
        assert_eq!(anonymous.len(), 1);
        let rows = report
            .mappings
            .iter()
            .filter(|row| row.label == "anonymous");
        let frames: u64 = rows.filter_map(|row| row.frames).sum();
        assert_eq!(anonymous[0].bytes - anonymous[0].new, frames * 4096);
    }
}
