/* SPDX-License-Identifier: MIT */
#ifndef CLI_PASSWORD_H
#define CLI_PASSWORD_H

#include <stdbool.h>
#include <stddef.h>

#include "cli_options.h"
#include "err.h"
#include "sync.h"

/*
 * Where the password comes from: a command, a file, the environment, the terminal, in
 * this order.  Commands and files are asked anew at each sign-in, so that a changed
 * password takes effect; the others are kept in locked memory.  Never in argv or a log.
 * Where a token takes its place, where that comes from.
 */
struct cli_password;

/* Takes IMAPFS_PASSWORD out of the environment; call first thing in main().  The text is
 * wiped where the kernel shows it too. */
void cli_password_take_env(void);

/* Decides the source; asks on the terminal (`prompt` says for whom) when there is no
 * other and `ask`.  Always gives an object, which may have no password. */
struct cli_password *cli_password_new(const struct cli_options *o, bool ask, const char *prompt);
void cli_password_free(struct cli_password **p);

/* False: asking would give ERR_AUTH for lack of any source. */
bool cli_password_have(const struct cli_password *p);

/* For sync_config: safe from any thread, ends within 30 s.  ERR_AUTH with the reason. */
int cli_password_get(void *password, char *out, size_t cap, struct err_reason *why);

/* False: the way to sign in that was asked for knows no password, or may not need one. */
bool cli_password_needed(const struct cli_options *o);

/* For sync_config, as cli_password_get(): what token-command= prints.  Kept until it is
 * refused. */
int cli_password_token(void *password, bool refused, char *out, size_t cap, struct err_reason *why);

/* For sync_config: the mechanism by which the account signed in last, kept in the file
 * sign-in of the state directory.  "" where that is not known. */
void cli_password_recall(void *password, char out[SYNC_MECHANISM_MAX]);
void cli_password_note(void *password, const char *mechanism);

/* ERR_AUTH with the reason unless `path` is the caller's own and nobody else's to read. */
int cli_password_check_file(const char *path, const char *what, struct err_reason *why);

/* Ends a command under way and refuses further ones: the program is leaving. */
void cli_password_cancel(struct cli_password *p);

#endif
