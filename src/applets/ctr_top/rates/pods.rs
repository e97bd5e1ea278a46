//! The rows of pods, from those of their containers.

use super::{Cpu, Io, Lacks, Memory, Pids, Pressure, Row, share, tidy};
use crate::sys::keyed::HashMap;

/// One row for each pod, in place of its containers: the sums. The limits are those of the pod's group.
pub(in crate::applets::ctr_top) fn pods(containers: &[Row], host_memory: Option<u64>) -> Vec<Row> {
    let mut all: Vec<(&str, Vec<&Row>)> = Vec::new();
    let mut at: HashMap<&str, usize> = HashMap::default();
    for row in containers {
        let Some(key) = &row.pod_key else { continue };
        let at = *at.entry(key).or_insert_with(|| {
            all.push((key, Vec::new()));
            all.len() - 1
        });
        all[at].1.push(row);
    }
    all.into_iter().map(|(key, rows)| pod(key, &rows, host_memory)).collect()
}

/// The key of the row of a pod.
pub(in crate::applets::ctr_top) fn key_of_pod(pod_key: &str) -> String {
    format!("pod\0{pod_key}")
}

fn pod(key: &str, rows: &[&Row], host_memory: Option<u64>) -> Row {
    let first = rows[0];
    let sum = |value: fn(&Row) -> Option<f64>| {
        rows.iter().filter_map(|row| value(row)).reduce(|sum, one| sum + one)
    };
    let total =
        |value: fn(&Row) -> Option<u64>| rows.iter().filter_map(|row| value(row)).reduce(u64::saturating_add);
    let most = |value: fn(&Row) -> Option<f64>| rows.iter().filter_map(|row| value(row)).reduce(f64::max);
    // Only Kubernetes has a group for each pod.
    let own = first.pod_namespace.as_ref().map(|_| first.of_pod.clone()).unwrap_or_default();
    let (memory_limit, memory_by) = own.memory.unzip();
    let (cpus, cpus_by) = own.cpus.unzip();
    let (pids_limit, pids_by) = own.pids.unzip();
    let percent = sum(|row| row.cpu.percent).map(|percent| tidy(percent, 1e3));
    let working_set = total(|row| row.memory.working_set);
    let whole = memory_limit.or(host_memory);
    // The group with the quota can be that of the pod: then all have the same numbers.
    let worst = rows.iter().max_by(|one, other| {
        let key = |row: &Row| (row.throttled.percent.unwrap_or(-1.0), row.throttled.periods);
        key(one).partial_cmp(&key(other)).unwrap_or(std::cmp::Ordering::Equal)
    });
    let pod = first.pod.clone().unwrap_or_default();
    let shown = match &first.pod_namespace {
        Some(namespace) => format!("{namespace}/{pod}"),
        None => pod,
    };
    let runtime = first.runtime.clone().unwrap_or_default();
    let label = format!("{runtime}:{shown}");
    Row {
        container: match &first.outer {
            Some(outer) => format!("{outer}/{label}"),
            None => label,
        },
        runtime: first.runtime.clone(),
        name: Some(shown),
        pod: first.pod.clone(),
        pod_namespace: first.pod_namespace.clone(),
        outer: first.outer.clone(),
        status: if rows.iter().all(|row| row.status == "paused") { "paused" } else { "running" },
        own_cgroup: rows.iter().map(|row| row.own_cgroup).min().flatten(),
        procs: rows.iter().map(|row| row.procs).sum(),
        cpu: Cpu {
            percent,
            of_limit: percent.zip(cpus).and_then(|(percent, limit)| share(percent, limit * 100.0)),
            limit: cpus,
            limit_by: cpus_by,
            seconds: sum(|row| row.cpu.seconds),
        },
        throttled: worst.map(|row| row.throttled.clone()).unwrap_or_default(),
        memory: Memory {
            usage: total(|row| row.memory.usage),
            working_set,
            limit: memory_limit,
            limit_by: memory_by,
            percent: working_set.zip(whole).and_then(|(used, whole)| share(used as f64, whole as f64)),
            anon: total(|row| row.memory.anon),
            file: total(|row| row.memory.file),
            shmem: total(|row| row.memory.shmem),
            oom_kills: total(|row| row.memory.oom_kills),
        },
        pids: Pids { current: total(|row| row.pids.current), limit: pids_limit, limit_by: pids_by },
        io: Io {
            read_rate: sum(|row| row.io.read_rate),
            write_rate: sum(|row| row.io.write_rate),
            read_bytes: total(|row| row.io.read_bytes),
            write_bytes: total(|row| row.io.write_bytes),
            // The sum is as exact as its least exact part.
            source: rows.iter().filter_map(|row| row.io.source).max(),
        },
        net: rows.iter().find_map(|row| row.net.clone()),
        pressure: rows.iter().any(|row| row.pressure.is_some()).then(|| Pressure {
            cpu: most(|row| row.pressure.as_ref()?.cpu),
            memory: most(|row| row.pressure.as_ref()?.memory),
            io: most(|row| row.pressure.as_ref()?.io),
        }),
        lacks: Lacks {
            cpu: rows.iter().any(|row| row.lacks.cpu),
            memory: rows.iter().any(|row| row.lacks.memory),
            pids: rows.iter().any(|row| row.lacks.pids),
            disk: rows.iter().any(|row| row.lacks.disk),
        },
        key: key_of_pod(key),
        outer_key: first.outer_key.clone(),
        ..Row::default()
    }
}
