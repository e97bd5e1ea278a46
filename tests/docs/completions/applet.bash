# bash completion for @NAME@ of ctrbox
declare -F _ctrbox >/dev/null || . "${BASH_SOURCE[0]%/*}/ctrbox"
complete -F _ctrbox @NAME@
