# shellcheck shell=bash
# containerd through ctr: PREFIX-one in the containerd namespace "default", PREFIX-two in namespace PREFIX
: "${prefix:?}" "${here:?}" "${state:?}" "${work:=}" "${image:?}" "${label:?}"

# shellcheck source=containerd-daemon.sh
. "$here/containerd-daemon.sh"

up_containerd() {
    need ctr
    locked daemon_use containerd
    make_image "$work/image.tar" "$image"
    ctr_run default "$prefix-one"
    ctr_run "$prefix" "$prefix-two"
}
ctr_run() { # NS ID
    ctr_ -n "$1" images import "$work/image.tar"
    ctr_ -n "$1" run -d --null-io --label "$label" "$image" "$2"
    row "$1/$2" "$1/$2" "$(task_pid "$1" "$2")"
}
exec_containerd() { # NS/ID CMD...
    local ns=${1%%/*} id=${1#*/}
    shift
    ctr_ -n "$ns" tasks exec -d --exec-id "exec-$$" "$id" "$@"
}
daemons_containerd() { daemon_processes containerd; }

down_containerd() {
    if [ -d "$state/daemon.containerd" ]; then locked daemon_use containerd || true; fi
    if containerd_answers; then
        ctr_rm default "$prefix-one"
        ctr_rm "$prefix" "$prefix-two"
        if namespace_exists "$prefix"; then
            # (not empty until its garbage has been collected)
            wait_for 300 ctr_ namespaces rm "$prefix" || complain "cannot remove the namespace $prefix"
            # The daemon leaves the namespace's directory.
            rmdir "/run/containerd/io.containerd.runtime.v2.task/$prefix" 2>/dev/null || true
        fi
    elif [ -s "$work/ids" ]; then
        complain "containerd does not answer"
    fi
    remove_cgroup "default/$prefix-one"
    remove_cgroup "$prefix/$prefix-two"
    remove_cgroup "$prefix"
    locked daemon_leave containerd || complain "containerd does not stop"
}
ctr_rm() { # NS ID
    namespace_exists "$1" || return 0
    ctr_ -n "$1" tasks rm -f "$2" || true
    ctr_ -n "$1" containers rm "$2" || true
    [ -z "$(ctr_ -n "$1" containers ls -q "id==$2")" ] || complain "$1/$2 is still there"
    ctr_ -n "$1" images rm --sync "$image" || complain "cannot remove $image from $1"
}
namespace_exists() { grep -qx "$1" <<<"$(ctr_ namespaces ls -q)"; }
