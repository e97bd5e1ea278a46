#!/bin/sh
# Runs typical commands in many kinds of surroundings, and prints a table for docs/HOSTS.md: `ok`, or the exit status. A
# panic, a signal or a hang is a FAULT, and so is a failure without a message. Needs root. The messages stand below the
# table with -v. BIN is the binary, ROWS a regular expression (grep -E) for some of the rows. On another kernel:
#
#     tests/kernel.sh -C hybrid DIR tests/matrix.sh
# shellcheck disable=SC2016 # what stands in single quotes is for the inner shell
set -eu
bin=$(realpath "${BIN:-target/release/ctrbox}")
verbose=
[ "${1:-}" != -v ] || verbose=1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
faults=0

# The columns: a name, and the command.
commands='ctr-ps|ctr-ps
ctr-ps -l|ctr-ps -l
lsns|lsns
ctr-inspect|ctr-inspect self
ctr-top|ctr-top -b -n 1
ctr-whose|ctr-whose self
getpcaps|getpcaps self
capsh|capsh --print
unshare|unshare -Ur true
nsenter|nsenter -t self -u true
cgexec|cgexec --like self true
check|check'

# cell COMMAND WRAPPER...: runs it and prints the result.
cell() {
    words=$1
    shift
    status=0
    # `self` is the shell that starts the command.
    timeout -s KILL 60 "$@" sh -c '
        bin=$1 words=$2
        shift 2
        for word in $words; do
            [ "$word" != self ] || word=$$
            set -- "$@" "$word"
        done
        "$bin" "$@"' sh "$bin" "$words" >"$work/out" 2>"$work/err" </dev/null || status=$?
    if grep -qE 'panicked|backtrace|stack overflow' "$work/err" || [ "$status" -ge 128 ]; then
        echo FAULT
    elif [ "$status" = 0 ]; then
        echo ok
    elif [ -s "$work/err" ] || [ -s "$work/out" ]; then
        echo "$status"
    else
        echo FAULT
    fi
}

# row NAME WRAPPER...
row() {
    name=$1
    shift
    printf '%s\n' "$name" | grep -qE -e "${ROWS:-.}" || return 0
    line="| $name |"
    while IFS='|' read -r title words; do
        found=$(cell "$words" "$@")
        line="$line $found |"
        [ "$found" != FAULT ] || faults=$((faults + 1))
        if [ -n "$verbose" ] && [ "$found" != ok ]; then
            printf '%s, %s: %s\n' "$name" "$title" "$(cat "$work/err" "$work/out" | head -n 2 | tr '\n' ' ')" >>"$work/notes"
        fi
    done <<COMMANDS
$commands
COMMANDS
    printf '%s\n' "$line"
}

header() {
    printf '| host |'
    echo "$commands" | cut -d'|' -f1 | while read -r title; do printf ' %s |' "$title"; done
    printf '\n|---|'
    echo "$commands" | while read -r _; do printf '%s' '---|'; done
    printf '\n'
}

header
nobody="setpriv --reuid 65534 --regid 65534 --clear-groups"
own='"$@"'
row "Linux $(uname -r | cut -d- -f1), root" env
# shellcheck disable=SC2086
row "an ordinary user" $nobody
row "in a user namespace" unshare -U -r
row "in a pid namespace, with its proc" unshare -p -f -m --mount-proc --kill-child
row "in a pid namespace, with the host's proc" unshare -p -f --kill-child
row "proc with hidepid=1, a user" unshare -p -f -m --kill-child sh -c "mount -t proc -o hidepid=1 none /proc; exec $nobody $own" sh
row "proc with hidepid=2, a user" unshare -p -f -m --kill-child sh -c "mount -t proc -o hidepid=2 none /proc; exec $nobody $own" sh
row "no /proc" unshare -m sh -c "mount -t tmpfs none /proc; $own" sh
row "no /sys" unshare -m sh -c "mount -t tmpfs none /sys; $own" sh
row "no control groups" unshare -m sh -c "umount -R /sys/fs/cgroup 2>/dev/null || mount -t tmpfs none /sys/fs/cgroup; $own" sh
row "no /dev" unshare -m sh -c "mount -t tmpfs none /dev; $own" sh
row "a read-only root" unshare -m sh -c "mount -o remount,bind,ro /; $own" sh
row "a chroot with proc" unshare -m sh -c '
    root=$(mktemp -d); mount -t tmpfs none "$root"; mkdir "$root/proc" "$root/bin" "$root/lib" "$root/lib64" "$root/usr" "$root/dev"
    mount --rbind /proc "$root/proc"; for dir in bin lib lib64 usr; do mount --rbind "/$dir" "$root/$dir" 2>/dev/null || :; done
    mkdir -p "$root$(dirname "$1")"; : >"$root$1"; mount --bind "$1" "$root$1"; shift; exec chroot "$root" "$@"' sh "$bin"
row "locale C" env LC_ALL=C
row "locale C.UTF-8" env LC_ALL=C.UTF-8
row "16 open files" prlimit --nofile=16:16
row "64 MB of address space" prlimit --as=67108864
row "no new processes (pids.max)" sh -c '
    group=$(awk -F: "/:pids:/ { print \$3 }" /proc/self/cgroup); base=/sys/fs/cgroup/pids$group
    [ -d "$base" ] || base=/sys/fs/cgroup$(sed -n "s/^0:://p" /proc/self/cgroup)
    own=$base/ctrbox-matrix-$$; mkdir "$own" && { echo 3 >"$own/pids.max" 2>/dev/null; echo $$ >"$own/cgroup.procs"; }
    "$@"; status=$?; echo $$ >"$base/cgroup.procs"; rmdir "$own"; exit $status' sh
row "no variables" env -i PATH="$PATH"
for engine in docker podman; do
    $engine info >/dev/null 2>&1 || continue
    image=$($engine images -q 2>/dev/null | head -n 1)
    # Where the engine starts no container, there is no row.
    if [ -n "$image" ] && $engine run --rm "$image" true >/dev/null 2>&1; then
        row "in a container of $engine" "$engine" run --rm -v "$bin:$bin:ro" --entrypoint= "$image"
    fi
done
if [ -n "$verbose" ] && [ -s "$work/notes" ]; then
    printf '\n'
    cat "$work/notes"
fi
[ "$faults" = 0 ] || { echo "$faults faults" >&2; exit 1; }
