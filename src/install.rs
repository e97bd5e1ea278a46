//! `ctrbox --install DIR [APPLET...]`: links to this binary.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};

use crate::cli::Applet;
use crate::exit::{Exit, Outcome, warn};
use crate::launch::self_exe;
use crate::text;

const BOX: &str = "ctrbox";

/// Makes the links that are missing. A file that is no link to this binary stays, and is a failure.
pub(crate) fn run(applets: &[&Applet], args: &[OsString]) -> Outcome {
    let Some((directory, names)) = args.split_first() else {
        return Err(Exit::Usage(format!("{BOX}: option '--install' requires an argument")));
    };
    let names = chosen(applets, names)?;
    let directory = Path::new(directory);
    std::fs::create_dir_all(directory).with_context(|| text::shown(directory.as_os_str()).to_string())?;
    let target = target_from(directory)?;
    let mut status = 0;
    for name in names {
        if let Err(error) = link(&target, &directory.join(name)) {
            warn(BOX, &crate::errno::chain(&error));
            status = 1;
        }
    }
    Ok(status)
}

fn chosen(applets: &[&Applet], names: &[OsString]) -> Result<Vec<&'static str>, Exit> {
    let find = |name: &OsString| {
        let found = applets.iter().find(|applet| name.as_bytes() == applet.name.as_bytes());
        found.map(|applet| applet.name).ok_or_else(|| no_applet(applets, name))
    };
    match names {
        [] => Ok(applets.iter().map(|applet| applet.name).collect()),
        _ => names.iter().map(find).collect(),
    }
}

/// What the links contain: the name alone beside the binary, so that the directory can be moved; else its path.
fn target_from(directory: &Path) -> Result<PathBuf> {
    let own = self_exe::path().context("cannot find this binary")?;
    if !own.exists() {
        bail!("this binary has no file: {}", text::shown(own.as_os_str()));
    }
    let directory =
        directory.canonicalize().with_context(|| text::shown(directory.as_os_str()).to_string())?;
    match own.file_name() {
        Some(name) if own.parent() == Some(&directory) => Ok(PathBuf::from(name)),
        _ => Ok(own),
    }
}

fn link(target: &Path, path: &Path) -> Result<()> {
    if std::fs::read_link(path).is_ok_and(|there| there == target) {
        return Ok(());
    }
    symlink(target, path).with_context(|| text::shown(path.as_os_str()).to_string())
}

pub(crate) fn no_applet(applets: &[&Applet], name: &OsStr) -> Exit {
    let shown = text::shown(name);
    let hint = text::nearest(&name.to_string_lossy(), applets.iter().map(|applet| applet.name))
        .map(|near| format!(", did you mean '{near}'?"))
        .unwrap_or_default();
    Exit::from(anyhow!("no applet '{shown}'{hint} ('{BOX} --list' lists them)"))
}
