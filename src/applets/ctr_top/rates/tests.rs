use super::*;
use crate::applets::ctr_top::networks;
use crate::applets::ctr_top::sample::Limit;
use crate::applets::ctr_top::scan::Found;

fn used(pid: i32, start: u64, first: u64, second: u64) -> Used {
    Used { pid, start, first, second }
}

/// A container with groups of its own.
fn one(at: f64, cpu: f64) -> One {
    let found = Found {
        key: "k".to_owned(),
        label: "docker:web".to_owned(),
        pid: 7,
        start: Some(50),
        has_state: true,
        ..Found::default()
    };
    One { found: found.into(), at, own: Some(true), cpu: Some(Counted::Group(cpu)), ..One::default() }
}

fn found(one: &mut One) -> &mut Found {
    std::rc::Rc::make_mut(&mut one.found)
}

fn sample(one: One) -> Sample {
    Sample {
        boot: 1_000,
        containers: vec![one],
        cpus: Some(4),
        memory: (None, Some(1_000)),
        ..Sample::default()
    }
}

fn between(before: One, now: One) -> Row {
    rows(&sample(now), Some(&sample(before))).containers.remove(0)
}

fn net(at: f64, received: u64, sent: u64) -> networks::Net {
    networks::Net { at, received, sent, ..networks::Net::default() }
}

#[test]
fn without_a_sample_before_there_are_no_rates() {
    let mut now = one(10.0, 3.5);
    now.disk = Some(Disk::Group(5, 6));
    now.net = Some(net(10.0, 2, 3));
    now.throttled = Some(Periods { periods: 9, throttled: 3, seconds: None });
    let row = rows(&sample(now), None).containers.remove(0);
    assert_eq!((row.cpu.percent, row.cpu.seconds), (None, Some(3.5)));
    assert_eq!((row.io.read_rate, row.io.read_bytes), (None, Some(5)));
    assert_eq!(row.net, Some(Net { rx_rate: None, tx_rate: None, rx_bytes: 2, tx_bytes: 3 }));
    assert_eq!((row.throttled.percent, row.throttled.periods), (None, Some(9)));
}

/// A process can enter another network namespace: that its counters are other ones is no traffic.
#[test]
fn the_counters_of_another_namespace_give_no_rate() {
    let with = |at: f64, file: u64, bytes: u64| One {
        net: Some(networks::Net { file, ..net(at, bytes, bytes) }),
        ..one(at, 1.0)
    };
    let rate = |file| between(with(1.0, 7, 10), with(2.0, file, 30)).net.expect("numbers").rx_rate;
    assert_eq!((rate(7), rate(8)), (Some(20.0), None));
}

#[test]
fn rates_are_by_the_time_that_passed() {
    let (mut before, mut now) = (one(10.0, 3.0), one(12.5, 4.0));
    before.disk = Some(Disk::Group(1_000, 0));
    now.disk = Some(Disk::Group(6_000, 50));
    before.net = Some(net(10.0, 100, 0));
    now.net = Some(net(12.5, 350, 25));
    before.throttled = Some(Periods { periods: 10, throttled: 2, seconds: Some(1.0) });
    now.throttled = Some(Periods { periods: 30, throttled: 17, seconds: Some(2.0) });
    now.quota = Limit { value: Some(0.5), by: Some("/a".to_owned()), above: None };
    let row = between(before, now);
    assert_eq!((row.cpu.percent, row.cpu.of_limit), (Some(40.0), Some(80.0)));
    assert_eq!((row.cpu.limit, row.cpu.limit_by.as_deref()), (Some(0.5), Some("/a")));
    assert_eq!(
        (row.io.read_rate, row.io.write_rate, row.io.source),
        (Some(2_000.0), Some(20.0), Some("cgroup"))
    );
    assert_eq!(row.net.and_then(|net| Some((net.rx_rate?, net.tx_rate?))), Some((100.0, 10.0)));
    assert_eq!(row.throttled.percent, Some(75.0));
}

#[test]
fn the_cpus_that_it_may_run_on_limit_it_too() {
    let mut now = one(11.0, 2.0);
    found(&mut now).cpus = Some(2);
    let row = between(one(10.0, 1.0), now.clone());
    assert_eq!((row.cpu.limit, row.cpu.of_limit, row.cpu.limit_by), (Some(2.0), Some(50.0), None));
    found(&mut now).cpus = Some(4);
    assert_eq!(between(one(10.0, 1.0), now).cpu.limit, None, "all CPUs are no limit");
}

#[test]
fn a_counter_that_went_down_is_that_of_another_container() {
    assert_eq!(between(one(10.0, 3.0), one(11.0, 2.0)).cpu.percent, None);
    let mut restarted = one(11.0, 4.0);
    found(&mut restarted).start = Some(60);
    assert_eq!(between(one(10.0, 3.0), restarted.clone()).cpu.percent, None);
    found(&mut restarted).has_state = false;
    assert_eq!(between(one(10.0, 3.0), restarted).cpu.percent, Some(100.0), "the group is the container");
    let (mut before, mut now) = (one(10.0, 3.0), one(11.0, 4.0));
    before.disk = Some(Disk::Group(5, 5));
    now.disk = Some(Disk::Group(9, 4));
    let row = between(before, now);
    assert_eq!((row.cpu.percent, row.io.read_rate), (None, None));
}

#[test]
fn processes_are_compared_one_by_one() {
    let with = |at: f64, all: Vec<Used>| One {
        cpu: Some(Counted::Processes(at, all)),
        own: Some(false),
        ..one(at, 0.0)
    };
    let before = with(10.0, vec![used(1, 5, 100, 0), used(2, 5, 900, 0), used(4, 5, 70, 0)]);
    // 2 has ended, 3 is new, 4 is another process with the same PID, and 5 came from elsewhere.
    let now = with(
        12.0,
        vec![used(1, 5, 130, 0), used(3, 1_100, 20, 0), used(4, 1_200, 10, 0), used(5, 6, 5_000, 0)],
    );
    let row = between(before, now);
    assert_eq!((row.cpu.percent, row.cpu.seconds), (Some(30.0), Some(51.6)));
    assert_eq!(row.own_cgroup, Some(false));
}

/// Processes and interfaces are read before the groups, and not always by the same time.
#[test]
fn what_was_read_earlier_has_its_own_time() {
    let with = |at: f64, cpu_at: f64, disk_at: f64, net_at: f64, count: u64| One {
        cpu: Some(Counted::Processes(cpu_at, vec![used(1, 5, count, 0)])),
        disk: Some(Disk::Processes(disk_at, vec![used(1, 5, count, count)])),
        net: Some(net(net_at, count, 2 * count)),
        ..one(at, 0.0)
    };
    let row = between(with(10.0, 9.0, 9.0, 9.5, 100), with(20.0, 13.0, 17.0, 19.5, 200));
    assert_eq!(row.cpu.percent, Some(25.0));
    assert_eq!((row.io.read_rate, row.io.write_rate), (Some(12.5), Some(12.5)));
    let net = row.net.expect("interfaces");
    assert_eq!((net.rx_rate, net.tx_rate), (Some(10.0), Some(20.0)));
}

#[test]
fn another_source_gives_no_rate() {
    let (mut before, mut now) = (one(10.0, 1.0), one(11.0, 1.0));
    before.disk = Some(Disk::Processes(9.5, vec![used(1, 5, 10, 10)]));
    now.disk = Some(Disk::Group(100, 100));
    let row = between(before, now);
    assert_eq!((row.io.read_rate, row.io.read_bytes), (None, Some(100)));
    assert_eq!(row.cpu.percent, Some(0.0), "idle, not unknown");
}

#[test]
fn memory_is_compared_with_the_limit_else_with_the_host() {
    let mut now = one(1.0, 0.0);
    now.memory.working_set = Some(250);
    assert_eq!(between(one(0.0, 0.0), now.clone()).memory.percent, Some(25.0));
    now.memory.limit.value = Some(500);
    assert_eq!(between(one(0.0, 0.0), now).memory.percent, Some(50.0));
}

#[test]
fn a_pod_is_the_sum_of_its_containers() {
    let member = |name: &str, cpu: f64, net: Option<(u64, u64)>| {
        let mut one = one(if cpu > 0.0 { 11.0 } else { 10.0 }, cpu);
        found(&mut one).key = name.to_owned();
        found(&mut one).runtime = "k8s".to_owned();
        found(&mut one).pod = Some("web".to_owned());
        found(&mut one).pod_namespace = Some("shop".to_owned());
        one.memory.working_set = Some(100);
        one.memory.limit = Limit { value: Some(150), by: None, above: Some((400, "/pod".to_owned())) };
        one.pids = Some(2);
        one.net = net.map(|(received, sent)| self::net(one.at, received, sent));
        one
    };
    let of = |first: One, second: One| Sample { containers: vec![first, second], ..sample(one(0.0, 0.0)) };
    let before = of(member("a", 0.0, Some((10, 10))), member("b", 0.0, None));
    let now = of(member("a", 0.25, Some((20, 15))), member("b", 0.5, None));
    let all = pods(&rows(&now, Some(&before)).containers, Some(1_000));
    assert_eq!(all.len(), 1);
    let pod = &all[0];
    assert_eq!((pod.container.as_str(), pod.cpu.percent), ("k8s:shop/web", Some(75.0)));
    assert_eq!(
        (pod.memory.working_set, pod.memory.limit, pod.memory.percent),
        (Some(200), Some(400), Some(50.0))
    );
    assert_eq!(pod.memory.limit_by.as_deref(), Some("/pod"));
    assert_eq!((pod.pids.current, pod.net.clone().and_then(|net| net.rx_rate)), (Some(4), Some(10.0)));
}

#[test]
fn containers_that_come_and_go() {
    let (mut first, mut second) = (sample(one(10.0, 1.0)), sample(one(11.0, 1.5)));
    let new = |at| One { found: Found { key: "new".to_owned(), ..Found::default() }.into(), ..one(at, 9.0) };
    second.containers.push(new(11.0));
    let found = rows(&second, Some(&first)).containers;
    assert_eq!((found[0].cpu.percent, found[1].cpu.percent), (Some(50.0), None));
    first.containers.push(new(10.0));
    second.containers.pop();
    assert_eq!(rows(&second, Some(&first)).containers.len(), 1);
}
