//! Capabilities of this process (capabilities(7)).

use anyhow::{Context, Result};
use caps::CapSet;

/// Makes what is permitted ambient, so that a program that is not root's keeps it.
pub fn keep() -> Result<()> {
    let failed = |set: &str| format!("failed to set the {set} capabilities");
    let permitted = caps::read(None, CapSet::Permitted).with_context(|| failed("permitted"))?;
    caps::set(None, CapSet::Inheritable, &permitted).with_context(|| failed("inheritable"))?;
    let effective = caps::read(None, CapSet::Effective).with_context(|| failed("effective"))?;
    for capability in effective {
        caps::raise(None, CapSet::Ambient, capability).with_context(|| failed("ambient"))?;
    }
    Ok(())
}
