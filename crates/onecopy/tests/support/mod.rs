//! What tests and fuzz targets of the image share: values and their images, and a reader of all that there is.

// Each test uses its own part of this.
#![allow(dead_code, unreachable_pub)]

pub mod model;
pub mod reader;
pub mod samples;
