//! Bytes read and written, limits of devices, and huge pages.

use nix::errno::Errno;
use serde::Serialize;

use super::reader::{Own, Reader, shown};
use crate::access::memory;
use crate::isolation::cgroup::chain::Place;
use crate::proc::number;
use crate::text;

#[derive(Serialize, Debug, Default)]
pub(in crate::applets::ctr_inspect) struct Io {
    pub read_bytes: Option<u64>,
    pub write_bytes: Option<u64>,
    /// `cgroup`, or `processes`: a sum without processes that have ended.
    pub source: Option<&'static str>,
    /// Null if they cannot be read.
    pub limits: Option<Vec<DeviceLimit>>,
}

#[derive(Serialize, Debug, Clone, PartialEq, Eq)]
pub(in crate::applets::ctr_inspect) struct DeviceLimit {
    pub device: String,
    /// `rbps`, `wbps`, `riops`, `wiops`.
    pub kind: &'static str,
    pub limit: u64,
    pub by: String,
}

#[derive(Serialize, Debug)]
pub(in crate::applets::ctr_inspect) struct Huge {
    pub size: String,
    pub usage: Option<u64>,
    pub limit: Option<u64>,
    pub limit_by: Option<String>,
}

impl Reader<'_> {
    pub(super) fn io(&self) -> Io {
        let own = self.own_group("io").filter(|own| own.place.v2);
        let v1 = self.own_group("blkio").filter(|own| !own.place.v2);
        let controller = if v1.is_some() { "blkio" } else { "io" };
        // A copy has no process whose files could be summed up instead.
        if self.unknown.is_copy() && self.known_group(controller, "limits.io").is_err() {
            return Io::default();
        }
        let limits = own.as_ref().or(v1.as_ref()).map(|own| device_limits(&own.place));
        let limits = Some(limits.unwrap_or_default());
        let counted = match (&own, &v1) {
            (_, Some(own)) | (Some(own), None) => own.place.disk_bytes(),
            (None, None) => None,
        };
        // v1 attributes no write-back, and newer kernels count only where there is a limit.
        match counted.filter(|(read, written)| read + written > 0 || v1.is_none()) {
            Some((read, written)) => {
                Io { read_bytes: Some(read), write_bytes: Some(written), source: Some("cgroup"), limits }
            }
            None => Io { limits, ..self.io_of_processes() },
        }
    }

    fn io_of_processes(&self) -> Io {
        let (read, written) = match memory::disk_bytes(self.world.proc, &self.members) {
            Ok(sums) => sums,
            Err(errno) => {
                let path = "limits.io";
                match errno {
                    Errno::EACCES => self.unknown.refused(path, "read what processes read and write"),
                    Errno::ENOENT if !self.unknown.is_live(path) => {}
                    Errno::ETIMEDOUT => self.unknown.add(path, "a process does not end its execve(2)"),
                    other => self.unknown.add(path, other.desc()),
                }
                return Io::default();
            }
        };
        let source = Some("processes");
        Io { read_bytes: Some(read), write_bytes: Some(written), source, limits: None }
    }

    /// None for a copy without the files. Not every kernel has the controller.
    pub(super) fn hugetlb(&self) -> Option<Vec<Huge>> {
        let Some(Own { place, .. }) = self.own_group("hugetlb") else { return Some(Vec::new()) };
        if self.unknown.is_copy() && self.known_group("hugetlb", "limits.hugetlb").is_err() {
            return None;
        }
        let (limit_end, usage_end) =
            if place.v2 { ("max", "current") } else { ("limit_in_bytes", "usage_in_bytes") };
        let entries = place.entries();
        let mut all = Vec::new();
        // A directory with such a name is a group.
        let files = entries.iter().filter(|entry| !entry.is_directory);
        for name in files.filter_map(|entry| entry.name.to_str()) {
            let size = name.strip_prefix("hugetlb.").and_then(|rest| rest.strip_suffix(limit_end));
            let Some(size) = size.and_then(|size| size.strip_suffix('.')).filter(|size| !size.contains('.'))
            else {
                continue;
            };
            let usage = place.number(&format!("hugetlb.{size}.{usage_end}"));
            let limit_file = format!("hugetlb.{size}.{limit_end}");
            let least = place.least(|place| place.number(&limit_file).filter(|limit| *limit < 1 << 62));
            if least.is_some() || usage.is_some_and(|usage| usage > 0) {
                let (limit, limit_by) = least.map(|least| (least.value, shown(&least.place))).unzip();
                all.push(Huge { size: size.to_owned(), usage, limit, limit_by });
            }
        }
        Some(all)
    }
}

/// For each device and kind the least limit of the group and those above.
fn device_limits(place: &Place) -> Vec<DeviceLimit> {
    let mut all: Vec<DeviceLimit> = Vec::new();
    for place in place.chain() {
        for found in limits_here(&place) {
            let known =
                all.iter_mut().find(|known| (&known.device, known.kind) == (&found.device, found.kind));
            match known {
                Some(known) if known.limit < found.limit => {}
                Some(known) => *known = found,
                None => all.push(found),
            }
        }
    }
    all
}

fn limits_here(place: &Place) -> Vec<DeviceLimit> {
    const V1: [(&str, &str); 4] = [
        ("blkio.throttle.read_bps_device", "rbps"),
        ("blkio.throttle.write_bps_device", "wbps"),
        ("blkio.throttle.read_iops_device", "riops"),
        ("blkio.throttle.write_iops_device", "wiops"),
    ];
    let mut all = Vec::new();
    let mut add = |device: &[u8], kind: &'static str, limit: &[u8]| {
        let device = text::utf8(device).into_owned();
        all.extend(number(limit).map(|limit| DeviceLimit { device, kind, limit, by: shown(place) }));
    };
    if place.v2 {
        let text = place.read("io.max").unwrap_or_default();
        for line in text.split(|&b| b == b'\n') {
            let mut words = line.split(|&b| b == b' ');
            let device = words.next().unwrap_or_default();
            for word in words {
                for (_, kind) in V1 {
                    let value = word.strip_prefix(kind.as_bytes()).and_then(|value| value.strip_prefix(b"="));
                    value.into_iter().for_each(|value| add(device, kind, value));
                }
            }
        }
        return all;
    }
    for (file, kind) in V1 {
        let text = place.read(file).unwrap_or_default();
        for line in text.split(|&b| b == b'\n') {
            let mut words = line.split(|&b| b == b' ');
            if let (Some(device), Some(value)) = (words.next(), words.next()) {
                add(device, kind, value);
            }
        }
    }
    all
}
