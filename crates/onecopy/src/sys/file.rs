//! Ordinary files: mapped for reading, and filled beside the file that they are to replace.
#![allow(unsafe_code, reason = "mapping a file is unsafe: others may change it")]

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;

use memmap2::{Mmap, MmapMut};
use rustix::fs::{FallocateFlags, FlockOperation, fallocate, flock};
use rustix::io::Errno;

/// Zeros are written in pieces of this size where a file system cannot reserve.
const PIECE_LEN: usize = 1 << 20;

/// Maps a whole file for reading; an empty one gives no bytes.
///
/// # Safety
/// - nobody changes or shortens the file as long as the mapping lives.
pub(crate) unsafe fn map(file: &File) -> io::Result<Mmap> {
    // SAFETY: nobody changes or shortens the file while the mapping lives, as this function asks; `Mmap::map` asks no
    // more.
    unsafe { Mmap::map(file) }
}

/// Maps a file that this process has just created under a name that nobody else uses.
pub(crate) fn map_new(file: &File) -> io::Result<MmapMut> {
    // SAFETY: the file is locked and its name is nobody else's business, so it is changed through this mapping alone; it
    // keeps its length until the mapping has gone.
    unsafe { MmapMut::map_mut(file) }
}

/// Gives a new file its length, with room for it on the disk: a write to a hole could otherwise fail by SIGBUS.
pub(crate) fn reserve(file: &mut File, len: u64) -> io::Result<()> {
    match fallocate(file.as_fd(), FallocateFlags::empty(), 0, len) {
        Ok(()) => Ok(()),
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
            let zeros = vec![0; PIECE_LEN];
            let mut left = len;
            while left > 0 {
                let piece = zeros.get(..left.min(PIECE_LEN as u64) as usize);
                file.write_all(piece.unwrap_or_default())?;
                left = left.saturating_sub(PIECE_LEN as u64);
            }
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// Locks a file for this process's life, or says that another has it.
pub(crate) fn try_lock(file: &File) -> io::Result<bool> {
    match flock(file.as_fd(), FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
