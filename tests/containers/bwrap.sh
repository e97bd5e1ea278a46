# shellcheck shell=bash
# bubblewrap: one sandbox as root, one as a user
: "${prefix:?}" "${work:=}"

up_bwrap() {
    need bwrap setpriv
    make_rootfs "$work/rootfs"
    chmod 711 "$work"
    bwrap_run one
    bwrap_run two setpriv --reuid 65534 --regid 65534 --clear-groups
}
bwrap_run() {
    local name=$prefix-$1 init
    shift
    spawn "$name" "$@" bwrap --unshare-pid --unshare-ipc --unshare-net --unshare-uts --unshare-user \
        --ro-bind "$work/rootfs" / --proc /proc --dev /dev /bin/both
    init=$(first_child "$(spawned "$name")")
    first_child "$init" >/dev/null
    row "$name" "$(pid_namespace "$init")" "$init"
}
exec_bwrap() {
    local name
    for name in "$prefix-one" "$prefix-two"; do
        if [ "$(pid_namespace "$(bwrap_init "$name")")" = "$1" ]; then
            shift
            enter "$(bwrap_init "$name")" "$@"
            return
        fi
    done
    return 1
}
bwrap_init() { children "$(spawned "$1")" | head -n 1; }
daemons_bwrap() { spawned "$prefix-one"; spawned "$prefix-two"; }
down_bwrap() { end_spawned; }
