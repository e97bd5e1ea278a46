complete -c capsh -l print -d 'show capabilities and all that bears on them, of this process or of another' -r
complete -c capsh -l mode -d 'show libcap\'s name for the arrangement, or arrange things so' -r
complete -c capsh -l decode -d 'the names in a mask, which is hexadecimal' -r
complete -c capsh -l encode -d 'the mask of names; they may lack cap_' -r
complete -c capsh -l explain -d 'what a capability is for' -r
complete -c capsh -l suggest -d 'the capabilities whose explanation has this in it' -r
complete -c capsh -l has-p -d 'fail unless this is permitted' -r
complete -c capsh -l has-i -d 'fail unless it is inheritable' -r
complete -c capsh -l has-a -d 'fail unless it is ambient' -r
complete -c capsh -l has-b -d 'fail unless it is in the bounding set' -r
complete -c capsh -l supports -d 'fail unless the kernel has this' -r
complete -c capsh -l is-uid -d 'fail unless this is our user' -r
complete -c capsh -l is-gid -d 'fail unless this is our group' -r
complete -c capsh -l inmode -d 'fail unless this is the mode' -r
complete -c capsh -l caps -d 'set effective, permitted and inheritable' -r
complete -c capsh -l iab -d 'set what programs inherit' -r
complete -c capsh -l inh -d 'set what is inheritable; or all, or none' -r
complete -c capsh -l drop -d 'drop from the bounding set; or all' -r
complete -c capsh -l addamb -d 'make ambient; or all' -r
complete -c capsh -l delamb -d 'make no longer ambient; or all' -r
complete -c capsh -l secbits -d 'set the securebits' -r
complete -c capsh -l keep -d 'keep what is permitted when the user changes: 1, or not: 0' -r
complete -c capsh -l uid -d 'set the user' -r
complete -c capsh -l cap-uid -d 'set the user and stay permitted what is' -r
complete -c capsh -l gid -d 'set the group' -r
complete -c capsh -l groups -d 'set the supplementary groups' -r
complete -c capsh -l user -d 'become this user, with all groups, and stay permitted what is' -r
complete -c capsh -l chroot -d 'set the root directory' -r
complete -c capsh -l forkfor -d 'start a child that sleeps so many seconds' -r
complete -c capsh -l killit -d 'send the child this signal and wait for its end' -r
complete -c capsh -l shell -d 'run this for a shell' -r
complete -c capsh -l current -d 'show the sets and what programs inherit'
complete -c capsh -l modes -d 'list these modes'
complete -c capsh -l has-ambient -d 'fail unless the kernel has ambient capabilities'
complete -c capsh -l has-no-new-privs -d 'fail unless programs can gain nothing'
complete -c capsh -l noamb -d 'make nothing ambient'
complete -c capsh -l no-new-privs -d 'let programs gain nothing when they are executed'
complete -c capsh -l strict -d 'leave out, or again not, what CAP_SETPCAP would help with in --caps, --drop and --inh'
complete -c capsh -l noenv -d 'leave HOME and USER alone at --user'
complete -c capsh -l quiet -d 'nothing; the original leaves out a check if this comes first'
complete -c capsh -l license -d 'show the license'
complete -c capsh -s h -l help -d 'show this help'
complete -c capsh -s V -l version -d 'show the version'
