//! What the kernel prints of other processes, which choose parts of it.

use std::ffi::CStr;

use super::utf8;
use crate::applets::{ctr_inspect, ctr_top, nsenter};
use crate::isolation::capabilities;
use crate::isolation::cgroup::{self, Hierarchies, kills};
use crate::launch::credentials::{ProcessCredentials, find_user};
use crate::launch::exec::parse_environ;
use crate::proc::covers::Covers;
use crate::proc::idmap::{Range, extents, inner_of};
use crate::proc::{self, Credentials, Stat, Status, Users, mountinfo, overlay, signals};
use crate::{container, hint, net};

pub(super) fn stat(data: &[u8]) {
    _ = Stat::parse(data);
    _ = Stat::group_and_session(data);
    _ = Stat::start_of(data);
    _ = Stat::usage(data);
    _ = Stat::priority_and_cpu(data);
    _ = Stat::environment_length(data);
}

pub(super) fn status(data: &[u8]) {
    _ = Status::parse(data);
    _ = Credentials::parse(data);
    _ = ProcessCredentials::parse(data);
    _ = signals::SignalSets::parse(data);
    _ = signals::awaited_set(data);
    _ = proc::cpus_allowed(data).map(proc::count_of_list);
}

pub(super) fn cgroup(data: &[u8]) {
    for membership in cgroup::parse(data) {
        let path = utf8(membership.path);
        _ = container::group_claims(&path);
        _ = container::pod_uid(&path);
    }
    let text = utf8(data);
    for (id, ..) in container::group_claims(&text) {
        // `NAMESPACE/ID` of containerd has two parts. Each can be the name of a file, and no more.
        let parts: Vec<&str> = id.split('/').collect();
        assert!(parts.len() <= 2 && !parts.iter().any(|part| matches!(*part, "" | "." | "..")), "{id:?}");
    }
    _ = container::pod_uid(&text);
}

pub(super) fn mountinfo(data: &[u8]) {
    let mounts = mountinfo::mounts(data).count();
    assert!(mountinfo::mounts_of(data, "overlay").count() <= mounts);
    _ = mountinfo::parse(&utf8(data));
    _ = mountinfo::unescape(data);
    _ = Covers::parse(data);
    _ = overlay::overlay(data);
    let hierarchies = Hierarchies::parse(data);
    for membership in cgroup::parse(data) {
        _ = hierarchies.place(membership);
    }
}

pub(super) fn id_map(data: &[u8]) {
    for extent in extents(data) {
        let inner = inner_of(data, extent.outer);
        assert!(extent.count == 0 || inner.is_some(), "{extent:?}");
    }
    _ = Range::identity_of(data);
    _ = Range::all_granted(data, b"u", 1000).count();
}

pub(super) fn environ(data: &[u8]) {
    _ = parse_environ(data);
}

pub(super) fn ns_link(data: &[u8]) {
    _ = proc::ns::parse_link(data);
}

pub(super) fn passwd(data: &[u8]) {
    let users = Users::parse(data);
    for line in proc::users(data) {
        assert!(users.get(line.uid).is_some(), "a user is lost");
    }
    for line in proc::groups(data) {
        _ = proc::gid_of(data, line.name);
    }
    _ = proc::groups_with(data, b"u").count();
    _ = proc::uid_of(data, b"u");
    _ = proc::group_name(data, 0);
    for word in [&b"u"[..], b"u:g", b"7:8", b":"] {
        _ = find_user(word, data, data);
    }
}

pub(super) fn log(data: &[u8]) {
    kills::fuzz(data);
}

pub(super) fn netlink(data: &[u8]) {
    net::fuzz(data);
}

pub(super) fn file_capabilities(data: &[u8]) {
    _ = capabilities::file::parse(data);
}

/// Command lines of processes that start containers, or claim it.
pub(super) fn titles(data: &[u8]) {
    container::fuzz::titles(data);
    if let Ok(text) = CStr::from_bytes_until_nul(data) {
        _ = crate::text::escape(text.to_bytes());
    }
}

/// Files of a control group.
pub(super) fn control_files(data: &[u8]) {
    _ = cgroup::pressure::stall(data, "some");
    _ = cgroup::pressure::waited(data, "full");
    ctr_inspect::fuzz::rules_of_devices(data);
    _ = cgroup::chain::field(data, "oom_kill");
    cgroup::measure::fuzz(data);
}

/// Files in /proc/PID/net, and those of the container that name servers and services.
pub(super) fn network_files(data: &[u8]) {
    proc::addresses::fuzz(&utf8(data));
    ctr_inspect::fuzz::network_files(data);
    ctr_top::fuzz_devices(data);
    nsenter::fuzz(data);
}

/// The head of a program that does not start.
pub(super) fn program(data: &[u8]) {
    hint::fuzz(data);
}
