# fish completion for ctrbox and its applets. ctrbox itself says what can be completed; fish completes files and
# programs.

# __ctrbox_word TEXT: the text as a word of a command line, with the tilde that it may begin with.
function __ctrbox_word
    string escape -n -- $argv[1] | string replace -r '^\\\\~' '~'
end

function __ctrbox_complete
    set -l line (commandline -opc)
    set -l typed (commandline -ct | string unescape)
    test (count $typed) -gt 0; or set typed ''
    set -l box ctrbox
    if not command -q ctrbox
        string match -q 'ctrbox*' -- (string replace -r '.*/' '' -- $line[1]); or return
        set box (string replace -r '^~/' "$HOME/" -- $line[1])
    end
    set -l answer (command $box --complete -- $line $typed 2>/dev/null)
    set -l action (string split ' ' -- $answer[1])
    switch "$action[1]"
        case words open
            printf '%s\n' $answer[2..-1]
        case files directories
            set -l head (string sub -l $action[2] -- $typed)
            set -l path (string sub -s (math $action[2] + 1) -- $typed)
            # What a command without completions would get.
            set -l found (complete -C "__ctrbox_path "(__ctrbox_word $path))
            test $action[1] = files; or set found (string match -r '.*/$' -- $found)
            test (count $found) -gt 0; and printf '%s\n' $head$found
        case commands
            set -l found (complete -C (__ctrbox_word $typed))
            # Of a directory fish would change to it; a program it is only on the way to one.
            string match -q '*/*' -- $typed; or set found (string match -rv '^[^\t]*/(\t|$)' -- $found)
            test (count $found) -gt 0; and printf '%s\n' $found
        case program
            set -l program $line[(math $action[2] + 1)..-1]
            complete -C (string join ' ' -- (string escape -n -- $program) (commandline -ct))
    end
end

complete -c ctrbox -f -a '(__ctrbox_complete)'
