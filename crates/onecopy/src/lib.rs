//! One read-only copy of your data for all your worker processes.
//!
//! * [`Store`] is one anonymous memory file that a family of processes maps; [`View`] is a typed slice
//!   in it, [`Object`] any published bytes, [`Token`] what travels instead of them.
//! * [`image`] lays out one immutable object as position-independent bytes.
//! * [`fork`] runs closures in forked worker processes over the parent's memory.
//!
//! ```standalone_crate
//! use onecopy::{Store, View, fork};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store = Store::new()?;
//! let data: View<[f64]> = store.share_slice(&vec![1.0; 4000])?;
//! let sums = fork::map(4, |worker| data[worker * 1000..][..1000].iter().sum::<f64>())?;
//! let sums: Vec<f64> = sums.into_iter().collect::<Result<_, _>>()?;
//! assert_eq!(sums, [1000.0; 4]);
//! # Ok(()) }
//! ```
//!
//! Linux only.
#![deny(unsafe_code)]

#[cfg(not(loom))]
mod error;
#[cfg(not(loom))]
pub mod file;
#[cfg(not(loom))]
pub mod fork;
pub mod image;
mod primitive;
mod printable;
#[cfg(not(loom))]
pub mod shared;
#[cfg(not(loom))]
pub mod store;
#[cfg(not(loom))]
mod sys;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(not(feature = "testing"))]
mod testing;

// Under loom only the small kernels are compiled: its atomics cannot be placed in mapped memory.
#[cfg(loom)]
mod store {
    mod lock;
    #[cfg(test)]
    mod lock_loom;
}
#[cfg(all(loom, test))]
#[path = "shared/sync/bell_loom.rs"]
mod bell_loom;
#[cfg(all(loom, test))]
#[path = "shared/look_loom.rs"]
mod look_loom;
#[cfg(all(loom, test))]
#[path = "shared/sync/mutex_loom.rs"]
mod mutex_loom;
#[cfg(all(loom, test))]
#[path = "shared/past_loom.rs"]
mod past_loom;
#[cfg(loom)]
mod shared {
    mod lock_word;
    #[cfg(test)]
    mod lock_word_loom;
}
#[cfg(loom)]
mod sys {
    pub(crate) mod futex;
}

/// Whether this program has more rights than whoever started it and wrote its environment (`AT_SECURE` in
/// `getauxval(3)`): then no `ONECOPY_*` variable is read.
#[cfg(not(loom))]
#[must_use]
pub fn environment_is_untrusted() -> bool {
    sys::environment::is_untrusted()
}

#[cfg(not(loom))]
pub use error::{AccessError, AllocateError, AttachError, Corrupt, CreateError};
#[cfg(not(loom))]
pub use file::{FileBuilder, FileError, FileIdentity, FileImage, FileKind};
pub use printable::{is_obeyed, printable, printable_path};
#[cfg(not(loom))]
pub use shared::{
    Array, ContainerError, ContainerKind, ContainerStats, Counter, Dict, DictError, List,
    ListError, Set, Value,
};
#[cfg(not(loom))]
pub use store::{
    Building, Collected, Huge, Object, ObjectId, OldAddress, Portable, PrivateMapping, Stats,
    Store, StoreOptions, Token, Uuid, View, fork_count,
};
