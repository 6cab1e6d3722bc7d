//! Names of functions, from the symbol tables of ELF files.
//!
//! Bytes of files are input: every access is checked, and a file that makes no sense has no symbols.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use onecopy::file;
use onecopy_meter::holding;

/// Files larger than this are not looked into.
const LARGEST: u64 = 512 << 20;
/// Bytes of a function's code that are looked at.
const CODE: usize = 64;

/// The functions of one file, by address.
#[derive(Debug, Default)]
struct Symbols {
    functions: Vec<(Range<u64>, String)>,
    /// Parts of the file that are loaded: offset, length, address.
    loads: Vec<(u64, u64, u64)>,
}

/// Looks names up, and reads each file once.
#[derive(Debug, Default)]
pub(super) struct Binaries {
    files: HashMap<String, Symbols>,
}

impl Binaries {
    /// The function at an offset of a file.
    pub(super) fn function(&mut self, path: &str, offset: u64) -> Option<String> {
        let symbols = self
            .files
            .entry(path.to_owned())
            .or_insert_with(|| read(path).unwrap_or_default());
        let (start, _, address) = symbols
            .loads
            .iter()
            .find(|(start, len, _)| (*start..start.saturating_add(*len)).contains(&offset))?;
        let address = (offset - start).checked_add(*address)?;
        let (_, name) = holding(&symbols.functions, address)?;
        Some(name.clone())
    }

    /// The first bytes of each function of that name, of which there are several when the compiler has
    /// taken unlikely parts out of it.
    pub(super) fn code(&mut self, path: &str, name: &str) -> Vec<Vec<u8>> {
        let symbols = self
            .files
            .entry(path.to_owned())
            .or_insert_with(|| read(path).unwrap_or_default());
        let (named, file) = (
            symbols.functions.iter().filter(|(_, other)| other == name),
            file::open(Path::new(path)),
        );
        let Ok(file) = file else {
            return Vec::new();
        };
        let code = named.filter_map(|(range, _)| {
            let mut bytes = [0; CODE];
            let count = file
                .read_at(&mut bytes, symbols.offset(range.start)?)
                .ok()?;
            Some(bytes[..count].to_vec())
        });
        code.collect()
    }
}

impl Symbols {
    /// Where in the file an address is loaded from.
    fn offset(&self, address: u64) -> Option<u64> {
        let mut loads = self.loads.iter();
        let is_in = |start: u64, len: u64| (start..start.saturating_add(len)).contains(&address);
        let (start, _, base) = loads.find(|(_, len, base)| is_in(*base, *len))?;
        start.checked_add(address - base)
    }
}

fn read(path: &str) -> Option<Symbols> {
    parse(&file::whole(Path::new(path), LARGEST).ok()?)
}

/// Where an entry of a table begins, if that is in the file: a few bytes more cannot overflow then.
fn place(bytes: &[u8], table: u64, index: u64, size: u16) -> Option<u64> {
    let at = table.checked_add(index * u64::from(size))?;
    (at <= bytes.len() as u64).then_some(at)
}

/// Reads a 64-bit little-endian ELF file.
fn parse(bytes: &[u8]) -> Option<Symbols> {
    if bytes.get(..6)? != [0x7f, b'E', b'L', b'F', 2, 1] {
        return None;
    }
    let mut symbols = Symbols::default();
    let (programs, size, count) = (long(bytes, 32)?, short(bytes, 54)?, short(bytes, 56)?);
    for index in 0..u64::from(count) {
        let at = place(bytes, programs, index, size)?;
        // PT_LOAD
        if int(bytes, at)? == 1 {
            let load = (
                long(bytes, at + 8)?,
                long(bytes, at + 32)?,
                long(bytes, at + 16)?,
            );
            symbols.loads.push(load);
        }
    }
    let (sections, size, count) = (long(bytes, 40)?, short(bytes, 58)?, short(bytes, 60)?);
    for index in 0..u64::from(count) {
        let at = place(bytes, sections, index, size)?;
        // SHT_SYMTAB, SHT_DYNSYM
        if matches!(int(bytes, at + 4)?, 2 | 11) {
            let names = place(bytes, sections, u64::from(int(bytes, at + 40)?), size)?;
            let (strings, start, len) = (
                long(bytes, names + 24)?,
                long(bytes, at + 24)?,
                long(bytes, at + 32)?,
            );
            functions(
                bytes,
                start..start.checked_add(len)?,
                strings,
                &mut symbols.functions,
            );
        }
    }
    symbols.functions.sort_by_key(|(range, _)| range.start);
    symbols.functions.dedup_by_key(|(range, _)| range.start);
    Some(symbols)
}

/// Entries of 24 bytes: name, kind, section, address, size. Those beyond the file's end are no symbols.
fn functions(bytes: &[u8], table: Range<u64>, strings: u64, found: &mut Vec<(Range<u64>, String)>) {
    let mut at = table.start;
    while at < table.end {
        let Some((name, kind, start, len)) = (|| {
            Some((
                int(bytes, at)?,
                *bytes.get(index(at + 4)?)?,
                long(bytes, at + 8)?,
                long(bytes, at + 16)?,
            ))
        })() else {
            return;
        };
        at += 24;
        // STT_FUNC
        if kind & 0xf == 2 && start > 0 && len > 0 {
            let end = start.saturating_add(len);
            if let Some(name) = string(bytes, strings.saturating_add(u64::from(name))) {
                found.push((start..end, name));
            }
        }
    }
}

fn index(at: u64) -> Option<usize> {
    usize::try_from(at).ok()
}

fn string(bytes: &[u8], at: u64) -> Option<String> {
    let rest = bytes.get(index(at)?..)?;
    let end = rest.iter().take(512).position(|byte| *byte == 0)?;
    let text = String::from_utf8_lossy(&rest[..end]);
    // What the compiler appends to copies of a function is nobody's name for it.
    let plain = text.split('.').next().unwrap_or_default();
    (!plain.is_empty()).then(|| plain.to_owned())
}

fn long(bytes: &[u8], at: u64) -> Option<u64> {
    let at = index(at)?;
    let part = bytes.get(at..at.checked_add(8)?)?;
    Some(u64::from_le_bytes(part.try_into().ok()?))
}

fn int(bytes: &[u8], at: u64) -> Option<u32> {
    let at = index(at)?;
    let part = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(part.try_into().ok()?))
}

fn short(bytes: &[u8], at: u64) -> Option<u16> {
    let at = index(at)?;
    let part = bytes.get(at..at.checked_add(2)?)?;
    Some(u16::from_le_bytes(part.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn this_program_has_named_functions() {
        let path = std::env::current_exe().unwrap();
        let symbols = read(path.to_str().unwrap()).unwrap();
        assert!(symbols.functions.len() > 100);
        assert!(symbols.functions.iter().any(|(_, name)| name == "main"));
        assert!(!symbols.loads.is_empty());
    }

    #[test]
    fn files_that_make_no_sense_have_no_symbols() {
        let path = std::env::current_exe().unwrap();
        let whole = fs::read(path).unwrap();
        for len in [0, 5, 6, 40, 63, 64, 200, whole.len() / 2] {
            let _ = parse(&whole[..len]);
        }
        let mut wild = whole[..4096].to_vec();
        wild[32..64].fill(0xff);
        assert!(parse(&wild).is_none());
        // No programs, and sections in a place where nothing is.
        let mut wild = whole[..4096].to_vec();
        wild[56..58].fill(0);
        wild[40..48].copy_from_slice(&(u64::MAX - 2).to_le_bytes());
        assert!(parse(&wild).is_none());
        // The name of a file that was mapped may be anything's by now.
        assert!(read("/dev/zero").is_none());
    }
}
