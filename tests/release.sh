#!/bin/bash
# shellcheck disable=SC2016 # what stands in single quotes is for the inner shell
# make release-check: what takes long, as root on Debian. Each step is run by its name; without a name all are.
#   deb     `make deb`, installed in a bare Debian root beside util-linux, used, and removed
#   dist    the tarball of `make dist` builds without network, in another directory, to the same bytes
#   cross   binaries for aarch64 and riscv64, which run under qemu-user
set -euo pipefail
cd "$(dirname "$0")/.."
here=$PWD
work=$(mktemp -d "${TMPDIR:-/tmp}/ctrbox release.XXXXXX")
trap 'rm -rf --one-file-system "$work"' EXIT
say() { printf '== %s\n' "$*"; }

check_deb() {
    make -s deb
    # CTRBOX_DEBIAN_ROOT: a bare root that is there already; a copy of it is used.
    local root=$work/root
    if [ -n "${CTRBOX_DEBIAN_ROOT:-}" ]; then
        cp -a "$CTRBOX_DEBIAN_ROOT" "$root"
    else
        debootstrap --variant=minbase bookworm "$root" >/dev/null
    fi
    cp target/debian/ctrbox_*.deb "$root/tmp/"
    unshare --mount --pid --fork --mount-proc --root="$root" sh -euc '
        list() { find / -xdev \( -path /proc -o -path /sys -o -path /tmp -o -path /var/lib/dpkg -o -path /var/log -o -path /var/cache \) -prune -o -print | sort; }
        mount -t proc proc /proc
        list >/tmp/before
        dpkg -i /tmp/ctrbox_*.deb >/dev/null
        # Beside util-linux, which is unchanged.
        nsenter --version | grep -q util-linux
        [ "$(dpkg -S /usr/bin/nsenter | cut -d: -f1)" = util-linux ]
        dpkg --verify util-linux
        ctrbox nsenter --version | grep -q "from ctrbox"
        /usr/libexec/ctrbox/bin/nsenter --version | grep -q "from ctrbox"
        PATH=/usr/libexec/ctrbox/bin:$PATH lsns --version | grep -q "from ctrbox"
        ctr-ps -q -p 1 >/dev/null || [ $? = 1 ]
        ctr-ps --forest | grep -q ctr-ps
        ctrbox help ctr-inspect | grep -q Usage
        test -f /usr/share/man/man1/ctrbox-nsenter.1.gz
        dpkg -r ctrbox >/dev/null
        list >/tmp/after
        diff /tmp/before /tmp/after
    '
    say "deb: installed beside util-linux, used, removed; nothing is left"
}

check_dist() {
    ./dist.sh >/dev/null
    tar -xzf target/dist/ctrbox-*.tar.gz -C "$work"
    make -s build
    (
        cd "$work"/ctrbox-*/
        mkdir "$work/home"
        env -u CARGO_TARGET_DIR CARGO_HOME="$work/home" CARGO_NET_OFFLINE=true unshare --net ./build.sh
        cmp target/release/ctrbox "$here/target/release/ctrbox"
        CARGO_HOME="$work/home" unshare --net cargo test --offline --locked --lib --quiet
    )
    say "dist: it builds without network, to the bytes of a build in $here"
}

check_cross() {
    local target
    for target in aarch64 riscv64gc; do
        TARGET=$target-unknown-linux-musl CARGO_TARGET_DIR="$work/$target" ./build.sh
        local qemu=qemu-${target%gc}-static binary=$work/$target/release/ctrbox
        "$qemu" "$binary" --list >/dev/null
        "$qemu" "$binary" unshare -Ur true
        say "cross: $target"
    done
}

for step in "${@:-deb dist cross}"; do
    for name in $step; do "check_$name"; done
done
