//! The commands of README.md, docs/FLEET.md and the EXAMPLES of the manual pages: the applets take their arguments. A
//! shell reads them, with a PATH in which each program only records its call; then the binary reads what was recorded.

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::Path;

use ctrbox::testing::applet::APPLETS;

use crate::common::process::{executable, limited};
use crate::common::{self, Scratch, applet, ctrbox, program, project, stderr, stdout};

/// Programs of the examples that are not of this project. Each prints a word, as a name or a line of a log.
const OTHERS: &[&str] =
    &["cut", "dmesg", "docker", "du", "grep", "head", "jq", "kill", "make", "sort", "tail", "touch"];

/// Programs that run another one: how they come to its words.
const RUNNERS: &[(&str, &str)] = &[
    ("xargs", "read -r word; set -- \"$@\" \"$word\""),
    ("ssh", "shift"),
    // The arguments of a module: those of its `command` are a command.
    ("ansible", "for word; do :; done; case $word in ctr*) set -- $word ;; *) echo web; exit ;; esac"),
    (
        "kubectl",
        "while [ $# -gt 0 ] && [ \"$1\" != -- ]; do shift; done; [ $# -gt 1 ] || { echo web; exit; }; shift",
    ),
];

const RECORD: &str = "#!/bin/sh\nline=$(printf '%s\\037' \"${0##*/}\" \"$@\")\nprintf '%s\\n' \"$line\" >>\"$HOME/calls\"\necho web\n";

/// A home with programs that record their calls.
struct Recorder(Scratch);

impl Recorder {
    fn new(name: &str) -> Recorder {
        let scratch = Scratch::new(name);
        let home = &scratch.0;
        std::fs::create_dir(home.join("bin")).expect("a directory");
        executable(&home.join("record"), RECORD.as_bytes(), 0o755);
        executable(&home.join("word"), b"#!/bin/sh\necho web\n", 0o755);
        let link = |to: &str, from: &str| symlink(home.join(to), home.join(from)).expect("a link");
        for name in names() {
            link("record", &format!("bin/{name}"));
        }
        link("record", "ctrbox");
        for name in OTHERS {
            link("word", &format!("bin/{name}"));
        }
        for (name, words) in RUNNERS {
            let script = format!("#!/bin/sh\n{words}\nexec \"$@\"\n");
            executable(&home.join("bin").join(name), script.as_bytes(), 0o755);
        }
        Recorder(scratch)
    }

    /// The calls that a script makes, each with its name first.
    fn calls(&self, script: &str) -> Vec<Vec<String>> {
        let home = &self.0.0;
        let record = home.join("calls");
        std::fs::write(&record, "").expect("an empty record");
        let mut shell = program("/bin/sh");
        shell.args(["-c", script]).env("PATH", home.join("bin")).env("HOME", home).current_dir(home);
        let output = limited(&mut shell);
        assert_eq!(stderr(&output), "", "{script}");
        let text = std::fs::read_to_string(record).expect("the record");
        let words = |line: &str| line.split('\x1f').map(str::to_owned).collect::<Vec<_>>();
        text.lines().map(|line| words(line.strip_suffix('\x1f').unwrap_or(line))).collect()
    }
}

fn names() -> impl Iterator<Item = &'static str> {
    APPLETS.iter().map(|applet| applet.name).chain(["ctrbox"])
}

/// The commands of a block: all lines, or those after `$ ` if the first one has it.
fn script(block: &str) -> String {
    let typed: Vec<&str> = block.lines().filter_map(|line| line.strip_prefix("$ ")).collect();
    if block.starts_with("$ ") { typed.join("\n") } else { block.to_owned() }
}

/// The blocks of a Markdown text that are indented by four blanks.
fn blocks_of_markdown(text: &str) -> Vec<String> {
    let mut blocks = vec![String::new()];
    for line in text.lines() {
        match line.strip_prefix("    ") {
            Some(code) => *blocks.last_mut().expect("a block") += &format!("{code}\n"),
            None if line.is_empty() => {}
            None => blocks.push(String::new()),
        }
    }
    blocks.retain(|block| !block.is_empty());
    blocks
}

fn blocks_of_page(text: &str) -> Vec<String> {
    let Some((_, section)) = text.split_once(".SH EXAMPLES\n") else { return Vec::new() };
    let section = section.split("\n.SH ").next().unwrap_or_default();
    let blocks = section.split(".nf\n").skip(1).map(|rest| rest.split(".fi\n").next().unwrap_or_default());
    blocks.map(|block| block.replace("\\-", "-").replace("\\&", "").replace("\\e", "\\")).collect()
}

/// Does the applet take these arguments?
fn check(call: &[String]) -> Result<(), String> {
    let [name, args @ ..] = call else { return Ok(()) };
    match name.as_str() {
        "ctrbox" => of_ctrbox(args),
        // It does what each argument says before it reads the next one.
        "capsh" => run(name, args),
        "nsenter" | "unshare" | "cgexec" => {
            let at = program_of(name, args)?;
            help(name, &args[..at])?;
            match args[..at].iter().any(|arg| arg == "--applet") {
                true => check(&args[at..]),
                false => Ok(()),
            }
        }
        _ => {
            help(name, args)?;
            // It repeats; or it looks at all processes of this host.
            let is_enough = args.iter().any(|arg| arg.starts_with("--watch") || arg == "--tree");
            if is_enough { Ok(()) } else { run(name, args) }
        }
    }
}

fn of_ctrbox(args: &[String]) -> Result<(), String> {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let scratch = Scratch::new("docs-install");
    let mut command = ctrbox();
    match words[..] {
        ["--install", _, ref names @ ..] => command.arg("--install").arg(&scratch.0).args(names),
        // It tries what this host has, and fails if something is missing.
        ["check", ref options @ ..] => command.arg("check").args(options).arg("--help"),
        ["help" | "--list" | "--version", ..] => command.args(words),
        [name, ..] if names().any(|known| known == name) => return check(args),
        _ => return Err("what is this?".to_owned()),
    };
    let output = limited(&mut command);
    if output.status.success() { Ok(()) } else { Err(stderr(&output)) }
}

/// The index of the program's first word: what the completion of the shells says.
fn program_of(name: &str, args: &[String]) -> Result<usize, String> {
    let is_applet = |arg: &&String| *arg == "--applet";
    let line = args.iter().filter(|arg| !is_applet(arg)).map(String::as_str).chain(["program", ""]);
    let output = limited(ctrbox().args(["--complete", "--", name]).args(line));
    let text = stdout(&output);
    let number = text.lines().next().and_then(|line| line.strip_prefix("program ")?.parse::<usize>().ok());
    let at = number.ok_or_else(|| format!("where is the program? {text}"))? - 1;
    Ok(at + args.iter().take(at + 1).filter(is_applet).count())
}

/// Options are read in their order: when --help prints, those before are correct.
fn help(name: &str, options: &[String]) -> Result<(), String> {
    let output = limited(applet(name).args(options).arg("--help"));
    let is_help = output.status.success() && stdout(&output).contains("Usage: ");
    if is_help { Ok(()) } else { Err(format!("{}{}", stdout(&output), stderr(&output))) }
}

/// The names of the examples do not exist: the applet may say so, which it does after it has read all arguments.
fn run(name: &str, args: &[String]) -> Result<(), String> {
    let mut command = applet(name);
    command.args(args).env("CTRBOX_HINTS", "never");
    // A host in files: on a real one, processes of other tests can block who reads them for seconds.
    let root = project("tests/fixtures/systemd-v2/root");
    match name {
        "ctr-ps" | "ctr-inspect" | "ctr-whose" => command.arg("--root").arg(root),
        "ctr-top" => command.arg("--root").arg(root).args(["-b", "-n", "1", "-d", "0.1"]),
        "lsns" => command.arg("--proc-root").arg(root.join("proc")),
        _ => &mut command,
    };
    let output = limited(&mut command);
    let text = stderr(&output);
    let nothing = ["no process", "no container", "nothing found", "not known"];
    let is_nothing = || nothing.iter().any(|words| text.contains(words));
    let is_refused = || name == "capsh" && !common::root() && text.contains("Operation not permitted");
    let is_ok = output.status.success() || text.is_empty() || is_nothing() || is_refused();
    if is_ok { Ok(()) } else { Err(text) }
}

/// (where, block)
fn blocks() -> Vec<(String, String)> {
    let read = |path: &Path| std::fs::read_to_string(path).expect("a text");
    let mut all = Vec::new();
    for name in ["README.md", "docs/FLEET.md"] {
        all.extend(
            blocks_of_markdown(&read(&project(name))).into_iter().map(|block| (name.to_owned(), block)),
        );
    }
    for entry in std::fs::read_dir(project("man")).expect("the pages") {
        let path = entry.expect("a page").path();
        all.extend(blocks_of_page(&read(&path)).into_iter().map(|block| (path.display().to_string(), block)));
    }
    // A picture of output has no command.
    all.retain(|(_, block)| !block.starts_with("USER "));
    all
}

#[test]
fn applets_take_the_arguments_of_all_examples() {
    let recorder = Recorder::new("docs-examples");
    let mut seen = BTreeSet::new();
    let mut failures = Vec::new();
    for (place, block) in blocks() {
        let script = script(&block);
        let calls = recorder.calls(&script);
        let first =
            |line: &str| line.split(' ').next().unwrap_or_default().trim_start_matches("./").to_owned();
        let lines = script.lines().filter(|line| names().any(|name| name == first(line))).count();
        assert!(calls.len() >= lines, "{place}: {lines} lines, but {calls:?}\n{script}");
        for call in calls {
            seen.extend(call.first().cloned());
            if let Err(why) = check(&call) {
                failures.push(format!("{place}: {call:?}: {why}"));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    for name in names() {
        assert!(seen.contains(name), "{name} has no example");
    }
}

/// `[ctr-ps, --root, /host]` after `start`.
fn listed(path: &str, start: &str) -> Vec<String> {
    let text = std::fs::read_to_string(project(path)).expect(path);
    let (_, rest) = text.split_once(start).expect(start);
    let list = rest.split(']').next().unwrap_or_default();
    list.split(',').map(|word| word.trim().trim_matches('"').to_owned()).collect()
}

#[test]
fn applets_take_the_arguments_of_the_image_and_the_daemonset() {
    for (path, start) in
        [("contrib/container/Containerfile", "CMD ["), ("contrib/kubernetes/daemonset.yaml", "args: [")]
    {
        let call = listed(path, start);
        assert_eq!(call[..3], ["ctr-ps", "--root", "/host"], "{path}");
        assert_eq!(check(&call), Ok(()), "{path}");
    }
}

/// Without `recursiveReadOnly` user 0 of the pod can write to /host/proc and /host/sys. Kubernetes refuses it together
/// with `mountPropagation`.
#[test]
fn the_daemonset_cannot_write_to_mounts_of_the_host() {
    let text = std::fs::read_to_string(project("contrib/kubernetes/daemonset.yaml")).expect("the DaemonSet");
    let is_of_host = |line: &&str| line.contains("mountPath: /host");
    let mount = text.lines().find(is_of_host).expect("the mount of the host");
    assert!(mount.contains("readOnly: true, recursiveReadOnly: IfPossible"), "{mount}");
    assert!(!mount.contains("mountPropagation"), "{mount}");
}

/// The tests above are some only if these fail.
#[test]
fn wrong_examples_are_found() {
    let recorder = Recorder::new("docs-wrong-examples");
    for line in [
        "ctr-ps --no-such-option",
        "ctr-ps -o no_such_column",
        "ctr-ps -Q 'PID =='",
        "nsenter -t web --no-such-option sh",
        "nsenter -t web -a --applet ctr-ps --no-such-option",
        "unshare --propagation no_such_word true",
        "cgexec -m many true",
        "capsh --no-such-option",
        "lsns -o NO_SUCH_COLUMN",
        "ctr-top -o no_such_column",
        "ctr-whose --no-such-option",
        "getpcaps --no-such-option",
        "ctr-inspect -s no_such_section web",
        "ctrbox --install somewhere no_such_applet",
        "dmesg | xargs ctr-ps --no-such-option",
        "ssh host ctr-ps --no-such-option",
        "ansible all -m ansible.builtin.command -a 'ctr-ps --no-such-option'",
        "kubectl exec pod -- ctr-ps --no-such-option",
        "ctrbox ctr-ps --no-such-option",
    ] {
        let calls = recorder.calls(line);
        assert_eq!(calls.len(), 1, "{line}");
        assert!(check(&calls[0]).is_err(), "{line}");
    }
}
