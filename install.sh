#!/bin/sh
# install.sh install|uninstall: what `make install` installs, as one list for both. It runs no program of the package,
# so that a binary for another machine can be installed. The environment has the directories (see the Makefile);
# COMPAT=1 adds the names of util-linux, libcap and libcgroup to bindir.
# shellcheck disable=SC2154 # the Makefile has the directories
set -eu
cd "$(dirname "$0")"
action=$1
: "${DESTDIR=}" "${COMPAT=}" "${INSTALL:=install}" "${BIN:=target/release/ctrbox}"
links=$libexecdir/ctrbox/bin

case $action in
install)
    file() {
        mkdir -p "$DESTDIR${3%/*}"
        $INSTALL -m "$1" "$2" "$DESTDIR$3" # INSTALL may have options
    }
    link() {
        mkdir -p "$DESTDIR${2%/*}"
        ln -sf "$1" "$DESTDIR$2"
    }
    own() { :; }
    ;;
uninstall)
    file() { rm -f "$DESTDIR$3"; }
    # A program of that name that another package put there since then stays.
    link() { [ "$(readlink "$DESTDIR$2")" != "$1" ] || rm -f "$DESTDIR$2"; }
    own() { rmdir "$DESTDIR$1" 2>/dev/null || :; }
    ;;
*)
    echo "usage: install.sh install|uninstall" >&2
    exit 2
    ;;
esac

# from DIRECTORY PATH: the path relative to the directory, so that DESTDIR is in no link.
from() {
    awk -v from="$1" -v to="$2" 'BEGIN {
        n = split(from, f, "/"); m = split(to, t, "/")
        for (i = 1; i <= n && i <= m && f[i] == t[i]; i++);
        for (j = i; j <= n; j++) printf "../"
        for (j = i; j <= m; j++) printf "%s%s", t[j], j < m ? "/" : ""
    }'
}

completions() {
    file 644 "completions/bash/$1" "$bashdir/$1"
    file 644 "completions/zsh/_$1" "$zshdir/_$1"
    file 644 "completions/fish/$1.fish" "$fishdir/$1.fish"
}

file 755 "$BIN" "$bindir/ctrbox"
completions ctrbox
to_box=$(from "$links" "$bindir/ctrbox")
# The pages name the applets: ctr-NAME is of this project alone, ctrbox-NAME replaces NAME of another.
for page in man/*.[1-8]; do
    page=${page#man/}
    directory=$mandir/man${page##*.}
    file 644 "man/$page" "$directory/$page"
    case $page in
    ctrbox.* | *.7) ;;
    ctrbox-*)
        name=${page#ctrbox-}
        link "$to_box" "$links/${name%.*}"
        completions "${page%.*}"
        if [ "${COMPAT:-0}" != 0 ]; then
            link ctrbox "$bindir/${name%.*}"
            link "$page" "$directory/$name"
            completions "${name%.*}"
        fi
        ;;
    *)
        link "$to_box" "$links/${page%.*}"
        link ctrbox "$bindir/${page%.*}"
        completions "${page%.*}"
        ;;
    esac
done
for text in README.md CHANGELOG.md SECURITY.md LICENSE-APACHE LICENSE-MIT docs/*.md docs/schema/*.json; do
    file 644 "$text" "$docdir/$text"
done
for directory in "$links" "$libexecdir/ctrbox" "$docdir/docs/schema" "$docdir/docs" "$docdir"; do
    own "$directory"
done
