//! `make dist`: from `cargo metadata` on stdin to a CycloneDX list of the crates that are in the binary.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

fn main() {
    let metadata: Value = serde_json::from_reader(std::io::stdin()).expect("cargo metadata");
    let lock = std::fs::read_to_string("Cargo.lock").expect("Cargo.lock");
    let packages: BTreeMap<&str, &Value> =
        list(&metadata["packages"]).map(|package| (text(&package["id"]), package)).collect();
    let nodes: BTreeMap<&str, &Value> =
        list(&metadata["resolve"]["nodes"]).map(|node| (text(&node["id"]), node)).collect();
    let root = text(&metadata["resolve"]["root"]);
    let mut found = BTreeSet::new();
    let mut left = vec![root];
    while let Some(id) = left.pop() {
        if found.insert(id) {
            left.extend(needed(nodes[id]));
        }
    }
    let components: Vec<Value> =
        found.iter().filter(|id| **id != root).map(|id| component(packages[id], &lock)).collect();
    let dependencies: Vec<Value> = found
        .iter()
        .map(|id| {
            let on: Vec<String> = needed(nodes[id]).map(|id| purl(packages[id])).collect();
            json!({ "ref": purl(packages[id]), "dependsOn": on })
        })
        .collect();
    let main = component(packages[root], &lock);
    let sbom = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": main },
        "components": components,
        "dependencies": dependencies,
    });
    println!("{sbom:#}");
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Those that are linked, or run while it is built; not those of tests.
fn needed(node: &Value) -> impl Iterator<Item = &str> {
    let is_needed = |of: &&Value| list(&of["dep_kinds"]).any(|kind| kind["kind"] != "dev");
    list(&node["deps"]).filter(is_needed).map(|of| text(&of["pkg"]))
}

fn purl(package: &Value) -> String {
    format!("pkg:cargo/{}@{}", text(&package["name"]), text(&package["version"]))
}

fn component(package: &Value, lock: &str) -> Value {
    let (name, version) = (text(&package["name"]), text(&package["version"]));
    let kind = if package["source"].is_null() { "application" } else { "library" };
    let mut component = json!({
        "type": kind,
        "bom-ref": purl(package),
        "purl": purl(package),
        "name": name,
        "version": version,
        "licenses": [{ "expression": text(&package["license"]).replace('/', " OR ") }],
    });
    let entry = lock.split("[[package]]").find(|entry| {
        entry.contains(&format!("name = \"{name}\"\n"))
            && entry.contains(&format!("version = \"{version}\"\n"))
    });
    let checksum = entry.and_then(|entry| entry.split("checksum = \"").nth(1)?.split('"').next());
    if let Some(checksum) = checksum {
        component["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
    }
    component
}
