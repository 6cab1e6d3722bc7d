//! How is one column read?
//!
//! | file | question it answers |
//! |---|---|
//! | `steps` | which elements, in which order? |
//! | `parts` | where do they lie, and what may be relied on? |
//! | `spare` | which object can be handed out once more? |
//! | `decode` | how does an element become an object again? |
//! | `codec` | which code reads this kind of column? |
//! | `iterator` | how does `for x in view` step? |
//! | `elements` | what do a list and its image have to do with a column? |
//! | `scan` | when can a search do without objects? |

mod codec;
mod decode;
mod elements;
mod iterator;
mod parts;
pub(crate) mod scan;
pub(crate) mod spare;
mod steps;

pub(crate) use codec::{Getter, of};
pub(crate) use decode::Format;
pub(crate) use elements::Elements;
pub(crate) use parts::Parts;
pub(crate) use steps::Steps;
