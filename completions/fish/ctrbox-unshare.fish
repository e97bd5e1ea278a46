# fish completion for ctrbox-unshare of ctrbox
functions -q __ctrbox_complete; or source (status dirname)/ctrbox.fish
complete -c ctrbox-unshare -f -a '(__ctrbox_complete)'
