//! Real containers without a daemon: of OCI runtimes without an engine, of LXC and nspawn, of users, and
//! sandboxes. tests/containers/run.sh starts and removes them.

use std::collections::BTreeSet;

use crate::common::containers::{
    Listing, Row, Up, host_link, is_nothing_odd, link, members, parent_and_innermost, prefix, processes, this,
};
use crate::common::process::{children, limited};
use crate::common::{applet, stderr, stdout, until};
use serde_json::Value;

/// What the rows of a runtime must look like in `ctr-ps --json`.
struct Looks {
    script: &'static str,
    runtime: &'static str,
    /// None: the containers have this name, or no name.
    named: Named,
    /// Must the id be that of the row? Nothing gives an id to nspawn without machined.
    own_id: bool,
}

#[derive(Clone, Copy)]
enum Named {
    Each,
    Alike(&'static str),
    Nothing,
}

const fn looks(script: &'static str, runtime: &'static str, named: Named) -> Looks {
    Looks { script, runtime, named, own_id: true }
}

#[test]
fn runc() {
    all_is_right(&looks("runc", "runc", Named::Each));
}

#[test]
fn crun() {
    all_is_right(&looks("crun", "crun", Named::Each));
}

#[test]
fn lxc() {
    all_is_right(&looks("lxc", "lxc", Named::Each));
}

#[test]
fn nspawn() {
    all_is_right(&Looks { own_id: false, ..looks("nspawn", "nspawn", Named::Each) });
}

#[test]
fn podman_of_a_user() {
    all_is_right(&looks("rootless", "podman", Named::Each));
}

#[test]
fn bwrap() {
    all_is_right(&looks("bwrap", "bwrap", Named::Nothing));
}

#[test]
fn firejail() {
    all_is_right(&looks("firejail", "firejail", Named::Each));
}

#[test]
fn flatpak() {
    all_is_right(&looks("flatpak", "flatpak", Named::Alike("org.ctrbox.Test")));
}

fn all_is_right(looks: &Looks) {
    let Some(up) = Up::new(looks.script, &prefix(looks.script)) else { return };
    for row in &up.rows {
        until("init's child", || is_infra(row) || !children(row.pid).is_empty());
    }
    check(looks, &up);
    up.rows.iter().filter(|row| !is_infra(row)).for_each(is_nothing_odd);
    for row in up.rows.iter().filter(|row| !is_infra(row)) {
        let added = up.exec(row);
        until("the added process's child", || !children(added).is_empty());
        assert!(tagged_like(&processes(), row).contains(&added), "{added}, added to {}", row.name);
    }
    check(looks, &up);
}

fn is_infra(row: &Row) -> bool {
    row.name.ends_with("-infra")
}

fn check(looks: &Looks, up: &Up) {
    let (listing, all) = quiet(up);
    let mut inside: BTreeSet<i32> = BTreeSet::new();
    for (row, members) in up.rows.iter().zip(all) {
        // Every process of its pid namespace, and no other, is in that container.
        assert!(members.contains(&row.pid), "{} is not in {members:?}", row.pid);
        assert_eq!(tagged_like(&listing, row), members, "the processes of {}", row.name);
        for pid in &members {
            let record = listing.of(*pid);
            assert_eq!(record["runtime"], looks.runtime, "{record}");
            let name = match looks.named {
                Named::Each => Value::from(row.name.clone()),
                Named::Alike(name) => Value::from(name),
                Named::Nothing => Value::Null,
            };
            assert_eq!(record["container"], name, "{record}");
            if looks.own_id {
                assert_eq!(record["id"], row.id.as_str(), "{record}");
            }
            assert_eq!(record["cpid"], parent_and_innermost(*pid).1, "{record}");
        }
        inside.extend(members);
        can_be_entered(looks, &listing, row);
    }
    // The processes that started and watch them are in no container, up to the first process; nor is this one.
    let helpers = up.daemons();
    for pid in up.rows.iter().flat_map(|row| ancestors(row.pid)).chain(helpers).chain([this()]) {
        if !inside.contains(&pid) && listing.there(pid) {
            assert!(listing.of(pid)["runtime"].is_null(), "{}", listing.of(pid));
        }
    }
}

/// The output of ctr-ps while no process starts or ends.
fn quiet(up: &Up) -> (Listing, Vec<BTreeSet<i32>>) {
    let now = || up.rows.iter().map(members).collect::<Vec<_>>();
    let mut result = None;
    until("containers without comings and goings", || {
        let before = now();
        let listing = processes();
        let is_quiet = before == now();
        result = Some((listing, before));
        is_quiet
    });
    result.expect("at least one look")
}

/// Those that share the runtime and the id with the first process of the row.
fn tagged_like(listing: &Listing, row: &Row) -> BTreeSet<i32> {
    let init = listing.of(row.pid);
    let text = |key: &str| init[key].as_str().unwrap_or_else(|| panic!("{key} of {init}")).to_owned();
    let all = listing.of_container(&text("runtime"), &text("id"));
    // nsenter itself, which entered all namespaces except the pid namespace, and waits.
    let waits =
        |pid: &i32| listing.of(*pid)["command"].as_str().is_some_and(|argv| argv.starts_with("nsenter "));
    all.into_iter().filter(|pid| !waits(pid)).collect()
}

fn can_be_entered(looks: &Looks, listing: &Listing, row: &Row) {
    let id = listing.of(row.pid)["id"].as_str().expect("an id").to_owned();
    let mut targets = vec![format!("{}:{id}", looks.runtime)];
    if matches!(looks.named, Named::Each) {
        targets.push(format!("{}:{}", looks.runtime, row.name));
    }
    let kind = ["net", "uts", "ipc"].into_iter().find(|kind| link(row.pid, kind) != host_link(kind));
    let kind = kind.unwrap_or("ipc");
    for target in targets {
        let file = format!("/proc/self/ns/{kind}");
        let output = limited(applet("nsenter").args([
            "-t",
            &target,
            &format!("--{kind}"),
            "--",
            "/bin/readlink",
            &file,
        ]));
        assert_eq!(stdout(&output).trim_end(), link(row.pid, kind), "-t {target}: {}", stderr(&output));
    }
}

/// Above a process, the nearest first.
fn ancestors(pid: i32) -> Vec<i32> {
    let above = |pid: &i32| Some(parent_and_innermost(*pid).0).filter(|parent| *parent > 0);
    std::iter::successors(above(&pid), above).collect()
}
