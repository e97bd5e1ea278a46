use super::*;
use crate::applet::APPLETS;

fn complete(line: &[&str]) -> Answer {
    command_line(APPLETS, line)
}

#[track_caller]
fn offered(line: &[&str]) -> Vec<String> {
    complete(line).offers.into_iter().map(|offer| offer.word).collect()
}

#[track_caller]
fn offers(line: &[&str], words: &[&str]) {
    let all = offered(line);
    for word in words {
        assert!(all.iter().any(|offered| offered == word), "{line:?}: no {word} in {all:?}");
    }
}

#[test]
fn options() {
    offers(&["nsenter", "--ta"], &["--target"]);
    assert_eq!(offered(&["nsenter", "--ta"]), ["--target"]);
    assert_eq!(offered(&["nsenter", "--net"]), ["--net", "--net=", "--net-socket"]);
    assert_eq!(offered(&["nsenter", "-a"]), ["-a"]);
    offers(&["ctr-ps", "-"], &["--forest", "--output"]);
    assert!(!offered(&["ctr-ps", "--p"]).contains(&"--proc-root".to_owned()), "it is hidden");
    assert_eq!(offered(&["ctr-ps", "--forest", "--fo"]), Vec::<String>::new(), "once is enough");
    let drop = complete(&["capsh", "--dro"]);
    assert_eq!((drop.action, &*drop.offers[0].word), (Action::Open, "--drop="));
}

#[test]
fn values() {
    assert_eq!(offered(&["lsns", "-t", "n"]), ["net"]);
    assert_eq!(offered(&["lsns", "-t", "net,u"]), ["net,user", "net,uts"]);
    assert_eq!(offered(&["lsns", "--type=us"]), ["--type=user"]);
    assert_eq!(offered(&["lsns", "-tus"]), ["-tuser"]);
    assert_eq!(offered(&["lsns", "-o", "NS,TY"]), ["NS,TYPE"]);
    assert_eq!(offered(&["lsns", "-o", "+netn"]), ["+netnsid", "+netname"]);
    assert_eq!(offered(&["lsns", "-o", "TYPE,TY"]), Vec::<String>::new(), "it is in the list");
    assert_eq!(offered(&["ctr-ps", "-l", "-o", "im"]), ["image"]);
    offers(&["ctr-ps", "-l", "-o", ""], &["LIMIT", "STATUS"]);
    assert!(!offered(&["ctr-ps", "-o", ""]).contains(&"LIMIT".to_owned()));
    assert_eq!(offered(&["ctr-ps", "--sort", "-rs"]), ["-rss"]);
    assert_eq!(offered(&["unshare", "--propagation", "s"]), ["slave", "shared"]);
    assert_eq!(offered(&["unshare", "--setgroups="]), ["--setgroups=allow", "--setgroups=deny"]);
    offers(&["unshare", "--kill-child="], &["--kill-child=KILL", "--kill-child=TERM"]);
    assert_eq!(offered(&["unshare", "--kill-child=SIGTER"]), ["--kill-child=SIGTERM"]);
    assert_eq!(offered(&["capsh", "--drop=cap_net_a"]), ["--drop=cap_net_admin"]);
    assert_eq!(offered(&["capsh", "--drop=cap_chown,cap_net_a"]), ["--drop=cap_chown,cap_net_admin"]);
    assert_eq!(offered(&["ctr-ps", "--runtime", "docker,podm"]), ["docker,podman"]);
    assert_eq!(offered(&["ctr-ps", "--color="]), ["--color=auto", "--color=always", "--color=never"]);
    assert_eq!(offered(&["ctr-inspect", "-s", "id"]), ["identity"]);
    offers(&["nsenter", "-S", ""], &["follow", "0"]);
    offers(&["ctr-ps", "-u", "roo"], &["root"]);
    offers(&["ctr-ps", "-p", ""], &["1"]);
    offers(&["nsenter", "-t", "1"], &["1"]);
    offers(&["cgexec", "-g", "memo"], &[]);
}

#[test]
fn files_and_programs() {
    let answer = |line: &[&str]| {
        let answer = complete(line);
        (answer.action, answer.number)
    };
    assert_eq!(answer(&["nsenter", "--net=/run/n"]), (Action::Files, 6));
    assert_eq!(answer(&["nsenter", "-n/run/n"]), (Action::Files, 2));
    assert_eq!(answer(&["unshare", "-R", "/"]), (Action::Directories, 0));
    assert_eq!(answer(&["nsenter", "-t", "1", "-a", "l"]), (Action::Commands, 0));
    assert_eq!(answer(&["nsenter", "-t", "1", "-a", "ls", "-"]), (Action::Program, 4));
    assert_eq!(answer(&["nsenter", "-t", "1", "-a", "--", "ls", ""]), (Action::Program, 5));
    assert_eq!(answer(&["ctrbox", "unshare", "-n", "ip", "a"]), (Action::Program, 3));
    // An optional value is attached: the next word is the program.
    assert_eq!(answer(&["nsenter", "-t", "1", "--net", ""]), (Action::Commands, 0));
    assert_eq!(answer(&["nsenter", "-t", "1", "-n", ""]), (Action::Commands, 0));
    assert_eq!(answer(&["unshare", "--mount-proc", "b"]), (Action::Commands, 0));
    assert_eq!(answer(&["cgexec", "-m", "64M", "mak"]), (Action::Commands, 0));
    assert_eq!(answer(&["cgexec", "-m", ""]), (Action::Open, 0));
    assert_eq!(answer(&["capsh", "--", "/"]), (Action::Files, 0));
    assert_eq!(answer(&["ctrbox", "--install", "/usr"]), (Action::Directories, 0));
}

#[test]
fn applets() {
    offers(&["ctrbox", ""], &["nsenter", "ctr-ps", "help"]);
    assert_eq!(offered(&["ctrbox", "ns"]), ["nsenter"]);
    assert_eq!(offered(&["./ctrbox", "help", "uns"]), ["unshare"]);
    assert_eq!(offered(&["ctrbox", "--install", "/tmp", "lsns", "nse"]), ["nsenter"]);
    assert_eq!(offered(&["ctrbox", "--l"]), ["--list"]);
    assert_eq!(offered(&["ctrbox", "lsns", "--out"]), ["--output", "--output-all"]);
    assert_eq!(offered(&["/usr/bin/ctrbox-lsns", "--type", "us"]), ["user"]);
    assert_eq!(offered(&["nsenter", "-t", "1", "-a", "--applet", "lsn"]), ["lsns"]);
    assert_eq!(offered(&["nsenter", "-t", "1", "-a", "--applet", "lsns", "-t", "us"]), ["user"]);
}
