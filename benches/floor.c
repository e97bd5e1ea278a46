/*
 * The floor for `make bench`: the least program that does what a short run of ctrbox does. It has no C library, no
 * options and no checks.
 *
 *   floor exec|unshare-n|unshare-user|unshare-pid PROGRAM
 *   floor nsenter-n|nsenter-all PID PROGRAM
 *   floor capget PID
 *   floor end
 */
#include <linux/capability.h>
#include <linux/sched.h>
#include <asm/unistd.h>

#define O_RDWR 2
#define O_CLOEXEC 02000000
#define MS_PRIVATE_REC ((1 << 18) | (1 << 14))
#define MS_NOSUID_NODEV_NOEXEC 14
#define SIGCHLD 17

static long call5(long number, long a, long b, long c, long d, long e)
{
#if defined(__x86_64__)
	register long r10 asm("r10") = d;
	register long r8 asm("r8") = e;
	long result;
	asm volatile("syscall" : "=a"(result) : "0"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
		     : "rcx", "r11", "memory");
	return result;
#elif defined(__aarch64__)
	register long x8 asm("x8") = number;
	register long x0 asm("x0") = a;
	register long x1 asm("x1") = b;
	register long x2 asm("x2") = c;
	register long x3 asm("x3") = d;
	register long x4 asm("x4") = e;
	asm volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
	return x0;
#else
#error "no system calls for this machine"
#endif
}

#define CALL(number, ...) CALL_(number, __VA_ARGS__, 0, 0, 0, 0, 0)
#define CALL_(number, a, b, c, d, e, ...) \
	call5(number, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e))

static int same(const char *one, const char *other)
{
	for (; *one && *one == *other; one++, other++)
		;
	return *one == *other;
}

static long number(const char *digits)
{
	long value = 0;
	for (; *digits; digits++)
		value = value * 10 + *digits - '0';
	return value;
}

static void put(const char *path, const char *text)
{
	long length = 0;
	long fd = CALL(__NR_openat, -100, path, O_RDWR | O_CLOEXEC);
	for (; text[length]; length++)
		;
	CALL(__NR_write, fd, text, length);
	CALL(__NR_close, fd);
}

static void enter(const char *pid, long kinds)
{
	long fd = CALL(__NR_pidfd_open, number(pid), 0);
	CALL(__NR_setns, fd, kinds);
	CALL(__NR_close, fd);
}

static void become(char **argv, char **envp)
{
	CALL(__NR_execve, argv[0], argv, envp);
	CALL(__NR_exit_group, 127);
}

/* Forks, waits for the child, and ends with 0; the child returns. */
static void fork_and_wait(void)
{
	long child = CALL(__NR_clone, SIGCHLD);
	if (child == 0)
		return;
	CALL(__NR_wait4, child);
	CALL(__NR_exit_group, 0);
}

__attribute__((used)) void start(long *stack)
{
	char **argv = (char **)(stack + 1);
	char **envp = argv + stack[0] + 1;
	const char *mode = argv[1];
	if (same(mode, "end")) {
		CALL(__NR_exit_group, 0);
	} else if (same(mode, "exec")) {
		CALL(__NR_unshare, 0);
	} else if (same(mode, "unshare-n")) {
		CALL(__NR_unshare, CLONE_NEWNET);
	} else if (same(mode, "unshare-user")) {
		CALL(__NR_unshare, CLONE_NEWUSER | CLONE_NEWNS);
		put("/proc/self/uid_map", "0 0 1");
		put("/proc/self/setgroups", "deny");
		put("/proc/self/gid_map", "0 0 1");
		CALL(__NR_mount, "none", "/", 0, MS_PRIVATE_REC);
	} else if (same(mode, "unshare-pid")) {
		CALL(__NR_unshare, CLONE_NEWPID | CLONE_NEWNS);
		fork_and_wait();
		CALL(__NR_mount, "none", "/", 0, MS_PRIVATE_REC);
		CALL(__NR_mount, "proc", "/proc", "proc", MS_NOSUID_NODEV_NOEXEC);
	} else if (same(mode, "capget")) {
		struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, number(argv[2]) };
		struct __user_cap_data_struct data[2];
		CALL(__NR_capget, &header, data);
		CALL(__NR_write, 1, "0\n", 2);
		CALL(__NR_exit_group, 0);
	} else if (same(mode, "nsenter-n")) {
		enter(argv[2], CLONE_NEWNET);
		become(argv + 3, envp);
	} else if (same(mode, "nsenter-all")) {
		enter(argv[2], CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNET);
		fork_and_wait();
		become(argv + 3, envp);
	}
	become(argv + 2, envp);
}

#if defined(__x86_64__)
asm(".globl _start\n_start: mov %rsp, %rdi\n and $-16, %rsp\n call start\n");
#else
asm(".globl _start\n_start: mov x0, sp\n bl start\n");
#endif
