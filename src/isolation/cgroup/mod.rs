//! Control groups: where they are, and what is done with them.

mod care;
mod create;
mod end;
mod group;
mod hierarchy;
mod join;
pub(crate) mod limits;
pub(crate) mod measure;

pub(crate) use care::Care;
pub(crate) use create::{Step, fresh, make, steps};
pub(crate) use group::{Group, tidy};
pub use hierarchy::{Hierarchies, parse, unescape};
pub(crate) use hierarchy::{Hierarchy, Membership};
pub(crate) use join::{Refused, enter, fork_into, join, open, put};
