/* SPDX-License-Identifier: MIT */
#ifndef CLI_PATHS_H
#define CLI_PATHS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "cli_options.h"

/* Where things lie.  Works with an empty environment: the home directory is then the
 * one of the password database. */

/* $XDG_CONFIG_HOME/imapfs/config and the like; caller frees.  NULL: no home at all. */
char *cli_path_config(void);

/* The directory name of an account: its section, else user@host:port made fit. */
char *cli_account_dir(const struct cli_options *o);

/* Sets o->state_dir and o->cache_dir where they were not given.  ERR_INVAL. */
int cli_paths_fill(struct cli_options *o, struct err_reason *why);

/* Creates a directory, mode 0700, with its parents.  ERR_IO. */
int cli_make_dir(const char *path, struct err_reason *why);

/* True when `path`, as far as it exists, lies at or below `mountpoint` (resolved). */
bool cli_path_inside(const char *path, const char *mountpoint);

/* The mount point's absolute path with all links resolved; works on one that answers
 * ENOTCONN.  Caller frees; NULL with errno. */
char *cli_path_resolve(const char *path);

/* Candidate directories for the control socket of user `uid`, the best first; at most
 * CLI_RUN_DIRS, each NULL or the caller's. */
#define CLI_RUN_DIRS 3
void cli_run_dirs(uid_t uid, char *out[CLI_RUN_DIRS]);

/* "DIR/HASH.sock" for a mount point; caller frees. */
char *cli_socket_path(const char *dir, const char *mountpoint);

#endif
