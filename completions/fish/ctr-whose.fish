complete -c ctr-whose -l color -d 'colour the output: auto, always or never' -r -f -a "auto\t''
always\t''
never\t''"
complete -c ctr-whose -l root -d 'look at the system whose root directory is mounted at DIR' -r -f -a "(__fish_complete_directories)"
complete -c ctr-whose -s J -l json -d 'print JSON'
complete -c ctr-whose -s h -l help -d 'show this help'
complete -c ctr-whose -s V -l version -d 'show the version'
