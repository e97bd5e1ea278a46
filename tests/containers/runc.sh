# shellcheck shell=bash
# runc, without anybody above it: PREFIX-one, PREFIX-two
: "${here:?}"

# shellcheck source=oci.sh
. "$here/oci.sh"

up_runc() {
    need runc
    oci_up runc_
}
runc_() { timeout 300 runc "$@"; }
exec_runc() {
    local id=$1
    shift
    runc_ exec -d "$id" "$@"
}
daemons_runc() { :; }
down_runc() {
    command -v runc || return 0
    oci_down runc_
}
