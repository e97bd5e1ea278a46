#!/bin/sh
# Runs a command on another kernel: in a virtual machine (qemu, without KVM), whose root is this one's, read-only below an
# overlay in memory. Needs root, qemu-system-x86, busybox-static, cpio, kmod and xz-utils.
#
#     tests/kernel.sh [-C v2|v1|hybrid|none] [-a WORDS] DIR COMMAND...
#
# DIR has an unpacked package: `apt-get download linux-image-5.10.0-30-amd64; dpkg-deb -x *.deb DIR`. Since Linux 7 there
# are three: linux-base-*, linux-binary-* and linux-modules-*. Cloud kernels lack 9p. -C is how control groups are mounted,
# v2 without it. -a appends WORDS to the command line of the kernel. The command runs with sh(1) in the working directory
# of the caller. The tests run there too, as in `tests/kernel.sh DIR CTRBOX_BIN=$PWD/target/release/ctrbox
# target/debug/deps/it-HASH --test-threads 1 cgexec`.
set -eu
groups=v2 append=
while getopts C:a: option; do
    case $option in
    C) groups=$OPTARG ;;
    a) append=$OPTARG ;;
    *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))
[ $# -ge 2 ] || { sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 2; }
dir=$1
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

image=$(find "$dir" -name 'vmlinuz*' -type f | head -n 1)
modules=$(find "$dir" -path '*/lib/modules/*' -prune -name '[0-9]*' | head -n 1)
if [ -z "$image" ] || [ -z "$modules" ]; then
    echo "$dir: no kernel, or no modules" >&2
    exit 1
fi
version=${modules##*/}

# What the root file system needs, and what it needs itself.
own=$work/root/lib/modules/$version
mkdir -p "$work/root/bin" "$work/root/proc" "$work/root/sys" "$work/root/dev" "$work/root/lower" "$work/root/upper" "$work/root/new" "$own"
cp "$(command -v busybox)" "$work/root/bin/busybox"
for tool in sh mount mkdir modprobe switch_root; do ln -s busybox "$work/root/bin/$tool"; done
cp "$modules"/modules.builtin* "$modules"/modules.order "$own/"
for part in kernel/fs/9p kernel/net/9p kernel/fs/netfs kernel/fs/fscache kernel/fs/overlayfs kernel/drivers/virtio kernel/lib kernel/crypto; do
    [ ! -e "$modules/$part" ] || { mkdir -p "$own/${part%/*}"; cp -r "$modules/$part" "$own/${part%/*}/"; }
done
find "$own" -name '*.xz' -exec xz -d {} +
depmod -b "$work/root" "$version"

cat >"$work/root/init" <<'INIT'
#!/bin/sh
mount -t proc proc /proc
for module in virtio_pci 9pnet_virtio 9p overlay; do modprobe "$module" 2>/dev/null; done
mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144,cache=loose,ro root /lower
mount -t tmpfs -o size=90% upper /upper && mkdir /upper/upper /upper/work
mount -t overlay -o lowerdir=/lower,upperdir=/upper/upper,workdir=/upper/work root /new
mkdir -p /new/run/ctrbox-kernel
mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144,ro start /new/run/ctrbox-kernel
exec switch_root /new /bin/sh /run/ctrbox-kernel/start
INIT
chmod 755 "$work/root/init"

mkdir "$work/start"
cat >"$work/start/start" <<'START'
mount -t proc -o nosuid,nodev,noexec proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs -o mode=755 dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs shm /dev/shm
mount -t tmpfs -o mode=1777 tmp /tmp
mount --make-rshared /
mount -t securityfs securityfs /sys/kernel/security
ln -sf /proc/self/fd /dev/fd
ip link set lo up
cd /run/ctrbox-kernel || exit
read -r groups <groups
v1() {
    mount -t tmpfs -o mode=755 cgroup /sys/fs/cgroup
    for one in $(sed '/^#/d; s/[[:space:]].*//' /proc/cgroups); do
        mkdir "/sys/fs/cgroup/$one" && mount -t cgroup -o "$one" cgroup "/sys/fs/cgroup/$one"
    done
    mkdir /sys/fs/cgroup/systemd && mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd
}
case $groups in
v2)
    mount -t cgroup2 -o nsdelegate cgroup2 /sys/fs/cgroup
    for one in $(cat /sys/fs/cgroup/cgroup.controllers); do echo "+$one" >/sys/fs/cgroup/cgroup.subtree_control; done
    ;;
v1) v1 ;;
hybrid)
    v1
    mkdir /sys/fs/cgroup/unified && mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified
    ;;
esac
stty -F /dev/ttyS1 raw -echo
sh /run/ctrbox-kernel/command </dev/null >/dev/ttyS1 2>&1
echo "@status $?" >/dev/ttyS0
echo o >/proc/sysrq-trigger
sleep 60
START
echo "$groups" >"$work/start/groups"
{
    printf "export PATH='%s' HOME=/root TERM=dumb\n" "$PATH"
    printf "cd '%s' || exit\n" "$PWD"
    printf '%s\n' "$*"
} >"$work/start/command"
(cd "$work/root" && find . | cpio -o -H newc --quiet | gzip -1) >"$work/initrd"

timeout "${KERNEL_TIMEOUT:-3600}" qemu-system-x86_64 -M pc -accel tcg -cpu max -m 3072 -smp 1 -nodefaults -no-reboot -display none \
    -serial "file:$work/console" -serial "file:/dev/fd/3" -kernel "$image" -initrd "$work/initrd" \
    -append "console=ttyS0 quiet panic=-1 mitigations=off no_timer_check $append" \
    -virtfs "local,path=/,mount_tag=root,security_model=none,readonly=on,multidevs=remap" \
    -virtfs "local,path=$work/start,mount_tag=start,security_model=none,readonly=on" 3>&1 </dev/null 2>&1 >"$work/qemu" | cat
status=$(tr -d '\r' <"$work/console" | sed -n 's/^.*@status \([0-9]*\)$/\1/p' | tail -n 1)
[ -n "$status" ] || { cat "$work/console" "$work/qemu" >&2; echo "the command did not end" >&2; exit 125; }
exit "$status"
