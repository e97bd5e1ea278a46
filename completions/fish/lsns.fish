# fish completion for lsns of ctrbox
functions -q __ctrbox_complete; or source (status dirname)/ctrbox.fish
complete -c lsns -f -a '(__ctrbox_complete)'
