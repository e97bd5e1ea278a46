//! The JSON of ctr-ps is that of docs/schema/ctr-ps.json.

use crate::common::ctr_ps::{ctr_ps, of};
use crate::common::process::{limited, printed};
use crate::common::schema::{schema, valid, validate};
use crate::common::{project, stdout};
use serde_json::Value;

/// The names of all columns.
fn columns(options: &[&str]) -> Vec<String> {
    let out = printed(ctr_ps().arg("-HJ").args(options));
    let whole: Value = serde_json::from_str(&out).expect("JSON");
    let rows = whole["columns"].as_array().expect("an array");
    let name = |row: &Value| row["holder"].as_str().expect("a name").to_owned();
    rows.iter().map(name).collect()
}

#[test]
fn the_output_fits_the_schema_in_all_columns() {
    for host in ["hybrid", "systemd-v2"] {
        let root = project(&format!("tests/fixtures/{host}/root"));
        for options in [&[][..], &["-l"]] {
            let all = columns(options).join(",");
            for more in [&[][..], &["-o", &all]] {
                let out = limited(of(&root).arg("--json").args(options).args(more));
                valid("ctr-ps", &stdout(&out));
            }
        }
    }
    valid("ctr-ps", &stdout(&limited(ctr_ps().args(["--json", "-T", "-o", &columns(&[]).join(",")]))));
    valid("ctr-ps", &stdout(&limited(ctr_ps().args(["--json", "-l"]))));
}

#[test]
fn the_schema_has_every_column_and_no_other_member() {
    let schema = schema("ctr-ps");
    for (options, name) in [(&[][..], "process"), (&["-l"], "container")] {
        let mut expected: Vec<String> = columns(options).iter().map(|name| name.to_lowercase()).collect();
        expected.extend(["host", "boot_id"].map(str::to_owned));
        expected.sort();
        let properties = schema["$defs"][name]["properties"].as_object().expect("an object");
        let mut found: Vec<&String> = properties.keys().collect();
        found.sort();
        assert_eq!(found, expected.iter().collect::<Vec<_>>());
    }
}

#[test]
fn a_member_of_another_type_does_not_fit() {
    let schema = schema("ctr-ps");
    let fits =
        |text: &str| validate(&schema, &schema, &serde_json::from_str(text).expect("JSON"), "").is_ok();
    assert!(fits(r#"{"processes":[{"pid":1,"host":"h","boot_id":null}]}"#));
    assert!(!fits(r#"{"processes":[{"pid":"1","host":"h","boot_id":null}]}"#));
    assert!(!fits(r#"{"processes":[{"pid":1,"host":"h"}]}"#));
    assert!(!fits(r#"{"processes":[{"nosuch":1,"host":"h","boot_id":null}]}"#));
    assert!(!fits(r#"{"processes":[],"containers":[]}"#));
}

#[test]
fn the_objects_of_several_hosts_can_be_told_apart_and_stand_one_a_line() {
    let lines = stdout(&limited(ctr_ps().arg("--jsonl")));
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("a file");
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("a file");
    assert!(lines.lines().count() > 0);
    for line in lines.lines() {
        let object: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_eq!(object["boot_id"], boot.trim());
        assert_eq!(object["host"], name.trim());
        assert!(object["pid"].is_i64());
    }
    let lines = stdout(&limited(ctr_ps().args(["--jsonl", "-l", "-o", "container"])));
    for line in lines.lines() {
        let object: Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(object["boot_id"], boot.trim());
    }
}
