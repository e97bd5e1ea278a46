//! Capabilities as text, in both directions: cap_to_text(3) and cap_from_text(3), and the IAB form of cap_iab(3).
//!
//! The rules were found by testing libcap 2.66 and 2.78 with many sets and texts; tests/compat_caps.rs repeats this
//! with the installed version.
//! does it again with the one that is installed.

use super::names::{number, push_name};
use super::{TABLE, all, bits};
use crate::proc::Mask;

/// The three sets in the text form of cap_from_text(3).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Flags {
    pub effective: Mask,
    pub inheritable: Mask,
    pub permitted: Mask,
}

/// The sets that a capability is in: one of eight combinations.
const E: u8 = 1;
const P: u8 = 2;
const I: u8 = 4;

impl Flags {
    fn flags_of(&self, number: u8) -> u8 {
        let is_in = |mask: Mask, flag| if mask >> number & 1 == 1 { flag } else { 0 };
        is_in(self.effective, E) | is_in(self.permitted, P) | is_in(self.inheritable, I)
    }

    fn set(&mut self, mask: Mask, flags: u8, on: bool) {
        for (flag, set) in [(E, &mut self.effective), (P, &mut self.permitted), (I, &mut self.inheritable)] {
            if flags & flag != 0 {
                *set = if on { *set | mask } else { *set & !mask };
            }
        }
    }

    /// The combination of most of the kernel's capabilities comes first, as `=ep`. Other groups follow, with the
    /// flags that they add or lack. If two combinations are equally common, the one with fewer flags is used. Capabilities
    /// that the kernel does not know come last, with all their flags.
    #[must_use]
    pub fn text(&self, last: u8) -> String {
        let mut members: [Mask; 8] = [0; 8];
        for number in 0..64 {
            members[usize::from(self.flags_of(number))] |= 1 << number;
        }
        let known = all(last);
        let count = |flags: u8| (members[usize::from(flags)] & known).count_ones();
        let base = (0..8).max_by_key(|&flags| (count(flags), std::cmp::Reverse(flags))).unwrap_or(0);

        let mut text = String::with_capacity(64);
        if base != 0 {
            text.push('=');
            push_flags(&mut text, base);
        }
        let mut explicit = base != 0;
        for flags in (0..8).rev().filter(|&flags| flags != base && count(flags) > 0) {
            push_group(&mut text, members[usize::from(flags)] & known);
            if flags & !base != 0 {
                text.push(if explicit { '+' } else { '=' });
                push_flags(&mut text, flags & !base);
            }
            if base & !flags != 0 {
                text.push('-');
                push_flags(&mut text, base & !flags);
            }
            explicit = true;
        }
        if text.is_empty() {
            text.push('=');
        }
        for flags in (1..8).rev() {
            let unknown = members[usize::from(flags)] & !known;
            if unknown != 0 {
                push_group(&mut text, unknown);
                text.push('+');
                push_flags(&mut text, flags);
            }
        }
        text
    }

    /// Clauses separated by white space: a list of names, `all`, or nothing for all; then actions `=ei`, `+p`, `-p`.
    /// None if the text is invalid.
    #[must_use]
    pub fn parse(text: &str, last: u8) -> Option<Flags> {
        let mut flags = Flags::default();
        let clauses = text.split(|c: char| c.is_ascii_whitespace() || c == '\x0b');
        clauses.filter(|clause| !clause.is_empty()).try_for_each(|clause| flags.apply(clause, last))?;
        Some(flags)
    }

    fn apply(&mut self, clause: &str, last: u8) -> Option<()> {
        let (names, mut actions) = clause.split_at(clause.find(['=', '+', '-'])?);
        let all_names = all(last);
        let mask = match names {
            "" => all_names,
            names => names.split(',').try_fold(0, |mask, name| joined(mask, name, all_names))?,
        };
        if let Some(rest) = actions.strip_prefix('=') {
            let (letters, rest) = rest.split_at(rest.find(['=', '+', '-']).unwrap_or(rest.len()));
            self.set(mask, E | P | I, false);
            self.set(mask, letters_of(letters)?, true);
            actions = rest;
        } else if names.is_empty() {
            return None;
        }
        if names.is_empty() && !actions.is_empty() {
            return None; // libcap refuses `=p+i`, but accepts `all=p+i`
        }
        while !actions.is_empty() {
            let on = match actions.as_bytes()[0] {
                b'+' => true,
                b'-' => false,
                _ => return None,
            };
            let rest = &actions[1..];
            let (letters, rest) = rest.split_at(rest.find(['=', '+', '-']).unwrap_or(rest.len()));
            let flags = letters_of(letters).filter(|flags| *flags != 0)?;
            self.set(mask, flags, on);
            actions = rest;
        }
        Some(())
    }
}

/// `all` after another name means all named capabilities; unnamed ones before it are lost, as in libcap.
fn joined(mask: Mask, name: &str, all_names: Mask) -> Option<Mask> {
    if name.eq_ignore_ascii_case("all") {
        return Some(all_names);
    }
    number(name).map(|number| mask | 1 << number)
}

fn letters_of(letters: &str) -> Option<u8> {
    letters.bytes().try_fold(0, |flags, letter| match letter {
        b'e' => Some(flags | E),
        b'i' => Some(flags | I),
        b'p' => Some(flags | P),
        _ => None,
    })
}

fn push_flags(text: &mut String, flags: u8) {
    for (flag, letter) in [(E, 'e'), (I, 'i'), (P, 'p')] {
        if flags & flag != 0 {
            text.push(letter);
        }
    }
}

fn push_group(text: &mut String, mask: Mask) {
    if !text.is_empty() {
        text.push(' ');
    }
    push_list(text, mask);
}

fn push_list(text: &mut String, mask: Mask) {
    for (i, number) in bits(mask).enumerate() {
        if i > 0 {
            text.push(',');
        }
        push_name(text, number);
    }
}

/// `cap_chown,cap_kill,41`.
#[must_use]
pub(crate) fn list(mask: Mask) -> String {
    let mut text = String::new();
    push_list(&mut text, mask);
    text
}

/// The mask for such a list; the prefix `cap_` is optional. Err: the word that is not a capability.
pub fn parse_list(text: &str) -> Result<Mask, String> {
    text.split(',').map(str::trim).filter(|name| !name.is_empty()).try_fold(0, |mask, name| {
        let short = || number(&format!("cap_{name}"));
        number(name).or_else(short).map(|number| mask | 1 << number).ok_or_else(|| name.to_owned())
    })
}

/// What a program inherits and what it can never gain, in the form of cap_iab(3).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Iab {
    pub inheritable: Mask,
    pub ambient: Mask,
    /// Capabilities that are NOT in the bounding set.
    pub blocked: Mask,
}

impl Iab {
    #[must_use]
    pub fn text(&self, last: u8) -> String {
        let mut text = String::new();
        for number in bits((self.inheritable | self.ambient | self.blocked) & all(last)) {
            let is_in = |mask: Mask| mask >> number & 1 == 1;
            if !text.is_empty() {
                text.push(',');
            }
            if is_in(self.blocked) {
                text.push('!');
            }
            if is_in(self.ambient) {
                text.push('^');
            } else if is_in(self.inheritable) && is_in(self.blocked) {
                text.push('%');
            }
            push_name(&mut text, number);
        }
        text
    }

    /// Names with marks before them, separated by commas. The list may end with a comma or with marks without a name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Iab> {
        let mut iab = Iab::default();
        let mut items = text.split(',').peekable();
        while let Some(item) = items.next() {
            let name = item.trim_start_matches(['!', '^', '%']);
            let marks = &item[..item.len() - name.len()];
            if name.is_empty() && items.peek().is_none() {
                break;
            }
            let bit: Mask = 1 << number(name)?;
            if marks.contains('!') {
                iab.blocked |= bit;
            }
            if marks.contains('^') {
                iab.ambient |= bit;
            }
            if marks.contains(['^', '%']) || marks.is_empty() {
                iab.inheritable |= bit;
            }
        }
        Some(iab)
    }
}

/// `net_admin` in the form of runtimes: `NET_ADMIN`.
#[must_use]
pub(crate) fn short_name(number: u8) -> String {
    match TABLE.get(usize::from(number)) {
        Some(row) => row.name.trim_start_matches("cap_").to_ascii_uppercase(),
        None => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAST: u8 = 40;

    fn flags(effective: Mask, inheritable: Mask, permitted: Mask) -> Flags {
        Flags { effective, inheritable, permitted }
    }

    #[test]
    fn the_most_common_combination_comes_first() {
        let all = all(LAST);
        for (e, i, p, text) in [
            (0, 0, 0, "="),
            (all, 0, all, "=ep"),
            (all & !(1 << 24), 0, all & !(1 << 24), "=ep cap_sys_resource-ep"),
            (0, 0, 1, "cap_chown=p"),
            (0x21, 0, 0x2021, "cap_chown,cap_kill=ep cap_net_raw+p"),
            (0x2001, 0x2000, 0x2021, "cap_net_raw=eip cap_chown+ep cap_kill+p"),
            (0, 0, 1 << 41, "= 41+p"),
            (0, 0, 1 | 1 << 41, "cap_chown=p 41+p"),
        ] {
            assert_eq!(flags(e, i, p).text(LAST), text);
            assert_eq!(Flags::parse(text, LAST), Some(flags(e, i, p)), "{text}");
        }
    }

    /// xorshift64* with a fixed seed: the same masks in every run.
    fn masks() -> impl FnMut() -> Mask {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        move || {
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            state.wrapping_mul(0x2545_f491_4f6c_dd1d)
        }
    }

    #[test]
    fn written_text_reads_back() {
        let mut mask = masks();
        for round in 0..5_000 {
            let thin = if round % 2 == 0 { mask() & mask() & mask() } else { u64::MAX };
            let some = flags(mask() & thin, mask() & thin, mask() | !thin);
            assert_eq!(Flags::parse(&some.text(LAST), LAST), Some(some));
            let known = all(LAST);
            let ambient = mask() & thin & known;
            let iab = Iab { inheritable: mask() & known | ambient, ambient, blocked: mask() & known };
            assert_eq!(Iab::parse(&iab.text(LAST)), Some(iab));
            assert_eq!(parse_list(&list(some.permitted)), Ok(some.permitted));
        }
    }

    #[test]
    fn invalid_texts_are_rejected() {
        for text in [
            "cap_chown",
            "cap_chown+",
            "+p",
            "=+p",
            "=p+i",
            "==",
            "cap_chown=p,cap_kill=p",
            "cap_chown,=p",
            ",=p",
            "cap_chown =p",
            "cap_chown=px",
            "chown=p",
            "64=p",
            "08=p",
            "cap_chown=p=i",
            "cap_chown++p",
            "=P",
            "é=p",
        ] {
            assert_eq!(Flags::parse(text, LAST), None, "{text}");
        }
        for text in
            [",", ",cap_chown", "cap_chown,,cap_kill", "^,cap_chown", "all", "cap_chown ", "64", "cap_chown!"]
        {
            assert_eq!(Iab::parse(text), None, "{text}");
        }
    }

    #[test]
    fn marks_in_any_order_and_a_comma_at_the_end() {
        let one = |text| Iab::parse(text).map(|iab| iab.text(LAST));
        for (text, normal) in [
            ("%cap_chown", "cap_chown"),
            ("^!cap_chown", "!^cap_chown"),
            ("!cap_chown,cap_chown", "!%cap_chown"),
            ("cap_chown,", "cap_chown"),
            ("^", ""),
            ("41", ""),
            ("0x1", "cap_dac_override"),
        ] {
            assert_eq!(one(text).as_deref(), Some(normal), "{text}");
        }
    }

    #[test]
    fn lists_with_short_names() {
        assert_eq!(parse_list("cap_chown, net_raw ,41"), Ok(1 | 1 << 13 | 1 << 41));
        assert_eq!(parse_list("NET_RAW"), Ok(1 << 13));
        assert_eq!(parse_list(""), Ok(0));
        assert_eq!(parse_list("cap_chown,foo"), Err("foo".to_owned()));
    }
}
