/* SPDX-License-Identifier: MIT */
#include "imap_parse_priv.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "buf.h"
#include "err.h"
#include "mem.h"
#include "wordset.h"

#define FIRST_ITEMS 8
#define WORDS_BYTES (64 << 10) /* flags of a message, capabilities of a server */

void imap_parse_fail(struct imap_parse *p, int err)
{
	if (p->err == 0)
		p->err = err;
	p->tok = (struct imap_tok){ .type = IMAP_TOK_END, .s = p->lex.end, .start = p->lex.end };
}

void imap_parse_next(struct imap_parse *p)
{
	int r;

	if (p->err != 0)
		return;
	r = imap_lex_next(&p->lex, &p->tok);
	if (r <= 0)
		imap_parse_fail(p, r < 0 ? r : ERR_PROTO);
}

void imap_parse_seek(struct imap_parse *p, const char *at)
{
	p->lex.p = at;
	imap_parse_next(p);
}

struct imap_mark imap_parse_mark(const struct imap_parse *p)
{
	return (struct imap_mark){ p->lex, p->tok, p->items };
}

void imap_parse_rewind(struct imap_parse *p, const struct imap_mark *m)
{
	p->lex = m->lex;
	p->tok = m->tok;
	p->items = m->items;
	p->err = 0;
}

bool imap_parse_is(const struct imap_parse *p, const char *word)
{
	return p->tok.type == IMAP_TOK_ATOM && p->tok.len == strlen(word) &&
	       strncasecmp(p->tok.s, word, p->tok.len) == 0;
}

bool imap_parse_accept(struct imap_parse *p, const char *word)
{
	if (!imap_parse_is(p, word))
		return false;
	imap_parse_next(p);
	return true;
}

bool imap_parse_accept_type(struct imap_parse *p, enum imap_tok_type type)
{
	if (p->tok.type != type)
		return false;
	imap_parse_next(p);
	return true;
}

bool imap_parse_is_string(const struct imap_parse *p)
{
	return p->tok.type == IMAP_TOK_ATOM || p->tok.type == IMAP_TOK_QUOTED ||
	       p->tok.type == IMAP_TOK_LITERAL;
}

static void *alloc_raw(struct imap_parse *p, size_t size)
{
	void *mem = imap_arena_alloc(p->arena, size);

	if (mem == NULL)
		imap_parse_fail(p, ERR_LIMIT);
	return mem;
}

void *imap_parse_alloc(struct imap_parse *p, size_t size)
{
	void *mem = alloc_raw(p, size);

	return mem != NULL ? memset(mem, 0, size) : NULL;
}

char *imap_parse_copy(struct imap_parse *p, const char *s, size_t len)
{
	char *copy = alloc_raw(p, len + 1);

	if (copy == NULL)
		return NULL;
	memcpy(copy, s, len);
	copy[len] = '\0';
	return copy;
}

/* The room there is follows from the count: it doubles at 8, 16, 32... */
void *imap_parse_grow(struct imap_parse *p, void *items, size_t count, size_t size)
{
	size_t room = count == 0 ? FIRST_ITEMS : count * 2;
	void *more;

	if (p->items >= p->lim->items) {
		imap_parse_fail(p, ERR_LIMIT);
		return NULL;
	}
	p->items++;
	if (count > 0 && (count < FIRST_ITEMS || (count & (count - 1)) != 0))
		return items;
	more = alloc_raw(p, room * size);
	if (more != NULL && count > 0)
		memcpy(more, items, count * size);
	return more;
}

/* A backslash before anything but a quote or a backslash stands for itself: some servers
 * do not escape theirs. */
static size_t unescape(char *s, size_t len)
{
	size_t to = 0;

	for (size_t i = 0; i < len; i++) {
		if (s[i] == '\\' && i + 1 < len && (s[i + 1] == '"' || s[i + 1] == '\\'))
			i++;
		s[to++] = s[i];
	}
	s[to] = '\0';
	return to;
}

char *imap_parse_string(struct imap_parse *p, size_t *len)
{
	size_t n = p->tok.len;
	char *s;

	if (!imap_parse_is_string(p) || p->tok.skipped) {
		imap_parse_fail(p, p->tok.skipped ? ERR_LIMIT : ERR_PROTO);
		return NULL;
	}
	s = imap_parse_copy(p, p->tok.s, n);
	if (s == NULL)
		return NULL;
	if (p->tok.escaped)
		n = unescape(s, n);
	if (len != NULL)
		*len = n;
	imap_parse_next(p);
	return s;
}

char *imap_parse_nstring(struct imap_parse *p)
{
	if (imap_parse_accept(p, "NIL"))
		return NULL;
	if (p->tok.skipped) {
		imap_parse_next(p);
		return NULL;
	}
	return imap_parse_string(p, NULL);
}

char *imap_parse_id(struct imap_parse *p)
{
	bool list = imap_parse_accept_type(p, IMAP_TOK_OPEN);
	char *id = p->tok.type == IMAP_TOK_CLOSE ? NULL : imap_parse_nstring(p);

	if (list && !imap_parse_accept_type(p, IMAP_TOK_CLOSE))
		imap_parse_fail(p, ERR_PROTO);
	return id;
}

/* Digits alone, up to 2^64-1. */
static bool to_number(const char *s, size_t len, uint64_t *n)
{
	uint64_t v = 0;

	for (size_t i = 0; i < len; i++) {
		if (s[i] < '0' || s[i] > '9' || __builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(s[i] - '0'), &v))
			return false;
	}
	*n = v;
	return len > 0;
}

bool imap_parse_number(struct imap_parse *p, uint64_t *n)
{
	uint64_t v = 0;

	if (!imap_parse_is_string(p) || !to_number(p->tok.s, p->tok.len, &v))
		return false;
	imap_parse_next(p);
	*n = v;
	return true;
}

bool imap_parse_number32(struct imap_parse *p, uint32_t *n)
{
	struct imap_mark m = imap_parse_mark(p);
	uint64_t v = 0;

	if (!imap_parse_number(p, &v))
		return false;
	if (v > UINT32_MAX) {
		imap_parse_rewind(p, &m);
		return false;
	}
	*n = (uint32_t)v;
	return true;
}

/* One number of a set: 1 to 2^32-1. */
static const char *take_member(const char *s, const char *end, bool star, uint32_t *n)
{
	const char *start = s;
	uint64_t v = 0;

	if (star && s < end && *s == '*') {
		*n = UINT32_MAX;
		return s + 1;
	}
	while (s < end && *s >= '0' && *s <= '9')
		s++;
	if (!to_number(start, (size_t)(s - start), &v) || v == 0 || v > UINT32_MAX)
		return NULL;
	*n = (uint32_t)v;
	return s;
}

bool imap_parse_set(struct imap_parse *p, const char *s, size_t len, bool star,
                    struct imap_set *set)
{
	const char *end = s + len;
	struct imap_set got = { 0 };

	for (;;) {
		uint32_t a = 0, b;
		struct imap_range *r;

		s = take_member(s, end, star, &a);
		b = a;
		if (s != NULL && s < end && *s == ':')
			s = take_member(s + 1, end, star, &b);
		if (s == NULL)
			return false;
		r = imap_parse_grow(p, got.ranges, got.count, sizeof(*r));
		if (r == NULL)
			return false;
		got.ranges = r;
		r[got.count++] = (struct imap_range){ a < b ? a : b, a < b ? b : a };
		if (s == end)
			break;
		if (*s++ != ',')
			return false;
	}
	*set = got;
	return true;
}

void imap_parse_skip(struct imap_parse *p)
{
	size_t depth = 0;

	do {
		if (p->tok.type == IMAP_TOK_OPEN) {
			depth++;
		} else if (p->tok.type == IMAP_TOK_CLOSE) {
			if (depth == 0)
				return;
			depth--;
		} else if (p->tok.type == IMAP_TOK_END) {
			imap_parse_fail(p, ERR_PROTO);
		}
		imap_parse_next(p);
	} while (depth > 0 && p->err == 0);
}

void imap_parse_skip_raw(struct imap_parse *p)
{
	const char *s = p->tok.start;
	size_t depth = 0;

	for (; s < p->lex.end; s++) {
		if (*s == '(') {
			depth++;
		} else if (*s == ')' && (depth == 0 || --depth == 0)) {
			break;
		} else if (*s == '\n') {
			break;
		}
	}
	if (s == p->lex.end || *s == '\n') {
		imap_parse_fail(p, ERR_PROTO);
		return;
	}
	imap_parse_seek(p, s + 1);
}

static bool is_word(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)s[i] <= ' ' || s[i] == 0x7f)
			return false;
	return len > 0;
}

/* Puts the canonical form of the words in `loose`, which it empties, into the response. */
static char *canonical(struct imap_parse *p, struct buf *loose, const char *without)
{
	_cleanup_free_ char *text = buf_detach(loose);
	_cleanup_free_ char *all = wordset_canon(text);
	_cleanup_free_ char *kept = without != NULL ? wordset_minus(all, without) : NULL;
	const char *set = kept != NULL ? kept : all;

	return imap_parse_copy(p, set, strlen(set));
}

/* Takes a value off and, when it is a word, adds it to `loose`. */
static void take_word(struct imap_parse *p, struct buf *loose)
{
	if (imap_parse_is_string(p) && is_word(p->tok.s, p->tok.len) &&
	    (buf_append(loose, p->tok.s, p->tok.len) < 0 || buf_putc(loose, ' ') < 0))
		imap_parse_fail(p, ERR_LIMIT);
	else
		imap_parse_skip(p);
}

char *imap_parse_words(struct imap_parse *p, const char *without)
{
	struct buf loose = BUF_INIT(WORDS_BYTES);

	if (imap_parse_accept(p, "NIL"))
		return imap_parse_copy(p, "", 0);
	if (!imap_parse_accept_type(p, IMAP_TOK_OPEN)) {
		take_word(p, &loose);
		return canonical(p, &loose, without);
	}
	while (p->tok.type != IMAP_TOK_CLOSE && p->tok.type != IMAP_TOK_END)
		take_word(p, &loose);
	if (!imap_parse_accept_type(p, IMAP_TOK_CLOSE))
		imap_parse_fail(p, ERR_PROTO);
	return canonical(p, &loose, without);
}

/* "LITERAL +" with a space inside has been seen. */
char *imap_parse_caps(struct imap_parse *p)
{
	struct buf loose = BUF_INIT(WORDS_BYTES);

	while (p->tok.type != IMAP_TOK_END) {
		if (loose.len > 0 && p->tok.len == 1 && *p->tok.s == '+')
			loose.len--;
		if (p->tok.type == IMAP_TOK_CLOSE)
			imap_parse_next(p);
		else
			take_word(p, &loose);
	}
	for (size_t i = 0; i < loose.len; i++)
		if (loose.data[i] >= 'a' && loose.data[i] <= 'z')
			loose.data[i] = (char)(loose.data[i] - 'a' + 'A');
	return canonical(p, &loose, NULL);
}
