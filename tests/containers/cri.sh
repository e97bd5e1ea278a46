# shellcheck shell=bash
# A pod as a kubelet makes it, through containerd's CRI plugin: PREFIX-shop in the Kubernetes namespace
# PREFIX-ns, containers web and sidecar, best effort, on the host's network (so that no CNI is needed).
: "${prefix:?}" "${here:?}" "${state:?}" "${work:=}" "${image:?}"

# shellcheck source=containerd-daemon.sh
. "$here/containerd-daemon.sh"

pod=$prefix-shop
pod_ns=$prefix-ns
# (`down` derives the same UID)
pod_uid=$(sha256sum <<<"$prefix" | sed -E 's/^(.{8})(.{4}).(.{3}).(.{3})(.{12}).*/\1-\2-4\3-8\4-\5/')
pod_cgroup=/kubepods/besteffort/pod$pod_uid
pod_logs=/var/log/pods/${pod_ns}_${pod}_$pod_uid

up_cri() {
    local sandbox id name
    need ctr python3 curl
    locked daemon_use containerd
    wait_for 60 cri_ version || skip "the containerd that runs has no CRI plugin"
    make_image "$work/image.tar" "$image"
    ctr_ -n k8s.io images import "$work/image.tar"
    if daemon_is_ours containerd; then
        make_image "$work/pause.tar" "$pause_image"
        ctr_ -n k8s.io images import "$work/pause.tar"
    elif ! cri_ image "$(cri_ pause-image)"; then
        skip "the containerd that runs lacks its pause image, $(cri_ pause-image)"
    fi
    # (the plugin hears of them by and by)
    wait_for 200 cri_ image "$image"
    wait_for 200 cri_ image "$(cri_ pause-image)"

    sandbox=$(cri_ run-pod "$pod_ns" "$pod" "$pod_uid" "$pod_cgroup" "$pod_logs")
    row "$pod_ns/$pod/POD" "$sandbox" "$(task_pid k8s.io "$sandbox")"
    for name in web sidecar; do
        id=$(cri_ run-container "$sandbox" "$name" "$image" "$pod_ns" "$pod" "$pod_uid" "$pod_cgroup" "$pod_logs")
        row "$pod_ns/$pod/$name" "$id" "$(task_pid k8s.io "$id")"
    done
}
exec_cri() { # ID CMD...
    local id=$1
    shift
    ctr_ -n k8s.io tasks exec -d --exec-id "exec-$$" "$id" "$@"
}
daemons_cri() { daemon_processes containerd; }

down_cri() {
    if [ -d "$state/daemon.containerd" ]; then locked daemon_use containerd || true; fi
    if containerd_answers; then
        if cri_ version; then
            cri_ remove-pods "$pod_uid" || complain "cannot remove the pods of $prefix"
        fi
        remove_cri_image "$image" || complain "cannot remove $image"
    elif [ -s "$work/ids" ]; then
        complain "containerd does not answer"
    fi
    remove_cgroup_tree "$pod_cgroup"
    rm -rf "$pod_logs"
    locked daemon_leave containerd || complain "containerd does not stop"
}
