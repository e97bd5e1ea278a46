//! cgrules.conf(5): which groups a program of a user belongs to.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use nix::errno::Errno;

use crate::order;
use crate::proc::{gid_of, group_name, groups, uid_of, users};
use crate::text;

const FILE: &str = "/etc/cgrules.conf";
const DIRECTORY: &str = "/etc/cgrules.d";

#[derive(Debug, PartialEq, Eq, Clone)]
enum Who {
    Anybody,
    User(Vec<u8>),
    Group(Vec<u8>),
    /// `%`: the same as in the rule before.
    Ditto,
}

#[derive(Debug, PartialEq, Eq, Clone)]
pub(super) struct Rule {
    who: Who,
    /// The program's path as given, or its base name.
    program: Option<Vec<u8>>,
    pub controllers: String,
    destination: Vec<u8>,
    ignore: bool,
    ignore_realtime: bool,
}

/// The user, group and program that rules are matched against.
pub(super) struct Caller<'a> {
    pub uid: u32,
    pub gid: u32,
    pub pid: i32,
    pub realtime: bool,
    pub program: &'a OsStr,
    /// The contents of /etc/passwd and /etc/group.
    pub passwd: &'a [u8],
    pub group: &'a [u8],
}

/// Where a rule sends the program.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Destination {
    pub controllers: String,
    pub path: PathBuf,
    /// The path comes from a template: the group is created if it is missing.
    pub template: bool,
}

/// Reads the rules of this host.
pub(super) fn read() -> Result<Vec<Rule>> {
    let mut files = vec![PathBuf::from(FILE)];
    let entries = crate::sys::directory::list(Path::new(DIRECTORY)).unwrap_or_default().into_iter();
    let mut more: Vec<PathBuf> =
        entries.map(|entry| Path::new(DIRECTORY).join(entry.name)).filter(|path| path.is_file()).collect();
    order::sort(&mut more);
    let needed = more.is_empty();
    files.extend(more);
    let mut rules = Vec::new();
    for file in files {
        match std::fs::read(&file) {
            Ok(text) => rules.extend(parse(&text, &file)?),
            Err(error) if error.raw_os_error() == Some(Errno::ENOENT as i32) && !needed => {}
            Err(error) => {
                let how = "give a group with -g or --like, or create one with --create, --kill, --report or a limit";
                return Err(anyhow!(error).context(format!("cannot read {FILE} ({how})")));
            }
        }
    }
    Ok(rules)
}

fn parse(text: &[u8], file: &Path) -> Result<Vec<Rule>> {
    let mut rules = Vec::new();
    for (number, line) in (1..).zip(text.split(|&b| b == b'\n')) {
        let rule = parse_line(line).with_context(|| format!("{}, line {number}", file.display()))?;
        rules.extend(rule);
    }
    Ok(rules)
}

fn parse_line(line: &[u8]) -> Result<Option<Rule>> {
    let words = split(line);
    let [who, controllers, destination, options @ ..] = words.as_slice() else {
        if words.is_empty() {
            return Ok(None);
        }
        bail!("expected user[:program] controllers destination [options]");
    };
    let (who, program) = match who.iter().position(|&b| b == b':') {
        Some(at) => (&who[..at], Some(who[at + 1..].to_vec()).filter(|program| !program.is_empty())),
        None => (&who[..], None),
    };
    let who = match who {
        b"*" => Who::Anybody,
        b"%" => Who::Ditto,
        [b'@', group @ ..] => Who::Group(group.to_vec()),
        user => Who::User(user.to_vec()),
    };
    let mut rule = Rule {
        who,
        program,
        controllers: String::from_utf8(controllers.clone()).context("the controller name is not UTF-8")?,
        destination: destination.clone(),
        ignore: false,
        ignore_realtime: false,
    };
    for option in options.iter().flat_map(|word| word.split(|&b| b == b',')) {
        match option {
            b"ignore" => rule.ignore = true,
            b"ignore_rt" => rule.ignore_realtime = true,
            other => bail!("unsupported option '{}'", text::escape(other)),
        }
    }
    Ok(Some(rule))
}

/// Words separated by blanks. Quotes may contain blanks. A `#` at the beginning of a word starts a comment.
fn split(line: &[u8]) -> Vec<Vec<u8>> {
    let mut words: Vec<Vec<u8>> = Vec::new();
    let (mut inside, mut quoted) = (false, false);
    for &byte in line {
        match byte {
            b'#' if !inside => break,
            b'"' => {
                quoted = !quoted;
                if !inside {
                    words.push(Vec::new());
                }
                inside = true;
            }
            b' ' | b'\t' | b'\r' if !quoted => inside = false,
            byte => {
                if !inside {
                    words.push(Vec::new());
                }
                inside = true;
                words.last_mut().into_iter().for_each(|word| word.push(byte));
            }
        }
    }
    words
}

/// The destinations of the first matching rule and of the `%` rules after it. None if the caller stays where they
/// are.
#[must_use]
pub(super) fn destinations(rules: &[Rule], caller: &Caller<'_>) -> Vec<Destination> {
    let fits = |rule: &Rule| caller.matches(&rule.who) && caller.runs(rule);
    let Some(first) = rules.iter().position(|rule| rule.who != Who::Ditto && fits(rule)) else {
        return Vec::new();
    };
    let again = rules[first + 1..].iter().take_while(|rule| rule.who == Who::Ditto);
    let all = std::iter::once(&rules[first]).chain(again.filter(|rule| caller.runs(rule)));
    let stays = |rule: &Rule| rule.ignore || (rule.ignore_realtime && caller.realtime);
    all.take_while(|rule| !stays(rule))
        .map(|rule| {
            let (path, template) = caller.expand(&rule.destination);
            Destination { controllers: rule.controllers.clone(), path: PathBuf::from(path), template }
        })
        .collect()
}

impl Caller<'_> {
    fn matches(&self, who: &Who) -> bool {
        match who {
            Who::Anybody => true,
            Who::Ditto => false,
            Who::User(name) => uid_of(self.passwd, name) == Some(self.uid),
            Who::Group(name) => {
                let has_user = |user: &[u8]| {
                    groups(self.group).any(|group| group.name == name && group.has_member(user))
                };
                gid_of(self.group, name) == Some(self.gid) || self.name().is_some_and(has_user)
            }
        }
    }

    fn runs(&self, rule: &Rule) -> bool {
        let program = self.program.as_bytes();
        rule.program.as_ref().is_none_or(|name| name == program || name == base(program))
    }

    fn name(&self) -> Option<&[u8]> {
        users(self.passwd).find(|user| user.uid == self.uid).map(|user| user.name)
    }

    /// The path, and whether it contains a template. An ID without a name is shown as a number, as in libcgroup.
    fn expand(&self, destination: &[u8]) -> (OsString, bool) {
        let number = |number: &dyn std::fmt::Display| number.to_string().into_bytes();
        let mut path = Vec::new();
        let mut template = false;
        let mut rest = destination;
        while let [byte, after @ ..] = rest {
            rest = after;
            let value = match (byte, after.first()) {
                (b'\\', Some(b'%')) => {
                    path.push(b'%');
                    rest = &after[1..];
                    continue;
                }
                (b'%', Some(b'u')) => number(&self.uid),
                (b'%', Some(b'U')) => self.name().map_or_else(|| number(&self.uid), <[u8]>::to_vec),
                (b'%', Some(b'g')) => number(&self.gid),
                (b'%', Some(b'G')) => {
                    group_name(self.group, self.gid).map_or_else(|| number(&self.gid), <[u8]>::to_vec)
                }
                (b'%', Some(b'p')) => number(&self.pid),
                (b'%', Some(b'P')) => base(self.program.as_bytes()).to_vec(),
                _ => {
                    path.push(*byte);
                    continue;
                }
            };
            path.extend(value);
            rest = &after[1..];
            template = true;
        }
        (OsString::from_vec(path), template)
    }
}

fn base(program: &[u8]) -> &[u8] {
    program.rsplit(|&b| b == b'/').next().unwrap_or(program)
}

#[cfg(any(test, fuzzing))]
pub(super) fn fuzz(data: &[u8]) {
    let Ok(rules) = parse(data, Path::new(FILE)) else { return };
    let program = OsStr::new("/bin/true");
    let caller = Caller {
        uid: 0,
        gid: 0,
        pid: 1,
        realtime: false,
        program,
        passwd: b"root:x:0:0::/:\n",
        group: b"root:x:0:\n",
    };
    _ = destinations(&rules, &caller);
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &[u8] = b"root:x:0:0::/root:/bin/sh\npeter:x:1000:100::/:/bin/sh\n";
    const GROUP: &[u8] = b"root:x:0:\nusers:x:100:\nstudents:x:200:mary,peter\n";

    fn caller(uid: u32, program: &str) -> Caller<'_> {
        let gid = if uid == 0 { 0 } else { 100 };
        let program = OsStr::new(program);
        Caller { uid, gid, pid: 7, realtime: false, program, passwd: PASSWD, group: GROUP }
    }

    fn sent(rules: &str, caller: &Caller<'_>) -> Vec<String> {
        let rules = parse(rules.as_bytes(), Path::new("f")).expect("rules");
        let all = destinations(&rules, caller);
        all.iter().map(|to| format!("{}:{}", to.controllers, to.path.display())).collect()
    }

    #[test]
    fn the_first_matching_rule_wins() {
        let rules = "peter cpu test1/\n%\tmemory test2/ # and\n@students:cp devices cp\n\n#x\n* * default/\n";
        assert_eq!(sent(rules, &caller(1000, "ls")), ["cpu:test1/", "memory:test2/"]);
        assert_eq!(sent(rules, &caller(0, "ls")), ["*:default/"]);
        assert_eq!(sent("@students cpu a\n", &caller(1000, "ls")), ["cpu:a"]);
        assert_eq!(sent("@users cpu a\n", &caller(1000, "ls")), ["cpu:a"]);
        assert_eq!(sent("@root cpu a\nnobody cpu b\n% cpu c\n", &caller(1000, "ls")), [""; 0]);
        assert_eq!(sent("% cpu a\n", &caller(0, "ls")), [""; 0]);
    }

    #[test]
    fn programs_match_by_path_or_base_name() {
        let rules = "*:cp cpu a\n*:/bin/ls cpu b\n*:\"Web Browser\" cpu \"c d\"\n* cpu e\n";
        for (program, to) in [
            ("cp", "cpu:a"),
            ("/usr/bin/cp", "cpu:a"),
            ("ls", "cpu:e"),
            ("/bin/ls", "cpu:b"),
            ("/opt/Web Browser", "cpu:c d"),
            ("c", "cpu:e"),
        ] {
            assert_eq!(sent(rules, &caller(0, program)), [to], "{program}");
        }
        assert_eq!(
            sent("root:cp cpu a\n%:cp pids b\n%:mv memory c\n", &caller(0, "cp")),
            ["cpu:a", "pids:b"]
        );
    }

    #[test]
    fn templates() {
        let to = |destination: &str, uid| sent(&format!("* cpu {destination}\n"), &caller(uid, "/bin/ls"));
        assert_eq!(to("%u/%U/%g/%G/%p/%P", 1000), ["cpu:1000/peter/100/users/7/ls"]);
        assert_eq!(to("%U-%x-\\%u-a\\b-%", 5), ["cpu:5-%x-%u-a\\b-%"]);
        let rules = parse(b"* cpu a\\%\n* cpu %u\n", Path::new("f")).expect("rules");
        assert!(!destinations(&rules[..1], &caller(0, "x"))[0].template);
        assert!(destinations(&rules[1..], &caller(0, "x"))[0].template);
    }

    #[test]
    fn ignore_options_leave_the_caller_where_they_are() {
        assert_eq!(sent("root cpu a ignore\n* cpu b\n", &caller(0, "x")), [""; 0]);
        assert_eq!(sent("root cpu a ignore_rt\n", &caller(0, "x")), ["cpu:a"]);
        let realtime = Caller { realtime: true, ..caller(0, "x") };
        assert_eq!(sent("root cpu a ignore_rt\n", &realtime), [""; 0]);
    }

    #[test]
    fn errors_name_the_line() {
        let wrong =
            |rules: &str| format!("{:#}", parse(rules.as_bytes(), Path::new("f")).expect_err("a mistake"));
        assert!(wrong("* cpu a\n\n* cpu\n").starts_with("f, line 3: expected user"));
        assert_eq!(wrong("* cpu a foo"), "f, line 1: unsupported option 'foo'");
        for cut in 0..20 {
            let _ = parse(&b"@x:\"y z\" cpu \"a b\" ignore"[..cut], Path::new("f"));
        }
    }
}
