#!/bin/sh
# Which lines the tests run: the share of each directory of src, and target/coverage/lines.txt with the count of each line.
# Arguments are filters for the integration tests. Needs the nightly toolchain with llvm-tools (rustup).
#
# The counters are in a file that is mapped (%c): a process that executes another program, ends by _exit(2), or is killed
# has counted what it ran until then. A process that may not write the file counts nothing.
set -eu
cd "$(dirname "$0")/.."
out=$PWD/target/coverage
tools=$(dirname "$(find "$(rustc +nightly --print sysroot)" -name llvm-cov | head -n 1)")
export CARGO_TARGET_DIR="$out" RUSTFLAGS='-C instrument-coverage -C llvm-args=-runtime-counter-relocation'
LLVM_PROFILE_FILE="$out/build/%m.profraw" cargo +nightly test --locked --no-run
rm -rf "$out/raw"
mkdir -p "$out/raw"
chmod 1777 "$out/raw"
umask 0
export LLVM_PROFILE_FILE="$out/raw/%m%c.profraw" CTRBOX_BIN="$out/debug/ctrbox"
"$CTRBOX_BIN" --list >/dev/null
# A test that counts descriptors, calls or mappings fails here: the counters have some of their own.
cargo +nightly test --locked --no-fail-fast --lib || :
cargo +nightly test --locked --no-fail-fast --test it -- "$@" || :
"$tools/llvm-profdata" merge -sparse "$out"/raw/*.profraw -o "$out/merged"
objects=$(find "$out/debug/deps" -maxdepth 1 -type f -perm -u+x \( -name 'ctrbox-*' -o -name 'it-*' \) -exec printf ' -object %s' {} +)
# shellcheck disable=SC2086
"$tools/llvm-cov" show "$CTRBOX_BIN" $objects -instr-profile "$out/merged" src >"$out/lines.txt"
# shellcheck disable=SC2086
"$tools/llvm-cov" export "$CTRBOX_BIN" $objects -instr-profile "$out/merged" -format=lcov src |
    awk -F: '/^SF:/ { sub(/.*\/src\//, "", $2); sub(/\/.*/, "", $2); dir = $2 }
        /^LF:/ { lines[dir] += $2 } /^LH:/ { run[dir] += $2 }
        END { for (dir in lines) printf "%-14s %5d of %5d lines, %.1f %%\n", dir, run[dir], lines[dir], 100 * run[dir] / lines[dir] }' | sort
