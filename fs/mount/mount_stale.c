/* SPDX-License-Identifier: MIT */
#include "mount_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mem.h"

/* The mount table writes blanks and backslashes as three octal digits. */
static void unescape(char *s)
{
	char *out = s;

	for (; *s; s++) {
		if (s[0] == '\\' && s[1] && s[2] && s[3]) {
			*out++ = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0'));
			s += 3;
		} else {
			*out++ = *s;
		}
	}
	*out = '\0';
}

/* The type of what is mounted there last; caller frees; NULL: nothing. */
static char *mounted_type(const char *mountpoint)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char *line = NULL, *type = NULL;
	size_t cap = 0;

	while (f && getline(&line, &cap, f) > 0) {
		_cleanup_free_ char *point = NULL, *found = NULL;
		const char *rest = strstr(line, " - ");

		if (!rest || sscanf(line, "%*s %*s %*s %*s %ms", &point) != 1 ||
		    sscanf(rest, " - %ms", &found) != 1)
			continue;
		unescape(point);
		if (strcmp(point, mountpoint) != 0)
			continue;
		free(type);
		type = mem_steal(found);
	}
	free(line);
	if (f)
		fclose(f);
	return type;
}

static void run_fusermount(const char *mountpoint)
{
	const char *argv[] = { "fusermount3", "-u", "-z", "-q", "--", mountpoint, NULL };
	const char *env[] = { "PATH=/usr/local/bin:/usr/bin:/bin", NULL };
	pid_t pid;

	if (posix_spawnp(&pid, argv[0], NULL, NULL, (char **)(uintptr_t)argv,
	                 (char **)(uintptr_t)env) == 0)
		(void)waitpid(pid, NULL, 0);
}

int mount_clear_stale(const char *mountpoint, const char *subtype, struct err_reason *why)
{
	_cleanup_free_ char *ours = mem_printf("fuse.%s", subtype);
	struct stat st;

	for (int tries = 0; tries < 8; tries++) {
		_cleanup_free_ char *type = mounted_type(mountpoint);

		if (!type || strcmp(type, ours) != 0)
			return 0;
		if (stat(mountpoint, &st) == 0 || errno != ENOTCONN)
			return err_set(why, ERR_EXISTS, "%s is mounted already", mountpoint);
		if (umount2(mountpoint, MNT_DETACH) != 0)
			run_fusermount(mountpoint);
	}
	return err_set(why, ERR_EXISTS, "cannot unmount what is left at %s", mountpoint);
}
