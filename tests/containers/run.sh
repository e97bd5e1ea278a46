#!/bin/bash
# Real containers for the tests; lib.sh holds what the runtimes share, RUNTIME.sh one runtime.
#
#   run.sh up RUNTIME             start containers and print a row for each:
#                                 RUNTIME <tab> NAME <tab> ID <tab> PID OF INIT
#   run.sh down RUNTIME           remove all that `up` made; also after an `up` that failed or was killed
#   run.sh hold RUNTIME           `up`, close stdout, wait for the end of stdin, `down`: whatever becomes of
#                                 the caller, its containers go
#   run.sh exec RUNTIME ID CMD... start CMD in a container made by `up`, detached
#   run.sh daemons RUNTIME        the PIDs of the runtime's daemons and helpers, if `up` started them
#
# RUNTIME is the name of one of the files beside this. CTRBOX_TEST_PREFIX begins every name, so that runs do not
# collide with each other or with anybody's own containers. A docker or containerd that answers already is
# used and left alone. Exit status 77 with a reason on stderr: this runtime cannot run here.
set -eu -o pipefail

# What we start must not hold the caller's files (bash reads this script from 255, closed on exec).
for fd in /proc/self/fd/*; do
    fd=${fd##*/}
    if ((fd > 2 && fd != 255)); then exec {fd}>&-; fi
done

here=$(cd "$(dirname "$0")" && pwd)
usage() {
    echo "usage: CTRBOX_TEST_PREFIX=PREFIX $0 up|down|hold|exec|daemons RUNTIME" >&2
    exit 2
}
[ $# -ge 2 ] || usage
verb=$1 runtime=$2 prefix=${CTRBOX_TEST_PREFIX:-}
shift 2
[[ $runtime =~ ^[a-z]+$ && $runtime != lib && -r $here/$runtime.sh ]] || usage
# (it becomes part of image tags, host names and control groups)
[[ $prefix =~ ^[a-z][a-z0-9]{2,30}$ ]] || {
    echo "$0: CTRBOX_TEST_PREFIX must be 3 to 31 lower case letters and digits" >&2
    exit 2
}
if [ "$(id -u)" != 0 ]; then
    echo "$runtime: not root" >&2
    exit 77
fi

export LC_ALL=C PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
# (settings of the caller that would send us to other daemons or other storage)
unset DOCKER_HOST DOCKER_CONTEXT CONTAINERD_ADDRESS CONTAINERD_NAMESPACE CONTAINER_HOST CONTAINERS_CONF XDG_RUNTIME_DIR
# shellcheck source=lib.sh
. "$here/lib.sh"
# shellcheck source=docker.sh
. "$here/$runtime.sh"

up() {
    if [ -e "$record" ]; then
        echo "$runtime: $prefix is up already, or was and needs \`down\`" >&2
        exit 1
    fi
    open_work
    trap 'down; exit 130' INT TERM HUP
    # In a subshell, for our stdio must not reach what is started; in a process group of its own (-m), for
    # `down` ends an `up` better than ^C.
    set -m
    (
        set +m
        pid=$BASHPID
        echo "$pid $(started "$pid")" >"$work/up"
        "up_$runtime"
    ) </dev/null >>"$work/log" 2>&1 &
    set +me
    wait $!
    local status=$?
    set -e
    if [ $status -ne 0 ]; then
        if [ $status -ne 77 ] || [ ! -e "$work/reason" ]; then
            status=1
            tail -n 30 "$work/log" >&2 || true
        fi
        cat "$work/reason" >&2 2>/dev/null || true
        down || true
        exit $status
    fi
    if ! cat "$work/rows"; then # nobody is there to read them
        down
        exit 1
    fi
}

down() {
    trap '' INT TERM HUP
    open_work
    local status=0
    (
        end_up
        "down_$runtime"
        wait_for 30 no_process_mentions "$work/ids" || complain "processes of $prefix are still there"
        [ ! -e "$work/complaints" ]
    ) </dev/null >>"$work/log" 2>&1 || status=1
    cat "$work/notes" >&2 2>/dev/null || true
    if [ $status -ne 0 ]; then
        tail -n 30 "$work/log" >&2 || true
        cat "$work/complaints" >&2 2>/dev/null || true
        return 1 # the work directory stays for the next `down`
    fi
    close_work
}

case $verb in
up) up ;;
down) down ;;
hold)
    up
    trap '' INT TERM HUP
    exec >/dev/null
    while read -r _; do :; done
    down
    ;;
exec)
    [ $# -ge 2 ] || usage
    if [ ! -e "$record" ]; then
        echo "$runtime: $prefix is not up" >&2
        exit 1
    fi
    open_work
    # (a file again, for the process must not hold our stderr)
    if ! "exec_$runtime" "$@" </dev/null >"$work/exec.log" 2>&1; then
        cat "$work/exec.log" >&2
        exit 1
    fi
    ;;
daemons)
    if [ -e "$record" ]; then open_work; fi
    "daemons_$runtime"
    ;;
*) usage ;;
esac
