//! The lines of a log, with the containers of what they name.

mod known;
mod time;
mod words;

use std::io::Write;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::unistd::read;
use serde::Serialize;

use super::Request;
use super::answer::{JsonThing, Role};
use super::thing::Kind;
use crate::cli::Call;
use crate::exit::Outcome;
use crate::output::style::Painter;
use crate::output::{Out, json};
use crate::text;
use known::Known;
use words::things;

/// A longer line is copied without additions.
const LONGEST_LINE: usize = 1 << 20;

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
pub(super) fn copy(_call: &Call, request: &Request) -> Outcome {
    let mut copier = Copier {
        known: Known::new(request),
        painter: Painter { colour: request.colour.on_stdout() },
        as_json: request.json,
        number: 0,
        things: Vec::new(),
    };
    let (mut held, mut buffer, mut is_long) = (Vec::new(), vec![0; 128 << 10], false);
    let mut out = Out::stdout();
    let stdin = std::io::stdin();
    while !out.is_broken() {
        let length = match read(&stdin, &mut buffer) {
            Ok(0) => break,
            Ok(length) => length,
            Err(Errno::EINTR) => continue,
            Err(errno) => {
                return Err(anyhow::Error::from(errno).context("cannot read standard input").into());
            }
        };
        held.extend_from_slice(&buffer[..length]);
        let mut from = 0;
        while let Some(end) = memchr::memchr(b'\n', &held[from..]) {
            let line = &held[from..from + end];
            match std::mem::take(&mut is_long) {
                true => copier.plain(&mut out, line),
                false => copier.line(&mut out, line)?,
            }
            copier.plain(&mut out, b"\n");
            from += end + 1;
        }
        held.drain(..from);
        if held.len() > LONGEST_LINE {
            copier.plain(&mut out, &held);
            held.clear();
            is_long = true;
        }
        out.drain()?;
    }
    if !held.is_empty() {
        match is_long {
            true => copier.plain(&mut out, &held),
            false => copier.line(&mut out, &held)?,
        }
    }
    out.finish()?;
    Ok(0)
}

struct Copier<'a> {
    known: Known<'a>,
    painter: Painter,
    as_json: bool,
    number: u64,
    /// What the current line names. One list serves all lines.
    things: Vec<Thing>,
}

#[derive(Serialize)]
struct JsonLine {
    line: u64,
    text: String,
    things: Vec<JsonThing>,
}

impl Copier<'_> {
    /// Bytes to which nothing is added. JSON has only lines to which something is.
    fn plain(&self, out: &mut Out, bytes: &[u8]) {
        if !self.as_json {
            out.push(bytes);
        }
    }

    fn line(&mut self, out: &mut Out, line: &[u8]) -> Result<()> {
        self.number += 1;
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
        };
        let things = self.things.iter().map(thing).collect();
        json::write(out, &JsonLine { line: self.number, text: text::utf8(line).into_owned(), things })?;
        writeln!(out)?;
        Ok(())
    }
}
