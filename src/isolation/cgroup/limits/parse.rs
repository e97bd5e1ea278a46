//! Limits in the form of options: sizes, CPUs, devices.

use std::ffi::OsStr;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use anyhow::{Context, Result, anyhow, bail};
use nix::sys::stat::{major, minor};

use super::Setting;
use crate::text;

/// `512M`, `1.5G`, `1024`, `max`: in bytes, K means 1024.
pub fn size(word: &OsStr) -> Result<String> {
    let wrong = || anyhow!("'{}' is not a size (512M, 1.5G, max)", text::shown(word));
    let lower = word.to_str().ok_or_else(wrong)?.to_ascii_lowercase();
    if lower == "max" {
        return Ok(lower);
    }
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = &lower[digits.len()..];
    let unit = unit.strip_suffix("ib").or(unit.strip_suffix('b')).unwrap_or(unit);
    let power = match unit {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return Err(wrong()),
    };
    let scaled = scaled(digits, 1 << (10 * power)).ok_or_else(wrong)?;
    Ok(scaled.to_string())
}

/// A number, perhaps with a decimal point, times `unit`, rounded down.
fn scaled(digits: &str, unit: u64) -> Option<u64> {
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let number =
        |digits: &str| digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse::<u64>().ok())?;
    let whole = number(whole)?.checked_mul(unit)?;
    if part.is_empty() {
        return Some(whole).filter(|_| !digits.ends_with('.'));
    }
    if !part.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let part = part.get(..9).unwrap_or(part); // all ASCII digits, so a cut is safe
    let denominator = 10_u128.pow(u32::try_from(part.len()).ok()?);
    whole.checked_add(u64::try_from(u128::from(number(part)?) * u128::from(unit) / denominator).ok()?)
}

/// Thousandths of a percent, from `12.5%`.
pub(super) fn percent(word: &str) -> Option<u64> {
    scaled(word.strip_suffix('%')?, 1_000).filter(|part| (1..=100_000).contains(part))
}

/// The word itself if it is a percentage, see [`super::resolved`]. None if it has no percent sign.
fn share(word: &OsStr) -> Option<Result<String>> {
    let text = word.to_str().filter(|text| text.ends_with('%'))?;
    let wrong = || anyhow!("'{}' is not a percentage from 0.001% to 100%", text::escape(text.as_bytes()));
    Some(percent(text).map(|_| text.to_owned()).ok_or_else(wrong))
}

pub(crate) fn memory(word: &OsStr) -> Result<Setting> {
    Ok(Setting::new("memory.max", share(word).unwrap_or_else(|| size(word))?))
}

pub(crate) fn memory_high(word: &OsStr) -> Result<Setting> {
    Ok(Setting::new("memory.high", share(word).unwrap_or_else(|| size(word))?))
}

pub(crate) fn swap_max(word: &OsStr) -> Result<Setting> {
    Ok(Setting::new("memory.swap.max", size(word)?))
}

/// The period of a CPU quota, and the least quota of the kernel, in microseconds.
pub(super) const PERIOD: u64 = 100_000;
pub(super) const LEAST_QUOTA: u64 = 1_000;

/// `1.5` CPUs in a period of 100 ms; the kernel's minimum is 1 ms.
pub fn cpus(word: &OsStr) -> Result<Setting> {
    let wrong = || anyhow!("'{}' is not a number of CPUs (0.5, 2, max)", text::shown(word));
    let text = word.to_str().ok_or_else(wrong)?;
    if text == "max" {
        return Ok(Setting::new("cpu.max", format!("max {PERIOD}")));
    }
    if let Some(share) = share(word) {
        return Ok(Setting::new("cpu.max", share?));
    }
    let quota = scaled(text, PERIOD).ok_or_else(wrong)?;
    if quota < LEAST_QUOTA {
        bail!("'{text}' CPUs are too few: the minimum is 0.01");
    }
    Ok(Setting::new("cpu.max", format!("{quota} {PERIOD}")))
}

pub fn cpu_weight(word: &OsStr) -> Result<Setting> {
    let weight = word.to_str().and_then(|word| word.parse::<u32>().ok());
    match weight.filter(|weight| (1..=10_000).contains(weight)) {
        Some(weight) => Ok(Setting::new("cpu.weight", weight.to_string())),
        None => bail!("'{}' is not a weight from 1 to 10000", text::shown(word)),
    }
}

pub fn cpuset(word: &OsStr) -> Result<Setting> {
    let list = word.to_str().filter(|list| {
        list.split(',').all(|range| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let number = |digits: &str| digits.parse::<u32>().ok();
            matches!((number(first), number(last)), (Some(first), Some(last)) if first <= last)
        })
    });
    match list {
        Some(list) => Ok(Setting::new("cpuset.cpus", list)),
        None => bail!("'{}' is not a list of CPUs (0-1,4)", text::shown(word)),
    }
}

pub fn pids(word: &OsStr) -> Result<Setting> {
    match word.to_str() {
        Some(text) if text == "max" || text.parse::<u32>().is_ok() => Ok(Setting::new("pids.max", text)),
        _ => bail!("'{}' is not a number of processes", text::shown(word)),
    }
}

/// `DEV:rbps=10M,wiops=100`, where DEV is a path or `MAJOR:MINOR`.
pub fn io_max(word: &OsStr) -> Result<Setting> {
    let wrong = || anyhow!("'{}' is not DEVICE:rbps=SIZE,wbps=SIZE,riops=N,wiops=N", text::shown(word));
    let (device, limits) = word.to_str().and_then(|text| text.rsplit_once(':')).ok_or_else(wrong)?;
    let mut value = device_number(device)?;
    for limit in limits.split(',') {
        let (key, number) = limit.split_once('=').ok_or_else(wrong)?;
        if !["rbps", "wbps", "riops", "wiops"].contains(&key) {
            return Err(wrong());
        }
        value += &format!(" {key}={}", size(OsStr::new(number))?);
    }
    Ok(Setting::new("io.max", value))
}

fn device_number(device: &str) -> Result<String> {
    let number = |digits: &str| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    if device.split_once(':').is_some_and(|(major, minor)| number(major) && number(minor)) {
        return Ok(device.to_owned());
    }
    let shown = text::escape(device.as_bytes());
    let meta = std::fs::metadata(device).with_context(|| format!("cannot find the device {shown}"))?;
    if !meta.file_type().is_block_device() {
        bail!("{shown} is not a block device");
    }
    Ok(format!("{}:{}", major(meta.rdev()), minor(meta.rdev())))
}

/// `SIZE`, for the default huge page size of the kernel, or `2M:SIZE`.
pub fn hugetlb(word: &OsStr) -> Result<Setting> {
    let text = word.to_str().unwrap_or_default();
    let (page, limit) = match text.split_once(':') {
        Some((page, limit)) => (size(OsStr::new(page))?.parse::<u64>().context("not a page size")?, limit),
        None => (preferred_page().context("this kernel has no huge pages")?, text),
    };
    let name = match page {
        page if page >= 1 << 30 => format!("{}GB", page >> 30),
        page if page >= 1 << 20 => format!("{}MB", page >> 20),
        page => format!("{}KB", page >> 10),
    };
    Ok(Setting::new(format!("hugetlb.{name}.max"), size(OsStr::new(limit))?))
}

fn preferred_page() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let kilobytes = text.lines().find_map(|line| line.strip_prefix("Hugepagesize:"))?;
    Some(kilobytes.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10)
}

/// `FILE=VALUE`
pub fn raw(word: &OsStr) -> Result<Setting> {
    let pair = word.to_str().and_then(|text| text.split_once('='));
    let pair = pair.filter(|(file, _)| file.contains('.') && !file.contains('/') && !file.starts_with('.'));
    let (file, value) = pair.ok_or_else(|| anyhow!("'{}' is not FILE=VALUE", text::shown(word)))?;
    Ok(Setting::new(file, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of(word: &str) -> Option<String> {
        size(OsStr::new(word)).ok()
    }

    #[test]
    fn sizes() {
        for (word, bytes) in [
            ("0", "0"),
            ("4096", "4096"),
            ("1k", "1024"),
            ("512M", "536870912"),
            ("1.5G", "1610612736"),
            ("2GiB", "2147483648"),
            ("10mb", "10485760"),
            ("max", "max"),
            ("0.5k", "512"),
            ("1P", "1125899906842624"),
        ] {
            assert_eq!(bytes_of(word).as_deref(), Some(bytes), "{word}");
        }
        for word in ["1.12345678é", "1.12345678éK", "é", "1é", "1.é", "1.1234567890x", "1.٣"] {
            assert_eq!(bytes_of(word), None, "{word}");
        }
        for word in ["", "M", "1.", ".5M", "-1", "+1", "1x", "1 M", "1e3", "99999999999G", "1.x", "infinity"]
        {
            assert_eq!(bytes_of(word), None, "{word}");
        }
    }

    fn value(setting: Result<Setting>) -> Result<String, ()> {
        setting.map(|setting| format!("{}={}", setting.file, setting.value)).map_err(|_| ())
    }

    #[test]
    fn options_set_files_of_v2() {
        let word = OsStr::new;
        assert_eq!(value(cpus(word("1.5"))), Ok("cpu.max=150000 100000".into()));
        assert_eq!(value(cpus(word("0.01"))), Ok("cpu.max=1000 100000".into()));
        assert_eq!(value(cpus(word("0.001"))), Err(()));
        assert_eq!(value(cpus(word("x"))), Err(()));
        assert_eq!(value(cpus(word("1.12345678é"))), Err(()));
        assert_eq!(value(cpu_weight(word("10000"))), Ok("cpu.weight=10000".into()));
        assert_eq!(value(cpu_weight(word("0"))), Err(()));
        assert_eq!(value(cpuset(word("0-1,4"))), Ok("cpuset.cpus=0-1,4".into()));
        for wrong in ["", "1-0", "a", "1,", "1-2-3", "-1"] {
            assert_eq!(value(cpuset(word(wrong))), Err(()), "{wrong}");
        }
        assert_eq!(value(pids(word("50"))), Ok("pids.max=50".into()));
        assert_eq!(value(pids(word("-1"))), Err(()));
        assert_eq!(
            value(io_max(word("8:16:rbps=10M,wiops=max"))),
            Ok("io.max=8:16 rbps=10485760 wiops=max".into())
        );
        for wrong in ["8:16", "/dev/null:rbps=1", "8:16:x=1", "/no/such:rbps=1", "8:16:rbps"] {
            assert_eq!(value(io_max(word(wrong))), Err(()), "{wrong}");
        }
        assert_eq!(value(hugetlb(word("2M:1G"))), Ok("hugetlb.2MB.max=1073741824".into()));
        assert_eq!(value(hugetlb(word("1G:max"))), Ok("hugetlb.1GB.max=max".into()));
        assert_eq!(value(raw(word("memory.oom.group=1"))), Ok("memory.oom.group=1".into()));
        for wrong in ["memory.max", "x=1", "../memory.max=1", "a/b.c=1", "=1", ".x=1"] {
            assert_eq!(value(raw(word(wrong))), Err(()), "{wrong}");
        }
    }
}
