/* SPDX-License-Identifier: MIT */
#include "mount_sniff.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "mem.h"

#define MESSAGE_ID_MAX 998

/* One line without its end. */
struct line {
	const char *text;
	size_t len;
	bool ended;
};

static const char *next_line(const char *p, const char *end, struct line *line)
{
	const char *lf = memchr(p, '\n', (size_t)(end - p));

	line->text = p;
	line->ended = lf != NULL;
	line->len = (size_t)((lf ? lf : end) - p);
	if (line->len > 0 && p[line->len - 1] == '\r')
		line->len--;
	return lf ? lf + 1 : end;
}

/* Length of the field name before the colon; 0: this line is no field. */
static size_t field_name(const struct line *line)
{
	size_t n = 0, blanks = 0;

	while (n < line->len && line->text[n] > 32 && line->text[n] < 127 && line->text[n] != ':')
		n++;
	while (n + blanks < line->len &&
	       (line->text[n + blanks] == ' ' || line->text[n + blanks] == '\t'))
		blanks++;
	return n + blanks < line->len && line->text[n + blanks] == ':' ? n : 0;
}

/* True for a beginning of a field that has not been written to its colon yet. */
static bool may_become_field(const struct line *line)
{
	size_t n = 0;

	while (n < line->len && line->text[n] > 32 && line->text[n] < 127)
		n++;
	while (n < line->len && (line->text[n] == ' ' || line->text[n] == '\t'))
		n++;
	return n == line->len;
}

static bool starts_with(const struct line *line, const char *what)
{
	return line->len >= strlen(what) && memcmp(line->text, what, strlen(what)) == 0;
}

enum mount_sniff mount_sniff(const char *data, size_t len)
{
	const char *p = data, *end = data + (len < MOUNT_HEADER_MAX ? len : MOUNT_HEADER_MAX);
	struct line line;

	if (len == 0)
		return MOUNT_SNIFF_EMPTY;
	while (p < end) {
		bool first = p == data;

		p = next_line(p, end, &line);
		if (line.len == 0 && line.ended)
			return first ? MOUNT_SNIFF_NO_HEADER : MOUNT_SNIFF_MESSAGE;
		if (first && starts_with(&line, "From "))
			return MOUNT_SNIFF_MBOX;
		if (!first && (line.len == 0 || *line.text == ' ' || *line.text == '\t' ||
		               starts_with(&line, ">From ")))
			continue;
		if (field_name(&line) == 0 && (line.ended || !may_become_field(&line)))
			return MOUNT_SNIFF_NO_HEADER;
	}
	return len > MOUNT_HEADER_MAX ? MOUNT_SNIFF_MESSAGE : MOUNT_SNIFF_INCOMPLETE;
}

const char *mount_sniff_reason(enum mount_sniff what)
{
	switch (what) {
	case MOUNT_SNIFF_MESSAGE:
	case MOUNT_SNIFF_INCOMPLETE:
		return NULL;
	case MOUNT_SNIFF_EMPTY:
		return "not a message: the file is empty";
	case MOUNT_SNIFF_MBOX:
		return "not a message: starts with an mbox \"From \" line";
	case MOUNT_SNIFF_NO_HEADER:
		return "not a message: does not start with header fields";
	}
	return NULL;
}

/* The first <...> of a field's value, which may be folded. */
static char *angle_part(const char *p, const char *end)
{
	const char *open = NULL;

	for (; p < end; p++) {
		if (*p == '\n' && (p + 1 == end || (p[1] != ' ' && p[1] != '\t')))
			return NULL;
		if (*p == '<')
			open = p;
		else if (open && *p == '>')
			return p - open < MESSAGE_ID_MAX ? mem_strndup(open, (size_t)(p - open) + 1)
			                                 : NULL;
		else if (open && (*p <= 32 || *p >= 127))
			open = NULL;
	}
	return NULL;
}

char *mount_sniff_message_id(const char *data, size_t len)
{
	static const char name[] = "Message-ID";
	const char *p = data, *end = data + (len < MOUNT_HEADER_MAX ? len : MOUNT_HEADER_MAX);
	struct line line;

	while (p < end) {
		const char *start = p;

		p = next_line(p, end, &line);
		if (line.len == 0)
			return NULL;
		if (field_name(&line) == strlen(name) &&
		    strncasecmp(start, name, strlen(name)) == 0)
			return angle_part(start + strlen(name), end);
	}
	return NULL;
}

size_t mount_crlf(const char *in, size_t len, char *last, char *out)
{
	size_t n = 0;
	char before = *last;

	for (size_t i = 0; i < len; i++) {
		if (in[i] == '\n' && before != '\r')
			out[n++] = '\r';
		out[n++] = before = in[i];
	}
	*last = before;
	return n;
}
