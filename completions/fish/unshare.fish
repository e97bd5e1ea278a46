# fish completion for unshare of ctrbox
functions -q __ctrbox_complete; or source (status dirname)/ctrbox.fish
complete -c unshare -f -a '(__ctrbox_complete)'
