//! The bytes that a group read from disks and wrote there.

use std::collections::BTreeMap;

use super::chain::Place;
use crate::proc::number;

impl Place {
    /// The bytes read and written, by this group and those below it.
    #[must_use]
    pub(crate) fn disk_bytes(&self) -> Option<(u64, u64)> {
        self.with(self.disk_file(), |text| if self.v2 { v2_bytes(text) } else { v1_bytes(text) })
    }

    fn disk_file(&self) -> &'static str {
        if self.v2 { "io.stat" } else { "blkio.throttle.io_service_bytes_recursive" }
    }

    /// The same for each device, by its numbers: `8:0`.
    #[must_use]
    pub(crate) fn disk_bytes_of_each(&self) -> BTreeMap<Vec<u8>, (u64, u64)> {
        let mut all: BTreeMap<Vec<u8>, (u64, u64)> = BTreeMap::new();
        let text = self.read(self.disk_file()).unwrap_or_default();
        for line in text.split(|&b| b == b'\n') {
            let Some(device) = line.split(|&b| b == b' ').next().filter(|word| word.contains(&b':')) else {
                continue;
            };
            let (read, written) = if self.v2 { v2_bytes(line) } else { v1_bytes(line) };
            let known = all.entry(device.to_vec()).or_default();
            *known = (known.0.saturating_add(read), known.1.saturating_add(written));
        }
        all
    }
}

/// `8:0 rbytes=1 wbytes=2 …`: the bytes read and written.
fn v2_bytes(text: &[u8]) -> (u64, u64) {
    let sum = |key: &[u8]| {
        let values = text.split(u8::is_ascii_whitespace).filter_map(|word| word.strip_prefix(key));
        values.filter_map(number::<u64>).fold(0, u64::saturating_add)
    };
    (sum(b"rbytes="), sum(b"wbytes="))
}

/// `8:0 Read 1`: the bytes read and written.
fn v1_bytes(text: &[u8]) -> (u64, u64) {
    let sum = |kind: &[u8]| {
        let lines = text.split(|&b| b == b'\n').map(|line| line.split(|&b| b == b' '));
        let of_kind =
            lines.filter_map(|mut words| (words.nth(1)? == kind).then(|| number::<u64>(words.next()?))?);
        of_kind.fold(0, u64::saturating_add)
    };
    (sum(b"Read"), sum(b"Write"))
}

#[cfg(any(test, fuzzing))]
pub(super) fn fuzz(text: &[u8]) {
    _ = (v1_bytes(text), v2_bytes(text));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_all_devices() {
        assert_eq!(v2_bytes(b"8:0 rbytes=1 wbytes=2 rios=3\n8:16 rbytes=10 wbytes=20\n"), (11, 22));
        let v1 = b"8:0 Read 1\n8:0 Write 2\n8:0 Total 3\n8:16 Read 10\n8:16 Write 20\nTotal 33";
        assert_eq!(v1_bytes(v1), (11, 22));
    }
}
