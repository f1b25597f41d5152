/* SPDX-License-Identifier: MIT */
#ifndef CLI_OWNER_H
#define CLI_OWNER_H

#include "err.h"

/*
 * Whose account a state directory holds: the line "user@host" of its file `account`.
 * What waits there to be sent must never go to somebody else's mail.
 */

/* ERR_INVAL: it is another account's.  A directory without the file is anybody's. */
int cli_owner_check(const char *state_dir, const char *user, const char *host,
                    struct err_reason *why);

/* Writes the file unless it is there; after a cut it is whole or missing. */
int cli_owner_note(const char *state_dir, const char *user, const char *host,
                   struct err_reason *why);

#endif
