//! The modes of libcap: named combinations of securebits and sets (cap_get_mode(3)).

use super::own::{self, securebits};
use super::text::Flags;
use crate::proc::Mask;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Uncertain,
    NoPriv,
    Pure1eInit,
    Pure1e,
    Hybrid,
}

impl Mode {
    /// In the order of libcap's numbers; all but the first can be set.
    pub(crate) const ALL: [Mode; 5] =
        [Mode::Uncertain, Mode::NoPriv, Mode::Pure1eInit, Mode::Pure1e, Mode::Hybrid];

    #[must_use]
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Mode::Uncertain => "UNCERTAIN",
            Mode::NoPriv => "NOPRIV",
            Mode::Pure1eInit => "PURE1E_INIT",
            Mode::Pure1e => "PURE1E",
            Mode::Hybrid => "HYBRID",
        }
    }

    #[must_use]
    pub(crate) fn settable(name: &str) -> Option<Mode> {
        Mode::settables().find(|mode| mode.name() == name)
    }

    /// All but the first one, UNCERTAIN.
    pub(crate) fn settables() -> impl Iterator<Item = Mode> {
        Mode::ALL.into_iter().skip(1)
    }

    /// The mode for `bits` and the sets.
    #[must_use]
    pub(crate) fn guess(bits: u32, flags: Flags, bounding: Mask, ambient: Mask) -> Mode {
        match bits {
            0 => Mode::Hybrid,
            securebits::PURE if ambient != 0 => Mode::Uncertain,
            securebits::PURE if flags.inheritable != 0 => Mode::Pure1e,
            securebits::PURE if flags.permitted | flags.effective | bounding == 0 => Mode::NoPriv,
            securebits::PURE => Mode::Pure1eInit,
            _ => Mode::Uncertain,
        }
    }

    /// Puts this process into the mode; afterwards no capability is effective.
    pub(crate) fn set(self, last: u8) -> nix::Result<()> {
        let mut flags = own::flags()?;
        own::set_flags(Flags { effective: flags.effective | own::SETPCAP, ..flags })?;
        if self == Mode::Hybrid {
            own::set_securebits(0)?;
        } else {
            if own::ambient(last)? != 0 {
                own::clear_ambient()?;
            }
            own::set_securebits(securebits::PURE)?;
        }
        match self {
            Mode::NoPriv => {
                (0..=last).try_for_each(own::drop_bound)?;
                own::set_no_new_privs()?;
                flags = Flags::default();
            }
            Mode::Pure1eInit => flags.inheritable = 0,
            _ => {}
        }
        own::set_flags(Flags { effective: 0, ..flags })
    }
}
