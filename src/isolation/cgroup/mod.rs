//! Control groups: where they are, and what is done with them.

mod hierarchy;
mod join;

pub use hierarchy::{Hierarchies, Hierarchy, Layout, Membership, parse, unescape};
pub use join::join;
