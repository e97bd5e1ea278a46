# shellcheck shell=bash
# systemd-nspawn without systemd-machined: PREFIX-one (with an init of nspawn's), PREFIX-two
: "${prefix:?}" "${runtime:?}" "${work:=}"

up_nspawn() {
    need systemd-nspawn
    nspawn_run one --as-pid2
    nspawn_run two --private-network
}
# (it puts itself and the container into groups below the one it is started in, which has to be its own)
nspawn_run() {
    local name=$prefix-$1 root=$work/nspawn/$1 hierarchy
    shift
    make_rootfs "$root"
    for hierarchy in /sys/fs/cgroup/systemd /sys/fs/cgroup/unified /sys/fs/cgroup; do
        if [ -e "$hierarchy/cgroup.procs" ]; then mkdir -p "$hierarchy/ctrbox-$prefix.$runtime/$name"; fi
    done
    # shellcheck disable=SC2016
    spawn "$name" sh -c 'for h in /sys/fs/cgroup/systemd /sys/fs/cgroup/unified /sys/fs/cgroup; do
            if [ -d "$h/$1" ]; then echo $$ >"$h/$1/cgroup.procs"; fi
        done; shift; exec "$@"' sh "ctrbox-$prefix.$runtime/$name" \
        systemd-nspawn --register=no --keep-unit -q --console=pipe -D "$root" -M "$name" "$@" /bin/both
    nspawn_row "$name"
}
nspawn_row() {
    wait_for 200 nspawn_runs "$1" || die "$1 does not start: $(tail -n 3 "$work/$1.log")"
    row "$1" "$1" "$(nspawn_init "$1")"
}
nspawn_init() { children "$(spawned "$1")" | head -n 1; }
# nspawn_runs NAME - its program does, and not only what prepares it
nspawn_runs() {
    local pid
    for pid in $(nspawn_init "$1") $(children "$(nspawn_init "$1")"); do
        if tr '\0' ' ' <"/proc/$pid/cmdline" | grep -q '^sleep 1000001 '; then return 0; fi
    done
    return 1
}
exec_nspawn() {
    local pid
    pid=$(nspawn_init "$1")
    shift
    enter "$pid" "$@"
}
daemons_nspawn() { spawned "$prefix-one"; spawned "$prefix-two"; }
down_nspawn() {
    end_spawned
    remove_cgroup_tree "ctrbox-$prefix.$runtime"
    rmdir "/run/systemd/nspawn/propagate/$prefix-one" "/run/systemd/nspawn/propagate/$prefix-two" || true
}
