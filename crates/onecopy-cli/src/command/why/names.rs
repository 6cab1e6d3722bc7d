//! Names for what a call chain or a stack holds.
#![forbid(unsafe_code)]

use std::collections::HashMap;

use super::elf::Binaries;
use super::faults::{Faults, Frame, NO_FILE};
use super::perf_map::{Origin, PerfMaps};
use super::python_stack::{self, LOOP};

/// Python functions of a stack that are kept.
const FUNCTIONS: usize = 6;

/// A call chain with names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Named {
    /// Innermost function first.
    pub(super) stack: Vec<String>,
    /// Whether the innermost is code of the Python interpreter itself, no library and no extension.
    pub(super) in_interpreter: bool,
    /// Whether the innermost has a name of its own, and not only that of its file.
    pub(super) has_name: bool,
}

/// Looks names up.
#[derive(Debug, Default)]
pub(super) struct Names {
    files: Binaries,
    pub(super) maps: PerfMaps,
    loops: HashMap<Frame, bool>,
    distances: HashMap<u32, Option<u16>>,
}

impl Names {
    /// Names the frames, those of Python in their own form: `function (file)`.
    pub(super) fn chain(&mut self, frames: &[Frame], faults: &Faults, origin: &Origin) -> Named {
        let mut named = Named {
            stack: Vec::new(),
            in_interpreter: false,
            has_name: false,
        };
        for (depth, frame) in frames.iter().enumerate() {
            let path = faults.stacks.file(frame.file);
            let file = path.map(|path| path.rsplit('/').next().unwrap_or(path).to_owned());
            // A return address may lie behind the end of a function that never returns.
            let offset = frame.offset - u64::from(depth > 0 && frame.offset > 0);
            let name = match (path, frame.file) {
                (Some(path), _) => self.files.function(path, offset),
                (None, NO_FILE) => self.maps.function(origin, offset).map(|name| python(&name)),
                (None, _) => Some("a system call".to_owned()),
            };
            if depth == 0 {
                named.has_name = name.is_some();
                named.in_interpreter = file.as_deref().is_some_and(is_interpreter);
            }
            // Without frame pointers, some of the callers are no code at all.
            let unknown = (depth == 0).then(|| "?".to_owned());
            let name = name.or(file).or(unknown);
            named
                .stack
                .extend(name.filter(|name| named.stack.last() != Some(name)));
        }
        named
    }

    /// Whether a return address is one into the interpreter's evaluation loop.
    pub(super) fn is_loop(&mut self, frame: Frame, faults: &Faults) -> bool {
        let files = &mut self.files;
        *self.loops.entry(frame).or_insert_with(|| {
            let path = faults.stacks.file(frame.file);
            // A return address lies behind its call.
            let name = path.and_then(|path| files.function(path, frame.offset.saturating_sub(1)));
            name.as_deref() == Some(LOOP)
        })
    }

    /// How far apart on the stack a call by the loop and the call of the loop are.
    pub(super) fn distance(&mut self, file: u32, faults: &Faults) -> Option<u16> {
        let path = faults.stacks.file(file)?;
        let files = &mut self.files;
        *self.distances.entry(file).or_insert_with(|| {
            let code = files.code(path, LOOP);
            code.iter().find_map(|code| python_stack::distance(code))
        })
    }

    /// The Python functions whose compiled code is at these addresses.
    pub(super) fn functions(&mut self, addresses: &[u64], origin: &Origin) -> Vec<String> {
        let mut stack: Vec<String> = Vec::new();
        for address in addresses {
            // A return address lies behind its call.
            let name = self.maps.function(origin, address.saturating_sub(1));
            let name = name.filter(|name| name.starts_with("py::"));
            let name = name.map(|name| python(&name));
            stack.extend(name.filter(|name| stack.last() != Some(name)));
        }
        stack.truncate(FUNCTIONS);
        stack
    }
}

/// Whether a file of that name is a Python interpreter, or the library that it consists of.
pub(super) fn is_interpreter(file: &str) -> bool {
    file.starts_with("libpython") || file.starts_with("python")
}

/// `py::function:/path/to/file.py` as CPython writes it.
fn python(name: &str) -> String {
    let parts = name
        .strip_prefix("py::")
        .and_then(|rest| rest.split_once(':'));
    match parts {
        Some((function, path)) => {
            let file = path.rsplit('/').next().unwrap_or(path);
            format!("{function} ({file})")
        }
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn python_functions_are_written_with_their_file() {
        assert_eq!(
            python("py::Pool.map:/usr/lib/pool.py"),
            "Pool.map (pool.py)"
        );
        assert_eq!(python("py::<module>:<string>"), "<module> (<string>)");
        assert_eq!(python("jit_code"), "jit_code");
    }
}
