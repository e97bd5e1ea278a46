//! `ctr-top`: pods, services, the schema of JSON, and the text format of Prometheus.

use serde_json::{Value, json};

use crate::common::ctr_ps::WEB;
use crate::common::ctr_top::{ctr_top, document, of, row, v2, write};
use crate::common::process::limited;
use crate::common::schema::{schema, valid, validate};
use crate::common::{binary, program, project, root, skip, stderr, stdout, there};

/// Of a hostile host: pipes would block, and /dev/zero has no end.
#[test]
fn files_of_a_copy_that_are_no_files_are_unknown() {
    let host = v2("top-no-files");
    for file in ["meminfo", "stat", "uptime", "loadavg", "diskstats", "1/mountinfo", "1/net/fib_trie"] {
        let path = host.root().join("proc").join(file);
        _ = std::fs::remove_file(&path);
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("made");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::from_bits_truncate(0o600)).expect("a pipe");
    }
    let root = host.root().to_str().expect("text").to_owned();
    for words in [
        &["ctr-top", "-b", "-n1", "-d0.1"][..],
        &["ctr-top", "-J", "-n1"],
        &["ctr-inspect", "docker:web"],
        &["ctr-inspect", "docker:web", "--diff", "host"],
    ] {
        let mut command = crate::common::applet(words[0]);
        let output = limited(command.args(&words[1..]).args(["--root", &root]));
        assert!(stdout(&output).contains("docker:web"), "{words:?}: {}{}", stdout(&output), stderr(&output));
    }
    let memory = host.root().join("proc/meminfo");
    std::fs::remove_file(&memory).expect("removed");
    std::os::unix::fs::symlink("/dev/zero", &memory).expect("a link");
    assert_eq!(document(&mut ctr_top(&host))["memory"], json!({"available": null, "total": null}));
}

#[test]
fn samples_for_prometheus() {
    let host = v2("top-prometheus");
    host.file("proc/diskstats", "   8       0 sda 1 0 2 3\n 259       0 nvme0n1 1 0 2 3\n");
    let text = stdout(&of(&host, &["--prometheus"]));
    let labels = format!("{{runtime=\"docker\",name=\"web\",id=\"{WEB}\",image=\"img:1\"}}");
    for (name, value) in [
        ("container_cpu_usage_seconds_total", "1.5"),
        ("container_cpu_cfs_throttled_periods_total", "10"),
        ("container_spec_cpu_quota", "150000"),
        ("container_memory_working_set_bytes", "4000000"),
        ("container_spec_memory_limit_bytes", "8000000"),
        ("container_fs_writes_bytes_total", "200"),
        ("container_pressure_cpu_waiting_seconds_total", "0.000009"),
    ] {
        let more = match name {
            "container_cpu_usage_seconds_total" => ",cpu=\"total\"}",
            "container_fs_writes_bytes_total" => ",device=\"/dev/sda\"}",
            _ => "}",
        };
        let labels = labels.replace('}', more);
        assert!(text.contains(&format!("\n{name}{labels} {value}\n")), "{name}: {text}");
        assert_eq!(text.matches(&format!("# TYPE {name} ")).count(), 1, "{name}");
    }
    assert!(text.contains(",device=\"8:16\"} 2\n"), "a disk without a name has its numbers: {text}");
    if !there("promtool") {
        return skip("promtool", "is not installed: the rest of samples_for_prometheus");
    }
    let file = host.file("out.prom", &text);
    let mut check = program("sh");
    check.args(["-c", "promtool check metrics <\"$0\""]).arg(file);
    let output = limited(&mut check);
    assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
}

fn captured(arguments: &[&str]) -> String {
    let mut command = crate::common::applet("ctr-top");
    command.env_remove("TERM").arg("--root").arg(project("tests/fixtures/hybrid/root"));
    let output = limited(command.args(["-n", "1", "-d", "0.1"]).args(arguments));
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output)
}

#[test]
fn a_pod_stands_for_its_containers() {
    let document: Value = serde_json::from_str(&captured(&["-J", "--per", "pod"])).expect("JSON");
    let pods = document["pods"].as_array().expect("a list");
    let pod = pods.iter().find(|pod| pod["container"] == "k8s:shop-ns/shop").expect("a pod");
    assert_eq!(
        (&pod["name"], &pod["pod"], &pod["pod_namespace"], &pod["pid"], &pod["id"]),
        (&json!("shop-ns/shop"), &json!("shop"), &json!("shop-ns"), &Value::Null, &Value::Null)
    );
    let members = document["containers"].as_array().expect("a list").iter();
    let procs =
        members.filter(|row| row["pod"] == "shop").map(|row| row["procs"].as_u64().expect("a number"));
    assert_eq!(pod["procs"], json!(procs.sum::<u64>()));
    // All of the pod, also its pause process, however it is named.
    for target in ["shop-ns/shop", "k8s:shop-ns/shop/web"] {
        let of_target: Value =
            serde_json::from_str(&captured(&["-J", "--per", "pod", target])).expect("JSON");
        let pods = of_target["pods"].as_array().expect("a list");
        assert_eq!((pods.len(), &pods[0]["procs"]), (1, &pod["procs"]), "{target}");
    }
    let text = captured(&["-r", "--noheadings", "--per", "pod", "-s", "name", "-o", "container"]);
    let names: Vec<&str> = text.lines().collect();
    assert!(names.contains(&"k8s:shop-ns/shop") && names.contains(&"docker:rt-web"), "{text}");
    assert!(!text.contains("shop-ns/shop/"), "{text}");
    let text = captured(&["-r", "--noheadings", "-s", "-name", "-o", "container"]);
    let mut names: Vec<&str> = text.lines().collect();
    assert!(names.contains(&"k8s:shop-ns/shop/web"), "{text}");
    let printed = names.clone();
    names.sort_unstable_by(|one, other| other.cmp(one));
    assert_eq!(printed, names, "-s -name is the other order");
}

#[test]
fn services_of_the_host() {
    let host = v2("top-services");
    for (pid, group) in
        [(30, "/system.slice/ssh.service"), (31, "/system.slice/ssh.service/inner"), (32, "/a group")]
    {
        host.process(pid, 1, group, b"sshd\0");
    }
    write(
        &host,
        "system.slice/ssh.service",
        &[("memory.current", "3000000\n"), ("cpu.stat", "usage_usec 2500000\n"), ("pids.current", "4\n")],
    );
    let all = document(ctr_top(&host).arg("-a"));
    let services = all["services"].as_array().expect("a list");
    assert_eq!(services.len(), 1, "a group without counters has no row: {services:?}");
    let service = &services[0];
    assert_eq!(
        (&service["container"], &service["runtime"], &service["procs"]),
        (&json!("host:system.slice/ssh.service"), &Value::Null, &json!(2))
    );
    assert_eq!(
        (&service["memory"]["usage"], &service["cpu"]["seconds"], &service["pids"]["current"]),
        (&json!(3_000_000), &json!(2.5), &json!(4))
    );
    assert_eq!(row(&all, "docker:web")["id"], WEB);
    assert_eq!(document(&mut ctr_top(&host))["services"], json!([]));
}

/// A reader of the page knows each key.
#[test]
fn the_page_has_all_keys_of_the_json() {
    let page = std::fs::read_to_string(project("man/ctr-top.1")).expect("a page");
    let (_, json) = page.split_once("\n.SH JSON\n").expect("a section");
    let (json, _) = json.split_once("\n.SH ").expect("another section");
    let schema = schema("ctr-top");
    let mut left = vec![&schema];
    let mut count = 0;
    while let Some(value) = left.pop() {
        let keys = value.get("properties").and_then(Value::as_object);
        for key in keys.into_iter().flatten().map(|(key, _)| key) {
            assert!(json.contains(&format!("\\fB{key}\\fR")), "{key}");
            count += 1;
        }
        left.extend(value.as_object().into_iter().flat_map(|object| object.values()));
    }
    assert!(count > 60, "{count}");
}

#[test]
fn the_json_fits_its_schema() {
    for arguments in [&["-J"][..], &["-J", "-a"], &["-J", "--per", "pod", "-a"], &["-J", "rt-web"]] {
        valid("ctr-top", &captured(arguments));
    }
    let host = v2("top-schema");
    let document = document(ctr_top(&host).arg("-a"));
    let schema = schema("ctr-top");
    assert_eq!(validate(&schema, &schema, &document, ""), Ok(()));
    let mut other = document;
    other["containers"][0]["memory"]["usage"] = json!("5M");
    assert!(validate(&schema, &schema, &other, "").is_err());
}

/// No hint is printed for a script: what it reads says that containers are missing.
#[test]
fn a_script_of_a_user_learns_that_containers_are_missing() {
    if !root() {
        return skip("root", "needs root, to be another user");
    }
    let of_user = |arguments: &[&str]| {
        let mut command = program("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(binary()).arg("ctr-top");
        limited(command.args(arguments))
    };
    let output = of_user(&["-J", "-n1", "-d0.1"]);
    let document: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    assert_eq!(document["unknown"][0]["path"], "containers", "{document}");
    assert!(document["unknown"][0]["why"].as_str().expect("text").contains("of other users"), "{document}");
    valid("ctr-top", &stdout(&output));
    // Of the host's processes this user can read the disk use of a few.
    let unknown = document["unknown"].as_array().expect("a list");
    assert!(unknown.iter().any(|one| one["path"] == "host.io"), "{document}");
    let series = stdout(&of_user(&["--prometheus"]));
    assert!(series.ends_with("\ncontainer_scrape_error 1\n"));
    let of_host = |line: &&str| line.starts_with("container_fs_") && line.contains("runtime=\"host\"");
    assert_eq!(series.lines().find(of_host), None);
    let said = stderr(&of_user(&["-n1", "ctrbox-nobody"]));
    assert!(
        said.contains("no process or running container 'ctrbox-nobody' that this user can see ("),
        "{said}"
    );
    // All of a copy can be read.
    let host = v2("top-withheld");
    assert_eq!(crate::common::ctr_top::document(&mut ctr_top(&host))["unknown"], json!([]));
    assert!(stdout(&of(&host, &["--prometheus"])).ends_with("\ncontainer_scrape_error 0\n"));
}
