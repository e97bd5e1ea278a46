# fish completion for ctrbox-cgexec of ctrbox
functions -q __ctrbox_complete; or source (status dirname)/ctrbox.fish
complete -c ctrbox-cgexec -f -a '(__ctrbox_complete)'
