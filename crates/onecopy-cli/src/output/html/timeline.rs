//! Memory over time: stacked physical bytes, what one copy would take, and what adding up RSS says.
#![forbid(unsafe_code)]

use super::svg::Svg;
use crate::command::run::record::{Event, EventKind, Reading, Record, Sample};
use crate::output::units::Style;

const LEFT: f64 = 64.0;
const RIGHT: f64 = 8.0;
const STRIP: f64 = 16.0;
const TOP: f64 = STRIP + 22.0;
const MAIN: f64 = 200.0;
/// Height of the panel above the break, when RSS does not fit in.
const ABOVE: f64 = 44.0;

/// The layers from the bottom up: class, what they are called, how large they are. Only complete readings
/// are drawn, and these know all but the files of kernels before Linux 5.9.
type Layer = (&'static str, &'static str, fn(&Reading) -> u64);
pub(super) const LAYERS: [Layer; 5] = [
    ("once", "inherited, once", |reading| {
        reading.once.unwrap_or(0)
    }),
    ("shared", "shared memory", |reading| {
        reading.shared.unwrap_or(0)
    }),
    ("file", "files", |reading| reading.file.unwrap_or(0)),
    ("new", "new", |reading| reading.new.unwrap_or(0)),
    ("wasted", "copied", |reading| reading.wasted.unwrap_or(0)),
];

/// The scales of one drawing.
struct Scale {
    width: f64,
    seconds: f64,
    most: f64,
    base: f64,
}

impl Scale {
    fn x(&self, t: f64) -> f64 {
        LEFT + (self.width - LEFT - RIGHT) * (t / self.seconds).clamp(0.0, 1.0)
    }

    fn y(&self, bytes: u64) -> f64 {
        self.base - MAIN * bytes as f64 / self.most
    }
}

/// What was read, and how long it may be taken to hold.
struct Span<'a> {
    from: f64,
    to: f64,
    reading: &'a Reading,
    /// After the last reading nobody knows.
    is_known: bool,
}

/// Draws a run; `None` when nothing was read.
pub(super) fn draw(record: &Record, width: f64) -> Option<String> {
    let seconds = record.seconds.max(1e-3);
    let spans = spans(&record.samples, seconds);
    let physical = spans.iter().map(|span| total(span.reading)).max()?;
    let rss = record.peak_sum_rss;
    // Beyond this the picture of what exists would be squeezed by what does not.
    let broken = rss as f64 > 1.6 * physical as f64;
    let most = if broken {
        physical as f64 * 1.15
    } else {
        rss.max(physical) as f64 * 1.05
    };
    let above = if broken { ABOVE } else { 0.0 };
    let scale = Scale {
        width,
        seconds,
        most: most.max(1.0),
        base: TOP + above + MAIN,
    };
    let mut svg = Svg::new(width);
    copies(&mut svg, &scale, &spans);
    grid(&mut svg, &scale);
    layers(&mut svg, &scale, &spans);
    rss_line(&mut svg, &scale, &record.samples, broken.then_some(rss));
    let below = events(&mut svg, &scale, &record.events);
    svg.text(LEFT, below + 16.0, "soft", "0 s");
    svg.text(
        width - RIGHT,
        below + 16.0,
        "end",
        &format!("{:.1} s", record.seconds),
    );
    let is_unread = spans.iter().any(|span| !span.is_known);
    let bottom = legend(&mut svg, width, below + 34.0, &record.events, is_unread);
    Some(svg.finish(bottom, "memory over time"))
}

/// The complete readings. Each holds until the next one, as far as anything is known of it; never when less RSS than
/// this was there: then processes have ended, or given memory back.
fn spans(samples: &[Sample], seconds: f64) -> Vec<Span<'_>> {
    let is_read = |sample: &Sample| {
        let reading = sample.reading.as_ref();
        reading.is_some_and(|reading| reading.complete)
    };
    let mut found = Vec::new();
    for (index, sample) in samples.iter().enumerate().filter(|(_, s)| is_read(s)) {
        let Some(reading) = &sample.reading else {
            continue;
        };
        let later = &samples[index + 1..];
        let next = later.iter().position(is_read);
        let until = next.map_or(seconds, |next| later[next].t);
        let between = &later[..next.unwrap_or(later.len())];
        let fell = between.iter().find(|s| s.sum_rss < total(reading));
        let to = fell.map_or(until, |sample| sample.t);
        let (from, is_known) = (sample.t, next.is_some());
        // A hair, so that the last reading itself is seen.
        let hair = if is_known {
            to
        } else {
            (from + seconds * 0.004).min(to)
        };
        found.push(Span {
            from,
            to: hair,
            reading,
            is_known: true,
        });
        if hair < to {
            found.push(Span {
                from: hair,
                to,
                reading,
                is_known: false,
            });
        }
    }
    found
}

/// Rows of labels below the axis.
const ROWS: usize = 4;
const ROW: f64 = 14.0;
/// Characters of a label; the rest is seen by pointing at the line.
const LABEL: usize = 28;

/// A tick for each event below the axis; marks cross the picture and have their label in one of several rows. Returns
/// where the next thing begins.
fn events(svg: &mut Svg, scale: &Scale, events: &[Event]) -> f64 {
    let ticks = scale.base + 10.0;
    let marks = flags(scale, events);
    // Where each row is free from.
    let mut rows: Vec<f64> = Vec::new();
    let mut hidden = 0;
    for flag in &marks {
        let need = flag.text.chars().count() as f64 * 6.5;
        let room = scale.width - RIGHT;
        let (from, to, class) = if flag.x + need <= room {
            (flag.x, flag.x + need, "soft")
        } else {
            (flag.x - need, flag.x, "end")
        };
        let row = rows.iter().position(|free| *free <= from);
        let row = row.or_else(|| {
            (rows.len() < ROWS).then(|| {
                rows.push(0.0);
                rows.len() - 1
            })
        });
        let Some(row) = row.filter(|_| from >= 0.0) else {
            hidden += flag.count;
            continue;
        };
        rows[row] = to + 10.0;
        let y = ticks + 14.0 + row as f64 * ROW;
        svg.line([flag.x, ticks, flag.x, y], "lead");
        svg.text(flag.x, y, class, &flag.text);
    }
    for event in events {
        let x = scale.x(event.t);
        let top = if event.kind == EventKind::Mark {
            TOP
        } else {
            scale.base + 3.0
        };
        svg.line([x, top, x, ticks], class(event.kind));
        if let Some(label) = &event.label {
            // A line is hard to hit with a pointer.
            let title = format!("{label} (process {}, {:.2} s)", event.pid, event.t);
            svg.rect([x - 3.0, TOP, 6.0, ticks - TOP], "target", &title);
        }
    }
    let mut below = ticks + rows.len() as f64 * ROW;
    if hidden > 0 {
        below += ROW;
        svg.text(
            scale.width - RIGHT,
            below,
            "end",
            &format!("+{hidden} more"),
        );
    }
    below + if rows.is_empty() { 0.0 } else { 2.0 }
}

/// The label of one mark, or of several.
struct Flag {
    x: f64,
    text: String,
    count: usize,
}

/// The labels from left to right; marks that several processes have made at about the same time are one.
fn flags(scale: &Scale, events: &[Event]) -> Vec<Flag> {
    let marks = events.iter().filter(|event| event.kind == EventKind::Mark);
    let mut marks: Vec<(f64, &str)> = marks
        .filter_map(|event| Some((scale.x(event.t), event.label.as_deref()?)))
        .collect();
    marks.sort_by(|one, other| one.0.total_cmp(&other.0));
    let mut found: Vec<(f64, &str, usize)> = Vec::new();
    for (x, label) in marks {
        let same = |(begun, text, _): &&mut (f64, &str, usize)| *text == label && x - *begun < 24.0;
        match found.iter_mut().rev().find(same) {
            Some((_, _, count)) => *count += 1,
            None => found.push((x, label, 1)),
        }
    }
    let flag = |(x, label, count): (f64, &str, usize)| {
        let short = super::cut(label, LABEL);
        let times = format!(" ×{count}");
        Flag {
            x,
            text: short + if count > 1 { &times } else { "" },
            count,
        }
    };
    found.into_iter().map(flag).collect()
}

fn class(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Fork | EventKind::Start => "fork",
        EventKind::Exit => "exit",
        EventKind::Mark => "mark",
        EventKind::Gc => "gc",
    }
}

fn total(reading: &Reading) -> u64 {
    LAYERS.iter().map(|(_, _, size)| size(reading)).sum()
}

/// The number of copies as a strip on top, pale to dark.
fn copies(svg: &mut Svg, scale: &Scale, spans: &[Span<'_>]) {
    svg.text(LEFT - 6.0, STRIP - 3.0, "end", "copies");
    for span in spans {
        let Some(copies) = span.reading.copies else {
            continue;
        };
        let (x, w) = (scale.x(span.from), scale.x(span.to) - scale.x(span.from));
        let title = format!("{copies:.2} copies at {:.1} s", span.from);
        let class = format!("{}{}", super::shade(copies), faded(span));
        svg.rect([x, 0.0, w, STRIP], &class, &title);
        if w > 44.0 {
            svg.text(x + w / 2.0, STRIP - 4.0, "middle", &format!("{copies:.2}"));
        }
    }
}

fn faded(span: &Span<'_>) -> &'static str {
    if span.is_known { "" } else { " unread" }
}

/// A line for each round size.
fn grid(svg: &mut Svg, scale: &Scale) {
    let step = step(scale.most);
    let mut bytes = 0;
    while (bytes as f64) < scale.most * 0.97 {
        let y = scale.y(bytes);
        svg.line([LEFT, y, scale.width - RIGHT, y], "grid");
        svg.text(LEFT - 6.0, y + 4.0, "end", &round(bytes));
        bytes += step;
    }
}

/// The distance of lines: 1, 2 or 5, or ten or a hundred times as much, of a unit; two to five of them fit.
fn step(most: f64) -> u64 {
    let mut unit = 1;
    while unit as f64 * 1024.0 * 2.0 < most {
        unit *= 1024;
    }
    let nice = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];
    let steps = nice.iter().map(|factor| unit * factor);
    let step = steps.into_iter().find(|step| most / *step as f64 <= 5.0);
    step.unwrap_or(unit * 1024)
}

/// A round size without needless digits.
fn round(bytes: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let unit = units
        .iter()
        .find(|(size, _)| bytes >= *size && bytes.is_multiple_of(*size));
    match unit {
        Some((size, name)) => format!("{} {name}", bytes / size),
        None if bytes == 0 => "0".to_owned(),
        None => Style::default().size(bytes),
    }
}

fn layers(svg: &mut Svg, scale: &Scale, spans: &[Span<'_>]) {
    let below = |reading: &Reading, count: usize| -> u64 {
        let layers = LAYERS[..count].iter();
        layers.map(|(_, _, size)| size(reading)).sum()
    };
    // What follows without a gap is one shape.
    for run in spans.chunk_by(|one, next| one.to >= next.from && one.is_known == next.is_known) {
        let steps = |count: usize| -> Vec<(f64, f64)> {
            let corners = |span: &Span<'_>| {
                let y = scale.y(below(span.reading, count));
                [(scale.x(span.from), y), (scale.x(span.to), y)]
            };
            run.iter().flat_map(corners).collect()
        };
        let faded = run.first().map_or("", faded);
        for (index, (class, _, _)) in LAYERS.iter().enumerate() {
            let mut points = steps(index + 1);
            points.extend(steps(index).into_iter().rev());
            svg.path(&points, true, &format!("{class}{faded}"));
        }
        svg.path(&steps(LAYERS.len() - 1), false, &format!("ideal{faded}"));
    }
}

/// ΣRSS; on an axis of its own above a break when it would not fit.
fn rss_line(svg: &mut Svg, scale: &Scale, samples: &[Sample], broken: Option<u64>) {
    let place = |sample: &Sample| {
        let y = match broken {
            Some(most) => {
                TOP + ABOVE - 8.0 - (ABOVE - 14.0) * sample.sum_rss as f64 / most.max(1) as f64
            }
            None => scale.y(sample.sum_rss),
        };
        (scale.x(sample.t), y)
    };
    let points: Vec<(f64, f64)> = samples.iter().map(place).collect();
    svg.path(&points, false, "rss");
    if let Some(most) = broken {
        let y = TOP + ABOVE - 2.0;
        svg.text(LEFT - 6.0, TOP + 10.0, "end", &Style::default().size(most));
        svg.text(LEFT + 2.0, y + 4.0, "soft", "≈");
        svg.line([LEFT, y, scale.width - RIGHT, y], "grid");
    }
}

fn legend(svg: &mut Svg, width: f64, top: f64, events: &[Event], is_unread: bool) -> f64 {
    // Labels take what room there is.
    let left = LEFT.min(width * 0.07);
    let (mut x, mut y) = (left, top);
    let lines = [
        ("rss", "sum of RSS (what top says)"),
        ("ideal", "one copy"),
        ("fork", "start or fork"),
        ("exit", "exit"),
        ("mark", "mark"),
        ("gc", "full collection"),
    ];
    // What only some programs say of themselves.
    let is_there = |name: &str| {
        !["mark", "gc"].contains(&name) || events.iter().any(|event| class(event.kind) == name)
    };
    let lines = lines.into_iter().filter(|(class, _)| is_there(class));
    let shapes = LAYERS.iter().map(|(class, name, _)| (true, *class, *name));
    let unread = is_unread.then_some((true, "shared unread", "after the last reading"));
    let shapes = shapes.chain(unread);
    for (filled, class, name) in shapes.chain(lines.map(|(class, name)| (false, class, name))) {
        let need = 30.0 + name.len() as f64 * 7.0;
        if x + need > width && x > left {
            (x, y) = (left, y + 18.0);
        }
        if filled {
            svg.rect([x, y - 9.0, 12.0, 10.0], class, "");
        } else {
            svg.line([x, y - 4.0, x + 14.0, y - 4.0], class);
        }
        svg.text(x + 18.0, y, "soft", name);
        x += need;
    }
    y + 10.0
}

#[cfg(test)]
mod tests;
