//! How do one Python value and one scalar turn into each other?
//!
//! | file | question it answers |
//! |---|---|
//! | `item` | which plain value is an object? |
//! | `scalar` | which object is a plain value? |
//! | `text` | the same two for strs, by hand |
//! | `failure` | how do those that give raw objects fail? |
//! | `key` | when are two keys the same, and what is the hash of one in an image? |
//! | `index` | which place does an index mean? |
//! | `truth` | is an argument true? |

pub(crate) mod failure;
pub(crate) mod index;
pub(crate) mod item;
pub(crate) mod key;
pub(crate) mod repr;
pub(crate) mod scalar;
pub(crate) mod text;
pub(crate) mod truth;

pub(crate) use key::key_hash;
pub(crate) use truth::Truth;
