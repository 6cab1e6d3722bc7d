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

use pyo3::prelude::*;

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
