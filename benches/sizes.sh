#!/bin/sh
# Which crate how much of the program is: bytes of machine code by the crate whose function it is, for docs/COSTS.md.
# Usage: sizes.sh BINARY, one with symbols (`make sizes`). Generic code counts for the crate that has it in its source,
# which is mostly core, alloc and std; so do closures that are passed to it.
set -eu
nm -S --defined-only -C "$1" | awk '
    $3 !~ /^[tTwW]$/ { next }
    {
        size = 0
        digits = tolower($2)
        for (at = 1; at <= length(digits); at++) size = size * 16 + index("0123456789abcdef", substr(digits, at, 1)) - 1
        name = $4
        for (at = 5; at <= NF; at++) name = name " " $at
        # A path after the brackets, references and keywords of a type.
        while (name ~ /^(<|&|\[|\(|mut |dyn |impl |\*const |\*mut )/) sub(/^(<|&|\[|\(|mut |dyn |impl |\*const |\*mut )/, "", name)
        crate = "C library and start"
        if (match(name, /^[a-z_0-9]+::/)) crate = substr(name, 1, RLENGTH - 2)
        else if (name ~ /^(u8|u16|u32|u64|usize|i32|i64|char|str|bool|f64|T|U|I|A|S|R)( |>|\])/ || name ~ />::|::/) crate = "core"
        bytes[crate] += size
        all += size
    }
    END {
        for (crate in bytes) if (bytes[crate] >= 500) printf "| %s | %d | %.1f |\n", crate, bytes[crate], bytes[crate] * 100 / all
        printf "| all | %d | 100 |\n", all
    }' | sort -t '|' -k 3,3nr | {
    printf '| crate | bytes | percent |\n|---|---|---|\n'
    cat
}
