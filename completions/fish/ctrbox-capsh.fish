# fish completion for ctrbox-capsh of ctrbox
functions -q __ctrbox_complete; or source (status dirname)/ctrbox.fish
complete -c ctrbox-capsh -f -a '(__ctrbox_complete)'
