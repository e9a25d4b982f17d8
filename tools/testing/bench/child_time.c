// SPDX-License-Identifier: GPL-2.0
/*
 * child_time COMMAND...: the CPU time that a command and its children took.
 *
 * That is the time the scheduler let them run, guests included and idle time
 * not; on a host that is emulated with counted instructions, at one nanosecond
 * each, it is the number of instructions.
 *
 * Output, after the command's own: child_time MICROSECONDS
 */
#include <err.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static long long microseconds(struct timeval t)
{
	return t.tv_sec * 1000000LL + t.tv_usec;
}

int main(int argc, char **argv)
{
	struct rusage used;
	int status;
	pid_t pid;

	if (argc < 2)
		errx(2, "usage: child_time COMMAND [ARGUMENT...]");

	pid = fork();
	if (pid < 0)
		err(2, "fork");
	if (!pid) {
		execvp(argv[1], argv + 1);
		err(127, "%s", argv[1]);
	}
	if (waitpid(pid, &status, 0) != pid)
		err(2, "waitpid");
	if (getrusage(RUSAGE_CHILDREN, &used))
		err(2, "getrusage");

	printf("child_time %lld\n",
	       microseconds(used.ru_utime) + microseconds(used.ru_stime));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
