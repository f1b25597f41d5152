/* SPDX-License-Identifier: MIT */
#include "mount_priv.h"

#include <fcntl.h>
#include <time.h>

#include "clock.h"
#include "mem.h"

/*
 * A body that is shorter than the server had said, while a read of it waits for the answer: the
 * kernel takes a short answer for the end of the file only if it saw no attributes meanwhile,
 * and else hands zeros to the reader up to the size it knows.  So it has to learn the size
 * first.  Whoever asks for the attributes brings that about, but then waits himself for the
 * pages that the read holds: a thread of its own, which shares nothing with us, asks; whether
 * the size has come through is seen without asking.
 */
#define SHRINK_MAX_MS 1000

static void *ask_size(void *path)
{
	struct statx stx;

	(void)statx(AT_FDCWD, path, AT_STATX_FORCE_SYNC | AT_SYMLINK_NOFOLLOW, STATX_SIZE, &stx);
	free(path);
	return NULL;
}

static bool kernel_knows(const char *path, int64_t id, int64_t size)
{
	struct statx stx;

	return statx(AT_FDCWD, path, AT_STATX_DONT_SYNC | AT_SYMLINK_NOFOLLOW,
	             STATX_SIZE | STATX_INO, &stx) != 0 ||
	       (int64_t)stx.stx_ino != id || (int64_t)stx.stx_size <= size;
}

void mount_shrink(struct mount *m, struct store *s, int64_t id, int64_t size)
{
	_cleanup_free_ char *path = NULL;
	int64_t end = clock_mono_ms() + SHRINK_MAX_MS;
	struct timespec nap = { .tv_nsec = 500000 };
	pthread_attr_t attr;
	pthread_t thread;
	char *copy;

	if (mount_path(m, s, id, &path) < 0)
		return;
	if (kernel_knows(path, id, size))
		return;
	copy = mem_strdup(path);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	if (pthread_create(&thread, &attr, ask_size, copy) != 0)
		free(copy);
	pthread_attr_destroy(&attr);
	while (!kernel_knows(path, id, size) && clock_left_ms(end) > 0)
		nanosleep(&nap, NULL);
}
