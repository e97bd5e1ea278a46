#!/usr/bin/env python3
"""The few calls of a kubelet that cri.sh needs (CRI v1).

Messages are encoded by hand, with the field numbers of k8s.io/cri-api's
runtime/v1/api.proto, and curl carries the gRPC frame over HTTP/2: neither
grpcio nor protoc is needed.

  cri.py SOCKET version
  cri.py SOCKET pause-image                                   the image of every pod's first container
  cri.py SOCKET image IMAGE                                   fails if it is not there
  cri.py SOCKET remove-image IMAGE                            with all its names
  cri.py SOCKET run-pod NS POD UID CGROUP LOGS                prints the sandbox's id
  cri.py SOCKET run-container SANDBOX NAME IMAGE NS POD UID CGROUP LOGS     prints the id
  cri.py SOCKET remove-pods UID
"""

import json
import struct
import subprocess
import sys

RUNTIME = "runtime.v1.RuntimeService"
IMAGES = "runtime.v1.ImageService"
NETWORK_OF_NODE = 2
PID_OF_CONTAINER = 1


# --- protobuf: a message is bytes, a decoded one a list of (field, value) ---


def varint(n):
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, str):
        value = value.encode()
    return varint(number << 3 | 2) + varint(len(value)) + value


def pairs(number, mapping):
    return b"".join(field(number, field(1, k) + field(2, v)) for k, v in mapping.items())


def decode(data):
    def number():
        nonlocal i
        n = shift = 0
        while True:
            byte = data[i]
            i += 1
            n |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return n

    i, out = 0, []
    while i < len(data):
        key = number()
        kind = key & 7
        if kind == 0:
            value = number()
        else:
            size = {1: 8, 5: 4}.get(kind) or number()
            value = data[i : i + size]
            i += size
        out.append((key >> 3, value))
    return out


def get(message, number, default=b""):
    return next((value for n, value in message if n == number), default)


# --- gRPC ---


def call(socket, service, method, message=b""):
    curl = subprocess.run(
        ["curl", "-sS", "--http2-prior-knowledge", "--unix-socket", socket, "--max-time", "60"]
        + ["-H", "content-type: application/grpc", "-H", "te: trailers", "--data-binary", "@-"]
        + ["-D", "/dev/stderr", f"http://localhost/{service}/{method}"],
        input=b"\0" + struct.pack(">I", len(message)) + message,
        capture_output=True,
    )
    headers = curl.stderr.decode(errors="replace")
    if curl.returncode or "grpc-status: 0" not in headers.lower():
        sys.exit(f"cri.py: {method}: {headers.strip()}")
    return decode(curl.stdout[5:])


# --- what a kubelet says ---


def pod_config(ns, pod, uid, cgroup, logs):
    labels = {"io.kubernetes.pod.name": pod, "io.kubernetes.pod.namespace": ns, "io.kubernetes.pod.uid": uid}
    security = field(1, field(1, NETWORK_OF_NODE))
    return (
        field(1, field(1, pod) + field(2, uid) + field(3, ns))
        + field(3, logs)
        + pairs(6, labels)
        + field(8, field(1, cgroup) + field(2, security))
    )


def container_config(name, image, ns, pod, uid):
    labels = {
        "io.kubernetes.container.name": name,
        "io.kubernetes.pod.name": pod,
        "io.kubernetes.pod.namespace": ns,
        "io.kubernetes.pod.uid": uid,
    }
    resources = field(3, 2)  # cpu_shares, as of a best-effort pod
    security = field(3, field(1, NETWORK_OF_NODE) + field(2, PID_OF_CONTAINER))
    return (
        field(1, field(1, name))
        + field(2, field(1, image))
        + pairs(9, labels)
        + field(11, f"{name}/0.log")
        + field(15, field(1, resources) + field(2, security))
    )


def main(socket, verb, *args):
    if verb == "version":
        print(get(call(socket, RUNTIME, "Version"), 3).decode())
    elif verb == "pause-image":
        status = call(socket, RUNTIME, "Status", field(1, 1))
        info = {get(decode(entry), 1): get(decode(entry), 2) for n, entry in status if n == 2}
        print(json.loads(info[b"config"])["sandboxImage"])
    elif verb == "image":
        (image,) = args
        if not get(call(socket, IMAGES, "ImageStatus", field(1, field(1, image))), 1):
            sys.exit(f"cri.py: no image {image}")
    elif verb == "remove-image":
        (image,) = args
        call(socket, IMAGES, "RemoveImage", field(1, field(1, image)))
    elif verb == "run-pod":
        print(get(call(socket, RUNTIME, "RunPodSandbox", field(1, pod_config(*args))), 1).decode())
    elif verb == "run-container":
        sandbox, name, image, *pod = args
        config = container_config(name, image, *pod[:3])
        request = field(1, sandbox) + field(2, config) + field(3, pod_config(*pod))
        container = get(call(socket, RUNTIME, "CreateContainer", request), 1).decode()
        call(socket, RUNTIME, "StartContainer", field(1, container))
        print(container)
    elif verb == "remove-pods":
        (uid,) = args
        for n, entry in call(socket, RUNTIME, "ListPodSandbox"):
            sandbox = decode(entry)
            if get(decode(get(sandbox, 2)), 2).decode() == uid:
                call(socket, RUNTIME, "StopPodSandbox", field(1, get(sandbox, 1)))
                call(socket, RUNTIME, "RemovePodSandbox", field(1, get(sandbox, 1)))
    else:
        sys.exit(__doc__)


if len(sys.argv) < 3:
    sys.exit(__doc__)
main(*sys.argv[1:])
