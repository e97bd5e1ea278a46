//! The rules: what each finding means. The manual page has this table.

/// One id of a finding.
pub(crate) struct Rule {
    pub id: &'static str,
    /// `high`, or what it depends on.
    pub severity: &'static str,
    /// When it is found, with the threshold.
    pub when: &'static str,
    pub why: &'static str,
    pub remedy: &'static str,
    /// The parts of the report without which it cannot be found.
    pub needs: &'static [&'static str],
    /// Is it found of processes of the host too?
    pub of_host: bool,
}

const RULE: Rule =
    Rule { id: "", severity: "note", when: "", why: "", remedy: "", needs: &[], of_host: false };

pub(crate) const RULES: &[Rule] = &[
    Rule {
        id: "privileged",
        severity: "high",
        when: "36 or more capabilities in the bounding set, seccomp off, no masked path, the host's user namespace; not of \
               runtimes that are designed so (LXC, nspawn, sandboxes)",
        why: "root in the container can do all that root on the host can",
        remedy: "run it without --privileged; add the capabilities and devices that it needs",
        needs: &["privileges.masked", "privileges.privileged"],
        ..RULE
    },
    Rule {
        id: "host-user-ns-root",
        when: "root with a capability, in the host's user namespace",
        why: "a process that escapes is root on the host",
        remedy: "run it as another user, or in a user namespace",
        needs: &["privileges", "privileges.root_on_host"],
        ..RULE
    },
    Rule {
        id: "dangerous-capability",
        severity: "high for SYS_ADMIN, SYS_MODULE, SYS_RAWIO, DAC_READ_SEARCH, and SYS_PTRACE with the host's pid \
                   namespace; medium for others that reach the host; note if the process cannot get it, and for \
                   NET_ADMIN with a network of its own",
        when: "a capability in the bounding set beyond the runtime's default",
        why: "the capability reaches beyond the container",
        remedy: "drop it if the program does not need it",
        needs: &["privileges", "privileges.root_on_host"],
        ..RULE
    },
    Rule {
        id: "seccomp-off",
        severity: "medium for Docker, Podman and nerdctl, else note",
        when: "no seccomp filter",
        why: "every system call of the kernel can be attacked",
        remedy: "run it with the runtime's default profile",
        needs: &["privileges"],
        ..RULE
    },
    Rule {
        id: "lsm-off",
        severity: "medium for Docker, Podman and nerdctl, else note",
        when: "AppArmor or SELinux is active on the host and does not confine the process",
        why: "the host's security module does not confine it",
        remedy: "run it with the runtime's default profile",
        needs: &["privileges.lsm"],
        ..RULE
    },
    Rule {
        id: "runtime-socket",
        severity: "high",
        when: "a mount leads to a socket on which a daemon takes orders to run containers, read-only or not",
        why: "who can connect to it can start a container with all rights; a read-only mount does not prevent that",
        remedy: "do not mount it; use a proxy that filters requests",
        needs: &["files.mounts"],
        ..RULE
    },
    Rule {
        id: "host-root-mounted",
        severity: "high if it or a mount below it can be written, medium if read-only, note for sandboxes",
        when: "/, /etc, /root, /boot, /proc, /sys, /dev, /run, /var/lib/docker or /var/lib/kubelet of the host is mounted",
        why: "files of the host can be read, and changed if writable",
        remedy: "mount only the directories that the program needs, read-only",
        needs: &["files.mounts"],
        ..RULE
    },
    Rule {
        id: "host-device",
        severity: "high for a disk or memory if it is root on the host, else note",
        when: "a node of a disk, of memory or of kvm in /dev that the rules of the control group allow to open",
        why: "who can open it reads and writes past all file systems and permissions",
        remedy: "do not pass the device; mount a file system or a directory of it",
        needs: &["files.devices"],
        ..RULE
    },
    Rule {
        id: "proc-writable",
        severity: "medium for Docker, Podman, nerdctl and containerd, and for Kubernetes if other paths are covered; else \
                   note",
        when: "/proc/sys or /proc/sysrq-trigger can be written, or /proc/kcore or /sys/firmware is not covered",
        why: "settings of the host's kernel can be changed or read",
        remedy: "keep the runtime's masked and read-only paths",
        needs: &["privileges.masked", "privileges.root_on_host"],
        ..RULE
    },
    Rule {
        id: "shares-host-pid",
        severity: "medium; high with SYS_PTRACE or SYS_ADMIN in the bounding set; note for sandboxes and netns",
        when: "it is in the host's pid namespace",
        why: "it sees all processes of the host and can send signals to them",
        remedy: "run it without the host's pid namespace",
        needs: &["namespaces.pid"],
        ..RULE
    },
    Rule {
        id: "shares-host-net",
        severity: "medium; note for sandboxes and netns",
        when: "it is in the host's network namespace",
        why: "it reaches services that listen on the host's loopback, and can listen on the host's ports",
        remedy: "use a network of its own and publish ports",
        needs: &["namespaces.net"],
        ..RULE
    },
    Rule {
        id: "shares-host-ipc",
        when: "it is in the host's ipc namespace",
        why: "it can use shared memory and semaphores of the host",
        remedy: "run it with an ipc namespace of its own",
        needs: &["namespaces.ipc"],
        ..RULE
    },
    Rule {
        id: "shares-host-uts",
        when: "it is in the host's uts namespace",
        why: "with CAP_SYS_ADMIN it can change the host name",
        remedy: "run it with a uts namespace of its own",
        needs: &["namespaces.uts"],
        ..RULE
    },
    Rule {
        id: "shares-host-user",
        when: "it is in the host's user namespace",
        why: "a uid inside is the same uid on the host",
        remedy: "use user namespaces if the runtime supports them",
        needs: &["namespaces.user"],
        ..RULE
    },
    Rule {
        id: "no-memory-limit",
        when: "neither its control group nor one above has a limit of memory",
        why: "it can take all memory of the host",
        remedy: "set a memory limit",
        needs: &["limits.memory"],
        ..RULE
    },
    Rule {
        id: "no-pids-limit",
        when: "neither its control group nor one above has a limit of processes",
        why: "a fork bomb can take all PIDs of the host",
        remedy: "set a limit of processes",
        needs: &["limits.pids"],
        ..RULE
    },
    Rule {
        id: "memory-near-limit",
        severity: "medium, from 98 % high; note if it is page cache that fills the limit",
        when: "90 % of the limit or more cannot be reclaimed (anon, tmpfs, kernel), in the group that has the limit",
        why: "the next allocation can get a process killed",
        remedy: "raise the limit, or find what takes the memory",
        needs: &["limits.memory"],
        of_host: true,
    },
    Rule {
        id: "memory-pressure",
        severity: "medium",
        when: "in the last minute some process waited for memory 20 % of the time, or all did 5 %",
        why: "processes wait for memory instead of running",
        remedy: "raise the limit, or find what takes the memory",
        needs: &["limits.pressure"],
        of_host: true,
    },
    Rule {
        id: "oom-kill",
        severity: "high if one was in the last hour, by the kernel's log or the start of the container, or if the count \
                   grows; else medium; less if the group is not the container's alone",
        when: "the kernel killed a process of its control group for lack of memory since the group was made",
        why: "a container can live on without the process that was killed; what runtimes note does not say which it was",
        remedy: "raise the limit that was reached, or find what takes the memory",
        needs: &["limits.memory"],
        of_host: true,
    },
    Rule {
        id: "cpu-throttled",
        severity: "medium, from 25 % of periods high; note if other groups share the quota and nothing says which waited",
        when: "throttled in 5 % of at least 100 periods since the group with the quota was made, and for more than 1 % of \
               the container's time; or in 5 % of the periods now. If other groups share the quota, the container must \
               have waited for a CPU",
        why: "processes stand still until the next period, although they could run",
        remedy: "raise the quota, or use fewer threads",
        needs: &["limits.cpu"],
        of_host: true,
    },
    Rule {
        id: "cpus-seen",
        severity: "medium if it is throttled too, else note",
        when: "it may run on more than twice as many CPUs as its quota allows it to use",
        why: "programs that count CPUs start too many threads for the quota",
        remedy: "set the number of threads, or limit the CPUs (cpuset)",
        needs: &["limits.cpu"],
        of_host: true,
    },
    Rule {
        id: "pids-near-limit",
        severity: "high",
        when: "the group with the limit has 90 % of the processes and threads that it may have",
        why: "new processes and threads will fail",
        remedy: "raise the limit, or find what starts them",
        needs: &["limits.pids"],
        of_host: true,
    },
    Rule {
        id: "pids-denied",
        severity: "high; note if other groups share the limit and nothing says whose forks were refused",
        when: "a limit refused a fork of its control group since the group was made",
        why: "new processes or threads failed",
        remedy: "raise the limit, or find what starts them",
        needs: &["limits.pids"],
        of_host: true,
    },
    Rule {
        id: "fds-near-limit",
        severity: "medium",
        when: "a process has 80 % of the open files that it may have (the soft limit)",
        why: "new files and connections will fail",
        remedy: "raise the limit (ulimit -n), or find what leaks",
        needs: &["processes.list.fds"],
        of_host: true,
    },
    Rule {
        id: "deleted-files",
        severity: "medium",
        when: "deleted files that processes hold open take more than 100 MiB, or 5 % of their file system",
        why: "the space is free only when the files are closed",
        remedy: "restart the program, or make it open its logs anew",
        needs: &["files.deleted"],
        of_host: true,
    },
    Rule {
        id: "root-fs-full",
        severity: "high",
        when: "95 % of the bytes or inodes of its root, or of a file system of the host that it may write to, are used",
        why: "writes fail",
        remedy: "remove files, or make room on the host's file system",
        needs: &["files.devices"],
        ..RULE
    },
    Rule {
        id: "published-not-listening",
        severity: "medium",
        when: "a port is published, the container is older than 10 seconds, and no program in its network namespace \
               listens where the connections go",
        why: "connections to the published port are refused or reset",
        remedy: "let the program listen on all addresses (0.0.0.0 or ::) and on this port, or publish another port",
        needs: &["network.listening"],
        ..RULE
    },
    Rule {
        id: "dns",
        severity: "medium for Docker, Podman, nerdctl, containerd and Kubernetes, else note",
        when: "resolv.conf is missing, names no server or more than 3, or one on loopback where nothing listens; not without \
               a network, of pause containers, and a server on loopback with the host's network",
        why: "names are not resolved, or only after a timeout",
        remedy: "give the container a name server that it reaches (--dns)",
        needs: &["network.dns"],
        ..RULE
    },
    Rule {
        id: "pid1-drops-sigterm",
        severity: "medium",
        when: "Docker, Podman, nerdctl or Kubernetes: the first process ignores the signal that stops the container, or has \
               no handler for it",
        why: "a stop waits for its timeout, then kills: the program cannot clean up",
        remedy: "handle the signal, start the program with exec, or use an init (--init)",
        needs: &["processes.init"],
        ..RULE
    },
    Rule {
        id: "pid1-does-not-reap",
        severity: "medium; high if half of the processes that the limit allows are zombies",
        when: "a child of the first process is a zombie, in two looks 100 ms apart",
        why: "zombies stay until the container ends, and each takes a PID",
        remedy: "use an init (--init), or wait for children",
        needs: &["processes"],
        ..RULE
    },
    Rule {
        id: "zombies",
        when: "more than 10 zombies of other parents",
        why: "a parent does not wait for its children",
        remedy: "fix the parent program",
        needs: &["processes"],
        ..RULE
    },
    Rule {
        id: "frozen",
        severity: "high",
        when: "its control group is frozen",
        why: "no process of it runs",
        remedy: "thaw it with the runtime (docker unpause) if that was not meant",
        needs: &["limits.cgroup.frozen"],
        of_host: true,
    },
    Rule {
        id: "foreign-process",
        when: "a process is in its namespaces whose parent is outside",
        why: "a process entered from outside (nsenter)",
        remedy: "end it if nobody needs it any more",
        needs: &["namespaces.pid"],
        ..RULE
    },
    Rule {
        id: "exec-leftover",
        when: "a process that was started with exec more than an hour ago",
        why: "a process that was started with exec is still there",
        remedy: "end it if nobody needs it any more",
        needs: &["processes"],
        ..RULE
    },
    Rule {
        id: "clock-offset",
        when: "its time namespace has an offset",
        why: "clocks inside differ from those of the host",
        remedy: "take care when times in logs are compared",
        needs: &["namespaces.time_offsets"],
        ..RULE
    },
    Rule {
        id: "cwd-outside",
        severity: "high",
        when: "the working directory is on no mount that the process sees",
        why: "through its working directory the process reaches files of the host (CVE-2024-21626)",
        remedy: "stop the container and update runc",
        needs: &["files.cwd_outside"],
        ..RULE
    },
    Rule {
        id: "unknown",
        when: "the report has values that are unknown",
        why: "the caller's rights, the kernel or a copy of a host withhold them",
        remedy: "see the reasons at the end of the report; root of the host sees more",
        of_host: true,
        ..RULE
    },
];
