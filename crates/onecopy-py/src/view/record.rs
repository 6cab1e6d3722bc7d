//! `RecordView`: rows that were instances of a class.
//!
//! A view's type is a class of its own for each class of instances: derived from `RecordView` and from that class, and made
//! by `python/onecopy/_records.py`. So `isinstance` is true, and methods, properties and operators are the class's own and
//! find the view as `self`. Where a real instance has its attributes, a view has none; it has two slots instead, the row's
//! number and [`Rows`], and reads the fields where they lie (`record_slots`).

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use onecopy::printable;
use pyo3::exceptions::{PyAttributeError, PyException, PyMemoryError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple, PyType};

use super::methods::view_methods;
use super::table_core::{ReducedRow, RowPlace, TableCore, reduce_row};
use super::{named, record_slots, repr};
use crate::cpython::members;
use crate::image::Image;

/// What views of rows of a table have in common.
#[pyclass(frozen, module = "onecopy._onecopy", name = "_Rows")]
pub(crate) struct Rows {
    pub(super) image: Py<Image>,
    pub(super) core: Arc<TableCore>,
    pub(super) class: Arc<RecordClass>,
}

/// The type of the views of a table's rows.
pub(crate) struct RecordClass {
    pub(super) view: Py<PyType>,
    /// The addresses of the names of the fields; 0 where the class answers first, as for a property of this name.
    pub(super) direct: Vec<usize>,
}

impl Rows {
    pub(super) fn of<'py>(
        py: Python<'py>,
        image: &Py<Image>,
        core: &Arc<TableCore>,
    ) -> PyResult<Bound<'py, Self>> {
        let class = match core.record.get() {
            Some(class) => class.clone(),
            None => {
                let class = Arc::new(RecordClass::of(image.bind(py), core)?);
                core.record.get_or_init(|| class).clone()
            }
        };
        let (image, core) = (image.clone_ref(py), core.clone());
        Bound::new(py, Self { image, core, class })
    }

    /// The view of a row, which must be one of the table's.
    #[inline]
    pub(super) fn view<'py>(slf: &Bound<'py, Self>, row: usize) -> PyResult<Bound<'py, PyAny>> {
        record_slots::new(slf, row)
    }
}

impl RecordClass {
    fn of(image: &Bound<'_, Image>, core: &TableCore) -> PyResult<Self> {
        let py = image.py();
        let class = match class(image, core) {
            Ok(class) => Some(class),
            // The fields can be read without it.
            Err(error) if is_about_the_class(py, &error) => None,
            Err(error) => return Err(error),
        };
        let names = PyTuple::new(py, &core.names)?;
        let helper = crate::cpython::module(py, "onecopy._records")?;
        let found = helper.call_method1("view_class", (class, names))?;
        let (view, hidden): (Bound<'_, PyType>, Vec<bool>) = found.extract()?;
        if !is_registered(view.as_type_ptr().addr()) {
            return Err(PyTypeError::new_err("a class of record views was expected"));
        }
        let address = |(name, hidden): (&Py<PyAny>, bool)| {
            if hidden { 0 } else { name.as_ptr().addr() }
        };
        let direct = core.names.iter().zip(hidden).map(address).collect();
        let view = view.unbind();
        Ok(Self { view, direct })
    }
}

fn is_about_the_class(py: Python<'_>, error: &PyErr) -> bool {
    error.is_instance_of::<PyException>(py) && !error.is_instance_of::<PyMemoryError>(py)
}

/// The class of a table's rows, imported when it is needed.
pub(crate) fn class<'py>(
    image: &Bound<'py, Image>,
    core: &TableCore,
) -> PyResult<Bound<'py, PyAny>> {
    let py = image.py();
    if let Some(class) = core.class.get() {
        return Ok(class.bind(py).clone());
    }
    let helper = crate::cpython::module(py, "onecopy._pickle")?;
    if !image.get().allows_pickle() {
        return Err(PyErr::from_value(helper.call_method1("refusal", (image,))?));
    }
    let class = helper.call_method1("find_class", (core.class_name.as_str(),))?;
    Ok(core.class.get_or_init(|| class.unbind()).bind(py).clone())
}

/// The addresses of the classes that [`register_record_class`] has found to end with the two slots. They live for ever.
static REGISTERED: Mutex<Option<HashSet<usize>>> = Mutex::new(None);

fn is_registered(class: usize) -> bool {
    let known = REGISTERED.lock().unwrap_or_else(PoisonError::into_inner);
    known.as_ref().is_some_and(|known| known.contains(&class))
}

/// Looks whether instances of a new class of views end with the two slots, takes the slots' names away, so that nobody
/// else writes to them, and puts the fast slot in. Keeps the class for ever.
#[pyfunction(name = "_register_record_class")]
pub(super) fn register_record_class(class: &Bound<'_, PyType>) -> PyResult<()> {
    let py = class.py();
    if !class.is_subclass_of::<RecordView>()? || is_registered(class.as_type_ptr().addr()) {
        return Err(PyTypeError::new_err(
            "a new class of record views was expected",
        ));
    }
    let all = class.getattr("__dict__")?;
    // SAFETY: the class of a `Bound` is live; attached, as it shows.
    #[allow(unsafe_code)]
    let end = unsafe { members::last_slots(class.as_type_ptr(), 2) };
    for (index, name) in ["_onecopy_at", "_onecopy_rows"].into_iter().enumerate() {
        let offset = members::offset_of(&all.get_item(name)?)?;
        if offset != end + index * size_of::<usize>() {
            return Err(PyTypeError::new_err(
                "this Python lays out slots in another way",
            ));
        }
        py.get_type::<PyType>()
            .call_method1("__delattr__", (class, name))?;
    }
    record_slots::install(class);
    let mut known = REGISTERED.lock().unwrap_or_else(PoisonError::into_inner);
    known
        .get_or_insert_default()
        .insert(class.as_type_ptr().addr());
    drop(known);
    // For ever, as its address is known.
    std::mem::forget(class.clone().unbind());
    Ok(())
}

/// What a view shows, if it is a view of a record: its rows, and the row.
pub(super) fn parts<'a>(object: &'a Bound<'_, PyAny>) -> Option<(&'a Rows, usize)> {
    if !object.is_instance_of::<RecordView>() || !is_registered(object.get_type_ptr().addr()) {
        return None;
    }
    // SAFETY: a live instance of a class that was found to end with the slots; attached, as `object` shows. Only
    // `record_slots::new` writes them, before anybody sees the instance.
    #[allow(unsafe_code)]
    unsafe {
        record_slots::parts(object.as_ptr())
    }
}

/// The row that an object shows, if it is a view of a record or namedtuple.
pub(super) fn of<'a>(object: &'a Bound<'_, PyAny>) -> Option<RowPlace<'a>> {
    match parts(object) {
        Some((rows, row)) => Some((&rows.image, &rows.core, row)),
        None => named::of(object),
    }
}

/// An instance of a class in shared data: has its attributes, methods and properties, `isinstance` says that it is one,
/// and it never changes.
///
/// Example:
///     >>> import onecopy, types
///     >>> view = onecopy.share(types.SimpleNamespace(name="a", sizes=[1, 2]))
///     >>> view.name, view.sizes[1], isinstance(view, types.SimpleNamespace)
///     ('a', 2, True)
#[pyclass(frozen, subclass, module = "onecopy.views")]
pub(crate) struct RecordView;

fn parts_of<'a>(view: &'a Bound<'_, PyAny>) -> PyResult<(&'a Rows, usize)> {
    parts(view).ok_or_else(|| PyTypeError::new_err("this record view shows nothing"))
}

view_methods!(RecordView {
    fn __getattribute__<'py>(
        slf: &Bound<'py, Self>,
        name: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        attribute(slf.as_any(), name)
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let (rows, row) = parts_of(slf.as_any())?;
        text(slf.py(), (&rows.image, &rows.core, row))
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<ReducedRow<'py>> {
        let (rows, row) = parts_of(slf.as_any())?;
        reduce_row(slf.py(), (&rows.image, &rows.core, row))
    }

    #[classmethod]
    #[pyo3(signature = (**options))]
    fn __init_subclass__(
        _class: &Bound<'_, PyType>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<()> {
        match options {
            Some(options) if options.contains("onecopy")? => Ok(()),
            _ => Err(PyTypeError::new_err("type 'RecordView' is not an acceptable base type")),
        }
    }
});

/// `view.name`, in the order in which an object looks: data descriptors of the class, the fields, then whatever else
/// the class has.
pub(super) fn attribute<'py>(
    view: &Bound<'py, PyAny>,
    name: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = view.py();
    if let Some((rows, row)) = parts(view)
        && name.is_instance_of::<PyString>()
        && let Some(position) = rows.core.find(row, name)?
        && rows
            .class
            .direct
            .get(position)
            .is_some_and(|&address| address != 0)
    {
        return rows.core.cell(py, position, row);
    }
    // SAFETY: both are live objects; attached, as `py` shows.
    #[allow(unsafe_code)]
    let found = unsafe { ffi::PyObject_GenericGetAttr(view.as_ptr(), name.as_ptr()) };
    // SAFETY: a new reference, or null with an exception set.
    #[allow(unsafe_code)]
    let found = unsafe { Bound::from_owned_ptr_or_err(py, found) };
    found.map_err(|error| {
        if error.is_instance_of::<PyAttributeError>(py) && name.eq("get").unwrap_or(false) {
            let class = view.get_type().name().map(|name| name.to_string());
            return PyAttributeError::new_err(format!(
                "'{}' object has no attribute 'get': it has the attributes of the instance itself; \
                 onecopy.to_python(view) gives a real one",
                class.unwrap_or_default()
            ));
        }
        error
    })
}

/// Returns the fields of a record view that are no slots, as a dict.
#[pyfunction(name = "_record_dict")]
#[pyo3(signature = (view, slots = None))]
pub(super) fn record_dict<'py>(
    view: &Bound<'py, PyAny>,
    slots: Option<&Bound<'py, PyTuple>>,
) -> PyResult<Bound<'py, PyDict>> {
    let py = view.py();
    let (rows, row) = parts_of(view)?;
    let all = PyDict::new(py);
    for position in rows.core.positions(row)? {
        let name = rows.core.names[position].bind(py);
        if let Some(slots) = slots
            && slots.contains(name)?
        {
            continue;
        }
        all.set_item(name, rows.core.cell(py, position, row)?)?;
    }
    Ok(all)
}

/// Returns a field of a record view.
#[pyfunction(name = "_record_field")]
pub(super) fn record_field<'py>(
    view: &Bound<'py, PyAny>,
    name: &Bound<'py, PyString>,
) -> PyResult<Bound<'py, PyAny>> {
    let (rows, row) = parts_of(view)?;
    match rows.core.find(row, name.as_any())? {
        Some(position) => rows.core.cell(view.py(), position, row),
        None => Err(PyAttributeError::new_err(
            printable(&name.to_string_lossy()).to_string(),
        )),
    }
}

/// Whether two record views show the same row of the same image; `NotImplemented` for other objects.
#[pyfunction(name = "_record_same")]
pub(super) fn record_same<'py>(
    view: &Bound<'py, PyAny>,
    other: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = view.py();
    let (ours, row) = parts_of(view)?;
    let Some((theirs, other_row)) = parts(other) else {
        return Ok(py.NotImplemented().into_bound(py));
    };
    let same = identity(ours, row) == identity(theirs, other_row);
    Ok(same.into_pyobject(py)?.to_owned().into_any())
}

/// The hash of a record view whose class has no idea of equality: the same for views of the same row.
#[pyfunction(name = "_record_hash")]
pub(super) fn record_hash(view: &Bound<'_, PyAny>) -> PyResult<u64> {
    let (rows, row) = parts_of(view)?;
    let mut hasher = DefaultHasher::new();
    identity(rows, row).hash(&mut hasher);
    Ok(hasher.finish() >> 1)
}

/// What tells a row from all others in this process: the bytes of an image of the store lie at one place.
fn identity(rows: &Rows, row: usize) -> (usize, u64, usize) {
    (
        rows.image.get().bytes().as_ptr().addr(),
        rows.core.node,
        row,
    )
}

/// The text of a row that was an instance.
pub(super) fn text(py: Python<'_>, place: RowPlace<'_>) -> PyResult<String> {
    let (image, core, row) = place;
    // Whoever made the file wrote it, maybe for the terminal.
    let name = core.class_name.rsplit([':', '.']).next();
    let name = printable(name.unwrap_or_default());
    let (guard, node) = repr::row(image, core.node, row);
    repr::guarded(guard, node, &format!("{name}View(...)"), || {
        let positions = core.positions(row)?;
        let cells = repr::listed(positions.len(), |index| {
            let position = positions[index];
            let field = core.names[position].bind(py).to_string();
            let field = printable(&field);
            if core.is_pickled(position, row)? {
                return Ok(format!("{field}=<pickled>"));
            }
            let cell = core.cell(py, position, row)?;
            Ok(format!("{field}={}", repr::short(repr::of(&cell)?)))
        })?;
        Ok(format!("{name}View({cells})"))
    })
}
