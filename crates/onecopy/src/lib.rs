//! One read-only copy of your data for all your worker processes.
#![deny(unsafe_code)]

pub mod fork;
pub mod image;
pub mod store;
