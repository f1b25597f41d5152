/* SPDX-License-Identifier: MIT */
#include "mount_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "mem.h"

/* A read lease is granted only while no descriptor and no shared mapping can write the file.  It
 * is given back at once; a writer who comes meanwhile waits for nothing noticeable. */
enum mount_held mount_held(struct mount *m, struct store *s, int64_t id)
{
	_cleanup_free_ char *path = NULL;
	enum mount_held held = MOUNT_HELD_UNKNOWN;
	struct stat st;
	int fd;

	if (mount_path(m, s, id, &path) < 0)
		return MOUNT_HELD_YES;
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? MOUNT_HELD_YES : MOUNT_HELD_UNKNOWN;
	if (fstat(fd, &st) != 0 || (int64_t)st.st_ino != id)
		held = MOUNT_HELD_YES;
	else if (fcntl(fd, F_SETLEASE, F_RDLCK) == 0)
		held = MOUNT_HELD_NO;
	else if (errno == EAGAIN)
		held = MOUNT_HELD_YES;
	if (held == MOUNT_HELD_NO)
		(void)fcntl(fd, F_SETLEASE, F_UNLCK);
	close(fd);
	return held;
}
