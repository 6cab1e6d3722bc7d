//! Memory over time: stacked physical bytes, what one copy would take, and what adding up RSS says.
#![forbid(unsafe_code)]

use super::svg::Svg;
use crate::command::run::record::{EventKind, Reading, Record, Sample};
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
    for event in &record.events {
        let x = scale.x(event.t);
        let class = if event.kind == EventKind::Exit {
            "exit"
        } else {
            "fork"
        };
        svg.line([x, scale.base + 3.0, x, scale.base + 10.0], class);
    }
    svg.text(LEFT, scale.base + 26.0, "soft", "0 s");
    svg.text(
        width - RIGHT,
        scale.base + 26.0,
        "end",
        &format!("{:.1} s", record.seconds),
    );
    let bottom = legend(&mut svg, width, scale.base + 44.0);
    Some(svg.finish(bottom, "memory over time"))
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

fn legend(svg: &mut Svg, width: f64, top: f64) -> f64 {
    let (mut x, mut y) = (LEFT, top);
    let lines = [
        ("rss", "sum of RSS (what top says)"),
        ("ideal", "one copy"),
        ("fork", "start or fork"),
        ("exit", "exit"),
    ];
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
