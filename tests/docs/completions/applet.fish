# fish completion for @NAME@ of ctrbox
functions -q __ctrbox_complete; or source (status dirname)/ctrbox.fish
complete -c @NAME@ -f -a '(__ctrbox_complete)'
