//! The JSON of ctr-ps is that of docs/schema/ctr-ps.json.

use crate::common::ctr_ps::{ctr_ps, of};
use crate::common::process::{limited, printed};
use crate::common::{project, stdout};
use serde_json::Value;

fn schema() -> Value {
    let text = std::fs::read_to_string(project("docs/schema/ctr-ps.json")).expect("a file");
    serde_json::from_str(&text).expect("JSON")
}

/// Not by the crate jsonschema 0.61: without its features it takes 60 further crates (44 become 104), 64 seconds of CPU to
/// build, two versions of syn, and licences that `deny.toml` does not allow.
///
/// The keywords that the schema uses; others are refused, so that none is ignored.
const KEYWORDS: [&str; 11] = [
    "$schema",
    "$defs",
    "title",
    "description",
    "oneOf",
    "$ref",
    "type",
    "properties",
    "required",
    "items",
    "additionalProperties",
];

/// Validates a value, as JSON Schema says. Err: where it differs.
fn validate(root: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let rules = schema.as_object().ok_or(format!("{at}: no schema"))?;
    if let Some(unknown) = rules.keys().find(|key| !KEYWORDS.contains(&key.as_str())) {
        return Err(format!("{at}: keyword {unknown}"));
    }
    if let Some(path) = rules.get("$ref").and_then(Value::as_str) {
        let target = root.pointer(path.strip_prefix('#').unwrap_or(path)).ok_or(format!("no {path}"))?;
        return validate(root, target, value, at);
    }
    if let Some(all) = rules.get("oneOf").and_then(Value::as_array) {
        let fits = all.iter().map(|one| validate(root, one, value, at));
        return match fits.clone().filter(Result::is_ok).count() {
            1 => Ok(()),
            count => Err(format!("{at}: {count} alternatives: {:?}", fits.collect::<Vec<_>>())),
        };
    }
    let is = |name: &Value| match name.as_str().unwrap_or_default() {
        "null" => value.is_null(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    };
    let types = rules.get("type").ok_or(format!("{at}: no type"))?;
    let fits = types.as_array().map_or_else(|| is(types), |names| names.iter().any(is));
    if !fits {
        return Err(format!("{at}: {value} is not {types}"));
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        validate(root, &rules["items"], item, &format!("{at}/{index}"))?;
    }
    let Some(members) = value.as_object() else { return Ok(()) };
    for name in rules.get("required").and_then(Value::as_array).into_iter().flatten() {
        members.get(name.as_str().unwrap_or_default()).ok_or(format!("{at}: no {name}"))?;
    }
    for (name, member) in members {
        let known = rules.get("properties").and_then(|properties| properties.get(name));
        let rule = known.or(rules.get("additionalProperties")).filter(|rule| rule.is_object());
        validate(root, rule.ok_or(format!("{at}: member {name}"))?, member, &format!("{at}/{name}"))?;
    }
    Ok(())
}

fn valid(json: &str) -> Value {
    let schema = schema();
    let value: Value = serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {json}"));
    validate(&schema, &schema, &value, "").unwrap_or_else(|error| panic!("{error}"));
    value
}

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
                valid(&stdout(&out));
            }
        }
    }
    valid(&stdout(&limited(ctr_ps().args(["--json", "-T", "-o", &columns(&[]).join(",")]))));
    valid(&stdout(&limited(ctr_ps().args(["--json", "-l"]))));
}

#[test]
fn the_schema_has_every_column_and_no_other_member() {
    let schema = schema();
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
    let schema = schema();
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
