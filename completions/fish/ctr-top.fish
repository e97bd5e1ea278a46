# fish completion for ctr-top of ctrbox
functions -q __ctrbox_complete; or source (status dirname)/ctrbox.fish
complete -c ctr-top -f -a '(__ctrbox_complete)'
