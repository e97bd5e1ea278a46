//! ctr-ps with texts, patterns and options that are too long or would move the cursor.

use crate::common::ctr_ps::{DB, Host, WEB, harmless, of, scope, state};
use crate::common::process::{failure, printed};

/// A text of this length is no width that std formats, and must not make the lines of others as long.
#[test]
fn a_cell_of_a_megabyte_widens_no_line_but_its_own() {
    let host = Host::new("ctr-ps-wide");
    let long = "x".repeat(1 << 20);
    let config = format!(
        r#"{{"Name":"/web","State":{{"Running":true,"Pid":20}},"Path":"{long}","Config":{{"Image":"img:1",
        "Labels":{{"k":"{}"}},"ExposedPorts":{{"{long}":{{}}}}}}}}"#,
        &long[..200_000]
    );
    host.docker(WEB, &config);
    host.docker(DB, config.replace("/web", "/old").replace("true", "false"));
    host.process(20, 1, &scope(WEB), format!("{}\0", &long[..100_000]).as_bytes());
    for options in [
        &["-o", "command,pid"][..],
        &["-o", "args,pid", "--forest"],
        &["-o", "labels,ports,pid"],
        &["-l", "-a", "-o", "labels,command,ports,name"],
        &["--no-trunc", "-l", "-a", "-o", "command,image"],
    ] {
        let table = printed(of(host.root()).args(options));
        let longest = |line: &&str| line.len() < 4000;
        assert!(table.lines().count() > 2, "{options:?}");
        assert!(
            table.lines().filter(longest).count() >= table.lines().count() - 2,
            "{options:?}: long lines"
        );
    }
}

#[test]
fn texts_of_state_files_that_would_move_the_cursor() {
    let host = Host::new("ctr-ps-texts");
    let evil = r"a\u001b[2J\u001b]0;x\u0007\n\r\u202e\u2066\u200b\u009b31m\t\u0000b";
    let state = |state: &str| {
        format!(
            r#"{{"Name":"/{evil}","Created":"2024-01-01T00:00:00Z{evil}","Path":"{evil}","Args":["{evil}"],
            "State":{{{state},"Error":"{evil}","StartedAt":"{evil}","FinishedAt":"{evil}"}},
            "NetworkSettings":{{"Ports":{{"80/{evil}":[{{"HostIp":"{evil}","HostPort":"80{evil}"}}]}}}},
            "Config":{{"Image":"{evil}","Hostname":"{evil}","Labels":{{"{evil}":"{evil}","k":"v"}},
            "ExposedPorts":{{"{evil}":{{}}}}}}}}"#
        )
    };
    host.docker(WEB, state(r#""Running":true,"Pid":20"#));
    host.docker(DB, state(r#""Running":false,"Pid":0,"ExitCode":1"#));
    host.process(20, 1, &scope(WEB), b"nginx\0");
    let all = "container,id,image,hostname,labels,created,status,exit,ended,command,ports";
    for options in [
        &["-l", "-a", "-o", all][..],
        &["-l", "-a", "-r", "-o", all],
        &["-l", "-a", "-q"],
        &["-l", "-a", "--no-trunc"],
        &["-l", "-a", "--sort", "image,labels,ports", "-Q", r#"LABELS =~ "k""#],
        &["-o", "container,image,labels,ports,hostname,command"],
        &["--by-container"],
        &["--label", "k=v", "--name", "*b", "--filter", "ancestor=*b"],
    ] {
        let table = printed(of(host.root()).args(options));
        harmless(&table);
        assert!(table.lines().count() >= 2, "{options:?}: {table}");
    }
    for form in ["--json", "--jsonl"] {
        let json = printed(of(host.root()).args(["-l", "-a", form]));
        assert!(json.bytes().all(|byte| byte >= b' ' || byte == b'\n'), "{json:?}");
    }
    let (_, said) = failure(of(host.root()).args(["-l", "-a", "-c", "a\x1b[2J\n\u{202e}"]));
    harmless(&said);
}

/// These come from the caller: none takes long, and each that is wrong gives one message.
#[test]
fn options_without_a_limit_to_their_length() {
    let host = Host::new("ctr-ps-long-options");
    host.docker(WEB, state(&"a".repeat(4000), 20));
    host.process(20, 1, &scope(WEB), b"nginx\0");
    let said = |options: &[&str]| printed(of(host.root()).arg("-q").args(options));
    let keys = ["-pid,name,container"; 5_000].join(",");
    assert_eq!(said(&["--sort", &keys]), "20\n1\n");
    assert_eq!(said(&["--name", &format!("{}b", "*a".repeat(1_000))]), "");
    assert_eq!(said(&["-c", &"*a".repeat(1_000)]), "20\n");
    assert_eq!(said(&["--name", &"*".repeat(100_000)]), "20\n");
    let many = format!("PID == 0{}", " or PID == 20".repeat(5_000));
    assert_eq!(said(&["-Q", &many]), "20\n");
    assert_eq!(said(&["-Q", &format!("{}PID == 20{}", "(".repeat(4_000), ")".repeat(4_000))]), "20\n");
    for expression in
        ["(".repeat(60_000), "not ".repeat(30_000), format!("NAME =~ \"{}\"", "(".repeat(60_000))]
    {
        let (status, said) = failure(of(host.root()).args(["-Q", &expression]));
        assert_eq!(status, Some(1), "{}", &said[..said.len().min(200)]);
    }
    let (status, said) = failure(of(host.root()).args(["-o", &"x,".repeat(50_000)]));
    assert_eq!((status, said.lines().count()), (Some(1), 1));
}
