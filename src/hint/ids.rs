//! Why a process cannot take ids, or cannot be created, in the namespaces that it has entered or made.

use super::maps::shown_all;
use super::{Case, Finding};
use crate::isolation::look;
use crate::isolation::ns;
use crate::isolation::operation::Operation;
use crate::proc::idmap::{Range, Which};
use crate::proc::ns::Kind;

use Finding::{Answer, No, Perhaps};

/// The ids that exist in the user namespace that was entered or made: as they were seen before, or those of this
/// process now.
fn ids(case: &Case<'_>, which: Which) -> Option<Vec<Range>> {
    let seen = case.before().filter(|before| before.of_kind(Kind::User).is_some());
    match seen.and_then(|before| before.ids(which)) {
        Some(ids) => Some(ids.to_vec()),
        None => case.facts.own_ids(which.file()),
    }
}

pub(super) fn groups_denied(case: &Case<'_>) -> Option<Finding> {
    let Operation::Groups { denied, remedy, .. } = case.operation else { return None };
    let seen = case.before().filter(|before| before.of_kind(Kind::User).is_some());
    let is_denied = match seen.and_then(|before| before.groups_denied) {
        _ if *denied => true,
        Some(denied) => denied,
        None => case.facts.text(&case.facts.proc.own("setgroups"))?.trim() == "deny",
    };
    Some(match is_denied {
        true => Answer(format!("setgroups(2) is denied in the user namespace, permanently; {remedy}")),
        false => No,
    })
}

/// setgroups(2) needs a map of groups, even for no group at all (user_namespaces(7)).
pub(super) fn no_groups(case: &Case<'_>) -> Option<Finding> {
    let Operation::Groups { remedy, .. } = case.operation else { return None };
    Some(match ids(case, Which::Groups)?.is_empty() {
        true => {
            Answer(format!("no group ids are mapped in the user namespace, so setgroups(2) fails; {remedy}"))
        }
        false => No,
    })
}

pub(super) fn not_mapped(case: &Case<'_>) -> Option<Finding> {
    let Operation::Id { which, id, remedy, .. } = case.operation else { return None };
    let ids = ids(case, *which)?;
    let kind = which.name();
    Some(match (ids.iter().any(|range| range.contains(*id)), ids.is_empty()) {
        (true, _) => No,
        (false, true) => Answer(format!("no {kind} ids are mapped in the user namespace; {remedy}")),
        (false, false) => Answer(format!(
            "{kind} id {id} is not mapped in the user namespace, which has {}; {remedy}",
            shown_all(&ids)
        )),
    })
}

/// When process 1 of a pid namespace has ended, the kernel creates no other process there (pid_namespaces(7)).
pub(super) fn no_init(case: &Case<'_>) -> Option<Finding> {
    let words = "process 1 of the pid namespace has ended, and then the kernel creates no other process there; make a \
                 new pid namespace (unshare --pid --fork), or enter another one";
    let seen = case.before().and_then(|before| before.of_kind(Kind::Pid)).filter(|pid_ns| !pid_ns.is_own);
    if let Some(pid_ns) = seen {
        return Some(match pid_ns.has_init {
            Some(false) => Answer(words.to_owned()),
            // It may have ended since.
            Some(true) | None => Perhaps(words.to_owned()),
        });
    }
    let link = |name: &str| ns::open_file(&case.facts.proc.own(name)).ok();
    let (own, children) = (link("ns/pid")?, link("ns/pid_for_children")?);
    Some(match look::same(&own, &children) {
        true => No,
        false => match look::has_init(case.facts.proc, &children) {
            Some(false) => Answer(words.to_owned()),
            Some(true) => No,
            None => Perhaps(words.to_owned()),
        },
    })
}
