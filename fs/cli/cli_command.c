/* SPDX-License-Identifier: MIT */
#include "cli_command.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "clock.h"
#include "mem.h"

#define SLICE_MS 50 /* how soon a cancel is seen */
#define OUTPUT_MAX (1u << 20)

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
	return child_end(pid, 0);
}

int cli_command_output(const char *command, int limit_ms, const atomic_bool *cancel, char *out,
                       size_t cap, struct err_reason *why)
{
	int64_t deadline = clock_mono_ms() + limit_ms;
	int fds[2], status, r;
	bool drained;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_set(why, ERR_AUTH, "sign-in command: %s", strerror(errno));
	r = child_start(command, -1, fds[1], &pid);
	close(fds[1]);
	if (r < 0) {
		close(fds[0]);
		return err_set(why, ERR_AUTH, "sign-in command: cannot be started");
	}
	drained = drain(fds[0], deadline, cancel, out, cap);
	close(fds[0]);
	status = reap(pid, drained, deadline, cancel);
	if (status == 0)
		return 0;
	mem_wipe(out, cap);
	if (status == -1)
		return err_set(why, ERR_AUTH, "sign-in command: no answer within %d s",
		               limit_ms / 1000);
	return err_set(why, ERR_AUTH, "sign-in command ended with status %d",
	               WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}
