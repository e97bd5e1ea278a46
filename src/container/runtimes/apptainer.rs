//! Apptainer and Singularity have state files of instances only. The title of the starter, which waits above a container,
//! names the image of each.

use nix::unistd::Pid;

use crate::access::Lines;
use crate::container::Files;
use crate::proc::ProcRoot;

/// The image that Apptainer's starter names in its title, without directories; for an instance its name. The starter
/// is a process of the user, and so is the container.
pub(in crate::container) fn image_of_starter(proc: &ProcRoot, files: &Files, starter: Pid) -> Option<String> {
    let user = proc.process(starter).status().ok()?.euid?;
    // A user can have any number of such processes, and block reads of their memory.
    let may_read = user == 0 || files.of_user(user).may_check("Apptainer's monitor");
    let line = may_read.then(|| Lines::one(proc, starter).ok())??;
    image_in_title(&String::from_utf8_lossy(&line))
}

/// `Apptainer runtime parent: IMAGE`, or `Apptainer instance: USER [NAME]`. The name has as much room as the arguments.
fn image_in_title(title: &str) -> Option<String> {
    let title = title.trim_end_matches(['\0', ' ']);
    let (what, value) = title.split_once(": ")?;
    let value = match what.split_once(' ')?.1 {
        "runtime parent" => value.trim_end_matches('/').rsplit('/').next()?,
        "instance" => value.strip_suffix(']')?.split_once(" [")?.1,
        _ => return None,
    };
    (!value.is_empty()).then(|| value.to_owned())
}

#[cfg(any(test, fuzzing))]
pub(super) fn fuzz(title: &str) {
    assert_ne!(image_in_title(title).as_deref(), Some(""));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_title_of_apptainers_starter_names_the_image() {
        for (title, image) in [
            ("Apptainer runtime parent: sb \0", Some("sb")),
            ("Apptainer runtime parent: /srv/my images/a b.sif   ", Some("a b.sif")),
            ("Singularity runtime parent: lolcow_latest.sif\0\0", Some("lolcow_latest.sif")),
            ("Apptainer runtime parent: instance://web", Some("web")),
            ("Apptainer instance: user [web]", Some("web")),
            ("Apptainer runtime parent", None),
            ("Apptainer runtime parent: /", None),
            ("/usr/bin/starter: x", None),
            ("", None),
        ] {
            assert_eq!(image_in_title(title).as_deref(), image, "{title}");
        }
    }
}
