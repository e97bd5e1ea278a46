#!/bin/sh
# make dist: target/dist/ctrbox-VERSION.tar.gz, the files that git knows and the crates of Cargo.lock. It builds without
# network, and it is the same bytes for every user in every directory. Beside it: the list of crates (SBOM) and
# checksums.
set -eu
umask 022
cd "$(dirname "$0")"
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
name=ctrbox-$version
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct 2>/dev/null || echo 0)}"
out=$PWD/target/dist
rm -rf "$out"
mkdir -p "$out/$name/.cargo"

git ls-files -z | tar -c --null -T - | tar -x -C "$out/$name"
(
    cd "$out/$name"
    cargo vendor --locked --versioned-dirs vendor >.cargo/config.toml 2>/dev/null
    # Debian builds in a directory of this name.
    cp -r contrib/debian debian
)
# In the C locale, so that the order is that of bytes.
LC_ALL=C tar -c -C "$out" --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner \
    --mode=u+rw,go+r-w,a+X --format=gnu "$name" | gzip -9n >"$out/$name.tar.gz"
rm -rf "${out:?}/$name"
cargo metadata --format-version 1 --locked --filter-platform x86_64-unknown-linux-musl |
    cargo run --locked --quiet --example sbom >"$out/$name.cdx.json"
(cd "$out" && sha256sum "$name.tar.gz" "$name.cdx.json" >SHA256SUMS)
ls -l "$out"
