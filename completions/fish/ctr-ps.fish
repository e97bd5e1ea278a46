complete -c ctr-ps -s c -l container -d 'only this container: NAME, RUNTIME:NAME or beginning of the id' -r
complete -c ctr-ps -l color -d 'colour the output: auto, always or never' -r
complete -c ctr-ps -l root -d 'look at the system whose root directory is mounted at DIR' -r
complete -c ctr-ps -l forest -d 'draw the tree of processes'
complete -c ctr-ps -s J -l json -d 'print JSON'
complete -c ctr-ps -s q -l quiet -d 'print PIDs only'
complete -c ctr-ps -s n -l noheadings -d 'print no headings'
complete -c ctr-ps -s k -l kernel-threads -d 'list the threads of the kernel too'
complete -c ctr-ps -s v -l verbose -d 'say which state files could not be used'
complete -c ctr-ps -s h -l help -d 'show this help'
complete -c ctr-ps -s V -l version -d 'show the version'
