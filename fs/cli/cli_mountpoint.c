/* SPDX-License-Identifier: MIT */
#include "cli_mountpoint.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli_mountinfo.h"
#include "cli_paths.h"
#include "mem.h"

static bool is_empty(const char *path)
{
	DIR *dir = opendir(path);
	bool empty = true;
	struct dirent *e;

	if (dir == NULL)
		return true; /* that it cannot be read is for the mount to say */
	while (empty && (e = readdir(dir)) != NULL)
		empty = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
	(void)closedir(dir);
	return empty;
}

static int check_place(const struct cli_options *o, const char *path, struct err_reason *why)
{
	struct cli_mount mounted = { 0 };
	bool imapfs = cli_mount_at(path, &mounted) && strcmp(mounted.type, "fuse.imapfs") == 0;
	struct stat st;

	cli_mount_release(&mounted);
	if (stat(path, &st) < 0)
		return errno == ENOTCONN ? 0 : /* a dead mount, which the new one replaces */
		               err_set(why, ERR_PERM, "%s: %s", path, strerror(errno));
	if (imapfs)
		return err_set(why, ERR_EXISTS, "%s: an account is mounted there already", path);
	if (!S_ISDIR(st.st_mode))
		return err_set(why, ERR_INVAL, "%s is not a directory", path);
	if (!o->nonempty && !is_empty(path))
		return err_set(why, ERR_NOTEMPTY, "%s is not empty (-o nonempty mounts over it)",
		               path);
	return 0;
}

int cli_mountpoint_check(const struct cli_options *o, const char *path, char **out,
                         struct err_reason *why)
{
	char *resolved = cli_path_resolve(path);
	int r;

	if (resolved == NULL)
		return err_set(why, ERR_NOTFOUND, "%s: %s", path, strerror(errno));
	r = check_place(o, resolved, why);
	if (r < 0)
		free(resolved);
	else
		*out = resolved;
	return r;
}

int cli_mountpoint_check_inside(const struct cli_options *o, const char *mountpoint,
                                struct err_reason *why)
{
	const struct {
		const char *name, *path;
	} needed[] = {
		{ "state-dir", o->state_dir },
		{ "cache-dir", o->cache_dir },
		{ "cafile", o->cafile },
		{ "password-file", o->password_file },
	};

	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
		if (needed[i].path != NULL && cli_path_inside(needed[i].path, mountpoint))
			return err_set(why, ERR_INVAL, "%s %s lies within the mount point %s",
			               needed[i].name, needed[i].path, mountpoint);
	return 0;
}
