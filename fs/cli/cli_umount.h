/* SPDX-License-Identifier: MIT */
#ifndef CLI_UMOUNT_H
#define CLI_UMOUNT_H

#include "cli_mountinfo.h"

/* Unmounts, says how many actions are left, and waits until the daemon has ended.  Returns
 * the exit status. */
int cli_umount(const struct cli_mount *m);

#endif
