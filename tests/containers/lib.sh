# shellcheck shell=bash
# What the runtimes' files share.
#
# $state/PREFIX.RUNTIME   names the work directory of one `up`
# $state/daemon.NAME/     a daemon we started: pid, log, and a file in users/ for each `up` that needs it
: "${runtime:?}" "${prefix:?}"
state=/run/ctrbox-tests
record=$state/$prefix.$runtime
user=$prefix.$runtime
# (the image is the same everywhere, but its tag and its id are unique to these tests)
image=localhost/ctrbox-test:$prefix
label=ctrbox-test=$prefix
export image label

# --- the work directory --------------------------------------------------------------------------------

open_work() {
    locked record_work
    work=$(cat "$record")
    touch "$work/ids"
    rm -f "$work/complaints" "$work/notes"
}
record_work() {
    local dir
    if [ -s "$record" ] && [ -d "$(cat "$record")" ]; then return 0; fi
    make_state
    dir=$(mktemp -d "${TMPDIR:-/tmp}/ctrbox-test.$user.XXXXXX")
    printf '%s\n' "$dir" >"$record"
}
make_state() { (umask 077 && mkdir -p "$state"); }
close_work() { locked forget_work; }
forget_work() {
    rm -rf --one-file-system "$work"
    rm -f "$record"
    rmdir --ignore-fail-on-non-empty "$state"
}

# --- saying what happened ------------------------------------------------------------------------------

# row NAME ID PID - one container that is up
row() {
    [[ $3 =~ ^[1-9][0-9]*$ ]] || die "$1 has no process: '$3'"
    printf '%s\t%s\t%s\t%s\n' "$runtime" "$1" "$2" "$3" >>"$work/rows"
    printf '%s\n' "${2##*/}" >>"$work/ids"
}
# die WHY, skip WHY - end an `up`
die() {
    echo "$runtime: $*" >"$work/reason"
    exit 1
}
skip() {
    echo "$runtime: $*" >"$work/reason"
    exit 77
}
# complain WHAT - a `down` goes on, but fails in the end
complain() { echo "$runtime: $*" >>"$work/complaints"; }
# note WHAT - for the caller to read
note() { echo "$runtime: $*" >>"$work/notes"; }
need() {
    local program
    for program; do
        command -v "$program" >/dev/null || skip "no program $program"
    done
}

# wait_for SECONDS CMD... - until CMD succeeds; fails at the deadline
wait_for() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        ((SECONDS < deadline)) || return 1
        sleep 0.1
    done
}

# --- processes -----------------------------------------------------------------------------------------

# started PID - its start time in clock ticks: with the PID it identifies one process for ever
started() {
    local stat
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    cut -d' ' -f20 <<<"${stat##*) }" # field 22; the name before it may hold anything
}
# is_alive PID STARTED
is_alive() { [ -n "$2" ] && [ "$(started "$1")" = "$2" ] && ! grep -qs '^State:.Z' "/proc/$1/status"; }
is_dead() { ! is_alive "$@"; }
children() { cat "/proc/$1/task/"*/children 2>/dev/null | tr ' ' '\n'; }
is_stopped() { grep -q '^State:.[TZ]' "/proc/$1/status"; }
# descendants PID - with the time they started, as is_alive wants it
descendants() {
    local child
    for child in $(children "$1"); do
        echo "$child $(started "$child")"
        descendants "$child"
    done
}
# end_up - an `up` that is still at it starts nothing more, but the command it is in comes to its end: one that
# was cut off in the middle may leave what nobody can name
end_up() {
    local pid start
    read -r pid start <"$work/up" && is_alive "$pid" "$start" || return 0
    kill -STOP "$pid"
    wait_for 100 is_stopped "$pid"
    descendants "$pid" >"$work/up.commands"
    kill -KILL "$pid"
    while read -r pid start; do
        wait_for 120 is_dead "$pid" "$start" || complain "an earlier up is still running ($pid)"
    done <"$work/up.commands"
}
# no_process_mentions FILE - none has a line of FILE for an argument: shims, conmons and what they start last
no_process_mentions() { [ ! -s "$1" ] || ! grep -qszxF -f "$1" /proc/[0-9]*/cmdline; }

# spawn NAME CMD... - a process that `down` ends, detached
spawn() {
    local name=$1
    shift
    # shellcheck disable=SC2016
    setsid sh -c 'echo $$ $(cut -d" " -f22 /proc/$$/stat) >"$0" && exec "$@"' "$work/spawned.$name" "$@" </dev/null >"$work/$name.log" 2>&1 &
    wait_for 100 test -s "$work/spawned.$name" || die "$name does not start"
}
spawned() { cut -d' ' -f1 "$work/spawned.$1"; }
# end_spawned - all of them, each with what is below it
end_spawned() {
    local file
    for file in "$work"/spawned.*; do
        [[ $file == *.all ]] || end_spawned_one "$file"
    done
}
# end_spawned_one FILE - the process that FILE names, with what is below it
end_spawned_one() {
    local file=$1 pid start signal
    if ! read -r pid start 2>/dev/null <"$file" || is_dead "$pid" "$start"; then return 0; fi
    echo "$pid $start" >"$file.all"
    descendants "$pid" >>"$file.all"
    for signal in TERM KILL; do
        while read -r pid start; do
            if is_alive "$pid" "$start"; then kill "-$signal" "$pid" || true; fi
        done <"$file.all"
        if wait_for 2 are_dead "$file.all"; then return 0; fi
    done
    complain "processes of ${file##*.} are still there"
}
are_dead() {
    local pid start
    while read -r pid start; do
        if is_alive "$pid" "$start"; then return 1; fi
    done <"$1"
}
# first_child PID - the first process below it, waited for
first_child() {
    wait_for 100 has_child "$1" || die "$1 starts nothing: $(tail -n 3 "$work"/*.log)"
    children "$1" | head -n 1
}
has_child() { [ -n "$(children "$1")" ]; }
pid_namespace() { readlink "/proc/$1/ns/pid" | tr -dc 0-9; }
# enter PID CMD... - as somebody does who has no tool of that runtime: moved into its namespaces, detached
enter() {
    local pid=$1
    shift
    setsid nsenter -t "$pid" -m -p -u -i -n -- "$@" </dev/null >/dev/null 2>&1 &
}

# --- daemons: one serves all prefixes, the last to leave stops it --------------------------------------

# locked CMD... - in a subshell, one at a time on this machine (/run is there to be locked, and never removed;
# bash closes its own copy of fd 9 in what it starts)
locked() {
    (
        flock -w 300 9 || die "somebody holds the lock of /run"
        set -e
        "$@" 9>&-
    ) 9</run
}
# daemon_is_ours NAME - we started it and it lives
daemon_is_ours() {
    local pid start
    read -r pid start 2>/dev/null <"$state/daemon.$1/pid" && is_alive "$pid" "$start"
}
daemon_pid() { cut -d' ' -f1 "$state/daemon.$1/pid"; }
# daemon_spawn NAME CMD... - detached, its PID written before it exists as CMD
daemon_spawn() {
    local dir=$state/daemon.$1
    shift
    # shellcheck disable=SC2016
    setsid sh -c 'echo $$ $(cut -d" " -f22 /proc/$$/stat) >"$0" && exec "$@"' "$dir/pid" "$@" </dev/null >"$dir/log" 2>&1 &
}
# daemon_use NAME - locked; NAME_answers and NAME_start are the daemon's
daemon_use() {
    local dir=$state/daemon.$1
    if daemon_is_ours "$1"; then
        daemon_wake "$1"
    elif "$1_answers"; then
        rm -rf "$dir"
        return 0
    else
        make_state
        mkdir -p "$dir/users"
        rm -f "$dir/pid"
        touch "$dir/users/$user"
        "$1_start"
    fi
    touch "$dir/users/$user"
    wait_for 300 daemon_is_up_or_dead "$1" || true
    if ! "$1_answers"; then
        tail -n 20 "$dir/log" >&2
        die "$1 does not start"
    fi
}
daemon_is_up_or_dead() { "$1_answers" || { [ -s "$state/daemon.$1/pid" ] && ! daemon_is_ours "$1"; }; }
# daemon_wake NAME - a test that was killed may have left it stopped
daemon_wake() {
    local pid
    for pid in $(daemon_processes "$1"); do kill -CONT "$pid" || true; done
}
# daemon_processes NAME - the daemon and its children (dockerd has a containerd of its own), if these scripts started it
daemon_processes() {
    local pid
    daemon_is_ours "$1" || return 0
    pid=$(daemon_pid "$1")
    echo "$pid"
    children "$pid"
}
# daemon_leave NAME - locked; NAME_busy says whether somebody else has containers there, NAME_stopping and
# NAME_stopped clean up before and after
daemon_leave() {
    local dir=$state/daemon.$1 pid start
    [ -d "$dir" ] || return 0
    rm -f "$dir/users/$user"
    [ -z "$(ls -A "$dir/users")" ] || return 0
    if daemon_is_ours "$1"; then
        if "$1_busy"; then
            note "$1 stays: others have containers there"
            return 0
        fi
        "$1_stopping"
        read -r pid start <"$dir/pid"
        kill -TERM "$pid"
        wait_for 30 is_dead "$pid" "$start" || kill -KILL "$pid"
        wait_for 100 is_dead "$pid" "$start"
        "$1_stopped"
    fi
    rm -rf "$dir"
}

# --- control groups ------------------------------------------------------------------------------------

# remove_cgroup PATH - below every hierarchy, where it is there and empty
remove_cgroup() {
    local dir
    for dir in $(cgroup_roots); do
        [ ! -d "$dir/$1" ] || rmdir "$dir/$1" || true
    done
}
# remove_cgroup_tree PATH - a tree that these scripts made, with all groups below it
remove_cgroup_tree() {
    local dir
    for dir in $(cgroup_roots); do
        [ ! -d "$dir/$1" ] || find "$dir/$1" -depth -type d -exec rmdir {} + || true
    done
}
cgroup_roots() { awk '$3 == "cgroup" || $3 == "cgroup2" { print $2 }' /proc/mounts; }

# --- the image: busybox, and a process with a child ------------------------------------------------------

# make_rootfs DIR - a root directory with busybox, and a program `both`, a process with a child
make_rootfs() {
    local root=$1 applet
    need busybox
    mkdir -p "$root/bin" "$root/etc" "$root/proc" "$root/sys" "$root/dev" "$root/tmp" "$root/run" "$root/usr"
    cp "$(command -v busybox)" "$root/bin/busybox"
    chroot "$root" /bin/busybox true || skip "busybox is not static (install busybox-static)"
    for applet in sh sleep true cat ls ps readlink; do ln -s busybox "$root/bin/$applet"; done
    printf '#!/bin/sh\nsleep 1000000 &\nexec sleep 1000001\n' >"$root/bin/both"
    chmod 755 "$root" "$root/bin/both"
    echo 'root:x:0:0:root:/:/bin/sh' >"$root/etc/passwd"
    echo 'root:x:0:' >"$root/etc/group"
    echo 'ID=ctrbox-test' >"$root/etc/os-release"
}
# make_image FILE TAG - an archive that docker, podman and ctr load
make_image() {
    local file=$1 tag=$2 root=$work/image/rootfs out=$work/image/out layer config
    need tar sha256sum
    make_rootfs "$root"
    mkdir -p "$out"
    tar -C "$root" --numeric-owner --owner=0 --group=0 -cf "$out/layer.tar" .
    layer=$(sha256sum <"$out/layer.tar" | cut -d' ' -f1)
    cat >"$out/config.json" <<JSON
{"architecture":"$(image_architecture)","os":"linux","created":"2024-01-01T00:00:00Z",
 "config":{"Env":["PATH=/bin"],"Cmd":["/bin/sh","-c","sleep 1000000 & exec sleep 1000001"],"Labels":{"ctrbox-test":"$tag"}},
 "rootfs":{"type":"layers","diff_ids":["sha256:$layer"]}}
JSON
    config=$(sha256sum <"$out/config.json" | cut -d' ' -f1)
    mv "$out/config.json" "$out/$config.json"
    echo "[{\"Config\":\"$config.json\",\"RepoTags\":[\"$tag\"],\"Layers\":[\"layer.tar\"]}]" >"$out/manifest.json"
    tar -C "$out" -cf "$file" manifest.json "$config.json" layer.tar
    rm -rf "$work/image"
}
image_architecture() {
    case $(uname -m) in
    x86_64) echo amd64 ;;
    aarch64) echo arm64 ;;
    *) uname -m ;;
    esac
}
