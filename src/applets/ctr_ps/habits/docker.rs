//! `--filter KEY=VALUE` and `--format TEMPLATE` of docker(1) and podman(1).

use std::ffi::OsStr;

use anyhow::{Result, bail};

use super::super::request::Request;
use super::values::quoted;
use crate::text;

/// What a key of `--filter` selects by.
#[derive(Clone, Copy)]
enum Key {
    /// An option of ctr-ps.
    Attribute(&'static str),
    Name,
    Target,
    /// Type this instead. `{}` stands for the value.
    Instead(&'static str),
}

const KEYS: [(&str, Key); 20] = [
    ("status", Key::Attribute("status")),
    ("label", Key::Attribute("label")),
    ("ancestor", Key::Attribute("image")),
    ("image", Key::Attribute("image")),
    ("name", Key::Name),
    ("id", Key::Target),
    ("pod", Key::Target),
    ("exited", Key::Attribute("exit")),
    ("state", Key::Attribute("status")),
    ("publish", Key::Instead("-l -Q 'PORTS =~ \":{}->\"'")),
    ("expose", Key::Instead("-l -Q 'PORTS =~ \"{}/\"'")),
    ("network", Key::Instead("-l -o +ip")),
    ("before", Key::Instead("-l -a --sort created")),
    ("since", Key::Instead("-l -a --sort created")),
    ("until", Key::Instead("-l -a --sort created")),
    ("health", Key::Instead("ctr-inspect TARGET")),
    ("volume", Key::Instead("ctr-inspect TARGET")),
    ("is-task", Key::Instead("-l --label com.docker.swarm.task")),
    ("restart-policy", Key::Instead("-l")),
    ("should-start-on-boot", Key::Instead("-l")),
];

/// `KEY=VALUE` with a key of docker. In the language of `-Q` this is an error: two values without a comparison.
fn split(text: &str) -> Option<(Key, &str, &str)> {
    let (name, value) = text.split_once('=')?;
    let is_value = !value.starts_with(['=', '~', '<', '>', '!', ' ']);
    let (name, key) = KEYS.iter().find(|(known, _)| *known == name)?;
    is_value.then_some((*key, name, value))
}

pub(super) fn is_filter(text: &str) -> bool {
    split(text).is_some()
}

/// Applies a filter of docker. False if it is not one.
pub(in crate::applets::ctr_ps) fn filter(request: &mut Request, expression: &str) -> Result<bool> {
    let Some((key, name, value)) = split(expression) else { return Ok(false) };
    let attributes = &mut request.selection.attributes;
    match key {
        Key::Attribute(option) => attributes.add(option, OsStr::new(value))?,
        Key::Name => attributes.add("name", OsStr::new(&glob(value)))?,
        Key::Target => request.selection.containers.push(value.to_owned()),
        Key::Instead(instead) => {
            let instead = instead.replace("{}", &text::escape(value.as_bytes()));
            bail!("there is no filter '{name}'; type {instead}");
        }
    }
    Ok(true)
}

/// Docker matches any part of a name, with `^` and `$` only the beginning or the end; its names may begin with `/`.
fn glob(value: &str) -> String {
    let (begin, value) = match value.strip_prefix('^') {
        Some(value) => ("", value),
        None => ("*", value),
    };
    let (end, value) = value.strip_suffix('$').map_or(("*", value), |value| ("", value));
    format!("{begin}{}{end}", value.strip_prefix('/').unwrap_or(value))
}

/// Fields of templates, and the columns that they are here.
const FIELDS: [(&str, &str); 18] = [
    ("ID", "id"),
    ("Names", "name"),
    ("Name", "name"),
    ("Image", "image"),
    ("Command", "command"),
    ("CreatedAt", "created"),
    ("Created", "created"),
    ("RunningFor", "started"),
    ("Ports", "ports"),
    ("State", "status"),
    ("Status", "status"),
    ("Labels", "labels"),
    ("Pid", "pid"),
    ("Pod", "pod_uid"),
    ("PodName", "pod"),
    ("ExitCode", "exit"),
    ("Networks", "ip"),
    ("Size", "rootfs"),
];

/// What to type instead of `--format VALUE`. None for the names of columns, as ps(1) has them.
pub(super) fn format(value: &str) -> Option<String> {
    match value {
        "json" | "jsonl" | "yaml" | "{{json .}}" => return Some("-l --json".to_owned()),
        "table" => return Some("-l".to_owned()),
        _ => {}
    }
    let fields = value.split("{{").skip(1).filter_map(|part| part.split("}}").next());
    let names = fields.flat_map(|field| field.split_whitespace().filter_map(|word| word.strip_prefix('.')));
    let column = |name: &str| FIELDS.iter().find(|(field, _)| *field == name).map(|(_, column)| *column);
    let columns: Vec<&str> = names.filter_map(column).collect();
    let headings = if value.starts_with("table") { "" } else { "-n " };
    value.contains("{{").then(|| match columns.is_empty() {
        true => "-l -o LIST (-l -H lists the columns)".to_owned(),
        false => format!("-l {headings}-o {}", quoted(&columns.join(","))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_matched_in_any_part() {
        for (value, pattern) in [("web", "*web*"), ("^web", "web*"), ("web$", "*web"), ("^/web$", "web")] {
            assert_eq!(glob(value), pattern);
        }
    }

    #[test]
    fn expressions_are_no_filters_of_docker() {
        for text in ["name=web", "status=exited", "label=a=b", "is-task=true"] {
            assert!(is_filter(text), "{text}");
        }
        for text in ["NAME == \"web\"", "name==\"web\"", "name=~\"web\"", "rss=>5", "pid=1", "name"] {
            assert!(!is_filter(text), "{text}");
        }
    }

    #[test]
    fn templates_become_columns() {
        for (template, instead) in [
            ("{{.Names}}", Some("-l -n -o name")),
            ("table {{.ID}}\t{{.Names}}", Some("-l -o id,name")),
            ("{{.Names}}: {{.Status}}", Some("-l -n -o name,status")),
            ("{{json .}}", Some("-l --json")),
            ("{{.Foo}}", Some("-l -o LIST (-l -H lists the columns)")),
            ("pid,comm", None),
        ] {
            assert_eq!(format(template).as_deref(), instead, "{template}");
        }
    }
}
