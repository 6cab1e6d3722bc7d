//! `StrView`: a str that stays where it lies in an image.
//!
//! Characters have the width of the whole str's kind. What is made a real str of is copied first, and the copy is looked
//! at, as another process could write to the image.
#![forbid(unsafe_code)]
#![allow(
    clippy::doc_markdown,
    reason = "docstrings are written for Python's help()"
)]
#![allow(
    clippy::unused_self,
    reason = "methods that refuse do so whatever they are called on"
)]

use std::borrow::Cow;
use std::cmp::Ordering;
use std::ops::Range;
use std::sync::OnceLock;

use memchr::memmem;
use onecopy::image::{Text, TextKind};
use onecopy::printable;
use pyo3::basic::CompareOp;
use pyo3::exceptions::{PyAttributeError, PyIndexError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyMemoryView, PySlice, PyString, PyTuple};

use super::methods::view_methods;
use super::missing;
use super::reduce::reduce;
use super::repr;
use crate::column::Steps;
use crate::cpython::own_function;
use crate::image::Image;
use crate::value::item::Item;
use crate::value::{index, scalar, text};

/// A shared str: read-only and one copy in memory for all processes.
///
/// Slices are views as well. It equals and hashes as the str does; `str(view)` is a real str, and methods that are not here
/// work on one. `codes()` shows the characters where they lie, for numpy and, if all are ASCII, for `re` with a pattern of
/// bytes.
///
/// Example:
///     >>> import onecopy, re
///     >>> view = onecopy.share("one, two")
///     >>> view[5:] == "two", view.find("two"), re.search(rb"t\w+", view.codes()).span(), len(view)
///     (True, 5, (5, 8), 8)
#[pyclass(frozen, sequence, weakref, module = "onecopy.views")]
pub(crate) struct StrView {
    image: Py<Image>,
    /// The node that has all of it; 0 if it is an element of something else.
    node: u64,
    kind: TextKind,
    offset: usize,
    count: usize,
    steps: Steps,
    hash: OnceLock<isize>,
}

impl StrView {
    /// `count` characters from `offset` of an image on; an error if they do not lie in it.
    pub(super) fn new(
        image: &Bound<'_, Image>,
        node: u64,
        kind: TextKind,
        (offset, count): (usize, usize),
        (start, step, len): (isize, isize, usize),
    ) -> PyResult<Self> {
        let wrong = || PyIndexError::new_err("characters that do not lie in the image");
        let byte_len = count.checked_mul(kind.width()).ok_or_else(wrong)?;
        image.get().check(offset, byte_len)?;
        Ok(Self {
            image: image.clone().unbind(),
            node,
            kind,
            offset,
            count,
            steps: Steps::checked(start, step, len, count).ok_or_else(wrong)?,
            hash: OnceLock::new(),
        })
    }

    fn with_steps(&self, py: Python<'_>, steps: Steps) -> Self {
        Self {
            image: self.image.clone_ref(py),
            steps,
            hash: OnceLock::new(),
            ..*self
        }
    }

    /// The image and node that it shows.
    pub(super) fn place(&self, py: Python<'_>) -> (Py<Image>, u64) {
        (self.image.clone_ref(py), self.node)
    }

    /// Whether these are all characters in order.
    fn is_all(&self) -> bool {
        self.steps.start == 0 && self.steps.step == 1 && self.steps.len == self.count
    }

    /// Whether it is all of a node.
    pub(super) fn is_whole(&self) -> bool {
        self.node != 0 && self.is_all()
    }

    /// The characters, in place if they lie side by side.
    fn units(&self) -> Cow<'_, [u8]> {
        let width = self.kind.width();
        let rest = self.image.get().bytes().get(self.offset..);
        let all = rest.and_then(|rest| rest.get(..self.count * width));
        let all = all.unwrap_or_default();
        if self.steps.step == 1 || self.steps.len <= 1 {
            let start = self.steps.start.unsigned_abs() * width;
            let found = all.get(start..start + self.steps.len * width);
            return Cow::Borrowed(found.unwrap_or_default());
        }
        let indexes = (0..self.steps.len).map(|index| self.steps.at(index) * width);
        let chars = indexes.flat_map(|at| all.get(at..at + width).unwrap_or_default());
        Cow::Owned(chars.copied().collect())
    }

    /// A real str of the characters.
    pub(super) fn real<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let units = self.units();
        if self.is_all() {
            let bytes = units.as_ref();
            let kind = self.kind;
            return scalar::object(py, &onecopy::image::Scalar::Str(Text { kind, bytes }));
        }
        text::narrowed(py, self.kind.width(), &units)
    }

    /// What a method of str's gives, with other arguments than a view takes.
    fn asked<'py, A>(
        &self,
        py: Python<'py>,
        name: &str,
        arguments: A,
    ) -> PyResult<Bound<'py, PyAny>>
    where
        A: pyo3::call::PyCallArgs<'py>,
    {
        self.real(py)?.call_method1(name, arguments)
    }

    /// The characters of an argument as wide as these; `None` if some do not fit, and so are not here.
    fn needle(&self, value: &Bound<'_, PyAny>, what: &str) -> PyResult<Option<Vec<u8>>> {
        if let Ok(view) = value.cast_exact::<Self>() {
            let view = view.get();
            let (kind, units) = (view.kind, view.units());
            let bytes = units.as_ref();
            return Ok(widened(Text { kind, bytes }, self.kind));
        }
        let Ok(text) = value.cast::<PyString>() else {
            let name = value.get_type().name()?;
            return Err(PyTypeError::new_err(format!(
                "{what} must be str, not {name}"
            )));
        };
        let plain = builtin(text)?;
        let found = Item::of(&plain).text().map(|text| widened(text, self.kind));
        Ok(found.unwrap_or_default())
    }

    /// The first or last place of a str between two limits.
    fn find_in(
        &self,
        value: &Bound<'_, PyAny>,
        (start, stop): (Limit<'_, '_>, Limit<'_, '_>),
        is_last: bool,
    ) -> PyResult<Option<usize>> {
        let Some(range) = limits(start, stop, self.steps.len)? else {
            return Ok(None);
        };
        let Some(needle) = self.needle(value, "argument")? else {
            return Ok(None);
        };
        let (units, width) = (self.units(), self.kind.width());
        let Some(part) = units.get(range.start * width..range.end * width) else {
            return Ok(None);
        };
        let found = if is_last {
            last_in(part, &needle, width)
        } else {
            first_in(part, &needle, width)
        };
        Ok(found.map(|at| range.start + at))
    }

    fn ends(
        &self,
        value: &Bound<'_, PyAny>,
        (start, stop): (Limit<'_, '_>, Limit<'_, '_>),
        has: impl Fn(&[u8], &[u8]) -> bool,
    ) -> PyResult<bool> {
        let Some(range) = limits(start, stop, self.steps.len)? else {
            return Ok(false);
        };
        let (units, width) = (self.units(), self.kind.width());
        let Some(part) = units.get(range.start * width..range.end * width) else {
            return Ok(false);
        };
        let all = match value.cast::<PyTuple>() {
            Ok(tuple) => tuple.iter().collect(),
            Err(_) => vec![value.clone()],
        };
        for end in all {
            if self
                .needle(&end, "argument")?
                .is_some_and(|end| has(part, &end))
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// How it compares with a str or another view; `None` with anything else.
    fn compare(&self, other: &Bound<'_, PyAny>) -> Option<Ordering> {
        self.beside(other, ordered)
    }

    /// What a look at both says of it and a str or another view; `None` for anything else.
    fn beside<T>(
        &self,
        other: &Bound<'_, PyAny>,
        look: impl FnOnce(Text<'_>, Text<'_>) -> T,
    ) -> Option<T> {
        let ours = self.units();
        let ours = Text {
            kind: self.kind,
            bytes: ours.as_ref(),
        };
        if let Ok(view) = other.cast_exact::<Self>() {
            let view = view.get();
            let (kind, units) = (view.kind, view.units());
            let bytes = units.as_ref();
            return Some(look(ours, Text { kind, bytes }));
        }
        let plain = builtin(other.cast::<PyString>().ok()?).ok()?;
        let item = Item::of(&plain);
        item.text().map(|theirs| look(ours, theirs))
    }
}

type Limit<'a, 'py> = Option<&'a Bound<'py, PyAny>>;

/// Where a search begins and ends; `None` if it begins past the end, where not even nothing is found.
pub(super) fn limits(
    start: Limit<'_, '_>,
    stop: Limit<'_, '_>,
    len: usize,
) -> PyResult<Option<Range<usize>>> {
    if let Some(start) = start
        && index::slice_part(start)? > len.cast_signed()
    {
        return Ok(None);
    }
    let range = index::range(start, stop, len)?;
    Ok((range.start <= range.end).then_some(range))
}

/// The characters of a text in another width; `None` if that is too narrow.
fn widened(text: Text<'_>, kind: TextKind) -> Option<Vec<u8>> {
    if text.kind.width() == kind.width() {
        return Some(text.bytes.to_vec());
    }
    let width = kind.width();
    let mut wide = Vec::with_capacity(text.char_count() * width);
    for code in text.codes() {
        let bytes = code.to_le_bytes();
        if bytes[width..].iter().any(|&byte| byte != 0) {
            return None;
        }
        wide.extend_from_slice(&bytes[..width]);
    }
    Some(wide)
}

/// Where characters are found first.
fn first_in(units: &[u8], needle: &[u8], width: usize) -> Option<usize> {
    let finder = memmem::Finder::new(needle);
    let mut from = 0;
    loop {
        let at = from + finder.find(units.get(from..)?)?;
        if at.is_multiple_of(width) {
            return Some(at / width);
        }
        from = at + 1;
    }
}

/// Where characters are found last.
fn last_in(units: &[u8], needle: &[u8], width: usize) -> Option<usize> {
    let finder = memmem::FinderRev::new(needle);
    let mut end = units.len();
    loop {
        let at = finder.rfind(units.get(..end)?)?;
        if at.is_multiple_of(width) {
            return Some(at / width);
        }
        end = (at + needle.len()).checked_sub(1)?;
    }
}

/// How often characters are found side by side.
fn count_in(units: &[u8], needle: &[u8], width: usize) -> usize {
    if needle.is_empty() {
        return units.len() / width + 1;
    }
    let (mut rest, mut count) = (units, 0);
    while let Some(at) = first_in(rest, needle, width) {
        count += 1;
        rest = rest.get(at * width + needle.len()..).unwrap_or_default();
    }
    count
}

fn ordered(one: Text<'_>, other: Text<'_>) -> Ordering {
    if one.kind.width() == 1 && other.kind.width() == 1 {
        return one.bytes.cmp(other.bytes);
    }
    one.codes().cmp(other.codes())
}

/// Whether two texts are the same: the same characters in the same width have the same bytes.
fn is_same(one: Text<'_>, other: Text<'_>) -> bool {
    if one.kind.width() == other.kind.width() {
        return one.bytes == other.bytes;
    }
    one.char_count() == other.char_count() && one.codes().eq(other.codes())
}

fn as_answer(found: Option<usize>) -> isize {
    found.map_or(-1, usize::cast_signed)
}

fn not_found() -> PyErr {
    PyValueError::new_err("substring not found")
}

view_methods!(StrView {
    /// Bytes of the image that it is a part of.
    #[getter]
    fn nbytes(&self) -> usize {
        self.image.get().bytes().len()
    }

    /// Returns the characters where they lie: a read-only memoryview of as many numbers, of 1, 2 or 4 bytes each.
    fn codes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let width = self.kind.width();
        let memory = Image::buffer(self.image.bind(py), self.offset, self.count * width, 0)?;
        let memory = PyMemoryView::from(Bound::new(py, memory)?.as_any())?;
        let letter = match width {
            1 => "B",
            2 => "H",
            _ => "I",
        };
        let all = memory.call_method1("cast", (letter,))?;
        let Steps { start, step, len } = self.steps;
        let stop = start + step * len.cast_signed();
        // Before the first of all stands no index: −1 would be the last.
        let stop = (stop >= 0).then_some(stop);
        all.get_item(py.get_type::<PySlice>().call1((start, stop, step))?)
    }

    fn __len__(&self) -> usize {
        self.steps.len
    }

    fn __getitem__<'py>(&self, key: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = key.py();
        if let Ok(slice) = key.cast_exact::<PySlice>() {
            let part = self.with_steps(py, self.steps.of_slice(slice)?);
            return Ok(Bound::new(py, part)?.into_any());
        }
        let at = self.steps.position(missing::subscript(key, "string")?);
        self.character(py, at.ok_or_else(|| index::out_of_range("string"))?)
    }

    fn __setitem__(&self, _key: &Bound<'_, PyAny>, _value: &Bound<'_, PyAny>) -> PyResult<()> {
        Err(missing::read_only("StrView", "does not support item assignment"))
    }

    fn __delitem__(&self, _key: &Bound<'_, PyAny>) -> PyResult<()> {
        Err(missing::read_only("StrView", "does not support item deletion"))
    }

    fn __iter__(slf: Bound<'_, Self>) -> StrIterator {
        StrIterator { view: slf.unbind(), next: std::sync::atomic::AtomicUsize::new(0) }
    }

    fn __contains__(&self, value: &Bound<'_, PyAny>) -> PyResult<bool> {
        Ok(self.find_in(value, (None, None), false)?.is_some())
    }

    fn __richcmp__<'py>(&self, other: &Bound<'py, PyAny>, op: CompareOp) -> PyResult<Bound<'py, PyAny>> {
        let py = other.py();
        let answer = if matches!(op, CompareOp::Eq | CompareOp::Ne) {
            self.same(other).map(|same| same == matches!(op, CompareOp::Eq))
        } else {
            self.compare(other).map(|order| op.matches(order))
        };
        match answer {
            Some(answer) => Ok(answer.into_pyobject(py)?.to_owned().into_any()),
            None => Ok(py.NotImplemented().into_bound(py)),
        }
    }

    fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
        if let Some(hash) = self.hash.get() {
            return Ok(*hash);
        }
        let hash = self.real(py)?.hash()?;
        Ok(*self.hash.get_or_init(|| hash))
    }

    fn __str__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.real(py)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("StrView({})", repr::of(&self.real(py)?)?))
    }

    fn __format__<'py>(&self, spec: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.asked(spec.py(), "__format__", (spec,))
    }

    fn __add__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.real(other.py())?.add(plain(other)?)
    }

    fn __radd__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        other.add(self.real(other.py())?)
    }

    fn __mul__<'py>(&self, count: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.real(count.py())?.mul(count)
    }

    fn __rmul__<'py>(&self, count: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.real(count.py())?.mul(count)
    }

    // Python asks only where the class has no such name.
    fn __getattr__<'py>(&self, name: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
        let text = name.to_string_lossy();
        if text.starts_with('_') || !name.py().get_type::<PyString>().hasattr(name)? {
            return Err(PyAttributeError::new_err(format!(
                "'StrView' object has no attribute '{}'",
                printable(&text)
            )));
        }
        self.real(name.py())?.getattr(name)
    }

    fn __dir__<'py>(slf: &Bound<'py, Self>) -> PyResult<Vec<Bound<'py, PyAny>>> {
        missing::names(slf.as_any())
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        if self.is_whole() {
            let (attach, arguments) = reduce(py, &self.image, self.node)?;
            return Ok((attach, arguments.into_pyobject(py)?));
        }
        let attach = own_function(py, &ATTACH_TEXT, "_attach_text")?;
        let Steps { start, step, len } = self.steps;
        let (image, kind) = (self.image.clone_ref(py), self.kind as u8);
        let arguments = (image, kind, self.offset, self.count, start, step, len);
        Ok((attach, arguments.into_pyobject(py)?))
    }

    /// Returns where `value` is found first between `start` and `stop`; −1 if it is not there.
    #[pyo3(signature = (value, start = None, stop = None, /), text_signature = "($self, value, start=0, stop=sys.maxsize, /)")]
    fn find(&self, value: &Bound<'_, PyAny>, start: Limit<'_, '_>, stop: Limit<'_, '_>) -> PyResult<isize> {
        self.find_in(value, (start, stop), false).map(as_answer)
    }

    /// Returns where `value` is found last between `start` and `stop`; −1 if it is not there.
    #[pyo3(signature = (value, start = None, stop = None, /), text_signature = "($self, value, start=0, stop=sys.maxsize, /)")]
    fn rfind(&self, value: &Bound<'_, PyAny>, start: Limit<'_, '_>, stop: Limit<'_, '_>) -> PyResult<isize> {
        self.find_in(value, (start, stop), true).map(as_answer)
    }

    /// Returns where `value` is found first; raises ValueError if it is not there.
    #[pyo3(signature = (value, start = None, stop = None, /), text_signature = "($self, value, start=0, stop=sys.maxsize, /)")]
    fn index(&self, value: &Bound<'_, PyAny>, start: Limit<'_, '_>, stop: Limit<'_, '_>) -> PyResult<usize> {
        self.find_in(value, (start, stop), false)?.ok_or_else(not_found)
    }

    /// Returns where `value` is found last; raises ValueError if it is not there.
    #[pyo3(signature = (value, start = None, stop = None, /), text_signature = "($self, value, start=0, stop=sys.maxsize, /)")]
    fn rindex(&self, value: &Bound<'_, PyAny>, start: Limit<'_, '_>, stop: Limit<'_, '_>) -> PyResult<usize> {
        self.find_in(value, (start, stop), true)?.ok_or_else(not_found)
    }

    /// Returns how often `value` is found between `start` and `stop`, side by side.
    #[pyo3(signature = (value, start = None, stop = None, /), text_signature = "($self, value, start=0, stop=sys.maxsize, /)")]
    fn count(&self, value: &Bound<'_, PyAny>, start: Limit<'_, '_>, stop: Limit<'_, '_>) -> PyResult<usize> {
        let Some(range) = limits(start, stop, self.steps.len)? else {
            return Ok(0);
        };
        let Some(needle) = self.needle(value, "argument")? else {
            return Ok(0);
        };
        let (units, width) = (self.units(), self.kind.width());
        let part = units.get(range.start * width..range.end * width);
        Ok(part.map_or(0, |part| count_in(part, &needle, width)))
    }

    /// Returns whether the characters between `start` and `stop` begin with `prefix`, or with one of a tuple.
    #[pyo3(signature = (prefix, start = None, stop = None, /), text_signature = "($self, prefix, start=0, stop=sys.maxsize, /)")]
    fn startswith(&self, prefix: &Bound<'_, PyAny>, start: Limit<'_, '_>, stop: Limit<'_, '_>) -> PyResult<bool> {
        self.ends(prefix, (start, stop), <[u8]>::starts_with)
    }

    /// Returns whether the characters between `start` and `stop` end with `suffix`, or with one of a tuple.
    #[pyo3(signature = (suffix, start = None, stop = None, /), text_signature = "($self, suffix, start=0, stop=sys.maxsize, /)")]
    fn endswith(&self, suffix: &Bound<'_, PyAny>, start: Limit<'_, '_>, stop: Limit<'_, '_>) -> PyResult<bool> {
        self.ends(suffix, (start, stop), <[u8]>::ends_with)
    }
});

impl StrView {
    /// The character at a position of all, as a str.
    fn character<'py>(&self, py: Python<'py>, at: usize) -> PyResult<Bound<'py, PyAny>> {
        let width = self.kind.width();
        let from = self.offset + at * width;
        let unit = self.image.get().bytes().get(from..from + width);
        text::narrowed(py, width, unit.unwrap_or_default())
    }

    /// Whether it is the same as a str or another view; `None` for anything else.
    fn same(&self, other: &Bound<'_, PyAny>) -> Option<bool> {
        self.beside(other, is_same)
    }
}

/// The same characters as a str of the builtin's class, whatever a derived class says of itself.
fn builtin<'py>(text: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
    if text.is_exact_instance_of::<PyString>() {
        return Ok(text.clone().into_any());
    }
    let class = text.py().get_type::<PyString>();
    class.call_method1(pyo3::intern!(text.py(), "__str__"), (text,))
}

/// The real str behind a view; anything else as it is.
fn plain<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    match value.cast_exact::<StrView>() {
        Ok(view) => view.get().real(value.py()),
        Err(_) => Ok(value.clone()),
    }
}

/// What `for character in view` steps through.
#[pyclass(frozen, module = "onecopy._onecopy")]
pub(super) struct StrIterator {
    view: Py<StrView>,
    next: std::sync::atomic::AtomicUsize,
}

#[pymethods]
impl StrIterator {
    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let view = self.view.bind(py).get();
        // Relaxed: the interpreter's lock orders the steps.
        let index = self.next.load(std::sync::atomic::Ordering::Relaxed);
        if index >= view.steps.len {
            return Ok(None);
        }
        self.next
            .store(index + 1, std::sync::atomic::Ordering::Relaxed);
        view.character(py, view.steps.at(index)).map(Some)
    }

    fn __length_hint__(&self, py: Python<'_>) -> usize {
        let index = self.next.load(std::sync::atomic::Ordering::Relaxed);
        self.view.bind(py).get().steps.len.saturating_sub(index)
    }
}

static ATTACH_TEXT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// Unpickles a part of a str.
#[pyfunction]
pub(super) fn _attach_text(
    image: &Bound<'_, Image>,
    kind: u8,
    offset: usize,
    count: usize,
    start: isize,
    step: isize,
    len: usize,
) -> PyResult<StrView> {
    let kind = TextKind::from_bits(kind);
    StrView::new(image, 0, kind, (offset, count), (start, step, len))
}
