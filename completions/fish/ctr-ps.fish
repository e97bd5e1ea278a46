complete -c ctr-ps -s c -l container -d 'only these containers: NAME, RUNTIME:NAME, beginning of an id, PID, NS/POD, compose:PROJECT/SERVICE' -r
complete -c ctr-ps -s p -l pid -d 'only these processes; status 1 if none is in a container' -r
complete -c ctr-ps -l name -d 'only containers of these names; * stands for any text' -r
complete -c ctr-ps -l image -d 'only containers of these images' -r
complete -c ctr-ps -l label -d 'only containers with this label' -r
complete -c ctr-ps -l pod-namespace -d 'only containers of pods in this namespace of Kubernetes' -r
complete -c ctr-ps -l project -d 'only containers of this compose project' -r
complete -c ctr-ps -l service -d 'only containers of this compose service' -r
complete -c ctr-ps -l status -d 'only containers with this status: running, paused' -r
complete -c ctr-ps -s Q -l filter -d 'only lines for which this expression is true; see lsns(8)' -r
complete -c ctr-ps -l runtime -d 'only containers of these runtimes' -r
complete -c ctr-ps -s u -l user -d 'only processes of these users' -r
complete -c ctr-ps -l ppid -d 'only processes with these parents' -r
complete -c ctr-ps -s t -l tty -d 'only processes on these terminals; - for those without one' -r
complete -c ctr-ps -l how -d 'only processes of this origin (init, fork, exec, ns) or identification (state, cgroup, namespace, anonymous)' -r
complete -c ctr-ps -s o -l output -d 'columns to print, as NAME or NAME=HEADING; +LIST adds columns before the last default one' -r
complete -c ctr-ps -l sort -d 'sort by these columns; -NAME in descending order' -r
complete -c ctr-ps -l watch -d 'repeat every SEC seconds (default 2) until interrupted' -r
complete -c ctr-ps -l color -d 'colour the output: auto, always or never' -r -f -a "auto\t''
always\t''
never\t''"
complete -c ctr-ps -l root -d 'inspect the system whose root directory is mounted at DIR' -r -f -a "(__fish_complete_directories)"
complete -c ctr-ps -s C -l only-containers -d 'only processes in containers'
complete -c ctr-ps -l host -d 'only processes in no container: the inverse of -C'
complete -c ctr-ps -l init -d 'only the first process of each container'
complete -c ctr-ps -s k -l kernel-threads -d 'also list kernel threads'
complete -c ctr-ps -s e -l every -d 'no effect, as -A and -a: all processes are listed'
complete -c ctr-ps -s T -l threads -d 'also list threads; also -L'
complete -c ctr-ps -s l -l list -d 'list containers instead of processes'
complete -c ctr-ps -l forest -d 'draw the process tree'
complete -c ctr-ps -l by-container -d 'group the processes by container, with a heading for each'
complete -c ctr-ps -s H -l list-columns -d 'list the available columns; with -l those of containers'
complete -c ctr-ps -s f -l full -d 'print the columns of ps -ef and the container'
complete -c ctr-ps -l security -d 'print capabilities, seccomp mode and security label'
complete -c ctr-ps -s J -l json -d 'print JSON'
complete -c ctr-ps -l jsonl -d 'print JSON, an object a line'
complete -c ctr-ps -s r -l raw -d 'print raw: cells separated by blanks, not aligned'
complete -c ctr-ps -s q -l quiet -d 'print only PIDs; with -l only containers'
complete -c ctr-ps -s n -l noheadings -d 'print no headings'
complete -c ctr-ps -s w -l wide -d 'never cut lines'
complete -c ctr-ps -l no-args -d 'print process names only; do not read /proc/PID/cmdline'
complete -c ctr-ps -s v -l verbose -d 'report the state files that could not be used'
complete -c ctr-ps -s h -l help -d 'show this help'
complete -c ctr-ps -s V -l version -d 'show the version'
