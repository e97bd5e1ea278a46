//! Control groups: find, create, limit, join, measure and end them.

mod bounds;
pub(crate) mod chain;
mod cleanup;
mod create;
mod end;
mod frozen;
mod group;
mod hierarchy;
mod io;
mod join;
mod kept;
pub(crate) mod kills;
pub(crate) mod limits;
mod listing;
pub(crate) mod measure;
pub(crate) mod memory;
mod named;
pub(crate) mod pressure;
mod throttled;
mod view;

pub(crate) use cleanup::CleanupGuard;
pub(crate) use create::{Step, fresh, make, steps};
pub(crate) use group::{Group, tidy};
pub use hierarchy::{Hierarchies, parse};
pub(crate) use hierarchy::{Hierarchy, Membership, is_within, parse_whole, shared_depth};
pub(crate) use join::{Refused, enter, fork_into, join, open, put};
pub(crate) use listing::Listing;
pub(crate) use view::View;
