//! Names that others choose, in messages and lists: no byte controls the terminal, forges a line or is
//! hidden.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::process::Output;

use crate::common::process::{Holder, limited, namespaces};
use crate::common::{Scratch, ctrbox, program};

/// Escapes, C1 controls as characters and as bytes, direction marks, separators, characters without width, newlines.
const HOSTILE: &[u8] = b"e\x1b]0;x\x07\xc2\x85\xc2\x9b2J\xe2\x80\xae\xe2\x80\xa8\xe2\x80\xa9\xe2\x81\xa6\xe2\x80\x8b\xef\xbb\xbf\nfake: line\r\x9b\xff";

fn hostile(before: &str) -> OsString {
    OsString::from_vec([before.as_bytes(), HOSTILE].concat())
}

/// The reason why a text is unsafe for a terminal.
fn problem(bytes: &[u8]) -> Option<String> {
    let Ok(text) = std::str::from_utf8(bytes) else { return Some("no UTF-8".to_owned()) };
    let raw = text.chars().find(|letter| match letter {
        '\n' | '\t' => false,
        '\u{ad}'
        | '\u{61c}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' => true,
        '\u{feff}' => true,
        letter => letter.is_control(),
    });
    let forged = text.lines().any(|line| line.starts_with("fake: line"));
    raw.map(|letter| format!("{letter:?}")).or_else(|| forged.then(|| "a forged line".to_owned()))
}

fn assert_fit(arguments: &[OsString], output: &Output) {
    for (name, bytes) in [("stdout", &output.stdout), ("stderr", &output.stderr)] {
        if let Some(problem) = problem(bytes) {
            panic!("{arguments:?}: {problem} on {name}: {:?}", String::from_utf8_lossy(bytes));
        }
    }
}

fn run(arguments: &[OsString]) -> Output {
    limited(ctrbox().args(arguments).env("CTRBOX_HINTS", "always"))
}

/// In each place of a command line where a name can be, with the hints that follow from it.
#[test]
fn messages_about_names() {
    // Words are separated by blanks; @ is replaced by the name.
    let lines = "nsenter @|nsenter -@|nsenter --@|nsenter -t @ -m true|nsenter -t 1 -u @|nsenter -t 1 -u@ true
        nsenter -t 1 -u -r/@ true|nsenter -t 1 -u -w/@ true|nsenter -t 1 -u -W/@ true|nsenter -t 1 -u -S @ true
        nsenter -t 1 -u -G @ true|nsenter -t 1 --as @ true|nsenter -t 1 -a --host-root=/@ true
        nsenter -t 1 -p --mount-proc=/@ true|nsenter -t 1 -u --applet @|nsenter -t 1 -u --pass-fds=@ true
        nsenter -t 1 --net-socket=@|unshare @|unshare -@|unshare --@|unshare --mount=/@ true
        unshare --mount-proc=/@ true|unshare --mount-binfmt=/@ true|unshare -R /@ true|unshare -w /@ true
        unshare --propagation=@|unshare --setgroups=@|unshare --map-user=@|unshare --map-users=@
        unshare --map-groups=@|unshare --owner=@|unshare --kill-child=@|unshare -S @|unshare -G @
        unshare -T --boottime=@|unshare -m --load-interp=@ true|lsns @|lsns -@|lsns --@|lsns -o @|lsns -t @
        lsns -p @|lsns -Q @|lsns -Q COMMAND==@|cgexec @|cgexec -@|cgexec -g @ true|cgexec -g cpu:/@ true
        cgexec -g *:@ true|cgexec -m @ true|cgexec --cpus @ true|cgexec --pids @ true|cgexec --like @ true
        cgexec --set @ true|cgexec --set memory.max=@ true|capsh @|capsh --@|capsh --decode=@|capsh --encode=@
        capsh --print=@|capsh --has-p=@|capsh --has-b=@|capsh --user=@|capsh --uid=@|capsh --gid=@
        capsh --groups=@|capsh --drop=@|capsh --caps=@|capsh --inh=@|capsh --chroot=/@|capsh --shell=/@ --
        capsh --explain=@|capsh --suggest=@|capsh --mode=@|capsh --iab=@|capsh --secbits=@|capsh --is-uid=@
        getpcaps @|getpcaps -@|getpcaps --table @|getpcaps --json @|getpcaps --diff @ 1|ctr-ps @|ctr-ps --@
        ctr-ps -c @|ctr-ps -p @|ctr-ps -u @|ctr-ps -o @|ctr-ps --how @|ctr-ps --root /@|ctr-ps --sort @";
    for line in lines.split(['|', '\n']).map(str::trim) {
        let word = |word: &str| match word.split_once('@') {
            Some((before, _)) => hostile(before),
            None => OsString::from(word),
        };
        let arguments: Vec<OsString> = line.split(' ').map(word).collect();
        assert_fit(&arguments, &run(&arguments));
    }
}

/// A process with hostile name, arguments, program and directory, in every applet that lists.
#[test]
fn lists_of_processes() {
    let test = "attacks-lists";
    if !namespaces(test) {
        return;
    }
    let scratch = Scratch::new(test);
    let directory = scratch.0.join(OsStr::from_bytes(HOSTILE));
    std::fs::create_dir(&directory).expect("a directory");
    let file = directory.join(OsStr::from_bytes(HOSTILE));
    std::fs::copy(Path::new("/bin/cat").canonicalize().expect("cat"), &file).expect("a copy");
    // The holder ends with cat: here with a copy of it under the hostile name, which also keeps a namespace.
    let setup = "printf '%b' '\\033[2J\\0233x\\n\\302\\205y' >/proc/$$/comm; echo \"$pid\"; mkdir -p \"$0\"; exec \"$0\"/* -";
    let mut command = program("unshare");
    command.args(["-m", "-u", "-n", "sh", "-c", "shift 2; exec sh -ec \"$1\" \"$0\""]).arg(&directory);
    let holder = Holder::by(&mut command, setup);
    let pid = holder.pid.to_string();
    let lines =
        "ctr-ps|ctr-ps --json|ctr-ps -l|ctr-ps -l --json|ctr-ps --forest|ctr-ps --by-container|ctr-ps -v
        ctr-ps --security|lsns|lsns -J|lsns -r|lsns -P|lsns --output-all|lsns --output-all -J|lsns -p PID
        getpcaps PID|getpcaps --table PID|getpcaps --json PID|getpcaps --tree|capsh --print=PID";
    for line in lines.split(['|', '\n']).map(str::trim) {
        let line = line.replace("PID", &pid);
        let arguments: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let output = run(&arguments);
        assert_fit(&arguments, &output);
        if ["ctr-ps", "lsns", "ctr-ps --json"].contains(&line.as_str()) {
            let shown = String::from_utf8_lossy(&output.stdout);
            assert!(shown.contains("]0;x"), "the hostile process is not in it: {shown}");
        }
        if line.contains("-J") || line.contains("--json") {
            let parsed = serde_json::from_slice::<serde_json::Value>(&output.stdout);
            assert!(parsed.is_ok() || !output.status.success(), "{line}: {parsed:?}");
        }
    }
}
