//! Every parser on a few thousand mutations of real inputs, the same in every run: no parser panics,
//! and the printed form is valid.

use crate::common;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::rc::Rc;

use ctrbox::testing::container::target::{Target, group, matching, one};
use ctrbox::testing::container::{Container, Runtime, group_of};
use ctrbox::testing::isolation::capabilities::text::{Flags, Iab, parse_list};
use ctrbox::testing::isolation::capabilities::{self};
use ctrbox::testing::isolation::cgroup::{Hierarchies, limits};
use ctrbox::testing::isolation::idmap::{arguments, join};
use ctrbox::testing::isolation::seccomp::{Filter, Profile};
use ctrbox::testing::launch::credentials::{self, ProcessCredentials};
use ctrbox::testing::launch::exec;
use ctrbox::testing::output::filter::{self, Value};
use ctrbox::testing::output::json;
use ctrbox::testing::output::tree::{Forest, Glyphs};
use ctrbox::testing::proc::idmap::{Range, Single};
use ctrbox::testing::proc::{
    Credentials, Stat, Status, Users, gid_of, groups, groups_with, id, uid_of, users,
};
use ctrbox::testing::proc::{mountinfo, ns};
use ctrbox::testing::text;

const ROUNDS: usize = 2_000;

/// Input that breaks parsers: multi-byte characters, limits of number types, separators, unprintable characters.
const WORDS: [&str; 40] = [
    "é",
    "日",
    "\u{202e}",
    "\0",
    "\n",
    "18446744073709551615",
    "9223372036854775807",
    "-9223372036854775808",
    "4294967295",
    "4294967296",
    "2147483648",
    "-1",
    "0",
    "1.12345678é",
    "99999999999999999999999",
    ".",
    "..",
    "/",
    ":",
    ",",
    ",,",
    "=",
    "@",
    "%",
    "!",
    "^",
    "+",
    "-",
    "\\x2d",
    "\\x",
    "\"",
    "'",
    "(",
    ")",
    "{",
    "]",
    "K",
    "max",
    "1e308",
    " ",
];

struct Mutator {
    state: u64,
    inputs: Vec<Vec<u8>>,
}

impl Mutator {
    /// xorshift64*, from a fixed seed.
    fn below(&mut self, end: usize) -> usize {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        let number = usize::try_from(self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).expect("31 bits");
        if end == 0 { 0 } else { number % end }
    }

    fn next(&mut self) -> Vec<u8> {
        let from = self.below(self.inputs.len());
        let mut text = self.inputs[from].clone();
        for _ in 0..=self.below(4) {
            let at = self.below(text.len() + 1);
            match self.below(6) {
                0 if at < text.len() => text[at] = u8::try_from(self.below(256)).expect("a byte"),
                1 if at < text.len() => _ = text.remove(at),
                2 => text.truncate(at),
                3 => {
                    let end = (at + self.below(30)).min(text.len());
                    let again = text[at..end].to_vec();
                    text.splice(at..at, again);
                }
                _ => {
                    let word = self.below(WORDS.len());
                    text.splice(at..at, WORDS[word].bytes());
                }
            }
        }
        text
    }
}

fn mutated(inputs: &[&str], mut parse: impl FnMut(&[u8])) {
    let inputs = inputs.iter().map(|input| input.as_bytes().to_vec()).collect();
    let mut mutator = Mutator { state: 0x9e37_79b9_7f4a_7c15, inputs };
    for _ in 0..ROUNDS {
        parse(&mutator.next());
    }
}

fn lossy(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

#[test]
fn values_of_options() {
    mutated(&["1.5G", "1.123456789K", "0-1,4", "8:0:rbps=10M,wiops=max", "2M:1G", "memory.max=1"], |input| {
        let word = OsStr::from_bytes(input);
        if let Ok(bytes) = limits::size(word) {
            assert!(bytes == "max" || bytes.parse::<u64>().is_ok(), "{word:?}: {bytes}");
        }
        _ = (limits::cpus(word), limits::cpu_weight(word), limits::cpuset(word), limits::pids(word));
        _ = (limits::hugetlb(word), limits::io_max(word), limits::raw(word));
        _ = exec::signal_number(&lossy(input));
    });
    mutated(&["0:1000:5", "1000,0,5", "4294967295:0:4294967295"], |input| {
        let ranges: Vec<Range> = lossy(input).split(';').filter_map(Range::parse).collect();
        for (inner, outer) in [(0, 0), (5, u32::MAX), (u32::MAX, 5)] {
            _ = arguments(&join(Some(Single { inner, outer }), &ranges));
        }
    });
    mutated(&["42", "42:4026531840", "docker:web", "k8s:a/b/c", "web@17", "compose:blog/db"], |input| {
        let word = lossy(input);
        _ = Target::parse(OsStr::from_bytes(input));
        let named =
            |name: &str| Container { name: Some(name.to_owned()), ..Container::new(Runtime::K8s, &*word) };
        let all = ["web", "a/b/c"].map(|name| Rc::new(named(name)));
        let found = matching(&all, &word);
        _ = (group(&found, &word), one(&found, &word));
    });
    mutated(
        &["=ep cap_chown-e", "cap_chown,cap_kill=ep cap_net_raw+i", "!cap_chown,^cap_kill,%5"],
        |input| {
            let word = lossy(input);
            if let Some(flags) = Flags::parse(&word, 40) {
                assert_eq!(Flags::parse(&flags.text(40), 40), Some(flags), "{word:?}");
            }
            _ = (Iab::parse(&word), parse_list(&word), capabilities::integer(&word));
        },
    );
}

#[test]
fn filters() {
    let columns = [("PID", true), ("TYPE", false)];
    mutated(&["PID > 1 and TYPE == \"net\"", "not (PID =~ 'x+' or 1.5K < TYPE)", "((PID))"], |input| {
        let Ok(filter) = filter::Filter::parse(&lossy(input), &columns) else { return };
        for value in
            [Value::None, Value::Number(u64::MAX), Value::Text("1e400".into()), Value::Text("é".into())]
        {
            _ = filter.evaluate(&|_| value.clone());
        }
    });
    // Any depth is an error, not a stack overflow.
    for part in ["(", "not ", "PID and ", "PID == (", "!"] {
        _ = filter::Filter::parse(&part.repeat(100_000), &columns);
    }
}

#[test]
fn files_of_proc() {
    const STATUS: &str = "Name:\tsleep\nState:\tS\nPPid:\t27247\nUid:\t0\t1\t0\t0\nGid:\t0\t0\t0\t0\nGroups:\t0 10\n\
        NSpid:\t27276\t7\t1\nCapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t00000000a80425fb\n\
        CapBnd:\t00000000a80425fb\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\nThreads:\t3\n";
    mutated(&[STATUS], |input| {
        _ = (
            Status::parse(input),
            Credentials::parse(input),
            Credentials::parse(input),
            ProcessCredentials::parse(input),
        );
    });
    mutated(&["7 (a) S 1) R 3 7 7 34816 7 4194304 1 0 0 0 5 6 0 0 20 -5 2 0 99 4096 25 1\n"], |input| {
        _ = Stat::parse(input);
    });
    let id = "0123456789abcdef".repeat(4);
    let container = Container::new(Runtime::Docker, &*id);
    let scope = format!("0::/system.slice/docker-{id}.scope/init\n");
    let host = Hierarchies::parse(b"1 2 0:1 / /c/cpu rw - cgroup cgroup rw,cpu\n");
    mutated(&[&scope, "5:cpu,cpuacct:/a:b/c\n", "/machine.slice/machine-a\\x2db.scope"], |input| {
        ctrbox::testing::isolation::cgroup::parse(input).for_each(|line| _ = host.place(line));
        _ = (group_of(&lossy(input), &container), host.named(OsStr::from_bytes(input), None));
    });
    mutated(&["32 31 0:29 /x /c/a\\040b rw shared:1 - cgroup cgroup rw,cpu\n"], |input| {
        _ = (Hierarchies::parse(input), mountinfo::unescape(input));
    });
    mutated(&["PATH=/bin\0A=b\0=x\0A=c\0", "docker-default (enforce)\n", "net:[4026531840]"], |input| {
        _ = (exec::parse_environ(input), credentials::label_to_write(input, true), ns::parse_link(input));
    });
}

#[test]
fn users_groups_and_profiles() {
    mutated(
        &["root:x:0:0:r:/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n", "adm:x:4:a,b\n"],
        |input| {
            _ = (Users::parse(input).get(0), users(input).count(), uid_of(input, b"ann"), id(input));
            _ = (groups(input).count(), gid_of(input, b"adm"), groups_with(input, b"a").count());
            _ = credentials::find_user(b"ann:adm", input, input);
            _ = Range::granted(input, b"ann", 1000);
        },
    );
    const PROFILE: &str = r#"{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["read"],
        "action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":40,"op":"SCMP_CMP_NE"}]}]}"#;
    mutated(&[PROFILE], |input| {
        if let Ok(profile) = serde_json::from_slice::<Profile>(input) {
            _ = Filter::build(&profile);
        }
    });
    // A profile cannot choose how long reading it takes.
    let argument = r#"{"index":0,"value":1,"op":"SCMP_CMP_EQ"}"#;
    let arguments = vec![argument; 100_000].join(",");
    let long = PROFILE.replace(r#"{"index":0,"value":40,"op":"SCMP_CMP_NE"}"#, &arguments);
    let profile: Profile = serde_json::from_str(&long).expect("a profile");
    assert_eq!(Filter::build(&profile).err().as_deref(), Some("too many rules"));
}

#[test]
fn the_default_output() {
    mutated(&["plain ä text", "日本 x\u{202e}y", "a\\x41b\nc\u{1b}[2J", "👩‍👩‍👧"], |input| {
        let (shown, width) = text::measured(input);
        assert!(!shown.contains(text::unprintable), "{shown:?}");
        assert_eq!(text::width(&shown), width, "{shown:?}");
        (0..20).for_each(|columns| assert!(shown.starts_with(text::cut(&shown, columns))));
        let mut line = Vec::new();
        json::write(&mut line, &lossy(input)).expect("JSON");
        assert_eq!(serde_json::from_slice::<String>(&line).expect("JSON"), lossy(input));
    });
    mutated(&["\u{1}\u{2}\u{3}abc", "\0\u{1}\u{1}\u{2}\u{3}\u{5}\u{8}"], |input| {
        let ids: Vec<i32> = (0..).take(input.len()).collect();
        let parents: Vec<i32> = input.iter().map(|&byte| i32::from(byte) - 1).collect();
        let mut forest = Forest::default();
        forest.grow(&ids, &parents, Glyphs::new(true));
        assert_eq!(forest.rows.len(), ids.len());
    });
}

/// No kernel gives out 0, but a file may say so.
#[test]
fn a_namespace_of_number_0_is_one_like_others() {
    let host = common::Scratch::new("mutated-zero");
    let process = host.0.join("1");
    std::fs::create_dir_all(process.join("ns")).expect("a directory");
    std::fs::create_dir_all(host.0.join("self")).expect("a directory");
    std::fs::write(host.0.join("self/mountinfo"), "").expect("a file");
    std::fs::write(process.join("status"), "Name:\tinit\nPPid:\t0\nUid:\t0\t0\t0\t0\n").expect("a file");
    std::os::unix::fs::symlink("net:[0]", process.join("ns/net")).expect("a link");
    let mut command = common::applet("lsns");
    let output = common::process::limited(command.args(["-rno", "NS,TYPE", "--proc-root"]).arg(&host.0));
    assert_eq!((common::stdout(&output), common::stderr(&output)), ("0 net\n".into(), String::new()));
}

#[test]
fn words_that_are_no_text_are_usage_errors() {
    let word = OsString::from_vec(b"--\xff=\xfe".to_vec());
    for name in ["capsh", "cgexec", "ctr-ps", "getpcaps", "lsns", "nsenter", "unshare"] {
        let output = common::process::limited(common::applet(name).arg(&word));
        let words = common::stderr(&output);
        assert!(output.status.code().is_some_and(|status| status != 0), "{name}: {words}");
        assert!(!words.contains("panicked"), "{name}: {words}");
    }
}
