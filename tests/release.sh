#!/bin/bash
# shellcheck disable=SC2016 # what stands in single quotes is for the inner shell
# make release-check: what takes long, as root on Debian. Each step is run by its name; without a name all are.
#   deb     `make deb`, installed in a bare Debian root beside util-linux, used, and removed
#   dist    the tarball of `make dist` builds without network, in another directory, to the same bytes
#   cross   binaries for aarch64 and riscv64, which run under qemu-user
#   recipes each recipe of contrib/ builds its package with the tools of its distribution, as far as they are installed
#   deny    cargo-deny and cargo-auditable, if they are installed
set -euo pipefail
cd "$(dirname "$0")/.."
here=$PWD
work=$(mktemp -d "${TMPDIR:-/tmp}/ctrbox release.XXXXXX")
# The same for tools that take no blank: debootstrap, rpmbuild, nix.
plain=$(mktemp -d "${TMPDIR:-/tmp}/ctrbox-release.XXXXXX")
trap 'rm -rf --one-file-system "$work" "$plain"' EXIT
say() { printf '== %s\n' "$*"; }
# have WHAT PROGRAM...: are the programs installed? What is skipped is said.
have() {
    local what=$1 program
    shift
    for program; do
        command -v "$program" >/dev/null || { say "SKIP $what: $program is not installed"; return 1; }
    done
}

check_deb() {
    make -s deb
    # CTRBOX_DEBIAN_ROOT: a bare root that is there already; a copy of it is used.
    local root=$plain/root
    if [ -n "${CTRBOX_DEBIAN_ROOT:-}" ]; then
        cp -a "$CTRBOX_DEBIAN_ROOT" "$root"
    else
        debootstrap --variant=minbase bookworm "$root" >"$work/log" 2>&1 || { cat "$work/log"; return 1; }
    fi
    cp target/debian/ctrbox_*.deb "$root/tmp/"
    unshare --mount --pid --fork --mount-proc --root="$root" sh -euc '
        list() { find / -xdev \( -path /proc -o -path /sys -o -path /tmp -o -path /var/lib/dpkg -o -path /var/lib/apt -o -path /var/log -o -path /var/cache \) -prune -o -print | sort; }
        mount -t proc proc /proc
        list >/tmp/before
        apt="apt-get -qq -o Dpkg::Use-Pty=0"
        $apt install /tmp/ctrbox_*.deb >/dev/null
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
        # Where the shells of Debian look.
        test -f /usr/share/bash-completion/completions/ctrbox
        test -f /usr/share/zsh/vendor-completions/_ctrbox
        test -f /usr/share/fish/vendor_completions.d/ctrbox.fish
        $apt remove ctrbox >/dev/null
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

# The recipe is tried, not the binary: it is built without optimization.
quickly() {
    env -u CARGO_TARGET_DIR CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_OPT_LEVEL=0 \
        CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 "$@"
}

# Unit tests of parsers. Two compare what they know of their own process with /proc, which has that of qemu.
parsers="proc:: --skip this_process_is_found_and_read --skip the_length_of_the_environment"

# The binary under qemu-user.
runs() {
    local qemu=$1 binary=$2
    "$qemu" "$binary" --list >/dev/null
    # The kernel refuses a new user namespace to a process with threads, which qemu-user of Debian 12 is.
    "$qemu" "$binary" unshare -Ur true || "$qemu" "$binary" unshare --net true
}

# Where rustup has no std for musl: std is built from its source, for the C library of Debian's cross compiler.
cross_with_std() {
    local target=$1-unknown-linux-gnu qemu=$2 compiler=${1%gc}-linux-gnu-gcc
    have "cross: $target" "$compiler" || return 0
    if ! rustup component add rust-src --toolchain nightly >/dev/null 2>&1; then
        say "SKIP cross: rustup has neither std for $1-unknown-linux-musl nor the source of std"
        return 0
    fi
    local variable=${target^^}
    variable=CARGO_TARGET_${variable//-/_}
    local cargo=(env -u CARGO_TARGET_DIR "${variable}_LINKER=$compiler" "${variable}_RUNNER=$qemu"
        "${variable}_RUSTFLAGS=-C target-feature=+crt-static -C relocation-model=static" cargo +nightly)
    local options=(--locked --target "$target" --target-dir "$work/$1")
    "${cargo[@]}" build -Zbuild-std=std,panic_abort "${options[@]}"
    runs "$qemu" "$work/$1/$target/debug/ctrbox"
    # shellcheck disable=SC2086 # words
    "${cargo[@]}" test -Zbuild-std=std,panic_abort,test "${options[@]}" --lib -- $parsers
    say "cross: $target, with a std of its own"
}

check_cross() {
    local machine
    for machine in aarch64 riscv64gc; do
        local target=$machine-unknown-linux-musl qemu=qemu-${machine%gc}-static
        have "cross: $target" "$qemu" || continue
        if ! [ -d "$(rustc --print sysroot)/lib/rustlib/$target" ] && ! rustup target add "$target" >/dev/null 2>&1; then
            cross_with_std "$machine" "$qemu"
            continue
        fi
        TARGET=$target CARGO_TARGET_DIR="$work/$machine" ./build.sh
        runs "$qemu" "$work/$machine/release/ctrbox"
        local runner=CARGO_TARGET_${machine^^}_UNKNOWN_LINUX_MUSL_RUNNER
        quickly env TARGET="$target" CARGO_TARGET_DIR="$work/$machine" "$runner=$qemu" UNIT_TESTS="$parsers" ./build.sh
        say "cross: $target"
    done
}

# Debian: the source package, from the tarball.
recipe_debian() {
    have debian dpkg-buildpackage dh lintian || return 0
    cp "$tarball" "$1/${name/-/_}.orig.tar.gz"
    tar -xzf "$tarball" -C "$1"
    (cd "$1/$name" && quickly dpkg-buildpackage -d -us -uc >/dev/null)
    lintian --fail-on error,warning --suppress-tags initial-upload-closes-no-bugs --allow-root "$1"/*.changes "$1"/*.dsc
    say "debian: dpkg-buildpackage, lintian"
}

recipe_fedora() {
    have fedora rpmbuild || return 0
    mkdir "$1/SOURCES"
    cp "$tarball" "$1/SOURCES/"
    quickly rpmbuild -ba --quiet --nodeps --define "_topdir $1" contrib/fedora/ctrbox.spec
    say "fedora: rpmbuild -ba"
}

# makepkg refuses root. Another user may not read root's toolchain where it is.
recipe_arch() {
    have arch makepkg pacman || return 0
    cp contrib/arch/PKGBUILD "$tarball" "$1/"
    mkdir "$1/home" "$1/rustup" "$1/cargo"
    chown -R 65534:65534 "$1"
    chmod 755 "$plain" "$1"
    quickly unshare --mount bash -euc '
        mount --bind "${RUSTUP_HOME:-$HOME/.rustup}" "$0/rustup"
        mount --bind "${CARGO_HOME:-$HOME/.cargo}/bin" "$0/cargo"
        cd "$0"
        exec setpriv --reuid 65534 --regid 65534 --clear-groups env HOME="$0/home" TMPDIR="$0/home" \
            CARGO_HOME="$0/home/.cargo" RUSTUP_HOME="$0/rustup" PATH="$0/cargo:/usr/bin:/bin" makepkg --nodeps --nocheck >log 2>&1
    ' "$1" || { cat "$1/log"; return 1; }
    ls "$1"/ctrbox-*.pkg.tar.* >/dev/null
    say "arch: makepkg"
}

# Without abuild: the functions of the recipe, by a POSIX shell.
recipe_alpine() {
    tar -xzf "$tarball" -C "$1"
    (
        cd "$1/$name"
        quickly pkgdir="$1/pkg" sh -euc '. "$0/contrib/alpine/APKBUILD"; build; package' "$here" >"$1/log" 2>&1
    ) || { cat "$1/log"; return 1; }
    [ -x "$1/pkg/usr/bin/ctrbox" ]
    if have alpine abuild; then (cd contrib/alpine && abuild -F validate); fi
    say "alpine: build() and package() of APKBUILD"
}

# Without nixpkgs: tests/nixpkgs.nix has what the recipe uses of it. The phase of the build is not run.
recipe_nix() {
    have nix nix-build || return 0
    tar -xzf "$tarball" -C "$1"
    local result
    result=$(nix-build --option sandbox false --option build-users-group "" --option substitute false --no-out-link \
        --arg pkgs "import $here/tests/nixpkgs.nix $here/target/release/ctrbox" "$1/$name/contrib/nix" 2>"$1/log") ||
        { cat "$1/log"; return 1; }
    [ -x "$result/bin/ctrbox" ]
    nix-store --delete "$result" >/dev/null 2>&1
    say "nix: nix-build, with a stand-in for nixpkgs"
}

check_recipes() {
    ./dist.sh >/dev/null
    make -s build
    local tarball recipe name
    tarball=$(echo "$PWD"/target/dist/ctrbox-*.tar.gz)
    name=$(basename "$tarball" .tar.gz)
    for recipe in debian fedora arch alpine nix; do
        local directory
        directory=$(mktemp -d "$plain/$recipe.XXXXXX")
        local status=0
        "recipe_$recipe" "$directory" || status=$?
        rm -rf --one-file-system "$directory"
        [ $status = 0 ] || return $status
    done
}

check_deny() {
    if have deny cargo-deny; then
        # Advisories need the database, which the network may not have.
        cargo deny --locked check bans licenses sources
        cargo deny --locked check advisories || say "SKIP deny: advisories, see above"
        say "deny: bans, licenses, sources"
    fi
    if have auditable cargo-auditable; then
        quickly env AUDITABLE=1 CARGO_TARGET_DIR="$work/auditable" ./build.sh
        objcopy --dump-section .dep-v0="$work/dep-v0" "$work/auditable/release/ctrbox" "$work/without"
        python3 -c 'import json, sys, zlib
crates = {package["name"] for package in json.loads(zlib.decompress(open(sys.argv[1], "rb").read()))["packages"]}
sys.exit(not {"ctrbox", "libc", "nix", "clap"} <= crates)' "$work/dep-v0"
        say "auditable: the binary has the list of its crates"
    fi
}

for step in "${@:-deb dist cross recipes deny}"; do
    for name in $step; do "check_$name"; done
done
