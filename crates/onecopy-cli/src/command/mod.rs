//! One module per command.
#![forbid(unsafe_code)]

pub(crate) mod demo;
