complete -c ctr-inspect -s s -l section -d 'only these: identity, namespaces, limits, privileges, files, processes' -r
complete -c ctr-inspect -l color -d 'colour the output: auto, always or never' -r -f -a "auto\t''
always\t''
never\t''"
complete -c ctr-inspect -l root -d 'inspect the system whose root directory is mounted at DIR' -r -f -a "(__fish_complete_directories)"
complete -c ctr-inspect -s a -l all -d 'show details that most containers have in common'
complete -c ctr-inspect -s J -l json -d 'print JSON'
complete -c ctr-inspect -s h -l help -d 'show this help'
complete -c ctr-inspect -s V -l version -d 'show the version'
