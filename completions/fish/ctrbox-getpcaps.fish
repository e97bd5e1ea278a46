# fish completion for ctrbox-getpcaps of ctrbox
functions -q __ctrbox_complete; or source (status dirname)/ctrbox.fish
complete -c ctrbox-getpcaps -f -a '(__ctrbox_complete)'
