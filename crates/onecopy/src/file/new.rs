//! A file being written, which takes its place in one step when it is whole.
//!
//! ```text
//! a file without a name, 0600 ─▶ written ─▶ its rights ─▶ flushed ─▶ temporary name ─▶ renamed ─▶ folder flushed
//! ```
//! Where a file system makes no file without a name (`O_TMPFILE`, `open(2)`), it has the temporary name from the beginning.
//! Temporary files are locked while their writer lives; a later save to the same path removes those whose writer has died.
//! Between making one and locking it, its writer looks dead: it makes another if somebody removed it.
//!
//! **Invariants**
//! - I1. Until its last step a file can be read by its owner alone; it never is set-uid, set-gid or sticky.
//! - I2. It gets the rights of the file that it replaces, if that is this user's and has no other name, by which somebody
//!   may have put it here. Any other one gives no rights, but may take some: what its group and others had not, they do
//!   not get.
//! - I3. Nothing but regular files is replaced, and nothing but regular files of this user is taken for abandoned.
//!
//! **Crash points.** Dying before the temporary name leaves the old file; before the rename, the old file and a temporary
//! one; after it, the new file.
#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use super::error::FileError;
use super::place::{Links, Place};
use crate::sys;
use crate::sys::folder::fit;
use crate::sys::procfs::umask;
use crate::testing::step;

/// Ends the names of temporary files.
const TEMPORARY: &str = ".onecopy-tmp";
/// A longer name may leave no room for what a temporary one has besides (`NAME_MAX` is 255).
const LONGEST_KEPT: usize = 128;

/// What a file is for, which says how it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Data: links are followed, new files have the usual rights, and they outlast a crash of the machine.
    Data,
    /// A report: the same, but new files are for their owner alone, as command lines may hold secrets.
    Report,
    /// A word to another process, in a folder that goes away: no link is followed, and nothing flushed.
    Note,
}

impl Purpose {
    /// The rights of a file that replaces none.
    fn rights(self) -> u32 {
        match self {
            Self::Data => 0o666 & !umask(),
            Self::Report | Self::Note => 0o600,
        }
    }
}

/// A file being written. If it is dropped, nothing has happened.
#[derive(Debug)]
pub struct NewFile {
    place: Place,
    purpose: Purpose,
    file: File,
    temporary: Option<OsString>,
}

impl NewFile {
    /// Begins a file for a path.
    ///
    /// # Errors
    /// As [`Place::find`]; what is there is no regular file; or what the kernel says.
    pub fn create(path: &Path, purpose: Purpose) -> Result<Self, FileError> {
        let links = match purpose {
            Purpose::Data | Purpose::Report => Links::Followed,
            Purpose::Note => Links::Refused,
        };
        Self::at(Place::walk(path, links)?, purpose)
    }

    /// Begins a file for a place.
    ///
    /// # Errors
    /// What is there is no regular file, or what the kernel says.
    pub fn at(place: Place, purpose: Purpose) -> Result<Self, FileError> {
        place.check_regular()?;
        if purpose != Purpose::Note {
            remove_abandoned(&place);
        }
        let made = match unnamed(&place) {
            Ok(Some(file)) => Ok((file, None)),
            Ok(None) => named(&place),
            Err(error) => Err(error),
        };
        Self::of(place, purpose, made)
    }

    fn of(place: Place, purpose: Purpose, made: io::Result<Temporary>) -> Result<Self, FileError> {
        let (file, temporary) = made.map_err(|source| place.kernel(source))?;
        step("made");
        Ok(Self {
            place,
            purpose,
            file,
            temporary,
        })
    }

    /// What is being written.
    pub fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Where it will be.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Puts the file into its place.
    ///
    /// # Errors
    /// What has come there meanwhile is no regular file, or what the kernel says. The place is unchanged then, unless only
    /// flushing the folder failed: then it has the new file, and may have the old one again after a crash of the machine.
    pub fn commit(mut self) -> Result<(), FileError> {
        self.place.look_again()?;
        let done = self.finish();
        done.map_err(|source| self.place.kernel(source))
    }

    fn finish(&mut self) -> io::Result<()> {
        let is_lasting = self.purpose != Purpose::Note;
        self.set_rights()?;
        step("fit");
        if is_lasting {
            self.file.sync_all()?;
        }
        let folder = &self.place.folder;
        while self.temporary.is_none() {
            let name = new_name(&self.place.name);
            if folder.link(&self.file, &name)? {
                self.temporary = Some(name);
            }
        }
        step("named");
        if let Some(temporary) = &self.temporary {
            folder.rename(temporary, &self.place.name)?;
        }
        self.temporary = None;
        step("renamed");
        if is_lasting {
            folder.flush()?;
        }
        Ok(())
    }

    /// I2.
    fn set_rights(&self) -> io::Result<()> {
        let usual = self.purpose.rights();
        match &self.place.found {
            None => fit(&self.file, usual, None),
            Some(old) if old.is_own() && old.has_one_name() => {
                fit(&self.file, old.rights(), Some(old.group()))
            }
            Some(old) => fit(&self.file, usual & (old.rights() | 0o700), None),
        }
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if let Some(name) = &self.temporary {
            let _ = self.place.folder.unlink_file(name, &self.file);
        }
    }
}

/// Writes a whole file.
///
/// # Errors
/// As [`NewFile::create`] and [`NewFile::commit`].
pub fn write(path: &Path, purpose: Purpose, bytes: &[u8]) -> Result<(), FileError> {
    let mut new = NewFile::create(path, purpose)?;
    let written = new.file.write_all(bytes);
    written.map_err(|source| new.place.kernel(source))?;
    new.commit()
}

/// A temporary file, locked, and its name if it has one.
type Temporary = (File, Option<OsString>);

/// A temporary file without a name, locked; `None` where the file system makes none.
fn unnamed(place: &Place) -> io::Result<Option<File>> {
    let file = place.folder.make_unnamed()?;
    if let Some(file) = &file {
        // What the file system says of the name that it will have, it says now.
        place.folder.look(&new_name(&place.name))?;
        // Nobody else can have it. It gets a name before it is renamed, under which it is not to be taken for abandoned.
        sys::file::try_lock(file)?;
    }
    Ok(file)
}

/// A temporary file with a name, locked.
fn named(place: &Place) -> io::Result<Temporary> {
    loop {
        let name = new_name(&place.name);
        // Of a process with the same number: one that died, or of another namespace (`pid_namespaces(7)`).
        let Some(file) = place.folder.make(&name)? else {
            continue;
        };
        match sys::file::try_lock(&file) {
            Ok(true) if place.folder.leads_to(&name, &file) => return Ok((file, Some(name))),
            // Before it was locked, another saver took it for abandoned and removes it.
            Ok(_) => {}
            Err(error) => {
                let _ = place.folder.unlink_file(&name, &file);
                return Err(error);
            }
        }
    }
}

/// A name that nobody else uses.
fn new_name(name: &OsStr) -> OsString {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    // Relaxed: only distinct numbers are needed.
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let mut temporary = prefix(name);
    temporary.push(format!("{}-{count}{TEMPORARY}", std::process::id()));
    temporary
}

/// How names of temporary files for this target begin: with its name, or with a number made from a long one.
fn prefix(name: &OsStr) -> OsString {
    let mut prefix = OsString::from(".");
    if name.len() <= LONGEST_KEPT {
        prefix.push(name);
    } else {
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        prefix.push(format!("{:016x}", hasher.finish()));
    }
    prefix.push(".");
    prefix
}

/// Removes temporary files of writers that have died. I3.
fn remove_abandoned(place: &Place) {
    // Where names cannot be read, they stay.
    let names = place.folder.names(&prefix(&place.name), TEMPORARY);
    for name in names.unwrap_or_default() {
        if let Ok(Some(file)) = place.folder.open_own(&name)
            && matches!(sys::file::try_lock(&file), Ok(true))
        {
            // It may have been removed meanwhile, and the name be a living writer's.
            let _ = place.folder.unlink_file(&name, &file);
        }
    }
}

#[cfg(test)]
mod tests;
