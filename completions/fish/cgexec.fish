complete -c cgexec -s g -l group -d 'run in this group (may be given several times)' -r
complete -c cgexec -l like -d 'run in the control groups of this process or container' -r
complete -c cgexec -l timeout -d 'end the program after this time (10, 1.5s, 5m, 2h, 1d)' -r
complete -c cgexec -s m -l memory -d 'limit memory: a size, or a percentage of what the groups above allow' -r
complete -c cgexec -l memory-high -d 'throttle above this much memory (v2)' -r
complete -c cgexec -l swap -d 'limit swap' -r
complete -c cgexec -l cpus -d 'limit CPU time to this many processors, or to a percentage' -r
complete -c cgexec -l cpu-weight -d 'share of CPU time under contention (1 to 10000, default 100)' -r
complete -c cgexec -l cpuset -d 'run only on these processors' -r
complete -c cgexec -l pids -d 'limit the number of processes and threads' -r
complete -c cgexec -l io-max -d 'limit a block device: DEV:rbps=10M,wbps=1M,riops=100,wiops=100' -r
complete -c cgexec -l hugetlb -d 'limit huge pages, as SIZE or PAGESIZE:SIZE' -r
complete -c cgexec -l set -d 'write a value to a control file' -r
complete -c cgexec -l report -d 'report at the end what the program used, as text or json' -r
complete -c cgexec -l report-file -d 'write the report to this file' -r -F
complete -c cgexec -s s -l sticky -d 'ask cgrulesengd to leave the program\'s children alone too'
complete -c cgexec -s b -l from-root -d 'ignore the default group of libcgroup for systemd (/run/libcgroup/systemd)'
complete -c cgexec -s r -l replace-idle -d 'end the idle process that keeps a systemd scope of libcgroup alive'
complete -c cgexec -l create -d 'create the missing groups, and remove them at the end'
complete -c cgexec -l keep -d 'do not remove the groups that were created'
complete -c cgexec -l kill -d 'kill the processes that remain in the groups when the program has ended'
complete -c cgexec -s n -l dry-run -d 'only show what would be created, written and run'
complete -c cgexec -s h -l help -d 'show this help'
complete -c cgexec -s V -l version -d 'show the version'
