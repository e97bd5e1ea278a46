# fish completion for capsh of ctrbox
functions -q __ctrbox_complete; or source (status dirname)/ctrbox.fish
complete -c capsh -f -a '(__ctrbox_complete)'
