//! `lsns`: formats, columns, trees, filters and refused options, on namespaces that the tests make.

use crate::common::lsns::{fine, inode, lsns, row, rows, says, settled, wrong};
use crate::common::process::{Holder, link, namespaces, printed};
use crate::common::program;

/// Alone in a uts and an ipc namespace. Its command is `cat`.
fn cat() -> Holder {
    settled(Holder::new(&["-u", "-i"], ""))
}

#[test]
fn all_forms_of_one_namespace() {
    if !namespaces("lsns_forms") {
        return;
    }
    let holder = cat();
    let (pid, ns) = (holder.pid.to_string(), inode(&holder.link("uts")));
    let of = |more: &[&str]| printed(lsns(&["-p", &pid, "-t", "uts"]).args(more));
    // Room for five digits, but three are no wider than the heading, and room is given back.
    let width = if pid.len() > "PID".len() { pid.len().max(5) } else { "PID".len() };
    let human = format!(
        "        NS TYPE NPROCS {:>width$} USER COMMAND\n{ns} uts       1 {pid:>width$} root cat\n",
        "PID"
    );
    for arguments in [&[][..], &["-l"], &["--list"], &["-Tprocess"], &["-u"], &["-W"], &["--no-fd-scan"]] {
        assert_eq!(of(arguments), human, "{arguments:?}");
    }
    // Without headings, kinds have room for the longest usual ones, and numbers take what they need.
    assert_eq!(of(&["-n"]), format!("{ns} uts   1 {pid:>5} root cat\n"));
    let raw = format!("NS TYPE NPROCS PID USER COMMAND\n{ns} uts 1 {pid} root cat\n");
    assert_eq!(of(&["-r"]), raw);
    assert_eq!(of(&["--raw", "--list"]), raw);
    let json = format!(
        "{{\n   \"namespaces\": [\n      {{\n         \"ns\": {ns},\n         \"type\": \"uts\",\n         \
         \"nprocs\": 1,\n         \"pid\": {pid},\n         \"user\": \"root\",\n         \
         \"command\": \"cat\"\n      }}\n   ]\n}}\n"
    );
    assert_eq!(of(&["-J"]), json);
    assert_eq!(of(&["--json", "-n", "-l"]), json);
}

#[test]
fn the_list_of_all_has_it_once() {
    if !namespaces("lsns_all") {
        return;
    }
    let holder = cat();
    for kind in ["uts", "ipc"] {
        let ns = inode(&holder.link(kind));
        let expected = Some(format!("{kind} 1 {} root cat", holder.pid));
        for arguments in [&["-l"][..], &["-l", "-t", kind], &["-l", "-t", "net", "-t", kind], &["-T"]] {
            let found = rows(arguments, "NS,TYPE,NPROCS,PID,USER,COMMAND");
            let found: Vec<String> = found
                .iter()
                .filter(|cells| cells[0].ends_with(&ns))
                .map(|cells| cells[1..].join(" "))
                .collect();
            assert_eq!(found.first(), expected.as_ref(), "{arguments:?}");
            assert_eq!(found.len(), 1, "{arguments:?}");
        }
        let other = if kind == "uts" { "ipc" } else { "uts" };
        assert_eq!(row(&["-t", other], "TYPE", &ns), None);
        let list = format!("net,{kind}");
        assert_eq!(row(&["-l", "-t", &list], "TYPE", &ns).as_deref(), Some(kind));
        assert_eq!(row(&["-l", "-t", "mnt", "-t", &list], "TYPE", &ns).as_deref(), Some(kind));
        assert_eq!(row(&["-t", &format!("net,{other},pid")], "TYPE", &ns), None);
    }
}

#[test]
fn columns_of_a_process() {
    if !namespaces("lsns_columns") {
        return;
    }
    let holder = cat();
    let (pid, ns) = (holder.pid.to_string(), inode(&holder.link("uts")));
    let owner = inode(&link("self", "user"));
    let parent = std::process::id();
    let of = |columns: &str| row(&["-l", "-t", "uts"], columns, &ns).expect("a row");
    assert_eq!(of("PATH,PPID,UID,USER"), format!("/proc/{pid}/ns/uts {parent} 0 root"));
    assert_eq!(of("PNS,ONS"), format!("0 {owner}"));
    assert_eq!(of("NETNSID,NSFS,NETNAME,HELDBY,USERS,CONTAINER"), "     ");
    assert_eq!(of("type,Type,TYPE"), "uts uts uts");
    let added = printed(&mut lsns(&["-p", &pid, "-t", "uts", "-r", "-n", "-o", "+PPID,path"]));
    assert_eq!(added, format!("{ns} uts 1 {pid} root cat {parent} /proc/{pid}/ns/uts\n"));
    // The last -o counts, and more than --output-all.
    for arguments in
        [["-o", "PID", "-o", "NS"], ["--output-all", "-l", "-o", "NS"], ["-o", "NS", "-l", "--output-all"]]
    {
        assert_eq!(printed(lsns(&["-p", &pid, "-t", "uts", "-n"]).args(arguments)), format!("{ns}\n"));
    }
    let all = printed(&mut lsns(&["-p", &pid, "-t", "uts", "--output-all", "-r", "-l"]));
    let all: Vec<&str> = all.lines().collect();
    assert_eq!(all[0], "NS TYPE PATH NPROCS PID PPID COMMAND UID USER NETNSID NSFS PNS ONS");
    assert_eq!(all[1], format!("{ns} uts /proc/{pid}/ns/uts 1 {pid} {parent} cat 0 root   0 {owner}"));
}

#[test]
fn the_map_of_a_user_namespace() {
    if !namespaces("lsns_users") {
        return;
    }
    let one = Holder::new(&["-U", "-r"], "");
    assert_eq!(row(&["-l"], "TYPE,USERS", &inode(&one.link("user"))).expect("a row"), "user 0:0:1");
    let none = Holder::new(&["-U"], "");
    assert_eq!(row(&["-l"], "TYPE,USERS", &inode(&none.link("user"))).expect("a row"), "user ");
    // unshare writes one range only: the second comes from outside.
    let two = Holder::new(&["-U"], "");
    std::fs::write(two.file("uid_map"), "0 100000 1000\n1000 1000 1\n").expect("a map");
    let ns = inode(&two.link("user"));
    assert_eq!(row(&["-l"], "TYPE,USERS", &ns).expect("a row"), "user 0:100000:1000,1000:1000:1");
    let json = printed(&mut lsns(&["-J", "-l", "-p", &two.pid.to_string(), "-t", "user", "-o", "USERS"]));
    assert!(json.contains("\"users\": \"0:100000:1000,1000:1000:1\"\n"), "{json}");
}

#[test]
fn processes_of_a_namespace() {
    if !namespaces("lsns_operand") {
        return;
    }
    let holder = settled(Holder::new(&["-u", "-p", "-f"], ""));
    let (uts, pids) = (inode(&holder.link("uts")), inode(&holder.link("pid")));
    let pid = holder.pid.to_string();
    let stat = std::fs::read_to_string(holder.file("stat")).expect("a process");
    let upper =
        stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1)).expect("a parent").to_owned();
    // unshare and its child; in the pid namespace only the child
    assert_eq!(
        rows(&[&uts], "PID,PPID,USER"),
        [
            vec![upper.clone(), std::process::id().to_string(), "root".to_owned()],
            vec![pid.clone(), upper.clone(), "root".to_owned()],
        ]
    );
    assert_eq!(
        printed(&mut lsns(&[&pids, "-r"])),
        format!("PID PPID USER COMMAND\n{pid} {upper} root cat\n")
    );
    let tree = printed(&mut lsns(&[&uts, "-n", "-o", "COMMAND"]));
    assert!(tree.ends_with("\n└─cat\n"), "{tree}");
    let ascii = printed(lsns(&[&uts, "-n", "-o", "COMMAND"]).env("LC_ALL", "C"));
    assert!(ascii.ends_with("\n`-cat\n"), "{ascii}");
    let list = printed(&mut lsns(&[&uts, "-n", "-l", "-o", "COMMAND"]));
    assert!(list.ends_with("\ncat\n"), "{list}");
    let json: String = printed(&mut lsns(&[&uts, "-J", "-o", "PID,COMMAND"])).split_whitespace().collect();
    let child = format!("\"children\":[{{\"pid\":{pid},\"command\":\"cat\"}}]}}]}}");
    assert!(
        json.ends_with(&child) && json.starts_with(&format!("{{\"namespaces\":[{{\"pid\":{upper},")),
        "{json}"
    );
    // columns of the namespace, options behind it, and only the first operand
    let more = printed(&mut lsns(&[&pids, "1", "-r", "-n", "-o", "+NS,TYPE,NPROCS"]));
    assert_eq!(more, format!("{pid} {upper} root cat {pids} pid 1\n"));
    assert_eq!(printed(&mut lsns(&["-r", "-n", "-o", "PID", "--", &pids])), format!("{pid}\n"));
    for (list, bad) in [("uts,nett", "nett"), ("uts,", ""), (",uts", ""), ("uts net", "uts net")] {
        assert_eq!(says(&["-t", list]), wrong(&format!("unknown namespace type: {bad}")));
    }
    for no in ["1", "99999999999"] {
        assert_eq!(says(&[no]), wrong(&format!("not found namespace: {no}")));
    }
    assert_eq!(says(&[&uts, "-t", "ipc"]), wrong(&format!("not found namespace: {uts}")));
}

#[test]
fn processes_hang_below_their_parents() {
    if !namespaces("lsns_process_tree") {
        return;
    }
    let both = ["-u", "sh", "-c", "\"$@\"; exit", "sh", "unshare", "-u"];
    let holder = settled(Holder::by(program("unshare").args(both), ""));
    let pid = holder.pid.to_string();
    let stat = std::fs::read_to_string(holder.file("stat")).expect("a process");
    let upper =
        stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1)).expect("a parent").to_owned();
    let (outer, inner) = (inode(&link(&upper, "uts")), inode(&holder.link("uts")));
    let filter = format!("NS == {outer} || NS == {inner}");
    let of = |more: &[&str]| -> String {
        let mut command = lsns(&["-t", "uts", "-n", "-Q", &filter]);
        printed(command.args(more)).split_whitespace().collect()
    };
    // Only what was printed before has children: the order is that of the inodes.
    let json = of(&["-J", "-o", "NS,PID,COMMAND"]);
    let child = format!("\"children\":[{{\"ns\":{inner},\"pid\":{pid},\"command\":\"cat\"}}]");
    assert_eq!(json.contains(&child), outer < inner, "{json}");
    let flat = of(&["-J", "-l", "-o", "NS,COMMAND"]);
    assert!(!flat.contains("children") && flat.contains(&inner), "{flat}");
}

#[test]
fn trees_of_owners_and_parents() {
    if !namespaces("lsns_trees") {
        return;
    }
    // No process is in the outer user namespace: it is known only through the inner one.
    let options = ["-U", "-r", "unshare", "-U", "-r", "-u"];
    let holder = Holder::new(&options, "");
    let (user, uts, pid) = (inode(&holder.link("user")), inode(&holder.link("uts")), holder.pid.to_string());
    let outer = row(&["-l", "-t", "user"], "PNS", &user).expect("a row");
    let top = inode(&link("self", "user"));
    assert_eq!(row(&["-l"], "TYPE", &outer), None);
    assert_eq!(row(&["-l"], "ONS", &uts).as_deref(), Some(&*user));
    let tree = |arguments: &[&str], columns: &str| -> String {
        let all = printed(lsns(arguments).args(["-n", "-o", columns]));
        let own = [&outer, &user, &uts];
        let mut lines = all.lines().filter(|line| own.iter().any(|ns| line.contains(ns.as_str())));
        // What is left of them depends on their siblings.
        let first = lines.clone().next().and_then(|line| line.find(outer.as_str())).unwrap_or(0);
        let cut = |line: &str| {
            line.char_indices().filter(|(at, _)| *at >= first).map(|(_, c)| c).collect::<String>()
        };
        lines.by_ref().map(|line| cut(line).split_whitespace().collect::<Vec<_>>().join(" ") + "\n").collect()
    };
    for option in ["-T", "-Towner", "-T=owner", "--tree", "--tree=owner"] {
        let lines = tree(&[option], "NS,TYPE,NPROCS,PID,ONS");
        let numbers: Vec<&str> =
            lines.lines().map(|line| line.trim_start_matches(|c: char| !c.is_ascii_digit())).collect();
        assert_eq!(
            numbers,
            [
                format!("{outer} user 0 {top}"),
                format!("{user} user 1 {pid} {outer}"),
                format!("{uts} uts 1 {pid} {user}")
            ]
        );
    }
    let json: String = printed(&mut lsns(&["-J", "-T", "-o", "NS"])).split_whitespace().collect();
    let part = format!("{{\"ns\":{outer},\"children\":[{{\"ns\":{user},\"children\":[{{\"ns\":{uts}}}]}}]}}");
    assert!(json.contains(&part), "{json}");
    // Parents: a uts namespace has none, and is a root.
    let json: String = printed(&mut lsns(&["-J", "-Tparent", "-o", "NS"])).split_whitespace().collect();
    let part = format!("{{\"ns\":{outer},\"children\":[{{\"ns\":{user}}}]}}");
    assert!(json.contains(&part), "{json}");
    let lines = tree(&["-Tparent", "-t", "uts"], "NS,TYPE");
    assert_eq!(lines, format!("{uts} uts\n"));
    // Added rows are of the requested kinds.
    assert_eq!(tree(&["-Towner", "-t", "uts"], "NS,TYPE"), format!("{uts} uts\n"));
    let ascii = printed(lsns(&["-T", "-n", "-o", "NS"]).env("LC_ALL", "C"));
    assert!(ascii.is_ascii() && ascii.lines().any(|line| line.ends_with(&format!("`-{uts}"))), "{ascii}");
}

#[test]
fn filters() {
    if !namespaces("lsns_filter") {
        return;
    }
    let holder = cat();
    let (pid, uts, ipc) = (holder.pid.to_string(), inode(&holder.link("uts")), inode(&holder.link("ipc")));
    let own = |expression: &str| -> String {
        let all = printed(&mut lsns(&[
            "-p", &pid, "-t", "uts", "-t", "ipc", "-n", "-l", "-o", "NS", "-Q", expression,
        ]));
        let mut names: Vec<&str> = all
            .lines()
            .map(|ns| {
                if ns == uts {
                    "uts"
                } else if ns == ipc {
                    "ipc"
                } else {
                    "other"
                }
            })
            .collect();
        names.sort_unstable();
        names.join(" ")
    };
    let expectations = [
        ("", "ipc uts"),
        ("TYPE == \"uts\"", "uts"),
        ("TYPE eq 'uts'", "uts"),
        ("TYPE != \"uts\"", "ipc"),
        ("NPROCS > 1", ""),
        ("NPROCS >= 1 and TYPE == \"ipc\"", "ipc"),
        ("NPROCS == 1 && (TYPE == \"ipc\" || TYPE == \"uts\")", "ipc uts"),
        ("TYPE =~ \"^u\"", "uts"),
        ("TYPE !~ \"^u\"", "ipc"),
        ("COMMAND == \"cat\"", "ipc uts"),
        ("COMMAND == \"dog\"", ""),
        ("PATH =~ \"ns/ipc$\"", "ipc"),
        ("UID == 0 && USER == \"root\"", "ipc uts"),
        ("!HELDBY && !NSFS && !NETNSID", "ipc uts"),
        ("nprocs == 1", "ipc uts"),
        ("false", ""),
    ];
    for (expression, expected) in expectations {
        assert_eq!(own(expression), expected, "{expression}");
    }
    // Filters on the processes of a namespace, which the reference tool does not have.
    let of = |expression: &str| says(&[&uts, "-n", "-o", "PID,COMMAND", "-r", "-Q", expression]);
    assert_eq!(of(&format!("PID == {pid}")), fine(&format!("{pid} cat\n")));
    assert_eq!(of(&format!("PID != {pid}")), fine(""));
    assert_eq!(of("COMMAND =~ \"a\" and TYPE == \"uts\""), fine(&format!("{pid} cat\n")));
    // An empty table has no headings.
    assert_eq!(says(&["-Q", "false"]), fine(""));
    assert_eq!(says(&["-J", "-Q", "false"]), fine("{\n   \"namespaces\": [\n\n   ]\n}\n"));
}
