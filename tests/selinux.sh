#!/bin/sh
# What ctrbox does on a host with SELinux, in enforcing mode: the labels that it shows, and those that programs get. Loads
# tests/selinux.cil, so it runs in a virtual machine of tests/kernel.sh. Needs secilc. BIN is the binary.
#
#     tests/kernel.sh -a 'security=selinux selinux=1 enforcing=0' DIR tests/selinux.sh
set -eu
bin=$(realpath "${BIN:-target/release/ctrbox}")
policy=$(realpath tests/selinux.cil)
[ -e /run/ctrbox-kernel ] || { echo "$0: not in a virtual machine of tests/kernel.sh" >&2; exit 1; }
cd /tmp
mount -t selinuxfs selinuxfs /sys/fs/selinux
secilc -c 30 -o policy -f /dev/null "$policy"
cat policy >/sys/fs/selinux/load
echo 1 >/sys/fs/selinux/enforce

faults=0
# same WHAT EXPECTED SEEN
same() {
    if [ "$2" = "$3" ]; then
        echo "ok    $1"
    else
        echo "FAULT $1: $3, and not $2"
        faults=$((faults + 1))
    fi
}

# start TYPE: a process in namespaces and a group of its own, with this type. Sets $pid.
start() {
    group=/sys/fs/cgroup/$1
    mkdir "$group"
    mkfifo "ready-$1"
    # shellcheck disable=SC2016 # for the inner shell
    unshare -mpinuf --mount-proc sh -c 'echo 0 >"$1/cgroup.procs"
        echo >"$2"
        printf %s "$3" >/proc/self/attr/exec
        exec "$4" 1000' sh "$group" "ready-$1" "$2" "$(command -v sleep)" 2>/dev/null &
    read -r _ <"ready-$1"
    until pid=$(head -n 1 "$group/cgroup.procs") && grep -q sleep "/proc/$pid/comm"; do :; done
}

label() { tr -d '\0\n' | sed 's/ *$//'; }
own() { "$bin" nsenter -t "$pid" "$@" cat /proc/self/attr/current 2>&1 | label; }

# The process gets the type from the outside: only host_t may become another one.
start container_t u:r:container_t
same 'the label of the process' u:r:container_t "$(label <"/proc/$pid/attr/current")"
same 'ctr-ps' u:r:container_t "$("$bin" ctr-ps -n -o label -p "$pid" | label)"
same 'ctr-inspect' u:r:container_t "$("$bin" ctr-inspect -s privileges -J "$pid" | sed -n 's/.*"label":"\([^"]*\)".*/\1/p')"
same 'nsenter' u:r:host_t "$(own -a)"
same 'nsenter --follow-context' u:r:container_t "$(own -a --follow-context)"
same 'nsenter -n --follow-context' u:r:container_t "$(own -n --follow-context)"
same 'nsenter --as-container' u:r:container_t "$(own --as-container)"
same 'nsenter --as 65534' u:r:container_t "$(own --as 65534)"
same 'ctrbox check' '' "$("$bin" check >/dev/null 2>&1 || echo $?)"
same 'ctrbox check names it' 1 "$("$bin" check | grep -c 'security modules.*selinux')"
kill -KILL "$pid"

# A label that the policy forbids.
echo 0 >/sys/fs/selinux/enforce
start refused_t u:r:refused_t
echo 1 >/sys/fs/selinux/enforce
same 'ctr-ps, another label' u:r:refused_t "$("$bin" ctr-ps -n -o label -p "$pid" | label)"
same 'nsenter, another label' u:r:host_t "$(own -n)"
same 'nsenter --follow-context, forbidden' 'nsenter: failed to execute cat: Permission denied' "$(own -n --follow-context)"
same 'its status' 126 "$("$bin" nsenter -t "$pid" -n --follow-context true 2>/dev/null || echo $?)"
kill -KILL "$pid"

echo "$faults faults"
[ "$faults" = 0 ]
