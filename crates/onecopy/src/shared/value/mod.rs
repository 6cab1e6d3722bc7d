//! What a word of a container means, and values on their way in and out.
//!
//! ```text
//! 0                     nothing: an empty place
//! 1 … 0xffff            marks of a container's own, no values
//! bits of a float + 2^48                    a float; all NaNs but the usual one are blobs
//! 0xfff9 | 48 bits      an int of up to 48 bits, two's complement
//! 0xfffa | n            None, False, True
//! 0xfffb | length (3), Latin-1 or ASCII (1), four bits of zeros | 40 bits     a str of up to five bytes
//! 0xfffc | length (3)   | 40 bits           bytes, up to five
//! 0xfffe | offset       a blob: a block whose header says what and how long
//! 0xfffd | the same as 0xffff      a large value: a reference to an object that is its content (large.rs)
//! 0xffff | index (20), generation (28)      a reference to another object of the store (referring.rs)
//! ```
//! A str is kept in the narrowest of one, two and four bytes a character, as CPython keeps it. Wide ints are
//! little-endian two's complement in the fewest bytes. Objects are pickles, made and read by whoever knows how.
//!
//! * `word` is the word itself, `kind` what a blob is.
//! * `large` is a value that lies outside its container.
//! * `incoming` is a value on its way in, `read` one on its way out.

mod incoming;
mod kind;
mod large;
mod read;
mod word;

pub use incoming::Incoming;
pub(crate) use incoming::Outside;
pub(crate) use incoming::{narrowest_int, small_int};
pub use kind::Kind;
pub use large::Large;
pub(crate) use large::MAGIC as LARGE_MAGIC;
pub use read::Sink;
pub(crate) use read::{read_content, read_value};
pub use word::{Immediate, Word};

pub(crate) use super::layout::{DIRECTORY, ENTRY, LEASE, LONG_RECORD, PAGE_OF_WORDS, SEGMENT};
