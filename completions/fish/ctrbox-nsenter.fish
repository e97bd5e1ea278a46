# fish completion for ctrbox-nsenter of ctrbox
functions -q __ctrbox_complete; or source (status dirname)/ctrbox.fish
complete -c ctrbox-nsenter -f -a '(__ctrbox_complete)'
