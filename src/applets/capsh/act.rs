//! The options that change the capabilities and the root directory of this process.

use std::ffi::OsStr;
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::{chdir, chroot as change_root};

use super::query::{mode_of_own, silent};
use super::{Shell, fail, failed, integer, known, near};
use crate::exit::Exit;
use crate::isolation::capabilities::mode::Mode;
use crate::isolation::capabilities::own::{self, SETPCAP, SYS_CHROOT, securebits};
use crate::isolation::capabilities::text::{Flags, Iab};
use crate::isolation::capabilities::{all, name, number};
use crate::proc::Mask;
use crate::text;

/// `--mode` shows the mode, `--mode=NAME` sets it.
pub(super) fn mode(shell: &mut Shell, word: Option<&OsStr>) -> Result<(), Exit> {
    let Some(word) = word else {
        let mode = mode_of_own(shell.last)?;
        shell.out.push(format!("Mode: {}\n", mode.name()).as_bytes());
        return Ok(());
    };
    let word = text::shown(word);
    let Some(mode) = Mode::settable(&word) else {
        shell.out.push(format!("unsupported mode: {word}\n").as_bytes());
        let word = word.to_ascii_uppercase();
        return Err(silent().or_hint(move || text::did_you_mean(&word, Mode::settables().map(Mode::name))));
    };
    mode.set(shell.last).map_err(|errno| {
        let cause = crate::errno::strerror(errno as i32);
        shell.out.push(format!("failed to set mode [{word}]: {cause}\n").as_bytes());
        silent()
    })
}

pub(super) fn caps(shell: &mut Shell, word: &OsStr) -> Result<(), Exit> {
    let word = text::shown(word);
    let Some(flags) = Flags::parse(&word, shell.last) else {
        return Err(fail(format!("unable to interpret [--caps={word}]")).or_hint(misspelt(&word)));
    };
    raise_setpcap(shell);
    own::set_flags(flags).map_err(|_| fail(format!("Unable to set capabilities [--caps={word}]")))
}

/// Tries to make CAP_SETPCAP effective: with it, capabilities that are not permitted can be made inheritable.
/// Ignores a failure.
fn raise_setpcap(shell: &Shell) {
    let own = own::flags().ok().filter(|flags| !shell.strict && flags.effective & SETPCAP == 0);
    if let Some(flags) = own {
        _ = own::set_flags(Flags { effective: flags.effective | SETPCAP, ..flags });
    }
}

pub(super) fn inheritable(shell: &mut Shell, word: &OsStr) -> Result<(), Exit> {
    let before = own::flags().map_err(|errno| failed("Capabilities not available", errno))?;
    let inheritable = parse_set(&text::shown(word), shell.last).ok_or_else(|| {
        let unknown = misspelt(&text::shown(word));
        failed("Fatal error internalizing capabilities", Errno::EINVAL).or_hint(unknown)
    })?;
    raise_setpcap(shell);
    own::set_flags(Flags { inheritable, ..before })
        .map_err(|errno| failed("Unable to set inheritable capabilities", errno))
}

/// A hint that names the words of a list or text that are not names of capabilities.
fn misspelt(word: &str) -> impl Fn() -> Option<String> + Send + Sync + 'static {
    let names = word.split(|c: char| c.is_ascii_whitespace() || c == ',').map(|item| {
        let item = item.trim_start_matches(['!', '^', '%']);
        item.split(['=', '+', '-']).next().unwrap_or_default()
    });
    let is_known = |name: &str| name.is_empty() || name.eq_ignore_ascii_case("all") || number(name).is_some();
    let unknown: Vec<String> = names.filter(|name| !is_known(name)).map(str::to_owned).collect();
    move || match &unknown[..] {
        [] => None,
        [one] => {
            let near = near(one).map(|near| format!("; {near}")).unwrap_or_default();
            Some(format!("'{one}' is not a capability{near}"))
        }
        several => Some(format!("'{}' are not capabilities", several.join("', '"))),
    }
}

/// Parses names and `all`. `none` and an empty text are the empty set.
fn parse_set(word: &str, last: u8) -> Option<Mask> {
    match word {
        "" | "none" => Some(0),
        word => word.split(',').try_fold(0, |mask, name| match name.eq_ignore_ascii_case("all") {
            true => Some(mask | all(last)),
            false => Some(mask | 1 << number(name)?),
        }),
    }
}

pub(super) fn drop_bound(shell: &mut Shell, word: &OsStr) -> Result<(), Exit> {
    let word = text::shown(word);
    let last = shell.last;
    let work = || -> Result<(), Exit> {
        if word == "all" {
            return (0..=last).try_for_each(|number| {
                let what = || format!("Unable to drop bounding capability [{}]", name(number));
                own::drop_bound(number).map_err(|_| fail(what()))
            });
        }
        each(&word, |name, number| {
            own::drop_bound(number).map_err(|_| fail(format!("failed to drop [{name}={number}]")))
        })
    };
    if shell.strict {
        return work();
    }
    own::with(SETPCAP, work).map_err(|errno| failed("unable to raise CAP_SETPCAP for BSET changes", errno))?
}

/// Calls `work` for each name in a list separated by commas. Skips empty names.
fn each(word: &str, work: impl Fn(&str, u8) -> Result<(), Exit>) -> Result<(), Exit> {
    for name in word.split(',').filter(|name| !name.is_empty()) {
        work(name, known(name, || format!("capability [{name}] is unknown to libcap"))?)?;
    }
    Ok(())
}

pub(super) fn iab(shell: &mut Shell, word: &OsStr) -> Result<(), Exit> {
    let word = text::shown(word);
    let iab =
        Iab::parse(&word).ok_or_else(|| fail(format!("iab: '{word}' malformed")).or_hint(misspelt(&word)))?;
    own::set_iab(iab, shell.last).map_err(|errno| failed("unable to set IAB tuple", errno))
}

pub(super) fn add_ambient(shell: &mut Shell, word: &OsStr) -> Result<(), Exit> {
    change_ambient(shell, word, "raise", own::raise_ambient)
}

pub(super) fn remove_ambient(shell: &mut Shell, word: &OsStr) -> Result<(), Exit> {
    change_ambient(shell, word, "clear", own::lower_ambient)
}

fn change_ambient(
    shell: &Shell,
    word: &OsStr,
    verb: &str,
    change: fn(u8) -> nix::Result<()>,
) -> Result<(), Exit> {
    let word = text::shown(word);
    if word == "all" {
        return (0..=shell.last).try_for_each(|number| {
            let what = || format!("Unable to {verb} ambient capability [{}]", name(number));
            change(number).map_err(|_| fail(what()).or_hint(not_ambient(verb, number)))
        });
    }
    each(&word, |name, number| {
        change(number).map_err(|_| {
            fail(format!("failed to {verb} ambient [{name}={number}]")).or_hint(not_ambient(verb, number))
        })
    })
}

/// A hint why a capability cannot be made ambient (capabilities(7), "Ambient").
fn not_ambient(verb: &str, number: u8) -> impl Fn() -> Option<String> + Send + Sync + 'static {
    let raises = verb == "raise" && matches!(own::bound(number), Ok(Some(_)));
    move || {
        let (flags, bit, name) = (own::flags().ok()?, 1 << number, name(number));
        let not = |mask: Mask| mask & bit == 0;
        if !raises {
            return None;
        }
        if not(flags.permitted) {
            return Some(format!(
                "{name} is not permitted, and an ambient capability must be permitted and inheritable"
            ));
        }
        if not(flags.inheritable) {
            return Some(format!(
                "{name} is not inheritable, and an ambient capability must be; before --addamb: --inh={name} (or in place \
                 of both: --iab=^{name})"
            ));
        }
        let forbidden = own::securebits().ok()? & securebits::NO_AMBIENT_RAISE != 0;
        forbidden.then(|| "the securebit no-cap-ambient-raise is set (--secbits)".to_owned())
    }
}

pub(super) fn no_ambient(shell: &mut Shell) -> Result<(), Exit> {
    match own::ambient(shell.last).map_err(|errno| failed("cannot read the ambient set", errno))? {
        0 => Ok(()),
        _ => own::clear_ambient().map_err(|_| fail("failed to reset ambient set")),
    }
}

pub(super) fn set_securebits(_: &mut Shell, word: &OsStr) -> Result<(), Exit> {
    let bits = integer("--secbits", word)?;
    own::set_securebits(bits).map_err(|_| fail(format!("failed to set securebits to 0{bits:o}/0x{bits:x}")))
}

pub(super) fn keep(_: &mut Shell, word: &OsStr) -> Result<(), Exit> {
    let value = integer("--keep", word)?;
    own::set_keep(value).map_err(|errno| failed(&format!("prctl(PR_SET_KEEPCAPS, {value}) failed"), errno))
}

pub(super) fn no_new_privs(_: &mut Shell) -> Result<(), Exit> {
    own::set_no_new_privs().map_err(|errno| failed("unable to set no-new-privs", errno))
}

/// Changes the working directory to the new root too, so that no directory outside stays reachable.
pub(super) fn chroot(shell: &mut Shell, path: &OsStr) -> Result<(), Exit> {
    let done = own::with(SYS_CHROOT, || change_root(Path::new(path)).and_then(|()| chdir("/")))
        .map_err(|errno| failed("unable to raise CAP_SYS_CHROOT", errno))?;
    shell.moved = true;
    done.map_err(|errno| failed(&format!("Unable to chroot/chdir to [{}]", text::shown(path)), errno))
}
