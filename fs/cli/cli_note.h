/* SPDX-License-Identifier: MIT */
#ifndef CLI_NOTE_H
#define CLI_NOTE_H

#include <stddef.h>

#include "err.h"

/* Files of one line, such as the account that a state directory belongs to. */

#define CLI_NOTE_MAX 1024

/* The first line of `path`, as far as it fits.  1; 0: there is no such file; ERR_IO. */
int cli_note_read(const char *path, char out[CLI_NOTE_MAX], struct err_reason *why);

/* Puts `line` in its place, durably; a crash leaves what was there before.  ERR_NOSPACE,
 * ERR_IO. */
int cli_note_write(const char *path, const char *line, struct err_reason *why);

#endif
