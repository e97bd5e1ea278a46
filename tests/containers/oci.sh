# shellcheck shell=bash
# What runc.sh and crun.sh share: bundles written by hand.
: "${prefix:?}" "${work:=}" "${runtime:?}"

# bundle NAME CGROUP - its directory; CGROUP is a path, or nothing for the runtime's own choice
bundle() {
    local name=$1 dir=$work/$1 cgroup=
    if [ -n "$2" ]; then cgroup="\"cgroupsPath\":\"$2\","; fi
    mkdir -p "$dir"
    if [ ! -e "$work/rootfs" ]; then make_rootfs "$work/rootfs"; fi
    cat >"$dir/config.json" <<JSON
{"ociVersion":"1.0.2","hostname":"$name-host","annotations":{"ctrbox-test":"$prefix"},
 "process":{"user":{"uid":0,"gid":0},"cwd":"/","env":["PATH=/bin"],"args":["/bin/sh","-c","sleep 1000000 & exec sleep 1000001"]},
 "root":{"path":"$work/rootfs","readonly":true},
 "mounts":[{"destination":"/proc","type":"proc","source":"proc"},{"destination":"/dev","type":"tmpfs","source":"tmpfs"}],
 "linux":{$cgroup"namespaces":[{"type":"pid"},{"type":"ipc"},{"type":"uts"},{"type":"mount"},{"type":"network"}]}}
JSON
}
# oci_up CMD... - PREFIX-one in the group of its name, PREFIX-two in another
oci_up() {
    local name
    bundle "$prefix-one" ""
    bundle "$prefix-two" "/ctrbox-$prefix.$runtime/other"
    for name in "$prefix-one" "$prefix-two"; do
        "$@" run -d -b "$work/$name" --pid-file "$work/$name/pid" "$name"
        row "$name" "$name" "$(cat "$work/$name/pid")"
    done
}
oci_down() { # CMD...
    local name
    for name in "$prefix-one" "$prefix-two"; do
        if "$@" state "$name"; then "$@" delete -f "$name" || complain "cannot delete $name"; fi
        remove_cgroup "$name"
    done
    remove_cgroup_tree "ctrbox-$prefix.$runtime"
}
