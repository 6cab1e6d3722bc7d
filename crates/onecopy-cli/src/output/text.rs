//! Names that others have chosen, in columns on a terminal.
//!
//! A process, a mapping or a tag may be called anything: terminal control characters are shown by their numbers
//! ([`onecopy::printable`]), and columns are counted as terminals do.
#![forbid(unsafe_code)]

use std::io::Write;

use onecopy::printable;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Columns that a text takes.
pub(crate) fn columns(text: &str) -> usize {
    text.width()
}

/// A name made safe, in exactly so many columns: shortened or followed by blanks.
pub(crate) fn column(name: &str, width: usize) -> String {
    let mut text = shortened(&printable(name), width);
    text.extend(std::iter::repeat_n(
        ' ',
        width.saturating_sub(columns(&text)),
    ));
    text
}

/// What tells most of a name that is too long: of a path the file, in full if there is room, with the start of its
/// folder; the start of all else.
pub(crate) fn shortened(name: &str, width: usize) -> String {
    if columns(name) <= width {
        return name.to_owned();
    }
    let name = name.strip_suffix(" (deleted)").unwrap_or(name);
    let memory_file = name.strip_prefix("/memfd:");
    let is_path = name.starts_with('/') && memory_file.is_none();
    let name = memory_file.unwrap_or(name);
    if columns(name) <= width {
        return name.to_owned();
    }
    if let Some((folder, file)) = name.rsplit_once('/')
        && is_path
    {
        let used = columns(file) + 2;
        if used > width {
            return without_middle(file, width);
        }
        // Less than this of a folder tells nothing.
        let start = match width - used {
            0..4 => "",
            room => first_columns(folder, room),
        };
        return format!("{start}…/{file}");
    }
    format!("{}…", first_columns(name, width.saturating_sub(1)))
}

/// The start of a name, which tells it from its neighbours, and a little of its end.
fn without_middle(name: &str, width: usize) -> String {
    let room = width.saturating_sub(1);
    if columns(name) <= width {
        return name.to_owned();
    }
    let end = room / 5;
    format!(
        "{}…{}",
        first_columns(name, room - end),
        last_columns(name, end)
    )
}

/// `process 1`, `processes 1, 2`.
pub(crate) fn pids(pids: &[u32]) -> String {
    let noun = if pids.len() == 1 {
        "process"
    } else {
        "processes"
    };
    let pids: Vec<String> = pids.iter().map(u32::to_string).collect();
    format!("{noun} {}", pids.join(", "))
}

/// What stays on the line of the number before it.
const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "%", "×", "s"];

/// Breaks a sentence at blanks into lines of at most `width` columns; longer words stay whole, and numbers with their
/// units. Names in it are made safe.
pub(crate) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in printable(text).split(' ') {
        let bare = word.trim_end_matches([',', ';', ':', '.', ')']);
        match words.last_mut() {
            Some(number)
                if UNITS.contains(&bare) && number.ends_with(|end: char| end.is_ascii_digit()) =>
            {
                number.push(' ');
                number.push_str(word);
            }
            _ => words.push(word.to_owned()),
        }
    }
    let mut lines = vec![String::new()];
    for word in &words {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if columns(line) + 1 + columns(word) <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.clone()),
        }
    }
    lines
}

/// Prints a sentence after something, which may hold colours and takes `indent` columns; it goes on below itself.
pub(crate) fn paragraph(
    out: &mut dyn Write,
    before: &str,
    indent: usize,
    text: &str,
    width: usize,
) -> std::io::Result<()> {
    let lines = wrapped(text, width.saturating_sub(indent).max(20));
    for (index, line) in lines.iter().enumerate() {
        let start = if index == 0 { before } else { "" };
        let blanks = if index == 0 { 0 } else { indent };
        writeln!(out, "{start}{:blanks$}{line}", "")?;
    }
    Ok(())
}

/// As much of a text as fits.
pub(crate) fn first_columns(text: &str, width: usize) -> &str {
    let mut used = 0;
    for (place, character) in text.char_indices() {
        used += character.width().unwrap_or(0);
        if used > width {
            return &text[..place];
        }
    }
    text
}

fn last_columns(text: &str, width: usize) -> &str {
    let (mut used, mut start) = (0, text.len());
    for (place, character) in text.char_indices().rev() {
        used += character.width().unwrap_or(0);
        if used > width {
            break;
        }
        start = place;
    }
    &text[start..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_keep_their_file_and_names_their_start() {
        assert_eq!(shortened("/usr/lib/python3/numpy.so", 12), "…/numpy.so");
        assert_eq!(
            shortened("/usr/lib/python3/numpy.so", 16),
            "/usr/l…/numpy.so"
        );
        let library = |name| {
            format!("/usr/lib/python3.13/lib-dynload/{name}.cpython-313-x86_64-linux-gnu.so")
        };
        assert_eq!(
            shortened(&library("_heapq"), 30),
            "_heapq.cpython-313-x86_6…nu.so"
        );
        assert_ne!(
            shortened(&library("_json"), 30),
            shortened(&library("_heapq"), 30)
        );
        assert_eq!(shortened("embeddings of all users", 12), "embeddings …");
        assert_eq!(shortened("[anon:arena of a pool]", 12), "[anon:arena…");
        assert_eq!(
            shortened("/memfd:model weights (deleted)", 20),
            "model weights"
        );
        assert_eq!(shortened("/memfd:model weights (deleted)", 9), "model we…");
        assert_eq!(shortened("/memfd:x (deleted)", 30), "/memfd:x (deleted)");
        assert_eq!(shortened("", 3), "");
        assert_eq!(shortened("abc", 0), "…");
    }

    #[test]
    fn wide_characters_take_two_columns() {
        for name in [
            "中文中文中文中文",
            "abc",
            "/中文/中文/中文.so",
            "a\u{301}\u{1b}",
            "",
        ] {
            assert_eq!(columns(&column(name, 9)), 9, "{name}");
        }
        // Half of a wide character is a blank.
        assert_eq!(column("中文中文中文", 8), "中文中… ");
        assert_eq!(first_columns("中文", 3), "中");
    }

    #[test]
    fn one_process_is_no_processes() {
        assert_eq!(pids(&[18652]), "process 18652");
        assert_eq!(pids(&[1, 2]), "processes 1, 2");
    }

    #[test]
    fn sentences_are_broken_at_blanks_and_go_on_below_themselves() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("immeasurable", 3), ["immeasurable"]);
        assert_eq!(wrapped("", 3), [""]);
        assert_eq!(wrapped("a \u{1b}[2J\nb", 40), ["a \\u{1b}[2J\\nb"]);
        assert_eq!(
            wrapped("it is 1.50 MiB; so", 10),
            ["it is", "1.50 MiB;", "so"]
        );
        let mut out = Vec::new();
        paragraph(&mut out, "  name  ", 8, "one two three four five six", 30).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "  name  one two three four\n        five six\n");
    }
}
