# shellcheck shell=bash
# podman of a user who is not root: PREFIX-one, PREFIX-two (with a user in it), and a pod of PREFIX-infra and
# PREFIX-inpod
: "${prefix:?}" "${here:?}" "${work:=}" "${image:?}" "${label:?}"

# shellcheck source=user.sh
. "$here/user.sh"

up_rootless() {
    need podman conmon newuidmap
    user_up
    rootless_setup
    make_image "$work/image.tar" "$image"
    chmod 644 "$work/image.tar"
    rootless_ load -q -i "$work/image.tar"
    rootless_run one --network=none
    rootless_run two --network=none --user 1234
    rootless_ pod create --name "$prefix-pod" --network=none --share=net,ipc,uts \
        --infra-name "$prefix-infra" --infra-image "$image" --infra-command 'sleep 1000000'
    rootless_run inpod --pod "$prefix-pod"
    rootless_row infra
}
rootless_run() {
    local name=$prefix-$1
    shift
    rootless_ run -d --name "$name" --label "$label" "$@" "$image"
    rootless_row "${name#"$prefix-"}"
}
rootless_row() {
    row "$prefix-$1" "$(rootless_ inspect -f '{{.Id}}' "$prefix-$1")" "$(rootless_ inspect -f '{{.State.Pid}}' "$prefix-$1")"
}
# (root's podman.sh says why)
rootless_setup() {
    own_uid=$(id -u "$own_user")
    {
        printf '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\n[engine]\nruntime = "runc"\n'
        if [ ! -d /run/systemd/system ]; then printf 'cgroup_manager = "cgroupfs"\nevents_logger = "file"\n'; fi
    } >"$work/containers.conf"
    chmod 644 "$work/containers.conf"
}
rootless_() { as_user env CONTAINERS_CONF="$work/containers.conf" timeout 300 podman --log-level=error --storage-driver=vfs "$@"; }
exec_rootless() {
    rootless_setup
    rootless_ exec -d "$@"
}
# conmons, and the process that keeps the user namespace
daemons_rootless() {
    own_uid=$(id -u "$own_user")
    pgrep -U "$own_uid" -x 'conmon|catatonit|podman pause' || true
}
down_rootless() {
    if id "$own_user"; then
        rootless_setup
        rootless_ pod rm -f -a -t 0 || true
        rootless_ rm -f -a -t 0 || complain "containers of $own_user are still there"
        wait_for 30 no_process_mentions "$work/ids" || true
        pkill -U "$own_uid" -x catatonit || true
    fi
    user_down
}
