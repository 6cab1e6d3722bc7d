//! Atomics from `core`, or from loom when the small kernels are model-checked (`--cfg loom`).
#![forbid(unsafe_code)]
#![allow(clippy::disallowed_types, reason = "this file is the one place that names them")]

#[cfg(not(loom))]
pub(crate) use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering};
