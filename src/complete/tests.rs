use super::*;
use crate::applet::APPLETS;

fn complete(line: &[&str]) -> Answer {
    let host = Host::new(root(APPLETS, line)).expect("a host");
    command_line(APPLETS, line, &host)
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
    assert_eq!(offered(&["ctr-top", "-o", "thro"]), ["throt"]);
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
    assert_eq!(offered(&["cgexec", "-g", "*"]), ["*:"]);
    let star = complete(&["cgexec", "-g", "*:"]);
    assert!(star.offers.iter().all(|offer| offer.word.starts_with("*:")));
    offers(&["ctr-inspect", "--diff", "ho"], &["host"]);
    assert_eq!(complete(&["lsns", "-Q", "NPR"]).action, Action::Open);
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
    assert_eq!(answer(&["capsh", "--chroot=/"]), (Action::Directories, 9));
    assert_eq!(answer(&["ctr-whose", "/srv"]), (Action::Files, 0));
    assert_eq!(answer(&["ctr-whose", "path:/srv"]), (Action::Files, 5));
    assert_eq!(offered(&["ctr-whose", "l"]), ["lo"]);
    assert_eq!(offered(&["ctr-whose", "if:l"]), ["if:lo"]);
    assert_eq!(offered(&["ctr-whose", "pat"]), ["path:"]);
    assert_eq!(answer(&["ctr-whose", "pat"]), (Action::Open, 0));
    offers(&["ctr-whose", "pid:"], &["pid:1"]);
    assert_eq!(answer(&["ctr-whose", ":80"]), (Action::Open, 0), "no file");
    assert_eq!(answer(&["ctrbox", "--install", "/usr"]), (Action::Directories, 0));
}

/// A user may call a container `$(reboot)`; the shell of root must not get that word.
#[test]
fn words_for_a_shell_are_never_offered() {
    for word in ["web", "docker:web", "shop/web-1", "a.b_c@d+e=f"] {
        assert!(words::is_harmless(word), "{word}");
    }
    for word in [
        "",
        "$(reboot)",
        "`x`",
        "a;b",
        "a b",
        "a\nb",
        "a\tb",
        "a?",
        "'",
        "\"",
        "\\",
        "~",
        "#",
        "!x",
        "&",
        "{a,b}",
    ] {
        assert!(!words::is_harmless(word), "{word:?}");
    }
}

#[test]
fn applets() {
    offers(&["ctrbox", ""], &["nsenter", "ctr-ps", "help"]);
    assert_eq!(offered(&["ctrbox", "ns"]), ["nsenter"]);
    assert_eq!(offered(&["./ctrbox", "help", "uns"]), ["unshare"]);
    assert_eq!(offered(&["ctrbox", "--install", "/tmp", "lsns", "nse"]), ["nsenter"]);
    assert_eq!(offered(&["ctrbox", "--l"]), ["--list"]);
    assert_eq!(offered(&["ctrbox", "che"]), ["check"]);
    assert_eq!(offered(&["ctrbox", "check", ""]), ["--json", "--root", "--help"]);
    assert_eq!(offered(&["ctrbox", "check", "--json", "--r"]), ["--root"]);
    assert_eq!(complete(&["ctrbox", "check", "--root", "/"]).action, Action::Directories);
    assert_eq!(offered(&["ctrbox", "lsns", "--out"]), ["--output", "--output-all"]);
    assert_eq!(offered(&["/usr/bin/ctrbox-lsns", "--type", "us"]), ["user"]);
    assert_eq!(offered(&["nsenter", "-t", "1", "-a", "--applet", "lsn"]), ["lsns"]);
    assert_eq!(offered(&["nsenter", "-t", "1", "-a", "--applet", "lsns", "-t", "us"]), ["user"]);
}
