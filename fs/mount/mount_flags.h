/* SPDX-License-Identifier: MIT */
#ifndef MOUNT_FLAGS_H
#define MOUNT_FLAGS_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Flags as a person writes them and as the server does: the system flags have a
 * backslash there and none here (`Seen Flagged $Work` <-> `\Flagged \Seen $Work`).
 */

/* The wire's spelling of one word, `\Seen` for `seen`; NULL when it cannot be a flag.
 * The caller frees. */
char *mount_flag_to_wire(const char *word, size_t len);

/* The person's spelling of a whole set, without \Recent; the caller frees. */
char *mount_flags_to_words(const char *wire);

/* A written value: a plain list sets exactly that (`*absolute`), `+A -B` changes just
 * those.  *add and *del are wire sets, the caller's.  ERR_INVAL: both forms mixed, or a
 * word that cannot be a flag. */
int mount_flags_parse(const char *value, size_t len, bool *absolute, char **add, char **del);

#endif
