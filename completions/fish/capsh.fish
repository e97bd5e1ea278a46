complete -c capsh -l print -d 'show the capabilities of this process, or of another process or container' -r
complete -c capsh -l mode -d 'show the libcap mode of this process, or set it' -r
complete -c capsh -l decode -d 'show the names in a hexadecimal mask' -r
complete -c capsh -l encode -d 'show the mask of these names; the prefix cap_ is optional' -r
complete -c capsh -l explain -d 'explain a capability' -r
complete -c capsh -l suggest -d 'explain the capabilities whose explanation contains this text' -r
complete -c capsh -l has-p -d 'fail unless this capability is permitted' -r
complete -c capsh -l has-i -d 'fail unless this capability is inheritable' -r
complete -c capsh -l has-a -d 'fail unless this capability is ambient' -r
complete -c capsh -l has-b -d 'fail unless this capability is in the bounding set' -r
complete -c capsh -l supports -d 'fail unless the kernel supports this capability' -r
complete -c capsh -l is-uid -d 'fail unless this is the real user ID' -r
complete -c capsh -l is-gid -d 'fail unless this is the real group ID' -r
complete -c capsh -l inmode -d 'fail unless this is the libcap mode' -r
complete -c capsh -l caps -d 'set the effective, permitted and inheritable sets' -r
complete -c capsh -l iab -d 'set the inheritable, ambient and bounding sets' -r
complete -c capsh -l inh -d 'set the inheritable set; all and none are allowed' -r
complete -c capsh -l drop -d 'drop from the bounding set; all is allowed' -r
complete -c capsh -l addamb -d 'add to the ambient set; all is allowed' -r
complete -c capsh -l delamb -d 'remove from the ambient set; all is allowed' -r
complete -c capsh -l secbits -d 'set the securebits' -r
complete -c capsh -l keep -d '1: keep the permitted set when the user ID changes; 0: do not' -r
complete -c capsh -l uid -d 'set the user ID' -r
complete -c capsh -l cap-uid -d 'set the user ID and keep the permitted set' -r
complete -c capsh -l gid -d 'set the group ID' -r
complete -c capsh -l groups -d 'set the supplementary groups' -r
complete -c capsh -l user -d 'set the user ID and all groups of this user, and keep the permitted set' -r
complete -c capsh -l chroot -d 'change the root directory' -r
complete -c capsh -l forkfor -d 'start a child that sleeps for this many seconds' -r
complete -c capsh -l killit -d 'send this signal to the child and wait until it ends' -r
complete -c capsh -l shell -d 'execute this program as the shell' -r
complete -c capsh -l current -d 'show the sets and what programs inherit'
complete -c capsh -l modes -d 'list the libcap modes'
complete -c capsh -l has-ambient -d 'fail unless the kernel supports ambient capabilities'
complete -c capsh -l has-no-new-privs -d 'fail unless no_new_privs is set'
complete -c capsh -l noamb -d 'clear the ambient set'
complete -c capsh -l no-new-privs -d 'set no_new_privs: an execve(2) grants no privileges'
complete -c capsh -l strict -d 'do not raise CAP_SETPCAP for --caps, --drop and --inh; given again, raise it'
complete -c capsh -l noenv -d 'do not change HOME and USER with --user'
complete -c capsh -l quiet -d 'ignored; libcap skips a check if this option comes first'
complete -c capsh -l license -d 'show the license'
complete -c capsh -s h -l help -d 'show this help'
complete -c capsh -s V -l version -d 'show the version'
