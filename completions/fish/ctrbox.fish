# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_ctrbox_global_optspecs
    string join \n list h/help V/version
end

function __fish_ctrbox_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_ctrbox_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_ctrbox_using_subcommand
    set -l cmd (__fish_ctrbox_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c ctrbox -n "__fish_ctrbox_needs_command" -l list -d 'list the applets, one per line'
complete -c ctrbox -n "__fish_ctrbox_needs_command" -s h -l help -d 'show this help'
complete -c ctrbox -n "__fish_ctrbox_needs_command" -s V -l version -d 'show the version'
complete -c ctrbox -n "__fish_ctrbox_needs_command" -f -a "capsh" -d 'show and change capabilities, and run a shell with them'
complete -c ctrbox -n "__fish_ctrbox_needs_command" -f -a "cgexec" -d 'run a program in control groups, and limit, measure and end it there'
complete -c ctrbox -n "__fish_ctrbox_needs_command" -f -a "ctr-inspect" -d 'show what isolates a container, what limits it, and what is odd about it'
complete -c ctrbox -n "__fish_ctrbox_needs_command" -f -a "ctr-ps" -d 'list the processes of this host, each with the container it runs in'
complete -c ctrbox -n "__fish_ctrbox_needs_command" -f -a "ctr-whose" -d 'find the container behind an interface, address, port, path, namespace, PID or line of a log'
complete -c ctrbox -n "__fish_ctrbox_needs_command" -f -a "getpcaps" -d 'show the capabilities of processes and containers'
complete -c ctrbox -n "__fish_ctrbox_needs_command" -f -a "lsns" -d 'list namespaces'
complete -c ctrbox -n "__fish_ctrbox_needs_command" -f -a "nsenter" -d 'run a program in the namespaces of a process or container'
complete -c ctrbox -n "__fish_ctrbox_needs_command" -f -a "unshare" -d 'run a program in new namespaces'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand capsh" -l print -d 'show the capabilities of this process, or of another process or container' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand capsh" -l mode -d 'show the libcap mode of this process, or set it' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand capsh" -l decode -d 'show the names in a hexadecimal mask' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand capsh" -l encode -d 'show the mask of these names; the prefix cap_ is optional' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand capsh" -l explain -d 'explain a capability' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand capsh" -l suggest -d 'explain the capabilities whose explanation contains this text' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand capsh" -l has-p -d 'fail unless this capability is permitted' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand capsh" -l has-i -d 'fail unless this capability is inheritable' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand capsh" -l has-a -d 'fail unless this capability is ambient' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand capsh" -l has-b -d 'fail unless this capability is in the bounding set' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand capsh" -l supports -d 'fail unless the kernel supports this capability' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand capsh" -l is-uid -d 'fail unless this is the real user ID' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand capsh" -l is-gid -d 'fail unless this is the real group ID' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand capsh" -l inmode -d 'fail unless this is the libcap mode' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand capsh" -l caps -d 'set the effective, permitted and inheritable sets' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand capsh" -l iab -d 'set the inheritable, ambient and bounding sets' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand capsh" -l inh -d 'set the inheritable set; all and none are allowed' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand capsh" -l drop -d 'drop from the bounding set; all is allowed' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand capsh" -l addamb -d 'add to the ambient set; all is allowed' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand capsh" -l delamb -d 'remove from the ambient set; all is allowed' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand capsh" -l secbits -d 'set the securebits' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand capsh" -l keep -d '1: keep the permitted set when the user ID changes; 0: do not' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand capsh" -l uid -d 'set the user ID' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand capsh" -l cap-uid -d 'set the user ID and keep the permitted set' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand capsh" -l gid -d 'set the group ID' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand capsh" -l groups -d 'set the supplementary groups' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand capsh" -l user -d 'set the user ID and all groups of this user, and keep the permitted set' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand capsh" -l chroot -d 'change the root directory' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand capsh" -l forkfor -d 'start a child that sleeps for this many seconds' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand capsh" -l killit -d 'send this signal to the child and wait until it ends' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand capsh" -l shell -d 'execute this program as the shell' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand capsh" -l current -d 'show the sets and what programs inherit'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand capsh" -l modes -d 'list the libcap modes'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand capsh" -l has-ambient -d 'fail unless the kernel supports ambient capabilities'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand capsh" -l has-no-new-privs -d 'fail unless no_new_privs is set'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand capsh" -l noamb -d 'clear the ambient set'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand capsh" -l no-new-privs -d 'set no_new_privs: an execve(2) grants no privileges'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand capsh" -l strict -d 'do not raise CAP_SETPCAP for --caps, --drop and --inh; given again, raise it'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand capsh" -l noenv -d 'do not change HOME and USER with --user'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand capsh" -l quiet -d 'ignored; libcap skips a check if this option comes first'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand capsh" -l license -d 'show the license'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand capsh" -s h -l help -d 'show this help'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand capsh" -s V -l version -d 'show the version'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand cgexec" -s g -l group -d 'run in this group (may be given several times)' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand cgexec" -l like -d 'run in the control groups of this process or container' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand cgexec" -l timeout -d 'end the program after this time (10, 1.5s, 5m, 2h, 1d)' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand cgexec" -s m -l memory -d 'limit memory: a size, or a percentage of what the groups above allow' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand cgexec" -l memory-high -d 'throttle above this much memory (v2)' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand cgexec" -l swap -d 'limit swap' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand cgexec" -l cpus -d 'limit CPU time to this many processors, or to a percentage' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand cgexec" -l cpu-weight -d 'share of CPU time under contention (1 to 10000, default 100)' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand cgexec" -l cpuset -d 'run only on these processors' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand cgexec" -l pids -d 'limit the number of processes and threads' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand cgexec" -l io-max -d 'limit a block device: DEV:rbps=10M,wbps=1M,riops=100,wiops=100' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand cgexec" -l hugetlb -d 'limit huge pages, as SIZE or PAGESIZE:SIZE' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand cgexec" -l set -d 'write a value to a control file' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand cgexec" -l report -d 'report at the end what the program used, as text or json' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand cgexec" -l report-file -d 'write the report to this file' -r -F
complete -c ctrbox -n "__fish_ctrbox_using_subcommand cgexec" -s s -l sticky -d 'ask cgrulesengd to leave the program\'s children alone too'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand cgexec" -s b -l from-root -d 'ignore the default group of libcgroup for systemd (/run/libcgroup/systemd)'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand cgexec" -s r -l replace-idle -d 'end the idle process that keeps a systemd scope of libcgroup alive'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand cgexec" -l create -d 'create the missing groups, and remove them at the end'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand cgexec" -l keep -d 'do not remove the groups that were created'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand cgexec" -l kill -d 'kill the processes that remain in the groups when the program has ended'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand cgexec" -s n -l dry-run -d 'only show what would be created, written and run'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand cgexec" -s h -l help -d 'show this help'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand cgexec" -s V -l version -d 'show the version'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand ctr-inspect" -s s -l section -d 'only these: identity, namespaces, limits, privileges, files, network, processes' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand ctr-inspect" -l diff -d 'show only what differs between the target and this one; \'host\' is the host' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand ctr-inspect" -l color -d 'colour the output: auto, always or never' -r -f -a "auto\t''
always\t''
never\t''"
complete -c ctrbox -n "__fish_ctrbox_using_subcommand ctr-inspect" -l root -d 'inspect the system whose root directory is mounted at DIR' -r -f -a "(__fish_complete_directories)"
complete -c ctrbox -n "__fish_ctrbox_using_subcommand ctr-inspect" -s f -l findings -d 'show only what is odd, why it matters and what to do'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand ctr-inspect" -s a -l all -d 'also show notes, and details that most containers have in common'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand ctr-inspect" -l exit-status -d 'status 2 if there is a finding of high severity'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand ctr-inspect" -s J -l json -d 'print JSON'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand ctr-inspect" -s h -l help -d 'show this help'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand ctr-inspect" -s V -l version -d 'show the version'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand ctr-ps" -s c -l container -d 'only these containers: NAME, RUNTIME:NAME, beginning of an id, PID, NS/POD, compose:PROJECT/SERVICE' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand ctr-ps" -s p -l pid -d 'only these processes; status 1 if none is in a container' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand ctr-ps" -l name -d 'only containers of these names; * stands for any text' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand ctr-ps" -l image -d 'only containers of these images' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand ctr-ps" -l label -d 'only containers with this label' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand ctr-ps" -l pod-namespace -d 'only containers of pods in this namespace of Kubernetes' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand ctr-ps" -l project -d 'only containers of this compose project' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand ctr-ps" -l service -d 'only containers of this compose service' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand ctr-ps" -l status -d 'only containers with this status: running, paused' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand ctr-ps" -s Q -l filter -d 'only lines for which this expression is true; see lsns(8)' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand ctr-ps" -l runtime -d 'only containers of these runtimes' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand ctr-ps" -s u -l user -d 'only processes of these users' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand ctr-ps" -l ppid -d 'only processes with these parents' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand ctr-ps" -s t -l tty -d 'only processes on these terminals; - for those without one' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand ctr-ps" -l how -d 'only processes of this origin (init, fork, exec, ns) or identification (state, cgroup, namespace, anonymous)' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand ctr-ps" -s o -l output -d 'columns to print, as NAME or NAME=HEADING; +LIST adds columns before the last default one' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand ctr-ps" -l sort -d 'sort by these columns; -NAME in descending order' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand ctr-ps" -l watch -d 'repeat every SEC seconds (default 2) until interrupted' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand ctr-ps" -l color -d 'colour the output: auto, always or never' -r -f -a "auto\t''
always\t''
never\t''"
complete -c ctrbox -n "__fish_ctrbox_using_subcommand ctr-ps" -l root -d 'inspect the system whose root directory is mounted at DIR' -r -f -a "(__fish_complete_directories)"
complete -c ctrbox -n "__fish_ctrbox_using_subcommand ctr-ps" -s C -l only-containers -d 'only processes in containers'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand ctr-ps" -l host -d 'only processes in no container: the inverse of -C'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand ctr-ps" -l init -d 'only the first process of each container'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand ctr-ps" -s k -l kernel-threads -d 'also list kernel threads'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand ctr-ps" -s e -l every -d 'no effect, as -A and -a: all processes are listed'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand ctr-ps" -s T -l threads -d 'also list threads; also -L'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand ctr-ps" -s l -l list -d 'list containers instead of processes'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand ctr-ps" -l forest -d 'draw the process tree'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand ctr-ps" -l by-container -d 'group the processes by container, with a heading for each'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand ctr-ps" -s H -l list-columns -d 'list the available columns; with -l those of containers'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand ctr-ps" -s f -l full -d 'print the columns of ps -ef and the container'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand ctr-ps" -l security -d 'print capabilities, seccomp mode and security label'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand ctr-ps" -s J -l json -d 'print JSON'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand ctr-ps" -l jsonl -d 'print JSON, an object a line'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand ctr-ps" -s r -l raw -d 'print raw: cells separated by blanks, not aligned'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand ctr-ps" -s q -l quiet -d 'print only PIDs; with -l only containers'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand ctr-ps" -s n -l noheadings -d 'print no headings'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand ctr-ps" -s w -l wide -d 'never cut lines'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand ctr-ps" -l no-args -d 'print process names only; do not read /proc/PID/cmdline'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand ctr-ps" -s v -l verbose -d 'report the state files that could not be used'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand ctr-ps" -s h -l help -d 'show this help'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand ctr-ps" -s V -l version -d 'show the version'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand ctr-whose" -l color -d 'colour the output: auto, always or never' -r -f -a "auto\t''
always\t''
never\t''"
complete -c ctrbox -n "__fish_ctrbox_using_subcommand ctr-whose" -l root -d 'look at the system whose root directory is mounted at DIR' -r -f -a "(__fish_complete_directories)"
complete -c ctrbox -n "__fish_ctrbox_using_subcommand ctr-whose" -s J -l json -d 'print JSON'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand ctr-whose" -s h -l help -d 'show this help'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand ctr-whose" -s V -l version -d 'show the version'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand getpcaps" -l diff -d 'show the difference from the nearest baseline, or from this baseline or target' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand getpcaps" -l iab -d 'also show what programs inherit'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand getpcaps" -l legacy -d 'use the oldest output format, on standard error'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand getpcaps" -l ugly -d 'the same as --legacy'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand getpcaps" -l verbose -d 'use a longer output format'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand getpcaps" -l table -d 'show all five sets side by side: effective, permitted, inheritable, bounding, ambient'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand getpcaps" -l tree -d 'show the targets and their descendants, or all processes, as a tree'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand getpcaps" -l json -d 'print JSON'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand getpcaps" -l license -d 'show the license'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand getpcaps" -l usage -d 'the same as --help'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand getpcaps" -s h -l help -d 'show this help'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand getpcaps" -s V -l version -d 'show the version'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand lsns" -s o -l output -d 'columns to print; a list that begins with + is added to the default' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand lsns" -s p -l task -d 'list only namespaces of this process or container' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand lsns" -s Q -l filter -d 'list only rows for which the expression is true' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand lsns" -s t -l type -d 'list only these kinds: mnt, net, ipc, user, pid, uts, cgroup, time, as a list or repeated' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand lsns" -s T -l tree -d 'print a tree by parent, owner (default) or process' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand lsns" -l color -d 'colour the output: auto, always or never' -r -f -a "auto\t''
always\t''
never\t''"
complete -c ctrbox -n "__fish_ctrbox_using_subcommand lsns" -s J -l json -d 'print JSON'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand lsns" -s l -l list -d 'print a list instead of a tree'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand lsns" -s u -l notruncate -d 'do not truncate text'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand lsns" -s n -l noheadings -d 'print no headings'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand lsns" -l output-all -d 'print all columns of util-linux'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand lsns" -s P -l persistent -d 'list only namespaces without processes'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand lsns" -s r -l raw -d 'print raw: one blank between cells, no layout'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand lsns" -s W -l nowrap -d 'print one line per namespace, with commas in lists'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand lsns" -s H -l list-columns -d 'list the available columns'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand lsns" -l no-fd-scan -d 'do not search for namespaces that only descriptors keep alive'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand lsns" -s h -l help -d 'show this help'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand lsns" -s V -l version -d 'show the version'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand nsenter" -s t -l target -d 'process or container to take namespaces from' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand nsenter" -s m -l mount -d 'enter the mount namespace' -r -F
complete -c ctrbox -n "__fish_ctrbox_using_subcommand nsenter" -s u -l uts -d 'enter the UTS namespace (host name)' -r -F
complete -c ctrbox -n "__fish_ctrbox_using_subcommand nsenter" -s i -l ipc -d 'enter the System V IPC namespace' -r -F
complete -c ctrbox -n "__fish_ctrbox_using_subcommand nsenter" -s n -l net -d 'enter the network namespace' -r -F
complete -c ctrbox -n "__fish_ctrbox_using_subcommand nsenter" -s N -l net-socket -d 'enter the network namespace of the target\'s socket' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand nsenter" -s p -l pid -d 'enter the pid namespace' -r -F
complete -c ctrbox -n "__fish_ctrbox_using_subcommand nsenter" -s C -l cgroup -d 'enter the cgroup namespace' -r -F
complete -c ctrbox -n "__fish_ctrbox_using_subcommand nsenter" -s U -l user -d 'enter the user namespace' -r -F
complete -c ctrbox -n "__fish_ctrbox_using_subcommand nsenter" -s T -l time -d 'enter the time namespace' -r -F
complete -c ctrbox -n "__fish_ctrbox_using_subcommand nsenter" -s S -l setuid -d 'set the user id: a number, or follow to take the target\'s' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand nsenter" -s G -l setgid -d 'set the group id: a number, or follow to take the target\'s' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand nsenter" -s r -l root -d 'set the root directory' -r -f -a "(__fish_complete_directories)"
complete -c ctrbox -n "__fish_ctrbox_using_subcommand nsenter" -s w -l wd -d 'set the working directory' -r -f -a "(__fish_complete_directories)"
complete -c ctrbox -n "__fish_ctrbox_using_subcommand nsenter" -s W -l wdns -d 'set the working directory, as seen in the entered namespaces' -r -f -a "(__fish_complete_directories)"
complete -c ctrbox -n "__fish_ctrbox_using_subcommand nsenter" -l as -d 'run as another user of the container: USER or USER:GROUP, names or numbers' -r -f -a "(__fish_complete_users)"
complete -c ctrbox -n "__fish_ctrbox_using_subcommand nsenter" -l host-root -d 'keep the host\'s files; mount the container\'s root at dir (default /run/ctrbox/root)' -r -f -a "(__fish_complete_directories)"
complete -c ctrbox -n "__fish_ctrbox_using_subcommand nsenter" -l mount-proc -d 'mount proc of the entered pid namespace at dir (default /proc), for the program alone' -r -f -a "(__fish_complete_directories)"
complete -c ctrbox -n "__fish_ctrbox_using_subcommand nsenter" -l pass-fds -d 'pass these file descriptors to the program besides 0, 1 and 2' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand nsenter" -s a -l all -d 'enter all namespaces of the target'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand nsenter" -l user-parent -d 'enter the parent of the user namespace'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand nsenter" -l preserve-credentials -d 'do not change user and group ids'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand nsenter" -l keep-caps -d 'retain capabilities granted in the user namespace'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand nsenter" -s e -l env -d 'take the environment of the target'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand nsenter" -s F -l no-fork -d 'do not fork before executing the program'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand nsenter" -l new-tty -d 'run the program on a terminal of its own'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand nsenter" -s c -l join-cgroup -d 'join the control groups of the target'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand nsenter" -s Z -l follow-context -d 'take the SELinux context of the target'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand nsenter" -l as-container -d 'run with the ids, capabilities, seccomp filter and control groups of the target'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand nsenter" -l dns -d 'resolve names of hosts as the container does, with the host\'s files'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand nsenter" -l applet -d 'run an applet of ctrbox, which need not exist in the container'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand nsenter" -l force -d 'skip the safety checks of --host-root, --mount-proc, --env and frozen groups'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand nsenter" -s h -l help -d 'show this help'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand nsenter" -s V -l version -d 'show the version'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand unshare" -s m -l mount -d 'unshare the mount namespace' -r -F
complete -c ctrbox -n "__fish_ctrbox_using_subcommand unshare" -s u -l uts -d 'unshare the UTS namespace (host name)' -r -F
complete -c ctrbox -n "__fish_ctrbox_using_subcommand unshare" -s i -l ipc -d 'unshare the System V IPC namespace' -r -F
complete -c ctrbox -n "__fish_ctrbox_using_subcommand unshare" -s n -l net -d 'unshare the network namespace' -r -F
complete -c ctrbox -n "__fish_ctrbox_using_subcommand unshare" -s p -l pid -d 'unshare the pid namespace' -r -F
complete -c ctrbox -n "__fish_ctrbox_using_subcommand unshare" -s U -l user -d 'unshare the user namespace' -r -F
complete -c ctrbox -n "__fish_ctrbox_using_subcommand unshare" -s C -l cgroup -d 'unshare the cgroup namespace' -r -F
complete -c ctrbox -n "__fish_ctrbox_using_subcommand unshare" -s T -l time -d 'unshare the time namespace' -r -F
complete -c ctrbox -n "__fish_ctrbox_using_subcommand unshare" -l hostname -d 'set this host name in the namespace (implies --uts)' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand unshare" -l kill-child -d 'send a signal to the child when unshare dies (implies --fork)' -r -f -a "HUP\t''
INT\t''
QUIT\t''
KILL\t''
TERM\t''
USR1\t''
USR2\t''"
complete -c ctrbox -n "__fish_ctrbox_using_subcommand unshare" -l mount-proc -d 'mount proc first (implies --mount)' -r -f -a "(__fish_complete_directories)"
complete -c ctrbox -n "__fish_ctrbox_using_subcommand unshare" -l mount-binfmt -d 'mount binfmt_misc first (implies --user and --mount)' -r -f -a "(__fish_complete_directories)"
complete -c ctrbox -n "__fish_ctrbox_using_subcommand unshare" -s l -l load-interp -d 'register a binary format in the namespace' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand unshare" -l map-user -d 'map the current user to this user (implies --user)' -r -f -a "(__fish_complete_users)"
complete -c ctrbox -n "__fish_ctrbox_using_subcommand unshare" -l map-users -d 'map a range of users (implies --user)' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand unshare" -l map-group -d 'map the current group to this group (implies --user)' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand unshare" -l map-groups -d 'map a range of groups (implies --user)' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand unshare" -l owner -d 'user and group that own the user namespace (implies --user)' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand unshare" -l propagation -d 'propagation of the mounts: slave, shared, private or unchanged' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand unshare" -l setgroups -d 'allow or deny setgroups(2) in the user namespace' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand unshare" -s R -l root -d 'run the program with this root directory' -r -f -a "(__fish_complete_directories)"
complete -c ctrbox -n "__fish_ctrbox_using_subcommand unshare" -s w -l wd -d 'change the working directory' -r -f -a "(__fish_complete_directories)"
complete -c ctrbox -n "__fish_ctrbox_using_subcommand unshare" -s S -l setuid -d 'set the user id in the namespace' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand unshare" -s G -l setgid -d 'set the group id in the namespace' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand unshare" -l monotonic -d 'offset of the monotonic clock in seconds' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand unshare" -l boottime -d 'offset of the boottime clock in seconds' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand unshare" -l whitelist-env -d 'keep only these variables' -r
complete -c ctrbox -n "__fish_ctrbox_using_subcommand unshare" -l loopback -d 'set the loopback device up (implies --net)'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand unshare" -s f -l fork -d 'run the program as a child'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand unshare" -l forward-signals -d 'pass SIGTERM and SIGINT on to the child (implies --fork)'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand unshare" -s r -l map-root-user -d 'map the current user to root (implies --user)'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand unshare" -s c -l map-current-user -d 'map the current user to itself (implies --user)'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand unshare" -l map-auto -d 'map the ids that /etc/subuid and /etc/subgid grant (implies --user)'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand unshare" -l map-subids -d 'like --map-auto, with every id mapped to itself (implies --user)'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand unshare" -l keep-caps -d 'retain capabilities granted in the user namespace'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand unshare" -l clear-env -d 'clear the environment'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand unshare" -s h -l help -d 'show this help'
complete -c ctrbox -n "__fish_ctrbox_using_subcommand unshare" -s V -l version -d 'show the version'
