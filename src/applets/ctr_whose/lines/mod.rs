//! The lines of a log, with the containers of what they name.

#[cfg(any(test, fuzzing))]
pub(super) mod fuzz;
mod known;
mod time;
mod victims;
mod words;

use std::io::Write;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::unistd::read;
use serde::Serialize;

use super::answer::{JsonThing, Role};
use super::thing::Kind;
use super::{Request, host};
use crate::access::stream::{Sent, Stream, Work};
use crate::access::watch;
use crate::cli::Call;
use crate::exit::{self, Outcome};
use crate::output::style::Painter;
use crate::output::{Out, json};
use crate::text;
use known::Known;
use words::things;

/// A longer line is copied without additions.
const LONGEST_LINE: usize = 1 << 20;

const UNSEEN: &str = "containers of other users are not added: only root of the host sees their processes, namespaces and \
                      state files";

/// A part of a line that belongs to a container.
pub(super) struct Thing {
    pub start: usize,
    pub end: usize,
    pub kind: Kind,
    pub role: Role,
    pub pid: Option<i32>,
    /// Who it belongs to, as [`Known`] numbers them.
    pub subject: usize,
}

/// Copies standard input. Each read is answered at once, so that lines of a running program appear when they are written.
/// A worker finds the names: a process that blocks the readers of its files in /proc does not stop the stream.
pub(super) fn copy(call: &Call, request: &Request) -> Outcome {
    let (files, _) = host(request)?;
    let proc = files.proc(request.root.as_deref())?;
    let mut copier = Copier {
        known: Known::new(request),
        painter: Painter { colour: request.colour.on_stdout() },
        as_json: request.json,
        number: 0,
        things: Vec::new(),
        out: Out::stdout(),
    };
    let mut work = |block: Option<&[u8]>| match block {
        Some(block) => match copier.block(block) {
            // Nobody reads it any more: the end of the worker is that of the copy.
            Ok(()) => {
                if copier.out.is_broken() {
                    Err(0)
                } else {
                    Ok(())
                }
            }
            Err(error) => Err(exit::report(call.name, 1, Err(error.into()))),
        },
        None => Ok(()),
    };
    let mut sender = Sender {
        call,
        stream: Some(Stream::new(&proc)),
        has_warned: false,
        as_json: request.json,
        status: 0,
    };
    if !proc.is_copy() && exit::sees_less_than_root() {
        exit::warn(call.name, UNSEEN);
    }
    let (mut blocks, mut buffer) = (Blocks::default(), vec![0; 128 << 10]);
    let stdin = std::io::stdin();
    loop {
        let length = match read(&stdin, &mut buffer) {
            Ok(length) => length,
            Err(Errno::EINTR) => continue,
            Err(errno) => {
                return Err(anyhow::Error::from(errno).context("cannot read standard input").into());
            }
        };
        for block in blocks.of(&buffer[..length]) {
            if let Some(outcome) = sender.send(&block, &mut work) {
                return outcome;
            }
        }
        if length == 0 {
            return sender.end();
        }
    }
}

/// Parts of the input for the worker.
#[derive(Default)]
struct Blocks {
    held: Vec<u8>,
    /// Lines before the next block.
    lines: u64,
    /// Is the rest of a long line to come?
    is_long: bool,
}

/// The number of lines before a block, and whether it is a part of a long line.
const HEAD: usize = 9;

impl Blocks {
    /// The blocks that the bytes complete. None come after no bytes: that is the end of the input.
    fn of(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        self.held.extend_from_slice(bytes);
        if self.is_long {
            let end = memchr::memchr(b'\n', &self.held).map_or(self.held.len(), |end| end + 1);
            self.is_long = self.held[..end].last() != Some(&b'\n');
            self.add(&mut all, end, true);
        }
        let whole = memchr::memrchr(b'\n', &self.held).map_or(0, |end| end + 1);
        self.add(&mut all, whole, false);
        if self.held.len() > LONGEST_LINE {
            self.is_long = true;
            self.add(&mut all, self.held.len(), true);
        } else if bytes.is_empty() {
            self.add(&mut all, self.held.len(), false);
        }
        all
    }

    fn add(&mut self, all: &mut Vec<Vec<u8>>, end: usize, is_long: bool) {
        if end == 0 {
            return;
        }
        let mut block = self.lines.to_ne_bytes().to_vec();
        block.push(is_long.into());
        self.lines += memchr::memchr_iter(b'\n', &self.held[..end]).count() as u64;
        block.extend(self.held.drain(..end));
        all.push(block);
    }
}

struct Sender<'a> {
    call: &'a Call,
    /// None once no worker can help: then lines are copied as they are, or this process does the work.
    stream: Option<Stream<'a>>,
    has_warned: bool,
    as_json: bool,
    status: u8,
}

impl Sender<'_> {
    /// Some if the copy is over.
    fn send(&mut self, block: &[u8], work: &mut Work<'_>) -> Option<Outcome> {
        let name = self.call.name;
        let Some(stream) = &mut self.stream else {
            return match self.status {
                0 => work(Some(block)).err().map(Ok),
                _ => self.copy_plain(&block[HEAD..]),
            };
        };
        let has_warned = &mut self.has_warned;
        let mut left_out = || {
            // One message is enough for a stream without end.
            if !std::mem::replace(has_warned, true) {
                watch::note_of_blocked().iter().for_each(|note| exit::warn(name, note));
            }
        };
        match stream.send(block, work, &mut left_out) {
            Sent::Done => None,
            Sent::Ended(ended) => Some(exit::as_worker(ended)),
            Sent::Blocked(pid) => {
                exit::warn(name, &format!("{}; no more is added to lines", watch::cannot_read(pid)));
                (self.stream, self.status) = (None, 1);
                self.copy_plain(&block[HEAD..])
            }
            Sent::NotStarted => {
                self.stream = None;
                work(Some(block)).err().map(Ok)
            }
        }
    }

    /// Some if nobody reads the output any more.
    fn copy_plain(&self, bytes: &[u8]) -> Option<Outcome> {
        let mut out = Out::stdout();
        out.push(if self.as_json { b"" } else { bytes });
        match out.drain() {
            Ok(()) => out.is_broken().then_some(Ok(0)),
            Err(error) => Some(Err(error.into())),
        }
    }

    fn end(mut self) -> Outcome {
        match self.stream.as_mut().map(Stream::end) {
            Some(Sent::Ended(ended)) => exit::as_worker(ended),
            _ => Ok(self.status),
        }
    }
}

struct Copier<'a> {
    known: Known<'a>,
    painter: Painter,
    as_json: bool,
    number: u64,
    /// What the current line names. One list serves all lines.
    things: Vec<Thing>,
    out: Out,
}

#[derive(Serialize)]
struct JsonLine {
    line: u64,
    text: String,
    things: Vec<JsonThing>,
}

impl Copier<'_> {
    /// Writes nothing before everything is found: until then another worker can begin again.
    fn block(&mut self, block: &[u8]) -> Result<()> {
        let Some((head, text)) = block.split_first_chunk::<HEAD>() else { return Ok(()) };
        let [number @ .., is_long] = *head;
        self.number = u64::from_ne_bytes(number);
        let mut made = Out::kept();
        if is_long != 0 {
            self.plain(&mut made, text);
        } else {
            for line in text.split_inclusive(|&b| b == b'\n') {
                self.line(&mut made, line.strip_suffix(b"\n").unwrap_or(line))?;
                self.plain(&mut made, if line.ends_with(b"\n") { b"\n" } else { b"" });
            }
        }
        self.out.push(&made.into_bytes());
        self.out.drain()?;
        Ok(())
    }

    /// Bytes to which nothing is added. JSON has only lines to which something is.
    fn plain(&self, out: &mut Out, bytes: &[u8]) {
        if !self.as_json {
            out.push(bytes);
        }
    }

    fn line(&mut self, out: &mut Out, line: &[u8]) -> Result<()> {
        self.number += 1;
        self.known.victims.line = self.number;
        self.find(line)?;
        if self.as_json {
            return self.json(out, line);
        }
        let mut from = 0;
        for thing in &self.things {
            out.push(&line[from..thing.end]);
            let label = self.known.label(thing.subject);
            let shown = text::escape(label.as_bytes());
            out.push(b" (");
            out.push(self.painter.container(&shown, label).as_bytes());
            out.byte(b')');
            from = thing.end;
        }
        out.push(&line[from..]);
        Ok(())
    }

    /// What the line names, all as of one reading of the host.
    fn find(&mut self, line: &[u8]) -> Result<()> {
        /// A line that names what is not known is reason to read again, but not for ever.
        const MOST: usize = 4;
        for _ in 0..MOST {
            self.things.clear();
            let before = self.known.readings();
            things(line, &mut self.known, &mut self.things).context("cannot look at this host")?;
            if self.known.readings() == before {
                return Ok(());
            }
        }
        self.things.clear();
        Ok(())
    }

    fn json(&self, out: &mut Out, line: &[u8]) -> Result<()> {
        if self.things.is_empty() {
            return Ok(());
        }
        let thing = |thing: &Thing| JsonThing {
            thing: text::utf8(&line[thing.start..thing.end]).into_owned(),
            kind: thing.kind.name(),
            answers: self.known.answers(thing),
            host: None,
            unknown: None,
        };
        let things = self.things.iter().map(thing).collect();
        json::write(out, &JsonLine { line: self.number, text: text::utf8(line).into_owned(), things })?;
        writeln!(out)?;
        Ok(())
    }
}
