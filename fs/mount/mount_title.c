/* SPDX-License-Identifier: MIT */
#include "mount_title.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "mem.h"
#include "mount_words.h"
#include "store.h"

#define FIELD_MAX ((size_t)16384)
#define FROM_MAX ((size_t)60)
#define TAIL_MAX ((size_t)24) /* " [4294967295].eml" */

/* The field's value with its folded lines as one; NULL: there is none. */
static char *raw_field(const char *data, size_t len, const char *field)
{
	const char *p = data, *end = data + len;
	size_t name = strlen(field), n = 0;
	char *out;

	while (p < end && *p != '\n' && *p != '\r') {
		const char *lf = memchr(p, '\n', (size_t)(end - p));

		if ((size_t)(end - p) > name && p[name] == ':' && strncasecmp(p, field, name) == 0)
			break;
		p = lf ? lf + 1 : end;
	}
	if (p >= end || *p == '\n' || *p == '\r')
		return NULL;
	out = mem_alloc(FIELD_MAX + 1);
	for (p += name + 1; p < end && n < FIELD_MAX; p++) {
		if (*p == '\n' && (p + 1 == end || (p[1] != ' ' && p[1] != '\t')))
			break;
		if (*p != '\n' && *p != '\r' && *p != '\0')
			out[n++] = *p;
	}
	out[n] = '\0';
	return out;
}

/* Length of the character; 0 for bytes that are none. */
static size_t utf8_len(const unsigned char *p)
{
	size_t n = p[0] < 0x80 ? 1 : p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : p[0] >= 0xc2 ? 2 : 0;

	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	}
	return n;
}

/* Overrides and isolates of the writing direction, and marks that are not seen at all: a name
 * could look like another one. */
static bool is_hidden(const unsigned char *p, size_t n)
{
	return n == 3 && ((p[0] == 0xe2 && p[1] == 0x80 && p[2] >= 0x8b && p[2] <= 0x8f) ||
	                  (p[0] == 0xe2 && p[1] == 0x80 && p[2] >= 0xa8 && p[2] <= 0xae) ||
	                  (p[0] == 0xe2 && p[1] == 0x81 && p[2] >= 0xa0 && p[2] <= 0xaf) ||
	                  (p[0] == 0xef && p[1] == 0xbb && p[2] == 0xbf));
}

/* In place: one blank for any run of blanks and control characters, none at the ends. */
static void tidy(char *text)
{
	const unsigned char *p = (const unsigned char *)text;
	char *to = text;

	while (*p) {
		size_t n = utf8_len(p);
		bool blank = *p <= ' ' || *p == 0x7f || (n == 2 && p[0] == 0xc2 && p[1] <= 0xa0);

		if (n == 0 || blank || is_hidden(p, n)) {
			if (blank && to != text && to[-1] != ' ')
				*to++ = ' ';
			p += n ? n : 1;
			continue;
		}
		memmove(to, p, n);
		to += n;
		p += n;
	}
	while (to != text && to[-1] == ' ')
		to--;
	*to = '\0';
}

char *mount_title_field(const char *data, size_t len, const char *field)
{
	_cleanup_free_ char *raw = raw_field(data, len, field);
	char *text;

	if (!raw)
		return NULL;
	text = mount_words_decode(raw, strlen(raw));
	tidy(text);
	return text;
}

/* The name of the first sender, else his address. */
static char *sender(const char *data, size_t len)
{
	_cleanup_free_ char *raw = raw_field(data, len, "From");
	char *text, *open;
	size_t n;

	if (!raw)
		return mem_strdup("");
	open = strchr(raw, '<');
	n = strspn(raw, " \t\"");
	if (open && (size_t)(open - raw) > n) {
		*open = '\0';
	} else if (open) { /* an address alone */
		n = (size_t)(open + 1 - raw);
		raw[n + strcspn(raw + n, ">")] = '\0';
	}
	text = mount_words_decode(raw + n, strlen(raw + n));
	for (char *p = text; *p; p++) {
		if (*p == '"' || *p == '\\')
			*p = ' ';
	}
	tidy(text);
	return text;
}

/* Cuts behind a whole character. */
static void cut(char *text, size_t max)
{
	if (strlen(text) <= max)
		return;
	while (max > 0 && ((unsigned char)text[max] & 0xc0) == 0x80)
		max--;
	text[max] = '\0';
	tidy(text);
}

static void replace_slashes(char *text)
{
	for (char *p = text; *p; p++) {
		if (*p == '/')
			*p = '_';
	}
}

char *mount_title(const char *data, size_t len, int64_t date, int zone_min, uint32_t uid)
{
	_cleanup_free_ char *from = sender(data, len);
	_cleanup_free_ char *subject = mount_title_field(data, len, "Subject");
	time_t t = (time_t)(date + (int64_t)zone_min * 60);
	char day[32] = "0000-00-00";
	char *name, *tail;
	struct tm tm;

	if (gmtime_r(&t, &tm) && tm.tm_year < 8100)
		(void)strftime(day, sizeof(day), "%Y-%m-%d", &tm);
	cut(from, FROM_MAX);
	name = mem_printf("%s %s%s%s", day, from, *from ? " - " : "",
	                  subject && *subject ? subject : "(no subject)");
	replace_slashes(name);
	cut(name, STORE_NAME_MAX - TAIL_MAX);
	tail = mem_printf("%s [%u].eml", name, (unsigned)uid);
	free(name);
	return tail;
}

static uint32_t number(const char *p, const char *end)
{
	char *stop;
	unsigned long long n = isdigit((unsigned char)*p) && *p != '0' ? strtoull(p, &stop, 10) : 0;

	return n > 0 && n <= UINT32_MAX && stop == end ? (uint32_t)n : 0;
}

uint32_t mount_title_uid(const char *name, bool *plain)
{
	size_t len = strlen(name);
	const char *open = strrchr(name, '[');

	if (len < 5 || strcmp(name + len - 4, ".eml") != 0)
		return 0;
	*plain = number(name, name + len - 4) != 0;
	if (*plain)
		return number(name, name + len - 4);
	if (!open || open == name || open[-1] != ' ' || name[len - 5] != ']')
		return 0;
	return number(open + 1, name + len - 5);
}
