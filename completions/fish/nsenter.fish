complete -c nsenter -s t -l target -d 'process or container to take namespaces from' -r
complete -c nsenter -s m -l mount -d 'enter the mount namespace' -r -F
complete -c nsenter -s u -l uts -d 'enter the UTS namespace (host name)' -r -F
complete -c nsenter -s i -l ipc -d 'enter the System V IPC namespace' -r -F
complete -c nsenter -s n -l net -d 'enter the network namespace' -r -F
complete -c nsenter -s N -l net-socket -d 'enter the network namespace of the target\'s socket' -r
complete -c nsenter -s p -l pid -d 'enter the pid namespace' -r -F
complete -c nsenter -s C -l cgroup -d 'enter the cgroup namespace' -r -F
complete -c nsenter -s U -l user -d 'enter the user namespace' -r -F
complete -c nsenter -s T -l time -d 'enter the time namespace' -r -F
complete -c nsenter -s S -l setuid -d 'set the user id: a number, or follow to take the target\'s' -r
complete -c nsenter -s G -l setgid -d 'set the group id: a number, or follow to take the target\'s' -r
complete -c nsenter -s r -l root -d 'set the root directory' -r -f -a "(__fish_complete_directories)"
complete -c nsenter -s w -l wd -d 'set the working directory' -r -f -a "(__fish_complete_directories)"
complete -c nsenter -s W -l wdns -d 'set the working directory, as seen in the entered namespaces' -r -f -a "(__fish_complete_directories)"
complete -c nsenter -l as -d 'run as another user of the container: USER or USER:GROUP, names or numbers' -r -f -a "(__fish_complete_users)"
complete -c nsenter -l host-root -d 'keep the host\'s files; mount the container\'s root at dir (default /run/ctrbox/root)' -r -f -a "(__fish_complete_directories)"
complete -c nsenter -l mount-proc -d 'mount proc of the entered pid namespace at dir (default /proc), for the program alone' -r -f -a "(__fish_complete_directories)"
complete -c nsenter -l pass-fds -d 'pass these file descriptors to the program besides 0, 1 and 2' -r
complete -c nsenter -s a -l all -d 'enter all namespaces of the target'
complete -c nsenter -l user-parent -d 'enter the parent of the user namespace'
complete -c nsenter -l preserve-credentials -d 'do not change user and group ids'
complete -c nsenter -l keep-caps -d 'retain capabilities granted in the user namespace'
complete -c nsenter -s e -l env -d 'take the environment of the target'
complete -c nsenter -s F -l no-fork -d 'do not fork before executing the program'
complete -c nsenter -l new-tty -d 'run the program on a terminal of its own'
complete -c nsenter -s c -l join-cgroup -d 'join the control groups of the target'
complete -c nsenter -s Z -l follow-context -d 'take the SELinux context of the target'
complete -c nsenter -l as-container -d 'run with the ids, capabilities, seccomp filter and control groups of the target'
complete -c nsenter -l dns -d 'resolve names of hosts as the container does, with the host\'s files'
complete -c nsenter -l applet -d 'run an applet of ctrbox, which need not exist in the container'
complete -c nsenter -l force -d 'skip the safety checks of --host-root, --mount-proc, --env and frozen groups'
complete -c nsenter -s h -l help -d 'show this help'
complete -c nsenter -s V -l version -d 'show the version'
