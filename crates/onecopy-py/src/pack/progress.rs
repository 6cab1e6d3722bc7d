//! Tells a Python callable how far a long build has come, and lets Ctrl-C through meanwhile.
#![forbid(unsafe_code)]

use pyo3::prelude::*;

/// Steps between two looks at pending signals and two calls of the callable: a few milliseconds of work.
const EVERY: u64 = 1 << 16;

/// Counts steps of a build; a step is a value of any kind.
pub(crate) struct Reporter<'py> {
    callable: Option<Bound<'py, PyAny>>,
    phase: &'static str,
    total: u64,
    done: u64,
}

impl<'py> Reporter<'py> {
    /// A reporter for one phase of so many steps, 0 if nobody knows.
    pub(crate) fn new(
        callable: Option<&Bound<'py, PyAny>>,
        phase: &'static str,
        total: u64,
    ) -> Self {
        Self {
            callable: callable.filter(|callable| !callable.is_none()).cloned(),
            phase,
            total,
            done: 0,
        }
    }

    /// Steps so far.
    pub(crate) fn done(&self) -> u64 {
        self.done
    }

    /// Counts `count` steps; `true` if Python code has run, so that borrowed objects must be looked at again.
    #[inline]
    pub(crate) fn step(&mut self, py: Python<'py>, count: u64) -> PyResult<bool> {
        let before = self.done / EVERY;
        self.done = self.done.wrapping_add(count);
        if self.done / EVERY == before {
            return Ok(false);
        }
        self.report(py)?;
        Ok(true)
    }

    /// Lets signal handlers run and calls the callable.
    pub(crate) fn report(&self, py: Python<'py>) -> PyResult<()> {
        py.check_signals()?;
        if let Some(callable) = &self.callable {
            callable.call1((self.phase, self.done, self.total))?;
        }
        Ok(())
    }
}
