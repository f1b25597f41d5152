/* SPDX-License-Identifier: MIT */
#include "imap_resp.h"

#include <string.h>
#include <strings.h>

#include "err.h"
#include "imap_lex_priv.h"

/* A mark is "{" 19 digits "+" "}" CRLF at most. */
#define MARK_BYTES 24

/* A literal over a ceiling is let pass up to this. */
#define SKIPPED_MAX (UINT64_C(1) << 36)

enum framer_state {
	FRAMER_FIRST,   /* in the first line */
	FRAMER_LATER,   /* in the text behind a literal */
	FRAMER_LITERAL, /* in a literal that is kept */
};

void imap_framer_init(struct imap_framer *f, const struct imap_limits *lim)
{
	*f = (struct imap_framer){ .lim = *lim };
}

static void restart(struct imap_framer *f)
{
	*f = (struct imap_framer){ .lim = f->lim };
}

static bool starts_with(const char *line, size_t len, const char *word)
{
	size_t n = strlen(word);

	return len > n && strncasecmp(line, word, n) == 0 && strchr(" \r\n", line[n]) != NULL;
}

/* Text for people has no literals: an "{5}" at its end is part of what it says. */
static bool may_hold_literals(const char *line, size_t len)
{
	static const char *const texts[] = { "* OK", "* NO", "* BAD", "* BYE", "* PREAUTH" };

	if (len < 2 || line[0] != '*' || line[1] != ' ')
		return false;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (starts_with(line, len, texts[i]))
			return false;
	return true;
}

/* A mark inside a word is none. */
static bool may_precede_mark(char c)
{
	return c != '\0' && strchr(" ()~\"]>", c) != NULL;
}

/* Looks for a literal's mark at the end of the line [start, end), `end` behind its LF. */
static bool find_mark(const char *start, const char *end, uint64_t *n)
{
	const char *p = end - 1, *data;

	if (p > start && p[-1] == '\r')
		p--;
	if (p == start || p[-1] != '}')
		return false;
	if (p - start > MARK_BYTES)
		start = p - MARK_BYTES;
	for (p--; p > start && *p != '{'; p--)
		;
	if (*p != '{' || (p > start && !may_precede_mark(p[-1])))
		return false;
	return imap_lex_literal_mark(p, end, &data, n) == 1 && data == end;
}

/* False: nobody could wait until so much had passed by. */
static bool enter_literal(struct imap_framer *f, uint64_t n)
{
	if (n > SKIPPED_MAX)
		return false;
	if (imap_lex_literal_fits(&f->lim, n, &f->kept)) {
		f->state = FRAMER_LITERAL;
		f->literal_left = (size_t)n;
	} else {
		f->state = FRAMER_LATER;
		f->skip = n;
	}
	return true;
}

/* Takes a whole line or what there is of it.  1: it was the response's last. */
static int scan_line(struct imap_framer *f, const char *data, size_t have)
{
	const char *line = data + f->line_start;
	const char *lf = memchr(data + f->scanned, '\n', have - f->scanned);
	size_t end = lf != NULL ? (size_t)(lf - data) + 1 : have;
	uint64_t n = 0;

	f->line_bytes += end - f->scanned;
	f->scanned = end;
	if (f->line_bytes > f->lim.line_bytes)
		return ERR_LIMIT;
	if (lf == NULL)
		return 0;
	if (f->state == FRAMER_FIRST && !may_hold_literals(line, end - f->line_start))
		return 1;
	if (!find_mark(line, data + end, &n))
		return 1;
	if (!enter_literal(f, n))
		return ERR_LIMIT;
	f->line_start = end;
	return 0;
}

static void scan_literal(struct imap_framer *f, size_t have)
{
	size_t n = have - f->scanned;

	if (n > f->literal_left)
		n = f->literal_left;
	f->literal_left -= n;
	f->scanned += n;
	f->line_start = f->scanned;
	if (f->literal_left == 0)
		f->state = FRAMER_LATER;
}

int imap_framer_scan(struct imap_framer *f, const char *data, size_t have, size_t *len)
{
	while (f->skip == 0 && f->scanned < have) {
		int r;

		if (f->state == FRAMER_LITERAL) {
			scan_literal(f, have);
			continue;
		}
		r = scan_line(f, data, have);
		if (r < 0)
			return r;
		if (r > 0) {
			*len = f->scanned;
			restart(f);
			return 1;
		}
	}
	return 0;
}

size_t imap_framer_drop(struct imap_framer *f, char *data, size_t have)
{
	size_t n = have - f->scanned;

	if (f->skip == 0)
		return have;
	if (n > f->skip)
		n = (size_t)f->skip;
	memmove(data + f->scanned, data + f->scanned + n, have - f->scanned - n);
	f->skip -= n;
	return have - n;
}
