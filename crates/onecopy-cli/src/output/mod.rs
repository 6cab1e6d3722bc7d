//! Outcomes in the forms in which they are printed.
#![forbid(unsafe_code)]

pub(crate) mod csv;
pub(crate) mod html;
pub(crate) mod json;
pub(crate) mod report;
pub(crate) mod table;
pub(crate) mod units;
pub(crate) mod why;
