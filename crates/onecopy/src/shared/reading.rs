//! Reads until one was not disturbed: of a point, of much, and of a whole container.
//!
//! A reader that was disturbed tries again, then reads past the writer, by its record, and takes the lock in the end. A
//! reader of the whole container looks at the past before that.
#![forbid(unsafe_code)]

use super::error::{ContainerError, Retry};
use super::heap::Heap;
use super::look::Look;
use crate::primitive::{AtomicU64, Ordering};

/// Tries before a look is taken at the intent record, and before the lock is taken.
const TRIES: u32 = 64;
/// Tries of a long read before it takes the lock.
const LONG_TRIES: u32 = 3;
/// How often the reader of a whole container pins it before it takes the lock.
const PINS: u32 = 2;
/// See [`retries`].
static RETRIES: AtomicU64 = AtomicU64::new(0);

/// How often this process has begun a read of a container anew, because a writer had disturbed it.
#[must_use]
pub fn retries() -> u64 {
    // Relaxed: a sum, nothing is ordered by it.
    RETRIES.load(Ordering::Relaxed)
}

#[cold]
#[inline(never)]
fn count_retry() {
    // Relaxed: as in `retries`.
    RETRIES.fetch_add(1, Ordering::Relaxed);
}

impl Heap {
    /// A point read: `read` may be called several times, and what its last call gave counts. It does not ask for the moment.
    ///
    /// # Errors
    /// The container is damaged, or the lock that a much disturbed reader takes is not to be had.
    #[inline(always)]
    pub(crate) fn read<T>(
        &self,
        mut read: impl FnMut(&Look<'_>) -> Result<T, Retry>,
    ) -> Result<T, ContainerError> {
        if let Some(look) = self.point_look()
            && let Ok(result) = read(&look)
        {
            return Ok(result);
        }
        self.read_again(&mut read)
    }

    /// The same after a first try that was disturbed.
    #[cold]
    #[inline(never)]
    pub(crate) fn read_again<T>(
        &self,
        read: &mut dyn FnMut(&Look<'_>) -> Result<T, Retry>,
    ) -> Result<T, ContainerError> {
        for tried in 0..TRIES {
            count_retry();
            if let Some(look) = self.point_look() {
                if let Ok(result) = read(&look) {
                    return Ok(result);
                }
            } else if tried > 2 {
                std::hint::spin_loop();
            }
        }
        // The writer was put off its processor, stopped or killed between its commit and its last write.
        for _ in 0..TRIES {
            count_retry();
            if let Some(result) = self.read_past_writer(read) {
                return Ok(result);
            }
        }
        self.read_locked(read)
    }

    /// Reads past a writer.
    fn read_past_writer<T>(
        &self,
        read: &mut dyn FnMut(&Look<'_>) -> Result<T, Retry>,
    ) -> Option<T> {
        self.look_past_writer()?.read(read).ok()
    }

    /// Reads under the lock: there `Retry` means damage.
    fn read_locked<T>(
        &self,
        read: &mut dyn FnMut(&Look<'_>) -> Result<T, Retry>,
    ) -> Result<T, ContainerError> {
        let locked = self.lock()?;
        let result = read(&Look::locked(self));
        drop(locked);
        result.map_err(|Retry| self.corrupt(0, "a container that leads nowhere").into())
    }

    /// A read of many words that have to be of one moment: a few tries, then the lock. `read` looks at
    /// [`Look::is_current`] from time to time, so that a try that has failed ends early.
    ///
    /// # Errors
    /// As in [`Heap::read`].
    pub(crate) fn read_long<T>(
        &self,
        mut read: impl FnMut(&Look<'_>) -> Result<T, Retry>,
    ) -> Result<T, ContainerError> {
        match self.read_beside(&mut read) {
            Some(result) => Ok(result),
            None => self.read_locked(&mut read),
        }
    }

    /// The same for a read of up to the whole container, which no writer waits for: a few tries, then the past.
    ///
    /// # Errors
    /// As in [`Heap::read`].
    pub(crate) fn read_whole<T>(
        &self,
        mut read: impl FnMut(&Look<'_>) -> Result<T, Retry>,
    ) -> Result<T, ContainerError> {
        if let Some(result) = self.read_beside(&mut read) {
            return Ok(result);
        }
        for _ in 0..PINS {
            let Some((past, counters)) = self.pin()? else {
                break;
            };
            let look = Look::of_the_past(&past, counters);
            if let Ok(result) = read(&look)
                && look.is_valid()
            {
                return Ok(result);
            }
            count_retry();
        }
        self.read_locked(&mut read)
    }

    /// A few tries of a long read, without the lock.
    fn read_beside<T>(&self, read: &mut dyn FnMut(&Look<'_>) -> Result<T, Retry>) -> Option<T> {
        for _ in 0..LONG_TRIES {
            if let Some(look) = self.look()
                && let Ok(result) = look.read(read)
                && look.is_current()
            {
                return Some(result);
            }
            count_retry();
        }
        self.read_past_writer(&mut |look: &Look<'_>| {
            let result = read(look)?;
            if look.is_current() {
                Ok(result)
            } else {
                Err(Retry)
            }
        })
    }
}
