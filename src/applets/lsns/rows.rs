//! Makes rows from namespaces: which are shown, their tree and their cells.

use crate::sys::keyed::{HashMap, HashSet};
use std::ffi::OsStr;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use nix::errno::Errno;
use nix::unistd::Pid;

use super::cells::Cells;
use super::collect::{Found, Wanted, collect};
use super::columns::{self, COLUMNS, Id};
use super::hierarchy::relate;
use super::{Operand, Request, Tree, task_pid};
use crate::access;
use crate::container::target::{Held, Lookup, Purpose, hint_at_container};
use crate::container::{Files, Resolver};
use crate::exit::{self, Exit, Outcome};
use crate::isolation::ns;
use crate::isolation::operation::Operation;
use crate::output::Out;
use crate::output::filter::{Filter, Value};
use crate::output::smartcols::{self, Column, Form, Json, Layout, Row};
use crate::output::style::{self, Painter};
use crate::proc::ns::{Kind, parse_link};
use crate::proc::{ProcRoot, broken};
use crate::text;

const NO_MOUNTS: u8 = 32;

pub(super) fn list_columns(request: &Request) -> Outcome {
    let mut out = Out::stdout();
    let columns: Vec<&Column> = COLUMNS.iter().map(|(_, column)| column).collect();
    smartcols::print_columns(&mut out, &columns, form(request, "lsns-columns"));
    Ok(out.finish().map(|()| 0)?)
}

pub(super) fn list(
    name: &str,
    proc: &ProcRoot,
    request: &Request,
    operand: Option<&Operand>,
    columns: &[Id],
) -> Outcome {
    let filter = request.filter.as_deref().map(|expression| parse_filter(name, expression)).transpose()?;
    let files = Files::new(Path::new("/"))?;
    let mut resolver = Resolver::for_few(proc, &files);
    let task = match (&request.task, operand) {
        (Some(word), _) | (None, Some(Operand::Container(word))) => {
            Some(resolve(name, proc, (&files, &mut resolver), word)?)
        }
        _ => None,
    };
    let inode = match operand {
        Some(Operand::Namespace(inode)) => Some(*inode),
        _ => None,
    };
    let needs = |ids: &[Id]| {
        let filtered = |id: &Id| {
            filter.as_ref().is_some_and(|filter| filter.columns().iter().any(|name| name == id.column().name))
        };
        ids.iter().any(|id| columns.contains(id) || filtered(id))
    };
    let wanted = Wanted {
        kinds: request.kinds(),
        descriptors: !request.no_fd_scan,
        members_of: inode,
        all_members: needs(&[Id::Container, Id::Runtime, Id::Pod, Id::Image, Id::Created]),
    };
    let mut found = collect(proc, &wanted)?.map_err(|error| {
        let words = format!("failed to parse {}", proc.shown(&proc.own("mountinfo")).display());
        Exit::failed(NO_MOUNTS, anyhow::Error::from(error).context(words))
    })?;
    if let Some(pid) = found.unexamined {
        exit::warn(
            name,
            &format!("not all descriptors of process {pid}, or of its user's others, were examined"),
        );
    }
    // The default is a tree of processes. `--output-all` prints a list, unless `--tree` is given or the operand is a
    // namespace.
    let flat = request.list || (request.all_columns && inode.is_none());
    let tree = request.tree.or((!flat).then_some(Tree::Process));
    let related = matches!(tree, Some(Tree::Owner | Tree::Parent));
    let relations = match related || needs(&[Id::Pns, Id::Ons]) {
        true => relate(proc, &mut found, &wanted.kinds, related)?,
        false => Vec::new(),
    };
    let only = inode.filter(|inode| *inode != 0);
    let cells =
        Cells::new((proc, &files, resolver), &found, relations, (request.no_wrap || request.raw, only))?;
    let mut rows = Rows {
        cells,
        filter,
        columns,
        exact: request.json || request.raw,
        tree,
        lines: Vec::new(),
        line_of_process: HashMap::default(),
        line_of_namespace: HashMap::default(),
    };
    match only {
        Some(inode) => rows.members(&found, inode)?,
        None => {
            rows.namespaces(&found, &shown(proc, request, &found, task.as_ref().map(|held| held.pid))?)?
        }
    }
    // The namespaces of a container were read by the PID of its first process, which is valid only if it still runs.
    if let Some(Held { pid, pidfd: Some(pidfd) }) = &task {
        ns::still(pidfd).with_context(|| format!("process {pid} has ended"))?;
    }
    let locked = rows.cells.locked();
    let outcome = rows.print(request);
    access::note_of_locked(&locked).iter().for_each(|note| exit::warn(name, note));
    exit::hint_at_rights();
    outcome
}

fn parse_filter(name: &str, expression: &str) -> Result<Filter, Exit> {
    let columns: Vec<(&str, bool)> =
        COLUMNS.iter().map(|(_, column)| (column.name, matches!(column.json, Json::Number))).collect();
    Filter::parse(expression, &columns).map_err(|mut lines| {
        let last = lines.pop().unwrap_or_default();
        lines.iter().for_each(|line| exit::warn(name, &text::escape(line.as_bytes())));
        let unknown = lines.first().and_then(|line| line.strip_prefix("unknown column: "));
        let unknown = unknown.map(str::to_owned);
        Exit::from(anyhow!(last)).or_hint(move || columns::near(unknown.as_ref()?))
    })
}

/// The process of a target: a PID, or the first process of a container, held by a pidfd.
fn resolve(
    name: &str,
    proc: &ProcRoot,
    (files, resolver): (&Files, &mut Resolver<'_>),
    word: &OsStr,
) -> Result<Held> {
    if let Some(pid) = task_pid(word)? {
        hint_at_container(proc, Some(files), pid);
        return Ok(Held { pid, pidfd: None });
    }
    let target = word.to_str().filter(|word| !word.is_empty());
    let target = target.ok_or_else(|| anyhow!("invalid PID argument: '{}'", text::shown(word)))?;
    Lookup::new(name, Purpose::Read).process(resolver, target)
}

/// The indices of the namespaces to show, in the order of the listing.
fn shown(proc: &ProcRoot, request: &Request, found: &Found, task: Option<Pid>) -> Result<Vec<usize>> {
    let of_task = task.map(|pid| namespaces_of(proc, pid)).transpose()?;
    let keep = |at: &usize| {
        let namespace = &found.namespaces[*at];
        let by_task = of_task.as_ref().is_none_or(|links| links.contains(&(namespace.kind, namespace.inode)));
        let implicit = namespace.implicit.is_some() && !request.persistent;
        by_task && (!request.persistent || namespace.nprocs == 0) && (!implicit || of_task.is_none())
    };
    Ok(found.in_order().into_iter().filter(keep).collect())
}

/// The namespaces of a task that the caller may see.
fn namespaces_of(proc: &ProcRoot, pid: Pid) -> Result<HashSet<(Kind, u64)>> {
    let mut all = HashSet::default();
    let mut denied = None;
    for kind in Kind::ALL {
        let path = proc.path_of(pid, &kind.link());
        match proc.link(&path).map_err(|error| (error.raw_os_error().map(Errno::from_raw), error)) {
            Err((Some(errno), error)) if broken(errno) => {
                return Err(error).with_context(|| format!("cannot read {}", proc.shown(&path).display()));
            }
            Err((Some(errno @ (Errno::EACCES | Errno::EPERM)), _)) => {
                denied.get_or_insert((path, errno));
            }
            link => {
                let link = link.unwrap_or_default();
                let inode = parse_link(std::os::unix::ffi::OsStrExt::as_bytes(link.as_os_str()));
                all.extend(inode.map(|inode| (kind, inode)));
            }
        }
    }
    // An empty list, as that of util-linux, does not distinguish "may not look" from "has none".
    if let (Some((path, errno)), true) = (denied, all.is_empty()) {
        exit::hint_of(&Operation::Open(path), errno, proc);
    }
    Ok(all)
}

struct Rows<'a> {
    cells: Cells<'a>,
    filter: Option<Filter>,
    columns: &'a [Id],
    /// For programs: JSON, or raw.
    exact: bool,
    tree: Option<Tree>,
    lines: Vec<Row>,
    /// The last line of each process, the parent of the lines of its children.
    line_of_process: HashMap<Pid, usize>,
    /// The line of each namespace that was visited. None if the filter hides it.
    line_of_namespace: HashMap<usize, Option<usize>>,
}

impl Rows<'_> {
    fn namespaces(&mut self, found: &Found, order: &[usize]) -> Result<()> {
        order.iter().try_for_each(|&at| match self.tree {
            Some(Tree::Owner | Tree::Parent) => self.namespace_below(found, at),
            _ => self.add(at, found.namespaces[at].members.first().copied(), None),
        })
    }

    /// Adds the line of a namespace, after those of its ancestors in the tree, whatever their inodes.
    fn namespace_below(&mut self, found: &Found, at: usize) -> Result<()> {
        // Walks up to the first visited namespace, then down again. A loop, not recursion: the kernel limits the depth
        // of user namespaces, but the contents of /proc may claim any depth.
        let mut chain = vec![at];
        while let Some(&last) = chain.last() {
            if self.line_of_namespace.contains_key(&last) {
                break;
            }
            self.line_of_namespace.insert(last, None);
            match self.before(last) {
                Some(before) if !chain.contains(&before) => chain.push(before),
                _ => break,
            }
        }
        for at in chain.into_iter().rev() {
            if self.line_of_namespace.get(&at).is_some_and(Option::is_some) {
                continue;
            }
            let upper = match self.tree {
                Some(Tree::Owner) => self.cells.owner(at),
                _ => self.cells.parent(at),
            };
            let upper = upper.and_then(|upper| self.line_of_namespace.get(&upper).copied().flatten());
            let count = self.lines.len();
            self.add(at, found.namespaces[at].members.first().copied(), upper)?;
            let line = (self.lines.len() > count).then_some(count);
            self.line_of_namespace.insert(at, line);
        }
        Ok(())
    }

    /// The namespace to list before this one: its parent in the tree. In a tree of parents, a namespace without a
    /// parent comes after its owner.
    fn before(&self, at: usize) -> Option<usize> {
        match self.tree {
            Some(Tree::Owner) => self.cells.owner(at),
            _ => self.cells.parent(at).or_else(|| self.cells.owner(at)),
        }
    }

    /// Adds every process of one namespace.
    fn members(&mut self, found: &Found, inode: u64) -> Result<()> {
        let at = found.namespaces.iter().position(|namespace| namespace.inode == inode);
        let at = at.ok_or_else(|| anyhow!("not found namespace: {inode}"))?;
        for &pid in &found.namespaces[at].members {
            self.add(at, Some(pid), None)?;
        }
        Ok(())
    }

    fn add(&mut self, at: usize, pid: Option<Pid>, mut parent: Option<usize>) -> Result<()> {
        if let Some(filter) = &self.filter {
            let value = |name: &str| match Id::find(name) {
                Some(id) => value(id, self.cells.cell(id, at, pid)),
                None => Value::None,
            };
            if !filter.evaluate(&value).context("failed to apply filter")? {
                return Ok(());
            }
        }
        if let Some(pid) = pid.filter(|_| self.tree == Some(Tree::Process)) {
            parent = self.cells.ppid(pid).and_then(|ppid| self.line_of_process.get(&ppid).copied());
            self.line_of_process.insert(pid, self.lines.len());
        }
        let cell = |id: &Id| match self.exact {
            true => self.cells.cell(*id, at, pid),
            false => self.cells.cell_in_table(*id, at, pid),
        };
        let cells = self.columns.iter().map(cell).collect();
        self.lines.push(Row { cells, parent });
        Ok(())
    }

    fn print(self, request: &Request) -> Outcome {
        let tree_column = match self.tree {
            Some(Tree::Process) => Some(Id::Command),
            Some(Tree::Owner | Tree::Parent) => Some(Id::Ns),
            None => None,
        };
        let tree = self.columns.iter().position(|id| Some(*id) == tree_column);
        let columns: Vec<&Column> = self.columns.iter().map(|id| id.column()).collect();
        let mut out = Out::stdout();
        smartcols::print(&mut out, &columns, &self.lines, &layout(request, "namespaces", tree));
        Ok(out.finish().map(|()| 0)?)
    }
}

fn value<'v>(id: Id, cell: Option<String>) -> Value<'v> {
    match (cell, &id.column().json) {
        (None, _) => Value::None,
        (Some(text), Json::Number) => text.parse().map_or(Value::None, Value::Number),
        (Some(text), Json::String | Json::Float) => Value::Text(text.into()),
    }
}

fn form(request: &Request, key: &'static str) -> Form {
    match (request.json, request.raw) {
        (true, _) => Form::Json(key),
        (_, true) => Form::Raw,
        _ => Form::Human,
    }
}

fn layout(request: &Request, key: &'static str, tree: Option<usize>) -> Layout {
    Layout {
        form: form(request, key),
        headings: !request.no_headings,
        tree,
        unicode: style::unicode(),
        width: style::stdout_columns(),
        truncate: !request.no_truncate,
        painter: Painter { colour: request.colour.unwrap_or(style::When::Never).on_stdout() },
        paint: |painter, column, text| match column {
            "CONTAINER" if !text.trim().is_empty() => painter.container(text, text.trim()),
            _ => text.into(),
        },
    }
}
