//! Capabilities (capabilities(7)): names, sets, their text forms, default sets, and those of this process.

pub(crate) mod baseline;
pub(crate) mod file;
pub(crate) mod mode;
mod names;
pub(crate) mod own;
pub(crate) mod process;
mod sets;
pub(crate) mod text;

use anyhow::{Context, Result};
use caps::CapSet;

use crate::proc::Mask;
pub use names::integer;
pub(crate) use names::{TABLE, name, number};

/// The numbers in a set, in ascending order.
pub(crate) fn bits(mask: Mask) -> impl Iterator<Item = u8> {
    (0..64).filter(move |number| mask >> number & 1 == 1)
}

/// Every capability up to the last one of the kernel.
#[must_use]
pub const fn all(last: u8) -> Mask {
    u64::MAX >> (63 - if last > 63 { 63 } else { last })
}

/// The last capability that the kernel has.
pub(crate) fn last() -> Result<u8> {
    own::last().context("cannot find out which capabilities the kernel has")
}

/// Makes all permitted capabilities ambient, so that a program of an ordinary user keeps them.
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
