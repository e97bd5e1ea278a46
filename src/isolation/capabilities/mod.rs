//! Capabilities (capabilities(7)): names, sets, their text, what is usual, and the own process's.

pub(crate) mod baseline;
pub(crate) mod file;
pub(crate) mod mode;
mod names;
pub(crate) mod own;
pub(crate) mod process;
mod state;
pub(crate) mod text;

use anyhow::{Context, Result};
use caps::CapSet;

pub use names::integer;
pub(crate) use names::{TABLE, name, number};
pub(crate) use state::Sets;
pub use state::State;

/// A set of them: bit N is capability N.
pub type Mask = u64;

/// The numbers in a set, ascending.
pub(crate) fn bits(mask: Mask) -> impl Iterator<Item = u8> {
    (0..64).filter(move |number| mask >> number & 1 == 1)
}

/// Every capability up to the last that the kernel has.
#[must_use]
pub const fn all(last: u8) -> Mask {
    u64::MAX >> (63 - if last > 63 { 63 } else { last })
}

/// The last capability that the kernel has.
pub(crate) fn last() -> Result<u8> {
    own::last().context("cannot tell which capabilities the kernel has")
}

/// Makes what is permitted ambient, so that a program that is not root's keeps it.
pub(crate) fn keep() -> Result<()> {
    let failed = |set: &str| format!("failed to set the {set} capabilities");
    let permitted = caps::read(None, CapSet::Permitted).with_context(|| failed("permitted"))?;
    caps::set(None, CapSet::Inheritable, &permitted).with_context(|| failed("inheritable"))?;
    let effective = caps::read(None, CapSet::Effective).with_context(|| failed("effective"))?;
    for capability in effective {
        caps::raise(None, CapSet::Ambient, capability).with_context(|| failed("ambient"))?;
    }
    Ok(())
}
