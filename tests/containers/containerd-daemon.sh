# shellcheck shell=bash
# The containerd of containerd.sh and cri.sh, and of docker.sh where dockerd finds it.
: "${state:?}" "${here:?}"

containerd_socket=/run/containerd/containerd.sock
ctr_() { timeout 300 ctr -a "$containerd_socket" "$@"; }
containerd_answers() { [ -S "$containerd_socket" ] && timeout 10 ctr -a "$containerd_socket" --connect-timeout 5s version; }
# (the CRI plugin runs each pod's first container from this image; cri.sh loads it)
pause_image=localhost/ctrbox-test:pause
containerd_start() {
    need containerd ctr runc
    # restrict_oom_score_adj: the pause container asks for -998, which takes CAP_SYS_RESOURCE
    cat >"$state/daemon.containerd/config.toml" <<TOML
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "$pause_image"
  restrict_oom_score_adj = true
TOML
    daemon_spawn containerd containerd -c "$state/daemon.containerd/config.toml"
}
containerd_busy() {
    local ns
    for ns in $(ctr_ namespaces ls -q); do
        if [ -n "$(ctr_ -n "$ns" containers ls -q)" ]; then return 0; fi
    done
    return 1
}
containerd_stopping() { remove_cri_image "$pause_image"; }
containerd_stopped() {
    rm -f "$containerd_socket" "$containerd_socket.ttrpc" # a dockerd that starts would take it for alive
    remove_cgroup default
    remove_cgroup kubepods/besteffort
    remove_cgroup kubepods
    if [ -d /var/log/pods ]; then rmdir --ignore-fail-on-non-empty /var/log/pods; fi
}
# task_pid NS ID
task_pid() { ctr_ -n "$1" tasks ls | awk -v id="$2" '$1 == id { print $2 }'; }

cri_() { timeout 300 python3 "$here/cri.py" "$containerd_socket" "$@"; }
# (not `ctr images rm`, for the CRI plugin adds names of its own, as soon as it has heard of the image)
remove_cri_image() {
    if cri_image_is_gone "$1"; then return 0; fi
    wait_for 200 cri_ image "$1" && cri_ remove-image "$1" && cri_image_is_gone "$1"
}
cri_image_is_gone() { [ -z "$(ctr_ -n k8s.io images ls -q "name==$1")" ]; }
