//! Limits: named as on v2, and translated to v1.

mod parse;

use std::ffi::OsStr;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};

use super::hierarchy::Hierarchies;

use parse::{LEAST_QUOTA, PERIOD, percent};
pub use parse::{cpu_weight, cpus, cpuset, hugetlb, io_max, pids, raw, size};
pub(crate) use parse::{memory, memory_high, swap_max};

/// A control file, with its v2 or v1 name, and the value to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    pub file: String,
    pub value: String,
}

impl Setting {
    #[must_use]
    pub fn new(file: impl Into<String>, value: impl Into<String>) -> Setting {
        Setting { file: file.into(), value: value.into() }
    }
}

/// A setting with the names of this host, and the controller of the group it is written in (empty: v2 itself).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Write {
    pub controller: String,
    pub setting: Setting,
}

type Translate = fn(&str, &[Setting]) -> Result<Vec<Setting>>;

/// A row: a file of v2, its default value, and the controller and files of v1 with the same meaning, if there are
/// any.
struct Row {
    file: &'static str,
    unset: &'static str,
    v1: Option<(&'static str, Translate)>,
}

const TABLE: [Row; 14] = [
    Row {
        file: "memory.max",
        unset: "max",
        v1: Some(("memory", |v, _| Ok(one("memory.limit_in_bytes", bytes(v))))),
    },
    Row { file: "memory.swap.max", unset: "max", v1: Some(("memory", swap)) },
    Row { file: "memory.high", unset: "max", v1: None },
    Row { file: "memory.low", unset: "0", v1: None },
    Row { file: "memory.min", unset: "0", v1: None },
    Row { file: "cpu.max", unset: "max 100000", v1: Some(("cpu", quota)) },
    Row { file: "cpu.weight", unset: "100", v1: Some(("cpu", shares)) },
    Row { file: "cpu.idle", unset: "0", v1: Some(("cpu", |v, _| Ok(one("cpu.idle", v)))) },
    Row { file: "cpuset.cpus", unset: "", v1: Some(("cpuset", |v, _| Ok(one("cpuset.cpus", v)))) },
    Row { file: "cpuset.mems", unset: "", v1: Some(("cpuset", |v, _| Ok(one("cpuset.mems", v)))) },
    Row { file: "pids.max", unset: "max", v1: Some(("pids", |v, _| Ok(one("pids.max", v)))) },
    Row { file: "io.max", unset: "", v1: Some(("blkio", throttle)) },
    Row { file: "io.weight", unset: "default 100", v1: None },
    Row { file: "io.latency", unset: "", v1: None },
];

/// Does the group have a limit of this controller that differs from the default?
#[must_use]
pub(crate) fn limited(group: &Path, controller: &str) -> bool {
    let prefix = format!("{controller}.");
    if controller == "hugetlb" {
        let entries = crate::sys::directory::list(group).unwrap_or_default();
        let mut names = entries.into_iter().filter_map(|entry| entry.name.into_string().ok());
        return names.by_ref().filter(|name| name.starts_with(&prefix) && name.ends_with(".max")).any(
            |name| std::fs::read_to_string(group.join(name)).is_ok_and(|text| text.trim_end() != "max"),
        );
    }
    let rows = TABLE.iter().filter(|row| row.file.starts_with(&prefix));
    let mut values = rows.map(|row| (row, std::fs::read_to_string(group.join(row.file))));
    values.any(|(row, text)| text.is_ok_and(|text| text.trim_end() != row.unset))
}

/// The settings with a number in place of each percentage. `allowed`: the whole, in bytes or in microseconds of CPU time
/// for each 100 ms.
pub(crate) fn resolved(settings: &[Setting], allowed: impl Fn(&str) -> Result<u64>) -> Result<Vec<Setting>> {
    let number = |setting: &Setting| {
        let is_share = ["memory.max", "memory.high", "cpu.max"].contains(&setting.file.as_str());
        let Some(part) = percent(&setting.value).filter(|_| is_share) else { return Ok(setting.clone()) };
        let share = u128::from(allowed(&setting.file)?) * u128::from(part) / 100_000;
        match setting.file.as_str() {
            "cpu.max" if share < u128::from(LEAST_QUOTA) => {
                bail!("{} of the CPU time are too few: the minimum is 0.01 CPUs", setting.value)
            }
            "cpu.max" => Ok(Setting::new(&setting.file, format!("{share} {PERIOD}"))),
            _ => Ok(Setting::new(&setting.file, share.to_string())),
        }
    };
    settings.iter().map(number).collect()
}

/// The settings with the names of this host.
pub(crate) fn here(host: &Hierarchies, settings: &[Setting]) -> Result<Vec<Write>> {
    let version = |controller: &str| host.hierarchy_of(controller).map(super::Hierarchy::is_v2);
    let unknown = |controller: &str| host.groups(controller, Path::new(""), None).err();
    translate(settings, &version).map_err(|(error, controller)| {
        controller
            .and_then(|name| unknown(&name))
            .map_or(error, |mounted| mounted.context("no such limit here"))
    })
}

type Failure = (anyhow::Error, Option<String>);

/// `version` returns whether a controller is on v2; None if it is not mounted.
fn translate(settings: &[Setting], version: &dyn Fn(&str) -> Option<bool>) -> Result<Vec<Write>, Failure> {
    let mut writes = Vec::new();
    for setting in settings {
        let prefix = setting.file.split('.').next().unwrap_or_default();
        let controller = if prefix == "cgroup" { "" } else { prefix };
        let raw = || Write { controller: controller.to_owned(), setting: setting.clone() };
        let row = TABLE.iter().find(|row| row.file == setting.file);
        match (version(controller), row.map(|row| row.v1)) {
            (Some(true), _) => writes.push(raw()),
            (_, Some(Some((v1, translate)))) if version(v1) == Some(false) => {
                let found = translate(&setting.value, settings).map_err(|error| (error, None))?;
                writes.extend(found.into_iter().map(|setting| Write { controller: v1.to_owned(), setting }));
            }
            (Some(false), Some(None)) => {
                let file = &setting.file;
                return Err((
                    anyhow!("{file} exists only on v2, but controller {prefix} is mounted on v1 here"),
                    None,
                ));
            }
            (Some(false), _) => writes.push(match huge_page(&setting.file) {
                Some(page) => Write {
                    controller: controller.to_owned(),
                    setting: Setting::new(format!("hugetlb.{page}.limit_in_bytes"), bytes(&setting.value)),
                },
                None => raw(),
            }),
            (None, _) => {
                let error = anyhow!("{}: no such controller here", setting.file);
                return Err((error, Some(controller.to_owned())));
            }
        }
    }
    Ok(writes)
}

fn one(file: &str, value: impl Into<String>) -> Vec<Setting> {
    vec![Setting::new(file, value)]
}

/// v1 uses -1 for no limit.
fn bytes(value: &str) -> &str {
    if value == "max" { "-1" } else { value }
}

/// `2MB` in `hugetlb.2MB.max`
fn huge_page(file: &str) -> Option<&str> {
    file.strip_prefix("hugetlb.")?.strip_suffix(".max")
}

/// v1 limits memory and swap together.
fn swap(value: &str, all: &[Setting]) -> Result<Vec<Setting>> {
    const FILE: &str = "memory.memsw.limit_in_bytes";
    if value == "max" {
        return Ok(one(FILE, "-1"));
    }
    let memory = all.iter().find(|setting| setting.file == "memory.max" && setting.value != "max");
    let memory = memory
        .context("v1 limits memory and swap together: a swap limit requires a memory limit (-m) too")?;
    let number = |value: &str| size(OsStr::new(value))?.parse::<u64>().context("not a size");
    Ok(one(FILE, number(value)?.saturating_add(number(&memory.value)?).to_string()))
}

/// `QUOTA PERIOD`
fn quota(value: &str, _: &[Setting]) -> Result<Vec<Setting>> {
    let mut words = value.split_ascii_whitespace();
    let quota = words.next().unwrap_or("max");
    let period = words.next().unwrap_or("100000");
    let quota = if quota == "max" { "-1" } else { quota };
    Ok(vec![Setting::new("cpu.cfs_period_us", period), Setting::new("cpu.cfs_quota_us", quota)])
}

/// The default is 100 on v2 and 1024 on v1.
fn shares(value: &str, _: &[Setting]) -> Result<Vec<Setting>> {
    let weight: u64 = value.trim().parse().map_err(|_| anyhow!("cpu.weight '{value}' is not a number"))?;
    Ok(one("cpu.shares", (weight.saturating_mul(1024) / 100).clamp(2, 262_144).to_string()))
}

/// `8:0 rbps=1 wiops=2`: one file each; v1 uses 0 for no limit.
fn throttle(value: &str, _: &[Setting]) -> Result<Vec<Setting>> {
    let (device, limits) = value.split_once(' ').context("io.max needs a device and limits")?;
    let mut settings = Vec::new();
    for limit in limits.split_ascii_whitespace() {
        let (key, number) = limit.split_once('=').with_context(|| format!("io.max: '{limit}'"))?;
        let file = match key {
            "rbps" => "blkio.throttle.read_bps_device",
            "wbps" => "blkio.throttle.write_bps_device",
            "riops" => "blkio.throttle.read_iops_device",
            "wiops" => "blkio.throttle.write_iops_device",
            _ => bail!("io.max: '{key}' is not one of rbps, wbps, riops, wiops"),
        };
        let number = if number == "max" { "0" } else { number };
        settings.push(Setting::new(file, format!("{device} {number}")));
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All controllers on v1 except hugetlb, as on some hybrid hosts; no rdma.
    fn on_v1(settings: &[(&str, &str)]) -> Result<Vec<String>, String> {
        let settings: Vec<Setting> =
            settings.iter().map(|(file, value)| Setting::new(*file, *value)).collect();
        let version = |name: &str| match name {
            "memory" | "cpu" | "cpuset" | "pids" | "blkio" | "freezer" => Some(false),
            "hugetlb" | "" => Some(true),
            _ => None,
        };
        let shown =
            |write: Write| format!("{}: {}={}", write.controller, write.setting.file, write.setting.value);
        let writes = translate(&settings, &version).map_err(|(error, _)| format!("{error:#}"))?;
        Ok(writes.into_iter().map(shown).collect())
    }

    #[test]
    fn v2_settings_on_v1() {
        for (file, value, v1) in [
            ("memory.max", "512", &["memory: memory.limit_in_bytes=512"][..]),
            ("memory.max", "max", &["memory: memory.limit_in_bytes=-1"]),
            ("memory.swap.max", "max", &["memory: memory.memsw.limit_in_bytes=-1"]),
            ("cpu.max", "150000 100000", &["cpu: cpu.cfs_period_us=100000", "cpu: cpu.cfs_quota_us=150000"]),
            ("cpu.max", "max", &["cpu: cpu.cfs_period_us=100000", "cpu: cpu.cfs_quota_us=-1"]),
            ("cpu.weight", "100", &["cpu: cpu.shares=1024"]),
            ("cpu.weight", "1", &["cpu: cpu.shares=10"]),
            ("pids.max", "max", &["pids: pids.max=max"]),
            ("cpuset.mems", "0", &["cpuset: cpuset.mems=0"]),
            (
                "io.max",
                "8:0 rbps=5 wiops=max",
                &[
                    "blkio: blkio.throttle.read_bps_device=8:0 5",
                    "blkio: blkio.throttle.write_iops_device=8:0 0",
                ],
            ),
            ("memory.swappiness", "7", &["memory: memory.swappiness=7"]),
            ("hugetlb.2MB.max", "5", &["hugetlb: hugetlb.2MB.max=5"]),
            ("cgroup.max.depth", "5", &[": cgroup.max.depth=5"]),
        ] {
            assert_eq!(
                on_v1(&[(file, value)]),
                Ok(v1.iter().map(|&line| line.to_owned()).collect()),
                "{file}"
            );
        }
        assert_eq!(
            on_v1(&[("memory.max", "1M"), ("memory.swap.max", "1024")]).expect("both")[1],
            "memory: memory.memsw.limit_in_bytes=1049600"
        );
    }

    #[test]
    fn percentages_are_of_what_is_allowed() {
        let whole = |file: &str| Ok(if file == "cpu.max" { 250_000 } else { 1 << 30 });
        for (file, value, number) in [
            ("memory.max", "50%", "536870912"),
            ("memory.high", "12.5%", "134217728"),
            ("memory.max", "100%", "1073741824"),
            ("cpu.max", "50%", "125000 100000"),
            ("cpu.max", "max 100000", "max 100000"),
            ("memory.max", "max", "max"),
            ("io.weight", "50%", "50%"),
        ] {
            let found = resolved(&[Setting::new(file, value)], whole).expect("a number");
            assert_eq!(found, [Setting::new(file, number)]);
        }
        assert!(resolved(&[Setting::new("cpu.max", "0.1%")], whole).is_err());
        for word in ["0%", "101%", "%", "-1%", "1e1%", "5 %", "50%%"] {
            assert!(memory(OsStr::new(word)).is_err() && cpus(OsStr::new(word)).is_err(), "{word}");
        }
    }

    #[test]
    fn settings_without_a_v1_form_are_errors() {
        for (file, value) in [
            ("memory.high", "1"),
            ("io.weight", "5"),
            ("rdma.max", "x"),
            ("memory.swap.max", "5"),
            ("cpu.weight", "x"),
        ] {
            assert!(on_v1(&[(file, value)]).is_err(), "{file}");
        }
    }
}
