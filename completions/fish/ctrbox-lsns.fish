# fish completion for ctrbox-lsns of ctrbox
functions -q __ctrbox_complete; or source (status dirname)/ctrbox.fish
complete -c ctrbox-lsns -f -a '(__ctrbox_complete)'
