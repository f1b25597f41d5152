/* SPDX-License-Identifier: MIT */
#ifndef CLI_DAEMON_H
#define CLI_DAEMON_H

#include <stdbool.h>

/*
 * Going to the background.  The parent stays until the child has said how the mount went,
 * so that its exit status means something and complaints reach the terminal.
 */
struct cli_daemon {
	int pipe; /* the child's end; -1: in the foreground */
};

#define CLI_DAEMON_FOREGROUND \
	{                     \
		.pipe = -1    \
	}

/* Forks; to be called before any thread is.  Returns in the child only; the parent ends
 * with the child's status.  False: no child could be made. */
bool cli_daemon_fork(struct cli_daemon *d);

/* In the child, once the file system answers: the parent may go, the terminal too.  False:
 * the parent was interrupted, so nobody wants the mount any more. */
bool cli_daemon_ready(struct cli_daemon *d);

#endif
