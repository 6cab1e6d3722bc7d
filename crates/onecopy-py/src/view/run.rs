//! `BytesView` and `ArrayView`: items of one type side by side in an image, or some of them. Their methods are in `bytes`.
#![forbid(unsafe_code)]
#![allow(
    clippy::doc_markdown,
    reason = "docstrings are written for Python's help()"
)]

use std::borrow::Cow;
use std::ffi::CStr;

use onecopy::image::Array;
use pyo3::IntoPyObjectExt;
use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyByteArray, PyBytes, PyMemoryView, PySlice, PyTuple};

use super::missing;
use super::reduce::reduce;
use crate::column::{Format, Steps};
use crate::cpython::{module, own_function};
use crate::error::corrupt;
use crate::image::Image;
use crate::value::index;

/// Letters of the buffer protocol for items that a view makes objects of.
const FORMATS: &[(u8, &CStr, usize)] = &[
    (b'B', c"B", 1),
    (b'b', c"b", 1),
    (b'h', c"h", 2),
    (b'H', c"H", 2),
    (b'i', c"i", 4),
    (b'I', c"I", 4),
    (b'l', c"l", 8),
    (b'L', c"L", 8),
    (b'q', c"q", 8),
    (b'Q', c"Q", 8),
    (b'f', c"f", 4),
    (b'd', c"d", 8),
    (b'?', c"?", 1),
    (b'c', c"c", 1),
];

/// What a run of items was where it comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Bytes,
    ByteArray,
    Mmap,
    MemoryView(u8),
    Array(u8),
}

impl Source {
    /// The source that an image names in the place of a dtype.
    pub(crate) fn named(text: &str) -> Option<Self> {
        let (name, letter) = text.split_once(':').unwrap_or((text, ""));
        let source = match (name, letter.as_bytes()) {
            ("bytes", []) => Self::Bytes,
            ("bytearray", []) => Self::ByteArray,
            ("mmap", []) => Self::Mmap,
            ("memoryview", &[letter]) => Self::MemoryView(letter),
            ("array", &[letter]) => Self::Array(letter),
            _ => return None,
        };
        source.format().map(|_| source)
    }

    /// How an image names it.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Bytes => "bytes".to_owned(),
            Self::ByteArray => "bytearray".to_owned(),
            Self::Mmap => "mmap".to_owned(),
            Self::MemoryView(letter) => format!("memoryview:{}", char::from(letter)),
            Self::Array(letter) => format!("array:{}", char::from(letter)),
        }
    }

    fn letter(self) -> u8 {
        match self {
            Self::Bytes | Self::ByteArray | Self::Mmap => b'B',
            Self::MemoryView(letter) | Self::Array(letter) => letter,
        }
    }

    fn format(self) -> Option<Format> {
        let found = FORMATS.iter().find(|(letter, ..)| *letter == self.letter());
        found.map(|&(_, letter, item_size)| Format { letter, item_size })
    }

    /// Whether it is shown as bytes.
    pub(super) fn is_bytes(self) -> bool {
        !matches!(self, Self::Array(_)) && self.letter() == b'B'
    }
}

/// Some items.
///
/// **Invariant.** `S1` (see [`Steps`]) holds for `steps` among `count` items of `format` from `offset` on, all of which lie in
/// the image.
pub(crate) struct Run {
    image: Py<Image>,
    /// The node that has all of it; 0 if it is an element of something else.
    node: u64,
    pub(super) source: Source,
    pub(super) format: Format,
    offset: usize,
    count: usize,
    pub(super) steps: Steps,
}

impl Run {
    /// Items from `offset` of an image on; an error if they do not lie in it.
    pub(super) fn new(
        image: &Bound<'_, Image>,
        node: u64,
        source: Source,
        offset: usize,
        count: usize,
        steps: (isize, isize, usize),
    ) -> PyResult<Self> {
        let wrong = || PyIndexError::new_err("items that do not lie in the image");
        let format = source.format().ok_or_else(wrong)?;
        let byte_len = count.checked_mul(format.item_size).ok_or_else(wrong)?;
        image.get().check(offset, byte_len)?;
        let (start, step, len) = steps;
        Ok(Self {
            image: image.clone().unbind(),
            node,
            source,
            format,
            offset,
            count,
            steps: Steps::checked(start, step, len, count).ok_or_else(wrong)?,
        })
    }

    fn with_steps(&self, py: Python<'_>, steps: Steps) -> Self {
        Self {
            image: self.image.clone_ref(py),
            steps,
            ..*self
        }
    }

    /// The view that shows it.
    pub(crate) fn view(self, py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        if self.source.is_bytes() {
            Ok(Bound::new(py, BytesView(self))?.into_any())
        } else {
            Ok(Bound::new(py, ArrayView(self))?.into_any())
        }
    }

    pub(super) fn image_len(&self) -> usize {
        self.image.get().bytes().len()
    }

    pub(super) fn byte_len(&self) -> usize {
        self.steps.len * self.format.item_size
    }

    /// All bytes of the run, whatever the steps are.
    fn all(&self) -> &[u8] {
        let rest = self.image.get().bytes().get(self.offset..);
        let len = self.count * self.format.item_size;
        rest.and_then(|rest| rest.get(..len)).unwrap_or_default()
    }

    /// Where the first byte lies.
    pub(super) fn first(&self) -> *const u8 {
        self.all().as_ptr()
    }

    /// Whether the items lie side by side in their order.
    fn is_contiguous(&self) -> bool {
        self.steps.step == 1 || self.steps.len <= 1
    }

    /// The bytes of the items, in place if they lie side by side.
    pub(super) fn bytes(&self) -> Cow<'_, [u8]> {
        let size = self.format.item_size;
        if self.is_contiguous() {
            let start = self.steps.start.unsigned_abs() * size;
            let found = self.all().get(start..start + self.byte_len());
            return Cow::Borrowed(found.unwrap_or_default());
        }
        let mut gathered = Vec::with_capacity(self.byte_len());
        for index in 0..self.steps.len {
            let at = self.steps.at(index) * size;
            gathered.extend_from_slice(self.all().get(at..at + size).unwrap_or_default());
        }
        Cow::Owned(gathered)
    }

    /// Item `at` of the whole run as an object.
    fn item<'py>(&self, py: Python<'py>, at: usize) -> PyResult<Bound<'py, PyAny>> {
        let size = self.format.item_size;
        let bytes = self.all().get(at * size..(at + 1) * size);
        let bytes = bytes.ok_or_else(|| corrupt(self.node, "an item that is not there"))?;
        macro_rules! number {
            ($type:ty) => {
                <$type>::from_le_bytes(bytes.try_into()?).into_bound_py_any(py)
            };
        }
        match self.source.letter() {
            b'b' => number!(i8),
            b'h' => number!(i16),
            b'H' => number!(u16),
            b'i' => number!(i32),
            b'I' => number!(u32),
            b'l' | b'q' => number!(i64),
            b'L' | b'Q' => number!(u64),
            b'f' => number!(f32),
            b'd' => number!(f64),
            b'?' => (bytes[0] != 0).into_bound_py_any(py),
            b'c' => Ok(PyBytes::new(py, bytes).into_any()),
            _ => bytes[0].into_bound_py_any(py),
        }
    }

    /// Item `index` of these, of which there must be one.
    pub(super) fn at<'py>(&self, py: Python<'py>, index: usize) -> PyResult<Bound<'py, PyAny>> {
        self.item(py, self.steps.at(index))
    }

    /// `view[key]`.
    pub(super) fn subscript<'py>(
        &self,
        key: &Bound<'py, PyAny>,
        kind: &str,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = key.py();
        if let Ok(slice) = key.cast_exact::<PySlice>() {
            let mut part = self.with_steps(py, self.steps.of_slice(slice)?);
            if self.source == Source::Mmap {
                // As of a real one, which cannot be empty.
                (part.source, part.node) = (Source::Bytes, 0);
            }
            return part.view(py);
        }
        let position = self.steps.position(missing::subscript(key, kind)?);
        self.item(py, position.ok_or_else(|| index::out_of_range(kind))?)
    }

    /// The items from the last to the first.
    pub(super) fn reversed<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.with_steps(py, self.steps.reversed()).view(py)
    }

    /// What Python hashes bytes by, without a copy of them if they lie side by side.
    pub(super) fn hash(&self, py: Python<'_>) -> PyResult<isize> {
        if !self.is_contiguous() {
            return PyBytes::new(py, &self.bytes()).hash();
        }
        let start = self.offset + self.steps.start.unsigned_abs() * self.format.item_size;
        let memory = Image::buffer(self.image.bind(py), start, self.byte_len(), 0)?;
        PyMemoryView::from(Bound::new(py, memory)?.as_any())?.hash()
    }

    /// The real thing: of the type that it was, in memory of this process.
    pub(super) fn real<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let bytes = self.bytes();
        Ok(match self.source {
            Source::Bytes => PyBytes::new(py, &bytes).into_any(),
            Source::ByteArray => PyByteArray::new(py, &bytes).into_any(),
            Source::Mmap => {
                let map = module(py, "mmap")?.call_method1("mmap", (-1, bytes.len()))?;
                map.call_method1("write", (PyBytes::new(py, &bytes),))?;
                map.call_method1("seek", (0,))?;
                map
            }
            Source::MemoryView(letter) => {
                let view = PyMemoryView::from(PyByteArray::new(py, &bytes).as_any())?;
                view.call_method1("cast", (char::from(letter),))?
            }
            Source::Array(letter) => module(py, "array")?
                .call_method1("array", (char::from(letter), PyBytes::new(py, &bytes)))?,
        })
    }

    /// What pickling a view of it gives.
    pub(super) fn reduce<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        if self.is_whole() {
            let (attach, arguments) = reduce(py, &self.image, self.node)?;
            return Ok((attach, arguments.into_pyobject(py)?));
        }
        let attach = own_function(py, &ATTACH_RUN, "_attach_run")?;
        let Steps { start, step, len } = self.steps;
        let source = (self.image.clone_ref(py), self.source.name(), self.offset);
        let (image, name, offset) = source;
        let arguments = (image, name, offset, self.count, start, step, len);
        Ok((attach, arguments.into_pyobject(py)?))
    }

    /// Whether it is all of a node.
    pub(super) fn is_whole(&self) -> bool {
        let Steps { start, step, len } = self.steps;
        self.node != 0 && start == 0 && step == 1 && len == self.count
    }

    /// The image and node that it shows.
    pub(super) fn place(&self, py: Python<'_>) -> (Py<Image>, u64) {
        (self.image.clone_ref(py), self.node)
    }
}

/// The run that an array node has, if it was no array of NumPy's.
pub(super) fn of_array(
    image: &Bound<'_, Image>,
    node: u64,
    array: &Array<'_>,
) -> PyResult<Option<Run>> {
    let Some(source) = Source::named(&array.spec.dtype) else {
        return Ok(None);
    };
    let wrong = || corrupt(node, "a buffer has one dimension and items of its type");
    let format = source.format().ok_or_else(wrong)?;
    let (&[len], &[stride]) = (array.spec.shape.as_slice(), array.spec.strides.as_slice()) else {
        return Err(wrong());
    };
    let (len, offset) = (usize::try_from(len)?, usize::try_from(array.data_offset)?);
    let size = isize::try_from(format.item_size)?;
    let stride = isize::try_from(stride)?;
    if array.spec.item_size as usize != format.item_size || (stride != size && len > 1) {
        return Err(wrong());
    }
    Run::new(image, node, source, offset, len, (0, 1, len)).map(Some)
}

/// Shared bytes: a bytes, bytearray, mmap or memoryview, read-only and one copy in memory for all processes.
///
/// It has the buffer protocol, so `memoryview`, `re` and numpy read it in place. Slices are views as well; `bytes(view)`
/// is a real bytes, and methods that are not here work on one.
///
/// Example:
///     >>> import onecopy, re
///     >>> view = onecopy.share(b"one, two")
///     >>> view[5:] == b"two", view.find(b"two"), re.search(rb"t\w+", view)[0], len(view)
///     (True, 5, b'two', 8)
#[pyclass(frozen, sequence, weakref, module = "onecopy.views")]
pub(crate) struct BytesView(pub(super) Run);

/// A shared array.array, or memoryview of numbers: read-only and one copy in memory for all processes.
///
/// It has the buffer protocol, so memoryview and numpy read it in place. Slices are views as well.
///
/// Example:
///     >>> import onecopy, array
///     >>> view = onecopy.share(array.array("d", [1, 2, 3]))
///     >>> view[1], view[1:].tolist(), view.typecode
///     (2.0, [2.0, 3.0], 'd')
#[pyclass(frozen, sequence, weakref, module = "onecopy.views")]
pub(crate) struct ArrayView(pub(super) Run);

/// The run that an object shows, if it is one of these views.
pub(super) fn of<'a>(object: &'a Bound<'_, PyAny>) -> Option<&'a Run> {
    if let Ok(bytes) = object.cast_exact::<BytesView>() {
        return Some(&bytes.get().0);
    }
    let array = object.cast_exact::<ArrayView>().ok()?;
    Some(&array.get().0)
}

static ATTACH_RUN: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// Unpickles a part of bytes or of an array.
#[pyfunction]
pub(super) fn _attach_run<'py>(
    image: &Bound<'py, Image>,
    name: &str,
    offset: usize,
    count: usize,
    start: isize,
    step: isize,
    len: usize,
) -> PyResult<Bound<'py, PyAny>> {
    let source = Source::named(name);
    let source = source.ok_or_else(|| PyIndexError::new_err("items of an unknown type"))?;
    Run::new(image, 0, source, offset, count, (start, step, len))?.view(image.py())
}
