//! Rules about privileges and namespaces.

use std::cmp::Reverse;

use serde_json::json;

use super::{Judge, Policy};
use crate::applets::ctr_inspect::finding::Severity;
use crate::applets::ctr_inspect::namespaces::Namespaces;
use crate::applets::ctr_inspect::privileges::Privileges;
use crate::applets::ctr_inspect::show::many;
use crate::container::Runtime;
use crate::isolation::capabilities::{bits, number as capability};
use crate::order;
use crate::proc::Mask;
use crate::proc::covers::is_dangerous;

impl Judge<'_> {
    pub(super) fn privileges(
        &mut self,
        privileges: &Privileges,
        namespaces: Option<&Namespaces>,
        policy: Policy,
    ) {
        let Some(bounding) = &privileges.bounding else { return };
        let is_privileged = privileges.privileged == Some(true) && policy != Policy::Own;
        if is_privileged {
            let text = format!("{} capabilities, no seccomp, nothing of /proc masked", bounding.names.len());
            let evidence = vec![
                ("privileges.bounding.mask", json!(bounding.mask)),
                ("privileges.seccomp", json!(privileges.seccomp)),
                ("privileges.masked", json!(privileges.masked)),
            ];
            self.add("privileged", Severity::High, text, evidence);
        }
        if privileges.root_on_host == Some(true) && effective(privileges) != 0 {
            let evidence = vec![("privileges.root_on_host", json!(true))];
            self.add("host-user-ns-root", Severity::Note, "its root is root on the host", evidence);
        }
        if !is_privileged && privileges.on_host {
            self.capabilities(privileges, namespaces);
        }
        // `ctr run` asks for no profile.
        let has_profile = policy == Policy::Strict && self.runtime != Some(Runtime::Containerd);
        let without_profile = if has_profile { Severity::Medium } else { Severity::Note };
        if privileges.seccomp == Some("off") {
            let evidence = vec![("privileges.seccomp", json!("off"))];
            self.add("seccomp-off", without_profile, "no seccomp filter", evidence);
        }
        let unconfined = |label: &str| {
            label.starts_with("unconfined") || label.contains(":spc_t:") || label.contains(":unconfined_t:")
        };
        let label = privileges.lsm.as_ref().map(|lsm| lsm.label.as_str());
        if !privileges.host_lsms.is_empty() && label.is_some_and(unconfined) {
            let text = format!("not confined by {}", privileges.host_lsms.join(", "));
            self.add("lsm-off", without_profile, text, vec![("privileges.lsm.label", json!(label))]);
        }
        let open: Vec<&String> =
            privileges.uncovered.iter().flatten().filter(|path| is_dangerous(path)).collect();
        if privileges.on_host && !open.is_empty() {
            // A kubelet asks for masks; a container of a bare request has none.
            let mut covered = [&privileges.masked, &privileges.readonly].into_iter().flatten().flatten();
            let has_any = covered.next().is_some();
            let medium = policy == Policy::Strict || (policy == Policy::Kubernetes && has_any);
            let severity = if medium { Severity::Medium } else { Severity::Note };
            let names = open.iter().map(|path| path.as_str()).collect::<Vec<_>>().join(", ");
            self.add(
                "proc-writable",
                severity,
                format!("not covered: {names}"),
                vec![("privileges.uncovered", json!(open))],
            );
        }
    }

    /// Those beyond the runtime's default. One finding: its severity is that of the worst.
    pub(super) fn capabilities(&mut self, privileges: &Privileges, namespaces: Option<&Namespaces>) {
        const HIGH: [&str; 4] = ["cap_sys_admin", "cap_sys_module", "cap_sys_rawio", "cap_dac_read_search"];
        const MEDIUM: [&str; 9] = [
            "cap_sys_ptrace",
            "cap_net_admin",
            "cap_sys_boot",
            "cap_sys_time",
            "cap_bpf",
            "cap_perfmon",
            "cap_syslog",
            "cap_mac_override",
            "cap_mac_admin",
        ];
        let shares = |kind: &str| {
            namespaces.and_then(|all| all.kinds.get(kind)).is_some_and(|one| one.host == Some(true))
        };
        let cannot_grow = privileges.uid != Some(0) && privileges.no_new_privs == Some(true);
        let held: Mask = privileges.permitted.as_ref().map_or(0, |set| set.bits) | effective(privileges);
        let is_held = |name: &str| capability(name).is_some_and(|number| held & (1 << number) != 0);
        let severity = |name: &str| match name {
            _ if !HIGH.contains(&name) && !MEDIUM.contains(&name) => None,
            _ if cannot_grow && !is_held(name) => Some(Severity::Note),
            "cap_sys_ptrace" if shares("pid") => Some(Severity::High),
            "cap_net_admin" if !shares("net") => Some(Severity::Note),
            _ if HIGH.contains(&name) => Some(Severity::High),
            _ => Some(Severity::Medium),
        };
        let added = privileges.added.iter().map(String::as_str);
        let mut judged: Vec<(Severity, &str)> =
            added.filter_map(|name| Some((severity(name)?, name))).collect();
        order::sort_by_key(&mut judged, |(severity, _)| Reverse(*severity));
        let Some((worst, _)) = judged.first().copied() else { return };
        let names: Vec<&str> = judged.into_iter().map(|(_, name)| name).collect();
        let shown = names.iter().map(|name| name.trim_start_matches("cap_").to_uppercase());
        let text = format!("{} beyond the default", shown.collect::<Vec<_>>().join(" "));
        self.add("dangerous-capability", worst, text, vec![("privileges.added", json!(names))]);
    }

    pub(super) fn namespaces(&mut self, namespaces: &Namespaces, privileges: Option<&Privileges>) {
        const KINDS: [(&str, &str, Severity); 5] = [
            ("pid", "shares-host-pid", Severity::Medium),
            ("net", "shares-host-net", Severity::Medium),
            ("ipc", "shares-host-ipc", Severity::Note),
            ("uts", "shares-host-uts", Severity::Note),
            ("user", "shares-host-user", Severity::Note),
        ];
        let bounding: Mask = privileges.and_then(|all| all.bounding.as_ref()).map_or(0, |set| set.bits);
        let traces = ["cap_sys_ptrace", "cap_sys_admin"]
            .iter()
            .any(|name| capability(name).is_some_and(|wanted| bits(bounding).any(|number| number == wanted)));
        for (kind, id, severity) in KINDS {
            let is_hosts = namespaces.kinds.get(kind).is_some_and(|one| one.host == Some(true));
            if !is_hosts {
                continue;
            }
            let severity = match kind {
                // A network namespace that ip-netns(8) made has all else of the host on purpose.
                _ if self.is_sandbox() || self.runtime == Some(Runtime::Netns) => Severity::Note,
                "pid" if traces && privileges.is_some_and(|all| all.on_host) => Severity::High,
                _ => severity,
            };
            let path = format!("namespaces.{kind}.host");
            self.add(
                id,
                severity,
                format!("uses the {kind} namespace of the host"),
                vec![(&path, json!(true))],
            );
        }
        if let Some(offsets) =
            namespaces.time_offsets.filter(|one| (one.monotonic, one.boottime) != (0.0, 0.0))
        {
            let evidence = vec![("namespaces.time_offsets", json!(offsets))];
            self.add("clock-offset", Severity::Note, "its clocks are shifted", evidence);
        }
        let pids: Vec<i32> = namespaces.foreign.iter().flatten().map(|one| one.pid).collect();
        if !pids.is_empty() {
            let text = format!("{} entered from outside", many(pids.len() as u64, "process"));
            self.add("foreign-process", Severity::Note, text, vec![("namespaces.foreign", json!(pids))]);
        }
    }
}

fn effective(privileges: &Privileges) -> Mask {
    privileges.effective.as_ref().map_or(0, |set| set.bits)
}
