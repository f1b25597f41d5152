/* SPDX-License-Identifier: MIT */
#ifndef CLI_MOUNTPOINT_H
#define CLI_MOUNTPOINT_H

#include "cli_options.h"

/* The place to mount on, checked: a directory, nothing of ours mounted there (a dead mount
 * is fine), empty unless o->nonempty.  *out is its resolved path, the caller's.  ERR_NOTFOUND,
 * ERR_EXISTS, ERR_NOTEMPTY, ERR_PERM with the reason. */
int cli_mountpoint_check(const struct cli_options *o, const char *path, char **out,
                         struct err_reason *why);

/* ERR_INVAL when a file the daemon needs lies below the mount point. */
int cli_mountpoint_check_inside(const struct cli_options *o, const char *mountpoint,
                                struct err_reason *why);

#endif
