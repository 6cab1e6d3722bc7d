//! Which code wrote to the pages that were copied: callers below, width is copied pages.
#![forbid(unsafe_code)]

use super::Subject;
use super::svg::Svg;
use super::treemap::fitting;
use crate::command::why::{Cause, Why};

const ROW: f64 = 18.0;
/// Frames that are drawn above each other.
const DEPTH: usize = 14;

/// Frames with the same callers.
struct Node<'a> {
    name: &'a str,
    pages: u64,
    cause: Cause,
    inner: Vec<Node<'a>>,
}

/// Draws the stacks of a run, weighted by copied pages and not by faults.
pub(super) fn draw(subject: Subject<'_>, width: f64) -> Option<String> {
    let why = subject.record?.why.as_ref()?;
    if why.pages == 0 {
        return None;
    }
    let mut roots = tree(why);
    if why.unattributed > 0 {
        roots.push(Node {
            name: "unattributed",
            pages: why.unattributed,
            cause: Cause::Other,
            inner: Vec::new(),
        });
    }
    let depth = roots.iter().map(height).max().unwrap_or(1).min(DEPTH);
    let mut svg = Svg::new(width);
    let mut x = 0.0;
    for root in &roots {
        x += frame(
            &mut svg,
            root,
            x,
            depth,
            0,
            width / why.pages as f64,
            why.pages,
        );
    }
    let (mut x, mut y) = (0.0, depth as f64 * ROW + 16.0);
    for (class, name) in [
        ("wasted", "garbage collector"),
        ("new", "reference counts"),
        ("shared", "allocation"),
        ("file", "other"),
    ] {
        let need = 32.0 + name.len() as f64 * 6.8;
        if x + need > width && x > 0.0 {
            (x, y) = (0.0, y + 18.0);
        }
        svg.rect([x, y - 9.0, 12.0, 10.0], class, "");
        svg.text(x + 16.0, y, "soft", name);
        x += need;
    }
    Some(svg.finish(y + 8.0, "which code wrote to copied pages"))
}

/// Outermost frames first.
fn tree(why: &Why) -> Vec<Node<'_>> {
    let mut roots: Vec<Node<'_>> = Vec::new();
    for row in &why.stacks {
        let mut level = &mut roots;
        for name in row.stack.iter().take(DEPTH).rev() {
            let known = level
                .iter()
                .position(|node| node.name == name && node.cause == row.cause);
            let index = known.unwrap_or_else(|| {
                level.push(Node {
                    name,
                    pages: 0,
                    cause: row.cause,
                    inner: Vec::new(),
                });
                level.len() - 1
            });
            level[index].pages += row.pages;
            level = &mut level[index].inner;
        }
    }
    sort(&mut roots);
    roots
}

fn sort(nodes: &mut [Node<'_>]) {
    nodes.sort_by_key(|node| std::cmp::Reverse(node.pages));
    for node in nodes {
        sort(&mut node.inner);
    }
}

fn height(node: &Node<'_>) -> usize {
    1 + node.inner.iter().map(height).max().unwrap_or(0)
}

/// Draws a frame and what it called; returns its width.
fn frame(
    svg: &mut Svg,
    node: &Node<'_>,
    x: f64,
    depth: usize,
    level: usize,
    scale: f64,
    all: u64,
) -> f64 {
    let width = node.pages as f64 * scale;
    if level >= depth || width < 0.7 {
        return width;
    }
    let class = match node.cause {
        Cause::GarbageCollector => "wasted cell",
        Cause::Interpreter => "new cell",
        Cause::Allocation => "shared cell",
        Cause::Other => "file cell",
    };
    let y = (depth - 1 - level) as f64 * ROW;
    let part = 100.0 * node.pages as f64 / all.max(1) as f64;
    svg.rect(
        [x, y, width, ROW],
        class,
        &format!("{}: {part:.1} % of copied pages", node.name),
    );
    if width > 40.0 {
        svg.text(x + 4.0, y + 13.0, "", &fitting(node.name, width));
    }
    let mut inner = x;
    for node in &node.inner {
        inner += frame(svg, node, inner, depth, level + 1, scale, all);
    }
    width
}
