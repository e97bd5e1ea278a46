complete -c unshare -s m -l mount -d 'unshare the mount namespace' -r -F
complete -c unshare -s u -l uts -d 'unshare the UTS namespace (host name)' -r -F
complete -c unshare -s i -l ipc -d 'unshare the System V IPC namespace' -r -F
complete -c unshare -s n -l net -d 'unshare the network namespace' -r -F
complete -c unshare -s p -l pid -d 'unshare the pid namespace' -r -F
complete -c unshare -s U -l user -d 'unshare the user namespace' -r -F
complete -c unshare -s C -l cgroup -d 'unshare the cgroup namespace' -r -F
complete -c unshare -s T -l time -d 'unshare the time namespace' -r -F
complete -c unshare -l hostname -d 'set this host name in the namespace (implies --uts)' -r
complete -c unshare -l kill-child -d 'send a signal to the child when unshare dies (implies --fork)' -r -f -a "HUP\t''
INT\t''
QUIT\t''
KILL\t''
TERM\t''
USR1\t''
USR2\t''"
complete -c unshare -l mount-proc -d 'mount proc first (implies --mount)' -r -f -a "(__fish_complete_directories)"
complete -c unshare -l mount-binfmt -d 'mount binfmt_misc first (implies --user and --mount)' -r -f -a "(__fish_complete_directories)"
complete -c unshare -s l -l load-interp -d 'register a binary format in the namespace' -r
complete -c unshare -l map-user -d 'map the current user to this user (implies --user)' -r -f -a "(__fish_complete_users)"
complete -c unshare -l map-users -d 'map a range of users (implies --user)' -r
complete -c unshare -l map-group -d 'map the current group to this group (implies --user)' -r
complete -c unshare -l map-groups -d 'map a range of groups (implies --user)' -r
complete -c unshare -l owner -d 'user and group that own the user namespace (implies --user)' -r
complete -c unshare -l propagation -d 'propagation of the mounts: slave, shared, private or unchanged' -r
complete -c unshare -l setgroups -d 'allow or deny setgroups(2) in the user namespace' -r
complete -c unshare -s R -l root -d 'run the program with this root directory' -r -f -a "(__fish_complete_directories)"
complete -c unshare -s w -l wd -d 'change the working directory' -r -f -a "(__fish_complete_directories)"
complete -c unshare -s S -l setuid -d 'set the user id in the namespace' -r
complete -c unshare -s G -l setgid -d 'set the group id in the namespace' -r
complete -c unshare -l monotonic -d 'offset of the monotonic clock in seconds' -r
complete -c unshare -l boottime -d 'offset of the boottime clock in seconds' -r
complete -c unshare -l whitelist-env -d 'keep only these variables' -r
complete -c unshare -l loopback -d 'set the loopback device up (implies --net)'
complete -c unshare -s f -l fork -d 'run the program as a child'
complete -c unshare -l forward-signals -d 'pass SIGTERM and SIGINT on to the child (implies --fork)'
complete -c unshare -s r -l map-root-user -d 'map the current user to root (implies --user)'
complete -c unshare -s c -l map-current-user -d 'map the current user to itself (implies --user)'
complete -c unshare -l map-auto -d 'map the ids that /etc/subuid and /etc/subgid grant (implies --user)'
complete -c unshare -l map-subids -d 'like --map-auto, with every id mapped to itself (implies --user)'
complete -c unshare -l keep-caps -d 'retain capabilities granted in the user namespace'
complete -c unshare -l clear-env -d 'clear the environment'
complete -c unshare -s h -l help -d 'show this help'
complete -c unshare -s V -l version -d 'show the version'
