/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "child.h"
#include "imap_conn_priv.h"

/* Its input and output are one socket: it ends when ours is closed. */
int imap_conn_dig(const char *command, pid_t *pid, struct err_reason *why)
{
	int fds[2], r;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return err_set(why, ERR_OFFLINE, "tunnel: %s", strerror(errno));
	r = child_start(command, fds[1], fds[1], pid);
	close(fds[1]);
	if (r == 0)
		return fds[0];
	close(fds[0]);
	return err_set(why, ERR_OFFLINE, "tunnel: the command cannot be started");
}

bool imap_conn_is_tunnel(const struct imap_conn *c)
{
	return c->tunnel > 0;
}
