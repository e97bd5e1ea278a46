//! `ctrbox` is one program of many names, called applets. Linked to an applet's name it is that applet; the
//! name can also be its first argument. It is linked statically and needs no other file, no daemon and no
//! container tooling: copied to a Linux host it shows the containers there and lets one work in them.
//!
//! A container is only a process with namespaces, control groups and a root directory of its own. The
//! kernel tells all of these, and a few files of the container runtimes tell the names.
//!
//! # Exit status
//!
//! That of the applet. 127 if there is no applet of that name, 0 for `--list`, `--help` and `--version`, 1
//! if what they print cannot be written.
//!
//! # Examples
//!
//! Link every applet next to the binary:
//!
//! ```text
//! for a in $(ctrbox --list); do ln -s ctrbox /usr/local/bin/$a; done
//! ```
//!
//! # See also
//!
//! capsh(1), cgexec(1), ctr-inspect(1), ctr-ps(1), getpcaps(8), lsns(8), nsenter(1), unshare(1), namespaces(7), cgroups(7)

// Applets never import one another: what two need moves down, to `container`, `isolation` or `output`.
pub(crate) mod capsh;
pub(crate) mod cgexec;
pub(crate) mod ctr_inspect;
pub(crate) mod ctr_ps;
pub(crate) mod getpcaps;
pub(crate) mod lsns;
pub(crate) mod nsenter;
pub(crate) mod unshare;
