//! The calls into the kernel that this crate makes, apart from those of `std` and one `pread` of a header.

pub(crate) mod atfork;
pub(crate) mod environment;
pub(crate) mod file;
pub(crate) mod folder;
pub(crate) mod futex;
pub(crate) mod life;
pub(crate) mod lock;
pub(crate) mod mapping;
pub(crate) mod memory;
pub(crate) mod process;
pub(crate) mod procfs;
pub(crate) mod user;
