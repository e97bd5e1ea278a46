# fish completion for nsenter of ctrbox
functions -q __ctrbox_complete; or source (status dirname)/ctrbox.fish
complete -c nsenter -f -a '(__ctrbox_complete)'
