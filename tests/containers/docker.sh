# shellcheck shell=bash
# docker: PREFIX-web (namespaces of its own), PREFIX-host (the host's), PREFIX-init (an init, and a user),
# PREFIX-caps (NET_ADMIN for MKNOD), PREFIX-most (all capabilities but one)
: "${prefix:?}" "${here:?}" "${state:?}" "${work:=}" "${image:?}" "${label:?}"

up_docker() {
    need docker
    locked daemon_use docker
    make_image "$work/image.tar" "$image"
    docker_ load -q -i "$work/image.tar"
    docker_run web --network=none
    docker_run host --network=host --pid=host --ipc=host --uts=host
    docker_run init --network=none --init --user 1234
    docker_run caps --network=none --cap-add NET_ADMIN --cap-drop MKNOD
    docker_run most --network=none --cap-add ALL --cap-drop SYS_RESOURCE
}
docker_run() {
    local name=$prefix-$1
    shift
    docker_ run -d --name "$name" --label "$label" "$@" "$image"
    row "$name" "$(docker_ inspect -f '{{.Id}}' "$name")" "$(docker_ inspect -f '{{.State.Pid}}' "$name")"
}
exec_docker() { docker_ exec -d "$@"; }
daemons_docker() { daemon_processes docker; }

down_docker() {
    if [ -d "$state/daemon.docker" ]; then locked daemon_use docker || true; fi # a dead one leaves containers behind
    if docker_answers; then
        docker_ ps -aq --no-trunc --filter "label=$label" | tee -a "$work/ids" | xargs -r timeout 300 docker -H "$docker_socket" rm -f -v || true
        [ -z "$(docker_ ps -aq --filter "label=$label")" ] || complain "containers of $prefix are still there"
        [ -z "$(docker_ image ls -q "$image")" ] || docker_ image rm "$image" || complain "cannot remove $image"
    elif [ -s "$work/ids" ]; then
        complain "docker does not answer"
    fi
    locked daemon_leave docker || complain "dockerd does not stop"
}

# --- the daemon

docker_socket=unix:///run/docker.sock
docker_() { timeout 300 docker -H "$docker_socket" "$@"; }
docker_answers() { timeout 60 docker -H "$docker_socket" version; }
docker_start() {
    need dockerd containerd runc
    local pid containers config
    pid=$(cat /run/docker.pid 2>/dev/null || true)
    if [ -n "$pid" ]; then
        if [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = dockerd ]; then skip "a dockerd runs ($pid) but does not answer"; fi
        rm -f /run/docker.pid # stale; dockerd would believe it once the number is taken again
    fi
    # A dockerd that starts ends or restarts the containers it finds: they must be those of these scripts.
    containers=$(find /var/lib/docker/containers -name config.v2.json 2>/dev/null || true)
    for config in $containers; do
        grep -q '"ctrbox-test":' "$config" || skip "dockerd is not running but has containers"
    done
    # dockerd takes the system's containerd if its socket is there, even a dead one
    if [ -S /run/containerd/containerd.sock ]; then user=dockerd daemon_use containerd; fi
    daemon_spawn docker dockerd --iptables=false --ip6tables=false --bridge=none --exec-opt native.cgroupdriver=cgroupfs
}
docker_busy() { [ -n "$(docker_ ps -q)" ]; }
docker_stopping() { :; }
docker_stopped() {
    if mountpoint -q /run/docker/netns/default; then
        umount /run/docker/netns/default
        rm -f /run/docker/netns/default
    fi
    remove_cgroup docker
    user=dockerd daemon_leave containerd
}

# (for dockerd on the system's containerd)
# shellcheck source=containerd-daemon.sh
. "$here/containerd-daemon.sh"
