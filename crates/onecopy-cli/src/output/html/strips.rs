//! Which parts of a mapping each process has copied: reference counts show as combs, a scan as a block.
#![forbid(unsafe_code)]

use onecopy_meter::{MappingMemory, Report};

use super::svg::Svg;
use super::treemap::fitting;
use crate::output::units::Style;

const ROW: f64 = 9.0;
/// Mappings and processes that are drawn.
const MAPPINGS: usize = 8;
const PROCESSES: usize = 12;

/// Draws the largest mappings of a reading.
pub(super) fn draw(report: &Report, width: f64) -> Option<String> {
    let drawn = |row: &&MappingMemory| {
        row.processes.len() > 1
            && row
                .processes
                .iter()
                .any(|user| user.strip.contains(['s', 'c', '+']))
    };
    let rows: Vec<&MappingMemory> = report
        .mappings
        .iter()
        .filter(drawn)
        .take(MAPPINGS)
        .collect();
    if rows.is_empty() {
        return None;
    }
    let mut svg = Svg::new(width);
    let left = 64.0;
    let mut y = 0.0;
    for row in rows {
        let copies = row
            .copies
            .map_or_else(String::new, |copies| format!(", {copies:.2} ×"));
        let size = row.sums().map_or_else(String::new, |sums| {
            let bytes = (sums.frames + sums.new) * report.page_size;
            format!(": {}", Style::default().size(bytes))
        });
        let title = format!("{}{size}{copies}", row.label);
        svg.text(0.0, y + 12.0, "", &fitting(&title, width));
        y += 18.0;
        for user in row.processes.iter().take(PROCESSES) {
            svg.text(left - 6.0, y + ROW - 1.0, "end", &user.pid.to_string());
            svg.rect([left, y, width - left, ROW - 1.0], "empty", "");
            runs(&mut svg, &user.strip, left, y, width - left);
            y += ROW + 1.0;
        }
        if row.processes.len() > PROCESSES {
            let more = format!("and {} more", row.processes.len() - PROCESSES);
            svg.text(left, y + ROW, "soft", &more);
            y += ROW + 3.0;
        }
        y += 6.0;
    }
    let names = [
        ("once", "shared"),
        ("wasted", "copied"),
        ("some", "partly copied"),
        ("new", "new"),
    ];
    let mut x = 0.0;
    for (class, name) in names {
        svg.rect([x, y + 3.0, 12.0, 10.0], class, "");
        svg.text(x + 16.0, y + 12.0, "soft", name);
        x += 30.0 + name.len() as f64 * 6.6;
    }
    Some(svg.finish(y + 18.0, "which pages each process has copied"))
}

/// Parts of the same kind as one rectangle.
fn runs(svg: &mut Svg, strip: &str, x: f64, y: f64, width: f64) {
    let letters: Vec<char> = strip.chars().collect();
    let part = width / letters.len().max(1) as f64;
    let mut from = 0;
    while from < letters.len() {
        let to = (from..letters.len())
            .find(|index| letters[*index] != letters[from])
            .unwrap_or(letters.len());
        let class = match letters[from] {
            's' => "once",
            'c' => "wasted",
            '+' => "some",
            'n' => "new",
            _ => "",
        };
        if !class.is_empty() {
            let place = [
                x + from as f64 * part,
                y,
                (to - from) as f64 * part,
                ROW - 1.0,
            ];
            svg.rect(place, class, "");
        }
        from = to;
    }
}
