/* SPDX-License-Identifier: MIT */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include <stdatomic.h>
#include <stddef.h>

#include "err.h"

/*
 * Runs `command` through sh -c, with /dev/null as its input, and puts what it writes,
 * NUL-terminated, into `out`; what does not fit is dropped.  Safe in a program with
 * threads.  ERR_AUTH with the reason when it fails, runs longer than `limit_ms`, or
 * *cancel becomes true; it and its children are then killed.
 */
int cli_command_output(const char *command, int limit_ms, const atomic_bool *cancel, char *out,
                       size_t cap, struct err_reason *why);

#endif
