# fish completion for cgexec of ctrbox
functions -q __ctrbox_complete; or source (status dirname)/ctrbox.fish
complete -c cgexec -f -a '(__ctrbox_complete)'
