//! The life word: a robust, process-shared mutex that a thread locks once and unlocks at most when its store goes.
//!
//! When the thread dies, however it dies, the kernel walks its robust list and sets bit 30
//! (`FUTEX_OWNER_DIED`) of the futex word (`get_robust_list(2)`, kernel documentation "Robust
//! futexes"). Peers only load that bit, and nobody else ever locks the mutex; thread ids are never compared between
//! processes, so pid namespaces do not matter.
//!
//! **Damage.** The mutex stands in shared memory, and with it the links of the thread's robust list. The kernel reads
//! them with care and stops at the first that leads nowhere. Libc follows them when a mutex is *unlocked*, so
//! [`unlock`] first looks whether they lead to places that this process knows, and puts back the rest of the mutex
//! from a copy; otherwise the mutex is not touched, and its memory has to stay mapped for ever. What this process
//! knows is kept in its own memory, in [`LIVES`]. Not guarded against is a write between that look and libc's own,
//! or between [`lock`] making the mutex and locking it: nanoseconds, for a process of the same user.
#![allow(unsafe_code, reason = "robust mutexes exist only in libc")]

use std::cell::Cell;
use std::mem::MaybeUninit;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use super::procfs;

/// Bytes that a life word may take in a thread slot.
pub(crate) const LIFE_BYTES: u64 = 64;
/// The bit that the kernel sets when the owner dies (`linux/futex.h`).
pub(crate) const OWNER_DIED: u32 = 0x4000_0000;

// The futex word of `pthread_mutex_t`: first in glibc, second in musl.
#[cfg(target_env = "gnu")]
pub(crate) const FUTEX_WORD_OFFSET: u64 = 0;
#[cfg(not(target_env = "gnu"))]
pub(crate) const FUTEX_WORD_OFFSET: u64 = 4;

/// Words of a locked mutex that its owner alone changes: all that stands before the links, in glibc and in musl.
const FIXED_WORDS: usize = 3;

const _: () = assert!(size_of::<libc::pthread_mutex_t>() as u64 <= LIFE_BYTES);
const _: () = assert!(size_of::<libc::pthread_mutex_t>() >= 8 * (FIXED_WORDS + 2));

/// A life word that a thread of this process has locked.
struct Life {
    place: usize,
    thread: Thread,
    fixed: [u64; FIXED_WORDS],
}

/// The life words of this process, all of which are mapped. Only used with the store's process lock held, so no fork
/// happens meanwhile.
static LIVES: Mutex<Vec<Life>> = Mutex::new(Vec::new());

fn lives() -> MutexGuard<'static, Vec<Life>> {
    LIVES.lock().unwrap_or_else(PoisonError::into_inner)
}

thread_local! {
    /// The number of a thread; 0 before it has one.
    static NUMBER: Cell<u64> = const { Cell::new(0) };
}

/// The number that the next thread gets.
static NEXT_NUMBER: AtomicU64 = AtomicU64::new(1);

/// A thread of this process. The kernel gives the id of one that has ended to another, so a number of our own and the
/// time of its start are part of it.
#[derive(Clone, Copy)]
struct Thread {
    number: u64,
    id: i32,
    /// `None` where `/proc` does not say.
    start: Option<u64>,
}

impl Thread {
    fn own() -> Self {
        let id = rustix::thread::gettid().as_raw_nonzero().get();
        Self {
            number: own_number(),
            id,
            start: procfs::thread_start(id),
        }
    }

    fn is_own(&self) -> bool {
        self.number == own_number()
    }

    /// Whether it has not ended, as far as the kernel says.
    fn may_live(&self) -> bool {
        let now = procfs::thread_start(self.id);
        // Without `/proc` nobody knows.
        let is_unknown = || !Path::new("/proc/self/task").exists();
        self.is_own()
            || now.map_or_else(is_unknown, |now| {
                self.start.is_none_or(|start| start == now)
            })
    }
}

/// The calling thread's number: no other thread of this process has had it.
fn own_number() -> u64 {
    if NUMBER.get() == 0 {
        // Relaxed: only uniqueness matters.
        NUMBER.set(NEXT_NUMBER.fetch_add(1, Ordering::Relaxed));
    }
    NUMBER.get()
}

/// Makes and locks the calling thread's mutex at `place`; `false` when libc refuses, or when another living thread of
/// this process has one there, which only damage can bring about.
///
/// # Safety
/// - `place` is valid for [`LIFE_BYTES`] bytes, aligned to 8, and stays mapped until the thread ends
///   or [`unlock`] was called by it.
/// - Nobody else uses these bytes as a mutex, and no living thread of another process has one there.
pub(crate) unsafe fn lock(place: NonNull<u8>) -> bool {
    let mut lives = lives();
    let address = place.as_ptr().addr();
    if lives
        .iter()
        .any(|life| life.place == address && life.thread.may_live())
    {
        return false;
    }
    lives.retain(|life| life.place != address);
    let mutex = place.cast::<libc::pthread_mutex_t>().as_ptr();
    let mut attributes = MaybeUninit::<libc::pthread_mutexattr_t>::uninit();
    let attributes = attributes.as_mut_ptr();
    // SAFETY: `attributes` points to a variable of this function of the right type, valid for writes.
    if unsafe { libc::pthread_mutexattr_init(attributes) } != 0 {
        return false;
    }
    // SAFETY: `attributes` was initialised above.
    let shared =
        unsafe { libc::pthread_mutexattr_setpshared(attributes, libc::PTHREAD_PROCESS_SHARED) };
    // SAFETY: `attributes` was initialised above.
    let robust =
        unsafe { libc::pthread_mutexattr_setrobust(attributes, libc::PTHREAD_MUTEX_ROBUST) };
    // SAFETY: `place` is valid, aligned and no living thread's mutex, as this function asks and `lives` has confirmed for
    // this process; `attributes` was initialised above.
    let made = unsafe { libc::pthread_mutex_init(mutex, attributes) };
    // SAFETY: `attributes` was initialised above and is not used again.
    unsafe { libc::pthread_mutexattr_destroy(attributes) };
    if shared != 0 || robust != 0 || made != 0 {
        return false;
    }
    // SAFETY: the mutex was initialised above, stays mapped until this thread ends or unlocks it, and nobody else locks
    // it, so this does not block: what this function asks.
    if unsafe { libc::pthread_mutex_lock(mutex) } != 0 {
        return false;
    }
    let fixed = std::array::from_fn(|index| {
        // SAFETY: one of the first words of the mutex that was made at `place`, which is mapped and aligned, as this
        // function asks. This thread holds it, so nobody but a process that damages it writes there.
        let word = unsafe { word(address + 8 * index) };
        word.load(Ordering::Relaxed)
    });
    lives.push(Life {
        place: address,
        thread: Thread::own(),
        fixed,
    });
    true
}

/// Unlocks the calling thread's own mutex, so that its memory may be unmapped. `false` if it was damaged: then nothing
/// was done, and its memory must stay mapped for the rest of the process.
///
/// # Safety
/// - The bytes at `place` are mapped readable and writable, as are those of all other life words of this thread.
/// - No `&mut` to them exists; other processes access them as atomics.
pub(crate) unsafe fn unlock(place: NonNull<u8>) -> bool {
    let mut lives = lives();
    let address = place.as_ptr().addr();
    let own = |life: &Life| life.place == address && life.thread.is_own();
    let (Some(at), Some(list)) = (lives.iter().position(own), RobustList::of_this_thread()) else {
        return false;
    };
    // The kernel's list links these; libc keeps the way back in the word before (glibc and musl alike).
    let entry = list.entry_of(address);
    let is_known = |link: u64| {
        let link = link as usize;
        link == list.head
            || lives
                .iter()
                .any(|life| life.thread.is_own() && list.entry_of(life.place) == link)
    };
    // SAFETY: the links are two words of the mutex at `place`, where libc has put them into its list: mapped, as this
    // function asks, and aligned like it. Others access them as atomics, as this function asks too.
    let next = unsafe { word(entry) }.load(Ordering::Acquire);
    // SAFETY: the word before, which is the other link of the same mutex.
    let previous = unsafe { word(entry - 8) }.load(Ordering::Acquire);
    if !is_known(next) || !is_known(previous) {
        return false;
    }
    for (index, fixed) in lives[at].fixed.into_iter().enumerate() {
        // SAFETY: one of the first words of the mutex at `place`: mapped and accessed as atomics, as this function asks.
        let word = unsafe { word(address + 8 * index) };
        word.store(fixed, Ordering::Release);
    }
    // SAFETY: this thread holds the mutex (`LIVES`), its own fields are as they were, and both links, which libc follows
    // to take it off the list, lead to the head or to mutexes of this thread, which are mapped (the caller's duty).
    let unlocked = unsafe { libc::pthread_mutex_unlock(place.cast().as_ptr()) } == 0;
    if unlocked {
        lives.swap_remove(at);
    }
    unlocked
}

/// Whether a thread of this process may have a life word in `len` bytes from `start`. The words of those that have ended
/// are forgotten.
pub(crate) fn has_any(start: NonNull<u8>, len: u64) -> bool {
    let start = start.as_ptr().addr();
    let range = start..start.saturating_add(len as usize);
    let mut lives = lives();
    lives.retain(|life| !range.contains(&life.place) || life.thread.may_live());
    lives.iter().any(|life| range.contains(&life.place))
}

/// Forgets all life words: in a fork child, whose only thread begins with an empty list.
pub(crate) fn forget_all() {
    // Nobody has it: it is used with the process lock held, which the fork waited for.
    match LIVES.try_lock() {
        Ok(mut lives) => lives.clear(),
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner().clear(),
        Err(TryLockError::WouldBlock) => {}
    }
}

/// Where the kernel finds the robust mutexes of a thread (`get_robust_list(2)`).
struct RobustList {
    head: usize,
    /// From an entry of the list to its futex word.
    futex_offset: usize,
}

impl RobustList {
    fn of_this_thread() -> Option<Self> {
        let mut head: *const [usize; 3] = std::ptr::null();
        let mut len = 0usize;
        // SAFETY: two valid places for the results; 0 is the calling thread.
        let result =
            unsafe { libc::syscall(libc::SYS_get_robust_list, 0, &raw mut head, &raw mut len) };
        if result != 0 || len != size_of::<[usize; 3]>() || head.is_null() {
            return None;
        }
        // SAFETY: the kernel gave back what libc registered for this thread: a `struct robust_list_head` of three words,
        // in memory that lives as long as the thread and that only the thread itself changes.
        let [_, futex_offset, _] = unsafe { head.read() };
        Some(Self {
            head: head.addr(),
            futex_offset,
        })
    }

    /// The address that stands in the list for the life word at `place`.
    fn entry_of(&self, place: usize) -> usize {
        (place + FUTEX_WORD_OFFSET as usize).wrapping_sub(self.futex_offset)
    }
}

/// A word of a mutex.
///
/// # Safety
/// - `address` is that of a word of a life word: mapped as long as the reference is used, aligned to 8, and accessed by
///   nobody meanwhile but as a word.
unsafe fn word<'a>(address: usize) -> &'a AtomicU64 {
    // SAFETY: mapped, aligned and accessed as words alone, as this function asks.
    unsafe { AtomicU64::from_ptr(address as *mut u64) }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    #[repr(align(64))]
    struct Place([u8; LIFE_BYTES as usize]);

    fn place() -> NonNull<u8> {
        let place = Box::leak(Box::new(Place([0; LIFE_BYTES as usize])));
        NonNull::from(&mut place.0).cast::<u8>()
    }

    #[test]
    fn the_bit_appears_when_the_thread_ends_and_not_before() {
        let address = place();
        let word = address.as_ptr() as usize + FUTEX_WORD_OFFSET as usize;
        // SAFETY: leaked, so valid for ever; aligned to 64; only ever accessed as an atomic from here.
        let word = unsafe { AtomicU32::from_ptr(word as *mut u32) };
        let address = address.as_ptr() as usize;
        let during = std::thread::spawn(move || {
            let place = NonNull::new(address as *mut u8).unwrap();
            // SAFETY: leaked memory, used by this thread alone.
            assert!(unsafe { lock(place) });
            word.load(Ordering::Acquire) & OWNER_DIED
        })
        .join()
        .unwrap();
        assert_eq!(during, 0);
        // The kernel sets the bit before the joiner is woken: it walks the robust list first.
        assert_ne!(word.load(Ordering::Acquire) & OWNER_DIED, 0);
    }

    #[test]
    fn a_thread_that_has_ended_is_forgotten_though_another_got_its_id() {
        let place = place();
        let own = Thread::own();
        let ended = || Life {
            place: place.as_ptr().addr(),
            thread: Thread {
                number: u64::MAX,
                start: Some(own.start.unwrap() - 1),
                ..own
            },
            fixed: [0; FIXED_WORDS],
        };
        lives().push(ended());
        assert!(!has_any(place, LIFE_BYTES));
        lives().push(ended());
        // SAFETY: leaked memory, used by this thread alone.
        assert!(unsafe { lock(place) });
        assert!(has_any(place, LIFE_BYTES));
        // SAFETY: leaked, so mapped for ever.
        assert!(unsafe { unlock(place) });
        assert!(!has_any(place, LIFE_BYTES));
    }

    #[test]
    fn a_damaged_life_word_is_unlocked_only_if_that_follows_no_wild_pointer() {
        // In a thread of its own: what stays locked is taken off its list when it ends.
        std::thread::spawn(|| {
            for index in 0..5 {
                for damage in [0, 8, u64::MAX, 0x5555_5555_5555_5550] {
                    let (before, place, after) = (place(), place(), place());
                    for place in [before, place, after] {
                        // SAFETY: leaked memory, used by this thread alone.
                        assert!(unsafe { lock(place) });
                    }
                    let address = place.as_ptr().addr() + 8 * index;
                    // SAFETY: a word of a life word in leaked memory.
                    let damaged = unsafe { word(address) };
                    let kept = damaged.swap(damage, Ordering::Relaxed);
                    // SAFETY: leaked, so mapped for ever.
                    let unlocked = unsafe { unlock(place) };
                    assert_eq!(unlocked, index < FIXED_WORDS, "word {index}, {damage:#x}");
                    damaged.store(kept, Ordering::Relaxed);
                    for place in [after, before] {
                        // SAFETY: leaked, so mapped for ever.
                        assert!(unsafe { unlock(place) }, "the others are whole");
                    }
                }
            }
        })
        .join()
        .unwrap();
    }
}
