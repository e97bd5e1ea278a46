//! Control groups: where they are, and what is done with them.

mod cleanup;
mod create;
mod end;
mod group;
mod hierarchy;
mod join;
pub mod limits;
pub mod measure;

pub use cleanup::CleanupGuard;
pub use create::{Step, fresh, make, steps};
pub use group::{Group, tidy};
pub use hierarchy::{Hierarchies, Hierarchy, Layout, Membership, parse};
pub use join::{Refused, enter, fork_into, join, open, put};
