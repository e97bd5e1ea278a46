//! Network namespaces, interfaces and sockets that tests make.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};

use nix::sched::{CloneFlags, setns};

use super::process::{Holder, limited, namespaces};
use super::{program, skip, there};

/// A container without a network: `true` if it can have one.
pub fn networks(test: &str) -> bool {
    if !namespaces(test) {
        return false;
    }
    if !there("ip") {
        skip(test, "needs ip(8)");
        return false;
    }
    true
}

/// Runs ip(8) in the namespace of this process.
pub fn ip(arguments: &[&str]) {
    let output = limited(Command::new("ip").args(arguments));
    assert!(output.status.success(), "ip {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

pub fn container() -> Holder {
    Holder::new(&["-m", "-p", "-f", "-n"], "ip link set lo up")
}

/// An interface of the host that is removed with the value; its other end goes with it.
pub struct Removed(pub String);

impl Drop for Removed {
    fn drop(&mut self) {
        _ = Command::new("ip").args(["link", "del", &self.0]).stderr(Stdio::null()).status();
    }
}

/// A name of at most 15 bytes that no other test process has.
pub fn name(letter: char) -> String {
    format!("ci{letter}{}", std::process::id())
}

/// Runs in the network namespace of a process.
pub fn inside<T: Send + 'static>(holder: &Holder, work: impl FnOnce() -> T + Send + 'static) -> T {
    let namespace = File::open(holder.file("ns/net")).expect("a namespace");
    let thread = std::thread::spawn(move || {
        setns(&namespace, CloneFlags::CLONE_NEWNET).expect("entered");
        work()
    });
    thread.join().expect("a result")
}

/// A process in the container whose stdin is the socket; it ends with the container.
pub fn held_inside(holder: &Holder, socket: impl Into<OwnedFd>) -> Child {
    let pid = holder.pid.to_string();
    let mut command = program("nsenter");
    command.args(["--target", &pid, "--mount", "--pid", "--net", "sh", "-c", "echo ready; exec sleep 1000"]);
    let mut child = command
        .stdin(Stdio::from(socket.into()))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("started");
    let mut line = [0; 6];
    std::io::Read::read_exact(child.stdout.as_mut().expect("a pipe"), &mut line).expect("a line");
    child
}
