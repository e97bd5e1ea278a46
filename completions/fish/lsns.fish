complete -c lsns -s o -l output -d 'columns to print; a list that begins with + is added to the default' -r
complete -c lsns -s p -l task -d 'list only namespaces of this process or container' -r
complete -c lsns -s Q -l filter -d 'list only rows for which the expression is true' -r
complete -c lsns -s t -l type -d 'list only these kinds: mnt, net, ipc, user, pid, uts, cgroup, time, as a list or repeated' -r
complete -c lsns -s T -l tree -d 'print a tree by parent, owner (default) or process' -r
complete -c lsns -l color -d 'colour the output: auto, always or never' -r -f -a "auto\t''
always\t''
never\t''"
complete -c lsns -s J -l json -d 'print JSON'
complete -c lsns -s l -l list -d 'print a list instead of a tree'
complete -c lsns -s u -l notruncate -d 'do not truncate text'
complete -c lsns -s n -l noheadings -d 'print no headings'
complete -c lsns -l output-all -d 'print all columns of util-linux'
complete -c lsns -s P -l persistent -d 'list only namespaces without processes'
complete -c lsns -s r -l raw -d 'print raw: one blank between cells, no layout'
complete -c lsns -s W -l nowrap -d 'print one line per namespace, with commas in lists'
complete -c lsns -s H -l list-columns -d 'list the available columns'
complete -c lsns -l no-fd-scan -d 'do not search for namespaces that only descriptors keep alive'
complete -c lsns -s h -l help -d 'show this help'
complete -c lsns -s V -l version -d 'show the version'
