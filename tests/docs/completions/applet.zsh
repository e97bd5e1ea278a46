#compdef @NAME@
# zsh completion for @NAME@ of ctrbox
_ctrbox "$@"
