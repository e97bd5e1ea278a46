# fish completion for ctr-inspect of ctrbox
functions -q __ctrbox_complete; or source (status dirname)/ctrbox.fish
complete -c ctr-inspect -f -a '(__ctrbox_complete)'
