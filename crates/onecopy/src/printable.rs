//! Names that others have chosen, made fit for a terminal.
//!
//! A file, a class or a process may be called anything. Terminal control characters are shown by their numbers: those that
//! move the cursor, change colours, begin a line or turn the direction of writing.
#![forbid(unsafe_code)]

use std::fmt::Write as _;
use std::path::Path;

/// The text without terminal control characters.
///
/// ```
/// assert_eq!(onecopy::printable("a\u{1b}[31mb\n"), "a\\u{1b}[31mb\\n");
/// ```
#[must_use]
pub fn printable(text: &str) -> String {
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

/// Whether a terminal does something else with a character than to show it.
#[must_use]
pub fn is_obeyed(character: char) -> bool {
    let turns = matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let breaks = matches!(character, '\u{2028}' | '\u{2029}');
    character.is_control() || turns || breaks
}

/// A path, its bytes that are no text by their numbers.
#[must_use]
pub fn printable_path(path: &Path) -> String {
    let mut safe = String::new();
    for piece in path.as_os_str().as_encoded_bytes().utf8_chunks() {
        safe.push_str(&printable(piece.valid()));
        for byte in piece.invalid() {
            // Writing to a text cannot fail.
            let _ = write!(safe, "\\x{byte:02x}");
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_shown_by_its_number() {
        assert_eq!(printable("a\u{1b}[31m\nb"), "a\\u{1b}[31m\\nb");
        assert_eq!(
            printable("\u{9b}2J\u{7f}\u{202e}x"),
            "\\u{9b}2J\\u{7f}\\u{202e}x"
        );
        assert_eq!(printable("naïve 中文 📦"), "naïve 中文 📦");
        let path = Path::new(OsStr::from_bytes(b"/tmp/\x1b[m\xff\xc3\xa9"));
        assert_eq!(printable_path(path), "/tmp/\\u{1b}[m\\xffé");
    }
}
