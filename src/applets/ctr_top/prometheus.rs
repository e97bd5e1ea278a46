//! One sample in the text format of Prometheus, version 0.0.4, with the names of cAdvisor.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::sample::{Counted, Disk, One, Sample};
use crate::output::Out;

struct Metric {
    name: &'static str,
    help: &'static str,
    kind: &'static str,
    /// A label that cAdvisor adds to this one.
    more: &'static str,
    value: fn(&One) -> Option<f64>,
    /// Where each interface or disk has a series of its own.
    each: Option<Each>,
    /// Is it a sum over processes? It goes down when one of them ends.
    is_sum: fn(&One) -> bool,
}

/// The name of an interface or a disk, and two counters of bytes.
type Part = (String, u64, u64);

struct Each {
    label: &'static str,
    /// The name of each, with the values of both metrics of this kind.
    values: fn(&One) -> Option<&[Part]>,
    value: fn(&Part) -> u64,
}

/// The name of each disk by its numbers: `8:0`.
pub(super) type Disks = BTreeMap<String, String>;

const fn counter(name: &'static str, help: &'static str, value: fn(&One) -> Option<f64>) -> Metric {
    Metric { name, help, kind: "counter", more: "", value, each: None, is_sum: |_| false }
}

const fn of_each_disk(metric: Metric, value: fn(&Part) -> u64) -> Metric {
    let each = Some(Each { label: "device", values: disks, value });
    Metric { each, is_sum: |one| matches!(one.disk, Some(Disk::Processes(..))), ..metric }
}

const fn of_each_interface(metric: Metric, value: fn(&Part) -> u64) -> Metric {
    Metric { each: Some(Each { label: "interface", values: interfaces, value }), ..metric }
}

const fn gauge(name: &'static str, help: &'static str, value: fn(&One) -> Option<f64>) -> Metric {
    Metric { name, help, kind: "gauge", more: "", value, each: None, is_sum: |_| false }
}

/// rate() takes it for a new start when a sum goes down, so that queries must be able to leave it out.
const SUM: &str = ",source=\"processes\"";

/// The period of the quota that is printed, in microseconds: only the share is known.
const PERIOD: f64 = 100_000.0;

#[expect(clippy::cast_precision_loss, reason = "the format has floating-point numbers")]
const fn float(number: u64) -> f64 {
    number as f64
}

static METRICS: [Metric; 24] = [
    Metric {
        more: ",cpu=\"total\"",
        is_sum: |one| matches!(one.cpu, Some(Counted::Processes(..))),
        ..counter("container_cpu_usage_seconds_total", "CPU time used.", |one| {
            whole(one.lacks.cpu, one.cpu.as_ref().map(Counted::seconds))
        })
    },
    counter("container_cpu_cfs_periods_total", "Periods of the CPU quota.", |one| {
        one.throttled.map(|throttled| float(throttled.periods))
    }),
    counter("container_cpu_cfs_throttled_periods_total", "Periods in which the quota was used up.", |one| {
        one.throttled.map(|throttled| float(throttled.throttled))
    }),
    counter("container_cpu_cfs_throttled_seconds_total", "Time throttled, summed over CPUs.", |one| {
        one.throttled?.seconds
    }),
    gauge("container_spec_cpu_period", "Period of the least CPU quota, in microseconds.", |one| {
        one.quota.value.map(|_| PERIOD)
    }),
    gauge("container_spec_cpu_quota", "Least CPU quota that applies, in microseconds in a period.", |one| {
        one.quota.value.map(|quota| (quota * PERIOD).round())
    }),
    gauge("container_memory_usage_bytes", "Memory in use, with all cache.", |one| {
        whole(one.lacks.memory, one.memory.usage.map(float))
    }),
    gauge("container_memory_working_set_bytes", "Memory in use, without inactive page cache.", |one| {
        whole(one.lacks.memory, one.memory.working_set.map(float))
    }),
    gauge("container_memory_rss", "Memory that belongs to no file, in bytes.", |one| {
        one.memory.anon.map(float)
    }),
    gauge("container_memory_cache", "Page cache, tmpfs included, in bytes.", |one| {
        one.memory.file.map(float)
    }),
    gauge("container_spec_memory_limit_bytes", "Least memory limit that applies, 0 without one.", |one| {
        Some(float(one.memory.limit.value.unwrap_or(0)))
    }),
    counter("container_oom_events_total", "Processes killed for lack of memory.", |one| {
        one.memory.oom_kills.map(float)
    }),
    gauge("container_processes", "Processes.", |one| Some(float(one.procs))),
    gauge("container_threads", "Processes and threads.", |one| whole(one.lacks.pids, one.pids.map(float))),
    gauge("container_threads_max", "Least limit of processes and threads, 0 without one.", |one| {
        Some(float(one.pids_limit.value.unwrap_or(0)))
    }),
    of_each_disk(
        counter("container_fs_reads_bytes_total", "Bytes read from disks.", |one| {
            whole(one.lacks.disk, one.disk.as_ref().map(|disk| float(disk.bytes().0)))
        }),
        |disk| disk.1,
    ),
    of_each_disk(
        counter("container_fs_writes_bytes_total", "Bytes written to disks.", |one| {
            whole(one.lacks.disk, one.disk.as_ref().map(|disk| float(disk.bytes().1)))
        }),
        |disk| disk.2,
    ),
    of_each_interface(
        counter(
            "container_network_receive_bytes_total",
            "Bytes received in a network namespace of its own.",
            |_| None,
        ),
        |interface| interface.1,
    ),
    of_each_interface(
        counter(
            "container_network_transmit_bytes_total",
            "Bytes sent in a network namespace of its own.",
            |_| None,
        ),
        |interface| interface.2,
    ),
    counter(
        "container_pressure_cpu_waiting_seconds_total",
        "Time in which a process waited for a CPU.",
        |one| waited(one, 0),
    ),
    counter(
        "container_pressure_memory_waiting_seconds_total",
        "Time in which a process waited for memory.",
        |one| waited(one, 1),
    ),
    counter(
        "container_pressure_io_waiting_seconds_total",
        "Time in which a process waited for input or output.",
        |one| waited(one, 2),
    ),
    gauge("container_paused", "1 if the container is paused.", |one| {
        one.paused.map(|paused| float(u64::from(paused)))
    }),
    gauge("container_own_cgroup", "1 if the control groups count for the container alone.", |one| {
        one.own.map(|own| float(u64::from(own)))
    }),
];

/// A sum that lacks processes is not printed: queries take it for the whole.
fn whole(lacks_some: bool, value: Option<f64>) -> Option<f64> {
    value.filter(|_| !lacks_some)
}

fn disks(one: &One) -> Option<&[Part]> {
    Some(&one.disks[..]).filter(|disks| !disks.is_empty())
}

fn interfaces(one: &One) -> Option<&[Part]> {
    one.net.as_ref().map(|net| &net.each[..])
}

fn waited(one: &One, resource: usize) -> Option<f64> {
    one.pressure.as_ref()?[resource].map(|(_, total)| float(total) / 1e6)
}

/// The host's own processes have the runtime `host`.
pub(super) fn print(out: &mut Out, sample: &Sample, disks: &Disks, is_partial: bool) {
    let mut seen = BTreeSet::new();
    let all = sample.containers.iter().chain(&sample.host).chain(&sample.services);
    // Two series with the same labels make the whole text invalid. Bytes that are no UTF-8 are shown as text that another
    // name can have.
    let labelled: Vec<(String, &One)> = all
        .filter_map(|one| {
            let labels = labels(one);
            let with_pid = format!("{labels},pid=\"{}\"", one.found.pid);
            let labels = [labels, with_pid].into_iter().find(|labels| seen.insert(labels.clone()));
            Some((labels?, one))
        })
        .collect();
    for metric in &METRICS {
        let mut text = String::new();
        for (labels, one) in &labelled {
            for (more, value) in metric.series(one, disks) {
                _ = writeln!(text, "{}{{{labels}{more}}} {value}", metric.name);
            }
        }
        if !text.is_empty() {
            let head = format!("# HELP {0} {1}\n# TYPE {0} {2}\n", metric.name, metric.help, metric.kind);
            out.push(head.as_bytes());
            out.push(text.as_bytes());
        }
    }
    let head = "# HELP container_scrape_error 1 if the rights of ctr-top hide containers of others.";
    let series =
        format!("# TYPE container_scrape_error gauge\ncontainer_scrape_error {}", u8::from(is_partial));
    out.push(format!("{head}\n{series}\n").as_bytes());
}

impl Metric {
    /// The last labels and the value of each series of a container.
    fn series(&self, one: &One, disks: &Disks) -> Vec<(String, f64)> {
        let of_each = self.each.as_ref().and_then(|each| Some((each, (each.values)(one)?)));
        if let Some((each, all)) = of_each {
            let series = |values: &Part| {
                let name = disks.get(&values.0).unwrap_or(&values.0);
                (format!(",{}=\"{}\"", each.label, escaped(name)), float((each.value)(values)))
            };
            let mut sums = BTreeMap::<String, f64>::new();
            all.iter().map(series).for_each(|(labels, value)| *sums.entry(labels).or_default() += value);
            return sums.into_iter().collect();
        }
        let sum = if (self.is_sum)(one) { SUM } else { "" };
        (self.value)(one).map(|value| (format!("{}{sum}", self.more), value)).into_iter().collect()
    }
}

fn labels(one: &One) -> String {
    let found = &one.found;
    let owner = found.owner.to_string();
    let runtime = if found.runtime.is_empty() { "host" } else { &found.runtime };
    let all = [
        ("runtime", Some(runtime)),
        ("name", Some(found.shown.as_str())),
        ("id", Some(found.id.as_str())),
        ("pod", found.pod.as_deref()),
        ("namespace", found.pod_namespace.as_deref()),
        ("image", found.image.as_deref()),
        // These tell apart what others can name alike.
        ("owner", Some(owner.as_str()).filter(|owner| *owner != "0")),
        ("outer", found.outer.as_deref()),
    ];
    let set =
        all.into_iter().filter_map(|(name, value)| Some((name, value.filter(|value| !value.is_empty())?)));
    set.map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect::<Vec<_>>().join(",")
}

/// The format escapes backslashes, quotes and newlines; other characters that a terminal obeys are shown as `\xNN`.
fn escaped(value: &str) -> String {
    crate::text::escape(value.as_bytes()).replace('\\', "\\\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applets::ctr_top::networks::Net;
    use crate::applets::ctr_top::processes::Used;
    use crate::applets::ctr_top::sample::Lacks;
    use crate::applets::ctr_top::scan::Found;

    fn printed(containers: Vec<One>) -> String {
        let mut out = Out::kept();
        let disks = [("8:0".to_owned(), "/dev/sda".to_owned())].into();
        print(&mut out, &Sample { containers, ..Sample::default() }, &disks, false);
        String::from_utf8(out.into_bytes()).expect("UTF-8")
    }

    #[test]
    fn a_hostile_name_stays_in_its_quotes() {
        let found = Found {
            shown: "a\"} 1\nb\\c\x1b[2J".to_owned(),
            runtime: "docker".to_owned(),
            ..Found::default()
        };
        let text =
            printed(vec![One { found: found.into(), cpu: Some(Counted::Group(1.5)), ..One::default() }]);
        let line = text.lines().find(|line| line.starts_with("container_cpu_usage")).expect("a sample");
        let expected = r#"container_cpu_usage_seconds_total{runtime="docker",name="a\"} 1\\x0ab\\c\\x1b[2J",cpu="total"} 1.5"#;
        assert_eq!(line, expected);
    }

    /// cAdvisor has these labels.
    #[test]
    fn interfaces_and_disks_have_a_series_each() {
        let found = Found { shown: "web".to_owned(), ..Found::default() };
        let each = vec![("eth0".to_owned(), 1, 2), ("a\"b".to_owned(), 3, 4)];
        let net = Some(Net { received: 4, sent: 6, each, ..Net::default() });
        let disks = vec![("8:0".to_owned(), 5, 6), ("9:9".to_owned(), 7, 8)];
        let one = One { found: found.into(), net, disk: Some(Disk::Group(12, 14)), disks, ..One::default() };
        let of_process = Used { pid: 1, start: 1, first: 12, second: 14 };
        let disk = Some(Disk::Processes(0.0, vec![of_process]));
        let summed = One { disks: Vec::new(), net: None, disk, ..one.clone() };
        let lines = |one| {
            let text = printed(vec![one]);
            let lines = text
                .lines()
                .filter(|line| line.starts_with("container_fs") || line.starts_with("container_net"));
            lines.map(|line| line.replace("runtime=\"host\",name=\"web\"", "")).collect::<Vec<_>>()
        };
        let expected = [
            r#"container_fs_reads_bytes_total{,device="/dev/sda"} 5"#,
            r#"container_fs_reads_bytes_total{,device="9:9"} 7"#,
            r#"container_fs_writes_bytes_total{,device="/dev/sda"} 6"#,
            r#"container_fs_writes_bytes_total{,device="9:9"} 8"#,
            r#"container_network_receive_bytes_total{,interface="a\"b"} 3"#,
            r#"container_network_receive_bytes_total{,interface="eth0"} 1"#,
            r#"container_network_transmit_bytes_total{,interface="a\"b"} 4"#,
            r#"container_network_transmit_bytes_total{,interface="eth0"} 2"#,
        ];
        assert_eq!(lines(one), expected);
        assert_eq!(
            lines(summed.clone()),
            [
                r#"container_fs_reads_bytes_total{,source="processes"} 12"#,
                r#"container_fs_writes_bytes_total{,source="processes"} 14"#
            ]
        );
        let lacks = Lacks { disk: true, ..Lacks::default() };
        assert!(lines(One { lacks, ..summed }).is_empty());
    }

    #[test]
    fn no_two_series_have_the_same_labels() {
        let found = Found { shown: "web".to_owned(), runtime: "docker".to_owned(), ..Found::default() };
        let one = One { found: found.into(), ..One::default() };
        let within = Found { outer: Some("lxc:a".to_owned()), ..(*one.found).clone() };
        let nested = One { found: within.into(), ..one.clone() };
        let each = vec![("\\xff".to_owned(), 1, 2), ("\\xff".to_owned(), 3, 4)];
        let nested = One { net: Some(Net { each, ..Net::default() }), ..nested };
        let text = printed(vec![one.clone(), one.clone(), one, nested]);
        let lines = |start: &str| text.lines().filter(|line| line.starts_with(start)).collect::<Vec<_>>();
        let processes = lines("container_processes{");
        assert_eq!(processes.len(), 3, "{text}");
        assert!(processes[1].contains(",pid=\"0\""), "{text}");
        let [received] = lines("container_network_receive_bytes_total{")[..] else { panic!("{text}") };
        assert!(received.ends_with("} 4"), "{received}");
    }
}
