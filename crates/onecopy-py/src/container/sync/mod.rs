//! How do processes wait for one another?
//!
//! | file | question it answers |
//! |---|---|
//! | `queue` | what are `onecopy.Queue` and `LifoQueue`? |
//! | `lease` | what is an item that comes back if its consumer dies? |
//! | `lock` | what are `onecopy.Lock` and `RLock`? |
//! | `semaphore` | what are `onecopy.Semaphore` and `BoundedSemaphore`? |
//! | `event`, `condition`, `barrier` | what are these? |
//! | `patience` | what do `block` and `timeout` mean? |

mod barrier;
mod condition;
mod event;
mod lease;
mod lock;
mod patience;
mod queue;
mod semaphore;

use onecopy::shared::{self, Mutex, RawQueue, Reference};
use pyo3::IntoPyObjectExt as _;
use pyo3::prelude::*;

use crate::error::Error;

/// Adds the classes to the extension module.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<queue::Queue>()?;
    module.add_class::<queue::LifoQueue>()?;
    module.add_class::<lease::Lease>()?;
    module.add_class::<lock::Lock>()?;
    module.add_class::<lock::RLock>()?;
    module.add_class::<semaphore::Semaphore>()?;
    module.add_class::<semaphore::BoundedSemaphore>()?;
    module.add_class::<event::Event>()?;
    module.add_class::<condition::Condition>()?;
    module.add_class::<barrier::Barrier>()?;
    module.add_function(wrap_pyfunction!(queue::_attach_queue, module)?)?;
    module.add_function(wrap_pyfunction!(queue::_attach_lifo_queue, module)?)?;
    module.add_function(wrap_pyfunction!(lock::_attach_lock, module)?)?;
    module.add_function(wrap_pyfunction!(lock::_attach_rlock, module)?)?;
    module.add_function(wrap_pyfunction!(semaphore::_attach_semaphore, module)?)?;
    module.add_function(wrap_pyfunction!(semaphore::_attach_bounded, module)?)?;
    module.add_function(wrap_pyfunction!(event::_attach_event, module)?)?;
    module.add_function(wrap_pyfunction!(condition::_attach_condition, module)?)?;
    module.add_function(wrap_pyfunction!(barrier::_attach_barrier, module)?)?;
    Ok(())
}

/// The reference to what an object of these classes stands for.
pub(super) fn reference_of(object: &Bound<'_, PyAny>) -> Option<Reference> {
    if let Ok(queue) = object.cast::<queue::Queue>() {
        return Some(queue.get().raw.reference());
    }
    if let Some(mutex) = lock::mutex_of(object) {
        return Some(mutex.reference());
    }
    if let Ok(semaphore) = object.cast::<semaphore::Semaphore>() {
        return Some(semaphore.get().raw.reference());
    }
    if let Ok(semaphore) = object.cast::<semaphore::BoundedSemaphore>() {
        return Some(semaphore.get().raw.reference());
    }
    if let Ok(condition) = object.cast::<condition::Condition>() {
        return Some(condition.get().raw.reference());
    }
    if let Ok(barrier) = object.cast::<barrier::Barrier>() {
        return Some(barrier.get().raw.reference());
    }
    let event = object.cast::<event::Event>().ok()?;
    Some(event.get().raw.reference())
}

/// Before others can come by an object: what belongs to it lies beside it.
pub(super) fn complete(object: &Bound<'_, PyAny>) -> PyResult<()> {
    match object.cast::<barrier::Barrier>() {
        Ok(barrier) => barrier.get().describe(object.py()),
        Err(_) => Ok(()),
    }
}

/// A new object that stands for what is referred to.
pub(super) fn object_of<'py>(
    py: Python<'py>,
    reference: &Reference,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    if let Some(raw) = RawQueue::of_reference(reference).map_err(Error::from)? {
        return queue::object(py, raw).map(Some);
    }
    if let Some(raw) = Mutex::of_reference(reference).map_err(Error::from)? {
        return lock::object(py, raw).map(Some);
    }
    if let Some(raw) = shared::Semaphore::of_reference(reference).map_err(Error::from)? {
        return semaphore::object(py, raw).map(Some);
    }
    if let Some(raw) = shared::Condition::of_reference(reference).map_err(Error::from)? {
        let condition = condition::Condition::of(raw)?;
        return condition.into_bound_py_any(py).map(Some);
    }
    if let Some(raw) = shared::Barrier::of_reference(reference).map_err(Error::from)? {
        return barrier::Barrier::of(raw).into_bound_py_any(py).map(Some);
    }
    let event = shared::Event::of_reference(reference).map_err(Error::from)?;
    event
        .map(|raw| event::Event { raw }.into_bound_py_any(py))
        .transpose()
}
