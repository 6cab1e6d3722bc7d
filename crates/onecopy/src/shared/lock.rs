//! A container's lock: writers take it, and readers that were disturbed too often.
//!
//! The word (`lock_word.rs`) names the thread as the store's lock does (store/lock.rs), and a holder's death is seen by its
//! life word.
//!
//! **Crash points.** A holder that dies before `armed` has changed nothing; after it, whoever takes the lock over does
//! the writes of the record again (change.rs), then counts the death.
//!
//! A thread may hold the lock over several operations (`user_lock`): its own operations then find the word naming it and
//! go on. `DEPTH` counts how often it was taken so.
#![forbid(unsafe_code)]

use std::sync::OnceLock;
use std::time::Duration;

use super::error::ContainerError;
use super::heap::Heap;
use super::layout::{ARMED, CHANGES, DEATHS, DEPTH, LOCK, PIN, SEQ, SLEEPERS};
use super::lock_word::{LockWord, Waited, swap};
use crate::primitive::Ordering;
use crate::store::Container;

/// How long an operation waits for a living holder.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Runs a sleep; an interpreter gives its own lock away meanwhile. `false` ends the wait.
pub type SleepHook = fn(&mut dyn FnMut()) -> bool;

static SLEEP: OnceLock<SleepHook> = OnceLock::new();

/// Sets what is called around each sleep on a container's lock. The first call counts; `false` says that it was not.
pub fn set_sleep_hook(hook: SleepHook) -> bool {
    SLEEP.set(hook).is_ok()
}

/// The writers' lock of a container, taken and given back by hand. It keeps the container alive.
#[derive(Debug, Clone)]
pub struct WriterLock(Heap);

impl WriterLock {
    pub(super) fn of(heap: &Heap) -> Self {
        Self(heap.clone())
    }

    pub(super) fn container(&self) -> &Container {
        &self.0.container
    }

    /// Keeps all other threads and processes from changing the container until it is released; readers go on. The
    /// thread that has the lock may change it, and take the lock again. Waits for ten seconds unless `patience` says
    /// otherwise.
    ///
    /// # Errors
    /// [`ContainerError::LockTimeout`].
    pub fn hold(&self, patience: Option<Duration>) -> Result<(), ContainerError> {
        self.0.user_lock(patience.unwrap_or(PATIENCE))
    }

    /// Gives back what [`Self::hold`] took.
    ///
    /// # Errors
    /// [`ContainerError::NotHeld`] in a thread, or a fork child, without it.
    pub fn release(&self) -> Result<(), ContainerError> {
        self.0.user_unlock()
    }

    /// Whether the calling thread has the lock.
    ///
    /// # Errors
    /// The store cannot be used.
    pub fn is_held_here(&self) -> Result<bool, ContainerError> {
        self.0.is_locked_by_me()
    }

    /// Whether a thread of some process has the lock, as of a moment ago.
    ///
    /// # Errors
    /// The store cannot be used.
    pub fn is_held(&self) -> Result<bool, ContainerError> {
        self.0.is_locked()
    }

    /// How many holders of the lock have died in it.
    ///
    /// # Errors
    /// The store cannot be used.
    pub fn deaths(&self) -> Result<u64, ContainerError> {
        self.0.deaths()
    }
}

/// Proof that this thread has the container's lock. All changes begin with it.
#[derive(Debug)]
pub(crate) struct Locked<'a> {
    pub(crate) heap: &'a Heap,
    /// What dropping gives back: nothing if the thread has it for longer than this operation. No flag, since with a byte in
    /// it the value is copied by a word that waits for the byte: 4 ns.
    own: Option<&'a Heap>,
    /// The log of a reader that has pinned the container; 0 for none (past.rs).
    pub(super) pin: u64,
}

/// Runs a sleep as the hook wants it; `false` ends the wait.
pub(super) fn sleep(nap: &mut dyn FnMut()) -> bool {
    if let Some(hook) = SLEEP.get() {
        return hook(nap);
    }
    nap();
    true
}

impl<'a> Locked<'a> {
    /// What a thread that has the lock does; dropping it gives nothing back.
    pub(crate) fn of_holder(heap: &'a Heap) -> Self {
        Self {
            heap,
            own: None,
            pin: heap.top.relaxed(PIN),
        }
    }
}

impl Heap {
    #[inline(always)]
    fn lock_word(&self) -> LockWord<'_> {
        LockWord {
            word: self.top.half(LOCK),
            sleepers: self.top.half(SLEEPERS),
        }
    }

    /// Takes the lock for one operation.
    #[inline(always)]
    pub(crate) fn lock(&self) -> Result<Locked<'_>, ContainerError> {
        let me = self.container.thread()?;
        let taken = swap(self.top.half(LOCK), 0, me);
        crate::testing::container_stored();
        // A record that is armed though the lock was given back in order is damage, or what a failed commit left.
        if taken && self.top.relaxed(ARMED) | self.top.relaxed(PIN) == 0 {
            return Ok(Locked {
                heap: self,
                own: Some(self),
                pin: 0,
            });
        }
        self.lock_slowly(me, taken, PATIENCE)
    }

    /// The same where it is free, with nothing to finish and nobody to write down for; `None` otherwise. What is made of
    /// constants is kept in registers: an operation that has a quick way begins with this, and its other way with [`Heap::lock`].
    #[inline(always)]
    pub(crate) fn try_lock(&self) -> Option<Locked<'_>> {
        let me = self.container.thread().ok()?;
        let taken = swap(self.top.half(LOCK), 0, me);
        crate::testing::container_stored();
        if !taken {
            return None;
        }
        let locked = Locked {
            heap: self,
            own: Some(self),
            pin: 0,
        };
        let is_idle = self.top.relaxed(ARMED) | self.top.relaxed(PIN) == 0;
        is_idle.then_some(locked)
    }

    /// The same as [`Heap::lock`], with another patience.
    pub(super) fn lock_within(&self, patience: Duration) -> Result<Locked<'_>, ContainerError> {
        let me = self.container.thread()?;
        let taken = swap(self.top.half(LOCK), 0, me);
        crate::testing::container_stored();
        self.lock_slowly(me, taken, patience)
    }

    #[cold]
    #[inline(never)]
    fn lock_slowly(
        &self,
        me: u32,
        taken: bool,
        patience: Duration,
    ) -> Result<Locked<'_>, ContainerError> {
        if !taken && self.lock_word().owner() == me {
            let pin = self.living_pin();
            // As in `lock`: a commit that failed in the middle is finished before the next begins.
            if self.top.relaxed(ARMED) != 0 {
                self.recover(pin, false)?;
            }
            return Ok(Locked {
                heap: self,
                own: None,
                pin,
            });
        }
        let is_from_the_dead = !taken && self.wait(me, patience)?;
        let mut locked = Locked {
            heap: self,
            own: Some(self),
            pin: 0,
        };
        locked.pin = self.living_pin();
        if is_from_the_dead || self.top.relaxed(ARMED) != 0 {
            self.recover(locked.pin, is_from_the_dead)?;
        }
        Ok(locked)
    }

    /// Waits for the lock; whether it was taken from a dead holder.
    fn wait(&self, me: u32, patience: Duration) -> Result<bool, ContainerError> {
        let patience = crate::testing::patience(patience);
        let is_dead = |owner| self.container.is_absent(owner);
        match self.lock_word().wait(me, patience, is_dead, sleep) {
            Waited::Taken { is_from_the_dead } => Ok(is_from_the_dead),
            Waited::Interrupted => Err(ContainerError::Interrupted),
            Waited::TimedOut { owner, waited } => Err(self.timeout(owner, waited, patience)),
        }
    }

    fn timeout(&self, owner: u32, waited: Duration, patience: Duration) -> ContainerError {
        let pid = self.container.pid_of(owner);
        let state = crate::sys::procfs::state(pid).unwrap_or('?');
        ContainerError::LockTimeout {
            container: self.container.id(),
            waited_s: waited.as_millis() as f64 / 1000.0,
            pid,
            holder: crate::error::holder(pid, state, !patience.is_zero()),
        }
    }

    #[inline(always)]
    fn give_back(&self) {
        self.lock_word().give_back();
    }

    /// Does what a dead holder committed, and gives back the chunks that it was about to give back.
    #[cold]
    fn recover(&self, pin: u64, counts: bool) -> Result<(), ContainerError> {
        self.replay(pin)?;
        if counts {
            self.top.store(DEPTH, 0);
            let deaths = self.top.relaxed(DEATHS);
            self.top.store(DEATHS, deaths.wrapping_add(1));
            self.give_back_old_chunks()?;
        }
        // What cannot be settled now stays so until the next change of references.
        let _ = self.settle_references();
        Ok(())
    }

    /// Takes the lock until [`Heap::user_unlock`], also over several operations. A thread may take it several times.
    ///
    /// # Errors
    /// [`ContainerError::LockTimeout`] after `patience`. [`ContainerError::InOperation`] in what an operation of this
    /// thread calls.
    pub(crate) fn user_lock(&self, patience: Duration) -> Result<(), ContainerError> {
        let locked = self.lock_within(patience)?;
        let depth = self.top.relaxed(DEPTH);
        if locked.own.is_none() && depth == 0 {
            // An operation of this thread has it: giving back what is taken here would give back that one's.
            return Err(ContainerError::InOperation);
        }
        self.top.store(DEPTH, depth.wrapping_add(1));
        std::mem::forget(locked);
        Ok(())
    }

    /// Gives back what [`Heap::user_lock`] took.
    ///
    /// # Errors
    /// [`ContainerError::NotHeld`] in a thread, or a fork child, that does not have it.
    pub(crate) fn user_unlock(&self) -> Result<(), ContainerError> {
        if !self.is_locked_by_me()? {
            return Err(ContainerError::NotHeld);
        }
        let depth = self.top.relaxed(DEPTH);
        if depth == 0 {
            return Err(ContainerError::NotHeld);
        }
        self.top.store(DEPTH, depth - 1);
        if depth == 1 {
            self.give_back();
        }
        Ok(())
    }

    /// Whether the calling thread has the lock.
    pub(crate) fn is_locked_by_me(&self) -> Result<bool, ContainerError> {
        Ok(self.lock_word().owner() == self.container.thread()?)
    }

    /// Whether some thread has the lock, as of a moment ago.
    pub(crate) fn is_locked(&self) -> Result<bool, ContainerError> {
        self.container.check_held()?;
        Ok(self.lock_word().owner() != 0)
    }

    /// Finishes what a dead holder of the lock has begun. Whoever waits until a word changes, and does not take the lock to
    /// look at it, calls this after each sleep: the word may be in the record of somebody who has died.
    ///
    /// # Errors
    /// The lock is not to be had.
    pub(super) fn finish_for_the_dead(&self) -> Result<(), ContainerError> {
        // Acquire: I1 of lock_word.rs.
        let owner = self.top.half(LOCK).load(Ordering::Acquire);
        if owner != 0 && self.container.is_absent(owner) {
            drop(self.lock()?);
        }
        Ok(())
    }

    /// Holders of the lock that have died in it.
    pub(crate) fn deaths(&self) -> Result<u64, ContainerError> {
        self.container.check_held()?;
        Ok(self.top.relaxed(DEATHS))
    }
}

impl Locked<'_> {
    /// `seq` and `changes`, both even.
    pub(super) fn counters(&self) -> [u64; 2] {
        [SEQ, CHANGES].map(|at| self.heap.top.relaxed(at))
    }
}

impl Drop for Locked<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        if let Some(heap) = self.own {
            heap.give_back();
        }
    }
}
