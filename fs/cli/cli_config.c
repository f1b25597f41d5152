/* SPDX-License-Identifier: MIT */
#include "cli_config.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "mem.h"

#define LINE_MAX_BYTES 8192
#define FILE_MAX_BYTES (1 << 20)
#define NAMES_MAX 1000 /* sections; keys of one section */
#define SECTION_MAX 64

/* Names seen so far, to refuse a second one. */
struct names {
	char **list;
	size_t count;
};

struct reader {
	const char *path, *account;
	int line;
	struct cli_options *target; /* what the account's keys go to */
	struct cli_options scratch; /* what another account's keys are tried on */
	bool in_section, mine, found;
	struct names sections, keys;
	struct err_reason *why;
};

static void names_release(struct names *n)
{
	for (size_t i = 0; i < n->count; i++)
		free(n->list[i]);
	free(n->list);
	*n = (struct names){ 0 };
}

/* False: it is there already, or there are too many. */
static bool names_add(struct names *n, const char *name)
{
	for (size_t i = 0; i < n->count; i++)
		if (strcmp(n->list[i], name) == 0)
			return false;
	if (n->count >= NAMES_MAX)
		return false;
	n->list = mem_realloc(n->list, n->count + 1, sizeof(*n->list));
	n->list[n->count++] = mem_strdup(name);
	return true;
}

bool cli_config_is_name(const char *name)
{
	size_t len = strlen(name);

	if (len == 0 || len > SECTION_MAX || name[0] == '.' || name[0] == '-')
		return false;
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)name[i]) && strchr("._@+-", name[i]) == NULL)
			return false;
	return true;
}

static int fail(struct reader *rd, const char *what, const char *detail)
{
	return err_set(rd->why, ERR_INVAL, "%s:%d: %s%s", rd->path, rd->line, what, detail);
}

static char *trim(char *s)
{
	size_t len;

	while (isspace((unsigned char)*s))
		s++;
	len = strlen(s);
	while (len > 0 && isspace((unsigned char)s[len - 1]))
		s[--len] = '\0';
	return s;
}

static int take_section(struct reader *rd, char *text)
{
	char *end = strchr(text, ']');
	const char *name = text + 1;

	if (end == NULL || end[1] != '\0')
		return fail(rd, "a section is [NAME]", "");
	*end = '\0';
	if (!cli_config_is_name(name))
		return fail(rd, "not a name for an account: ", name);
	if (!names_add(&rd->sections, name))
		return fail(rd, "a second section ", name);
	names_release(&rd->keys);
	cli_options_release(&rd->scratch);
	cli_options_init(&rd->scratch);
	rd->in_section = true;
	rd->mine = rd->account != NULL && strcmp(name, rd->account) == 0;
	rd->found = rd->found || rd->mine;
	return 0;
}

static int take_setting(struct reader *rd, char *text)
{
	struct cli_options *o = rd->in_section && !rd->mine ? &rd->scratch : rd->target;
	char *equals = strchr(text, '=');
	struct err_reason what = { "" };
	char *key = text;

	if (equals != NULL)
		*equals = '\0';
	key = trim(key);
	for (char *p = key; *p != '\0'; p++)
		if (*p == '_')
			*p = '-';
	if (key[0] == '\0')
		return fail(rd, "a setting is KEY = VALUE", "");
	if (strcmp(key, "config") == 0)
		return fail(rd, "config cannot be set here", "");
	if (!rd->in_section && (strcmp(key, "host") == 0 || strcmp(key, "state-dir") == 0 ||
	                        strcmp(key, "cache-dir") == 0))
		return fail(rd, key, " belongs in an account's section");
	if (!names_add(&rd->keys, key))
		return fail(rd, "set a second time: ", key);
	if (cli_option_set(o, key, equals != NULL ? trim(equals + 1) : NULL, &what) < 0)
		return fail(rd, what.text, "");
	return 0;
}

static int take_line(struct reader *rd, char *line, size_t len)
{
	char *text;

	if (strlen(line) != len)
		return fail(rd, "a NUL byte", "");
	text = trim(line);
	if (text[0] == '\0' || text[0] == '#' || text[0] == ';')
		return 0;
	return text[0] == '[' ? take_section(rd, text) : take_setting(rd, text);
}

static int read_lines(struct reader *rd, FILE *f)
{
	char line[LINE_MAX_BYTES];
	size_t len, total = 0;
	int r = 0;

	while (r == 0) {
		int c = EOF;

		for (len = 0; len + 1 < sizeof(line); line[len++] = (char)c) {
			c = getc(f);
			if (c == EOF || c == '\n')
				break;
		}
		if (c == EOF && len == 0)
			break;
		rd->line++;
		line[len] = '\0';
		total += len + 1;
		if (c != EOF && c != '\n')
			return fail(rd, "the line is too long", "");
		if (total > FILE_MAX_BYTES)
			return fail(rd, "the file is too long", "");
		r = take_line(rd, line, len);
	}
	if (r == 0 && ferror(f))
		return err_set(rd->why, ERR_IO, "%s: %s", rd->path, strerror(errno));
	return r;
}

/* It names commands to run, so nobody else may write it. */
static int check_file(FILE *f, const char *path, struct err_reason *why)
{
	struct stat st;

	if (fstat(fileno(f), &st) < 0)
		return err_set(why, ERR_IO, "%s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return err_set(why, ERR_INVAL, "%s is not a file", path);
	if ((st.st_mode & S_IWOTH) != 0)
		return err_set(why, ERR_INVAL, "%s can be written by everyone: chmod o-w", path);
	return 0;
}

int cli_config_read(const char *path, const char *account, struct cli_options *o,
                    struct err_reason *why)
{
	struct reader rd = { .path = path, .account = account, .target = o, .why = why };
	FILE *f = fopen(path, "re");
	int r;

	if (f == NULL && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (f == NULL)
		return err_set(why, ERR_IO, "%s: %s", path, strerror(errno));
	cli_options_init(&rd.scratch);
	r = check_file(f, path, why);
	if (r == 0)
		r = read_lines(&rd, f);
	(void)fclose(f);
	names_release(&rd.sections);
	names_release(&rd.keys);
	cli_options_release(&rd.scratch);
	return r < 0 ? r : rd.found;
}
