/* SPDX-License-Identifier: MIT */
#ifndef IMAP_LEX_PRIV_H
#define IMAP_LEX_PRIV_H

#include "imap_resp.h"

enum imap_tok_type {
	IMAP_TOK_ATOM,    /* any run of bytes up to a space, a parenthesis or the line's end */
	IMAP_TOK_QUOTED,  /* between the quotes, escapes still in it */
	IMAP_TOK_LITERAL, /* the bytes alone */
	IMAP_TOK_OPEN,
	IMAP_TOK_CLOSE,
	IMAP_TOK_END, /* the line's end */
};

/* A token borrows from the text. */
struct imap_tok {
	enum imap_tok_type type;
	const char *s;
	size_t len;
	const char *start; /* where it begins in the text, quote or brace included */
	bool escaped;      /* QUOTED: holds escapes */
	bool skipped;      /* LITERAL: over the limit, its bytes are not in the text */
};

/* A pull lexer over one response.  `whole`: nothing follows `end`, which then ends the last
 * atom and the line. */
struct imap_lex {
	const char *p, *end;
	const struct imap_limits *lim;
	uint64_t kept; /* bytes of the literals so far that were not skipped */
	bool whole;
};

void imap_lex_init(struct imap_lex *lx, const char *text, size_t len, const struct imap_limits *lim,
                   bool whole);

/* The next token, spaces before it dropped: 1; 0: more bytes needed, nothing consumed;
 * ERR_PROTO: a quoted string is cut by the line's end, or a literal by the text's. */
int imap_lex_next(struct imap_lex *lx, struct imap_tok *tok);

/* Reads "{n}" or "{n+}" and the line's end at `p`: 1 with where its bytes start in *data and
 * how many in *n; 0: more bytes needed; -1: this is no literal. */
int imap_lex_literal_mark(const char *p, const char *end, const char **data, uint64_t *n);

/* The one rule, for framer and lexer alike, for which literals stay in the text.  Adds to
 * *kept what stays. */
bool imap_lex_literal_fits(const struct imap_limits *lim, uint64_t n, uint64_t *kept);

#endif
