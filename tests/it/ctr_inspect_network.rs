//! The network section of `ctr-inspect`, with interfaces and sockets that this test makes.

use std::net::{TcpListener, UdpSocket};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::common::network::{Removed, container, held_inside, inside, ip, name, networks};
use crate::common::process::{Holder, Inherited, inheriting, limited};
use crate::common::{applet, stderr, stdout};

fn network(pid: i32) -> Value {
    let output = limited(applet("ctr-inspect").args(["-J", "-s", "network", &pid.to_string()]));
    let json: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    json["containers"][0]["network"].clone()
}

fn label(pid: i32) -> Value {
    let output = limited(applet("ctr-inspect").args(["-J", "-s", "identity", &pid.to_string()]));
    let json: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    json["containers"][0]["identity"]["container"].clone()
}

fn interface<'a>(network: &'a Value, name: &str) -> &'a Value {
    let all = network["interfaces"].as_array().expect("a list");
    all.iter().find(|one| one["name"] == name).unwrap_or_else(|| panic!("{name} in {network}"))
}

#[test]
fn each_veth_has_the_peer_that_the_kernel_has() {
    if !networks("each_veth_has_the_peer_that_the_kernel_has") {
        return;
    }
    // Both containers have an interface with the same index, and their peers are named in the other order.
    let (one, two) = (container(), container());
    let mut kept = Vec::new();
    for (letter, holder) in [('b', &one), ('a', &two)] {
        let (peer, here) = (name(letter), std::process::id().to_string());
        kept.push(Removed(peer.clone()));
        let arguments =
            ["link", "add", "eth0", "index", "77", "type", "veth", "peer", "name", &peer, "netns", &here]
                .map(str::to_owned);
        inside(holder, move || ip(&arguments.each_ref().map(String::as_str)));
    }
    for (letter, holder) in [('b', &one), ('a', &two)] {
        let found = network(holder.pid);
        let eth = interface(&found, "eth0");
        assert_eq!((&eth["index"], &eth["kind"]), (&json!(77), &json!("veth")), "{eth}");
        assert_eq!(eth["peer"]["name"], name(letter), "{eth}");
        assert_eq!(eth["peer"]["container"], Value::Null);
        let index = std::fs::read_to_string(format!("/sys/class/net/{}/ifindex", name(letter)));
        assert_eq!(eth["peer"]["index"].to_string(), index.expect("an index").trim());
    }
}

#[test]
fn addresses_and_routes_and_names_of_any_bytes() {
    if !networks("addresses_and_routes_and_names_of_any_bytes") {
        return;
    }
    let setup = "ip link set lo up\nip link add d0 type veth peer name d1\nip addr add 10.77.0.2/24 dev d0\nip link set d1 up\nip link set d0 up\n\
        ip route add default via 10.77.0.1\nip link add \"$(printf 'e\\033[31m\\377')\" type bridge";
    let holder = Holder::new(&["-m", "-p", "-f", "-n"], setup);
    let found = network(holder.pid);
    let first = interface(&found, "d0");
    let addresses = first["addresses"].as_array().expect("a list");
    assert!(addresses.contains(&json!("10.77.0.2/24")), "{first}");
    assert_eq!(
        (&first["peer"], &first["up"]),
        (
            &json!({"name": "d1", "index": interface(&found, "d1")["index"], "container": null, "bridge": null}),
            &json!(true)
        )
    );
    assert!(first["mac"].as_str().is_some_and(|mac| mac.len() == 17), "{first}");
    assert_eq!(interface(&found, "lo")["mac"], Value::Null);
    let routes = found["routes"].as_array().expect("a list");
    let default = routes.iter().find(|route| route["destination"] == "default").expect("a default route");
    assert_eq!((&default["gateway"], &default["interface"]), (&json!("10.77.0.1"), &json!("d0")));
    assert_eq!(found["own"], true);
    assert_eq!(found["interfaces"].as_array().map(Vec::len), Some(4), "{found}");
    let text = stdout(&limited(applet("ctr-inspect").args(["-s", "network", &holder.pid.to_string()])));
    assert!(text.contains("d0 10.77.0.2/24") && !text.contains('\u{1b}'), "{text:?}");
}

#[test]
fn a_veth_to_another_container_names_it() {
    if !networks("a_veth_to_another_container_names_it") {
        return;
    }
    let (one, two) = (container(), container());
    let (first, second) = (name('c'), name('d'));
    let _removed = Removed(first.clone());
    ip(&["link", "add", &first, "type", "veth", "peer", "name", &second]);
    ip(&["link", "set", &first, "netns", &one.pid.to_string()]);
    ip(&["link", "set", &second, "netns", &two.pid.to_string()]);
    for (own, holder, other, there) in [(&first, &one, &second, &two), (&second, &two, &first, &one)] {
        let found = network(holder.pid);
        let peer = &interface(&found, own)["peer"];
        assert_eq!((&peer["name"], &peer["container"]), (&json!(other), &label(there.pid)), "{found}");
    }
}

#[test]
fn who_listens_and_from_where() {
    if !networks("who_listens_and_from_where") {
        return;
    }
    let holder = container();
    let (tcp, udp, outside, connected) = inside(&holder, || {
        let connected = UdpSocket::bind("127.0.0.1:0").expect("bound");
        connected.connect("127.0.0.1:9").expect("connected");
        let bind = |address: &str| TcpListener::bind(address).expect("bound");
        (
            bind("[::]:8077"),
            UdpSocket::bind("127.0.0.1:5377").expect("bound"),
            bind("127.0.0.1:8078"),
            connected,
        )
    });
    let mut children = [held_inside(&holder, tcp), held_inside(&holder, udp)];
    let found = network(holder.pid);
    let listening = found["listening"].as_array().expect("a list");
    let of =
        |port: u16| listening.iter().find(|one| one["port"] == port).unwrap_or_else(|| panic!("{found}"));
    let (web, names, other) = (of(8077), of(5377), of(8078));
    assert_eq!(
        (&web["protocol"], &web["address"], &web["inside"]),
        (&json!("tcp"), &json!("::"), &json!(true))
    );
    assert!(web["cpid"].as_i64().is_some_and(|cpid| cpid > 1), "{web}");
    assert_eq!(web["command"], "sleep 1000");
    assert_eq!((&names["protocol"], &names["address"]), (&json!("udp"), &json!("127.0.0.1")));
    assert_eq!(other["inside"], false, "this test holds it: {other}");
    assert_eq!(other["pid"], std::process::id());
    assert_eq!(listening.len(), 3, "a connected socket does not listen: {found}");
    let text = stdout(&limited(applet("ctr-inspect").args(["-s", "network", &holder.pid.to_string()])));
    assert!(text.contains("tcp *:8077   sleep "), "{text}");
    drop((outside, connected, holder));
    children.iter_mut().for_each(|child| _ = child.wait());
}

/// Some services ignore SIGCHLD, and what they start does then. The kernel keeps no status of its children.
#[test]
fn an_ignored_sigchld_hides_no_network() {
    if !networks("an_ignored_sigchld_hides_no_network") {
        return;
    }
    let holder = container();
    let listener = inside(&holder, || TcpListener::bind("127.0.0.1:8079").expect("bound"));
    let mut child = held_inside(&holder, listener);
    let ignored = Inherited { ignored: vec![Signal::SIGCHLD], ..Inherited::default() };
    let pid = holder.pid.to_string();
    for args in [&["ctr-inspect", "-J", "-s", "network", &pid][..], &["ctr-whose", "-J", ":8079"]] {
        let output = limited(inheriting(applet(args[0]).args(&args[1..]), &ignored));
        let text = stdout(&output);
        assert!(output.status.success() && stderr(&output).is_empty(), "{args:?}: {text}{}", stderr(&output));
        assert!(text.contains("127.0.0.1") && !text.contains("No child processes"), "{args:?}: {text}");
    }
    drop(holder);
    _ = child.wait();
}

#[test]
fn the_network_of_the_host_shows_only_the_containers_sockets() {
    if !networks("the_network_of_the_host_shows_only_the_containers_sockets") {
        return;
    }
    let outside = TcpListener::bind("127.0.0.1:0").expect("bound");
    let socket = TcpListener::bind("127.0.0.1:0").expect("bound");
    let port = socket.local_addr().expect("an address").port();
    let holder = Holder::new(&["-m", "-p", "-f"], "");
    let mut child = held_inside(&holder, socket);
    let found = network(holder.pid);
    let ports: Vec<&Value> =
        found["listening"].as_array().expect("a list").iter().map(|one| &one["port"]).collect();
    assert_eq!(ports, [&json!(port)], "{found}");
    assert_eq!(found["own"], false);
    drop((holder, outside));
    _ = child.wait();
}

fn names_of(script: &str) -> (Value, Vec<Value>) {
    // A root directory of its own: an empty file system with what the script makes.
    let setup = format!(
        "mount -t tmpfs none /mnt\nmkdir -p /mnt/etc /mnt/proc /mnt/bin\ncd /mnt\n{script}\n\
         for i in bin lib lib64 usr; do [ -e /$i ] && mkdir -p $i && mount --rbind /$i $i; done\n\
         exec 9<&0\necho \"$pid\"\nexec chroot /mnt cat"
    );
    let holder = Holder::new(&["-m", "-p", "-f", "-n"], &setup);
    let output = limited(applet("ctr-inspect").args(["-J", "-s", "network", &holder.pid.to_string()]));
    let json: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    let report = &json["containers"][0];
    (report["network"]["dns"].clone(), report["unknown"].as_array().expect("a list").clone())
}

#[test]
fn name_servers_come_from_inside_the_root() {
    if !networks("name_servers_come_from_inside_the_root") {
        return;
    }
    let (found, _) = names_of("printf 'search a.b c\\nnameserver 10.9.9.9\\n' >etc/resolv.conf");
    assert_eq!(found, json!({"servers": ["10.9.9.9"], "search": ["a.b", "c"]}));
    // A link is resolved inside; a path of the host has nothing there.
    let (found, _) = names_of("mkdir run\necho nameserver 10.8.8.8 >run/r\nln -s /run/r etc/resolv.conf");
    assert_eq!(found["servers"], json!(["10.8.8.8"]));
    let (found, _) = names_of("ln -s ../../../../../etc/hostname etc/resolv.conf");
    assert_eq!(found, json!({"servers": [], "search": []}));
    // Neither a link of /proc nor a pipe is opened.
    let link = "mount --rbind /proc proc\nln -s /proc/self/cwd/x etc/resolv.conf";
    for script in ["mkfifo etc/resolv.conf", "mkdir etc/resolv.conf", "mknod etc/resolv.conf c 1 9", link] {
        let (found, unknown) = names_of(script);
        assert_eq!(found, Value::Null, "{script}");
        assert!(unknown.iter().any(|one| one["path"] == "network.dns"), "{script}: {unknown:?}");
    }
}

#[test]
fn a_name_server_that_nobody_runs_is_found() {
    if !networks("a_name_server_that_nobody_runs_is_found") {
        return;
    }
    let setup = "ip link set lo up\nip link add d0 type veth peer name d1\nmount -t tmpfs none /mnt\n\
        echo nameserver 127.0.0.53 >/mnt/r\nmount --bind /mnt/r /etc/resolv.conf";
    let holder = Holder::new(&["-m", "-p", "-f", "-n"], setup);
    let ids = || {
        let output = limited(applet("ctr-inspect").args(["-J", "-s", "network", &holder.pid.to_string()]));
        let json: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
        let findings = json["containers"][0]["findings"].as_array().expect("a list").clone();
        findings.iter().map(|one| one["id"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(ids(), [json!("dns")]);
    let server = inside(&holder, || UdpSocket::bind("127.0.0.53:53").expect("bound"));
    assert_eq!(ids(), [] as [Value; 0]);
    drop(server);
}
