//! Validates JSON against the schemas in docs/schema.

use serde_json::Value;

use super::project;

pub fn schema(name: &str) -> Value {
    let text = std::fs::read_to_string(project(&format!("docs/schema/{name}.json"))).expect("a file");
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
pub fn validate(root: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
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

/// The value, if it fits the schema.
pub fn valid(name: &str, json: &str) -> Value {
    let schema = schema(name);
    let value: Value = serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {json}"));
    validate(&schema, &schema, &value, "").unwrap_or_else(|error| panic!("{error}"));
    value
}
