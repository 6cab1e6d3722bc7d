//! A drawing as text: the few shapes that the charts need, every text escaped.
#![forbid(unsafe_code)]

use std::fmt::Write as _;

use onecopy::is_obeyed;

/// What the charts look like, in light and dark; also inside pictures that stand alone.
pub(super) const STYLE: &str = include_str!("chart.css");

/// A drawing of a given size.
#[derive(Debug)]
pub(super) struct Svg {
    width: f64,
    body: String,
}

impl Svg {
    pub(super) fn new(width: f64) -> Self {
        Self {
            width,
            body: String::new(),
        }
    }

    /// A rectangle; `title` is what a pointer resting on it shows.
    pub(super) fn rect(&mut self, [x, y, w, h]: [f64; 4], class: &str, title: &str) {
        // Writing to a String cannot fail, here and below.
        let _ = write!(
            self.body,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{:.1}\" class=\"{class}\">",
            w.max(0.0),
            h.max(0.0)
        );
        if !title.is_empty() {
            let _ = write!(self.body, "<title>{}</title>", escaped(title));
        }
        self.body.push_str("</rect>");
    }

    pub(super) fn text(&mut self, x: f64, y: f64, class: &str, text: &str) {
        let _ = write!(
            self.body,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"{class}\">{}</text>",
            escaped(text)
        );
    }

    pub(super) fn line(&mut self, [x1, y1, x2, y2]: [f64; 4], class: &str) {
        let _ = write!(
            self.body,
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" class=\"{class}\"/>"
        );
    }

    pub(super) fn path(&mut self, points: &[(f64, f64)], closed: bool, class: &str) {
        let mut shape = String::new();
        for (index, (x, y)) in points.iter().enumerate() {
            let letter = if index == 0 { 'M' } else { 'L' };
            let _ = write!(shape, "{letter}{x:.1} {y:.1}");
        }
        if closed {
            shape.push('Z');
        }
        let _ = write!(self.body, "<path d=\"{shape}\" class=\"{class}\"/>");
    }

    /// The drawing, `height` high, for use within a page.
    pub(super) fn finish(self, height: f64, label: &str) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"chart\" role=\"img\" aria-label=\"{}\" \
             viewBox=\"0 0 {:.0} {height:.0}\">{}</svg>\n",
            escaped(label),
            self.width,
            self.body
        )
    }
}

/// Makes a drawing stand alone.
pub(super) fn alone(drawing: &str) -> String {
    match drawing.split_once('>') {
        Some((head, rest)) => format!("{head}><style>{STYLE}</style>{rest}"),
        None => drawing.to_owned(),
    }
}

/// Text that cannot end an element or an attribute, and holds no character that XML forbids or that would show a name as another one.
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\t' | '\n' => safe.push(' '),
            character if is_obeyed(character) => safe.push('\u{fffd}'),
            character => safe.push(character),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_cannot_become_elements() {
        let name = "</svg><script>alert(\"&\u{1}\u{202e}\")</script>";
        let mut svg = Svg::new(10.0);
        svg.rect([0.0, 0.0, 1.0, 1.0], "once", name);
        svg.text(0.0, 0.0, "", name);
        let drawing = svg.finish(10.0, name);
        assert!(
            !drawing.contains("<script") && !drawing.contains(['\u{1}', '\u{202e}']),
            "{drawing}"
        );
        assert_eq!(drawing.matches("</svg>").count(), 1);
        assert!(alone(&drawing).contains("<style>"));
    }
}
