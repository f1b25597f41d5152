/* SPDX-License-Identifier: MIT */
#include "imap_lex_priv.h"

#include <string.h>

#include "err.h"

void imap_lex_init(struct imap_lex *lx, const char *text, size_t len, const struct imap_limits *lim,
                   bool whole)
{
	*lx = (struct imap_lex){ .p = text, .end = text + len, .lim = lim, .whole = whole };
}

bool imap_lex_literal_fits(const struct imap_limits *lim, uint64_t n, uint64_t *kept)
{
	if (n > lim->literal_bytes || *kept > lim->response_bytes ||
	    n > lim->response_bytes - *kept)
		return false;
	*kept += n;
	return true;
}

int imap_lex_literal_mark(const char *p, const char *end, const char **data, uint64_t *n)
{
	const char *digits = ++p;
	uint64_t size = 0;

	for (; p < end && *p >= '0' && *p <= '9'; p++) {
		if (size > (INT64_MAX - 9) / 10)
			return -1;
		size = size * 10 + (uint64_t)(*p - '0');
	}
	if (p < end && p == digits)
		return -1;
	if (p < end && *p == '+')
		p++;
	if (p < end && *p++ != '}')
		return -1;
	if (p < end && *p == '\r')
		p++;
	if (p == end)
		return 0;
	if (*p != '\n')
		return -1;
	*data = p + 1;
	*n = size;
	return 1;
}

static int emit(struct imap_lex *lx, struct imap_tok *tok, enum imap_tok_type type, const char *s,
                size_t len, const char *start, const char *next)
{
	*tok = (struct imap_tok){ .type = type, .s = s, .len = len, .start = start };
	lx->p = next;
	return 1;
}

static int need_more(const struct imap_lex *lx)
{
	return lx->whole ? ERR_PROTO : 0;
}

static int lex_quoted(struct imap_lex *lx, struct imap_tok *tok, const char *start)
{
	bool escaped = false;

	for (const char *p = start + 1; p < lx->end && *p != '\n'; p++) {
		if (*p == '\\') {
			escaped = true;
			p++;
			if (p == lx->end || *p == '\n')
				break;
		} else if (*p == '"') {
			emit(lx, tok, IMAP_TOK_QUOTED, start + 1, (size_t)(p - start - 1), start,
			     p + 1);
			tok->escaped = escaped;
			return 1;
		}
	}
	if (memchr(start, '\n', (size_t)(lx->end - start)) != NULL)
		return ERR_PROTO;
	return need_more(lx);
}

/* `brace` is the "{".  As imap_lex_next(), and ERR_NOTFOUND: this is no literal. */
static int lex_literal(struct imap_lex *lx, struct imap_tok *tok, const char *start,
                       const char *brace)
{
	uint64_t n = 0, kept = lx->kept;
	const char *data = NULL;
	int r = imap_lex_literal_mark(brace, lx->end, &data, &n);

	if (r == 0 && !lx->whole)
		return 0;
	if (r <= 0)
		return ERR_NOTFOUND;
	if (!imap_lex_literal_fits(lx->lim, n, &kept)) {
		emit(lx, tok, IMAP_TOK_LITERAL, data, 0, start, data);
		tok->skipped = true;
		return 1;
	}
	if ((uint64_t)(lx->end - data) < n)
		return need_more(lx);
	lx->kept = kept;
	return emit(lx, tok, IMAP_TOK_LITERAL, data, (size_t)n, start, data + n);
}

static bool ends_line(const struct imap_lex *lx, const char *p)
{
	return *p == '\n' || (*p == '\r' && p + 1 < lx->end && p[1] == '\n');
}

static int lex_atom(struct imap_lex *lx, struct imap_tok *tok, const char *start)
{
	const char *p = start;

	while (p < lx->end && *p != ' ' && *p != '(' && *p != ')' && !ends_line(lx, p))
		p++;
	if (p == lx->end && !lx->whole)
		return 0;
	return emit(lx, tok, IMAP_TOK_ATOM, start, (size_t)(p - start), start, p);
}

int imap_lex_next(struct imap_lex *lx, struct imap_tok *tok)
{
	const char *p = lx->p;
	int r;

	while (p < lx->end && *p == ' ')
		p++;
	if (p == lx->end)
		return lx->whole ? emit(lx, tok, IMAP_TOK_END, p, 0, p, p) : 0;
	if (*p == '(')
		return emit(lx, tok, IMAP_TOK_OPEN, p, 1, p, p + 1);
	if (*p == ')')
		return emit(lx, tok, IMAP_TOK_CLOSE, p, 1, p, p + 1);
	if (*p == '"')
		return lex_quoted(lx, tok, p);
	if (ends_line(lx, p))
		return emit(lx, tok, IMAP_TOK_END, p, 0, p, p + (*p == '\r' ? 2 : 1));
	if (*p == '~' && p + 1 == lx->end && !lx->whole)
		return 0;
	if (*p == '{' || (*p == '~' && p + 1 < lx->end && p[1] == '{')) {
		r = lex_literal(lx, tok, p, *p == '~' ? p + 1 : p);
		if (r != ERR_NOTFOUND)
			return r;
	}
	return lex_atom(lx, tok, p);
}
