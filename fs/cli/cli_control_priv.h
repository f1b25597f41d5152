/* SPDX-License-Identifier: MIT */
#ifndef CLI_CONTROL_PRIV_H
#define CLI_CONTROL_PRIV_H

#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "cli_control.h"

/* False: the path is too long for a socket. */
bool cli_control_address(const char *path, struct sockaddr_un *out);

/* Reads until the newline, which is dropped, or the end.  1: a whole line; 0: the stream
 * ended; ERR_TIMEOUT, ERR_LIMIT (longer than `cap`), ERR_IO, ERR_CANCELED (`wake` became
 * readable).  Takes not one byte behind the newline. */
int cli_control_read_line(int fd, int wake, int64_t deadline_ms, char *out, size_t cap);

/* Writes all; ERR_TIMEOUT, ERR_IO. */
int cli_control_write(int fd, const void *data, size_t len, int64_t deadline_ms);

#endif
