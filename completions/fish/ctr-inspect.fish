complete -c ctr-inspect -s s -l section -d 'only these: identity, namespaces, limits, privileges, files, network, processes' -r
complete -c ctr-inspect -l diff -d 'show only what differs between the target and this one; \'host\' is the host' -r
complete -c ctr-inspect -l color -d 'colour the output: auto, always or never' -r -f -a "auto\t''
always\t''
never\t''"
complete -c ctr-inspect -l root -d 'inspect the system whose root directory is mounted at DIR' -r -f -a "(__fish_complete_directories)"
complete -c ctr-inspect -s f -l findings -d 'show only what is odd, why it matters and what to do'
complete -c ctr-inspect -s a -l all -d 'also show notes, and details that most containers have in common'
complete -c ctr-inspect -l exit-status -d 'status 2 if there is a finding of high severity'
complete -c ctr-inspect -s J -l json -d 'print JSON'
complete -c ctr-inspect -s h -l help -d 'show this help'
complete -c ctr-inspect -s V -l version -d 'show the version'
