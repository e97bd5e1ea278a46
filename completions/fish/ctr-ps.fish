# fish completion for ctr-ps of ctrbox
functions -q __ctrbox_complete; or source (status dirname)/ctrbox.fish
complete -c ctr-ps -f -a '(__ctrbox_complete)'
