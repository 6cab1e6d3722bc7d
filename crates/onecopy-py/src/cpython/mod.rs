//! What the interpreter is: the ways in and out that `PyO3` does not have.
//!
//! | file | question it answers |
//! |---|---|
//! | `slot` | how does a function that the interpreter calls directly reach code that may fail? |

pub(crate) mod slot;
