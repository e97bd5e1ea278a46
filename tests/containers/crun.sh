# shellcheck shell=bash
# crun, without anybody above it: PREFIX-one, PREFIX-two
: "${here:?}"

# shellcheck source=oci.sh
. "$here/oci.sh"

up_crun() {
    need crun
    oci_up crun_
}
# (it refuses to run where there is a cgroup2 beside the others: it is shown none)
crun_() {
    # shellcheck disable=SC2016
    timeout 300 unshare -m --propagation slave sh -c '
        if mountpoint -q /sys/fs/cgroup/unified; then umount /sys/fs/cgroup/unified; fi
        exec crun "$@"' sh "$@"
}
exec_crun() {
    local id=$1
    shift
    crun_ exec -d "$id" "$@"
}
daemons_crun() { :; }
down_crun() {
    command -v crun || return 0
    oci_down crun_
}
