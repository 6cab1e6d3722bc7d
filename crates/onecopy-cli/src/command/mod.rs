//! One module per command.
#![deny(unsafe_code)]

pub(crate) mod demo;
pub(crate) mod diff;
pub(crate) mod doctor;
pub(crate) mod inspect;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod shell;
pub(crate) mod top;
pub(crate) mod why;
