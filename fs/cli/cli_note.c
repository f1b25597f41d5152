/* SPDX-License-Identifier: MIT */
#include "cli_note.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "mem.h"

int cli_note_read(const char *path, char out[CLI_NOTE_MAX], struct err_reason *why)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0 && errno == ENOENT)
		return 0;
	n = fd < 0 ? -1 : read(fd, out, CLI_NOTE_MAX - 1);
	if (n < 0)
		(void)err_set(why, ERR_IO, "cannot read %s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	if (n < 0)
		return ERR_IO;
	out[n] = '\0';
	out[strcspn(out, "\n")] = '\0';
	return 1;
}

static bool write_durably(int fd, const char *line)
{
	size_t len = strlen(line);

	return write(fd, line, len) == (ssize_t)len && fsync(fd) == 0;
}

int cli_note_write(const char *path, const char *line, struct err_reason *why)
{
	_cleanup_free_ char *fresh = mem_printf("%s.new", path);
	_cleanup_free_ char *text = mem_printf("%s\n", line);
	int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), r = 0;

	if (fd < 0 || !write_durably(fd, text) || rename(fresh, path) < 0)
		r = err_set(why, errno == ENOSPC ? ERR_NOSPACE : ERR_IO, "cannot write %s: %s",
		            path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return r;
}
