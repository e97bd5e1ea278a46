//! The same command lines for util-linux's lsns, as the system has it, and for ctrbox: stdout, message, status.
//!
//! The installed version is 2.38, and ctrbox follows the newest. Where they differ, a row says so, and a
//! row that says so without need is an error too. Rows use namespaces of the test, namespaces that all
//! processes of a test share, and wrong arguments; never all namespaces of the host.

use std::path::Path;

use crate::common::compat::{Bench, Differs, Row, Same, all_alike, comparable, rows_are_distinct};
use crate::common::process::{Holder, limited, link, namespaces};
use crate::common::unshare::{apart, bind};
use crate::common::{program, skip, stderr, there};

const NEWER: &str = "the option is newer than 2.38";
const WORDS: &str = "the words of the newest";
const WIDTHS: &str = "columns of the newest are as wide as what they hold";
const GHOSTS: &str = "the newest adds no owner of a kind that was not asked for";
const PERSISTENT: &str = "since 2.39 namespaces without processes are listed";
const CONTAINER: &str = "a word is a container";
const OURS: &str = "only ctrbox has the option or column";
const EXCLUSIVE: &str = "the manual of util-linux excludes this, and its option table does not";

/// Command lines for a shell in whose PATH `lsns` is one or the other. `$pid` is, with the process that started it,
/// in namespaces of all kinds (`$mnt` to `$time`; `$net` is mounted on `$d/a` and `$d/b`). `$inner` is in a user
/// namespace within that of `$outer` and in a network namespace of the inner one. `$kept` has no process; it
/// is mounted on `$d/kept`. `$gone` is a PID without a process. `$nobody` runs a command as an ordinary user.
const ROWS: &[Row] = &[
    // forms
    ("lsns -p $pid | tr -s ' '", Same),
    ("lsns -p $pid -r", Same),
    ("lsns -p $pid --raw", Same),
    ("lsns -p $pid -J", Same),
    ("lsns -p $pid --json", Same),
    ("lsns -p $pid -l | tr -s ' '", Same),
    ("lsns -p $pid -lr", Same),
    ("lsns -p $pid -lJ", Same),
    ("lsns -p $pid -n | tr -s ' '", Same),
    ("lsns -p $pid -nr", Same),
    ("lsns -p $pid -nJ", Same),
    ("lsns -p $pid -o NS", Same),
    ("lsns -p $pid -o NS,TYPE", Same),
    ("lsns -p $pid -n -o NS,TYPE", Same),
    ("lsns -p $pid -o TYPE,NS,USER,UID", Same),
    ("lsns -p $pid -o COMMAND,NS", Same),
    ("lsns -p $pid -l -o COMMAND,NS", Same),
    ("lsns -p $pid -o NPROCS,NS", Same),
    ("lsns -p $pid -u -o NS,COMMAND", Same),
    ("lsns -p $pid -W -o NS,COMMAND", Same),
    ("LC_ALL=C lsns -p $pid -o NS,COMMAND", Same),
    ("LC_ALL=C lsns -p $pid -J -o NS,COMMAND", Same),
    ("LC_ALL=C lsns -p $pid -r -o NS,COMMAND", Same),
    ("COLUMNS=40 lsns -p $pid -o NS,COMMAND", Same),
    ("lsns -p $pid -o NS,PID -t uts -r", Same),
    // columns
    ("lsns -p $pid -r -o NS,TYPE,PATH,NPROCS,PID,PPID,COMMAND,UID,USER", Same),
    ("lsns -p $pid -J -o NS,TYPE,PATH,NPROCS,PID,PPID,COMMAND,UID,USER", Same),
    ("lsns -p $pid -r -o NS,PNS,ONS", Same),
    ("lsns -p $pid -J -o NS,PNS,ONS", Same),
    ("lsns -p $pid -r -o ns,Type,pId", Same),
    ("lsns -p $pid -r -o=NS", Same),
    ("lsns -p $pid -r -o NS,NS,TYPE", Same),
    ("lsns -p $pid -r -o +PATH", Same),
    ("lsns -p $pid -r -o +ppid,path", Same),
    ("lsns -p $pid -r --output=PATH", Same),
    ("lsns -p $pid -r -o PID -o NS", Same),
    ("lsns -p $pid -r --output-all -o NS", Same),
    ("lsns -p $pid -r -o NS --output-all", Same),
    ("lsns -p $pid -r -l --output-all -o +NS", Same),
    ("lsns -p $pid -r -l --output-all", Same),
    ("lsns -p $pid -J -l --output-all", Same),
    ("lsns -p $pid -J -Tprocess --output-all", Same),
    ("lsns -p $pid -r -T --output-all -t mnt -t pid | wc -l", Differs(GHOSTS)),
    ("lsns -p $pid -r -o", Same),
    ("lsns -p $pid -r -o ''", Same),
    ("lsns -p $pid -r -o +", Same),
    ("lsns -p $pid -r -o NS,", Same),
    ("lsns -p $pid -r -o ,NS", Same),
    ("lsns -p $pid -r -o NS,,TYPE", Same),
    ("lsns -p $pid -r -o x", Same),
    ("lsns -p $pid -r -o NS,x,TYPE", Same),
    ("lsns -p $pid -r -o 'NS TYPE'", Same),
    ("lsns -p $pid -r -o NSTYPE", Same),
    ("lsns -p $pid -r -o $(yes NS, | head -n 25 | tr -d '\\n')NS", Same),
    ("lsns -p $pid -r -o $(yes NS, | head -n 26 | tr -d '\\n')NS", Same),
    ("lsns -p $pid -r -o NETNAME", Differs(OURS)),
    ("lsns -p $pid -r -o +HELDBY", Differs(OURS)),
    // kinds
    ("lsns -p $pid -r -t mnt", Same),
    ("lsns -p $pid -r -t net", Same),
    ("lsns -p $pid -r -t pid", Same),
    ("lsns -p $pid -r -t uts", Same),
    ("lsns -p $pid -r -t ipc", Same),
    ("lsns -p $pid -r -t user", Same),
    ("lsns -p $pid -r -t cgroup", Same),
    ("lsns -p $pid -r -t time", Same),
    ("lsns -p $pid -r -t uts -t ipc", Same),
    ("lsns -p $pid -r --type=uts --type uts", Same),
    ("lsns -p $pid -r -t uts -t net", Same),
    ("lsns -p $pid -J -t uts -t ipc", Same),
    ("lsns -p $pid -t x", Same),
    ("lsns -p $pid -t ''", Same),
    ("lsns -p $pid -t UTS", Same),
    ("lsns -p $pid -t uts,net", Differs("the original takes no list")),
    ("lsns -p $pid -t mount", Same),
    ("lsns -p $pid -t ' uts'", Same),
    ("lsns -t", Same),
    ("lsns --type", Same),
    // what the network knows
    ("lsns -p $pid -t net | tr -s ' '", Same),
    ("lsns -p $pid -t net -W | tr -s ' '", Same),
    ("lsns -p $pid -t net -J", Same),
    ("lsns -p $inner -t net -r", Same),
    ("lsns -p $inner -t net -J", Same),
    ("lsns -p $pid -r -o NS,NETNSID", Same),
    ("lsns -p $pid -r -o NS,NSFS", Same),
    ("lsns -p $pid -n -o NSFS -t net", Same),
    ("lsns -p $pid -n -o NSFS,NS -t net", Same),
    ("lsns -p $pid -n -W -o NSFS,NS -t net", Same),
    ("lsns -p $pid -n -u -o NSFS,NS -t net", Same),
    ("lsns -p $pid -nr -o NSFS,NS -t net", Same),
    ("lsns -p $inner -o NSFS,NS -t net", Same),
    ("lsns -p $pid -o NETNSID,NS -t uts", Same),
    ("lsns -p $pid -n -o NPROCS,NS", Differs(WIDTHS)),
    // trees
    ("lsns -p $pid -r -T -o NS,TYPE,UID", Same),
    ("lsns -p $pid -r --tree -o NS,TYPE,UID", Same),
    ("lsns -p $pid -r -Towner -o NS,TYPE,UID", Same),
    ("lsns -p $pid -r -T=owner -o NS,TYPE,UID", Same),
    ("lsns -p $pid -r --tree=owner -o NS,TYPE,UID", Same),
    ("lsns -p $pid -r -Tparent -o NS,TYPE,UID", Same),
    ("lsns -p $pid -r -Tprocess", Same),
    ("lsns -p $pid -Tprocess -o NS,COMMAND", Same),
    ("lsns -p $pid -T -o NS,TYPE", Same),
    ("lsns -p $pid -T -J -o NS,TYPE", Same),
    ("LC_ALL=C lsns -p $pid -T -o NS,TYPE", Same),
    ("lsns -p $pid -T -o TYPE,NS,UID", Same),
    ("lsns -p $pid -T -o TYPE", Same),
    ("lsns -p $inner -T -r -t user -t net -o NS,TYPE", Same),
    ("lsns -p $inner -T -r -t uts -o NS,TYPE", Differs(GHOSTS)),
    ("lsns -T -t user -n -o NS,TYPE | grep -e $user -e $usero -e $useri | sed 's/^[^0-9]*//'", Same),
    ("lsns -T -t user -t net -n -o NS,TYPE,ONS | grep -e $neti -e $useri | sed 's/^[^0-9]*//'", Same),
    (
        "lsns -Tparent -t user -n -o NS,TYPE,PNS | grep -e $user -e $usero -e $useri | sed 's/^[^0-9]*//'",
        Same,
    ),
    ("lsns -Tparent -t pid -n -o NS,TYPE,PNS | grep $pidns | sed 's/^[^0-9]*//'", Same),
    ("lsns -T -n -t user -o NS,PNS,ONS | grep $useri | sed 's/^[^0-9]*//'", Same),
    ("lsns -p $pid -Tx", Same),
    ("lsns -p $pid --tree=", Same),
    ("lsns -p $pid -TOwner", Same),
    ("lsns -p $pid -T owner", Same),
    ("lsns -l -T -p $pid", Differs(EXCLUSIVE)),
    ("lsns -T -l -p $pid", Differs(EXCLUSIVE)),
    // namespaces
    ("lsns $net -r", Same),
    ("lsns -r $net", Same),
    ("lsns $net -J", Same),
    ("lsns $net -rl", Same),
    ("lsns $net | tr -s ' ' | sed 's/^ //'", Same),
    ("lsns $pidns -r", Same),
    ("lsns $pidns -J", Same),
    ("lsns $usero -r -o PID,PPID,NS", Same),
    ("lsns $usero $net -r", Same),
    ("lsns -- $net -r | tr -s ' ' | sed 's/^ //'", Same),
    ("lsns $net -r -o +NS,TYPE", Same),
    ("lsns $net -r -o NS", Same),
    ("lsns $net -r -o NS,NETNSID,NSFS", Same),
    ("lsns $net -t net -r", Same),
    ("lsns $net -t uts -r", Same),
    ("lsns $net -n | tr -s ' '", Same),
    ("lsns +$net -rn -o NS,PID", Same),
    ("lsns ' '$net -rn -o NS,PID", Same),
    ("lsns 000$net -rn -o NS,PID", Same),
    ("lsns 0 -r -n -o NS | grep $net", Same),
    ("lsns 1 -r", Same),
    ("lsns 99999999999 -r", Same),
    ("lsns 18446744073709551616", Same),
    ("lsns -- -1", Same),
    ("lsns ''", Same),
    ("lsns 12x", Same),
    ("lsns 0x10", Same),
    ("lsns x", Differs(CONTAINER)),
    ("lsns $net -p $pid", Same),
    ("POSIXLY_CORRECT=1 lsns -p $pid -r $net", Same),
    ("lsns $kept", Differs(PERSISTENT)),
    ("lsns -rn -o NS -t net | grep $kept", Differs(PERSISTENT)),
    // processes
    ("lsns --task $pid -r", Same),
    ("lsns --task=$pid -r", Same),
    ("lsns -p$pid -r", Same),
    ("lsns -p +$pid -r", Same),
    ("lsns -p ' '$pid -r", Same),
    ("lsns -p 000$pid -r", Same),
    ("lsns -p $gone -p $pid -r", Same),
    ("lsns -p $gone", Same),
    ("lsns -p $gone -r", Same),
    ("lsns -p $gone -J", Same),
    ("lsns -p $gone -t uts -t net -o PATH", Same),
    ("lsns -p 0 -rn -o NS | grep $net", Differs(WORDS)),
    ("lsns -p -1", Differs(WORDS)),
    ("lsns -p ''", Same),
    ("lsns -p x", Differs(CONTAINER)),
    ("lsns -p 12x", Differs(CONTAINER)),
    ("lsns -p 99999999999", Same),
    ("lsns -p 2147483648", Same),
    ("lsns -p", Same),
    ("lsns --task", Same),
    ("lsns -p $$ -t uts -rn -o NS", Same),
    // usage
    ("lsns --foo", Same),
    ("lsns -x", Same),
    ("lsns -rx", Same),
    ("lsns -o", Same),
    ("lsns --output", Same),
    ("lsns --json=x", Same),
    ("lsns --ou", Same),
    ("lsns --no", Differs("a newer option begins with the same letters")),
    ("lsns --jso --tas $pid --typ uts", Same),
    ("lsns --output-a -r -p $pid -t uts", Same),
    ("lsns -J -r", Differs(WORDS)),
    ("lsns -r -J", Differs(WORDS)),
    ("lsns --raw --json --foo", Differs(WORDS)),
    ("lsns -r -r -p $pid -t uts", Same),
    ("lsns --foo --help", Same),
    ("lsns -tx --help", Same),
    ("lsns -tx -ty", Same),
    ("lsns -o x -t y", Same),
    ("lsns -o x -p y", Differs(CONTAINER)),
    ("lsns -o x 12x", Same),
    ("$bin/lsns --foo", Same),
    ("$bin/lsns -x", Same),
    ("$bin/lsns -t x", Same),
    ("cd $bin; ./lsns --foo", Same),
    ("lsns --version | wc -l", Same),
    ("lsns --help >/dev/full", Same),
    ("lsns --version >/dev/full", Same),
    ("lsns -p $pid -r >/dev/full", Same),
    ("lsns -p $pid -r >&-; echo $?", Differs("util-linux loses a short list without a word")),
    ("lsns -p $pid | true", Same),
    ("lsns -tx 2>&-; echo $?", Same),
    ("lsns -p $pid -r <&-", Same),
    ("ulimit -n 10; lsns -p $pid -rn -o NS", Same),
    ("env -i $bin/lsns -p $pid -r -o NS,TYPE", Same),
    // the newest's
    ("lsns -P -t uts -p $pid", Differs(NEWER)),
    ("lsns -P -rn -o NS -t net | grep $kept", Differs(NEWER)),
    ("lsns -H", Differs(NEWER)),
    ("lsns --list-columns -J", Differs(NEWER)),
    ("lsns -p $pid -r -Q 'TYPE == \"uts\"'", Differs(NEWER)),
    ("lsns --filter", Differs(NEWER)),
    // an ordinary user
    ("$nobody lsns -p $pid -r", Same),
    ("$nobody lsns $net", Differs(PERSISTENT)),
    ("$nobody sh -c 'exec lsns -p $$ -rn -o NS,TYPE'", Same),
    ("$nobody sh -c 'exec lsns -p $$ -J -t uts -o NS,TYPE'", Same),
    ("$nobody lsns -rn -o NS | grep -e $net -e $useri -e $kept", Differs(PERSISTENT)),
    // --output-all without -T is a list
    ("lsns -p $pid -r --output-all", Same),
    ("lsns -p $pid -J --output-all", Same),
    ("lsns -p $pid -r --output-all -o +NS", Same),
    ("lsns -p $pid --output-all -o COMMAND,NS", Same),
    // the message is without the `=`
    ("lsns -p $pid -T=", Same),
    ("lsns -p $pid -T=x", Same),
    // the first operand ends the options
    ("POSIXLY_CORRECT=1 lsns $net -p $pid -r | tr -s ' ' | sed 's/^ //'", Same),
];

const FILES: &str = "cd .. && chmod 755 . d actual original bin && touch d/a d/b d/kept";

/// All is gone with it. The mounts are those of the thread that made it.
struct Namespaces {
    bench: Bench,
    main: Holder,
    inner: Holder,
    kept: u64,
}

impl Namespaces {
    fn new(name: &str) -> Namespaces {
        let bench = Bench::new(name, "lsns", FILES);
        let at = |name: &str| bench.at(name);
        let main = Holder::new(&["-U", "-r", "-C", "-i", "-u", "-n", "-m", "-T", "-p", "-f"], "");
        let both = ["-U", "-r", "sh", "-c", "\"$@\"; exit", "outer", "unshare", "-U", "-r", "-n"];
        let inner = Holder::by(program("unshare").args(both), "");
        let net = main.file("ns/net");
        bind(Path::new(&net), &at("d/a"));
        bind(Path::new(&net), &at("d/b"));
        let mut file = std::ffi::OsString::from("--net=");
        file.push(at("d/kept"));
        let made = limited(program("unshare").arg(file).arg("true"));
        assert!(made.status.success(), "{}", stderr(&made));
        let kept = std::fs::metadata(at("d/kept")).expect("a namespace");
        let kept = std::os::unix::fs::MetadataExt::ino(&kept);
        Namespaces { bench, main, inner, kept }
    }

    fn said(&self, line: &str, whose: &str) -> String {
        let mut command = self.bench.shell(line, whose);
        let stat = std::fs::read_to_string(self.inner.file("stat")).expect("a process");
        let outer = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1)).expect("a parent");
        command.env("pid", self.main.pid.to_string()).env("inner", self.inner.pid.to_string());
        command.env("outer", outer).env("gone", "4194304").env("kept", self.kept.to_string());
        let inode = |link: String| link.chars().filter(char::is_ascii_digit).collect::<String>();
        for (name, kind) in [("mnt", "mnt"), ("net", "net"), ("uts", "uts"), ("ipc", "ipc"), ("user", "user")]
        {
            command.env(name, inode(self.main.link(kind)));
        }
        for (name, kind) in [("pidns", "pid"), ("time", "time"), ("cgroup", "cgroup")] {
            command.env(name, inode(self.main.link(kind)));
        }
        command.env("useri", inode(self.inner.link("user"))).env("neti", inode(self.inner.link("net")));
        command.env("usero", inode(link(outer, "user")));
        command.env("nobody", "setpriv --reuid=65534 --regid=65534 --clear-groups");
        command.env_remove("COLUMNS").current_dir("/");
        self.bench.said(&mut command, whose)
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        // A mount point could not be removed.
        for name in ["a", "b", "kept"] {
            let _ = nix::mount::umount(&self.bench.at("d").join(name));
        }
    }
}

/// Every row is as expected, where that can be decided.
fn compare(name: &str, rows: &[Row]) {
    if !namespaces("compat_lsns") || !comparable("compat_lsns", "lsns", 38..=38) {
        return;
    }
    if !there("setpriv") {
        skip("compat_lsns", "needs setpriv(1)");
        return;
    }
    apart(|| {
        let inside = Namespaces::new(name);
        all_alike(rows, |line, whose| inside.said(line, whose));
    });
}

#[test]
fn the_original_and_ctrbox_print_the_same() {
    compare("compat-lsns", ROWS);
}

#[test]
fn no_row_stands_twice() {
    rows_are_distinct(ROWS, 100);
}
