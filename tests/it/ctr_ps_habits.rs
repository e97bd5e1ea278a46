//! ctr-ps, called as people call ps(1).

use std::process::Command;

use crate::common::ctr_ps::{Host, ctr_ps, of, processes, scope, state};
use crate::common::process::{failure, limited, printed};
use crate::common::{stderr, stdout};
use serde_json::Value;

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// A host with a container `web` and processes whose stat files differ.
fn host(test: &str) -> Host {
    let host = Host::new(test);
    host.docker(ID, state("web", 20));
    host.process(20, 1, &scope(ID), b"nginx\0");
    host.process(21, 20, &scope(ID), b"worker\0-x\0");
    host.process(30, 1, "/user.slice", b"editor\0");
    // tty, ticks, threads, start, vsize, rss
    for (pid, ppid, tty, ticks, rss) in
        [(1, 0, 0, 5, 100), (20, 1, 0, 300, 900), (21, 20, 34817, 20, 500), (30, 1, 34819, 700, 700)]
    {
        let stat = format!(
            "{pid} (prog) S {ppid} {pid} {ppid} {tty} -1 0 0 0 0 0 {ticks} 0 0 0 20 0 1 0 100 4096000 {rss} 0\n"
        );
        host.file(&format!("proc/{pid}/stat"), stat);
    }
    host.file("proc/uptime", "1000.00 1.00\n");
    host.file("proc/stat", "btime 1700000000\n");
    host.file("proc/meminfo", "MemTotal:       40000 kB\n");
    host.file("etc/group", "root:x:0:\n");
    host
}

fn said(host: &Host, options: &[&str]) -> String {
    printed(of(host.root()).args(options))
}

#[test]
fn options_of_ps_without_effect_change_nothing() {
    let host = host("no-effect");
    for (options, same) in [
        (&["-e"][..], &[][..]),
        (&["-A"], &[]),
        (&["-a"], &[]),
        (&["-ef"], &["-f"]),
        (&["-eo", "pid"], &["-o", "pid"]),
    ] {
        assert_eq!(said(&host, options), said(&host, same), "{options:?}");
    }
}

#[test]
fn the_words_of_bsd_select_its_columns() {
    let host = host("bsd");
    let heading = |options: &[&str]| {
        let out = said(&host, options);
        out.lines().next().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let aux = "USER PID CPU MEM VSZ RSS TTY STATE STIME TIME CPID CONTAINER COMMAND";
    assert_eq!(heading(&["aux"]), aux);
    assert_eq!(heading(&["-aux"]), aux);
    assert_eq!(heading(&["ax"]), "PID TTY STATE TIME CPID CONTAINER COMMAND");
    assert_eq!(said(&host, &["axf"]), said(&host, &["ax", "--forest"]));
    assert_eq!(said(&host, &["auxf"]), said(&host, &["aux", "--forest"]));
    let (status, message) = failure(of(host.root()).args(["-c", "aux"]));
    assert_eq!((status, message.contains("'aux'")), (Some(1), true), "a container after -c: {message}");
}

#[test]
fn an_operand_is_a_target() {
    let host = host("operand");
    let by_option = said(&host, &["-o", "pid", "-c", "web"]);
    assert_eq!(said(&host, &["-o", "pid", "web"]), by_option);
    assert_eq!(said(&host, &["docker:web", "-o", "pid"]), by_option);
    let (_, message) = failure(of(host.root()).arg("wbe"));
    assert_eq!(message, "ctr-ps: no container 'wbe'; did you mean docker:web?\n");
    assert_eq!(printed(of(host.root()).args(["-q", "-p", "20", "21"])), "20\n21\n");
}

#[test]
fn near_misses_of_columns_runtimes_and_options() {
    let host = host("near");
    let fails = |options: &[&str]| failure(of(host.root()).args(options).env("CTRBOX_HINTS", "always")).1;
    assert!(fails(&["-o", "comand"]).contains("unknown column 'comand'; did you mean command?"));
    assert!(fails(&["--sort", "prsss"]).contains("unknown column 'prsss'"));
    assert!(fails(&["--runtime", "dokcer"]).contains("unknown runtime 'dokcer'; did you mean docker?"));
    assert!(fails(&["--fores=1"]).contains("doesn't allow"));
    assert!(fails(&["--fosert"]).contains("hint: did you mean --forest?"));
}

#[test]
fn columns_have_the_names_and_headings_of_ps() {
    let host = host("names");
    let out = said(&host, &["-p", "20", "-o", "pid,comm,stat,args,pgid,sid", "-o", "tty"]);
    let words: Vec<&str> = out.split_whitespace().collect();
    assert_eq!(words[..7], ["PID", "CMD", "STATE", "COMMAND", "PGID", "SID", "TTY"]);
    assert_eq!(words[7..], ["20", "prog", "S", "nginx", "20", "1", "?"]);
    assert_eq!(said(&host, &["-p", "20", "-o", "pid=", "-o", "comm="]), "20 prog\n");
    assert_eq!(said(&host, &["-p", "20", "-o", "pid=THE PID,comm="]), "THE PID\n     20 prog\n");
    // 900 pages of 4 KiB are 9 percent of 40000 KiB; 300 ticks in 999 s.
    if procfs_page() == 4096 {
        assert_eq!(said(&host, &["-p", "20", "-n", "-o", "%mem,pcpu,etime"]), "9.0 0.3 16:39\n");
    }
    let json = said(&host, &["-p", "20", "-J", "-o", "pid=X"]);
    assert!(json.contains("\"pid\":20"), "a heading is no key: {json}");
    let hostile = said(&host, &["-p", "20", "-o", "pid=a\x1b[31mb"]);
    assert!(!hostile.contains('\x1b'), "{hostile:?}");
}

fn procfs_page() -> usize {
    let out = Command::new("getconf").arg("PAGESIZE").output().map(|out| stdout(&out)).unwrap_or_default();
    out.trim().parse().unwrap_or(0)
}

#[test]
fn lines_are_sorted_by_any_column() {
    let host = host("sort");
    let order = |options: &[&str]| -> Vec<i32> {
        let mut all = vec!["-q"];
        all.extend(options);
        said(&host, &all).lines().map(|line| line.parse().expect("a PID")).collect()
    };
    assert_eq!(order(&["--sort", "-rss"]), [20, 30, 21, 1]);
    assert_eq!(order(&["--sort=%cpu"]), [1, 21, 20, 30]);
    assert_eq!(order(&["--sort", "container,-pid"]), [21, 20, 30, 1], "no container comes last");
    assert_eq!(order(&["--sort", "-container,pid"]), [20, 21, 1, 30], "also in descending order");
    assert_eq!(order(&["--sort", "-pid", "--forest"]), [1, 30, 20, 21], "children of one parent");
}

#[test]
fn processes_by_parent_and_by_terminal() {
    let host = host("ppid");
    assert_eq!(said(&host, &["-q", "--ppid", "1"]), "20\n30\n");
    for terminal in ["pts/1", "/dev/pts/1", "1"] {
        assert_eq!(said(&host, &["-q", "-t", terminal]), "21\n", "{terminal}");
    }
    assert_eq!(said(&host, &["-q", "-t", "-"]), "1\n20\n");
    let (status, message) = failure(of(host.root()).args(["-t", "web"]));
    assert_eq!(status, Some(1));
    assert!(message.starts_with("ctr-ps: 'web' is not a terminal (here -t selects a terminal"), "{message}");
}

#[test]
fn a_list_of_containers_has_no_tree_and_no_threads() {
    for option in ["--forest", "--by-container", "-T"] {
        let (status, message) = failure(ctr_ps().args(["-l", option]));
        assert_eq!(status, Some(1), "{option}");
        assert!(message.contains("cannot be combined"), "{message}");
    }
}

/// This process, which has threads: that of this test is one of them.
#[test]
fn threads_are_listed_and_marked() {
    let pid = std::process::id().to_string();
    let is = |value: &Value, number: &str| value.as_i64() == number.parse().ok();
    let own = std::fs::read_link("/proc/thread-self").expect("a link");
    let tid = own.file_name().expect("a name").to_string_lossy().into_owned();
    let out = limited(ctr_ps().args(["-T", "-J", "-p", &pid, "-o", "pid,tid,command,state"]));
    let whole: Value = serde_json::from_str(&stdout(&out)).expect("JSON");
    let rows = whole["processes"].as_array().expect("an array");
    assert!(rows.iter().all(|row| is(&row["pid"], &pid)), "{rows:?}");
    let thread = rows.iter().find(|row| is(&row["tid"], &tid)).expect("this thread");
    assert!(thread["command"].as_str().is_some_and(|name| name.starts_with('{')), "{thread}");
    assert_eq!(thread["state"], "S", "it waits for the output");
    assert_eq!(rows[0]["tid"].to_string(), pid, "the first thread comes first");
    let as_process = limited(ctr_ps().args(["-q", "-p", &tid]));
    assert_eq!(stdout(&as_process), format!("{pid}\n"));
    assert_eq!(
        stderr(&as_process).lines().next(),
        Some(&*format!("ctr-ps: {tid} is a thread of process {pid}"))
    );
    let listed = processes(&printed(ctr_ps().arg("-J")));
    assert!(!listed.contains_key(&tid.parse().expect("a number")), "no process of its own");
}
