#!/bin/sh
# What cargo does not lint: manual pages, scripts, completions. A tool that is not there is said, not failed,
# unless CTRBOX_REQUIRE names it.
# shellcheck disable=SC2016 # what stands in single quotes is for the inner shell
set -u
cd "$(dirname "$0")" || exit 1
failed=0

problem() {
    echo "lint: $*" >&2
    failed=1
}
have() {
    command -v "$1" >/dev/null 2>&1 && return 0
    case ",${CTRBOX_REQUIRE:-}," in
    *",$1,"*) problem "$1 is required here but not installed" ;;
    *) echo "SKIP $1: not installed" >&2 ;;
    esac
    return 1
}
# silent WHAT COMMAND...: the command succeeds and says nothing
silent() {
    what=$1
    shift
    out=$("$@" 2>&1) || problem "$what: failed: $out"
    [ -z "$out" ] || problem "$what: $out"
}

# A package: no errors and warnings that are not overridden with a reason.
case ${1:-} in
deb)
    # cargo-deb writes a field Depends if there is nothing to depend on; the archive of Debian has no bug to close.
    if have lintian; then
        lintian --fail-on error,warning --suppress-tags empty-field,initial-upload-closes-no-bugs --allow-root "$2" || problem "$2"
    fi
    exit "$failed"
    ;;
rpm)
    if have rpmlint; then
        rpmlint -r contrib/fedora/ctrbox.rpmlintrc "$2" | tee target/rpmlint.log
        ! grep -q ': E: ' target/rpmlint.log || problem "$2"
    fi
    exit "$failed"
    ;;
esac

for page in man/*; do
    if have mandoc; then silent "$page" mandoc -T lint -W warning "$page"; fi
    # A page is ASCII: what groff takes another byte for depends on the locale.
    if have groff; then silent "$page" env LC_ALL=C sh -c 'groff -ww -man -Tutf8 "$1" 2>&1 >/dev/null' sh "$page"; fi
done
if have shellcheck; then
    git ls-files -co --exclude-standard | while read -r file; do
        case $file in
        *.sh) printf '%s\0' "$file" ;;
        *) head -c 64 "$file" 2>/dev/null | head -n 1 | grep -aqE '^#!.*[/ ](ba)?sh$' && printf '%s\0' "$file" ;;
        esac
    done | xargs -0 shellcheck -x -P SCRIPTDIR || problem "shellcheck"
fi
# The recipes of distributions: their tools set variables, and read those that the recipe sets.
silent contrib/alpine sh -n contrib/alpine/APKBUILD
if have bash; then silent contrib/arch bash -n contrib/arch/PKGBUILD; fi
if have shellcheck; then
    silent contrib/alpine shellcheck -s sh -e SC2034,SC2154 contrib/alpine/APKBUILD
    silent contrib/arch shellcheck -s bash -e SC2034,SC2154,SC2164 contrib/arch/PKGBUILD
fi
if have nix-instantiate; then silent contrib/nix sh -c 'nix-instantiate --option build-users-group "" --parse "$1" >/dev/null' sh contrib/nix/default.nix; fi
if have python3 && python3 -c 'import yaml' 2>/dev/null; then
    silent contrib/kubernetes python3 -c 'import sys, yaml; list(yaml.safe_load_all(open(sys.argv[1])))' contrib/kubernetes/daemonset.yaml
fi
# Advisories need a database from the network: tests/release.sh deny.
if have cargo-deny; then
    cargo deny --offline --log-level error check --hide-inclusion-graph bans licenses sources >&2 || problem "cargo deny"
fi
for script in completions/bash/*; do
    if have bash; then silent "$script" bash --norc -c '. "$1" && complete -p "${1##*/}" >/dev/null' bash "$script"; fi
done
for script in completions/zsh/_*; do
    if have zsh; then silent "$script" zsh -f -n "$script"; fi
done
for script in completions/fish/*; do
    if have fish; then silent "$script" fish --no-config -c 'source $argv[1]' "$script"; fi
done
exit "$failed"
