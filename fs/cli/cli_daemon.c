/* SPDX-License-Identifier: MIT */
#include "cli_daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli.h"

/* The child writes a byte when the mount answers; it ends without one when it fails. */
static void wait_for_child(int fd, pid_t child)
{
	int status = 0;
	ssize_t n;
	char byte;

	do
		n = read(fd, &byte, 1);
	while (n < 0 && errno == EINTR);
	if (n == 1)
		_exit(CLI_OK);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
		_exit(WEXITSTATUS(status));
	if (WIFEXITED(status))
		cli_complain("stopped before the mount was there");
	else
		cli_complain("ended by signal %d before the mount was there", WTERMSIG(status));
	_exit(CLI_FUSE);
}

bool cli_daemon_fork(struct cli_daemon *d)
{
	int fds[2];
	pid_t child;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return false;
	child = fork();
	if (child < 0) {
		close(fds[0]);
		close(fds[1]);
		return false;
	}
	if (child > 0) {
		close(fds[1]);
		wait_for_child(fds[0], child);
	}
	close(fds[0]);
	d->pipe = fds[1];
	(void)setsid();
	return true;
}

bool cli_daemon_ready(struct cli_daemon *d)
{
	int null;
	ssize_t n;

	if (d->pipe < 0)
		return true;
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; null >= 0 && fd <= 2; fd++)
		(void)dup2(null, fd);
	if (null > 2)
		close(null);
	n = write(d->pipe, "", 1);
	close(d->pipe);
	d->pipe = -1;
	return n == 1;
}
