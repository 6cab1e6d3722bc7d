//! Outcomes as JSON: bytes and counts as numbers, what is not known as `null`.
#![forbid(unsafe_code)]

use std::fmt::Write as _;
use std::io::Write;

use anyhow::Result;
use onecopy::is_obeyed;
use serde::Serialize;

/// Writes one document, indented, with a line end.
pub(crate) fn write(out: &mut dyn Write, outcome: &impl Serialize) -> Result<()> {
    print(out, &serde_json::to_string_pretty(outcome)?)
}

/// Writes one document as one line.
pub(crate) fn line(out: &mut dyn Write, outcome: &impl Serialize) -> Result<()> {
    print(out, &serde_json::to_string(outcome)?)
}

/// Writes JSON so that no terminal obeys it: outside of strings only line ends are of that kind, and in strings JSON has a
/// form for every character (RFC 8259, section 7).
fn print(out: &mut dyn Write, text: &str) -> Result<()> {
    let mut safe = String::with_capacity(text.len() + 1);
    for character in text.chars() {
        if character != '\n' && is_obeyed(character) {
            // None of them is beyond the 16 bits that one escape has, and a text takes whatever is written.
            let _ = write!(safe, "\\u{:04x}", u32::from(character));
        } else {
            safe.push(character);
        }
    }
    safe.push('\n');
    Ok(out.write_all(safe.as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_json_are_no_commands_to_a_terminal_and_come_back_as_they_were() {
        let name = "\u{1b}[2J\u{9b}31m\u{7f}\u{202e}\u{2028}\n";
        for form in [write, line] {
            let mut out = Vec::new();
            form(&mut out, &[name]).unwrap();
            let text = String::from_utf8(out).unwrap();
            assert!(
                text.chars().all(|found| found == '\n' || !is_obeyed(found)),
                "{text:?}"
            );
            assert_eq!(serde_json::from_str::<Vec<String>>(&text).unwrap(), [name]);
        }
    }
}
