/* SPDX-License-Identifier: MIT */
#ifndef BASE_CHILD_H
#define BASE_CHILD_H

#include <sys/types.h>

/* Starts `command` by sh(1) with default signals, in a process group of its own, its
 * standard output going to `output` and its input coming from `input` (-1: there is none).
 * Errors go where ours go.  0, or -1 when it cannot be started. */
int child_start(const char *command, int input, int output, pid_t *pid);

/* Waits `grace_ms` for it to end, then kills it with its whole group.  Its wait status;
 * -1: it was killed. */
int child_end(pid_t pid, int grace_ms);

#endif
