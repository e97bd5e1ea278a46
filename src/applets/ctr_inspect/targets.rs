//! What the words of a command line mean.

use std::ffi::{OsStr, OsString};

use super::stopped;
use crate::cli::Call;
use crate::container::details::Details;
use crate::container::world::{Subject, World};
use crate::exit::{self, warn};

/// What a word means.
pub(super) enum Found {
    Running(Subject),
    Stopped(Box<Details>),
}

/// The host as a target: its first process.
pub(super) const HOST: &str = "host";

/// What the words mean, each container and process once. Reports those that mean nothing.
pub(super) fn find(call: &Call, world: &World<'_>, words: &[OsString], status: &mut u8) -> Vec<Found> {
    let mut all: Vec<Found> = Vec::new();
    for word in words {
        world.hint_at_container(word);
        match world.find(word).or_else(|error| host(world, word).ok_or(error)) {
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

/// The host, if that is the word and no container has the name.
pub(super) fn host(world: &World<'_>, word: &OsStr) -> Option<(Vec<Subject>, Vec<String>)> {
    let is_stopped = || stopped::find(world, HOST).is_some_and(|found| found.is_ok());
    (word == HOST && !is_stopped()).then(|| world.find(OsStr::new("1")).ok()).flatten()
}
