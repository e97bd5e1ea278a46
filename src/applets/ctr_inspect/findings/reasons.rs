//! Why each finding matters, and what to do.

/// For each id: why it matters, and what to do.
pub(super) const REASONS: &[(&str, &str, &str)] = &[
    (
        "privileged",
        "root in the container can do all that root on the host can",
        "run it without --privileged; add the capabilities and devices that it needs",
    ),
    (
        "host-user-ns-root",
        "a process that escapes is root on the host",
        "run it as another user, or in a user namespace",
    ),
    (
        "dangerous-capability",
        "the capability reaches beyond the container",
        "drop it if the program does not need it",
    ),
    (
        "seccomp-off",
        "every system call of the kernel can be attacked",
        "run it with the runtime's default profile",
    ),
    (
        "lsm-off",
        "the host's security module does not confine it",
        "run it with the runtime's default profile",
    ),
    (
        "runtime-socket",
        "who can connect to it can start a container with all rights; a read-only mount does not prevent that",
        "do not mount it; use a proxy that filters requests",
    ),
    (
        "host-root-mounted",
        "files of the host can be read, and changed if writable",
        "mount only the directories that the program needs, read-only",
    ),
    (
        "proc-writable",
        "settings of the host's kernel can be changed or read",
        "keep the runtime's masked and read-only paths",
    ),
    (
        "shares-host-pid",
        "it sees all processes of the host and can send signals to them",
        "run it without the host's pid namespace",
    ),
    (
        "shares-host-net",
        "it reaches services that listen on the host's loopback, and can listen on the host's ports",
        "use a network of its own and publish ports",
    ),
    (
        "shares-host-ipc",
        "it can use shared memory and semaphores of the host",
        "run it with an ipc namespace of its own",
    ),
    (
        "shares-host-uts",
        "with CAP_SYS_ADMIN it can change the host name",
        "run it with a uts namespace of its own",
    ),
    (
        "shares-host-user",
        "a uid inside is the same uid on the host",
        "use user namespaces if the runtime supports them",
    ),
    ("no-memory-limit", "it can take all memory of the host", "set a memory limit"),
    ("no-pids-limit", "a fork bomb can take all PIDs of the host", "set a limit of processes"),
    (
        "memory-near-limit",
        "the next allocation can get a process killed",
        "raise the limit, or find what takes the memory",
    ),
    (
        "memory-pressure",
        "processes wait for memory instead of running",
        "raise the limit, or find what takes the memory",
    ),
    (
        "oom-kill",
        "a process was killed for lack of memory; runtimes report that only if it was the first one",
        "raise the limit that was reached, or find what takes the memory",
    ),
    (
        "cpu-throttled",
        "processes stand still until the next period, although they could run",
        "raise the quota, or use fewer threads",
    ),
    (
        "cpus-seen",
        "programs that count CPUs start too many threads for the quota",
        "set the number of threads, or limit the CPUs (cpuset)",
    ),
    ("pids-near-limit", "new processes and threads will fail", "raise the limit, or find what starts them"),
    ("pids-denied", "new processes or threads failed", "raise the limit, or find what starts them"),
    (
        "pid1-drops-sigterm",
        "a stop waits for its timeout, then kills: the program cannot clean up",
        "handle the signal, start the program with exec, or use an init (--init)",
    ),
    (
        "pid1-does-not-reap",
        "zombies stay until the container ends, and each takes a PID",
        "use an init (--init), or wait for children",
    ),
    ("zombies", "a parent does not wait for its children", "fix the parent program"),
    ("frozen", "no process of it runs", "thaw it with the runtime (docker unpause) if that was not meant"),
    (
        "deleted-files",
        "the space is free only when the files are closed",
        "restart the program, or make it open its logs anew",
    ),
    (
        "fds-near-limit",
        "new files and connections will fail",
        "raise the limit (ulimit -n), or find what leaks",
    ),
    ("foreign-process", "a process entered from outside (nsenter)", "end it if nobody needs it any more"),
    (
        "exec-leftover",
        "a process that was started with exec is still there",
        "end it if nobody needs it any more",
    ),
    (
        "clock-offset",
        "clocks inside differ from those of the host",
        "take care when times in logs are compared",
    ),
    (
        "cwd-outside",
        "through its working directory the process reaches files of the host (CVE-2024-21626)",
        "stop the container and update runc",
    ),
    (
        "host-device",
        "who can open it reads and writes past all file systems and permissions",
        "do not pass the device; mount a file system or a directory of it",
    ),
    ("root-fs-full", "writes fail", "remove files, or make room on the host's file system"),
    (
        "published-not-listening",
        "connections to the published port are refused or reset",
        "let the program listen on all addresses (0.0.0.0 or ::) and on this port, or publish another port",
    ),
    (
        "dns",
        "names are not resolved, or only after a timeout",
        "give the container a name server that it reaches (--dns)",
    ),
    ("unknown", "the caller's rights or the kernel withhold some values", "run it as root"),
];
