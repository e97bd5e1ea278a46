//! The options that show and test capabilities.

use std::ffi::OsStr;
use std::fmt::Write;

use anyhow::Context;
use nix::errno::Errno;
use nix::unistd::{getgroups, getresgid, getresuid};

use super::sets::first_lines;
use super::{Shell, fail, failed, inspect, integer, known, near};
use crate::exit::Exit;
use crate::isolation::capabilities::mode::Mode;
use crate::isolation::capabilities::own::{self, securebits};
use crate::isolation::capabilities::text::{Flags, Iab, list, parse_list};
use crate::isolation::capabilities::{TABLE, all};
use crate::proc::{Mask, group_name, user_name};
use crate::text;

/// The sets of this process. They are read by system calls: after `--chroot` there may be no /proc.
struct Own {
    flags: Flags,
    bounding: Mask,
    ambient: Mask,
}

impl Own {
    fn read(last: u8) -> Result<Own, Exit> {
        let flags = own::flags().context("failed to get process capabilities")?;
        let bounding = own::bounding(last).context("cannot read the bounding set")?;
        let ambient = own::ambient(last).context("cannot read the ambient set")?;
        Ok(Own { flags, bounding, ambient })
    }

    fn iab(&self) -> Iab {
        Iab { inheritable: self.flags.inheritable, ambient: self.ambient, blocked: !self.bounding }
    }

    fn mode(&self) -> Result<Mode, Exit> {
        let bits = own::securebits().context("cannot read the securebits")?;
        Ok(Mode::guess(bits, self.flags, self.bounding, self.ambient))
    }
}

pub(super) fn mode_of_own(last: u8) -> Result<Mode, Exit> {
    Own::read(last)?.mode()
}

pub(super) fn print(shell: &mut Shell, target: Option<&OsStr>) -> Result<(), Exit> {
    if let Some(word) = target {
        return inspect::print(shell, word);
    }
    let own = Own::read(shell.last)?;
    let bits = own::securebits().context("cannot read the securebits")?;
    let limited = own::no_new_privs().context("cannot read no_new_privs")?;
    let mut text = first_lines(own.flags, own.bounding, own.ambient, own.iab(), shell.last);
    _ = writeln!(text, "Securebits: {} (no-new-privs={})", in_three_bases(bits), u8::from(limited));
    for (bit, name) in securebits::NAMES {
        let on = if bits >> bit & 1 == 1 { "yes" } else { "no" };
        let locked = if bits >> bit & 2 == 2 { "locked" } else { "unlocked" };
        _ = writeln!(text, " secure-{name}: {on} ({locked})");
    }
    text += &identity()?;
    let mode = own.mode()?;
    _ = writeln!(text, "Guessed mode: {} ({})", mode.name(), mode as u8);
    shell.out.push(text.as_bytes());
    Ok(())
}

/// `057/0x2f/6'b101111`: octal, hexadecimal, and binary in Verilog's form, as libcap prints it.
fn in_three_bases(bits: u32) -> String {
    let width = (32 - bits.leading_zeros()).max(1);
    format!("0{bits:o}/0x{bits:x}/{width}'b{bits:b}")
}

fn identity() -> Result<String, Exit> {
    let user_file = std::fs::read("/etc/passwd").unwrap_or_default();
    let group_file = std::fs::read("/etc/group").unwrap_or_default();
    let user = |uid: u32| {
        let name = user_name(&user_file, uid).map_or("???".into(), text::escape);
        format!("{uid}({name})")
    };
    let group = |gid: u32| {
        let name = group_name(&group_file, gid).map_or("???".into(), text::escape);
        format!("{gid}({name})")
    };
    let groups = getgroups().context("cannot read the groups")?;
    let groups: Vec<String> = groups.iter().map(|gid| group(gid.as_raw())).collect();
    // getuid(2) cannot report an error, but a seccomp filter may make it fail.
    let uids = getresuid().context("cannot read the user ids")?;
    let gid = getresgid().context("cannot read the group ids")?.real;
    let (uid, euid) = (user(uids.real.as_raw()), user(uids.effective.as_raw()));
    Ok(format!("uid={uid} euid={euid}\ngid={}\ngroups={}\n", group(gid.as_raw()), groups.join(",")))
}

pub(super) fn current(shell: &mut Shell) -> Result<(), Exit> {
    let own = Own::read(shell.last)?;
    let (flags, iab) = (own.flags.text(shell.last), own.iab().text(shell.last));
    shell.out.push(format!("Current: {flags}\nCurrent IAB: {iab}\n").as_bytes());
    Ok(())
}

pub(super) fn modes(shell: &mut Shell) -> Result<(), Exit> {
    let names: Vec<&str> = Mode::ALL.iter().skip(1).map(|mode| mode.name()).collect();
    shell.out.push(format!("Supported modes: {}\n", names.join(" ")).as_bytes());
    Ok(())
}

pub(super) fn decode(shell: &mut Shell, word: &OsStr) -> Result<(), Exit> {
    let digits = word.to_str().unwrap_or_default();
    let digits = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")).unwrap_or(digits);
    let hexadecimal = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let mask = Mask::from_str_radix(digits, 16).ok().filter(|_| hexadecimal);
    let Some(mask) = mask else {
        let word = text::shown(word);
        return Err(fail(format!(
            "invalid --decode value: want a mask of at most 16 hexadecimal digits, got \"{word}\""
        )));
    };
    shell.out.push(format!("0x{mask:016x}={}\n", list(mask)).as_bytes());
    Ok(())
}

pub(super) fn encode(shell: &mut Shell, word: &OsStr) -> Result<(), Exit> {
    let names = text::shown(word);
    let mask = match &*names {
        "all" => Ok(all(shell.last)),
        names => parse_list(names),
    };
    let unknown = |name: &str| {
        let name = name.to_owned();
        fail(format!("capability [{name}] is unknown")).or_hint(move || near(&name))
    };
    let mask = mask.map_err(|name| unknown(&name))?;
    shell.out.push(format!("{mask:016x}\n").as_bytes());
    Ok(())
}

pub(super) fn explain(shell: &mut Shell, word: &OsStr) -> Result<(), Exit> {
    let name = word.to_str().unwrap_or_default();
    let number = known(name, || format!("unrecognised value '{}'", text::shown(word)))?;
    shell.out.push(explanation(number).as_bytes());
    Ok(())
}

fn explanation(number: u8) -> String {
    let bit: Mask = 1 << number;
    let row = TABLE.get(usize::from(number));
    let name = row.map_or("<unsupported>", |row| row.name);
    let mut text = format!("{name} ({number}) [/proc/self/status:CapXXX: 0x{bit:016x}]\n");
    if let Some(row) = row {
        text.push('\n');
        text.extend(row.help.iter().map(|line| format!("    {line}\n")));
    }
    text
}

pub(super) fn suggest(shell: &mut Shell, word: &OsStr) -> Result<(), Exit> {
    let wanted = word.to_string_lossy().to_lowercase();
    let has = |number: &u8| {
        let row = &TABLE[usize::from(*number)];
        row.name.contains(&wanted) || row.help.join(" ").to_lowercase().contains(&wanted)
    };
    let found: Vec<String> = (0..TABLE.len() as u8).filter(has).map(explanation).collect();
    shell.out.push(found.join("\n").as_bytes());
    Ok(())
}

// --- tests: they print nothing on success --------------------------------------------------------------------------

/// Requires every name of the list. libcap tests only the first name and accepts the others.
fn each(word: &OsStr, test: impl Fn(u8) -> Result<Option<&'static str>, Exit>) -> Result<(), Exit> {
    for name in text::shown(word).split(',') {
        let number = known(name, || format!("cap[{name}] not recognized by library"))?;
        if let Some(why) = test(number)? {
            return Err(fail(format!("cap[{name}] {why}")));
        }
    }
    Ok(())
}

fn in_flags(word: &OsStr, set: fn(&Flags) -> Mask, why: &'static str) -> Result<(), Exit> {
    let flags = own::flags().context("failed to get process capabilities")?;
    each(word, |number| Ok((set(&flags) >> number & 1 == 0).then_some(why)))
}

pub(super) fn has_permitted(_: &mut Shell, word: &OsStr) -> Result<(), Exit> {
    in_flags(word, |flags| flags.permitted, "not permitted")
}

pub(super) fn has_inheritable(_: &mut Shell, word: &OsStr) -> Result<(), Exit> {
    in_flags(word, |flags| flags.inheritable, "not inheritable")
}

pub(super) fn has_ambient(_: &mut Shell, word: &OsStr) -> Result<(), Exit> {
    each(word, |number| match own::is_ambient(number) {
        Ok(true) => Ok(None),
        Ok(false) | Err(Errno::EINVAL) => Ok(Some("not in ambient vector")),
        Err(errno) => Err(failed("cannot read the ambient set", errno)),
    })
}

/// A capability that the kernel does not know is in no set. libcap reports that it is in the bounding set.
pub(super) fn has_bound(_: &mut Shell, word: &OsStr) -> Result<(), Exit> {
    each(word, |number| match own::bound(number) {
        Ok(answer) => Ok((answer != Some(true)).then_some("not in bounding vector")),
        Err(errno) => Err(failed("cannot read the bounding set", errno)),
    })
}

pub(super) fn knows_ambient(_: &mut Shell) -> Result<(), Exit> {
    match own::is_ambient(0) {
        Ok(_) => Ok(()),
        Err(Errno::EINVAL) => Err(fail("ambient set not supported")),
        Err(errno) => Err(failed("cannot read the ambient set", errno)),
    }
}

pub(super) fn has_no_new_privs(_: &mut Shell) -> Result<(), Exit> {
    match own::no_new_privs() {
        Ok(true) => Ok(()),
        Ok(false) => Err(fail("no-new-privs not set")),
        Err(errno) => Err(failed("cannot read no_new_privs", errno)),
    }
}

pub(super) fn supports(shell: &mut Shell, word: &OsStr) -> Result<(), Exit> {
    let last = shell.last;
    for name in text::shown(word).split(',') {
        let number = known(name, || format!("cap[{name}] not recognized by library"))?;
        if number > last {
            return Err(fail(format!("cap[{name}={number}] not supported by kernel")));
        }
    }
    Ok(())
}

pub(super) fn is_uid(_: &mut Shell, word: &OsStr) -> Result<(), Exit> {
    let uids = getresuid().context("cannot read the user ids")?;
    same("uid", uids.real.as_raw(), integer("--is-uid", word)?)
}

pub(super) fn is_gid(_: &mut Shell, word: &OsStr) -> Result<(), Exit> {
    let gids = getresgid().context("cannot read the group ids")?;
    same("gid", gids.real.as_raw(), integer("--is-gid", word)?)
}

fn same(what: &str, got: u32, want: u32) -> Result<(), Exit> {
    if got == want { Ok(()) } else { Err(fail(format!("{what}: got={got}, want={want}"))) }
}

pub(super) fn in_mode(shell: &mut Shell, word: &OsStr) -> Result<(), Exit> {
    let got = mode_of_own(shell.last)?.name();
    let want = text::shown(word);
    if got == want {
        return Ok(());
    }
    shell.out.push(format!("mismatched mode got={got} want={want}\n").as_bytes());
    Err(silent())
}

/// A failure that was reported on standard output.
pub(super) fn silent() -> Exit {
    Exit::Message { status: 1, text: String::new(), hint: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn securebits_in_three_bases() {
        assert_eq!(in_three_bases(0), "00/0x0/1'b0");
        assert_eq!(in_three_bases(1), "01/0x1/1'b1");
        assert_eq!(in_three_bases(47), "057/0x2f/6'b101111");
        assert_eq!(in_three_bases(512), "01000/0x200/10'b1000000000");
    }

    #[test]
    fn an_explanation_follows_the_name() {
        let text = explanation(0);
        assert!(
            text.starts_with("cap_chown (0) [/proc/self/status:CapXXX: 0x0000000000000001]\n\n    C"),
            "{text}"
        );
        assert_eq!(explanation(63), "<unsupported> (63) [/proc/self/status:CapXXX: 0x8000000000000000]\n");
    }
}
