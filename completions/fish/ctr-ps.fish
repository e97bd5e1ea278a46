complete -c ctr-ps -s c -l container -d 'only these containers: NAME, RUNTIME:NAME, beginning of an id, PID, NS/POD, compose:PROJECT/SERVICE' -r
complete -c ctr-ps -s p -l pid -d 'only these processes; status 1 if none is in a container' -r
complete -c ctr-ps -l runtime -d 'only containers of these runtimes' -r
complete -c ctr-ps -s u -l user -d 'only processes of these users' -r
complete -c ctr-ps -l how -d 'only what came in so (init, fork, exec, ns) or is known so (state, cgroup, namespace, anonymous)' -r
complete -c ctr-ps -s o -l output -d 'columns to print; with a + before the list, besides the default, whose last stays last' -r
complete -c ctr-ps -l watch -d 'anew every SEC seconds (2) until interrupted' -r
complete -c ctr-ps -l color -d 'colour the output: auto, always or never' -r -f -a "auto\t''
always\t''
never\t''"
complete -c ctr-ps -l root -d 'look at the system whose root directory is mounted at DIR' -r -f -a "(__fish_complete_directories)"
complete -c ctr-ps -s C -l only-containers -d 'only processes in containers'
complete -c ctr-ps -l init -d 'only the first process of each container'
complete -c ctr-ps -s k -l kernel-threads -d 'list the threads of the kernel too'
complete -c ctr-ps -s l -l list -d 'list containers, not processes'
complete -c ctr-ps -l forest -d 'draw the tree of processes'
complete -c ctr-ps -l by-container -d 'container after container, with a heading each'
complete -c ctr-ps -s H -l list-columns -d 'list the columns there are; with -l those of containers'
complete -c ctr-ps -s f -l full -d 'the columns of ps -ef, and the container'
complete -c ctr-ps -l security -d 'capabilities, seccomp, security module'
complete -c ctr-ps -s J -l json -d 'print JSON'
complete -c ctr-ps -s r -l raw -d 'print raw: blanks between cells, no layout'
complete -c ctr-ps -s q -l quiet -d 'print PIDs only; with -l containers only'
complete -c ctr-ps -s n -l noheadings -d 'print no headings'
complete -c ctr-ps -s w -l wide -d 'never cut lines'
complete -c ctr-ps -l no-args -d 'print names in place of command lines, and read none: that can hang'
complete -c ctr-ps -s v -l verbose -d 'say which state files could not be used'
complete -c ctr-ps -s h -l help -d 'show this help'
complete -c ctr-ps -s V -l version -d 'show the version'
