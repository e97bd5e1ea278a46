//! The options of a mounted overlayfs.

use std::os::unix::ffi::OsStrExt;

use serde::Serialize;

use super::mountinfo::unescape;
use crate::text;

#[derive(Serialize, Debug, Default, PartialEq, Eq)]
pub(crate) struct Overlay {
    pub upper: Option<String>,
    pub work: Option<String>,
    pub lower: Vec<String>,
    /// Did a user mount it? Then the paths are what that user says, in a view of the files that the user made.
    pub claimed: bool,
}

/// The layers, from the options of an overlay.
#[must_use]
pub(crate) fn overlay(options: &[u8]) -> Overlay {
    let mut found = Overlay::default();
    for option in options.split(|&b| b == b',') {
        let Some(equals) = option.iter().position(|&b| b == b'=') else { continue };
        let value = &option[equals + 1..];
        let path = |raw: &[u8]| text::utf8(unescape(raw).as_os_str().as_bytes()).into_owned();
        match &option[..equals] {
            b"upperdir" => found.upper = Some(path(value)),
            b"workdir" => found.work = Some(path(value)),
            b"lowerdir" => found.lower.extend(colon_list(value).iter().map(|raw| path(raw))),
            // Newer kernels show each layer as an option.
            b"lowerdir+" | b"datadir+" => found.lower.push(path(value)),
            _ => {}
        }
    }
    found
}

/// The parts between colons; a colon in a path has a backslash before it.
fn colon_list(text: &[u8]) -> Vec<Vec<u8>> {
    let mut parts = vec![Vec::new()];
    let mut bytes = text.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' if bytes.peek() == Some(&b':') => {
                bytes.next();
                parts.iter_mut().last().into_iter().for_each(|part| part.push(b':'));
            }
            b':' => parts.push(Vec::new()),
            byte => parts.iter_mut().last().into_iter().for_each(|part| part.push(byte)),
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_of_an_overlay() {
        let found = overlay(b"rw,lowerdir=/a\\:b:/c,upperdir=/u\\040x,workdir=/w");
        assert_eq!(found.lower, ["/a:b", "/c"]);
        assert_eq!((found.upper.as_deref(), found.work.as_deref()), (Some("/u x"), Some("/w")));
        assert_eq!(overlay(b"rw,lowerdir+=/a,lowerdir+=/b").lower, ["/a", "/b"]);
    }
}
