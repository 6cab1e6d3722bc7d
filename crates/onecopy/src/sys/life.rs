//! The life word: a robust, process-shared mutex that a thread locks once and never unlocks.
//!
//! When the thread dies, however it dies, the kernel walks its robust list and sets bit 30
//! (`FUTEX_OWNER_DIED`) of the futex word (`get_robust_list(2)`, kernel documentation "Robust
//! futexes"). Peers only load that bit. Nobody else ever locks the mutex, so libc never follows a
//! pointer that another process wrote; thread ids are never compared, so pid namespaces do not matter.
#![allow(unsafe_code, reason = "robust mutexes exist only in libc")]

use std::mem::MaybeUninit;
use std::ptr::NonNull;

/// Bytes that a life word may take in a thread slot.
pub(crate) const LIFE_BYTES: u64 = 64;
/// The bit that the kernel sets when the owner dies (`linux/futex.h`).
pub(crate) const OWNER_DIED: u32 = 0x4000_0000;

// The futex word of `pthread_mutex_t`: first in glibc, second in musl.
#[cfg(target_env = "gnu")]
pub(crate) const FUTEX_WORD_OFFSET: u64 = 0;
#[cfg(not(target_env = "gnu"))]
pub(crate) const FUTEX_WORD_OFFSET: u64 = 4;

const _: () = assert!(size_of::<libc::pthread_mutex_t>() as u64 <= LIFE_BYTES);

/// Makes and locks the calling thread's mutex at `place`; `false` when libc refuses.
///
/// # Safety
/// - `place` is valid for [`LIFE_BYTES`] bytes, aligned to 8, and stays mapped until the thread ends
///   or [`unlock`] was called by it.
/// - Nobody else uses these bytes as a mutex, and no living thread has one there.
pub(crate) unsafe fn lock(place: NonNull<u8>) -> bool {
    let mutex = place.cast::<libc::pthread_mutex_t>().as_ptr();
    let mut attributes = MaybeUninit::<libc::pthread_mutexattr_t>::uninit();
    let attributes = attributes.as_mut_ptr();
    // SAFETY: `attributes` points to writable memory of the right type.
    if unsafe { libc::pthread_mutexattr_init(attributes) } != 0 {
        return false;
    }
    // SAFETY: `attributes` was initialised above.
    let shared =
        unsafe { libc::pthread_mutexattr_setpshared(attributes, libc::PTHREAD_PROCESS_SHARED) };
    // SAFETY: as above.
    let robust =
        unsafe { libc::pthread_mutexattr_setrobust(attributes, libc::PTHREAD_MUTEX_ROBUST) };
    // SAFETY: the caller gives valid, exclusively ours bytes; `attributes` is initialised.
    let made = unsafe { libc::pthread_mutex_init(mutex, attributes) };
    // SAFETY: `attributes` was initialised above and is not used again.
    unsafe { libc::pthread_mutexattr_destroy(attributes) };
    if shared != 0 || robust != 0 || made != 0 {
        return false;
    }
    // SAFETY: the mutex was initialised above and nobody else locks it, so this cannot block.
    unsafe { libc::pthread_mutex_lock(mutex) == 0 }
}

/// Unlocks the calling thread's own mutex, so that its memory may be unmapped.
///
/// # Safety
/// - The calling thread locked the mutex at `place` by [`lock`] and has not forked since.
pub(crate) unsafe fn unlock(place: NonNull<u8>) {
    // SAFETY: the caller holds the mutex, so unlocking only takes it off this thread's list.
    unsafe { libc::pthread_mutex_unlock(place.cast::<libc::pthread_mutex_t>().as_ptr()) };
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[repr(align(64))]
    struct Place([u8; LIFE_BYTES as usize]);

    #[test]
    fn the_bit_appears_when_the_thread_ends_and_not_before() {
        let place = Box::leak(Box::new(Place([0; LIFE_BYTES as usize])));
        let address = NonNull::from(&mut place.0).cast::<u8>();
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
}
