//! The same command lines for util-linux's unshare, as the system has it, and for ctrbox: stdout, message, status.
//!
//! The installed version is 2.38 to 2.41, and ctrbox follows the newest. Where those differ, a row says so; a row
//! that says so without need is an error too.

use std::path::Path;

use crate::common::compat::{Bench, Differs, Row, Same, all_alike, comparable, rows_are_distinct};
use crate::common::skip;
use crate::common::unshare::{apart, possible, replace, without_pids};

const NEWER: &str = "the option is newer than 2.38";
const WORDS: &str = "the words of the newest";
const STRICT: &str = "since 2.40 what is no id is an error";
const RANGES: &str = "since 2.40 several ranges, in two forms, which root writes itself";
const LOST: &str = "after 2.42 the last id of a range is not lost";
const LETTERS: &str = "a newer option begins with the same letters";
const SHELL: &str = "since 2.39 without SHELL, or with an empty one, it is that of the passwd file";
const BITS: &str = "the original takes the lower 32 bits";

/// Command lines for a shell in whose PATH `unshare` is one or the other. `$nobody`, `$lucky` and `$stranger`
/// run a command as an ordinary user: without subids, with subids, and one that is not in /etc/passwd. `$d` is a
/// directory, `$maps` prints the maps of the program.
const ROWS: &[Row] = &[
    // namespaces
    ("unshare -u hostname", Same),
    ("unshare -u sh -c 'hostname inner; hostname'; hostname", Same),
    ("unshare --uts sh -c 'hostname inner; hostname'", Same),
    ("unshare -n sh -c 'grep -c : /proc/net/dev'", Same),
    ("unshare --net -i -C cat /proc/net/dev", Same),
    ("unshare -C cat /proc/self/cgroup", Same),
    (
        r#"unshare -i sh -c 'test "$(readlink /proc/self/ns/ipc)" = "$(readlink /proc/$PPID/ns/ipc)"; echo $?'"#,
        Same,
    ),
    ("unshare -unimC true", Same),
    ("unshare -uU id -u", Same),
    (r#"unshare -p sh -c 'sh -c "echo \$\$"'"#, Same),
    ("unshare -p sh -c '/bin/true; /bin/true'", Same),
    (r#"unshare -pf sh -c 'echo $$; sh -c "echo \$\$"'"#, Same),
    ("unshare -fp --mount-proc sh -c 'echo $$; echo /proc/[0-9]*'", Same),
    ("unshare -fp --mount-proc=$d/directory sh -c 'cd $0; echo [0-9]*' $d/directory", Same),
    ("unshare --mount-proc=/no/such true", Same),
    ("unshare --mount-proc= true", Same),
    ("unshare --mount-proc=$d/plain true", Same),
    (r#"unshare --mount-proc sh -c 'tail -n1 /proc/self/mountinfo | cut -d " " -f 5-6'"#, Same),
    (
        "unshare -m sh -c 'mount -t tmpfs x $d/directory && stat -f -c %T $d/directory'; stat -f -c %T $d/directory | wc -l",
        Same,
    ),
    ("unshare", Same),
    ("unshare true", Same),
    ("unshare -f true", Same),
    ("unshare -CTimnpuU true", Same),
    ("unshare -i -i --ipc true", Same),
    ("unshare -f unshare -f unshare -f sh -c 'exit 9'", Same),
    ("unshare -T sh -c 'echo 1 2 3 >/proc/self/timens_offsets'", Same),
    ("exec 3<&- 4<&- 5<&-; ulimit -n 4; unshare -rf true", Same),
    // files
    ("touch $d/f; unshare --uts=$d/f true; stat -f -c %T $d/f; umount $d/f", Same),
    ("touch $d/f; unshare --net=$d/f -f true; stat -f -c %T $d/f; umount $d/f", Same),
    ("touch $d/f; unshare --pid=$d/f -f true; stat -f -c %T $d/f; umount $d/f", Same),
    ("touch $d/f; unshare --time=$d/f true; stat -f -c %T $d/f; umount $d/f", Same),
    (
        "touch $d/f; unshare --user=$d/f -r true; stat -f -c %T $d/f; umount $d/f",
        Differs("since 2.42 a user namespace is kept too"),
    ),
    ("touch $d/f; unshare --ipc=$d/f no-such-program; stat -f -c %T $d/f; umount $d/f", Same),
    (
        "touch $d/f $d/g; unshare --uts=$d/f --uts=$d/g true; stat -f -c %T $d/f $d/g | grep -c nsfs; umount $d/g",
        Same,
    ),
    ("unshare --net=/no/such true", Same),
    ("unshare --net= true", Same),
    ("unshare --uts=$d/directory true", Same),
    ("unshare --pid=$d/plain true", Same),
    ("unshare --mount=/no/such true", Same),
    ("unshare --user=/no/such true", Same),
    ("unshare --cgroup=/no/such -i true", Same),
    ("unshare --uts=/no/such --net=/no/such true", Same),
    ("unshare --mount $d/plain", Same),
    ("$nobody unshare -n --net=$d/plain true", Same),
    ("$nobody unshare -r --net=$d/plain true", Same),
    // child
    ("unshare -f sh -c 'exit 3'", Same),
    ("unshare --kill-child sh -c 'exit 255'", Same),
    ("unshare -f sh -c 'kill -TERM $$'", Same),
    ("unshare -f sh -c 'kill -HUP $$'", Same),
    ("unshare -f sh -c 'kill -INT $$'", Same),
    ("unshare -f sh -c 'kill -USR1 $$'", Same),
    ("unshare -f sh -c 'kill -PIPE $$'", Same),
    ("unshare -f sh -c 'kill -KILL $$'", Differs("since 2.39 it dies of SIGKILL as well")),
    ("unshare -f sh -c 'kill -34 $$'", Same),
    ("unshare -f sh -c 'kill -TERM $PPID; exit 3'", Same),
    ("unshare -f sh -c 'kill -INT $PPID; exit 3'", Same),
    ("unshare -f sh -c 'kill -TERM $PPID; kill -USR1 $$'", Same),
    ("unshare --kill-child=9 true", Same),
    ("unshare --kill-child= true", Same),
    ("unshare --kill-child=TERM true", Same),
    ("unshare --kill-child=sigusr1 true", Same),
    ("unshare --kill-child=RTMIN+1 true", Same),
    ("unshare --kill-child=rtmax-2 true", Same),
    ("unshare --kill-child=RTMIN true", Same),
    ("unshare --kill-child=SIGFOO true", Same),
    ("env --ignore-signal=CHLD unshare -f sh -c 'exit 5'", Same),
    ("env --ignore-signal=CHLD unshare grep SigIgn /proc/self/status", Same),
    ("env --block-signal=TERM,CHLD unshare -f grep SigBlk /proc/self/status", Same),
    ("trap '' PIPE INT; unshare -f grep SigIgn /proc/self/status", Same),
    ("unshare -f sh -c 'grep SigBlk /proc/$PPID/status'", Same),
    ("unshare -f sh -c 'yes | head -1'", Same),
    // maps of one id
    ("unshare -U $maps", Same),
    ("unshare -r $maps", Same),
    ("unshare -c $maps", Same),
    ("unshare -r -c $maps", Same),
    ("unshare -r --map-user=5 $maps", Same),
    ("unshare --map-user=5 -r $maps", Same),
    ("unshare --map-user=root --map-group=team $maps", Same),
    ("unshare --map-group=6 $maps", Same),
    ("unshare --map-user=4294967294 $maps", Same),
    ("unshare --map-user=-1 id -u", Differs(STRICT)),
    ("unshare --map-user=4294967295 id -u", Differs(STRICT)),
    ("unshare --map-user=4294967296 id -u", Differs(STRICT)),
    ("unshare --map-user=nosuch id -u", Differs(WORDS)),
    ("unshare --map-user= id -u", Differs(WORDS)),
    ("unshare --map-group=0x1 id -u", Differs(WORDS)),
    ("unshare -U --setgroups=deny $maps", Same),
    ("unshare -U --setgroups=allow $maps", Same),
    ("unshare -r --setgroups=allow id", Same),
    ("unshare -r --setgroups=deny id", Same),
    ("unshare --setgroups=deny true", Same),
    ("unshare --setgroups=x true", Same),
    ("$nobody unshare -r $maps", Same),
    ("$nobody unshare -c $maps", Same),
    ("$stranger unshare -r $maps", Same),
    ("$stranger unshare -c id", Same),
    ("$nobody unshare --map-user=7 --map-group=8 $maps", Same),
    ("$nobody unshare --setgroups=deny true", Same),
    ("$nobody unshare -r --setgroups=allow true", Same),
    // ranges
    ("unshare --map-users=0,0,10 $maps", Differs(RANGES)),
    ("unshare --map-users=x true", Differs(WORDS)),
    ("unshare --map-groups=1,2 true", Differs(WORDS)),
    ("unshare --map-users=1,2,3,4 true", Differs(WORDS)),
    ("unshare --map-users=0:0:10 $maps", Differs(RANGES)),
    ("unshare --map-auto $maps", Same),
    ("unshare --map-users=all $maps", Differs(RANGES)),
    ("unshare --map-subids true", Differs(NEWER)),
    ("$lucky unshare --map-auto $maps", Same),
    ("$lucky unshare --map-users=auto $maps", Same),
    ("$lucky unshare --map-groups=auto $maps", Same),
    ("$lucky unshare -r --map-auto $maps", Differs(LOST)),
    ("$lucky unshare -c --map-auto $maps", Differs(LOST)),
    ("$lucky unshare --map-users=8000000,0,5 $maps", Same),
    ("$lucky unshare --map-users=0,8000000,5 true", Same),
    ("$lucky unshare --map-users=5,0,1 true", Same),
    ("$lucky unshare --map-users=8000000,0,5 --map-group=3 $maps", Same),
    ("$lucky unshare --map-user=9 --map-users=8000000,0,5 $maps", Same),
    ("$lucky unshare -f --map-auto --map-user=0 id -u", Same),
    ("$lucky unshare --map-auto -n sh -c 'exit 6'", Same),
    ("$lucky env PATH=/nonexistent $bin/unshare --map-auto true", Same),
    ("$nobody unshare --map-auto true", Differs(WORDS)),
    ("$nobody unshare --map-groups=auto true", Differs(WORDS)),
    ("$stranger unshare --map-auto true", Same),
    // ids and capabilities
    ("unshare -S 12 -G 34 id", Same),
    ("unshare -S 12 id -u", Same),
    ("unshare -G 34 id -G", Same),
    ("unshare --setuid=+12 --setgid ' 34' id", Same),
    ("unshare -S 0012 id -u", Same),
    ("unshare -S -0 id -u", Same),
    ("unshare -S x true", Same),
    ("unshare -S '' true", Same),
    ("unshare -G 12x true", Same),
    ("unshare -S -1 true", Differs(WORDS)),
    ("unshare -S 4294967295 true", Differs(WORDS)),
    ("unshare -G 4294967295 true", Differs(WORDS)),
    ("unshare -S 4294967296 id -u", Differs(BITS)),
    ("unshare -G 4294967296 id -g", Differs(BITS)),
    ("unshare -S 18446744073709551616 id -u", Same),
    ("unshare -r -S 5 true", Differs(WORDS)),
    ("unshare -r -G 0 true", Same),
    ("$nobody unshare -S0 true", Differs(WORDS)),
    ("$nobody unshare -S65534 true", Same),
    ("$nobody unshare -G65534 true", Same),
    ("unshare --keep-caps grep -E 'Cap(Inh|Amb)' /proc/self/status", Same),
    ("$nobody unshare -c --keep-caps grep Cap /proc/self/status", Same),
    ("$nobody unshare -c grep Cap /proc/self/status", Same),
    ("$nobody unshare -U --keep-caps grep Cap /proc/self/status", Same),
    ("$nobody unshare -n true", Same),
    ("$nobody unshare -m true", Same),
    ("$nobody unshare -rmnpf true", Same),
    ("$nobody unshare -r --mount-proc true", Same),
    ("$nobody unshare -rpf --mount-proc sh -c 'echo /proc/[0-9]*'", Same),
    // mounts and directories
    ("unshare -m sh -c 'grep -c shared: /proc/self/mountinfo'", Same),
    ("unshare -m --propagation=shared sh -c 'grep -vc shared: /proc/self/mountinfo'", Same),
    ("unshare -m --propagation=slave sh -c 'grep -c master: /proc/self/mountinfo'", Same),
    ("unshare -m --propagation=unchanged true", Same),
    ("unshare --propagation=slave true", Same),
    ("unshare --propagation=x true", Same),
    ("unshare --propagation=SLAVE true", Same),
    ("unshare --propagation= true", Same),
    ("unshare -R / pwd", Same),
    ("unshare -R / -w etc pwd", Differs(WORDS)),
    ("cd /usr; unshare -R / -w bin pwd", Same),
    ("cd /usr; unshare -w bin pwd", Same),
    ("unshare -w /usr -w /etc pwd", Same),
    ("unshare -R /usr -w /bin /bin/sh -c pwd", Same),
    ("unshare -mR /usr /bin/true", Same),
    ("unshare --mount-proc -R /usr /bin/true", Same),
    ("unshare --mount-proc --mount-proc=/no/such true", Same),
    ("unshare -R /no/such true", Same),
    ("unshare -R $d/plain true", Same),
    ("unshare -w /no/such true", Differs(WORDS)),
    ("unshare -w '' true", Differs(WORDS)),
    ("$nobody unshare -R / true", Same),
    ("$nobody unshare -r -R /usr /bin/true", Same),
    ("$nobody unshare -rR $d true", Same),
    // clocks
    ("unshare -T --monotonic=5 --boottime 7 cat /proc/self/timens_offsets", Same),
    ("unshare -fT --boottime=-3 cat /proc/self/timens_offsets", Same),
    ("unshare -T --boottime=-99999999999 true", Same),
    ("unshare -T --monotonic=9223372036854775807 true", Same),
    (
        "unshare -T --monotonic=9223372036854775808 true",
        Differs("the newest reads a signed number of 64 bits"),
    ),
    ("unshare -T --monotonic=-9223372036854775808 true", Same),
    ("unshare -T --boottime=x true", Same),
    ("unshare -T --boottime= true", Same),
    ("unshare -T '--boottime= +5' true", Same),
    ("unshare -T '--boottime=- 5' true", Same),
    ("unshare --boottime=5 true", Differs(WORDS)),
    ("unshare -u --monotonic=0 true", Differs(WORDS)),
    // programs
    ("unshare no-such-program", Same),
    ("unshare -f no-such-program", Same),
    ("unshare /etc", Same),
    ("unshare $d/plain", Same),
    ("unshare $d/nobang", Same),
    ("unshare $d/script a 'b c'", Same),
    ("PATH=$PATH:$d; unshare script a", Same),
    ("PATH=$PATH:$d; unshare plain", Same),
    ("n=$(command -v unshare); PATH=/etc/passwd; $n x", Same),
    ("n=$(command -v unshare); unset PATH; $n echo x", Same),
    ("unshare ''", Same),
    ("unshare /etc/passwd/x", Same),
    ("unshare echo -f --help", Same),
    ("unshare -- echo -V", Same),
    ("unshare -", Same),
    ("SHELL=/no/such unshare", Same),
    ("SHELL=sh unshare", Same),
    ("SHELL=/etc unshare", Same),
    ("SHELL= unshare", Differs(SHELL)),
    ("SHELL=$d/script unshare", Same),
    ("echo 'echo $0; exit 4' | unshare", Same),
    ("echo 'echo $0; exit 4' | unshare -f", Same),
    ("echo 'echo $0; exit 4' | env -u SHELL unshare", Same),
    ("env -i A=1 B=2 $bin/unshare /usr/bin/env", Same),
    ("echo input | unshare -f cat", Same),
    ("unshare echo x >/dev/full", Same),
    ("unshare sh -c 'echo /proc/self/fd/*' <&-", Same),
    ("unshare -f sh -c 'echo /proc/self/fd/*' <&-", Same),
    ("unshare --kill-child -r sh -c 'echo /proc/self/fd/*'", Same),
    ("unshare -T --monotonic=1 sh -c 'echo /proc/self/fd/*' 2>&-", Same),
    // usage
    ("unshare --foo", Same),
    ("unshare --foo=bar true", Same),
    ("unshare -x", Same),
    ("unshare -ux", Same),
    ("unshare -m/path true", Same),
    ("unshare -u/path true", Same),
    ("unshare -S", Same),
    ("unshare --setuid", Same),
    ("unshare --root", Same),
    ("unshare --fork=x true", Same),
    ("unshare --map-root-user= true", Same),
    ("unshare --keep-caps=x true", Same),
    ("unshare --fo true", Differs(LETTERS)),
    ("unshare --m true", Differs(LETTERS)),
    ("unshare --mount- true", Differs(LETTERS)),
    ("unshare --map-u=0 true", Same),
    ("unshare --map-r id -u", Same),
    ("unshare --s=0 true", Same),
    ("unshare --setg=allow true", Same),
    ("unshare --cgr true", Same),
    ("unshare --us=/no/such true", Same),
    ("unshare --kill=9 true", Same),
    ("unshare --k true", Same),
    ("unshare --c true", Differs(LETTERS)),
    ("unshare --w=/ pwd", Differs(LETTERS)),
    ("unshare --f true", Differs(LETTERS)),
    ("unshare --r /no/such true", Same),
    ("unshare --t -f true", Same),
    ("unshare --b=5 -T true", Same),
    ("unshare --prop=x true", Same),
    ("unshare --- true", Same),
    ("unshare --foo --help", Same),
    ("unshare -Sx --help", Same),
    ("unshare --propagation=x --help", Same),
    ("$bin/unshare --foo", Same),
    ("$bin/unshare -x", Same),
    ("$bin/unshare -S", Same),
    ("$bin/unshare -w/no/such true", Differs(WORDS)),
    ("unshare --version | wc -l", Same),
    ("unshare --help >/dev/full", Same),
    ("unshare --version >/dev/full", Same),
    ("unshare -V >&-", Same),
    ("unshare -h >&-; echo $?", Same),
    ("unshare --help | true", Same),
    // the newest's
    ("unshare --forward-signals true", Differs(NEWER)),
    ("unshare --mount-binfmt true", Differs(NEWER)),
    ("unshare -l x true", Differs(NEWER)),
    ("unshare --owner=1:1 true", Differs(NEWER)),
    ("unshare --clear-env /usr/bin/env", Differs(NEWER)),
    ("unshare --whitelist-env=SHELL /usr/bin/env", Differs(NEWER)),
];

const ACCOUNTS: [(&str, &str); 4] = [
    (
        "/etc/passwd",
        "root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\nlucky:x:61001:61001::/:/bin/sh\n",
    ),
    ("/etc/group", "root:x:0:\nnogroup:x:65534:\nlucky:x:61001:\nteam:x:77:\n"),
    ("/etc/subuid", "root:7000000:1000\nlucky:8000000:65536\n"),
    ("/etc/subgid", "root:7100000:1000\nlucky:8100000:65536\n"),
];

const FILES: &str = "echo 'echo \"script:$0:$*\"' >script && echo '#!/no/such' >nobang && \
                     mkdir directory && touch plain && chmod 755 script nobang . .. ../bin && chmod 644 plain";

fn said(bench: &Bench, line: &str, whose: &str) -> String {
    let mut command = bench.shell(line, whose);
    for (name, id) in [("nobody", 65534), ("lucky", 61001), ("stranger", 54321)] {
        command.env(name, format!("setpriv --reuid={id} --regid={id} --clear-groups"));
    }
    command.env("maps", "sh -c cat</proc/self/uid_map;cat</proc/self/gid_map;cat</proc/self/setgroups");
    command.env("SHELL", "/bin/sh").env("HOME", "/");
    without_pids(&bench.said(&mut command, whose))
}

#[test]
fn the_original_and_ctrbox_print_the_same() {
    if !possible("compat-unshare") || !comparable("compat-unshare", "unshare", 38..=41) {
        return;
    }
    if let Some((file, _)) = ACCOUNTS.iter().find(|(file, _)| !Path::new(file).exists()) {
        skip("compat-unshare", &format!("there is no {file} to put another over"));
        return;
    }
    apart(|| {
        let bench = Bench::new("compat-unshare", "unshare", FILES);
        for (file, content) in ACCOUNTS {
            replace(&bench.at("d"), file, content);
        }
        all_alike(ROWS, |line, whose| said(&bench, line, whose));
    });
}

#[test]
fn no_row_stands_twice() {
    rows_are_distinct(ROWS, 80);
}
