//! What the words of a command line mean.

use std::ffi::{OsStr, OsString};

use anyhow::{Error, Result};

use super::few::few;
use super::{Request, stopped};
use crate::cli::Call;
use crate::container::Files;
use crate::container::details::Details;
use crate::container::world::{Subject, World};
use crate::exit::{self, warn};
use crate::proc::ProcRoot;

/// What a word means.
pub(super) enum Found {
    Running(Subject),
    Stopped(Box<Details>),
}

/// The host as a target: its first process.
pub(super) const HOST: &str = "host";
pub(super) const FIRST: &str = "1";

/// A target that few processes do not explain is sought among all. So is `host`: only all tell whether a container has that
/// name. As OTHER of a comparison it is always the host.
pub(super) fn world<'a>(
    proc: &'a ProcRoot,
    files: &'a Files,
    words: &[OsString],
    request: &Request,
) -> Result<World<'a>> {
    if request.root.is_some() || words.iter().any(|word| word == HOST) {
        return World::new(proc, files, None);
    }
    let other = request.diff.iter().map(|other| if other == HOST { FIRST.into() } else { other.clone() });
    let words: Vec<OsString> = words.iter().cloned().chain(other).collect();
    if let Some(few) = few(proc, files, &words, &request.sections) {
        let world = World::new(proc, files, Some(few))?;
        if words.iter().all(|word| world.find(word).is_ok()) {
            return Ok(world);
        }
    }
    World::new(proc, files, None)
}

/// What the words mean, each container and process once. Reports those that mean nothing.
pub(super) fn find(call: &Call, world: &World<'_>, words: &[OsString], status: &mut u8) -> Vec<Found> {
    let mut all: Vec<Found> = Vec::new();
    for word in words {
        world.hint_at_container(word);
        match world.find(word).or_else(|error| host(world, word, &error).ok_or(error)) {
            Ok((found, notes)) => {
                notes.iter().for_each(|note| warn(call.name, note));
                let is_known =
                    |pid: i32| all.iter().any(|known| matches!(known, Found::Running(one) if one.pid == pid));
                let new: Vec<Subject> = found.into_iter().filter(|one| !is_known(one.pid)).collect();
                all.extend(new.into_iter().map(Found::Running));
            }
            Err(error) => match word.to_str().and_then(|word| stopped::find(world, word)) {
                Some(Ok(details)) => {
                    let key = details.container.key();
                    let is_same =
                        |known: &Found| matches!(known, Found::Stopped(one) if one.container.key() == key);
                    if !all.iter().any(is_same) {
                        all.push(Found::Stopped(Box::new(details)));
                    }
                }
                stopped => {
                    let error = stopped.and_then(Result::err).unwrap_or(error);
                    warn(call.name, &crate::errno::chain(&error));
                    exit::hint_at_rights_after(&error);
                    *status = 1;
                }
            },
        }
    }
    all
}

/// The host, if that is the word and no container has the name, by the error for it as a name.
pub(super) fn host(world: &World<'_>, word: &OsStr, error: &Error) -> Option<(Vec<Subject>, Vec<String>)> {
    let is_host = word == HOST && error.is::<exit::NotSeen>() && stopped::find(world, HOST).is_none();
    is_host.then(|| world.find(OsStr::new(FIRST)).ok()).flatten()
}
