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

/// Draws a run; `None` when nothing was read.
pub(super) fn draw(record: &Record, width: f64) -> Option<String> {
    let readings: Vec<(f64, &Reading)> = record
        .samples
        .iter()
        .filter_map(|sample| Some((sample.t, sample.reading.as_ref()?)))
        .filter(|(_, reading)| reading.complete)
        .collect();
    let physical = readings.iter().map(|(_, reading)| total(reading)).max()?;
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
        seconds: record.seconds.max(1e-3),
        most: most.max(1.0),
        base: TOP + above + MAIN,
    };
    let mut svg = Svg::new(width);
    copies(&mut svg, &scale, &readings);
    grid(&mut svg, &scale);
    layers(&mut svg, &scale, &readings);
    rss_line(&mut svg, &scale, &record.samples, broken.then_some(rss));
    let below = events(&mut svg, &scale, &record.events);
    svg.text(LEFT, below + 16.0, "soft", "0 s");
    svg.text(
        width - RIGHT,
        below + 16.0,
        "end",
        &format!("{:.1} s", record.seconds),
    );
    let bottom = legend(&mut svg, width, below + 34.0, &record.events);
    Some(svg.finish(bottom, "memory over time"))
}

/// A tick for each event below the axis; marks cross the picture and have their label in a row of their own, as far as
/// there is room. Returns where the next row begins.
fn events(svg: &mut Svg, scale: &Scale, events: &[Event]) -> f64 {
    let ticks = scale.base + 10.0;
    let mut free = LEFT;
    let mut is_labelled = false;
    for event in events {
        let x = scale.x(event.t);
        let class = class(event.kind);
        let top = if event.kind == EventKind::Mark {
            TOP
        } else {
            scale.base + 3.0
        };
        svg.line([x, top, x, ticks], class);
        let Some(label) = &event.label else { continue };
        // A line is hard to hit with a pointer.
        let title = format!("{label} (process {}, {:.2} s)", event.pid, event.t);
        svg.rect([x - 3.0, TOP, 6.0, ticks - TOP], "target", &title);
        let need = label.chars().count() as f64 * 6.5;
        if event.kind == EventKind::Mark && x >= free && x + need <= scale.width {
            svg.text(x, ticks + 14.0, "soft", label);
            free = x + need + 8.0;
            is_labelled = true;
        }
    }
    ticks + if is_labelled { 16.0 } else { 0.0 }
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
fn copies(svg: &mut Svg, scale: &Scale, readings: &[(f64, &Reading)]) {
    svg.text(LEFT - 6.0, STRIP - 3.0, "end", "copies");
    for (index, (t, reading)) in readings.iter().enumerate() {
        let Some(copies) = reading.copies else {
            continue;
        };
        let end = readings.get(index + 1).map_or(scale.seconds, |(t, _)| *t);
        let (x, w) = (scale.x(*t), scale.x(end) - scale.x(*t));
        let title = format!("{copies:.2} copies at {t:.1} s");
        svg.rect([x, 0.0, w, STRIP], super::shade(copies), &title);
        if w > 44.0 {
            svg.text(x + w / 2.0, STRIP - 4.0, "middle", &format!("{copies:.2}"));
        }
    }
}

fn grid(svg: &mut Svg, scale: &Scale) {
    for part in 0..4 {
        let bytes = scale.most * f64::from(part) / 4.0;
        #[expect(clippy::cast_sign_loss, reason = "a part of a size")]
        let bytes = bytes as u64;
        let y = scale.y(bytes);
        svg.line([LEFT, y, scale.width - RIGHT, y], "grid");
        svg.text(LEFT - 6.0, y + 4.0, "end", &Style::default().size(bytes));
    }
}

fn layers(svg: &mut Svg, scale: &Scale, readings: &[(f64, &Reading)]) {
    // What was read holds until the next reading.
    let steps = |height: &dyn Fn(&Reading) -> u64| -> Vec<(f64, f64)> {
        let mut points = Vec::new();
        for (index, (t, reading)) in readings.iter().enumerate() {
            let end = readings.get(index + 1).map_or(scale.seconds, |(t, _)| *t);
            let y = scale.y(height(reading));
            points.extend([(scale.x(*t), y), (scale.x(end), y)]);
        }
        points
    };
    let below = |count: usize| {
        move |reading: &Reading| -> u64 {
            LAYERS[..count]
                .iter()
                .map(|(_, _, size)| size(reading))
                .sum()
        }
    };
    for (index, (class, _, _)) in LAYERS.iter().enumerate() {
        let mut points = steps(&below(index + 1));
        points.extend(steps(&below(index)).into_iter().rev());
        svg.path(&points, true, class);
    }
    svg.path(&steps(&below(LAYERS.len() - 1)), false, "ideal");
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

fn legend(svg: &mut Svg, width: f64, top: f64, events: &[Event]) -> f64 {
    let (mut x, mut y) = (LEFT, top);
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
    for (filled, class, name) in shapes.chain(lines.map(|(class, name)| (false, class, name))) {
        let need = 30.0 + name.len() as f64 * 7.0;
        if x + need > width && x > LEFT {
            (x, y) = (LEFT, y + 18.0);
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
mod tests {
    use super::*;

    fn record(events: &serde_json::Value) -> Record {
        let record = serde_json::json!({
            "schema": "onecopy.run/1", "command": ["x"], "exit": null, "seconds": 10.0, "level": "B",
            "overhead": {"allowed": 0.01, "readings": 1, "cpu_seconds": 0.0, "fraction": 0.0, "longest_reading": 0.0},
            "max_copies": 1.0, "max_copies_t": 1.0, "peak_sum_rss": 8192, "peak_physical": 4096,
            "peak_physical_t": 1.0, "faults_unseen": 0, "left_behind": [], "events": events,
            "samples": [{"t": 1.0, "processes": 2, "sum_rss": 8192, "faults": 0, "reading": {
                "copies": 1.0, "once": 4096, "wasted": 0, "new": 0, "shared": 0, "file": 0, "physical": 4096,
                "sum_pss": 4096, "complete": true, "cost": 0.0}}],
            "report": null, "report_t": null, "why": null, "reason": null
        });
        serde_json::from_value(record).unwrap()
    }

    #[test]
    fn marks_have_labels_and_collections_ticks() {
        let none = draw(&record(&serde_json::json!([])), 1000.0).unwrap();
        assert!(
            !none.contains("full collection") && !none.contains(">mark<"),
            "{none}"
        );
        let event = |t: f64, kind: &str, label: &str| {
            let label = (!label.is_empty()).then_some(label);
            serde_json::json!({"t": t, "kind": kind, "pid": 5, "label": label})
        };
        let events = [
            event(1.0, "fork", ""),
            event(2.0, "mark", "epoch <1>"),
            event(2.1, "mark", "too close"),
            event(3.0, "gc", "full collection, 0.1 s"),
            event(9.99, "mark", "no room at the end"),
        ];
        let drawing = draw(&record(&serde_json::json!(events)), 1000.0).unwrap();
        assert!(drawing.contains(">epoch &lt;1&gt;</text>"), "{drawing}");
        assert!(drawing.contains("<title>epoch &lt;1&gt; (process 5, 2.00 s)</title>"));
        for hidden in ["too close", "no room at the end"] {
            assert!(!drawing.contains(&format!(">{hidden}</text>")), "{drawing}");
            assert!(drawing.contains(&format!("<title>{hidden} (")), "{drawing}");
        }
        assert!(drawing.contains("<title>full collection, 0.1 s (process 5, 3.00 s)</title>"));
        assert!(drawing.contains(">full collection</text>") && drawing.contains(">mark</text>"));
        assert_eq!(drawing.matches("class=\"gc\"").count(), 2); // it, and the legend
    }
}
