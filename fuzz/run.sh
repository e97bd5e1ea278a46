#!/bin/sh
# Fuzzes each parser for SECONDS (60), or only those named in TARGETS. Needs cargo-fuzz and a nightly toolchain.
# The inputs begin with tests/corpus/NAME and grow in target/fuzz/corpus/NAME. A fault is left in target/fuzz/faults:
# mend it, and add the file to tests/corpus/NAME.
set -eu
cd "$(dirname "$0")/.."
seconds=${SECONDS_EACH:-60}
out=$PWD/target/fuzz
export CARGO_TARGET_DIR="$out/build"
cargo +nightly fuzz build --fuzz-dir fuzz
programs=$out/build/$(rustc -vV | sed -n 's/^host: //p')/release
names=${TARGETS:-$(sed -n 's/^    ("\([a-z-]*\)", [a-z]*::.*/\1/p' src/fuzz/mod.rs) state}
status=0
printf '%-18s %8s %12s %9s %9s\n' TARGET SECONDS INPUTS COVERAGE FEATURES
for name in $names; do
    program=parser
    [ "$name" = state ] && program=state
    mkdir -p "$out/corpus/$name" "$out/faults"
    log=$out/$name.log
    result=ok
    # Scratch directories of the state target are below TMPDIR: memory, where there is such a directory.
    CTRBOX_FUZZ=$name TMPDIR=${FUZZ_TMPDIR:-/dev/shm} "$programs/$program" -max_total_time="$seconds" -timeout=10 \
        -rss_limit_mb=1024 -max_len=16384 -print_final_stats=1 -artifact_prefix="$out/faults/$name-" \
        "$out/corpus/$name" "tests/corpus/$name" >"$log" 2>&1 || result=FAULT
    awk -v name="$name" -v result="$result" -v seconds="$seconds" '
        / cov: / { for (i = 1; i < NF; i++) { if ($i == "cov:") cov = $(i + 1); if ($i == "ft:") ft = $(i + 1) } }
        /^stat::number_of_executed_units:/ { inputs = $2 }
        END { printf "%-18s %8s %12s %9s %9s%s\n", name, seconds, inputs, cov, ft, result == "ok" ? "" : "  " result }' "$log"
    if [ "$result" != ok ]; then
        status=1
        grep -m 3 -E 'panicked|ERROR:|SUMMARY' "$log" >&2 || true
    fi
done
exit "$status"
