# shellcheck shell=bash
# What podman-rootless.sh and flatpak.sh share: a user of this test's own.
: "${prefix:?}" "${runtime:?}" "${work:=}"

own_user=$prefix

# user_up - with a home, ids for the inside of containers, and a runtime directory
user_up() {
    need useradd userdel setpriv
    chmod 711 "$work"
    locked user_make
    own_uid=$(id -u "$own_user")
    install -d -o "$own_user" -m 700 "$work/home" "/run/user/$own_uid"
}
user_make() {
    if ! id "$own_user"; then useradd -M -d "$work/home" -s /bin/sh "$own_user"; fi
    # (useradd gives none to system users, nor where login.defs says so)
    if ! grep -q "^$own_user:" /etc/subuid; then usermod --add-subuids 2000000-2065535 --add-subgids 2000000-2065535 "$own_user"; fi
}
# as_user CMD...
as_user() {
    (cd "$work/home" && exec setpriv --reuid "$own_user" --regid "$own_user" --init-groups env -i HOME="$work/home" \
        USER="$own_user" LOGNAME="$own_user" XDG_RUNTIME_DIR="/run/user/$own_uid" PATH=/usr/bin:/bin:/usr/sbin:/sbin "$@")
}
# user_down - after what runs for the user has ended
user_down() {
    own_uid=$(id -u "$own_user") || return 0
    wait_for 10 user_is_idle || pkill -KILL -U "$own_uid" || true
    wait_for 10 user_is_idle || complain "processes of $own_user are still there"
    rm -rf --one-file-system "/run/user/$own_uid" || complain "cannot remove /run/user/$own_uid"
    # (what containers own is not the user's to remove)
    rm -rf --one-file-system "${work:?}/home"
    locked userdel -f "$own_user" || complain "cannot remove the user $own_user"
}
# (what has ended but was not waited for yet does not count)
user_is_idle() { [ -z "$(pgrep -U "$own_uid" -r D,R,S,T)" ]; }
