//! The same command lines for libcgroup's cgexec, as the system has it, and for ctrbox: stdout, message, status.

use crate::common;

use std::path::Path;

use crate::common::cgexec::{Name, mounted, possible};
use crate::common::compat::{Bench, Differs, Row, Same, all_alike, rows_are_distinct};
use crate::common::skip;
use crate::common::unshare::{apart, bind};

const NAMED: &str = "ctrbox names the group, the errno and the remedy, with status 125";
const USAGE: &str = "usage errors are 125, and say what is wrong";
const EXEC: &str = "127 and 126 as env(1) has it, with the name of the program";
const NEWER: &str = "since libcgroup 3";
const COLON: &str = "a path may have a colon, the original cuts it there";
const UP: &str = "'..' is refused";
const TEMPLATE: &str = "the original crashes when it is to make the group";

/// Command lines for a shell in whose PATH `cgexec` is one or the other. `$g` is a group of pids and cpu, below
/// it `b`; `$show` prints the groups; `$rules` writes its arguments as lines of /etc/cgrules.conf.
const ROWS: &[Row] = &[
    // groups
    ("cgexec -g pids:$g $show", Same),
    ("cgexec -g pids:/$g $show", Same),
    ("cgexec -g pids:$g/b/ $show", Same),
    ("cgexec -g pids:$g//b $show", Same),
    ("cgexec -g pids:$g/./b $show", Same),
    ("cgexec -g pids,cpu:$g $show", Same),
    ("cgexec -g pids,cpu,:$g $show", Same),
    ("cgexec -g ,pids:$g $show", Same),
    ("cgexec -g pids:$g -g pids:$g/b $show", Same),
    ("cgexec -g pids:$g/b -g pids:$g $show", Same),
    ("cgexec -g pids:$g -g cpu:$g $show", Same),
    ("cgexec -gpids:$g $show", Same),
    ("cgexec -g pids:/ $show", Same),
    ("cgexec -g '*:/' $show", Same),
    ("cgexec -g '*,pids:/' $show", Same),
    ("cgexec -g pids:$g -- $show", Same),
    ("cgexec -g pids:$g echo -g", Same),
    ("cgexec -g pids:$g cgexec -g pids:$g/b $show", Same),
    ("cgexec -g pids:$g -g cpu:$g -g pids:$g/b sh -c \"$show; $show\"", Same),
    ("cgexec -g pids,pids:$g $show", Differs("ctrbox takes a controller named twice for one")),
    ("cgexec -g pids:$g/b/.. $show", Differs(UP)),
    ("cgexec -g pids:$g:b $show", Differs(COLON)),
    ("cgexec -g name=systemd:/ $show", Differs("the original cannot address named hierarchies")),
    // options
    ("cgexec --sticky -g pids:$g $show", Same),
    ("cgexec --stick -g pids:$g $show", Same),
    ("cgexec --s -g pids:$g $show", Same),
    ("cgexec --h >/dev/null", Same),
    ("cgexec -s -g pids:$g $show", Same),
    ("cgexec -sg pids:$g $show", Same),
    ("cgexec -b -g pids:$g $show", Differs(NEWER)),
    ("cgexec -r -g pids:$g true", Differs(NEWER)),
    // statuses
    ("cgexec -g pids:$g sh -c 'exit 42'", Same),
    ("cgexec -g pids:$g sh -c 'kill -9 $$'", Same),
    ("cgexec -g pids:$g sh -c 'kill -TERM $$'", Same),
    ("cgexec -g pids:$g true; echo $?", Same),
    ("sh -c 'echo $$; exec cgexec -g pids:$g sh -c \"echo \\$\\$\"' | uniq | wc -l", Same),
    ("echo in | cgexec -g pids:$g cat", Same),
    ("cgexec -g pids:$g sh -c 'ls /proc/self/fd' 9>/dev/null", Same),
    ("trap '' INT PIPE; cgexec -g pids:$g grep SigIgn /proc/self/status", Same),
    ("cgexec -g pids:$g sh -c 'yes | head -1'", Same),
    ("env -i PATH=/bin:$PATH A=b cgexec -g pids:$g env | sort | grep -v PATH", Same),
    ("cgexec -g pids:$g no-such-program", Differs(EXEC)),
    ("cgexec -g pids:$g /etc/passwd", Differs(EXEC)),
    ("cgexec -g pids:$g /etc", Differs(EXEC)),
    // mistakes
    ("cgexec -g pids:$g/none $show", Differs(NAMED)),
    ("cgexec -g nosuch:$g $show", Differs(NAMED)),
    ("cgexec -g '*:$g/none' $show", Differs(NAMED)),
    ("cgexec -g pids:$g -g pids:$g/none $show", Differs(NAMED)),
    ("cgexec -g pids $show", Differs(USAGE)),
    ("cgexec -g pids: $show", Differs(USAGE)),
    ("cgexec -g '' $show", Differs(USAGE)),
    ("cgexec -g : $show", Differs(USAGE)),
    ("cgexec", Differs(USAGE)),
    ("cgexec -g pids:$g", Differs(USAGE)),
    ("cgexec -g", Differs(USAGE)),
    ("cgexec -x", Differs(USAGE)),
    ("cgexec --foo", Differs(USAGE)),
    ("cgexec --help >/dev/null", Same),
    // rules
    ("$rules '* pids @'; cgexec $show", Same),
    ("$rules; cgexec $show", Same),
    ("$rules '#x' '' '  * pids @/b'; cgexec $show", Same),
    ("$rules '* pids,cpu @'; cgexec $show", Same),
    ("$rules '* pids @' '% cpu @'; cgexec $show", Same),
    ("$rules 'root pids @/b' '* pids @'; cgexec $show", Same),
    ("$rules 'nosuch pids @/b' '* pids @'; cgexec $show", Same),
    ("$rules 'nosuch pids @/b' '% cpu @' '* pids @'; cgexec $show", Same),
    ("$rules '%% pids @'; cgexec $show", Same),
    ("$rules 'root pids /@/'; cgexec $show", Same),
    ("$rules 'root pids, @'; cgexec $show", Same),
    ("$rules 'root:grep pids @/b' '* pids @'; cgexec $show", Same),
    ("$rules 'root:gre pids @/b' '* pids @'; cgexec $show", Same),
    ("$rules 'root:gr* pids @/b' '* pids @'; cgexec $show", Same),
    ("$rules 'root:/usr/bin/grep pids @/b' '* pids @'; cgexec $show", Same),
    ("$rules 'root:/usr/bin/grep pids @/b' '* pids @'; cgexec /usr/bin/$show", Same),
    ("$rules 'root:grep pids @/b' '* pids @'; cgexec /usr/bin/$show", Same),
    (
        "$rules 'root:grep pids @' '%:cat cpu @'; cgexec $show",
        Differs("the original moves nothing when a line after the rule that fits is for another program"),
    ),
    ("$rules 'root:grep pids @' '%:grep cpu @'; cgexec $show", Same),
    ("$rules '* pids @ ignore'; cgexec $show", Same),
    ("$rules '* pids @ # comment'; cgexec $show", Same),
    ("$rules 'root pids @/b' '* pids @'; cgexec -g cpu:$g $show", Same),
    ("$rules '* pids \"@\"'; cgexec $show", Differs(NEWER)),
    ("$rules '* pids @ ignore_rt'; cgexec $show", Differs(NEWER)),
    ("$rules '* pids @/%u'; cgexec $show", Differs(TEMPLATE)),
    ("$rules '* pids @ foo'; cgexec $show", Differs("ctrbox names the file, the line and the option")),
    ("$rules '* pids'; cgexec $show", Differs("ctrbox names the file and says what a rule is")),
    ("$rules '* pids @/none'; cgexec $show", Differs(NAMED)),
    ("rm -f /etc/cgrules.conf; cgexec $show", Differs("ctrbox says which file is missing, and what helps")),
];

#[test]
fn as_libcgroup_has_it() {
    let test = "cgexec-original";
    if !Path::new("/usr/bin/cgexec").exists() {
        return skip(test, "there is no /usr/bin/cgexec");
    }
    if !possible("cgexec")
        || !matches!((mounted("pids"), mounted("cpu")), (Some((_, false)), Some((_, false))))
    {
        return skip(test, "pids and cpu are not hierarchies of v1 here, which the rows are for");
    }
    let bench =
        Bench::new("compat-cgexec", "cgexec", "mkdir etc; echo 'root:x:0:0::/root:/bin/sh' >etc/passwd");
    let name = Name::new("compat");
    name.make("pids", "b");
    name.make("cpu", "");
    let rules = bench.at("d").join("rules");
    let text =
        format!("#!/bin/sh\nfor rule; do echo \"$rule\"; done | sed 's/@/{}/g' >/etc/cgrules.conf\n", name.0);
    common::process::executable(&rules, text.as_bytes(), 0o755);
    apart(|| {
        bind(&bench.at("d/etc"), Path::new("/etc"));
        all_alike(ROWS, |line, whose| {
            let mut command = bench.shell(line, whose);
            command
                .env("g", &name.0)
                .env("rules", &rules)
                .env("show", "grep -E :(pids|cpu):|^0 /proc/self/cgroup");
            bench.said(&mut command, whose)
        });
    });
}

#[test]
fn the_rows_are_distinct() {
    rows_are_distinct(ROWS, 80);
}
