//! The same command lines for libcap's capsh, as the system has it, and for ctrbox: stdout, message, status.
//!
//! The system's was 2.66 and 2.78 when these were written; for these rows they are the same. The texts of
//! --explain are ctrbox's own, so only their frame is compared.

use crate::common::applet;
use crate::common::compat::{
    Bench, Differs, Row, Same, all_alike, libcap_comparable, rows_are_distinct, system,
};
use crate::common::process::limited;
use crate::common::{program, stdout};

const HELP: &str = "the text of --help";
const LICENSE: &str = "our own license";
const USAGE: &str = "the mistake is told, on stderr; theirs prints all of its usage on stdout";
const CONTAINER: &str = "a word is a container";
const HEX: &str = "what is no mask is an error: theirs decodes its beginning, or 0";
const WHOLE: &str = "names are read to their end: theirs takes `cap_kill;x` for cap_kill";
const WRAPS: &str = "too large is an error: theirs wraps, and 4294967296 is root";
const KNOWN: &str = "the kernel has no such capability: theirs says that it is there";
const WORDS: &str = "the words are ours";

const ROWS: &[Row] = &[
    ("capsh", Same),
    ("capsh --help", Differs(HELP)),
    ("capsh -h", Differs(HELP)),
    ("capsh --foo", Differs(USAGE)),
    ("capsh foo", Differs(USAGE)),
    ("capsh --print x", Differs(USAGE)),
    ("capsh --current", Same),
    ("capsh --decode=3", Same),
    ("capsh --decode=0x3", Same),
    ("capsh --decode=", Differs(HEX)),
    ("capsh --decode=zz", Differs(HEX)),
    ("capsh --decode=3zz", Differs(HEX)),
    ("capsh --decode=ffffffffffffffff", Same),
    ("capsh --decode=1ffffffffffffffff", Differs(HEX)),
    ("capsh --decode=-1", Differs(HEX)),
    ("capsh --decode= 3", Differs(HEX)),
    ("capsh --decode='+3'", Differs(HEX)),
    ("capsh --decode=00000000a80425fb", Same),
    ("capsh --decode", Differs(USAGE)),
    ("capsh --decode 3", Differs(USAGE)),
    ("capsh --decode=1 --decode=2", Same),
    ("capsh --decode=10000000000", Same),
    ("capsh --decode=20000000000", Same),
    ("capsh --decode=8000000000000000", Same),
    ("capsh --explain=", Same),
    ("capsh --explain=chown", Same),
    ("capsh --explain=41", Same),
    ("capsh --explain=63", Same),
    ("capsh --explain=64", Same),
    ("capsh --explain=-1", Same),
    ("capsh --explain=all", Same),
    ("capsh --suggest=zzz", Same),
    ("capsh --suggest=", Differs(WORDS)),
    ("capsh --has-p=cap_chown", Same),
    ("capsh --has-p=cap_sys_resource", Same),
    ("capsh --has-p=chown", Same),
    ("capsh --has-p=CAP_CHOWN", Same),
    ("capsh --has-p=Cap_Chown", Same),
    ("capsh --has-p=0", Same),
    ("capsh --has-p=24", Same),
    ("capsh --has-p=41", Same),
    ("capsh --has-p=63", Same),
    ("capsh --has-p=64", Same),
    ("capsh --has-p=", Same),
    ("capsh --has-p=foo", Same),
    ("capsh --has-p=cap_chown,cap_kill", Same),
    ("capsh --has-i=cap_chown", Same),
    ("capsh --has-i=foo", Same),
    ("capsh --has-i=64", Same),
    ("capsh --has-a=cap_chown", Same),
    ("capsh --has-a=foo", Same),
    ("capsh --has-a=64", Same),
    ("capsh --has-b=cap_chown", Same),
    ("capsh --has-b=cap_sys_resource", Same),
    ("capsh --has-b=41", Differs(KNOWN)),
    ("capsh --has-b=64", Same),
    ("capsh --has-b=foo", Same),
    ("capsh --has-ambient", Same),
    ("capsh --has-no-new-privs", Same),
    ("capsh --supports=cap_chown", Same),
    ("capsh --supports=41", Same),
    ("capsh --supports=63", Same),
    ("capsh --supports=64", Same),
    ("capsh --supports=foo", Same),
    ("capsh --supports=CAP_CHOWN", Same),
    ("capsh --supports=0", Same),
    ("capsh --supports=", Same),
    ("capsh --supports=-1", Same),
    ("capsh --is-uid=0", Same),
    ("capsh --is-uid=1", Same),
    ("capsh --is-uid=x", Same),
    ("capsh --is-uid=0x0", Same),
    ("capsh --is-uid=00", Same),
    ("capsh --is-uid=", Same),
    ("capsh --is-uid=4294967296", Differs(WRAPS)),
    ("capsh --is-uid=-1", Same),
    ("capsh --is-gid=0", Same),
    ("capsh --is-gid=1", Same),
    ("capsh --is-gid=x", Same),
    ("capsh --is-gid=", Same),
    ("capsh --mode", Same),
    ("capsh --modes", Same),
    ("capsh --inmode=HYBRID", Same),
    ("capsh --inmode=PURE1E", Same),
    ("capsh --inmode=hybrid", Same),
    ("capsh --inmode=", Same),
    ("capsh --inmode=foo", Same),
    ("capsh --license", Differs(LICENSE)),
    ("capsh --license --print", Differs(LICENSE)),
    ("capsh --print --license", Differs(LICENSE)),
    ("capsh --quiet", Same),
    ("capsh --quiet --modes", Same),
    ("capsh --modes --quiet", Same),
    ("capsh --has-p=cap_sys_resource --modes", Same),
    ("capsh --modes --has-p=cap_sys_resource --mode", Same),
    ("capsh --noenv", Same),
    ("capsh --is-uid=' 0'", Same),
    ("capsh --is-uid=+0", Same),
    ("capsh --is-uid=0x", Same),
    ("capsh --is-uid=1x", Same),
    ("capsh --is-uid=99999999999999999999", Differs(WRAPS)),
    ("capsh --has-p=0x1", Same),
    ("capsh --has-p=1x", Differs(WHOLE)),
    ("capsh --has-p=' 1'", Same),
    ("capsh --has-p='cap_chown '", Differs(WHOLE)),
    ("capsh --has-p='cap_chown=x'", Differs(WHOLE)),
    ("capsh --has-p='cap_chown;'", Differs(WHOLE)),
    ("capsh --supports='cap_chown,foo'", Differs(WHOLE)),
    ("capsh --explain='cap_chown,foo'", Differs(WHOLE)),
    ("capsh --explain='0,foo'", Differs(WHOLE)),
    ("capsh --explain=' 0'", Same),
    ("capsh --print=x", Differs(CONTAINER)),
    ("capsh --current=1", Differs(USAGE)),
    ("capsh --quiet=1", Differs(USAGE)),
    ("capsh --modes=1", Differs(USAGE)),
    ("capsh --license=1", Differs(LICENSE)),
    ("capsh --help=1", Differs(HELP)),
    ("capsh --hel", Differs(USAGE)),
    ("capsh --has-ambient=1", Differs(USAGE)),
    ("capsh --helpx", Differs(HELP)),
    ("capsh -hx", Differs(USAGE)),
    ("capsh --mode --help | head -3", Differs(HELP)),
    ("capsh ' '", Differs(USAGE)),
    ("capsh ''", Differs(USAGE)),
    ("capsh -", Differs(USAGE)),
    ("capsh =", Differs(USAGE)),
    ("capsh --is-uid 0", Differs(USAGE)),
    ("capsh --help 2>&1 >/dev/null", Same),
    ("capsh --foo 2>&1 >/dev/null", Differs(USAGE)),
    ("capsh --has-p=foo 2>/dev/null", Same),
    ("capsh --explain=foo 2>/dev/null", Same),
    ("capsh --suggest=zzz 2>/dev/null", Same),
    ("capsh --license 2>/dev/null", Differs(LICENSE)),
    ("capsh --inmode=foo 2>/dev/null", Same),
    ("capsh --is-uid=5 2>/dev/null", Same),
    ("capsh --supports=99 2>/dev/null", Same),
];

#[test]
fn the_same_as_libcaps_capsh() {
    if !libcap_comparable("capsh") {
        return;
    }
    rows_are_distinct(ROWS, 136);
    let bench = Bench::new("compat-capsh", "capsh", "");
    all_alike(ROWS, |line, whose| bench.said(&mut bench.shell(line, whose), whose));
}

/// Each single bit, all combinations of the lowest ten, and random masks.
#[test]
fn masks_are_decoded_as_libcaps_capsh_does() {
    if !libcap_comparable("capsh") {
        return;
    }
    let single = (0..64).map(|bit| 1_u64 << bit);
    let low = 0..1_u64 << 10;
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let random = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state ^ state >> 29
    });
    let masks: Vec<u64> = single.chain(low).chain(random.take(1_000)).collect();
    let arguments = masks.iter().map(|mask| format!("--decode={mask:x}"));
    let ours = limited(applet("capsh").args(arguments.clone()));
    let theirs = limited(program(&system("capsh")).args(arguments));
    let (ours, theirs) = (stdout(&ours), stdout(&theirs));
    assert_eq!(ours.lines().count(), masks.len());
    for ((mask, ours), theirs) in masks.iter().zip(ours.lines()).zip(theirs.lines()) {
        assert_eq!(ours, theirs, "{mask:x}");
    }
    assert_eq!(ours, theirs);
}
