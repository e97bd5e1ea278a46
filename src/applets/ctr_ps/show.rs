//! The list as a table, a forest, PIDs or JSON.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Write;
use std::rc::Rc;

use serde::Serialize;

use super::Request;
use super::gather::Process;
use crate::container::Container;
use crate::exit::Exit;
use crate::output::style::{self, Painter};
use crate::output::tree::{self, Glyphs, Row};
use crate::output::{Out, json, text};

pub fn show(list: &[Process], request: &Request) -> Result<(), Exit> {
    let mut out = Out::stdout();
    let rows = order(list, request.forest);
    if request.json {
        records(&mut out, list, &rows)?;
    } else if request.quiet {
        for row in &rows {
            writeln!(out, "{}", list[row.node].pid)?;
        }
    } else {
        table(&mut out, list, &rows, request)?;
    }
    out.finish()
}

fn order(list: &[Process], forest: bool) -> Vec<Row> {
    if !forest {
        return (0..list.len()).map(|node| Row { node, prefix: String::new() }).collect();
    }
    let ids: Vec<i32> = list.iter().map(|process| process.pid.as_raw()).collect();
    let parents: Vec<i32> = list.iter().map(|process| process.ppid.unwrap_or(0)).collect();
    tree::forest(&ids, &parents, Glyphs::new(style::unicode()))
}

/// Left columns are as wide as their widest cell; nothing is cut but the end of the line on a terminal.
fn table(out: &mut Out, list: &[Process], rows: &[Row], request: &Request) -> std::io::Result<()> {
    let painter = Painter { colour: request.colour.on_stdout() };
    let columns = style::stdout_columns().unwrap_or(usize::MAX);
    let labels = labels(list);
    let containers: Vec<&str> = list.iter().map(|process| label(&labels, process)).collect();
    let widest =
        |heading: &str, cells: &mut dyn Iterator<Item = usize>| cells.fold(heading.len(), usize::max);
    let user = widest("USER", &mut list.iter().map(|process| text::width(&process.user)));
    let pid = widest("PID", &mut list.iter().map(|process| digits(Some(process.pid.as_raw()))));
    let cpid = widest("CPID", &mut list.iter().map(|process| digits(process.cpid)));
    let name = widest("CONTAINER", &mut containers.iter().map(|name| text::width(name)));
    let left = columns.saturating_sub(user + pid + cpid + name + 4);

    if !request.no_headings {
        let line =
            format!("{:user$} {:>pid$} {:>cpid$} {:name$} COMMAND", "USER", "PID", "CPID", "CONTAINER");
        writeln!(out, "{}", painter.heading(text::cut(&line, columns)))?;
    }
    for row in rows {
        let process = &list[row.node];
        let who = containers[row.node];
        let painted = match &process.container {
            Some(container) => painter.container(who, &container.id),
            None => painter.faint(who),
        };
        let command = text::escape(&process.command);
        let prefix = text::cut(&row.prefix, left);
        let command = text::cut(&command, left - text::width(prefix).min(left));

        out.push(process.user.as_bytes());
        out.blanks(user - text::width(&process.user) + 1 + pid - digits(Some(process.pid.as_raw())));
        write!(out, "{}", process.pid)?;
        out.blanks(1 + cpid - digits(process.cpid));
        match process.cpid {
            Some(cpid) => write!(out, "{cpid}")?,
            None => out.push(b"?"),
        }
        out.push(b" ");
        out.push(painted.as_bytes());
        out.blanks(name - text::width(who) + 1);
        out.push(painter.faint(prefix).as_bytes());
        out.push(command.as_bytes());
        out.push(b"\n");
    }
    Ok(())
}

/// What is shown of each container, made once.
fn labels(list: &[Process]) -> HashMap<*const Container, String> {
    let mut labels = HashMap::new();
    for container in list.iter().filter_map(|process| process.container.as_ref()) {
        let make = || text::escape(container.to_string().as_bytes()).into_owned();
        labels.entry(Rc::as_ptr(container)).or_insert_with(make);
    }
    labels
}

fn label<'a>(labels: &'a HashMap<*const Container, String>, process: &Process) -> &'a str {
    let label = process.container.as_ref().and_then(|container| labels.get(&Rc::as_ptr(container)));
    label.map_or("-", String::as_str)
}

fn digits(number: Option<i32>) -> usize {
    number.map_or(1, |number| number.unsigned_abs().max(1).ilog10() as usize + 1)
}

#[derive(Serialize)]
struct Record<'a> {
    pid: i32,
    ppid: Option<i32>,
    cpid: Option<i32>,
    user: Option<&'a str>,
    runtime: Option<&'static str>,
    container: Option<&'a str>,
    id: Option<&'a str>,
    pod: Option<&'a str>,
    pod_namespace: Option<&'a str>,
    image: Option<&'a str>,
    command: Cow<'a, str>,
}

fn records(out: &mut Out, list: &[Process], rows: &[Row]) -> Result<(), Exit> {
    out.push(b"{\"processes\":[");
    for (i, row) in rows.iter().enumerate() {
        let process = &list[row.node];
        let container = process.container.as_deref();
        out.push(if i == 0 { b"\n" } else { b",\n" });
        let record = Record {
            pid: process.pid.as_raw(),
            ppid: process.ppid,
            cpid: process.cpid,
            user: Some(&*process.user).filter(|user| *user != "?"),
            runtime: container.map(|container| container.runtime.name()),
            container: container.and_then(|container| container.name.as_deref()),
            id: container.map(|container| container.id.as_str()),
            pod: container.and_then(|container| container.pod.as_deref()),
            pod_namespace: container.and_then(|container| container.pod_namespace.as_deref()),
            image: container.and_then(|container| container.image.as_deref()),
            command: text::utf8(&process.command),
        };
        json::write(out, &record)?;
    }
    out.push(b"\n]}\n");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_of_numbers() {
        assert_eq!([Some(1), Some(9), Some(10), Some(4_194_304), None].map(digits), [1, 1, 2, 7, 1]);
    }
}
