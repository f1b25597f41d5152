/* SPDX-License-Identifier: MIT */
#ifndef CLI_LOG_H
#define CLI_LOG_H

#include <stdbool.h>
#include <stddef.h>

#include "err.h"

/* The program's log: STATE_DIR/log, renamed to log.1 when it has reached its size. */
struct cli_log;

#define CLI_LOG_MAX_BYTES (1L << 20)

/* Opens the file and becomes the process's log sink.  `to_stderr`: errors and warnings,
 * with `debug` everything, are shown there too.  ERR_IO. */
int cli_log_open(const char *state_dir, long max_bytes, bool to_stderr, bool debug,
                 struct cli_log **out, struct err_reason *why);

/* Gives the sink back to stderr.  No other thread may be logging.  Safe on NULL. */
void cli_log_close(struct cli_log **log);

/* The last lines, at most 64 KiB; *out is the caller's. */
int cli_log_tail(struct cli_log *log, char **out, size_t *len);

#endif
