/* SPDX-License-Identifier: MIT */
#ifndef CLI_ACCOUNT_H
#define CLI_ACCOUNT_H

#include "cli.h"
#include "cli_options.h"
#include "cli_password.h"
#include "sync.h"

/* Options from the command line's words: the configuration file, the account or address
 * in words->operands[0], the words themselves over them.  CLI_USAGE where the command line
 * is wrong, CLI_CONFIG where the file is, with the reason. */
enum cli_exit cli_account_load(const struct cli_words *words, struct cli_options *o,
                               struct err_reason *why);

/* user@host:port, for people; caller frees. */
char *cli_account_title(const struct cli_options *o);

/* What sync is told; the strings stay those of *o. */
void cli_account_sync_config(const struct cli_options *o, struct cli_password *password,
                             struct sync_config *out);

/* True when there is local state of an earlier mount. */
bool cli_account_known(const struct cli_options *o);

/* True when the store shows mailboxes and the messages of the first one, INBOX. */
bool cli_account_listed(const struct cli_options *o);

/* Makes the place for the state, locks it and brings it up; an account that is not known
 * yet must first answer, so that a mistyped address leaves nothing behind.  *lock_fd is
 * the caller's on success.  ERR_INVAL: the place holds the state of another account. */
int cli_account_open(const struct cli_options *o, struct cli_password *password, int *lock_fd,
                     struct err_reason *why);

#endif
