/* SPDX-License-Identifier: MIT */
#ifndef CLI_VIEW_H
#define CLI_VIEW_H

#include "cli_log.h"
#include "cli_status.h"
#include "mount.h"

/*
 * The running account, for those who ask: the files below .imapfs/ and the control
 * socket.  Each question opens the store anew, as a handle belongs to one thread; nothing
 * here waits for the network but `sync`.
 */
struct cli_view {
	const char *account; /* user@host:port */
	const char *mountpoint, *state_dir, *cache_dir;
	struct sync *sync;
	struct mount *mount;
	struct cli_log *log;
};

/* The files below .imapfs/: `count` of them, valid as long as `view`. */
const struct mount_virtual *cli_view_files(struct cli_view *view, size_t *count);

/* Answers a request of cli_control.h: text to *answer, exit status returned. */
int cli_view_request(void *view, const char *request, struct buf *answer);

#endif
