//! What each `CPython` minor version means by an immortal object: the one file that knows.
//!
//! An object begins with a word of 64 bits (builds with the GIL, little-endian):
//!
//! | version | bits 0–31 | bits 32–47 | bits 48–63 | INCREF skips | DECREF skips |
//! |---|---|---|---|---|---|
//! | 3.12, 3.13 | count | upper half of the count | the same | exactly `0xFFFF_FFFF` | a negative int32 |
//! | 3.14, 3.15 | count | overflow | flags: 1 immortal, 4 static | `0xC000_0000` and more | a negative int32 |
//!
//! Sources: `Include/object.h` of 3.12 and 3.13, `Include/refcount.h` of 3.14 and 3.15 (`Py_INCREF`, `Py_DECREF`,
//! `_Py_IMMORTAL_FLAGS`); `Include/internal/pycore_object.h` (`MANAGED_DICT_OFFSET`); `Objects/tupleobject.c`
//! (`ob_hash`, from 3.14 on); `Python/gc.c`.
//!
//! Why `0xE000_0000` and the flag from 3.14 on: a frame that held the object before may give its reference back
//! unchecked, so the count needs room on both sides; and the interpreter's stack references look at the flag, not at
//! the count. With CPython's own `0xC000_0000` both write to the object again.

/// One audited minor version.
#[derive(Debug)]
pub(crate) struct Version {
    /// The 12 of 3.12.
    pub(crate) minor: u32,
    /// Patch levels below are refused.
    pub(crate) first_patch: u32,
    /// The low half in `None`: what this version itself writes.
    pub(crate) own: u32,
    /// Which of the upper 32 bits of the header are kept.
    pub(crate) kept: u64,
    /// What is written to the others.
    pub(crate) written: u64,
    /// The flags that `_Py_SetImmortalUntracked` leaves, where that function exists.
    pub(crate) own_flags: Option<u16>,
    /// Whether a `__dict__` that shares its values with the object is missing in `tp_traverse`, so that the word at
    /// [`MANAGED_DICT_OFFSET`] has to be read.
    pub(crate) dict_beside_values: bool,
    /// Whether dicts stay with the collector: copies of an untracked dict are untracked too, and could leak a cycle.
    pub(crate) dicts_stay_tracked: bool,
    /// Whether tuples remember their hash.
    pub(crate) tuples_keep_hash: bool,
}

const fn old(minor: u32, dict_beside_values: bool) -> Version {
    Version {
        minor,
        first_patch: 0,
        own: 0xFFFF_FFFF,
        kept: 0,
        written: 0xFFFF_FFFF,
        own_flags: None,
        dict_beside_values,
        dicts_stay_tracked: true,
        tuples_keep_hash: false,
    }
}

const fn new(minor: u32, first_patch: u32) -> Version {
    Version {
        minor,
        first_patch,
        own: 0xC000_0000,
        kept: 0xFFFF << 48,
        written: (1 << 48) | 0xE000_0000,
        own_flags: Some(1),
        dict_beside_values: true,
        dicts_stay_tracked: false,
        tuples_keep_hash: true,
    }
}

/// The audited versions. 3.14.0 to 3.14.4 had an incremental collector that was taken back later.
pub(crate) const VERSIONS: [Version; 4] = [old(12, false), old(13, true), new(14, 5), new(15, 0)];

/// Where the pointer to a managed `__dict__` lies, from the object's start (3.13 and later, builds with the GIL).
pub(crate) const MANAGED_DICT_OFFSET: isize = -24;

/// The version of the `CPython` that this extension was compiled for; `None` if nobody has audited it.
pub(crate) const fn version() -> Option<&'static Version> {
    if cfg!(any(
        Py_3_16,
        Py_GIL_DISABLED,
        PyPy,
        GraalPy,
        not(target_pointer_width = "64")
    )) {
        None
    } else if cfg!(Py_3_15) {
        Some(&VERSIONS[3])
    } else if cfg!(Py_3_14) {
        Some(&VERSIONS[2])
    } else if cfg!(Py_3_13) {
        Some(&VERSIONS[1])
    } else if cfg!(Py_3_12) {
        Some(&VERSIONS[0])
    } else {
        None
    }
}

const _: () = assert!(
    cfg!(target_endian = "little"),
    "headers are read as little-endian words"
);
const _: () = assert!(VERSIONS[0].minor == 12 && VERSIONS[3].minor == 15);
