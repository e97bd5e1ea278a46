//! The same command lines for libcap's getpcaps, as the system has it, and for ctrbox: stdout, message, status. And
//! the text of sets and lists, parsed and printed, compared with libcap itself, called through Python.
//!
//! The system's was 2.66 and 2.78 when these were written; they differ in the usage only.

use std::fmt::Write;

use crate::common::compat::{Bench, Differs, Row, Same, all_alike, libcap_comparable, rows_are_distinct};
use crate::common::process::{Holder, fed};
use crate::common::{program, skip, stderr, stdout, there};
use ctrbox::testing::isolation::capabilities::own;
use ctrbox::testing::isolation::capabilities::text::{Flags, Iab};
use ctrbox::testing::proc::Mask;

const HELP: &str = "the text of --help, which goes to stdout";
const LICENSE: &str = "the license of ctrbox";
const USAGE: &str = "the message names the mistake; libcap prints its whole usage";
const CONTAINER: &str = "a word is a container";
const EMPTY: &str = "an empty word is no PID; libcap takes it for 0";
const SELF: &str = "0 is the calling process with --iab too; libcap fails";

/// `$pid` is a process, `$gone` a PID without one.
const ROWS: &[Row] = &[
    ("getpcaps", Differs(USAGE)),
    ("getpcaps 1", Same),
    ("getpcaps 1 $pid", Same),
    ("getpcaps --legacy 1 $pid", Same),
    ("getpcaps --ugly 1", Same),
    ("getpcaps --verbose 1 $pid", Same),
    ("getpcaps --iab 1 $pid", Same),
    ("getpcaps --verbose --iab 1", Same),
    ("getpcaps --legacy --iab 1", Same),
    ("getpcaps --legacy --verbose 1", Same),
    ("getpcaps --verbose --legacy 1", Same),
    ("getpcaps 1 --legacy $pid --verbose 1", Same),
    ("getpcaps 1 --iab 1", Same),
    ("getpcaps $gone", Same),
    ("getpcaps $gone 1", Same),
    ("getpcaps 1 $gone", Same),
    ("getpcaps --iab $gone 1", Same),
    ("getpcaps --legacy $gone 1", Same),
    ("getpcaps --verbose $gone 1", Same),
    ("getpcaps x", Differs(CONTAINER)),
    ("getpcaps 1x", Differs(CONTAINER)),
    ("getpcaps x1 1", Differs(CONTAINER)),
    ("getpcaps 0", Same),
    ("getpcaps -1", Same),
    ("getpcaps -- 1", Same),
    ("getpcaps -v 1", Same),
    ("getpcaps --foo 1", Same),
    ("getpcaps --help", Differs(HELP)),
    ("getpcaps -h", Differs(HELP)),
    ("getpcaps --usage", Differs(HELP)),
    ("getpcaps 1 --help", Differs(HELP)),
    ("getpcaps --help 1", Differs(HELP)),
    ("getpcaps --license", Differs(LICENSE)),
    ("getpcaps 1 --license", Differs(LICENSE)),
    ("getpcaps --license 1", Differs(LICENSE)),
    ("getpcaps ''", Differs(EMPTY)),
    ("getpcaps ' 1'", Same),
    ("getpcaps +1", Same),
    ("getpcaps 01", Same),
    ("getpcaps 0x1", Differs(CONTAINER)),
    ("getpcaps 4294967297", Same),
    ("getpcaps 99999999999999999999", Same),
    ("getpcaps --leg 1", Same),
    ("getpcaps --verbose", Same),
    ("getpcaps --iab", Same),
    ("getpcaps --legacy", Same),
    ("getpcaps -4", Same),
    ("getpcaps -1 1", Same),
    ("getpcaps --iab 0", Differs(SELF)),
    ("getpcaps --help --foo", Differs(HELP)),
    ("getpcaps --foo --help", Differs(HELP)),
    ("getpcaps 1 x $pid", Differs(CONTAINER)),
    ("setpriv --inh-caps=+chown --ambient-caps=+chown sh -c 'getpcaps $$ --iab $$ | sed s/$$/PID/'", Same),
    (
        "setpriv --inh-caps=+chown,+kill --ambient-caps=+chown --reuid=1 --clear-groups sh -c 'getpcaps $$ --iab $$ | sed s/$$/PID/'",
        Same,
    ),
    ("setpriv --bounding-set=-net_raw,-chown sh -c 'getpcaps $$ --iab $$ --legacy $$| sed s/$$/PID/'", Same),
    ("setpriv --bounding-set=-all sh -c 'getpcaps $$ --iab $$ --legacy $$| sed s/$$/PID/'", Same),
    ("setpriv --securebits=+noroot sh -c 'getpcaps $$ --iab $$ --verbose $$| sed s/$$/PID/'", Same),
    ("setpriv --reuid=1 --clear-groups sh -c 'getpcaps $$ --iab $$ --verbose $$| sed s/$$/PID/'", Same),
    ("unshare -Ur sh -c 'getpcaps $$ --iab $$ | sed s/$$/PID/'", Same),
    ("unshare -U sh -c 'getpcaps $$ --iab $$ | sed s/$$/PID/'", Same),
    ("unshare -Urpf --mount-proc sh -c 'getpcaps 1 --iab 1 $$'", Same),
    (
        "unshare -Ur setpriv --bounding-set=-all,+chown,+kill sh -c 'getpcaps $$ --iab $$ | sed s/$$/PID/'",
        Same,
    ),
    (
        "unshare -Ur /usr/sbin/capsh --inh=cap_chown,41,cap_kill --addamb=cap_kill -- -c 'getpcaps $$ --iab $$ | sed s/$$/PID/'",
        Same,
    ),
    ("setpriv --reuid=1 --clear-groups sh -c 'getpcaps 1 --iab 1'", Same),
    ("getpcaps 1 2>/dev/null", Same),
];

#[test]
fn the_same_as_libcaps_getpcaps() {
    if !libcap_comparable("getpcaps") {
        return;
    }
    rows_are_distinct(ROWS, 60);
    let held = Holder::new(&["--uts"], "");
    let bench = Bench::new("compat-caps", "getpcaps", "");
    let gone = (1 << 22).to_string(); // no PID is that large
    all_alike(ROWS, |line, whose| {
        let mut command = bench.shell(line, whose);
        bench.said(command.env("pid", held.pid.to_string()).env("gone", &gone), whose)
    });
}

// --- text ---------------------------------------------------------------------------------------------------

/// Reads lines: `set E I P` in hexadecimal, `text TEXT`, `iab TEXT`; answers each with what libcap makes of it.
const ORACLE: &str = r#"
import ctypes, sys
lib = ctypes.CDLL("libcap.so.2")
for name in "cap_init cap_to_text cap_from_text cap_iab_from_text cap_iab_to_text".split():
    getattr(lib, name).restype = ctypes.c_void_p
pointer = ctypes.c_void_p
def taken(text):
    shown = ctypes.string_at(text).decode()
    lib.cap_free(pointer(text))
    return shown
def of_sets(masks):
    caps = lib.cap_init()
    for flag, mask in zip((0, 2, 1), masks):
        for bit in range(64):
            if mask >> bit & 1:
                lib.cap_set_flag(pointer(caps), flag, 1, (ctypes.c_int * 1)(bit), 1)
    text = taken(lib.cap_to_text(pointer(caps), None))
    lib.cap_free(pointer(caps))
    return text
def of_text(text):
    caps = lib.cap_from_text(text.encode())
    if not caps:
        return "none"
    masks = []
    value = ctypes.c_int()
    for flag in (0, 2, 1):
        mask = 0
        for bit in range(64):
            lib.cap_get_flag(pointer(caps), bit, flag, ctypes.byref(value))
            mask |= value.value << bit
        masks.append("%x" % mask)
    lib.cap_free(pointer(caps))
    return " ".join(masks)
def of_iab(text):
    iab = lib.cap_iab_from_text(text.encode())
    if not iab:
        return "none"
    text = taken(lib.cap_iab_to_text(pointer(iab)))
    lib.cap_free(pointer(iab))
    return text
answers = []
for line in sys.stdin.read().split("\n")[:-1]:
    kind, _, rest = line.partition(" ")
    if kind == "set":
        answers.append(of_sets([int(mask, 16) for mask in rest.split()]))
    else:
        answers.append((of_text if kind == "text" else of_iab)(rest))
print("\n".join(answers))
"#;

/// libcap's answers to the lines.
fn libcap(lines: &str) -> Option<Vec<String>> {
    if !there("python3") {
        skip("libcap", "there is no python3 to call it");
        return None;
    }
    let output = fed(program("python3").args(["-c", ORACLE]), Some(lines.as_bytes()));
    if !output.status.success() {
        skip("libcap", stderr(&output).lines().last().unwrap_or("it cannot be called"));
        return None;
    }
    Some(stdout(&output).lines().map(str::to_owned).collect())
}

/// xorshift64*: the same masks in every run.
struct Masks(u64);

impl Masks {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Empty, full, thin, thick, a single one; with and without what no kernel has.
    fn mask(&mut self) -> Mask {
        let mask = match self.next() >> 32 & 7 {
            0 => 0,
            1 => u64::MAX,
            2 => 1 << (self.next() >> 58),
            3 => self.next() & self.next() & self.next(),
            4 => self.next() | self.next() | self.next(),
            _ => self.next(),
        };
        if self.next() >> 60 == 0 { mask } else { mask & 0x1ff_ffff_ffff }
    }
}

/// All there is of a few capabilities, each single one in each combination, and thousands of random sets.
fn sets() -> Vec<Flags> {
    let mut sets = Vec::new();
    for bits in 0..1_u64 << 9 {
        let few = |at: u64| (bits >> at & 1) | (bits >> at & 2) << 12 | (bits >> at & 4) << 22; // 0, 13, 24
        sets.push(Flags { effective: few(0), inheritable: few(3), permitted: few(6) });
    }
    for number in 0..64 {
        for flags in 1..8_u64 {
            let of = |flag: u64| if flags & flag == 0 { 0 } else { 1 << number };
            sets.push(Flags { effective: of(1), inheritable: of(2), permitted: of(4) });
        }
    }
    let mut masks = Masks(0x9e37_79b9_7f4a_7c15);
    for round in 0..4_000 {
        let permitted = masks.mask();
        let effective = if round % 3 == 0 { permitted } else { masks.mask() };
        let inheritable = if round % 5 == 0 { permitted } else { masks.mask() };
        sets.push(Flags { effective, inheritable, permitted });
    }
    sets
}

#[test]
fn sets_have_the_text_that_libcap_gives_them() {
    let last = own::last().expect("the last capability");
    let sets = sets();
    let mut lines = String::new();
    for set in &sets {
        _ = writeln!(lines, "set {:x} {:x} {:x}", set.effective, set.inheritable, set.permitted);
    }
    let Some(theirs) = libcap(&lines) else { return };
    assert_eq!(theirs.len(), sets.len());
    for (set, theirs) in sets.iter().zip(&theirs) {
        assert_eq!(&set.text(last), theirs, "{set:x?}");
    }
}

/// Texts of parts put together at random, each part one of a list; and one in four with rubbish somewhere.
fn texts(parts: &[&[&str]], rubbish: &[&str]) -> Vec<String> {
    let mut masks = Masks(0x0123_4567_89ab_cdef);
    let mut one_of = |words: &[&str]| {
        let index = usize::try_from((masks.next() >> 8) % words.len() as u64).expect("an index");
        words[index].to_owned()
    };
    let mut texts = Vec::new();
    for round in 0..6_000 {
        let mut text: String = (0..=round % 3).flat_map(|_| parts).map(|words| one_of(words)).collect();
        if round % 4 == 0 {
            let cut = text.len() * (round % 7) / 7;
            text = text[..cut].to_owned() + &one_of(rubbish) + &text[cut..];
        }
        texts.push(text);
    }
    texts.extend(rubbish.iter().map(|word| (*word).to_owned()));
    texts
}

#[test]
fn texts_are_parsed_as_by_libcap() {
    let last = own::last().expect("the last capability");
    let names = ["cap_chown", "CAP_Kill", "all", "ALL", "0", "40", "41", "63", "0x1f", "010", ""];
    let more = ["", "", ",cap_net_raw", ",all", ",7,cap_bpf"];
    let actions = ["=p", "=ep", "=", "+eip", "-p", "=i+p-i", "+e-i", "=+p", "=ppp"];
    let rubbish = ["+", "-", "=", "P", ",", " ", "\t", "64", "08", "+7", "foo", "x", ",,", "é", "cap_", "=p"];
    let texts = texts(&[&names, &more, &actions, &[" ", "  ", "\t", "\x0b"]], &rubbish);
    let lines: String = texts.iter().map(|text| format!("text {text}\n")).collect();
    let Some(theirs) = libcap(&lines) else { return };
    assert_eq!(theirs.len(), texts.len());
    for (text, theirs) in texts.iter().zip(&theirs) {
        let ours = Flags::parse(text, last).map_or("none".to_owned(), |flags| {
            format!("{:x} {:x} {:x}", flags.effective, flags.inheritable, flags.permitted)
        });
        assert_eq!(&ours, theirs, "{text:?}");
    }
    assert!(theirs.iter().filter(|answer| *answer != "none").count() > 2_000, "hardly one was a text");
}

#[test]
fn iab_lists_are_parsed_as_by_libcap() {
    let last = own::last().expect("the last capability");
    let marks = ["", "", "!", "^", "%", "!^", "^!", "!%", "%^!", "^^"];
    let names = ["cap_chown", "CAP_Kill", "cap_net_raw", "0", "40", "41", "0x1f", "010"];
    let rubbish = ["!", "^", "%", ",", "=", " ", "64", "08", "all", "foo", "x", "é", "cap_", "!cap_bpf"];
    let texts = texts(&[&marks, &names, &[","]], &rubbish);
    let lines: String = texts.iter().map(|text| format!("iab {text}\n")).collect();
    let Some(theirs) = libcap(&lines) else { return };
    assert_eq!(theirs.len(), texts.len());
    for (text, theirs) in texts.iter().zip(&theirs) {
        let ours = Iab::parse(text).map_or("none".to_owned(), |iab| iab.text(last));
        assert_eq!(&ours, theirs, "{text:?}");
    }
    assert!(theirs.iter().filter(|answer| *answer != "none").count() > 2_000, "hardly one was a list");
}
