//! ctr-ps, called as people call ps(1), docker(1), podman(1), crictl(1), htop(1) and systemd-cgls(1): a command line works, or
//! the only line of the error says what to type instead.

use crate::common::ctr_ps::{Host, WEB, ctr_ps, of, scope};
use crate::common::process::{failure, printed};

const OLD: &str = "00000000000000000000000000000000000000000000000000000000000000aa";

/// A container `web` that runs and one `old` that has ended.
fn host(test: &str) -> Host {
    let host = Host::new(test);
    let config = |name: &str, state: &str| {
        format!(
            r#"{{"Name":"/{name}","Created":"2024-01-01T00:00:00.5Z","Path":"/init","State":{{{state}}},
            "Config":{{"Hostname":"front","Image":"nginx:1","Labels":{{"tier":"front"}},"ExposedPorts":{{"80/tcp":{{}}}}}}}}"#
        )
    };
    host.docker(WEB, config("web", r#""Running":true,"Pid":20"#));
    let ended = r#""Running":false,"Pid":0,"ExitCode":3,"StartedAt":"2024-01-01T00:00:01.5Z","FinishedAt":"2024-01-01T00:01:00.5Z""#;
    host.docker(OLD, config("old", ended));
    for (pid, ppid, group, command) in
        [(1, 0, "/", &b"init\0"[..]), (20, 1, &scope(WEB), b"nginx\0"), (30, 1, "/user.slice", b"editor\0")]
    {
        host.process(pid, ppid, group, command);
        let fields = "0 0 0 0 0 7 0 0 0 20 0 1 0 100 4096000 9 1 1 1 1 1 1 0 0 0 0 0 0 0 17 3 0 0";
        host.file(&format!("proc/{pid}/stat"), format!("{pid} (prog) S {ppid} {pid} {pid} 0 -1 {fields}\n"));
    }
    host.file("proc/uptime", "1000.00 1.00\n");
    host.file("proc/stat", "btime 1700000000\n");
    host.file("proc/meminfo", "MemTotal:       40000 kB\n");
    host.file("etc/group", "root:x:0:\n");
    host
}

/// Command lines without an exact counterpart, and the error.
const REFUSED: &[(&str, &str)] = &[
    // ps without a dash
    ("auxww", "no container 'auxww'; type ctr-ps aux -w"),
    ("faux", "no container 'faux'; type ctr-ps auxf"),
    ("axu", "no container 'axu'; type ctr-ps aux"),
    ("axo pid,comm", "no container 'axo'; type ctr-ps -o pid,comm"),
    (
        "axjf",
        "no container 'axjf'; type ctr-ps --forest -o ppid,pid,pgid,sid,tty,state,uid,time,container,command",
    ),
    ("u", "no container 'u'; type ctr-ps aux"),
    ("p 1", "no container 'p'; type ctr-ps ax -p 1"),
    ("k -rss", "k is not an option; type --sort -rss"),
    ("r", "no container 'r'; type ctr-ps ax -Q 'STATE == \"R\"'"),
    // ps with one
    (
        "-C prog",
        "-C selects the processes in containers; type -Q 'CMD == \"prog\"' for processes, -c prog for a container",
    ),
    ("-q 20", "-q prints only PIDs; type -p 20"),
    ("-q20", "-q prints only PIDs; type -p 20"),
    ("-q 1,20 -o comm=", "-q prints only PIDs; type -p 1,20"),
    ("-k -rss", "-k lists kernel threads; type --sort -rss"),
    ("-eH", "-H lists the columns; type --forest for the tree of processes"),
    (
        "-el",
        "-l lists containers; for the long format of ps type -o uid,pid,ppid,c,pri,nice,rss,vsz,wchan,tty,time,container,cmd",
    ),
    (
        "-lf",
        "-l lists containers; for the long format of ps type -o uid,pid,ppid,c,pri,nice,rss,vsz,wchan,tty,time,container,cmd",
    ),
    ("-U root,0", "there is no option -U; type -Q 'RUSER == \"root\" or RUID == 0'"),
    ("-G root", "there is no option -G; type -Q 'GROUP == \"root\"'"),
    ("-s 20", "there is no option -s; type -Q 'SID == 20'"),
    ("-g 20", "there is no option -g; type -Q 'SID == 20'"),
    ("--sid 20", "there is no option --sid; type -Q 'SID == 20'"),
    ("-eF", "there is no option -F; type -f -o +vsz,rss,psr"),
    ("-ejH", "there is no option -j; type -o pid,pgid,sid,tty,time,container,cmd"),
    ("-eZ", "there is no option -Z; type -o +lsm"),
    ("-em", "there is no option -m; type -T"),
    ("-O ppid", "there is no option -O; type -o +ppid"),
    ("-ec", "-c selects a container; type -o +pri,nice"),
    ("-20", "-20 is not an option; type -p 20"),
    ("--cols 80", "there is no option --cols; type ctr-ps | cut -c -80"),
    ("-o drs", "there is no column 'drs'; type -o vsz; -l -o rootfs for the files of containers"),
    ("-o unit", "there is no column 'unit'; type -o cgroup"),
    (
        "-Q RSSS",
        "unknown column 'RSSS'; did you mean rss? (-H lists the columns; with -l those of containers)",
    ),
    (
        "-l -Q statsu",
        "unknown column 'statsu'; did you mean status? (-H lists the columns; with -l those of containers)",
    ),
    // docker, podman and crictl
    ("ps -a", "no container 'ps'; type ctr-ps -l"),
    ("logs web", "no container 'logs'; type docker, podman or crictl before it: ctr-ps only lists"),
    ("port web", "no container 'port'; type ctr-ps -l -o +ports"),
    ("-p 227512f92888", "invalid PID '227512f92888' (-c selects a container)"),
    ("front", "no container 'front'; it is the host name of docker:web; did you mean docker:web?"),
    (
        "docker:front",
        "no container 'docker:front'; it is the host name of docker:web; did you mean docker:web?",
    ),
    ("docker:", "no container 'docker:'; type ctr-ps --runtime docker"),
    ("-c docker:", "no process or running container 'docker:'; type --runtime docker for all of them"),
    ("-f name=web", "-f prints the columns of ps -ef; type -l --filter name=web"),
    ("-qf name=web", "-f prints the columns of ps -ef; type -l --filter name=web"),
    ("--filter status=exited", "containers that do not run have no processes; add -l to list containers"),
    ("-l --filter health=healthy", "there is no filter 'health'; type ctr-inspect TARGET"),
    ("-l --filter publish=80", "there is no filter 'publish'; type -l -Q 'PORTS =~ \":80->\"'"),
    ("--format {{.Names}}", "there is no option --format; type -l -n -o name"),
    ("-l --format=json", "there is no option --format; type -l --json"),
    ("-n 5", "-n prints no headings; type -l -a -n --sort -created | head -n 5"),
    ("-n5", "-n prints no headings; type -l -a -n --sort -created | head -n 5"),
    ("--last 2", "there is no option --last; type -l -a -n --sort -created | head -n 2"),
    ("--latest", "there is no option --latest; type -l -a -n --sort -created | head -n 1"),
    ("-s", "there is no option -s; type -l -o container,rootfs, and du -s for each directory"),
    ("-ap", "-p selects PIDs; type -l -o +pod"),
    ("--pod", "there is no option --pod; type -l -o +pod"),
    ("--pod shop", "there is no option --pod; type -c shop"),
    ("--ns", "there is no option --ns; type -C --init -o container,pid,ns"),
    ("-o json", "there is no column 'json'; type --json"),
    ("-o wide", "there is no column 'wide'; type -w"),
    ("-s running", "there is no option -s; type --status running"),
    // htop, top and systemd-cgls
    ("-t", "-t selects terminals; type --forest"),
    ("-s rss", "there is no option -s; type --sort rss"),
    ("--watch 5", "--watch takes a value after =; type --watch=5"),
    ("--no-pager", "there is no option --no-pager; leave it out"),
    ("-M web", "there is no option -M; type -c web"),
];

#[test]
fn one_line_says_what_to_type_instead() {
    let host = host("typed-refused");
    for (line, error) in REFUSED {
        let (status, said) = failure(of(host.root()).args(line.split(' ')));
        assert_eq!((status, said), (Some(1), format!("ctr-ps: {error}\n")), "{line}");
    }
}

#[test]
fn a_command_comes_before_its_options() {
    let said = failure(ctr_ps().args(["exec", "-it", "web", "sh"]));
    assert_eq!(said, (Some(1), "ctr-ps: no container 'exec'; type nsenter -t TARGET\n".to_owned()));
}

/// Command lines that work, and others that print the same.
const WORKING: &[(&str, &str)] = &[
    ("-ax", "ax"),
    ("-axf", "axf"),
    ("-auxww", "aux -w"),
    ("-axo pid,comm", "-o pid,cmd"),
    ("--no-headers -e", "-n"),
    ("-p 1 --no-heading -o pid", "-p 1 -n -o pid"),
    ("--noheader", "-n"),
    ("--format pid,comm", "-o pid,cmd"),
    ("--quick-pid 20", "-p 20"),
    ("--tree", "--forest"),
    ("-o user:20,pid", "-o user,pid"),
    ("-eo pid,egid,cgname", "-o pid,gid,cgroup"),
    ("--id web", "-c web"),
    ("--machine web", "-c web"),
    ("-l --filter name=we", "-l --name *we*"),
    ("-l --filter name=^/web$", "-l --name web"),
    ("-l --filter status=exited", "-l --status exited"),
    ("-la --filter label=tier=front", "-l -a --label tier=front"),
    ("-la --filter ancestor=nginx", "-l -a --image nginx"),
    ("-l --filter exited=3", "-l -a -c old"),
    ("-l --filter exited=4", "-l -a --name none"),
    ("-l --state CONTAINER_RUNNING", "-l --status running"),
    ("-l --state Exited", "-l --status exited"),
    ("-l -o names,state,runningfor", "-l -o name,status,started"),
];

#[test]
fn names_of_other_programs_work() {
    let host = host("typed-working");
    for (line, same) in WORKING {
        let said = |line: &str| {
            let out = of(host.root()).args(line.split(' ')).output().expect("ctr-ps starts");
            (out.status.code(), String::from_utf8_lossy(&out.stdout).into_owned())
        };
        assert_eq!(said(line), said(same), "{line}");
        assert_ne!(said(line).1, "", "{line}");
    }
}

#[test]
fn no_trunc_prints_ids_whole() {
    let host = host("typed-no-trunc");
    let ids = |options: &[&str]| printed(of(host.root()).args(["-l", "-n", "-o", "id"]).args(options));
    assert_eq!(ids(&[]), format!("{}\n", &WEB[..12]));
    assert_eq!(ids(&["--no-trunc"]), format!("{WEB}\n"));
}

#[test]
fn a_container_of_the_runtime_that_was_typed_is_suggested() {
    let host = host("typed-runtime");
    let near = "00000000000000000000000000000000000000000000000000000000000000bb";
    let storage = "var/lib/containers/storage/overlay-containers";
    host.file(
        &format!("{storage}/containers.json"),
        format!(r#"[{{"id":"{near}","names":["wbx"],"layer":"l","created":"2024-01-01T00:00:00Z"}}]"#),
    );
    host.file(
        &format!("{storage}/{near}/userdata/config.json"),
        r#"{"annotations":{"io.container.manager":"libpod"}}"#,
    );
    for (word, meant) in [("docker:wbe", "docker:web"), ("podman:wbe", "podman:wbx")] {
        let (_, said) = failure(of(host.root()).args(["-l", "-a", "-c", word]));
        assert_eq!(said, format!("ctr-ps: no container '{word}'; did you mean {meant}?\n"));
    }
}

#[test]
fn columns_of_the_container_and_of_the_scheduler() {
    let host = host("typed-columns");
    let said = |options: &[&str]| printed(of(host.root()).args(["-n", "-e"]).args(options));
    assert_eq!(said(&["-o", "pid,ports"]), " 1 -\n20 80/tcp\n30 -\n");
    assert_eq!(said(&["-q", "-Q", "PORTS =~ \"80\""]), "20\n", "only used by the filter");
    assert_eq!(said(&["-o", "pid,pri,psr,etimes", "-Q", "PID == 20"]), "20 19 3 999\n");
    assert_eq!(
        said(&["-o", "pid", "-Q", "NLWP == 1 and comm == \"prog\" and PID > 20"]),
        "30\n",
        "names of ps"
    );
    assert_eq!(
        said(&["-o", "oom_kills,psi", "-Q", "PID == 20"]),
        "- - - -\n",
        "no control groups are mounted"
    );
}

#[test]
fn resident_memory_is_that_of_statm() {
    let host = host("typed-resident");
    host.file("proc/20/statm", "1000 12 3 1 0 5 0\n");
    let page = procfs::page_size() / 1024;
    let said =
        |pid: &str| printed(of(host.root()).args(["-n", "-o", "rss,mem", "-Q", &format!("PID == {pid}")]));
    let share = |pages: u64| pages * page * 1000 / 40_000;
    let row = |pages: u64| format!("{} {}.{}\n", pages * page, share(pages) / 10, share(pages) % 10);
    assert_eq!(said("20"), row(12));
    assert_eq!(said("30"), row(9), "a copy of /proc without the file");
}
