//! The same command lines for util-linux's nsenter, as the system has it, and for ctrbox: stdout, message, status.
//!
//! The installed version is 2.38 to 2.41, and ctrbox follows the newest. Where those differ, a row says so; a
//! row that says so without need is an error too.

use crate::common::compat::{Bench, Differs, Row, Same, all_alike, comparable, rows_are_distinct};
use crate::common::process::{Holder, namespaces};
use crate::common::{skip, there};

const NEWER: &str = "the option is newer than 2.38";
const WORDS: &str = "the words of the newest";
const CONTAINER: &str = "a word is a container";
const STDERR: &str = "a message that cannot be written changes the status of util-linux";
const CLOSED: &str = "descriptors of nsenter do not reach a program in a container";

/// Command lines for a shell in whose PATH `nsenter` is one or the other. `$pid` holds all namespaces but
/// user, `$user` is root of its own user namespace, `$gone` is a PID without a process, `$d` a directory.
const ROWS: &[Row] = &[
    // entering
    ("nsenter -t $pid -u hostname", Same),
    ("nsenter -t $pid --uts hostname", Same),
    ("nsenter --target $pid --uts hostname", Same),
    ("nsenter --target=$pid -u hostname", Same),
    ("nsenter -t$pid -u hostname", Same),
    ("nsenter -ut $pid hostname", Same),
    ("nsenter -u -t $pid -- hostname", Same),
    ("nsenter -u/proc/$pid/ns/uts hostname", Same),
    ("nsenter --uts=/proc/$pid/ns/uts hostname", Same),
    ("nsenter -u=/proc/$pid/ns/uts hostname", Differs("since 2.39 one `=` after the letter is dropped")),
    ("nsenter -t $pid -C readlink /proc/self/ns/cgroup", Same),
    ("nsenter -t $pid -i readlink /proc/self/ns/ipc", Same),
    ("nsenter -t $pid -n readlink /proc/self/ns/net", Same),
    ("nsenter -t $pid -m readlink /proc/self/ns/mnt", Same),
    ("nsenter -t $pid -T readlink /proc/self/ns/time", Same),
    ("nsenter -t $pid -p readlink /proc/self/ns/pid", Same),
    ("nsenter -t $pid -p -F readlink /proc/self/ns/pid /proc/self/ns/pid_for_children", Same),
    ("nsenter -t $pid -F -p sh -c 'echo x'", Same),
    ("nsenter -t $pid --no-fork -p readlink /proc/self/ns/pid_for_children", Same),
    ("nsenter -t $pid -a sh -c 'hostname; readlink /proc/self/ns/*'", Same),
    ("nsenter -t $pid -a -n readlink /proc/self/ns/net", Same),
    ("nsenter -t $pid -a --net=/proc/self/ns/net readlink /proc/self/ns/net", Same),
    ("nsenter -t $pid -u --uts=/proc/self/ns/uts true", Same),
    ("nsenter -t $pid -m -u -i -n -p -C -T sh -c 'readlink /proc/self/ns/*'", Same),
    ("nsenter -t $pid -m -n --pid=/proc/$pid/ns/pid sh -c 'readlink /proc/self/ns/*'", Same),
    ("nsenter -n/proc/$pid/ns/net -u/proc/$pid/ns/uts sh -c 'hostname; readlink /proc/self/ns/net'", Same),
    ("nsenter -t $user -U -u sh -c 'id -u; id -g; readlink /proc/self/ns/user'", Same),
    ("nsenter -t $user -a sh -c 'id -u; readlink /proc/self/ns/*'", Same),
    ("nsenter -U/proc/$user/ns/user id -u", Same),
    ("nsenter -U=/proc/$user/ns/user id -u", Differs("since 2.39 one `=` after the letter is dropped")),
    ("nsenter -t $user -U --preserve-credentials id -u", Same),
    ("nsenter -t $user -U -n --preserve-credentials sh -c 'id -u; readlink /proc/self/ns/net'", Same),
    ("nsenter -t $user -U -S 0 -G 0 id", Same),
    ("nsenter -t $user -U -S 7 id -u", Differs(WORDS)),
    ("nsenter -t $user -U -G 7 id -g", Differs(WORDS)),
    ("nsenter -t $user -U -Z id -u", Same),
    ("nsenter -t $$ -U true", Differs(WORDS)),
    ("nsenter -U/proc/self/ns/user true", Same),
    // status
    ("nsenter -t $pid -u true", Same),
    ("nsenter -t $pid -u false", Same),
    ("nsenter -t $pid -u sh -c 'exit 255'", Same),
    ("nsenter -t $pid -p sh -c 'exit 255'", Same),
    ("nsenter -t $pid -p sh -c 'exit 3'", Same),
    ("nsenter -t $pid -p sh -c 'kill -TERM $$'", Same),
    ("nsenter -t $pid -p sh -c 'kill -KILL $$'", Same),
    ("nsenter -t $pid -p sh -c 'kill -HUP $$'", Same),
    ("nsenter -t $pid -p sh -c 'kill -USR1 $$'", Same),
    ("nsenter -t $pid -p sh -c 'kill -PIPE $$'", Same),
    ("nsenter -t $pid -p sh -c 'kill -34 $$'", Same),
    ("nsenter -t $pid -u sh -c 'kill -KILL $$'", Same),
    ("env --ignore-signal=CHLD nsenter -t $pid -p sh -c 'exit 3'", Same),
    ("env --block-signal=CHLD nsenter -t $pid -p sh -c 'exit 3'", Same),
    ("trap '' PIPE; nsenter -t $pid -p grep SigIgn /proc/self/status", Same),
    ("trap '' INT HUP; nsenter -t $pid -u grep SigIgn /proc/self/status", Same),
    ("nsenter -t $pid -p sh -c 'yes | head -1'", Same),
    // ids
    ("nsenter -t $pid -u -S 1234 id", Same),
    ("nsenter -t $pid -u -G 1234 id", Same),
    ("nsenter -t $pid -u -S 12 -G 34 id", Same),
    ("nsenter -t $pid -u --setuid=12 --setgid=34 id", Same),
    ("nsenter -t $pid -u -S +12 id -u", Same),
    ("nsenter -t $pid -u -S ' 12' id -u", Same),
    ("nsenter -t $pid -u -S 0012 id -u", Same),
    ("nsenter -t $pid -u -S -0 id -u", Same),
    ("nsenter -t $pid -u -S 12x id", Same),
    ("nsenter -t $pid -u -S x id", Same),
    ("nsenter -t $pid -u -S '' id", Same),
    ("nsenter -t $pid -u -G x id", Same),
    ("nsenter -t $pid -u -G 0x10 id", Same),
    ("nsenter -t $pid -u -S -1 id", Differs(WORDS)),
    ("nsenter -t $pid -u -S 4294967295 id", Differs(WORDS)),
    ("nsenter -t $pid -u -G 4294967295 id", Differs(WORDS)),
    (
        "nsenter -t $pid -u -S 4294967296 id -u",
        Differs("4294967296 is no id: the original takes the lower 32 bits, which are root's"),
    ),
    (
        "nsenter -t $pid -u -G 4294967296 id -g",
        Differs("4294967296 is no id: the original takes the lower 32 bits, which are root's"),
    ),
    ("nsenter -t $pid -u -S 18446744073709551616 id", Same),
    ("nsenter -t $pid -u -S follow id -u", Differs(NEWER)),
    ("nsenter -t $pid -u --preserve-credentials id", Same),
    // directories
    ("nsenter -t $pid -u pwd", Same),
    ("nsenter -t $pid -w -u pwd", Same),
    ("nsenter -t $pid -w/ -u pwd", Same),
    ("nsenter -t $pid --wd=/etc -u pwd", Same),
    ("nsenter -t $pid -wd -u pwd", Same),
    ("nsenter -t $pid -w=/etc -u pwd", Differs("since 2.39 one `=` after the letter is dropped")),
    ("nsenter -t $pid -W/etc -u pwd", Same),
    ("nsenter -t $pid -W=/etc -u pwd", Differs("since 2.39 one `=` after the letter is dropped")),
    ("nsenter -t $pid --wdns=/etc -u pwd", Same),
    ("nsenter -t $pid --wdns -u pwd", Same),
    ("nsenter -t $pid -w/ -W/etc -u pwd", Differs("since 2.39 they exclude each other")),
    ("nsenter -t $pid -m pwd", Same),
    ("nsenter -t $pid -m -w pwd", Same),
    ("nsenter -t $pid -m -r pwd", Same),
    ("nsenter -t $pid -m -r -w pwd", Same),
    ("nsenter -t $pid -m -r/ -w/etc pwd", Same),
    ("nsenter -t $pid -m -r -W/etc pwd", Same),
    ("nsenter -t $pid -r/ -u pwd", Same),
    ("nsenter -t $pid -r=/ -u pwd", Same),
    ("nsenter -t $pid --root=/ -u pwd", Same),
    ("nsenter -t $pid -r/no/such -u pwd", Same),
    ("nsenter -t $pid -w/no/such -u pwd", Same),
    ("nsenter -t $pid -W/no/such -u pwd", Same),
    ("nsenter -t $pid -r/etc/passwd -u pwd", Same),
    ("nsenter -t $pid -w/etc/passwd -u pwd", Same),
    ("nsenter -t $pid -W/etc/passwd -u pwd", Same),
    ("nsenter -w/etc pwd", Same),
    ("nsenter -r/ pwd", Same),
    ("nsenter -W/etc pwd", Same),
    ("nsenter --root=/ --wd=/ pwd", Same),
    ("nsenter -t $pid -r -w/ pwd", Same),
    ("nsenter -t $pid -w sh -c 'pwd -P'", Same),
    ("nsenter --setuid 7 --setgid 8 id", Same),
    ("nsenter -G 8 id", Same),
    // programs
    ("nsenter -t $pid -u no-such-program", Same),
    ("nsenter -t $pid -u /no/such/program", Same),
    ("nsenter -t $pid -u ''", Same),
    ("nsenter -t $pid -u no-such-program 2>&-; echo $?", Differs(STDERR)),
    ("nsenter -t $pid -u $d/plain 2>/dev/full; echo $?", Differs(STDERR)),
    ("nsenter -t $pid -u $d/directory", Same),
    ("nsenter -t $pid -u $d/plain", Same),
    ("nsenter -t $pid -u $d/nobang", Same),
    ("nsenter -t $pid -u $d/script a 'b c'", Same),
    ("PATH=$PATH:$d nsenter -t $pid -u script a 'b c'", Same),
    ("PATH=$PATH:$d; nsenter -t $pid -u script a 'b c'", Same),
    ("PATH=$PATH:$d; nsenter -t $pid -u plain", Same),
    ("PATH=$PATH:$d; nsenter -t $pid -u directory", Same),
    ("n=$(command -v nsenter); PATH=/etc/passwd; $n -t $pid -u x", Same),
    ("n=$(command -v nsenter); PATH=$d:/etc/passwd; $n -t $pid -u plain", Same),
    ("n=$(command -v nsenter); PATH=; cd $d; $n -t $pid -u script", Same),
    ("n=$(command -v nsenter); unset PATH; $n -t $pid -u echo x", Same),
    ("nsenter -t $pid -u /etc/passwd/x", Same),
    ("nsenter -t $pid -p no-such-program", Same),
    ("nsenter -t $pid -u echo -n --help -- x", Same),
    ("nsenter -t $pid -u -- echo -V", Same),
    ("nsenter -t $pid -u --- true", Same),
    ("SHELL=$d/shell nsenter -t $pid -u", Same),
    ("echo 'echo $0; exit 4' | nsenter -t $pid -u", Same),
    ("echo 'echo $0; exit 4' | nsenter -t $pid -p", Same),
    (
        "echo 'echo $0; exit 4' | env -u SHELL nsenter -t $pid -u",
        Differs("since 2.39 without SHELL, or with an empty one, it is that of the passwd file"),
    ),
    (
        "echo 'echo $0; exit 4' | SHELL= nsenter -t $pid -u",
        Differs("since 2.39 without SHELL, or with an empty one, it is that of the passwd file"),
    ),
    ("SHELL=/no/such/shell nsenter -t $pid -u", Same),
    ("SHELL=sh nsenter -t $pid -u", Same),
    ("SHELL=/etc nsenter -t $pid -u", Same),
    ("SHELL=$d/plain nsenter -t $pid -u", Same),
    // targets
    ("nsenter -u true", Differs(WORDS)),
    ("nsenter -n -u true", Differs(WORDS)),
    ("nsenter -r true", Same),
    ("nsenter -w true", Same),
    ("nsenter -a true", Differs(WORDS)),
    ("nsenter", Differs("since 2.41 it is an error to enter nothing")),
    ("nsenter true", Differs("since 2.41 it is an error to enter nothing")),
    ("nsenter -t $pid true", Differs("since 2.41 it is an error to enter nothing")),
    ("nsenter -t $pid -u -t $user hostname", Differs("since 2.41 a target may be given only once")),
    ("nsenter -t $gone -u true", Same),
    ("nsenter -t $gone -n -u true", Same),
    ("nsenter -t $gone -a true", Same),
    ("nsenter -t $gone -r true", Same),
    ("nsenter -t $gone -u -r true", Same),
    ("nsenter -t $gone -u -w true", Same),
    ("nsenter -t 0 -u true", Differs(WORDS)),
    ("nsenter -t -1 -u true", Differs(WORDS)),
    ("nsenter -t x -u true", Differs(CONTAINER)),
    ("nsenter -t '' -u true", Differs(WORDS)),
    ("nsenter -t 12x -u true", Differs(CONTAINER)),
    ("nsenter -t 0x10 -u true", Differs(CONTAINER)),
    (
        "nsenter -t 99999999999999999999 -u true",
        Differs("all the digits may be the beginning of a container's id"),
    ),
    ("nsenter -t -99999999999999999999 -u true", Differs(WORDS)),
    ("nsenter -t 4294967296 -u true", Differs("all the digits may be the beginning of a container's id")),
    ("nsenter -t +$pid -u hostname", Same),
    (r#"nsenter -t " $pid" -u hostname"#, Same),
    ("nsenter -t 000$pid -u hostname", Same),
    ("nsenter -t $pid:1 -u true", Differs("since 2.42 a PID with the inode of a pidfd")),
    ("nsenter -u/no/such true", Same),
    ("nsenter --net=/no/such true", Same),
    ("nsenter --net= true", Same),
    ("nsenter -n= true", Differs("since 2.39 one `=` after the letter is dropped")),
    ("nsenter -u/etc/passwd true", Same),
    ("nsenter -u/etc true", Same),
    ("nsenter -n/proc/$pid/ns/uts true", Same),
    ("nsenter --user=/proc/$pid/ns/uts true", Same),
    ("nsenter -p/proc/$pid/ns/net true", Same),
    // usage
    ("nsenter --foo", Same),
    ("nsenter --foo=bar", Same),
    ("nsenter -x", Same),
    ("nsenter -Fx", Same),
    ("nsenter -t", Same),
    ("nsenter --target", Same),
    ("nsenter -u -S", Same),
    ("nsenter --all=x", Same),
    ("nsenter --no-fork=x", Same),
    ("nsenter --preserve-credentials=", Same),
    ("nsenter --s", Same),
    ("nsenter --set 0", Same),
    ("nsenter --w", Same),
    ("nsenter --ne -t $pid true", Differs("a newer option begins with the same letters")),
    ("nsenter --use -t $user id -u", Differs("a newer option begins with the same letters")),
    ("nsenter --targ $pid --ut hostname", Same),
    ("nsenter --targ=$pid --ut hostname", Same),
    ("nsenter --no -u -t $pid hostname", Same),
    ("nsenter --pre -u -t $pid hostname", Same),
    ("nsenter --mo -t $pid readlink /proc/self/ns/mnt", Same),
    ("nsenter -un -t $pid true", Same),
    ("nsenter '' -t $pid", Differs("since 2.41 it is an error to enter nothing")),
    ("nsenter - -t $pid", Differs("since 2.41 it is an error to enter nothing")),
    ("nsenter --foo --help", Same),
    ("nsenter -Sx --help", Same),
    ("$bin/nsenter --foo", Same),
    ("$bin/nsenter -x", Same),
    ("$bin/nsenter -t", Same),
    ("$bin/nsenter --wd=/no/such", Same),
    ("cd $bin; ./nsenter --foo", Same),
    ("cd $bin/..; actual=x; original=x; */nsenter --foo 2>&1 | tail -1", Same),
    ("nsenter --version | wc -l", Same),
    ("nsenter --help >/dev/full", Same),
    ("nsenter --version >/dev/full", Same),
    ("nsenter -V >&-", Same),
    ("nsenter -h >&-; echo $?", Same),
    ("nsenter --help | true", Same),
    ("nsenter --version 2>&- >&-", Same),
    // descriptors and environment
    ("nsenter -t $pid -u sh -c 'echo /proc/self/fd/*' <&-", Same),
    ("nsenter -t $pid -u sh -c 'echo /proc/self/fd/*' 5</dev/null", Same),
    ("nsenter -t $pid -a sh -c 'echo /proc/self/fd/*' 5</dev/null", Differs(CLOSED)),
    ("nsenter -t $pid -m -r -w sh -c 'echo /proc/self/fd/*' 5</dev/null", Differs(CLOSED)),
    ("nsenter -t $pid -p sh -c 'echo /proc/self/fd/*' 2>&- 5</dev/null", Differs(CLOSED)),
    ("env -i A=1 B=2 $bin/nsenter -t $pid -u /usr/bin/env", Same),
    ("echo input | nsenter -t $pid -u cat", Same),
    ("echo input | nsenter -t $pid -p cat", Same),
    ("nsenter -t $pid -u echo x >/dev/full", Same),
    ("exec 3<&- 4<&- 5<&- 6<&- 7<&- 8<&- 9<&-; ulimit -n 10; nsenter -t $pid -a hostname", Same),
    // the newest's
    ("nsenter -t $pid -u -e true", Differs(NEWER)),
    ("nsenter -t $pid -u --env true", Differs(NEWER)),
    ("nsenter -t $pid -u -c true", Differs(NEWER)),
    ("nsenter -t $pid -u --keep-caps true", Differs(NEWER)),
    ("nsenter -t $pid -N 0 true", Differs(NEWER)),
    ("nsenter -t $pid --user-parent true", Differs(NEWER)),
    ("nsenter -t $pid -u -Z true", Same),
    // an ordinary user
    (
        "setpriv --reuid=65534 --regid=65534 --clear-groups nsenter -t $pid -u true",
        Differs("the newest enters by pidfd, which opens nothing below /proc"),
    ),
    (
        "setpriv --reuid=65534 --regid=65534 --clear-groups nsenter -t $pid -n -m true",
        Differs("the newest enters by pidfd, which opens nothing below /proc"),
    ),
    ("setpriv --reuid=65534 --regid=65534 --clear-groups nsenter -t $pid -a true", Same),
    (
        "setpriv --reuid=65534 --regid=65534 --clear-groups nsenter -t $pid -u -r true",
        Differs("the newest enters by pidfd, which opens nothing below /proc"),
    ),
    ("setpriv --reuid=65534 --regid=65534 --clear-groups nsenter -u/proc/$pid/ns/uts true", Same),
    ("setpriv --reuid=65534 --regid=65534 --clear-groups nsenter -u/proc/self/ns/uts true", Same),
    (
        "setpriv --reuid=65534 --regid=65534 --clear-groups nsenter -t $user -U true",
        Differs("the newest enters by pidfd, which opens nothing below /proc"),
    ),
    (
        "setpriv --reuid=65534 --regid=65534 --clear-groups nsenter -t $pid -u -S0 true",
        Differs("the newest enters by pidfd, which opens nothing below /proc"),
    ),
    ("setpriv --reuid=65534 --regid=65534 --clear-groups unshare -Ur nsenter -r/ true", Same),
];

const FILES: &str = "echo 'echo \"script:$0:$*\"' >script && echo '#!/no/such' >nobang && \
                     echo '#!/bin/sh' >plain && echo 'echo \"shell:$*\"' >shell && mkdir directory && \
                     chmod 755 script nobang shell . .. && chmod 644 plain";

#[test]
fn the_original_and_ctrbox_print_the_same() {
    if !namespaces("compat") {
        return;
    }
    if !there("nsenter") {
        skip("compat", "there is no /usr/bin/nsenter");
        return;
    }
    if !comparable("compat", "nsenter", 38..=41) {
        return;
    }
    let bench = Bench::new("compat", "nsenter", FILES);
    let main = Holder::new(&["-C", "-i", "-u", "-n", "-m", "-T", "-p", "-f"], "hostname inner; cd /usr");
    let user = Holder::new(&["-U", "-r", "-u", "-n"], "");
    let said = |line: &str, whose: &str| {
        let mut command = bench.shell(line, whose);
        command.env("pid", main.pid.to_string()).env("user", user.pid.to_string());
        command.env("gone", "4194304").env("SHELL", "/bin/sh").env("HOME", &bench.0.0);
        bench.said(&mut command, whose)
    };
    all_alike(ROWS, said);
}

#[test]
fn no_row_stands_twice() {
    rows_are_distinct(ROWS, 80);
}
