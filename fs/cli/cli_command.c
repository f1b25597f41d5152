/* SPDX-License-Identifier: MIT */
#include "cli_command.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "mem.h"

#define SLICE_MS 50 /* how soon a cancel is seen */
#define OUTPUT_MAX (1u << 20)

extern char **environ;

/* A child that begins with default signals, in a process group of its own. */
static int spawn(const char *command, int output, pid_t *pid)
{
	char sh[] = "sh", c[] = "-c";
	_cleanup_free_ char *text = mem_strdup(command);
	char *argv[] = { sh, c, text, NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int r;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attr);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, output, 1);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
	                                        POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setpgroup(&attr, 0);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	r = posix_spawn(pid, "/bin/sh", &actions, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	return r == 0 ? 0 : -1;
}

static int slice(int64_t deadline, const atomic_bool *cancel)
{
	int left = clock_left_ms(deadline);

	if (left == 0 || atomic_load(cancel))
		return 0;
	return left < SLICE_MS ? left : SLICE_MS;
}

/* Reads to the end of the output; false: the time is over, or too much came. */
static bool drain(int fd, int64_t deadline, const atomic_bool *cancel, char *out, size_t cap)
{
	size_t len = 0, total = 0;
	char part[1024];
	int wait_ms;

	out[0] = '\0';
	while (total < OUTPUT_MAX && (wait_ms = slice(deadline, cancel)) > 0) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t n;
		size_t fits;

		if (poll(&p, 1, wait_ms) <= 0)
			continue;
		n = read(fd, part, sizeof(part));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			mem_wipe(part, sizeof(part));
			return n == 0;
		}
		total += (size_t)n;
		fits = (size_t)n < cap - 1 - len ? (size_t)n : cap - 1 - len;
		memcpy(out + len, part, fits);
		len += fits;
		out[len] = '\0';
	}
	mem_wipe(part, sizeof(part));
	return false;
}

/* The child's wait status; -1 when it did not end in time and was killed. */
static int reap(pid_t pid, bool drained, int64_t deadline, const atomic_bool *cancel)
{
	int status = 0, wait_ms;

	while (drained && (wait_ms = slice(deadline, cancel)) > 0) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			return status;
		(void)poll(NULL, 0, wait_ms < 10 ? wait_ms : 10);
	}
	(void)kill(-pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return -1;
}

int cli_command_output(const char *command, int limit_ms, const atomic_bool *cancel, char *out,
                       size_t cap, struct err_reason *why)
{
	int64_t deadline = clock_mono_ms() + limit_ms;
	int fds[2], status, r;
	bool drained;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_set(why, ERR_AUTH, "password command: %s", strerror(errno));
	r = spawn(command, fds[1], &pid);
	close(fds[1]);
	if (r < 0) {
		close(fds[0]);
		return err_set(why, ERR_AUTH, "password command: cannot be started");
	}
	drained = drain(fds[0], deadline, cancel, out, cap);
	close(fds[0]);
	status = reap(pid, drained, deadline, cancel);
	if (status == 0)
		return 0;
	mem_wipe(out, cap);
	if (status == -1)
		return err_set(why, ERR_AUTH, "password command: no answer within %d s",
		               limit_ms / 1000);
	return err_set(why, ERR_AUTH, "password command ended with status %d",
	               WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}
