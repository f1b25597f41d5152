/* SPDX-License-Identifier: MIT */
#ifndef CLI_CONTROL_H
#define CLI_CONTROL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "buf.h"
#include "err.h"

/*
 * The control socket, a Unix socket per mount point in a directory that only its owner
 * can enter.  A client writes one line (CLI_CONTROL_LINE_MAX bytes at most); the daemon
 * answers "+\n" when it has taken it, then, when the work is done, the exit status in
 * decimal, "\n" and a text to the end of the stream.  After the request `leave` the
 * stream stays open until the daemon's process has ended.
 */
#define CLI_CONTROL_LINE_MAX 1024
#define CLI_CONTROL_CLIENTS 16

/* Answers a request in a thread of its own: text to *answer, exit status returned. */
typedef int (*cli_control_fn)(void *ctx, const char *request, struct buf *answer);

struct cli_control;

/* Makes the socket, so that from now on clients can connect (they wait).  ERR_IO. */
int cli_control_open(const char *mountpoint, struct cli_control **out, struct err_reason *why);

/* Begins to answer.  ERR_IO. */
int cli_control_start(struct cli_control *c, cli_control_fn fn, void *ctx);

/* Takes no more requests and waits until those under way are answered.  Safe on NULL. */
void cli_control_close(struct cli_control **c);

/* ---- The client ---- */

struct cli_answer {
	int status;
	struct buf text;
	int stream; /* request `leave`: open until the daemon has ended; else -1 */
};

/*
 * Asks the daemon that serves `mountpoint` for user `owner`.  ERR_NOTFOUND: nobody
 * listens; ERR_PERM: not ours to ask; ERR_TIMEOUT: it did not take the request within
 * some seconds, or did not answer within `limit_ms`; ERR_PROTO.
 */
int cli_control_ask(const char *mountpoint, uid_t owner, const char *request, int64_t limit_ms,
                    struct cli_answer *out);

/* Waits until the stream's other end is gone; false: still there after `limit_ms`. */
bool cli_control_wait_gone(int stream, int64_t limit_ms);

/* ---- systemd ---- */

/* Tells the service manager ("READY=1"), where NOTIFY_SOCKET names one.  The first call
 * takes it out of the environment. */
void cli_control_notify(const char *state);
bool cli_control_notify_wanted(void);

#endif
