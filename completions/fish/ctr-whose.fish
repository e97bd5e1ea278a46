# fish completion for ctr-whose of ctrbox
functions -q __ctrbox_complete; or source (status dirname)/ctrbox.fish
complete -c ctr-whose -f -a '(__ctrbox_complete)'
