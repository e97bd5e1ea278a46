//! What the shells offer after the tab key, in terminals of bash and zsh, and by the `complete` command of fish.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use ctrbox::testing::applet::APPLETS;

use crate::common::containers::{Up, prefix};
use crate::common::terminal::Terminal;
use crate::common::{Running, Scratch, binary, program, project, root, run, skip, stdout, there};

/// What is typed, and words that must appear: as the completed line or in the list. A word that begins with `!` must
/// not appear.
type Row = (&'static str, &'static [&'static str]);

const ROWS: &[Row] = &[
    // applets
    ("ctrbox nse", &["ctrbox nsenter "]),
    ("ctrbox ctr-i", &["ctrbox ctr-inspect "]),
    ("ctrbox ", &["nsenter", "capsh", "help", "!file-one"]),
    ("ctrbox help getp", &["ctrbox help getpcaps "]),
    ("ctrbox --li", &["ctrbox --list "]),
    ("ctrbox --install sub-d", &["ctrbox --install sub-dir/"]),
    ("ctrbox --install sub-dir ctr-i", &["ctrbox --install sub-dir ctr-inspect "]),
    ("ctrbox lsns --notr", &["ctrbox lsns --notruncate "]),
    ("ctrbox nsenter --prop", &["!propagation"]),
    ("ctrbox che", &["ctrbox check "]),
    ("ctrbox check --js", &["ctrbox check --json "]),
    ("ctrbox check --", &["--json", "--root"]),
    ("ctrbox check ", &["!file-one", "!nsenter"]),
    ("ctrbox check --root sub-d", &["ctrbox check --root sub-dir/"]),
    // options
    ("nsenter --targ", &["nsenter --target "]),
    ("nsenter --net", &["--net=", "--net-socket", "!file-one"]),
    ("nsenter --wdns", &["--wdns="]),
    ("nsenter --as-", &["nsenter --as-container "]),
    ("unshare --map-r", &["unshare --map-root-user "]),
    ("unshare --map-", &["--map-user", "--map-groups", "--map-subids"]),
    ("lsns --output-", &["lsns --output-all "]),
    ("cgexec --fro", &["cgexec --from-root "]),
    ("capsh --dro", &["capsh --drop="]),
    ("getpcaps --leg", &["getpcaps --legacy "]),
    ("ctr-ps --by-", &["ctr-ps --by-container "]),
    ("ctr-ps --json", &["--jsonl"]),
    ("ctr-inspect --exi", &["ctr-inspect --exit-status "]),
    // values that the program knows
    ("unshare --propagation pri", &["unshare --propagation private "]),
    ("unshare --propagation ", &["slave", "shared", "unchanged", "!file-one"]),
    ("unshare --propagation=unch", &["unshare --propagation=unchanged "]),
    ("unshare --setgroups d", &["unshare --setgroups deny "]),
    ("unshare --kill-child=SIGTE", &["unshare --kill-child=SIGTERM "]),
    ("unshare --kill-child=USR", &["USR1", "USR2"]),
    ("ctr-ps --color=al", &["ctr-ps --color=always "]),
    ("ctr-ps --status pau", &["ctr-ps --status paused"]),
    ("ctr-ps --how ex", &["ctr-ps --how exec"]),
    ("ctr-ps --runtime podm", &["ctr-ps --runtime podman"]),
    ("ctr-ps --runtime docker,podm", &["ctr-ps --runtime docker,podman"]),
    ("ctr-inspect --section lim", &["ctr-inspect --section limits"]),
    ("lsns --tree=par", &["lsns --tree=parent "]),
    ("cgexec --report=js", &["cgexec --report=json "]),
    // namespaces and columns, in lists
    ("lsns -t us", &["lsns -t user"]),
    ("lsns --type u", &["user", "uts", "!file-one"]),
    ("lsns -t net,us", &["lsns -t net,user"]),
    ("lsns -o NPR", &["lsns -o NPROCS"]),
    ("lsns -o NS,NPR", &["lsns -o NS,NPROCS"]),
    ("lsns -o +netns", &["lsns -o +netnsid"]),
    ("lsns -o ", &["NETNSID", "HELDBY", "!file-one"]),
    ("ctr-ps -o capd", &["ctr-ps -o capdiff"]),
    ("ctr-ps -o pid,capd", &["ctr-ps -o pid,capdiff"]),
    ("ctr-ps -o +elap", &["ctr-ps -o +elapsed"]),
    ("ctr-ps -l -o LIM", &["ctr-ps -l -o LIMIT"]),
    ("ctr-ps --sort -rs", &["ctr-ps --sort -rss"]),
    ("ctr-top -o cpu_", &["ctr-top -o cpu_time"]),
    ("ctr-top -o ", &["THROT", "!CPID"]),
    ("ctr-ps --filter imag", &["ctr-ps --filter image"]),
    ("lsns -Q NPR", &["lsns -Q NPROCS"]),
    // users, groups, ids, capabilities
    ("ctr-ps -u roo", &["ctr-ps -u root"]),
    ("nsenter -S foll", &["nsenter -S follow "]),
    ("nsenter --as nobo", &["nsenter --as nobody "]),
    ("unshare --map-user nobo", &["unshare --map-user nobody "]),
    ("capsh --user=nobo", &["capsh --user=nobody "]),
    ("capsh --drop=cap_sys_adm", &["capsh --drop=cap_sys_admin"]),
    ("capsh --drop=cap_chown,cap_sys_adm", &["capsh --drop=cap_chown,cap_sys_admin"]),
    ("capsh --explain=cap_sys_adm", &["capsh --explain=cap_sys_admin "]),
    ("getpcaps --diff=podman-4", &["getpcaps --diff=podman-4.4 "]),
    ("unshare --map-users su", &["unshare --map-users subids "]),
    ("unshare --whitelist-env HOME,PAT", &["unshare --whitelist-env HOME,PATH"]),
    ("ctr-inspect --diff hos", &["ctr-inspect --diff host "]),
    // beside the original
    ("ctrbox-nsenter --targ", &["ctrbox-nsenter --target "]),
    ("ctrbox-lsns -t net,us", &["ctrbox-lsns -t net,user"]),
    ("ctrbox-unshare -n tab-tool file-o", &["ctrbox-unshare -n tab-tool file-one "]),
    // a host in files
    ("ctr-ps --root host-root -c rt-w", &["ctr-ps --root host-root -c rt-web"]),
    ("ctr-ps --root=host-root rt-db,rt-w", &["ctr-ps --root=host-root rt-db,rt-web"]),
    ("ctr-inspect --root host-root docker:rt-w", &["ctr-inspect --root host-root docker:rt-web "]),
    ("ctr-inspect --root=host-root --diff rt-d", &["ctr-inspect --root=host-root --diff rt-db "]),
    ("ctr-inspect --root host-root rt-web@1", &["@14", "!@8"]),
    ("ctrbox ctr-top --root host-root rl-o", &["ctrbox ctr-top --root host-root rl-one "]),
    ("ctr-ps --root host-root -u rtu", &["ctr-ps --root host-root -u rtuser"]),
    ("ctr-ps --root host-root --image docker.i", &["docker.io/library/rtbox:1"]),
    ("unshare --root sub-dir --map-user nobo", &["unshare --root sub-dir --map-user nobody "]),
    // interfaces and paths
    ("ctr-whose if:l", &["ctr-whose if:lo "]),
    ("ctr-whose pat", &["ctr-whose path:"]),
    ("ctr-whose path:sub-d", &["ctr-whose path:sub-dir/"]),
    ("ctr-whose :80", &["!file-one", "!sub-dir"]),
    ("ctr-whose l", &["ctr-whose lo "]),
    ("ctr-whose sub-d", &["ctr-whose sub-dir/"]),
    ("ctr-whose sub-dir/blu", &["ctr-whose sub-dir/blue "]),
    // files, directories, programs
    ("unshare -R ~/sub-d", &["unshare -R ~/sub-dir/"]),
    ("nsenter -t 1 -a ~/sub-d", &["nsenter -t 1 -a ~/sub-dir/"]),
    ("unshare $HOM", &["$HOME"]),
    ("capsh --chroot=sub-d", &["capsh --chroot=sub-dir/"]),
    ("capsh --chroot=file-o", &["!file-one"]),
    ("cgexec --io-max /dev/nul", &["cgexec --io-max /dev/null "]),
    ("nsenter --net=file-o", &["nsenter --net=file-one "]),
    ("nsenter --net=sub-d", &["nsenter --net=sub-dir/"]),
    ("unshare --mount=sub-dir/blu", &["unshare --mount=sub-dir/blue "]),
    ("unshare -R sub-d", &["unshare -R sub-dir/"]),
    ("unshare -R file-o", &["!file-one"]),
    ("cgexec --report-file file-o", &["cgexec --report-file file-one "]),
    ("unshare -n tab-too", &["unshare -n tab-tool "]),
    ("unshare -n file-o", &["!file-one"]),
    ("unshare --mount sub-d", &["!sub-dir"]),
    ("unshare -n bin/tab", &["unshare -n bin/tab-tool "]),
    ("nsenter -t 1 --net tab-too", &["nsenter -t 1 --net tab-tool "]),
    ("nsenter -t 1 -a tab-tool file-o", &["nsenter -t 1 -a tab-tool file-one "]),
    ("unshare --mount=sub-dir/blue tab-tool file-o", &["unshare --mount=sub-dir/blue tab-tool file-one "]),
    ("cgexec -m 64M tab-tool -- file-o", &["cgexec -m 64M tab-tool -- file-one "]),
    ("cgexec -m ", &["!file-one"]),
    ("nsenter -t 1 -a --applet lsn", &["nsenter -t 1 -a --applet lsns "]),
];

/// A directory with files, programs in `bin`, and the completions.
fn home() -> Scratch {
    let scratch = Scratch::new("completions");
    let bin = scratch.0.join("bin");
    let directory = scratch.0.join("sub-dir");
    for directory in [&bin, &directory] {
        std::fs::create_dir(directory).expect("a directory");
    }
    for name in APPLETS.iter().map(|applet| applet.name).chain(["ctrbox"]) {
        symlink(binary(), bin.join(name)).expect("a link");
    }
    symlink("/bin/true", bin.join("tab-tool")).expect("a link");
    symlink(project("tests/fixtures/systemd-v2/root"), scratch.0.join("host-root")).expect("a link");
    for file in ["file-one", "sub-dir/blue"] {
        std::fs::write(scratch.0.join(file), "").expect("a file");
    }
    scratch
}

fn shell(name: &str, home: &Path) -> Command {
    let mut command = program(name);
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{}:{path}", home.join("bin").display()));
    command.env("HOME", home).env("TERM", "dumb").env("PS1", "").current_dir(home);
    command
}

/// Starts a shell in which ^O prints the line and clears it.
fn start(name: &str, home: &Path, with_package: bool) -> Option<(Terminal, Running)> {
    let completions = project("completions").join(name);
    let completions = completions.display();
    let (mut command, setup) = match name {
        "bash" => {
            let mut command = shell("bash", home);
            command.args(["--norc", "--noprofile", "-i"]);
            let package = "/usr/share/bash-completion/bash_completion";
            let package = if with_package { format!(". {package};") } else { String::new() };
            let setup = format!(
                "bind 'set show-all-if-ambiguous on'; bind 'set page-completions off'; bind 'set enable-bracketed-paste off'; \
                 bind 'set completion-query-items 0'; show() {{ printf '\\n<%s>\\n' \"$READLINE_LINE\"; READLINE_LINE=; }}; \
                 bind -x '\"\\C-o\": show'; {package} for f in '{completions}'/*; do . \"$f\"; done; PS1=; echo READ''Y\n"
            );
            (command, setup)
        }
        _ => {
            let mut command = shell("zsh", home);
            command.args(["-f", "-i"]);
            let setup = format!(
                "PS1= RPS1= PROMPT_EOL_MARK=; fpath=('{completions}' $fpath); autoload -Uz compinit; compinit -u -D; \
                 LISTMAX=10000; setopt no_always_last_prompt; show() {{ print -r -- $'\\n'\"<$BUFFER>\"; BUFFER=; zle redisplay }}; zle -N show; bindkey '^O' show; \
                 bindkey '^I' complete-word; echo READ''Y\n"
            );
            (command, setup)
        }
    };
    if name == "bash" && with_package && !Path::new("/usr/share/bash-completion/bash_completion").exists() {
        skip("bash-completion", "it is not installed");
        return None;
    }
    let mut terminal = Terminal::new();
    terminal.resize(400, 250);
    let child = Running(terminal.start(&mut command));
    terminal.types(&setup);
    terminal.until("READY\r\n");
    Some((terminal, child))
}

/// What appears when `line` and a tab are typed.
fn press(terminal: &mut Terminal, line: &str) -> String {
    terminal.types(&format!("{line}\t\x0f"));
    let mut seen = terminal.until("\n<");
    let buffer = terminal.until(">\r\n");
    // The terminal shows what was typed: only what comes after it counts.
    if let Some(rest) = seen.find(line).map(|at| seen[at + line.len()..].to_owned()) {
        seen = rest;
    }
    format!("{seen}\n<{buffer}")
}

fn check(what: &str, rows: &[Row], mut press: impl FnMut(&str) -> String) {
    let mut failures = Vec::new();
    for (line, words) in rows {
        let seen = press(line);
        for word in *words {
            let fits = match word.strip_prefix('!') {
                Some(word) => !seen.contains(word),
                // The whole line; or a word of the list.
                None => seen.contains(word),
            };
            if !fits {
                failures.push(format!("{what}: {line:?}: {word:?} in {seen:?}"));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn lacks(shell: &str) -> bool {
    if !there(shell) {
        skip(shell, "it is not installed");
    }
    !there(shell)
}

#[test]
fn bash_completes() {
    if lacks("bash") {
        return;
    }
    let home = home();
    for with_package in [false, true] {
        if let Some((mut terminal, _shell)) = start("bash", &home.0, with_package) {
            check("bash", ROWS, |line| press(&mut terminal, line));
        }
    }
}

#[test]
fn zsh_completes() {
    if lacks("zsh") {
        return;
    }
    let home = home();
    if let Some((mut terminal, _shell)) = start("zsh", &home.0, false) {
        check("zsh", ROWS, |line| press(&mut terminal, line));
    }
}

/// The candidates of fish replace the last word: the line that each makes.
fn fish(home: &Path, line: &str) -> String {
    let completions = project("completions/fish");
    let script = "for f in $argv[1]/*.fish; source $f; end; complete -C $argv[2]";
    let mut command = shell("fish", home);
    let output = run(command.args(["--no-config", "-c", script]).arg(completions).arg(line));
    let begin = &line[..line.rfind(' ').map_or(0, |blank| blank + 1)];
    let words = stdout(&output);
    let words = words.lines().map(|offer| offer.split('\t').next().unwrap_or_default());
    // A blank follows a word.
    words.map(|word| format!("{begin}{word} \n")).collect()
}

#[test]
fn fish_completes() {
    if lacks("fish") {
        return;
    }
    let home = home();
    check("fish", ROWS, |line| fish(&home.0, line));
}

/// The lines of ctrbox(1) for who has the directory of all applets first in PATH.
#[test]
fn the_page_says_how_to_complete_the_names_of_other_tools() {
    let page = std::fs::read_to_string(project("man/ctrbox.1")).expect("the page").replace("\\-", "-");
    let others: Vec<&str> =
        APPLETS.iter().filter(|applet| !applet.has_own_name()).map(|applet| applet.name).collect();
    let lists: Vec<&str> = page.lines().filter(|line| line.contains("nsenter unshare")).collect();
    assert_eq!(lists.len(), 3, "one for each shell");
    for line in lists {
        assert!(others.iter().all(|name| line.split(' ').any(|word| word == *name)), "{line}");
    }
    if !lacks("bash") {
        let home = home();
        let lines = page.split(".bashrc\n").nth(1).expect("the lines of bash");
        let (source, rest) = lines.split_once('\n').expect("two lines");
        let complete = rest.lines().next().expect("a line");
        let file = source.strip_prefix("\\&. ").or(source.strip_prefix(". ")).expect("it sources a file");
        assert_eq!(file, "/usr/share/bash-completion/completions/ctrbox");
        let script = format!(". completions/bash/ctrbox; {complete}; complete -p capsh nsenter");
        let output = run(shell("bash", &home.0).args(["--norc", "-c", &script]).current_dir(project(".")));
        assert_eq!(stdout(&output), "complete -F _ctrbox capsh\ncomplete -F _ctrbox nsenter\n");
    }
}

/// Containers by their names, and by RUNTIME:NAME, whose colon ends a word in bash.
#[test]
fn names_of_containers_are_completed() {
    if !root() {
        return skip("root", "real containers need it");
    }
    let name = prefix("runc");
    let Some(up) = Up::new("runc", &name) else { return };
    let id = up.rows[0].id.clone();
    let home = home();
    let cut = &id[..id.len() - 2];
    let others = up.rows.iter().filter(|row| row.id.starts_with(cut)).count();
    assert_eq!(others, 1, "the beginning is that of one");
    let forms = [
        (format!("nsenter -t {cut}"), format!("nsenter -t {id}")),
        (format!("nsenter --target={cut}"), format!("nsenter --target={id}")),
        (format!("nsenter -t runc:{cut}"), format!("nsenter -t runc:{id}")),
        (format!("cgexec --like {cut}"), format!("cgexec --like {id}")),
        (format!("getpcaps {cut}"), format!("getpcaps {id}")),
        (format!("ctr-ps {cut}"), format!("ctr-ps {id}")),
        (format!("ctr-ps -c runc:{cut}"), format!("ctr-ps -c runc:{id}")),
        // The first process and its child.
        (format!("nsenter -t {id}@"), "@1".to_owned()),
        (format!("ctr-ps -c runc:{id}@"), "@1".to_owned()),
        (format!("nsenter -t {id}@1"), format!("nsenter -t {id}@1 ")),
        (format!("cgexec --like=runc:{id}@1"), format!("cgexec --like=runc:{id}@1 ")),
        (format!("ctrbox ctr-inspect runc:{cut}"), format!("ctrbox ctr-inspect runc:{id}")),
    ];
    for name in ["bash", "zsh"].into_iter().filter(|name| !lacks(name)) {
        let (mut terminal, _shell) = start(name, &home.0, false).expect("a shell");
        for (line, completed) in &forms {
            let seen = press(&mut terminal, line);
            assert!(seen.contains(completed.as_str()), "{name}: {line}: {completed} in {seen:?}");
        }
    }
    if !lacks("fish") {
        for (line, completed) in &forms {
            let seen = fish(&home.0, line);
            assert!(seen.contains(completed.as_str()), "fish: {line}: {completed} in {seen:?}");
        }
    }
}
