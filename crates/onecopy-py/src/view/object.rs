//! `ObjectView`: an object that was shared whole, as a pickle and its buffers.
//!
//! It stands for its object: attributes, operators, calls and `isinstance` go through to the object that is built once per
//! view. The view itself answers for what keeps it a view: [`OWN`], its class for `type()`, and refusing to be written to.
#![allow(
    unsafe_code,
    reason = "an attribute of the view itself is found as the interpreter finds it"
)]
#![allow(
    clippy::unused_self,
    reason = "methods that refuse do so whatever they are called on"
)]

use std::sync::OnceLock;

use onecopy::printable;
use pyo3::basic::CompareOp;
use pyo3::exceptions::{PyAttributeError, PyException, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{
    PyBytes, PyComplex, PyDict, PyFloat, PyInt, PyIterator, PyList, PyString, PyTuple,
};

use super::methods::view_methods;
use super::reduce::{Reduced, reduce};
use crate::image::{Image, rebuilt};

/// Attributes that are the view's, whatever its object has of that name.
const OWN: &[&str] = &[
    "get",
    "nbytes",
    "__copy__",
    "__deepcopy__",
    "__reduce__",
    "__reduce_ex__",
    "__getstate__",
    "__dask_tokenize__",
    "__setattr__",
    "__delattr__",
    "__setitem__",
    "__delitem__",
    "__repr__",
    "__dir__",
    "__getattribute__",
];

/// Containers in arguments of NumPy's functions that are looked into.
const DEPTH: usize = 16;

/// A shared object of a type that images do not know. It does what its object does: attributes, items, operators, calls
/// and `isinstance` go through to the object, which is built once per view, its buffers read-only memory of the image.
/// `get()` gives it.
///
/// Example:
///     >>> import onecopy, datetime
///     >>> view = onecopy.share(datetime.date(2026, 1, 2))
///     >>> view.year, isinstance(view, datetime.date), view < datetime.date(2027, 1, 1)
///     (2026, True, True)
// Not final: type checkers would say that it can be no instance of another class, which it looks like.
#[pyclass(frozen, weakref, subclass, module = "onecopy.views")]
pub(crate) struct ObjectView {
    image: Py<Image>,
    node: u64,
    object: OnceLock<Py<PyAny>>,
}

/// A view of an object that can be called. A class of its own, as the interpreter asks the class whether that can be.
#[pyclass(frozen, extends = ObjectView, module = "onecopy.views")]
pub(crate) struct CallableView;

#[pymethods]
impl CallableView {
    #[pyo3(signature = (*args, **kwargs))]
    fn __call__<'py>(
        slf: &Bound<'py, Self>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> Object<'py> {
        slf.as_super().get().object(slf.py())?.call(args, kwargs)
    }
}

/// The view that an object is, if it is one of these.
pub(super) fn of<'a>(object: &'a Bound<'_, PyAny>) -> Option<&'a ObjectView> {
    object.cast::<ObjectView>().ok().map(Bound::get)
}

type Any<'py> = Bound<'py, PyAny>;
type Object<'py> = PyResult<Any<'py>>;

impl ObjectView {
    /// The view of an object.
    pub(crate) fn view<'py>(
        image: &Bound<'py, Image>,
        node: u64,
        callable: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let view = Self {
            image: image.clone().unbind(),
            node,
            object: OnceLock::new(),
        };
        if callable {
            let view = PyClassInitializer::from(view).add_subclass(CallableView);
            return Ok(Bound::new(image.py(), view)?.into_any());
        }
        Ok(Bound::new(image.py(), view)?.into_any())
    }

    /// The image and node that it shows.
    pub(crate) fn place(&self, py: Python<'_>) -> (Py<Image>, u64) {
        (self.image.clone_ref(py), self.node)
    }

    /// The object, built the first time.
    fn object<'a, 'py>(&'a self, py: Python<'py>) -> PyResult<&'a Bound<'py, PyAny>> {
        if let Some(object) = self.object.get() {
            return Ok(object.bind(py));
        }
        let object = rebuilt::object(self.image.bind(py), self.node)?.unbind();
        Ok(self.object.get_or_init(|| object).bind(py))
    }

    /// An `AttributeError` if pickles are refused, so that `hasattr` answers.
    fn can_be_asked(&self, py: Python<'_>, name: &str) -> PyResult<()> {
        if self.image.get().allows_pickle() {
            return Ok(());
        }
        let refusal = self.object(py).map(|_| ());
        refusal.map_err(|error| {
            let (name, why) = (printable(name), error.value(py));
            PyAttributeError::new_err(format!(
                "'ObjectView' object has no attribute '{name}': {why}"
            ))
        })
    }

    /// The object's attribute. Those by which numpy takes arrays do not always say all that the object is.
    fn attribute<'py>(&self, name: &Bound<'py, PyString>, text: &str) -> Object<'py> {
        let (py, object) = (name.py(), self.object(name.py())?);
        if matches!(
            text,
            "__array__" | "__array_interface__" | "__array_struct__"
        ) {
            let arrays = crate::cpython::module(py, "onecopy._numpy_views")?;
            return arrays.call_method1("attribute", (object, name));
        }
        object.getattr(name)
    }

    /// What a function of a module says of the object.
    fn asked<'py>(&self, py: Python<'py>, module: &'static str, function: &str) -> Object<'py> {
        let module = crate::cpython::module(py, module)?;
        module.call_method1(function, (self.object(py)?,))
    }
}

/// The object that a view stands for; anything else as it is.
fn plain<'py>(value: &Any<'py>) -> Object<'py> {
    match of(value) {
        Some(view) => view.object(value.py()).cloned(),
        None => Ok(value.clone()),
    }
}

/// The same for arguments of a function, and for what is in tuples and lists among them.
fn plain_argument<'py>(value: &Any<'py>, depth: usize) -> Object<'py> {
    let py = value.py();
    if depth > 0
        && let Ok(tuple) = value.cast_exact::<PyTuple>()
    {
        let parts = tuple.iter().map(|part| plain_argument(&part, depth - 1));
        return Ok(PyTuple::new(py, parts.collect::<PyResult<Vec<_>>>()?)?.into_any());
    }
    if depth > 0
        && let Ok(list) = value.cast_exact::<PyList>()
    {
        let parts = list.iter().map(|part| plain_argument(&part, depth - 1));
        return Ok(PyList::new(py, parts.collect::<PyResult<Vec<_>>>()?)?.into_any());
    }
    plain(value)
}

/// Calls a function of NumPy's again, with the objects in the place of views.
fn call_plainly<'py>(
    function: &Any<'py>,
    args: &Bound<'py, PyTuple>,
    kwargs: Option<&Bound<'py, PyDict>>,
) -> Object<'py> {
    let py = function.py();
    let args = plain_argument(args.as_any(), DEPTH)?.cast_into::<PyTuple>()?;
    let named = PyDict::new(py);
    for (name, value) in kwargs.into_iter().flatten() {
        named.set_item(name, plain_argument(&value, DEPTH)?)?;
    }
    function.call(args, Some(&named))
}

fn not_written(what: &str) -> PyErr {
    PyTypeError::new_err(format!(
        "'ObjectView' object {what}; view.get() gives the object itself, onecopy.to_python(view) one to be changed"
    ))
}

view_methods!(ObjectView generic {
    /// Returns the object. It is built the first time: one object per view and process, the same at each call, which keeps
    /// it in this process's memory, apart from its buffers, as long as the view lives. A method `get` of the object's own
    /// is `view.get().get`.
    fn get<'py>(&self, py: Python<'py>) -> Object<'py> {
        self.object(py).cloned()
    }

    /// Bytes of the image that it is a part of.
    #[getter]
    fn nbytes(&self) -> usize {
        self.image.get().bytes().len()
    }

    fn __getattribute__<'py>(slf: &Bound<'py, Self>, name: &Bound<'py, PyString>) -> Object<'py> {
        let py = slf.py();
        let text = name.to_str().unwrap_or_default();
        if OWN.contains(&text) {
            // SAFETY: a live object and a live str, which the interpreter holds during the call; attached, as `py` shows.
            let found = unsafe { ffi::PyObject_GenericGetAttr(slf.as_ptr(), name.as_ptr()) };
            // SAFETY: a new reference, or null with an exception set.
            return unsafe { Bound::from_owned_ptr_or_err(py, found) };
        }
        if text == "__class__" {
            return match slf.get().object(py) {
                Ok(object) => object.getattr(name),
                // Nobody can build it, and `isinstance` is asked by whoever shows an object.
                Err(error) if error.is_instance_of::<PyException>(py) => {
                    Ok(slf.get_type().into_any())
                }
                Err(error) => Err(error),
            };
        }
        slf.get().can_be_asked(py, text)?;
        slf.get().attribute(name, text)
    }

    // Asked after the above has raised AttributeError, which PyO3 forgets: the object says it once more.
    fn __getattr__<'py>(&self, name: &Bound<'py, PyString>) -> Object<'py> {
        let text = name.to_str().unwrap_or_default();
        self.can_be_asked(name.py(), text)?;
        self.attribute(name, text)
    }

    fn __dir__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let names = self.object(py)?.dir()?;
        names.append("get")?;
        names.append("nbytes")?;
        Ok(names)
    }

    fn __setitem__(&self, _key: &Any<'_>, _value: &Any<'_>) -> PyResult<()> {
        Err(not_written("does not support item assignment"))
    }

    fn __delitem__(&self, _key: &Any<'_>) -> PyResult<()> {
        Err(not_written("does not support item deletion"))
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("ObjectView({})", self.object(py)?.repr()?))
    }

    fn __str__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        self.object(py)?.str()
    }

    fn __format__<'py>(&self, spec: &Any<'py>) -> Object<'py> {
        self.object(spec.py())?.call_method1("__format__", (spec,))
    }

    fn __bytes__<'py>(&self, py: Python<'py>) -> Object<'py> {
        py.get_type::<PyBytes>().call1((self.object(py)?,))
    }

    fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
        self.object(py)?.hash()
    }

    fn __bool__(&self, py: Python<'_>) -> PyResult<bool> {
        self.object(py)?.is_truthy()
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        self.object(py)?.len()
    }

    fn __getitem__<'py>(&self, key: &Any<'py>) -> Object<'py> {
        self.object(key.py())?.get_item(plain(key)?)
    }

    fn __contains__(&self, value: &Any<'_>) -> PyResult<bool> {
        self.object(value.py())?.contains(value)
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        self.object(py)?.try_iter()
    }

    fn __reversed__<'py>(&self, py: Python<'py>) -> Object<'py> {
        self.asked(py, "builtins", "reversed")
    }

    fn __enter__<'py>(&self, py: Python<'py>) -> Object<'py> {
        self.object(py)?.call_method0("__enter__")
    }

    #[pyo3(signature = (*args))]
    fn __exit__<'py>(&self, args: &Bound<'py, PyTuple>) -> Object<'py> {
        self.object(args.py())?.call_method1("__exit__", args)
    }

    fn __richcmp__<'py>(&self, other: &Any<'py>, op: CompareOp) -> Object<'py> {
        self.object(other.py())?.rich_compare(plain(other)?, op)
    }

    fn __neg__<'py>(&self, py: Python<'py>) -> Object<'py> {
        self.object(py)?.neg()
    }

    fn __pos__<'py>(&self, py: Python<'py>) -> Object<'py> {
        self.object(py)?.pos()
    }

    fn __abs__<'py>(&self, py: Python<'py>) -> Object<'py> {
        self.object(py)?.abs()
    }

    fn __invert__<'py>(&self, py: Python<'py>) -> Object<'py> {
        self.object(py)?.bitnot()
    }

    fn __int__<'py>(&self, py: Python<'py>) -> Object<'py> {
        py.get_type::<PyInt>().call1((self.object(py)?,))
    }

    fn __float__<'py>(&self, py: Python<'py>) -> Object<'py> {
        py.get_type::<PyFloat>().call1((self.object(py)?,))
    }

    fn __complex__<'py>(&self, py: Python<'py>) -> Object<'py> {
        py.get_type::<PyComplex>().call1((self.object(py)?,))
    }

    fn __index__<'py>(&self, py: Python<'py>) -> Object<'py> {
        self.asked(py, "operator", "index")
    }

    #[pyo3(signature = (*args))]
    fn __round__<'py>(&self, args: &Bound<'py, PyTuple>) -> Object<'py> {
        self.object(args.py())?.call_method1("__round__", args)
    }

    fn __trunc__<'py>(&self, py: Python<'py>) -> Object<'py> {
        self.asked(py, "math", "trunc")
    }

    fn __floor__<'py>(&self, py: Python<'py>) -> Object<'py> {
        self.asked(py, "math", "floor")
    }

    fn __ceil__<'py>(&self, py: Python<'py>) -> Object<'py> {
        self.asked(py, "math", "ceil")
    }

    fn __add__<'py>(&self, other: &Any<'py>) -> Object<'py> {
        self.object(other.py())?.add(plain(other)?)
    }

    fn __radd__<'py>(&self, other: &Any<'py>) -> Object<'py> {
        plain(other)?.add(self.object(other.py())?)
    }

    fn __sub__<'py>(&self, other: &Any<'py>) -> Object<'py> {
        self.object(other.py())?.sub(plain(other)?)
    }

    fn __rsub__<'py>(&self, other: &Any<'py>) -> Object<'py> {
        plain(other)?.sub(self.object(other.py())?)
    }

    fn __mul__<'py>(&self, other: &Any<'py>) -> Object<'py> {
        self.object(other.py())?.mul(plain(other)?)
    }

    fn __rmul__<'py>(&self, other: &Any<'py>) -> Object<'py> {
        plain(other)?.mul(self.object(other.py())?)
    }

    fn __matmul__<'py>(&self, other: &Any<'py>) -> Object<'py> {
        self.object(other.py())?.matmul(plain(other)?)
    }

    fn __rmatmul__<'py>(&self, other: &Any<'py>) -> Object<'py> {
        plain(other)?.matmul(self.object(other.py())?)
    }

    fn __truediv__<'py>(&self, other: &Any<'py>) -> Object<'py> {
        self.object(other.py())?.div(plain(other)?)
    }

    fn __rtruediv__<'py>(&self, other: &Any<'py>) -> Object<'py> {
        plain(other)?.div(self.object(other.py())?)
    }

    fn __floordiv__<'py>(&self, other: &Any<'py>) -> Object<'py> {
        self.object(other.py())?.floor_div(plain(other)?)
    }

    fn __rfloordiv__<'py>(&self, other: &Any<'py>) -> Object<'py> {
        plain(other)?.floor_div(self.object(other.py())?)
    }

    fn __mod__<'py>(&self, other: &Any<'py>) -> Object<'py> {
        self.object(other.py())?.rem(plain(other)?)
    }

    fn __rmod__<'py>(&self, other: &Any<'py>) -> Object<'py> {
        plain(other)?.rem(self.object(other.py())?)
    }

    fn __divmod__<'py>(&self, other: &Any<'py>) -> Object<'py> {
        self.object(other.py())?.divmod(plain(other)?)
    }

    fn __rdivmod__<'py>(&self, other: &Any<'py>) -> Object<'py> {
        plain(other)?.divmod(self.object(other.py())?)
    }

    fn __lshift__<'py>(&self, other: &Any<'py>) -> Object<'py> {
        self.object(other.py())?.lshift(plain(other)?)
    }

    fn __rlshift__<'py>(&self, other: &Any<'py>) -> Object<'py> {
        plain(other)?.lshift(self.object(other.py())?)
    }

    fn __rshift__<'py>(&self, other: &Any<'py>) -> Object<'py> {
        self.object(other.py())?.rshift(plain(other)?)
    }

    fn __rrshift__<'py>(&self, other: &Any<'py>) -> Object<'py> {
        plain(other)?.rshift(self.object(other.py())?)
    }

    fn __and__<'py>(&self, other: &Any<'py>) -> Object<'py> {
        self.object(other.py())?.bitand(plain(other)?)
    }

    fn __rand__<'py>(&self, other: &Any<'py>) -> Object<'py> {
        plain(other)?.bitand(self.object(other.py())?)
    }

    fn __xor__<'py>(&self, other: &Any<'py>) -> Object<'py> {
        self.object(other.py())?.bitxor(plain(other)?)
    }

    fn __rxor__<'py>(&self, other: &Any<'py>) -> Object<'py> {
        plain(other)?.bitxor(self.object(other.py())?)
    }

    fn __or__<'py>(&self, other: &Any<'py>) -> Object<'py> {
        self.object(other.py())?.bitor(plain(other)?)
    }

    fn __ror__<'py>(&self, other: &Any<'py>) -> Object<'py> {
        plain(other)?.bitor(self.object(other.py())?)
    }

    fn __pow__<'py>(&self, other: &Any<'py>, modulo: &Any<'py>) -> Object<'py> {
        self.object(other.py())?.pow(plain(other)?, modulo)
    }

    fn __rpow__<'py>(&self, other: &Any<'py>, modulo: &Any<'py>) -> Object<'py> {
        plain(other)?.pow(self.object(other.py())?, modulo)
    }

    #[pyo3(signature = (ufunc, method, *args, **kwargs))]
    fn __array_ufunc__<'py>(
        &self,
        ufunc: &Any<'py>,
        method: &Bound<'py, PyString>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> Object<'py> {
        let arrays = crate::cpython::module(args.py(), "onecopy._numpy_views")?;
        arrays.call_method1("check_operands", (self.object(args.py())?, args))?;
        call_plainly(&ufunc.getattr(method)?, args, kwargs)
    }

    fn __array_function__<'py>(
        &self,
        function: &Any<'py>,
        _types: &Any<'py>,
        args: &Bound<'py, PyTuple>,
        kwargs: &Bound<'py, PyDict>,
    ) -> Object<'py> {
        call_plainly(function, args, Some(kwargs))
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        reduce(py, &self.image, self.node)
    }
});
