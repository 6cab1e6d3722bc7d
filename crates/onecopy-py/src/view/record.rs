//! `RecordView`: rows that were instances of a class.
//!
//! A view's type is a class of its own for each class of instances: derived from `RecordView` and from that class, and made
//! by `python/onecopy/_records.py`. So `isinstance` is true, and methods, properties and operators are the class's own and
//! find the view as `self`. Where a real instance has its attributes, a view has two slots (`rows`), and reads the fields where
//! they lie: `view.name` compares the address of the name with those of the table's names, which are interned as the names in
//! code are. Everything else goes the ordinary way.

#![allow(unsafe_code, reason = "slots are functions over raw objects")]

use std::hash::{DefaultHasher, Hash, Hasher};

use onecopy::printable;
use pyo3::exceptions::{PyAttributeError, PyTypeError};
use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple, PyType};

use super::methods::view_methods;
use super::record_class::{is_registered, register};
use super::rows::{self, Rows};
use super::table_core::{ReducedRow, RowPlace, reduce_row};
use crate::cpython::{members, slot, unicode};

/// Looks whether instances of a new class of views end with the two slots, takes the slots' names away, so that nobody
/// else writes to them, and puts the fast slot in. Keeps the class for ever.
#[pyfunction(name = "_register_record_class")]
pub(super) fn register_record_class(class: &Bound<'_, PyType>) -> PyResult<()> {
    let py = class.py();
    if !class.is_subclass_of::<RecordView>()? || is_registered(class) {
        return Err(PyTypeError::new_err(
            "a new class of record views was expected",
        ));
    }
    let all = class.getattr("__dict__")?;
    // SAFETY: the class of a `Bound` is live; attached, as it shows.
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
    // SAFETY: the class of a `Bound` is live; it has just been made, and `__init_subclass__` keeps others from deriving from
    // it. Nothing has made instances: its `__new__` gives real ones. Attached, as `class` shows.
    unsafe { members::without_attributes(class.as_type_ptr()) };
    install(class);
    register(class);
    Ok(())
}

/// What a view shows, if it is a view of a record: its rows, and the row.
fn parts<'a>(object: &'a Bound<'_, PyAny>) -> Option<(&'a Rows, usize)> {
    if !object.is_instance_of::<RecordView>() || !is_registered(&object.get_type()) {
        return None;
    }
    // SAFETY: a live instance of a class that was found to end with the slots; attached, as `object` shows, which lives as
    // long as the reference.
    unsafe { rows::parts(object.as_ptr()) }
}

/// The row that an object shows, if it is a view of a record.
pub(super) fn of<'a>(object: &'a Bound<'_, PyAny>) -> Option<RowPlace<'a>> {
    let (rows, row) = parts(object)?;
    Some((&rows.image, &rows.core, row))
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
        rows::text(slf.py(), (&rows.image, &rows.core, row))
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
fn attribute<'py>(
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
    let found = unsafe { ffi::PyObject_GenericGetAttr(view.as_ptr(), name.as_ptr()) };
    // SAFETY: a new reference, or null with an exception set.
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

/// `view.name`.
unsafe extern "C" fn getattro(object: *mut PyObject, name: *mut PyObject) -> *mut PyObject {
    // SAFETY: `install` puts this slot into registered classes alone, and no others inherit it: they get what `PyO3` made
    // for `RecordView`. The interpreter calls it attached, with an instance that it holds during the call.
    if let Some((rows, row)) = unsafe { rows::parts(object) } {
        let found = rows
            .class
            .direct
            .iter()
            .position(|&known| known == name.addr());
        let table = &rows.core.table;
        if let Some(position) = found
            && !table.has_shapes()
            && row < table.rows
            && let Some(column) = rows.core.columns.get(position)
        {
            // SAFETY: `get` is the getter that `codec::of` gave with the parts; they hold, as `rows` keep the image (P1 to
            // P4). `row` is below the number of rows, and `Table::column` gives columns of as many cells. Slots run attached.
            return unsafe { (column.get)(&column.parts, row) };
        }
        // SAFETY: attributes are asked for by strs alone: `PyObject_GetAttr` sees to it.
        if found.is_none() && unsafe { unicode::is_interned(name) } {
            // SAFETY: live objects that the interpreter holds during the call; attached.
            let found = unsafe { ffi::PyObject_GenericGetAttr(object, name) };
            // SAFETY: a live str, as above; attached.
            let is_get =
                unsafe { ffi::PyUnicode_CompareWithASCIIString(name, c"get".as_ptr()) } == 0;
            if !found.is_null() || !is_get {
                return found;
            }
            // Asked for once more, for an error with the way out.
            // SAFETY: attached.
            unsafe { ffi::PyErr_Clear() };
        }
    }
    let work = |py: Python<'_>| {
        // SAFETY: a live object, which the interpreter holds during the call.
        let view = unsafe { Bound::from_borrowed_ptr(py, object) };
        // SAFETY: likewise.
        let name = unsafe { Bound::from_borrowed_ptr(py, name) };
        attribute(&view, &name).map(Bound::into_ptr)
    };
    // SAFETY: slots run attached; `into_ptr` gives the reference that the work made, else an error.
    unsafe { slot::enter(work) }
}

/// Lets views go without a detour through `PyO3`: there is nothing in a `RecordView` to be dropped. Called once, when the
/// module is made, before any instance exists.
pub(super) fn install_dealloc(py: Python<'_>) {
    let class = py.get_type::<RecordView>().as_type_ptr();
    // SAFETY: a field of a type that lives for ever; no instance exists yet, and the thread is attached, as `py` shows.
    unsafe { (*class).tp_dealloc = Some(members::dealloc) };
}

/// Puts the slot into a class of views that has no `__getattr__` of its own. If somebody gives it one later, the interpreter
/// puts its own into this place, which calls `RecordView.__getattribute__`: the same more slowly.
fn install(class: &Bound<'_, PyType>) {
    let record = class.py().get_type::<RecordView>().as_type_ptr();
    let class = class.as_type_ptr();
    // SAFETY: a field of a live class; attached, so nobody changes it meanwhile.
    let general = unsafe { (*record).tp_getattro };
    // SAFETY: a field of a live class; attached, so nobody changes it meanwhile.
    let ours = unsafe { &mut (*class).tp_getattro };
    if ours.map(|slot| slot as usize) == general.map(|slot| slot as usize) {
        *ours = Some(getattro);
        // SAFETY: a live class; attached. The interpreter forgets what it remembers of it.
        unsafe { ffi::PyType_Modified(class) };
    }
}

/// Whether instances of a class with so many slots have a dict; `None` if they are more than slots and a dict.
#[pyfunction(name = "_record_layout")]
pub(super) fn record_layout(
    class: &Bound<'_, PyType>,
    slot_count: usize,
) -> PyResult<Option<bool>> {
    members::plain_layout(class, slot_count)
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
        None => Err(PyAttributeError::new_err(printable(
            &name.to_string_lossy(),
        ))),
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

/// A hashable object for the row that a record view shows, which refers to nothing: no key of anybody's equals it.
pub(super) fn place<'py>(
    view: &Bound<'py, PyAny>,
) -> Option<(Bound<'py, PyType>, (usize, u64, usize))> {
    let (rows, row) = parts(view)?;
    Some((view.py().get_type::<RecordView>(), identity(rows, row)))
}

/// What tells a row from all others in this process: the bytes of an image of the store lie at one place.
fn identity(rows: &Rows, row: usize) -> (usize, u64, usize) {
    (
        rows.image.get().bytes().as_ptr().addr(),
        rows.core.node,
        row,
    )
}
