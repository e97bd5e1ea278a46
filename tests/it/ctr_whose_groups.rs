//! `ctr-whose` and control groups on hosts made of files: whose a group is, also when it is gone, and lines of the kernel
//! that name groups.

use serde_json::{Value, json};

use crate::common::ctr_whose::{DOCKER, answers, of, things, two, whose};
use crate::common::layout::{Layout, id};
use crate::common::process::limited;
use crate::common::{applet, stderr, stdout};

#[test]
fn groups_that_are_gone_and_groups_that_lie() {
    let (layout, web, old) = two("whose-groups");
    assert_eq!(answers(&layout, &format!("/docker/{web}")), [of("docker:web", "member", "kernel")]);
    assert_eq!(answers(&layout, &format!("/docker/{old}")), [of("docker:old", "member", "state")]);
    assert_eq!(answers(&layout, &format!("docker-{old}.scope")), [of("docker:old", "member", "state")]);
    assert_eq!(answers(&layout, &format!("4:memory:/docker/{old}")), [of("docker:old", "member", "state")]);
    let of_user = format!("/user.slice/user-1000.slice/user@1000.service/docker-{old}.scope");
    assert_eq!(answers(&layout, &of_user), [of("docker:old", "member", "claim")]);
    let unknown = format!("/system.slice/docker-{}.scope", id(9));
    assert!(answers(&layout, &unknown).is_empty(), "the name alone");
}

#[test]
fn pods_outlive_their_groups_in_the_names_of_their_logs() {
    let layout = Layout::new("whose-pods");
    layout.process(1, 0, "/", 1);
    let uid = "0b3f5a52-1111-2222-3333-4444deadbeef";
    layout.file(format!("var/log/pods/shop_web-1_{uid}/app/0.log"), "");
    let group = format!("/kubepods/burstable/pod{uid}/{}", id(77));
    for group in [&*group, &format!("pod{uid}"), &format!("kubepods-pod{}.slice", uid.replace('-', "_"))] {
        assert_eq!(answers(&layout, group), [of("k8s:shop/web-1", "member", "state")], "{group}");
    }
    assert_eq!(answers(&layout, uid), [of("k8s:shop/web-1", "member", "state")]);
    // A user can give a group the name of any pod.
    let of_user = format!("/user.slice/user-1000.slice/user@1000.service/kubepods/pod{uid}");
    assert_eq!(answers(&layout, &of_user), [of("k8s:shop/web-1", "member", "claim")]);
    let log = format!("/var/log/pods/shop_web-1_{uid}/app/0.log");
    assert_eq!(answers(&layout, &log), [of("k8s:shop/web-1", "log", "state")]);
}

#[test]
fn lines_about_lack_of_memory() {
    let (layout, web, old) = two("whose-oom");
    let both = [of("docker:old", "member", "state"), of("docker:web", "itself", "kernel")];
    for line in [
        format!(
            "[ 9.1] oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=c,mems_allowed=0,\
             oom_memcg=/docker/{web},task_memcg=/docker/{old},task=a,pid=1,uid=2,pid=77,uid=0"
        ),
        format!("Task in /docker/{old} killed as a result of limit of /docker/{web}"),
    ] {
        assert_eq!(answers(&layout, &line), both, "{line}");
        // The line stays whole in JSON only.
        assert_eq!(things(&layout, &[&line])[0]["thing"], json!(line));
        let text = stdout(&whose(&layout, &[&line]));
        assert!(
            text.lines().all(|row| row.starts_with("oom-kill: ")) && !text.contains("task_memcg"),
            "{text}"
        );
    }
    // Whose a group was that is gone is not known: neither a container's nor the host's.
    for line in [
        "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/gone,\
         task_memcg=/gone,task=java,pid=4711,uid=0",
        "Task in /gone killed as a result of limit of /gone",
    ] {
        let found = &things(&layout, &[line])[0];
        assert_eq!((&found["answers"], &found["host"]), (&json!([]), &Value::Null), "{line}");
        let output = whose(&layout, &[line]);
        let text = stdout(&output);
        assert!(text.contains("unknown: ") && text.contains("group /gone does not exist any more"), "{text}");
        assert_eq!(output.status.code(), Some(1), "{line}");
    }
    let of_root = "Task in /gone killed as a result of limit of /";
    let found = &things(&layout, &[of_root])[0];
    assert!(found["unknown"].as_str().is_some_and(|text| text.contains("/gone")), "{found}");
    assert!(found["host"]["text"].as_str().is_some_and(|text| text.starts_with("limit of /")), "{found}");
    let alone = "Memory cgroup out of memory: Kill process 2147483647 (java) score 9 or sacrifice child";
    let output = whose(&layout, &[alone]);
    let text = stdout(&output);
    assert!(
        text.contains("unknown: java (pid 2147483647) was killed; a copy of the host's files has no log"),
        "{text}"
    );
    assert_eq!((output.status.code(), stderr(&output).contains("nothing found")), (Some(1), false));
    let of_host = "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,\
        task_memcg=/x,task=a,pid=77,uid=0";
    assert!(
        things(&layout, &[of_host])[0]["host"]["text"].as_str().is_some_and(|text| text.contains("host"))
    );
}

/// A container that no state file has, in a group whose name says nothing: all applets call it the same.
#[test]
fn groups_of_anonymous_containers() {
    let (layout, web, _) = two("whose-anon");
    layout.process(300, 0, "/work/job", 777);
    let label = "anon:10300";
    let oom = |group: &str| {
        format!(
            "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg={group},\
             task_memcg={group},task=a,pid=77,uid=0"
        )
    };
    assert_eq!(answers(&layout, "/work/job"), [of(label, "member", "kernel")]);
    assert_eq!(answers(&layout, "id:10300"), [of(label, "itself", "kernel")]);
    assert_eq!(
        answers(&layout, &oom("/work/job")),
        [of(label, "itself", "kernel"), of(label, "member", "kernel")]
    );
    assert_eq!(answers(&layout, "/work"), [of(label, "parent", "kernel")]);
    let found = &things(&layout, &["/work"])[0]["answers"][0]["detail"];
    assert_eq!(found, "above its control group /work/job");
    assert_eq!(answers(&layout, "/docker"), [of("docker:web", "parent", "kernel")]);
    let cut = things(&layout, &["/docker"])[0]["answers"][0]["detail"].to_string();
    assert!(cut.starts_with("\"above its control group /docker/") && cut.ends_with("…\""), "{cut}");
    for word in ["/work/job".to_owned(), "/work".to_owned(), oom("/work/job")] {
        for (program, options) in [("ctr-ps", &["-l", "-c"][..]), ("ctr-inspect", &["-s", "identity"])] {
            let mut command = applet(program);
            command.arg("--root").arg(layout.host.root()).args(options).arg(&word);
            let output = limited(&mut command);
            assert!(stdout(&output).contains(label), "{program} {word}: {}", stderr(&output));
        }
    }
    // A group below it, which is gone, and one beside it.
    assert_eq!(answers(&layout, "/work/job/gone"), [of(label, "member", "claim")]);
    assert_eq!(answers(&layout, "/other/job"), [] as [[String; 3]; 0]);
    // Somebody else is in the group too.
    layout.process(301, 0, "/work/job", 777);
    assert_eq!(answers(&layout, "/work/job/gone"), [] as [[String; 3]; 0]);
    // The group above the containers of an engine is no container.
    assert_eq!(answers(&layout, "/docker/gone"), [] as [[String; 3]; 0], "{web} is in /docker");
}

/// Volumes and layers can have names like ids.
#[test]
fn a_path_of_the_host_is_no_control_group() {
    let (layout, ..) = two("whose-no-group");
    for path in [format!("/{DOCKER}/volumes/{}/_data", id(0xdef)), format!("/{DOCKER}/x/{}", id(0xdef))] {
        assert!(answers(&layout, &path).is_empty(), "{path}");
    }
    let group = format!("/docker/{}", id(0xdef));
    assert!(things(&layout, &[&group])[0]["unknown"].is_string(), "named after a container");
}
