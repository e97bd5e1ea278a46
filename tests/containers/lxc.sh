# shellcheck shell=bash
# LXC: PREFIX-one, whose host name is another
: "${prefix:?}" "${work:=}"

lxc_name=$prefix-one
lxc_dir=/var/lib/lxc/$lxc_name

up_lxc() {
    need lxc-start lxc-info lxc-attach
    make_rootfs "$work/rootfs"
    chmod 711 "$work"
    mkdir -p "$lxc_dir"
    cat >"$lxc_dir/config" <<CONFIG
lxc.rootfs.path = dir:$work/rootfs
lxc.uts.name = $prefix-host
lxc.init.cmd = /bin/both
lxc.net.0.type = empty
lxc.apparmor.profile = unconfined
lxc.mount.auto = proc:mixed
lxc.cap.drop = mac_admin mac_override sys_time sys_module sys_rawio
CONFIG
    timeout 300 lxc-start -n "$lxc_name" -d -o "$work/lxc.log" || die "$(grep ERROR "$work/lxc.log" | tail -n 3)"
    row "$lxc_name" "$lxc_name" "$(timeout 100 lxc-info -n "$lxc_name" -p -H)"
}
exec_lxc() {
    local name=$1
    shift
    setsid lxc-attach -n "$name" -- "$@" </dev/null >/dev/null 2>&1 &
}
daemons_lxc() { cut -d' ' -f4 "/proc/$(lxc-info -n "$lxc_name" -p -H)/stat"; }
down_lxc() {
    [ -e "$lxc_dir" ] || return 0
    if timeout 100 lxc-info -n "$lxc_name" -s -H | grep -q RUNNING; then
        timeout 300 lxc-stop -k -n "$lxc_name" || complain "cannot stop $lxc_name"
    fi
    rm -rf "$lxc_dir"
    remove_cgroup_tree "lxc.payload.$lxc_name"
    remove_cgroup_tree "lxc.monitor.$lxc_name"
    remove_cgroup lxc.pivot
}
