#!/bin/sh
# Builds the static binary and leaves it at target/release/ctrbox, whatever target it was built for: musl
# where rustup has or can get it (smaller, and starts in a quarter of the time), else static glibc.
set -eu
cd "$(dirname "$0")"
arch=$(uname -m)
musl=$arch-unknown-linux-musl

have_musl() {
    [ -d "$(rustc --print sysroot)/lib/rustlib/$musl" ] && return 0
    command -v rustup >/dev/null 2>&1 && rustup target add "$musl" >/dev/null 2>&1
}

if have_musl; then
    target=$musl
else
    target=$arch-unknown-linux-gnu
    RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+crt-static"
    export RUSTFLAGS
fi
# A sixth of the binary would be tables for unwinding, which std brings along and a program that aborts on a
# panic never reads, and relocations in their long form. GNU ld 2.38 can leave out both.
if [ "$target" = "$musl" ] && ld --help 2>/dev/null | grep -q pack-relative-relocs; then
    mkdir -p target
    cat >target/no-unwinding.ld <<'END'
SECTIONS { /DISCARD/ : { *(EXCLUDE_FILE(*crtbegin*.o *crtend*.o) .eh_frame) *(.gcc_except_table*) } }
INSERT BEFORE .eh_frame;
END
    RUSTFLAGS="${RUSTFLAGS:-} -C link-arg=-Wl,-z,pack-relative-relocs,--no-eh-frame-hdr,-T,$PWD/target/no-unwinding.ld"
    export RUSTFLAGS
fi
cargo build --release --locked --target "$target"
mkdir -p target/release
# By a rename: the binary there may be running, and somebody may start it at any moment.
cp "target/$target/release/ctrbox" target/release/ctrbox.new
mv target/release/ctrbox.new target/release/ctrbox
