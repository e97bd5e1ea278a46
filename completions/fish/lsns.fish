complete -c lsns -s o -l output -d 'columns to print; with a + before the list, besides the default' -r
complete -c lsns -s p -l task -d 'only namespaces of this process or container' -r
complete -c lsns -s Q -l filter -d 'only what the expression is true for' -r
complete -c lsns -s t -l type -d 'only this kind: mnt, net, ipc, user, pid, uts, cgroup, time; repeatable' -r
complete -c lsns -s T -l tree -d 'tree by parent, owner (default) or process' -r
complete -c lsns -l color -d 'colour the output: auto, always or never' -r -f -a "auto\t''
always\t''
never\t''"
complete -c lsns -s J -l json -d 'print JSON'
complete -c lsns -s l -l list -d 'print a list, no tree'
complete -c lsns -s u -l notruncate -d 'never cut text'
complete -c lsns -s n -l noheadings -d 'print no headings'
complete -c lsns -l output-all -d 'print all columns of the original'
complete -c lsns -s P -l persistent -d 'only namespaces without processes'
complete -c lsns -s r -l raw -d 'print raw: blanks between cells, no layout'
complete -c lsns -s W -l nowrap -d 'one line a namespace, lists with commas'
complete -c lsns -s H -l list-columns -d 'list the columns there are'
complete -c lsns -l no-fd-scan -d 'do not look for namespaces that only descriptors keep'
complete -c lsns -s h -l help -d 'show this help'
complete -c lsns -s V -l version -d 'show the version'
