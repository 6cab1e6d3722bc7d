//! One module per command.
#![deny(unsafe_code)]

pub(crate) mod demo;
pub(crate) mod inspect;
