/* SPDX-License-Identifier: MIT */
#include "cli_owner.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "mem.h"

#define OWNER_MAX 1024 /* bytes of the file that are looked at */

/* The case of a host says nothing, that of a user may. */
static bool same_account(const char *a, const char *b)
{
	const char *host_a = strrchr(a, '@'), *host_b = strrchr(b, '@');

	return host_a != NULL && host_b != NULL && host_a - a == host_b - b &&
	       memcmp(a, b, (size_t)(host_a - a)) == 0 && strcasecmp(host_a, host_b) == 0;
}

int cli_owner_check(const char *state_dir, const char *user, const char *host,
                    struct err_reason *why)
{
	_cleanup_free_ char *path = mem_printf("%s/account", state_dir);
	_cleanup_free_ char *mine = mem_printf("%s@%s", user, host);
	char noted[OWNER_MAX];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0 && errno == ENOENT)
		return 0;
	n = fd < 0 ? -1 : read(fd, noted, sizeof(noted) - 1);
	if (n < 0)
		(void)err_set(why, ERR_IO, "cannot read %s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	if (n < 0)
		return ERR_IO;
	noted[n] = '\0';
	noted[strcspn(noted, "\n")] = '\0';
	if (same_account(noted, mine))
		return 0;
	return err_set(why, ERR_INVAL,
	               "%s holds the state of %s; if that is this account under a new name, "
	               "remove its file account",
	               state_dir, noted);
}

static bool write_durably(int fd, const char *line)
{
	size_t len = strlen(line);

	return write(fd, line, len) == (ssize_t)len && fsync(fd) == 0;
}

int cli_owner_note(const char *state_dir, const char *user, const char *host,
                   struct err_reason *why)
{
	_cleanup_free_ char *path = mem_printf("%s/account", state_dir);
	_cleanup_free_ char *fresh = mem_printf("%s/account.new", state_dir);
	_cleanup_free_ char *line = mem_printf("%s@%s\n", user, host);
	int fd, r = 0;

	if (access(path, F_OK) == 0)
		return 0;
	fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || !write_durably(fd, line) || rename(fresh, path) < 0)
		r = err_set(why, errno == ENOSPC ? ERR_NOSPACE : ERR_IO, "cannot write %s: %s",
		            path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return r;
}
