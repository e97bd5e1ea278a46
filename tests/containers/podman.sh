# shellcheck shell=bash
# podman: PREFIX-one, PREFIX-host (the host's namespaces), a pod PREFIX-pod of PREFIX-infra and PREFIX-inpod
: "${prefix:?}" "${work:=}" "${image:?}" "${label:?}"

up_podman() {
    local options=()
    need podman conmon
    podman_setup
    # (crun refuses to run on a hybrid hierarchy)
    if command -v runc; then options=(--runtime runc); fi
    make_image "$work/image.tar" "$image"
    podman_ load -q -i "$work/image.tar"
    podman_run one --network=none
    podman_run host --network=host --pid=host --ipc=host --uts=host
    podman_ "${options[@]}" pod create --name "$prefix-pod" --label "$label" --network=none --share=net,ipc,uts \
        --infra-name "$prefix-infra" --infra-image "$image" --infra-command 'sleep 1000000'
    podman_run inpod --pod "$prefix-pod"
    podman_row infra
}
podman_run() {
    local name=$1
    shift
    podman_ "${options[@]}" run -d --name "$prefix-$name" --label "$label" "$@" "$image"
    podman_row "$name"
}
podman_row() {
    row "$prefix-$1" "$(podman_ inspect -f '{{.Id}}' "$prefix-$1")" "$(podman_ inspect -f '{{.State.Pid}}' "$prefix-$1")"
}
exec_podman() {
    podman_setup
    podman_ exec -d "$@"
}
daemons_podman() { :; }

down_podman() {
    local pod_id
    command -v podman || return 0
    podman_setup
    podman_ ps -aq --no-trunc --filter "label=$label" >>"$work/ids"
    if podman_ pod exists "$prefix-pod"; then
        pod_id=$(podman_ pod inspect -f '{{.Id}}' "$prefix-pod")
        podman_ pod inspect -f '{{.InfraContainerID}}' "$prefix-pod" >>"$work/ids"
        podman_ pod rm -f -t 0 "$prefix-pod" || complain "cannot remove $prefix-pod"
        remove_cgroup_tree "libpod_parent/$pod_id"
    fi
    podman_ ps -aq --filter "label=$label" | xargs -r timeout 300 podman rm -f -v -t 0 || true
    [ -z "$(podman_ ps -aq --filter "label=$label")" ] || complain "containers of $prefix are still there"
    if podman_ image exists "$image"; then podman_ image rm "$image" || complain "cannot remove $image"; fi
    # (each conmon starts a last podman that cleans up)
    wait_for 30 no_process_mentions "$work/ids" || true
    remove_cgroup libpod_parent/conmon
    remove_cgroup libpod_parent
}

podman_() { timeout 300 podman "$@"; }
# podman_setup - settings of our own: without CAP_SYS_RESOURCE nobody gets podman's default limits
podman_setup() {
    {
        printf '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\n'
        if [ ! -d /run/systemd/system ]; then printf '[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n'; fi
    } >"$work/containers.conf"
    export CONTAINERS_CONF="$work/containers.conf"
}
