#!/bin/bash
# capture.sh OUTDIR PID... - save what /proc says about each PID, and the state files of the
# container runtimes, below OUTDIR/root, so that a test can read this host later:
#
#     tests/capture.sh tests/fixtures/NAME $(pgrep -d' ' 'dockerd|containerd|conmon|sleep')
#     ctrbox ctr-ps --root tests/fixtures/NAME/root --forest
#
# Run it as root. OUTDIR/root is a fake root: state files lie at their own absolute paths, /proc
# at root/proc. The first PID becomes /proc/self, so it should be a plain process of the host; its
# mountinfo is kept, which says where the control groups are mounted. No environment is read.
#
# What a real /proc has and these files keep:
#   - ns/KIND are dangling symlinks like net:[4026531840]; git stores them as they are
#   - a namespace that could not be read (of PID 1 without CAP_SYS_RESOURCE, the mnt, net, ipc
#     and uts of a zombie) has no link
#   - a kernel thread has no Vm lines and an empty cmdline, a zombie an empty cmdline
#
# Then by hand, before it is committed (this is how tests/fixtures/hybrid was made):
#   1. etc/passwd          keep the users that own a process, no others
#   2. PID 1               Name, comm, cmdline and stat of a plain /sbin/init
#   3. PPid, stat field 4  of processes whose parent was not captured: 1
#   4. */cgroup            the path of your own session or service manager: /user/shell
#   5. self/mountinfo      lines of the host's own file systems that no test needs
#   6. osrelease, "Hostname", HOSTNAME=, "hostname" of containers with the host's uts namespace
#   7. grep -rI for user names, host names, addresses, tokens; `du -sh` it
#   8. expected.tsv        pid, runtime, name, id of every process of a container
set -u
shopt -s nullglob
export LC_ALL=C

[ $# -ge 2 ] || { echo "usage: ${0##*/} OUTDIR PID..." >&2; exit 2; }
root=$1/root
self=$2
shift
[ ! -e "$root" ] || { echo "${0##*/}: $root: already there" >&2; exit 1; }

process() { # PID
    local from=/proc/$1 to=$root/proc/$1 file link target
    mkdir -p "$to/ns"
    for file in status stat cgroup cmdline comm; do
        if ! cat "$from/$file" > "$to/$file" 2>/dev/null; then
            echo "${0##*/}: $1: gone or unreadable ($file), left out" >&2
            rm -r "$to"
            return 1
        fi
    done
    for link in mnt net pid uts ipc user cgroup time pid_for_children time_for_children; do
        target=$(readlink "$from/ns/$link") && ln -s "$target" "$to/ns/$link"
    done
    rmdir "$to/ns" 2>/dev/null # nothing readable; git would not keep it either
    return 0
}

keep() { # FILE... - copy to the same place below root; not executable, readable for all
    local file
    for file; do
        [ -f "$file" ] || continue
        mkdir -p "$root${file%/*}"
        cat "$file" > "$root$file"
    done
}

failed=0
for pid; do process "$pid" || failed=1; done

cat "/proc/$self/mountinfo" > "$root/proc/$self/mountinfo" || failed=1
ln -s "$self" "$root/proc/self"
keep /proc/sys/kernel/{ostype,osrelease} /etc/passwd

# docker: the name and image; runc's state; the bundle (with systemd it is in /run/containerd)
keep /etc/docker/daemon.json /var/lib/docker/containers/*/{config.v2,hostconfig}.json
keep /home/*/.local/share/docker/containers/*/config.v2.json
keep /run/docker/runtime-runc/moby/*/state.json
keep /run/docker/containerd/daemon/io.containerd.runtime.v2.task/*/*/{config.json,init.pid}
# containerd (ctr, nerdctl) and Kubernetes' CRI
keep /run/containerd/io.containerd.runtime.v2.task/*/*/{config.json,init.pid}
keep /run/containerd/runc/*/*/state.json
# podman, and what it starts containers with; the same of users without privilege
for storage in /var/lib/containers/storage /home/*/.local/share/containers/storage; do
    keep "$storage"/*-containers/{containers,volatile-containers}.json
    keep "$storage"/*-containers/*/userdata/config.json
done
for run in /run/containers/storage /run/user/*/containers; do
    keep "$run"/*-containers/*/userdata/{pidfile,conmon.pid}
done
keep /run/runc/*/state.json /run/user/*/runc/*/state.json
keep /run/crun/*/{status,config.json} /run/user/*/crun/*/{status,config.json}
# CRI-O has files of its own beside Podman's
keep /var/lib/containers/storage/*-containers/*/userdata/state.json
# the others
keep /run/youki/*/state.json /run/user/*/youki/*/state.json
keep /var/lib/lxc/*/config /home/*/.local/share/lxc/*/config
keep /run/incus/*/lxc.conf /run/lxd/*/lxc.conf /var/snap/lxd/common/lxd/logs/*/lxc.conf
keep /run/systemd/machines/*
keep /run/firejail/{name,sandbox}/* /run/user/*/.flatpak/*/{info,bwrapinfo.json,pid}
exit "$failed"
