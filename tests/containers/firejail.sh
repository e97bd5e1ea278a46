# shellcheck shell=bash
# firejail: PREFIX-one, PREFIX-two
: "${prefix:?}" "${work:=}"

up_firejail() {
    need firejail
    make_rootfs "$work/rootfs"
    firejail_run one --net=none --hostname="$prefix-host"
    firejail_run two --caps.drop=all --nonewprivs
}
# firejail names the first process before the sandbox is set up, which failed once on a busy host: nothing ran in it.
firejail_run() {
    local name=$prefix-$1 outer attempt
    shift
    for attempt in 1 2 3; do
        spawn "$name" firejail --quiet --noprofile --name="$name" "$@" "$work/rootfs/bin/busybox" sh -c 'sleep 1000000 & exec sleep 1000001'
        outer=$(spawned "$name")
        wait_for 100 runs_or_dead "$outer" || true
        if runs "$outer"; then
            row "$name" "$outer" "$(first_of "$outer")"
            return
        fi
        note "$name, try $attempt: firejail $(state_of "$outer"), first process $(state_of "$(first_of "$outer")"): $(tail -n 3 "$work/$name.log")"
        end_spawned_one "$work/spawned.$name"
        rm "$work/spawned.$name"
    done
    die "$name does not run its program: $(cat "$work/notes")"
}
first_of() { tr -dc 0-9 <"/run/firejail/sandbox/$1" || echo 0; } 2>/dev/null
runs() { has_child "$(first_of "$1")"; }
runs_or_dead() { runs "$1" || [ ! -d "/proc/$1" ]; }
state_of() { grep -s '^State:' "/proc/$1/status" || echo ended; }
exec_firejail() {
    local outer=$1
    shift
    setsid firejail --quiet --join="$outer" "$@" </dev/null >/dev/null 2>&1 &
}
daemons_firejail() { spawned "$prefix-one"; spawned "$prefix-two"; }
down_firejail() { end_spawned; }
