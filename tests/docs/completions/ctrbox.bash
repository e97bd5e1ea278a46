# bash completion for ctrbox and its applets. ctrbox itself says what can be completed; bash completes files and
# programs.

# __ctrbox_line: the words of the command line up to the cursor, in the array line. bash splits words at the
# characters in COMP_WORDBREAKS too, such as = and :, and leaves no blank between these parts.
__ctrbox_line() {
    local rest=${COMP_LINE:0:COMP_POINT} word blanks i
    line=()
    for ((i = 0; i <= COMP_CWORD; i++)); do
        blanks=${rest%%[![:blank:]]*}
        rest=${rest#"$blanks"}
        word=${COMP_WORDS[i]}
        [[ $rest == "$word"* ]] || word=$rest
        rest=${rest#"$word"}
        if [[ $i -gt 0 && -z $blanks && -n $word ]]; then
            line[${#line[@]} - 1]+=$word
        else
            line+=("$word")
        fi
    done
}

# __ctrbox_add PREFIX WORD...: offers the words that begin with what is typed. bash replaces the part of the word
# after the last character in COMP_WORDBREAKS, unless the word is quoted.
__ctrbox_add() {
    local typed=$1 word part
    shift
    part=${typed%"${typed##*[=:]}"}
    # Of NAME@NUMBER bash replaces what begins with the @.
    [[ $typed != *@* || $COMP_WORDBREAKS != *@* ]] || part=${typed%@*}
    [[ $typed != [\"\']* ]] || part=
    [[ $part != *= || $COMP_WORDBREAKS == *=* ]] || part=
    [[ $part != *: || $COMP_WORDBREAKS == *:* ]] || part=
    for word; do
        COMPREPLY+=("${word#"$part"}")
    done
}

# __ctrbox_files OPTION LENGTH: files, or with -d directories, after LENGTH characters of the word.
__ctrbox_files() {
    local path=${typed:$2} head=${typed:0:$2} files file home=
    # The shell itself replaces a tilde only where the word begins.
    [[ $2 -ne 0 || $path != \~/* ]] || home=$HOME/
    mapfile -t files < <(compgen "$1" -- "${path/#\~\//$HOME/}")
    for file in "${files[@]}"; do
        [[ ! -d $file ]] || file+=/
        if [[ -n $home && $file == "$home"* ]]; then
            printf -v file '~/%q' "${file#"$home"}"
        else
            printf -v file %q "$file"
        fi
        __ctrbox_add "$typed" "$head$file"
    done
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == */ ]]; then compopt -o nospace; fi
    # $VARIABLE and ~user
    compopt -o bashdefault
}

_ctrbox() {
    local line typed box=ctrbox action number answer word
    COMPREPLY=()
    __ctrbox_line
    if ! type -P ctrbox >/dev/null; then
        [[ ${line[0]##*/} == ctrbox* ]] || return 0
        box=${line[0]/#\~\//$HOME/}
    fi
    typed=${line[${#line[@]} - 1]}
    line[${#line[@]} - 1]=${typed#[\"\']}
    mapfile -t answer < <(command "$box" --complete -- "${line[@]}" 2>/dev/null)
    read -r action number <<<"${answer[0]:-none 0}"
    answer=("${answer[@]:1}")
    case $action in
    words | open)
        [[ $action == words ]] || compopt -o nospace
        if [[ ${#answer[@]} -eq 1 && ${answer[0]%%$'\t'*} == *= ]]; then compopt -o nospace; fi
        for word in "${answer[@]}"; do __ctrbox_add "$typed" "${word%%$'\t'*}"; done
        ;;
    files) __ctrbox_files -f "$number" ;;
    directories) __ctrbox_files -d "$number" ;;
    commands)
        if [[ $typed == */* ]]; then
            __ctrbox_files -f 0
        else
            mapfile -t COMPREPLY < <(compgen -c -- "$typed" | sort -u)
            compopt -o bashdefault
        fi
        ;;
    program)
        # The words that bash sees before it are more if they have a = or :.
        local at i blanks rest=$COMP_LINE
        for ((at = 0, i = -1; at < ${#COMP_WORDS[@]}; at++)); do
            blanks=${rest%%[![:blank:]]*}
            rest=${rest#"$blanks"}
            [[ $at -gt 0 && -z $blanks ]] || ((i += 1))
            [[ $i -lt $number ]] || break
            rest=${rest#"${COMP_WORDS[at]}"}
        done
        if declare -F _comp_command_offset >/dev/null; then
            _comp_command_offset "$at"
        elif declare -F _command_offset >/dev/null; then
            _command_offset "$at"
        else
            __ctrbox_files -f 0
        fi
        ;;
    esac
}

complete -F _ctrbox ctrbox
