# shellcheck shell=bash
# firejail: PREFIX-one, PREFIX-two
: "${prefix:?}" "${work:=}"

up_firejail() {
    need firejail
    make_rootfs "$work/rootfs"
    firejail_run one --net=none --hostname="$prefix-host"
    firejail_run two --caps.drop=all --nonewprivs
}
firejail_run() {
    local name=$prefix-$1 outer
    shift
    spawn "$name" firejail --quiet --noprofile --name="$name" "$@" "$work/rootfs/bin/busybox" sh -c 'sleep 1000000 & exec sleep 1000001'
    outer=$(spawned "$name")
    wait_for 200 test -s "/run/firejail/sandbox/$outer" || die "$name does not start: $(tail -n 3 "$work/$name.log")"
    row "$name" "$outer" "$(tr -dc 0-9 <"/run/firejail/sandbox/$outer")"
}
exec_firejail() {
    local outer=$1
    shift
    setsid firejail --quiet --join="$outer" "$@" </dev/null >/dev/null 2>&1 &
}
daemons_firejail() { spawned "$prefix-one"; spawned "$prefix-two"; }
down_firejail() { end_spawned; }
