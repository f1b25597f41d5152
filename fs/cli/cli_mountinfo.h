/* SPDX-License-Identifier: MIT */
#ifndef CLI_MOUNTINFO_H
#define CLI_MOUNTINFO_H

#include <stdbool.h>
#include <sys/types.h>

/* What is mounted, by /proc/self/mountinfo: never touches the file systems themselves, so
 * that a dead one cannot hold the caller up. */
struct cli_mount {
	char *point;  /* where */
	char *type;   /* "fuse.imapfs" */
	char *source; /* "user@host" */
	uid_t owner;  /* of a FUSE mount: who mounted it */
};
void cli_mount_release(struct cli_mount *m);

/* The FUSE mount that holds `path` (absolute), the innermost.  False: none does. */
bool cli_mount_find(const char *path, struct cli_mount *out);

/* The topmost mount exactly at `point`, of whatever type.  False: nothing is mounted. */
bool cli_mount_at(const char *point, struct cli_mount *out);

/* As cli_mount_find(), from the text of a mountinfo file. */
bool cli_mount_find_in(const char *mountinfo, const char *path, struct cli_mount *out);

#endif
