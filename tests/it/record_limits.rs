//! The state files of one user cost bounded work and bounded memory, whatever their content is.

#![allow(unsafe_code)] // wait4(2)

use std::fmt::Write as _;
use std::fs::{File, create_dir_all};
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::Stdio;

use crate::common::ctr_ps::of;
use crate::common::layout::{Layout, START, USER, id};
use crate::common::process::limited;
use crate::common::process::printed;
use crate::common::{binary, program, root, skip, stderr, stdout, there};

const DOCKER: &str = "home/u/.local/share/docker";
const STORAGE: &str = "home/u/.local/share/containers/storage/overlay-containers";
/// Owned by the user, in its own container.
const PID: i64 = 100;

/// A host on which state files of users are searched: a process has its own pid namespace.
fn host(name: &str, write: impl FnOnce(&Layout)) -> Layout {
    let layout = Layout::new(&format!("limits-{name}"));
    let scope = format!("/user.slice/user-{USER}.slice/user@{USER}.service/docker-{}.scope", id(1));
    layout.process(PID, USER, &scope, START);
    // This one is in no known control group: all state files are searched for it.
    layout.process(PID + 1, USER, "/", START);
    write(&layout);
    if root() {
        let paths = [layout.host.root().join("home/u"), layout.host.root().join(format!("run/user/{USER}"))];
        let owner = USER.to_string();
        let mut command = program("chown");
        command.args(["-R", &owner]).args(paths.iter().filter(|path| path.exists()));
        assert!(limited(&mut command).status.success());
    }
    layout
}

/// A file of a text, another as often as it takes to fill it, and a third.
fn filled(layout: &Layout, path: &str, size: usize, parts: (&str, &dyn Fn(usize) -> String, &str)) {
    let file = layout.host.root().join(path);
    create_dir_all(file.parent().expect("a parent")).expect("a directory");
    let mut out = BufWriter::new(File::create(file).expect("a file"));
    let (mut written, mut number) = (parts.0.len() + parts.2.len(), 0);
    out.write_all(parts.0.as_bytes()).expect("written");
    loop {
        let part = parts.1(number);
        written += part.len();
        number += 1;
        if written > size {
            break;
        }
        out.write_all(part.as_bytes()).expect("written");
    }
    out.write_all(parts.2.as_bytes()).expect("written");
    out.flush().expect("written");
}

fn directories(layout: &Layout, count: usize, path: impl Fn(usize) -> String) {
    for number in 0..count {
        create_dir_all(layout.host.root().join(path(number))).expect("a directory");
    }
}

/// Data roots of one daemon, with many ids in one of them, and as many in each of the other stores.
fn places_and_ids(layout: &Layout, count: usize) {
    let run = format!("run/user/{USER}");
    directories(layout, count, |number| format!("{DOCKER}/{number}.{number}/containers/{number}"));
    directories(layout, count, |number| format!("{DOCKER}/1.1/containers/{number:064x}"));
    directories(layout, count, |number| format!("{run}/crun/{:064x}", number + count));
    directories(layout, count, |number| format!("{run}/.flatpak/{number}"));
    let graph = STORAGE.rsplit_once('/').expect("a directory").0;
    directories(layout, count, |number| format!("{graph}/{number}-containers/x"));
    directories(layout, count, |number| format!("{run}/io.containerd.runtime.v2.task/{number}/x"));
    for number in 0..count {
        let bundle = format!("/{graph}/{number}-containers/{:064x}/userdata", number + count);
        layout.file(
            format!("{run}/crun/{:064x}/status", number + count),
            format!(r#"{{"pid":1,"bundle":"{bundle}"}}"#),
        );
    }
}

/// The number of files that a listing opens.
fn opens(layout: &Layout) -> usize {
    let file = layout.host.root().join("opens");
    let mut command = program("strace");
    command.args(["-f", "-e", "trace=open,openat,openat2", "-o"]).arg(&file).arg(binary());
    let output = limited(command.args(["ctr-ps", "-q", "--root"]).arg(layout.host.root()));
    assert!(output.status.success(), "{}", stderr(&output));
    let calls = std::fs::read_to_string(&file).expect("calls");
    calls.lines().filter(|line| line.contains(" open")).count()
}

#[test]
fn twice_as_many_places_and_ids_are_twice_the_work() {
    let name = "strace";
    if !there(name) || !limited(program(name).args(["-o", "/dev/null", "true"])).status.success() {
        return skip(name, "needs strace(1) that may trace");
    }
    let plain = opens(&host("plain", |_| ()));
    let [few, many, most] = [10, 20, 1_000].map(|count| {
        let layout = host(&format!("places-{count}"), |layout| places_and_ids(layout, count));
        opens(&layout) - plain
    });
    println!("opens: {plain} for nothing, {few} for 10, {many} for 20, {most} for 1,000 places and ids");
    assert!(few > 30 && many <= 2 * few + 20, "{few} opens, and {many} for twice as much");
    assert!(most <= 20_000, "{most} opens");
}

/// If the limit is reached: one warning, and the user's containers by id.
#[test]
fn one_warning_and_ids_when_the_limit_is_reached() {
    let layout = host("reached", |layout| places_and_ids(layout, 100));
    let output = limited(of(layout.host.root()).args(["-v", "-n", "-o", "pid,container"]));
    let shown = format!("docker:{}?", &id(1)[..12]);
    let mut lines = stdout(&output).lines().map(str::to_owned).collect::<Vec<_>>().into_iter();
    let line = lines.find(|line| line.split_whitespace().next() == Some("100")).expect("the process");
    assert!(line.ends_with(&shown), "{line}");
    let errors = stderr(&output);
    let limits =
        errors.lines().filter(|line| line.contains("limit for the state files of user 1234 reached"));
    assert_eq!(limits.count(), 1, "{errors}");
}

/// As rootless Podman keeps them: all are found, without a warning.
#[test]
fn a_thousand_containers_of_a_user_are_ordinary() {
    if !root() {
        return skip("limits-thousand", "needs root, who reads the files of others");
    }
    const COUNT: i64 = 1_000;
    let run = format!("run/user/{USER}");
    let layout = host("thousand", |layout| {
        let mut list = "[".to_owned();
        let padding = format!(r#""linux":{{"seccomp":[{}0]}}"#, "\"SCMP_ACT_ALLOW\",".repeat(850));
        for number in 0..COUNT {
            let (pid, id) = (1_000 + number, id(u32::try_from(number).expect("a number") + 5));
            let scope = format!("/user.slice/user-{USER}.slice/user@{USER}.service/libpod-{id}.scope");
            layout.process(pid, USER, &scope, START);
            let comma = if number > 0 { "," } else { "" };
            write!(
                list,
                r#"{comma}{{"id":"{id}","names":["box-{number}"],"image":"{id}","layer":"{id}","metadata":"{{\"image-name\":\"docker.io/library/alpine:latest\"}}","created":"2026-11-22T14:38:06.845889758Z","flags":{{"MountLabel":"","ProcessLabel":""}}}}"#
            )
            .expect("a text");
            let labels: String = (0..8).map(|n| format!(r#","org.example.label-{n}":"value-{n}""#)).collect();
            let config = format!(
                r#"{{"hostname":"box-{number}","annotations":{{"io.container.manager":"libpod","io.kubernetes.cri-o.SandboxID":"{}"{labels}}},{padding}}}"#,
                self::id(5)
            );
            layout.file(format!("{STORAGE}/{id}/userdata/config.json"), &config);
            create_dir_all(layout.host.root().join(format!("{run}/containers/overlay-containers/{id}")))
                .expect("a directory");
            layout.file(format!("{run}/crun/{id}/config.json"), &config);
            let bundle = format!("/{STORAGE}/{id}/userdata");
            let status = format!(
                r#"{{"pid":{pid},"process-start-time":{START},"created":"2026-11-22T14:38:06.8Z","bundle":"{bundle}"}}"#
            );
            layout.file(format!("{run}/crun/{id}/status"), status);
        }
        layout.file(format!("{STORAGE}/containers.json"), list + "]");
    });
    let all = printed(of(layout.host.root()).args(["-v", "-n", "-o", "container"]));
    let found = all.lines().filter(|line| line.trim().starts_with("podman:box-")).count();
    assert_eq!(found, usize::try_from(COUNT).expect("a number"));
}

/// Kilobytes of a listing without state files, at most.
const PLAIN: i64 = 3 << 10;
/// The directory of a host, for [`meter`].
const METER: &str = "CTRBOX_TEST_METER";

/// The highest resident set of a listing, in kilobytes. A small process starts it: the kernel adds the memory that a
/// process has before it executes the program, and this one has that of all tests that run now.
fn most_memory(root: &Path) -> i64 {
    let exe = std::env::current_exe().expect("this program");
    let mut command = program(exe.to_str().expect("a path"));
    command.args(["record_limits::meter", "--exact", "--nocapture", "--test-threads=1"]).env(METER, root);
    let output = limited(&mut command);
    let text = stdout(&output);
    let number = text.lines().find_map(|line| line.strip_prefix("most "));
    number.unwrap_or_else(|| panic!("{}", stderr(&output))).parse().expect("a number")
}

/// In a process of its own, for [`most_memory`]. As a test it does nothing.
#[test]
fn meter() {
    let Some(root) = std::env::var_os(METER) else { return };
    let mut command = of(Path::new(&root));
    command.args(["-v", "-o", "pid,container,labels"]).stdout(Stdio::null()).stderr(Stdio::null());
    #[allow(clippy::zombie_processes)] // wait4(2) waits
    let child = command.spawn().expect("a process");
    let pid = i32::try_from(child.id()).expect("a pid");
    let (mut status, mut usage) = (0, unsafe { std::mem::zeroed::<libc::rusage>() });
    // SAFETY: both are there for the kernel to write to.
    assert_eq!(unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) }, pid);
    assert_eq!(status, 0);
    println!("\nmost {}", usage.ru_maxrss);
}

/// A name, and the function that writes it on a host.
type Shape = (&'static str, fn(&Layout));

const RECORD: usize = 1 << 20;
const LIST: usize = 8 << 20;

fn record(layout: &Layout, number: u32, labels: &dyn Fn(usize) -> String) {
    let start = format!(r#"{{"Name":"/x","State":{{"Running":true,"Pid":{PID}}},"Config":{{"Labels":{{"#);
    let path = format!("{DOCKER}/containers/{}/config.v2.json", id(number));
    filled(layout, &path, RECORD, (&start, labels, r#""last":""}}}"#));
}

fn list(layout: &Layout, start: &str, part: &dyn Fn(usize) -> String, end: &str) {
    filled(layout, &format!("{STORAGE}/containers.json"), LIST, (start, part, end));
}

const SHAPES: [Shape; 17] = [
    ("records, then a list", |layout| {
        // As many as are kept below the limit.
        (1..8).for_each(|number| record(layout, number, &|n| format!(r#""{n:x}":"","#)));
        list(layout, r#"[{"id":"0","x":"#, &|_| "[".into(), "");
    }),
    ("records", |layout| (1..60).for_each(|number| record(layout, number, &|n| format!(r#""{n:x}":"","#)))),
    ("large labels", |layout| {
        let value = "x".repeat(60_000);
        (1..60).for_each(|number| record(layout, number, &|n| format!(r#""{n}":"{value}","#)));
    }),
    ("one label again", |layout| (1..60).for_each(|number| record(layout, number, &|_| r#""a":"","#.into()))),
    ("small records", |layout| {
        let text = format!(r#"{{"Name":"/x","State":{{"Running":true,"Pid":{PID}}}}}"#);
        (1..4_000).for_each(|number| {
            layout.file(format!("{DOCKER}/containers/{}/config.v2.json", id(number)), &text);
        });
    }),
    ("escapes in a record", |layout| record(layout, 1, &|n| format!(r#""{n}\u00e4":"\n\n\n\u0001","#))),
    ("list of {}", |layout| list(layout, "[{}", &|_| ",{}".into(), "]")),
    ("list of ids", |layout| {
        list(layout, r#"[{"id":"0"}"#, &|n| format!(r#",{{"id":"{n:064x}"}}"#), "]");
    }),
    ("list of one id", |layout| {
        list(layout, r#"[{"id":"0"}"#, &|_| format!(r#",{{"id":"{}"}}"#, id(1)), "]");
    }),
    ("list of maps", |layout| {
        list(layout, r#"[{"id":"0","x":{"#, &|n| format!(r#""{n}":{{}},"#), r#""y":0}}]"#)
    }),
    ("empty names", |layout| list(layout, r#"[{"id":"0","names":["#, &|_| "\"\",".into(), "\"\"]}]")),
    ("a long name", |layout| list(layout, r#"[{"id":"0","names":[""#, &|_| "\\n".into(), "\"]}]")),
    ("JSON in JSON", |layout| {
        list(layout, r#"[{"id":"0","metadata":"{\"image-name\":\""#, &|_| r"\\u0041".into(), r#"\"}"}]"#);
    }),
    ("deep", |layout| list(layout, "[", &|_| "[".into(), "")),
    ("deep in a member", |layout| list(layout, r#"[{"id":"0","x":"#, &|_| "[".into(), "")),
    ("long names", |layout| {
        directories(layout, 12_000, |number| format!("{DOCKER}/containers/{number:0200}"));
    }),
    ("long paths", |layout| {
        for number in 0..3_000 {
            let status =
                format!(r#"{{"bundle":"/{}/{number}/overlay-containers/x/userdata"}}"#, "x/".repeat(1_900));
            layout.file(format!("run/user/{USER}/crun/{number:064x}/status"), status);
        }
    }),
];

#[test]
fn the_state_files_of_a_user_take_little_memory() {
    // The meter shows at least its own memory, which is more than that of the binary that ships.
    let plain = match std::env::var_os("CTRBOX_BIN") {
        Some(_) => PLAIN,
        None => most_memory(host("plain-memory", |_| ()).host.root()),
    };
    let places: Shape = ("places", |layout| places_and_ids(layout, 2_000));
    let grown = SHAPES.into_iter().chain([places]).map(|(name, write)| {
        let layout =
            host(&format!("memory-{}", name.replace(|c: char| !c.is_ascii_alphabetic(), "-")), write);
        (name, most_memory(layout.host.root()) - plain)
    });
    let grown: Vec<(&str, i64)> = grown.collect();
    println!("{plain} KB; more: {grown:?}");
    assert!(grown.iter().all(|(_, more)| *more <= 32 << 10), "{plain} KB, more: {grown:?}");
}
