//! Capability sets in the lines of `--print`.

use crate::isolation::capabilities::text::{Flags, Iab, list};
use crate::proc::Mask;

/// The first four lines of `--print`, for this or another process.
pub(super) fn first_lines(flags: Flags, bounding: Mask, ambient: Mask, iab: Iab, last: u8) -> String {
    format!(
        "Current: {}\nBounding set ={}\nAmbient set ={}\nCurrent IAB: {}\n",
        flags.text(last),
        list(bounding),
        list(ambient),
        iab.text(last)
    )
}
