# shellcheck shell=bash
# flatpak of a user: an application made here of busybox, running twice. No row has a name of its own: both
# are the application org.ctrbox.Test.
: "${prefix:?}" "${here:?}" "${work:=}"

# shellcheck source=user.sh
. "$here/user.sh"

up_flatpak() {
    need flatpak bwrap dbus-run-session xdg-dbus-proxy
    user_up
    flatpak_build
    flatpak_run one
    flatpak_run two
}
# A runtime and an application, from a repository of our own.
flatpak_build() {
    local dir=$work/build arch
    arch=$(flatpak --default-arch)
    make_rootfs "$work/rootfs"
    mkdir -p "$dir/runtime/files" "$dir/runtime/usr/lib" "$dir/runtime/usr/etc" "$dir/app/files/bin" "$dir/app/export"
    cp -a "$work/rootfs/bin" "$dir/runtime/usr/bin"
    # (flatpak has the cache of libraries made in there, which nobody needs)
    # shellcheck disable=SC2016
    printf '#!/bin/sh\nwhile [ $# -gt 0 ]; do [ "$1" != -C ] || : >"$2"; shift; done\n' >"$dir/runtime/usr/bin/ldconfig"
    chmod 755 "$dir/runtime/usr/bin/ldconfig"
    : >"$dir/runtime/usr/etc/ld.so.conf"
    cat >"$dir/runtime/metadata" <<INI
[Runtime]
name=org.ctrbox.Platform
runtime=org.ctrbox.Platform/$arch/1
sdk=org.ctrbox.Platform/$arch/1
INI
    cat >"$dir/app/metadata" <<INI
[Application]
name=org.ctrbox.Test
runtime=org.ctrbox.Platform/$arch/1
command=both
INI
    cp "$work/rootfs/bin/both" "$dir/app/files/bin/both"
    chown -R "$own_user" "$dir"
    as_user flatpak build-export -r --disable-sandbox "$dir/repo" "$dir/runtime" 1
    as_user flatpak build-export --disable-sandbox "$dir/repo" "$dir/app" 1
    as_user flatpak --user remote-add --no-gpg-verify local "$dir/repo"
    flatpak_bus flatpak --user install -y --noninteractive local org.ctrbox.Platform//1 org.ctrbox.Test//1
}
# flatpak_bus CMD... - it asks the system's bus about parental controls: a bus of its own has to do for both
flatpak_bus() {
    # shellcheck disable=SC2016
    as_user dbus-run-session -- sh -c 'DBUS_SYSTEM_BUS_ADDRESS=$DBUS_SESSION_BUS_ADDRESS exec "$@"' sh "$@"
}
flatpak_run() {
    local name=$prefix-$1 init
    # shellcheck disable=SC2016
    spawn "$name" setpriv --reuid "$own_user" --regid "$own_user" --init-groups env -i HOME="$work/home" \
        USER="$own_user" LOGNAME="$own_user" XDG_RUNTIME_DIR="/run/user/$own_uid" PATH=/usr/bin:/bin \
        dbus-run-session -- sh -c 'cd && DBUS_SYSTEM_BUS_ADDRESS=$DBUS_SESSION_BUS_ADDRESS exec flatpak run --user --no-a11y-bus org.ctrbox.Test'
    wait_for 200 flatpak_runs "$name" || die "$name does not start: $(tail -n 3 "$work/$name.log")"
    init=$(flatpak_init "$name")
    row "$name" "$(sed -n 's/^instance-id=//p' "/proc/$init/root/.flatpak-info")" "$init"
}
# flatpak_init NAME - PID 1 in there: the parent of the program with a child
flatpak_init() {
    local pid
    while read -r pid _; do
        if tr '\0' ' ' <"/proc/$pid/cmdline" | grep -q '^sleep 1000001 '; then
            cut -d' ' -f4 "/proc/$pid/stat"
            return
        fi
    done < <(descendants "$(spawned "$1")")
    return 1
}
flatpak_runs() { flatpak_init "$1" >/dev/null; }
exec_flatpak() {
    local name init
    for name in "$prefix-one" "$prefix-two"; do
        init=$(flatpak_init "$name")
        if grep -qx "instance-id=$1" "/proc/$init/root/.flatpak-info"; then
            shift
            enter "$init" "$@"
            return
        fi
    done
    return 1
}
# buses, their proxies and what stands around the sandboxes
daemons_flatpak() {
    own_uid=$(id -u "$own_user")
    pgrep -U "$own_uid" -x 'dbus-run-sessio|dbus-daemon|xdg-dbus-proxy|flatpak-session|flatpak-portal' || true
}
down_flatpak() {
    end_spawned
    if own_uid=$(id -u "$own_user"); then pkill -U "$own_uid" || true; fi
    user_down
}
