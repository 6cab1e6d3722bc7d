//! Names that others have chosen, in columns on a terminal.
//!
//! A process, a mapping or a tag may be called anything: what would move the cursor, change colours or
//! turn the direction of writing is shown by its number, and columns are counted as terminals do.
#![forbid(unsafe_code)]

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// The text without anything that a terminal would obey.
pub(crate) fn printable(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        if is_obeyed(character) {
            safe.extend(character.escape_default());
        } else {
            safe.push(character);
        }
    }
    safe
}

fn is_obeyed(character: char) -> bool {
    let turns = matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let breaks = matches!(character, '\u{2028}' | '\u{2029}');
    character.is_control() || turns || breaks
}

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

/// What tells most of a name that is too long: the end of a path, where the file is, and the start of
/// all else.
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
    let room = width.saturating_sub(1);
    if is_path {
        format!("…{}", last_columns(name, room))
    } else {
        format!("{}…", first_columns(name, room))
    }
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
    fn what_a_terminal_would_obey_is_shown_by_its_number() {
        assert_eq!(printable("a\u{1b}[31m\nb"), "a\\u{1b}[31m\\nb");
        assert_eq!(
            printable("\u{9b}2J\u{7f}\u{202e}x"),
            "\\u{9b}2J\\u{7f}\\u{202e}x"
        );
        assert_eq!(printable("naïve 中文 📦"), "naïve 中文 📦");
    }

    #[test]
    fn paths_keep_their_end_and_names_their_start() {
        assert_eq!(shortened("/usr/lib/python3/numpy.so", 12), "…n3/numpy.so");
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
}
