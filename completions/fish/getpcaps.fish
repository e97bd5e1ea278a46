# fish completion for getpcaps of ctrbox
functions -q __ctrbox_complete; or source (status dirname)/ctrbox.fish
complete -c getpcaps -f -a '(__ctrbox_complete)'
