#!/bin/sh
# Builds the static binary and leaves it at $CARGO_TARGET_DIR/release/ctrbox (target/ if that is not set), whatever
# target it was built for: musl where rustup has or can get it (smaller, and starts faster), else static glibc.
# The environment: CARGO_TARGET_DIR (from the project's directory), RUSTFLAGS as for cargo; TARGET=TRIPLE builds for another
# machine; PIE=1 links a position-independent executable; DEBUG=1 keeps symbols, debug data and unwind tables; AUDITABLE=1 puts
# the list of crates into the binary (cargo-auditable); UNIT_TESTS="FILTER..." runs unit tests instead, by cargo's RUNNER.
set -eu
cd "$(dirname "$0")"
out=${CARGO_TARGET_DIR:-target}
native=$(uname -m)
for switch in PIE DEBUG AUDITABLE; do
    [ "$(printenv "$switch")" != 0 ] || unset "$switch"
done

have() {
    [ -d "$(rustc --print sysroot)/lib/rustlib/$1" ] && return 0
    command -v rustup >/dev/null 2>&1 && rustup target add "$1" >/dev/null 2>&1
}

target=${TARGET:-$native-unknown-linux-musl}
if ! have "$target"; then
    if [ -n "${TARGET:-}" ]; then
        echo "build.sh: rustc has no target $target here: install it ('rustup target add $target')" >&2
        exit 1
    fi
    target=$native-unknown-linux-gnu
fi

# Flags are separated by 0x1f for cargo, so that a blank in one of them separates nothing.
separator=$(printf '\037')
flags=${CARGO_ENCODED_RUSTFLAGS-$(printf %s "${RUSTFLAGS:-}" | tr -s '[:space:]' ' ' | sed 's/^ //; s/ $//' | tr ' ' "$separator")}
flag() {
    for word in "$@"; do flags=$flags${flags:+$separator}$word; done
}

# No directory of this machine is in the binary: two builds of the same source are the same.
# The crates of the tarball of `make dist` and those of a registry have the same name. Where the source of std is
# installed (rust-src), rustc has its own path in place of the one that std was built with.
source=$(rustc --print sysroot)/lib/rustlib/src/rust
flag "--remap-path-prefix=$PWD=." "--remap-path-prefix=$PWD/vendor=crates" \
    "--remap-path-prefix=$source=/rustc/$(rustc -vV | sed -n 's/^commit-hash: //p')"
cargo fetch --locked --target "$target" >/dev/null 2>&1 || :
for index in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*; do
    flag "--remap-path-prefix=$index=crates"
done

# Static is not what every rustc makes: not that of Alpine, and none for glibc.
is_static() (
    IFS=$separator
    set -f
    # shellcheck disable=SC2086 # words
    rustc --print cfg --target "$target" $flags | grep 'target_feature="crt-static"' >/dev/null
)
is_static || flag -C target-feature=+crt-static
# A position-independent executable relocates 19 pages of tables at its start, which costs as much as the start of
# the program itself. SECURITY.md says what is lost without it.
[ -n "${PIE:-}" ] || flag -C relocation-model=static
# A name of this form says for which types a generic function was made, and start-order.ld needs that.
flag -C symbol-mangling-version=v0

# The linker: cargo's variable, else for another machine Debian's cross compiler or rustc's own linker.
machine=${target%%-*}
variable=CARGO_TARGET_$(printf %s "$target" | tr 'a-z.-' 'A-Z__')_LINKER
linker=$(printenv "$variable" || echo cc)
if [ "$machine" != "$native" ]; then
    linker=$(printenv "$variable" || command -v "$machine-linux-gnu-gcc" || echo rust-lld)
    export "$variable=$linker"
    [ "$linker" != rust-lld ] || flag -C linker-flavor=ld.lld -C link-self-contained=yes
fi

# Does the linker take this? RUSTFLAGS and cargo's configuration can name another one than $linker, so cargo is asked.
# RUSTFLAGS can name a map, too: that of the program.
links() (
    probe=$(mktemp -d)
    trap 'rm -rf "$probe"' EXIT
    mkdir "$probe/src"
    cp ./*.ld "$probe"
    printf '[workspace]\n[package]\nname = "probe"\n' >"$probe/Cargo.toml"
    echo 'fn main() {}' >"$probe/src/main.rs"
    flag -C link-arg="$1" -C link-arg=-Wl,-Map=/dev/null
    CARGO_ENCODED_RUSTFLAGS=$flags cargo build --manifest-path "$probe/Cargo.toml" --target "$target" \
        --target-dir "$probe" >/dev/null 2>&1
)

if [ -n "${DEBUG:-}" ]; then
    export CARGO_PROFILE_RELEASE_DEBUG=true CARGO_PROFILE_RELEASE_STRIP=none
    flag -C force-unwind-tables=yes
else
    # A sixth of the binary would be tables for unwinding, which std brings along and a program that aborts on a
    # panic never reads, and relocations in their long form. GNU ld 2.38 and newer can leave out both, and put what a
    # start touches together: functions (`make order`) and variables.
    case $target in
    *-musl)
        ld=$("$linker" -print-prog-name=ld 2>/dev/null || :)
        version=$("$ld" --version 2>/dev/null | sed -n '1s/^GNU ld .* 2\.\([0-9]*\).*/\1/p')
        # rustc runs in this directory, so the path needs no directory's name, whatever blanks and commas that has.
        scripts=-Wl,-z,pack-relative-relocs,-z,separate-code,--no-eh-frame-hdr,-T,no-unwinding.ld,-T,start-order.ld,-T,start-data.ld
        if [ "${version:-0}" -ge 38 ] && links "$scripts"; then
            # With the bitcode, which nobody needs, rustc gives each constant a name made of what is in it, for start-order.ld.
            flag --emit=llvm-bc -C link-arg="$scripts"
        fi
        ;;
    esac
fi
# cargo does not know that the linker reads these files.
built=$out/$target/release
for script in no-unwinding.ld start-order.ld start-data.ld; do
    [ -z "$(find "$script" -newer "$built/ctrbox" 2>/dev/null)" ] || rm -f "$built/ctrbox" "$built"/deps/ctrbox-*
done
CARGO_ENCODED_RUSTFLAGS=$flags
export CARGO_ENCODED_RUSTFLAGS
if [ -n "${UNIT_TESTS:-}" ]; then
    # shellcheck disable=SC2086 # words
    exec cargo test --release --locked --lib --target "$target" --target-dir "$out" -- $UNIT_TESTS
fi
# shellcheck disable=SC2086 # a word or none
cargo ${AUDITABLE:+auditable} build --release --locked --target "$target" --target-dir "$out"
if [ -n "${PIE:-}" ] && [ "$(od -An -tu1 -j16 -N2 "$built/ctrbox" | tr -d ' 0')" != 3 ]; then
    echo "build.sh: for $target rustc links no static position-independent executable: build without PIE" >&2
    exit 1
fi
mkdir -p "$out/release"
# By a rename: the binary there may be running, and somebody may start it at any moment.
cp "$built/ctrbox" "$out/release/ctrbox.new"
mv "$out/release/ctrbox.new" "$out/release/ctrbox"
