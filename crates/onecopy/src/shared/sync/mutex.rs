//! A lock of the user's, with or without being taken several times by one thread.
//!
//! ```text
//! root 0: 1 if one thread may take it several times     root 3: how often it has; of any other, its process
//! 256: the word: 0, or the thread that has it (u32)     260: somebody may sleep (u32)
//! 264: a thread that has waited long (u32)              216: holders that have died in it
//! ```
//! A lock that any thread may give back belongs to the process whose thread took it: it stays taken when that thread ends.
//! A recursive one is its thread's own, and is lost with it.
//!
//! Whoever gives the lock back may take it again before a sleeper has woken. So that nobody starves, a waiter that has slept
//! several times in vain writes its name beside the word, and others stand back for it a while. The lock is never given to
//! anybody: it is taken, so that a wait which ends in another way leaves nothing behind but a name to be taken off.
//!
//! **Crash points.** The word names whoever has the lock; a dead one's is taken over (store/lock.rs says how a death is
//! seen). The process is written after the word and cleared before it: where it is missing beside the name of a thread that
//! has ended, nothing was done under the lock yet, or any more. The name of a starving waiter that has died is taken off by the next who stands back for it.
#![forbid(unsafe_code)]

use std::time::Duration;

use super::super::error::ContainerError;
use super::super::heap::Heap;
use super::super::layout::{BARE_BYTES, DEATHS, ROOT0, ROOT3};
use super::super::lock::sleep;
use super::super::lock_word::swap;
use super::super::reference::Reference;
use super::bell::ALL;
use super::deadline::{Deadline, Next};
use super::stored::{self, Stored, kinds};
use crate::primitive::{AtomicU32, Ordering};
use crate::store::{Container, Store, Token};
use crate::sys::futex;

const IS_RECURSIVE: u64 = ROOT0;
const DEPTH: u64 = ROOT3;
/// The same word of a lock that is not recursive.
const PROCESS: u64 = ROOT3;
const WORD: u64 = 256;
const SLEEPERS: u64 = 260;
const STARVING: u64 = 264;
/// Sleeps in vain after which others are to stand back for a waiter.
const PATIENT: u32 = 3;
/// How often others stand back, and for how long: a waiter that was woken is there by then.
const COURTESY: u32 = 20;
/// See [`COURTESY`].
const STEP_BACK: Duration = Duration::from_millis(1);
/// The longest sleep before a look at the holder.
const LONGEST_NAP: Duration = Duration::from_millis(20);

/// How a lock was got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Took {
    /// It was free.
    Free,
    /// Its holder has died: what it protects may be half changed.
    FromTheDead,
}

/// A lock that all processes see. Any thread of any process may give it back, unless it is recursive.
#[derive(Debug, Clone)]
pub struct Mutex {
    heap: Heap,
    is_recursive: bool,
}

stored::handed_over!(Mutex, "lock");

impl Stored for Mutex {
    const KIND: u8 = kinds::MUTEX;

    fn of(heap: Heap) -> Self {
        let is_recursive = heap.top.relaxed(IS_RECURSIVE) != 0;
        Self { heap, is_recursive }
    }

    fn heap(&self) -> &Heap {
        &self.heap
    }
}

impl Mutex {
    /// A new one that nobody has. `is_recursive`: the thread that has it may take it again, and it alone gives it back.
    ///
    /// # Errors
    /// No memory.
    pub fn create(store: &Store, is_recursive: bool) -> Result<Self, ContainerError> {
        let heap = Self::create_empty(store, BARE_BYTES)?.heap;
        heap.top.store(IS_RECURSIVE, u64::from(is_recursive));
        Ok(Self { heap, is_recursive })
    }

    #[inline(always)]
    fn word(&self) -> &AtomicU32 {
        self.heap.top.half(WORD)
    }

    fn sleepers(&self) -> &AtomicU32 {
        self.heap.top.half(SLEEPERS)
    }

    fn starving(&self) -> &AtomicU32 {
        self.heap.top.half(STARVING)
    }

    /// Takes the lock; `None` if it was not to be had in time.
    ///
    /// # Errors
    /// [`ContainerError::Interrupted`]; the store cannot be used.
    #[inline(always)]
    pub fn acquire(&self, patience: Option<Duration>) -> Result<Option<Took>, ContainerError> {
        let me = self.heap.container.thread()?;
        let mark = self.mark()?;
        if self.starving().load(Ordering::Relaxed) == 0 && swap(self.word(), 0, me) {
            crate::testing::container_stored();
            self.heap.top.store(ROOT3, mark);
            return Ok(Some(Took::Free));
        }
        self.acquire_slowly(me, patience)
    }

    #[cold]
    #[inline(never)]
    fn acquire_slowly(
        &self,
        me: u32,
        patience: Option<Duration>,
    ) -> Result<Option<Took>, ContainerError> {
        if self.is_recursive && self.owner() == me {
            self.set_depth(self.depth().wrapping_add(1));
            return Ok(Some(Took::Free));
        }
        let took = self.wait(me, patience)?;
        if took.is_some() {
            self.heap.top.store(ROOT3, self.mark()?);
        }
        if took == Some(Took::FromTheDead) {
            let deaths = self.heap.top.relaxed(DEATHS);
            self.heap.top.store(DEATHS, deaths.wrapping_add(1));
        }
        Ok(took)
    }

    fn wait(&self, me: u32, patience: Option<Duration>) -> Result<Option<Took>, ContainerError> {
        let mut deadline = Deadline::after(patience);
        let (mut naps, mut courtesy) = (0_u32, COURTESY);
        let waited = loop {
            // Acquire: the slot of the thread that it names is seen as that thread left it (store/lock.rs I1).
            let owner = self.word().load(Ordering::Acquire);
            let took = match self.how_to_be_had(owner) {
                Ok(took) => took,
                Err(error) => break Err(error),
            };
            let stands_back = took.is_some() && courtesy > 0 && self.is_wanted_by_another(me);
            if took.is_some() && !stands_back {
                if swap(self.word(), owner, me) {
                    crate::testing::container_stored();
                    // Others may sleep as well.
                    self.sleepers().store(1, Ordering::SeqCst);
                    break Ok(took);
                }
                continue;
            }
            let nap = match deadline.next() {
                Next::Spin => continue,
                Next::End => break Ok(None),
                Next::Sleep(nap) => nap,
            };
            naps = naps.saturating_add(1);
            if stands_back {
                courtesy = courtesy.saturating_sub(1);
            } else if naps > PATIENT {
                // Fails if another one starves, or this one is known to.
                swap(self.starving(), 0, me);
            }
            let longest = if stands_back { STEP_BACK } else { LONGEST_NAP };
            self.sleepers().store(1, Ordering::SeqCst);
            if !sleep(&mut || futex::wait(self.word(), owner, nap.min(longest))) {
                break Err(ContainerError::Interrupted);
            }
        };
        swap(self.starving(), me, 0);
        waited
    }

    /// What stands beside the word of a lock that is taken once.
    #[inline(always)]
    fn mark(&self) -> Result<u64, ContainerError> {
        if self.is_recursive {
            return Ok(1);
        }
        Ok(self.heap.container.process()?)
    }

    /// How the lock would be got from whom the word names; `None` if somebody has it.
    fn how_to_be_had(&self, owner: u32) -> Result<Option<Took>, ContainerError> {
        let container = &self.heap.container;
        if owner == 0 {
            return Ok(Some(Took::Free));
        }
        if !container.is_absent(owner) {
            return Ok(None);
        }
        if self.is_recursive {
            return Ok(Some(Took::FromTheDead));
        }
        // After the look at the thread, which wrote this before it ended.
        Ok(match self.heap.top.acquire(PROCESS) {
            0 => Some(Took::Free),
            process => container.has_ended(process)?.then_some(Took::FromTheDead),
        })
    }

    /// Whether a living thread, which is another, has waited for long.
    fn is_wanted_by_another(&self, me: u32) -> bool {
        let starving = self.starving().load(Ordering::Acquire);
        if starving == 0 || starving == me {
            return false;
        }
        let is_dead = self.heap.container.is_absent(starving);
        if is_dead {
            swap(self.starving(), starving, 0);
        }
        !is_dead
    }

    /// Gives the lock back.
    ///
    /// # Errors
    /// [`ContainerError::NotHeld`]: nobody has it; or it is recursive and another thread has it.
    #[inline(always)]
    pub fn release(&self) -> Result<(), ContainerError> {
        if self.is_recursive {
            return self.release_once();
        }
        let owner = self.owner();
        if owner == 0 {
            return Err(ContainerError::NotHeld);
        }
        self.heap.top.store(PROCESS, 0);
        self.give_back(owner);
        Ok(())
    }

    fn release_once(&self) -> Result<(), ContainerError> {
        if !self.is_held_here()? {
            return Err(ContainerError::NotHeld);
        }
        match self.depth() {
            0 | 1 => self.give_back(self.owner()),
            depth => self.set_depth(depth.wrapping_sub(1)),
        }
        Ok(())
    }

    #[inline(always)]
    fn give_back(&self, owner: u32) {
        // SeqCst: publishes what was done under the lock, and either sees the sleeper or is seen by it.
        let word = self.word();
        let given = word.compare_exchange(owner, 0, Ordering::SeqCst, Ordering::Relaxed);
        if given.is_err() {
            // Whoever has it now took it as given back: the thread that it was taken by has ended, and its process was cleared.
            return;
        }
        crate::testing::container_stored();
        if self.sleepers().load(Ordering::SeqCst) != 0 {
            self.wake();
        }
    }

    #[cold]
    #[inline(never)]
    fn wake(&self) {
        // Whoever goes to sleep after this sets it again.
        self.sleepers().store(0, Ordering::SeqCst);
        // The one that has waited long may not be the first.
        let is_wanted = self.starving().load(Ordering::Relaxed) != 0;
        futex::wake_many(self.word(), if is_wanted { ALL } else { 1 });
    }

    /// Gives the lock back however often this thread has taken it; how often that was.
    ///
    /// # Errors
    /// [`ContainerError::NotHeld`].
    pub fn release_all(&self) -> Result<u64, ContainerError> {
        if !self.is_held_here()? {
            return Err(ContainerError::NotHeld);
        }
        let depth = self.depth();
        if !self.is_recursive {
            self.heap.top.store(PROCESS, 0);
        }
        self.give_back(self.owner());
        Ok(depth)
    }

    /// Takes the lock as often as [`Mutex::release_all`] has given it back, however long that takes.
    ///
    /// # Errors
    /// [`ContainerError::Interrupted`]: the lock is not held then.
    pub fn acquire_all(&self, depth: u64) -> Result<Option<Took>, ContainerError> {
        let took = self.acquire(None)?;
        self.set_depth(depth);
        Ok(took)
    }

    fn owner(&self) -> u32 {
        self.word().load(Ordering::Acquire)
    }

    fn depth(&self) -> u64 {
        self.heap.top.relaxed(DEPTH)
    }

    #[inline(always)]
    fn set_depth(&self, depth: u64) {
        if self.is_recursive {
            self.heap.top.store(DEPTH, depth);
        }
    }

    /// Whether one thread may take it several times.
    #[must_use]
    pub fn is_recursive(&self) -> bool {
        self.is_recursive
    }

    /// Whether somebody has it who lives, as of a moment ago.
    #[must_use]
    pub fn is_held(&self) -> bool {
        // Where nobody can say so, nobody has it either: each operation is refused.
        self.how_to_be_had(self.owner())
            .is_ok_and(|took| took.is_none())
    }

    /// Whether the calling thread has it.
    ///
    /// # Errors
    /// The store cannot be used.
    pub fn is_held_here(&self) -> Result<bool, ContainerError> {
        Ok(self.owner() == self.heap.container.thread()?)
    }

    /// Holders that have died in it.
    #[must_use]
    pub fn deaths(&self) -> u64 {
        self.heap.top.relaxed(DEATHS)
    }
}
