//! Control groups: where they are, and what is done with them.

mod care;
mod create;
mod end;
mod group;
mod hierarchy;
mod join;
pub mod limits;
pub mod measure;

pub use care::Care;
pub use create::{Step, fresh, make, steps};
pub use group::{Group, tidy};
pub use hierarchy::{Hierarchies, Hierarchy, Membership, parse, unescape};
pub use join::{Refused, enter, fork_into, join, open, put};
