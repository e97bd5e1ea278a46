#compdef ctrbox
# zsh completion for ctrbox and its applets. ctrbox itself says what can be completed; zsh completes files and
# programs.

local box=ctrbox action number line
local -a given answer offers

given=("${(@Q)words[1,CURRENT - 1]}" "${(Q)PREFIX}")
if (( ! $+commands[ctrbox] )); then
    [[ ${given[1]:t} == ctrbox* ]] || return 1
    box=${~given[1]}
fi
answer=("${(@f)$(command $box --complete -- "${given[@]}" 2>/dev/null)}")
read -r action number <<<"${answer[1]:-none 0}"
shift answer
case $action in
words | open)
    for line in $answer; do
        [[ -n ${line%%$'\t'*} ]] || continue
        offers+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
    done
    (( $#offers )) || return 1
    if [[ $action == open || ( $#offers -eq 1 && ${answer[1]%%$'\t'*} == *= ) ]]; then
        _describe -V word offers -S ''
    else
        _describe -V word offers
    fi
    ;;
files)
    compset -p $number
    _files
    ;;
directories)
    compset -p $number
    _path_files -/
    ;;
commands)
    # As zsh does it where a command belongs: only a path can be a file that is not in PATH.
    _command_names -e || { [[ $PREFIX == */* ]] && _files; }
    ;;
program)
    shift $number words
    (( CURRENT -= number ))
    _normal
    ;;
*) return 1 ;;
esac
