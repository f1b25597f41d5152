/* SPDX-License-Identifier: MIT */
#include "cli_mountinfo.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "buf.h"
#include "mem.h"

#define MOUNTINFO_MAX (8u << 20)
#define FIELDS 64

void cli_mount_release(struct cli_mount *m)
{
	free(m->point);
	free(m->type);
	free(m->source);
	*m = (struct cli_mount){ 0 };
}

static char *read_mountinfo(void)
{
	struct buf text = BUF_INIT(MOUNTINFO_MAX);
	int fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	char part[16384];
	ssize_t n = 0;

	while (fd >= 0 && (n = read(fd, part, sizeof(part))) > 0)
		if (buf_append(&text, part, (size_t)n) < 0)
			break;
	if (fd >= 0)
		close(fd);
	return buf_detach(&text);
}

/* The kernel writes blanks, tabs, newlines and backslashes as \ooo. */
static void unescape(char *s)
{
	char *out = s;

	for (; *s != '\0'; s++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' &&
		    s[3] >= '0' && s[3] <= '7') {
			*out++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 3;
		} else {
			*out++ = *s;
		}
	}
	*out = '\0';
}

static bool covers(const char *point, const char *path)
{
	size_t len = strlen(point);

	if (strcmp(point, "/") == 0)
		return true;
	return strncmp(point, path, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

static uid_t owner_of(const char *super_options)
{
	const char *p = strstr(super_options, "user_id=");

	return p != NULL ? (uid_t)strtoul(p + strlen("user_id="), NULL, 10) : 0;
}

/* "36 35 98:0 /root /point options... - type source super-options" */
static bool parse_line(char *line, struct cli_mount *out)
{
	char *fields[FIELDS], *save = NULL;
	size_t count = 0, dash = 0;

	for (char *f = strtok_r(line, " ", &save); f != NULL && count < FIELDS;
	     f = strtok_r(NULL, " ", &save)) {
		if (strcmp(f, "-") == 0 && dash == 0)
			dash = count;
		fields[count++] = f;
	}
	if (dash < 6 || dash + 3 >= count)
		return false;
	unescape(fields[4]);
	unescape(fields[dash + 2]);
	*out = (struct cli_mount){
		.point = mem_strdup(fields[4]),
		.type = mem_strdup(fields[dash + 1]),
		.source = mem_strdup(fields[dash + 2]),
		.owner = owner_of(fields[dash + 3]),
	};
	return true;
}

static bool is_fuse(const char *type)
{
	return strcmp(type, "fuse") == 0 || strncmp(type, "fuse.", 5) == 0;
}

/* The last line that fits best: later mounts cover earlier ones. */
static bool search(const char *mountinfo, const char *path, bool exact, struct cli_mount *out)
{
	_cleanup_free_ char *text = mem_strdup(mountinfo);
	struct cli_mount best = { 0 }, m;
	char *save = NULL;

	for (char *line = strtok_r(text, "\n", &save); line != NULL;
	     line = strtok_r(NULL, "\n", &save)) {
		bool fits;

		if (!parse_line(line, &m))
			continue;
		fits = exact ? strcmp(m.point, path) == 0 : covers(m.point, path);
		if (fits && (best.point == NULL || strlen(m.point) >= strlen(best.point))) {
			cli_mount_release(&best);
			best = m;
		} else {
			cli_mount_release(&m);
		}
	}
	if (best.point == NULL || (!exact && !is_fuse(best.type))) {
		cli_mount_release(&best);
		return false;
	}
	*out = best;
	return true;
}

bool cli_mount_find_in(const char *mountinfo, const char *path, struct cli_mount *out)
{
	return search(mountinfo, path, false, out);
}

bool cli_mount_find(const char *path, struct cli_mount *out)
{
	_cleanup_free_ char *text = read_mountinfo();

	return search(text, path, false, out);
}

bool cli_mount_at(const char *point, struct cli_mount *out)
{
	_cleanup_free_ char *text = read_mountinfo();

	return search(text, point, true, out);
}
