/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "buf.h"
#include "err.h"
#include "imap_parse_priv.h"
#include "imap_text.h"

static void fetch_uid(struct imap_parse *p, struct imap_fetch *f)
{
	if (!imap_parse_number32(p, &f->uid))
		imap_parse_fail(p, ERR_PROTO);
}

static void fetch_flags(struct imap_parse *p, struct imap_fetch *f)
{
	f->flags = imap_parse_words(p, "\\Recent");
	f->has_flags = p->err == 0;
}

/* A size in exponential form has been seen: it is a hint all the same. */
static bool take_float(struct imap_parse *p, uint64_t *n)
{
	char text[32];
	char *end = NULL;
	double d;

	if (p->tok.type != IMAP_TOK_ATOM || p->tok.len >= sizeof(text))
		return false;
	memcpy(text, p->tok.s, p->tok.len);
	text[p->tok.len] = '\0';
	if (text[strspn(text, "0123456789.eE+")] != '\0')
		return false;
	d = strtod(text, &end);
	if (end == text || *end != '\0' || !(d >= 0 && d < 9e18))
		return false;
	*n = (uint64_t)d;
	imap_parse_next(p);
	return true;
}

static void fetch_size(struct imap_parse *p, struct imap_fetch *f)
{
	uint64_t n = 0;

	if (!imap_parse_number(p, &n) && !take_float(p, &n)) {
		imap_parse_skip(p);
		return;
	}
	f->has_size = n <= INT64_MAX;
	f->size = f->has_size ? n : 0;
}

static void fetch_date(struct imap_parse *p, struct imap_fetch *f)
{
	f->has_date = imap_parse_is_string(p) &&
	              imap_date_parse(p->tok.s, p->tok.len, &f->date, &f->date_zone_min) == 0;
	imap_parse_skip(p);
}

/* 0 and -1 have been seen where there is none. */
static void fetch_modseq(struct imap_parse *p, struct imap_fetch *f)
{
	bool list = imap_parse_accept_type(p, IMAP_TOK_OPEN);

	if (!imap_parse_number(p, &f->modseq))
		imap_parse_skip(p);
	f->has_modseq = f->modseq != 0;
	while (list && p->tok.type != IMAP_TOK_CLOSE && p->tok.type != IMAP_TOK_END)
		imap_parse_skip(p);
	if (list)
		imap_parse_accept_type(p, IMAP_TOK_CLOSE);
}

/* Leaves a value that was not understood, or is over a limit, behind, first by its syntax, then, when its quotes
 * do not pair, by its parentheses. */
static void skip_odd(struct imap_parse *p, const struct imap_mark *m)
{
	imap_parse_rewind(p, m);
	imap_parse_skip(p);
	if (p->err != ERR_PROTO)
		return;
	imap_parse_rewind(p, m);
	imap_parse_skip_raw(p);
}

static void fetch_envelope(struct imap_parse *p, struct imap_fetch *f)
{
	struct imap_mark m = imap_parse_mark(p);

	f->envelope = imap_parse_envelope(p);
	f->has_envelope = f->envelope != NULL && p->err == 0;
	if (f->has_envelope)
		return;
	f->envelope = NULL;
	skip_odd(p, &m);
}

static void fetch_structure(struct imap_parse *p, struct imap_fetch *f)
{
	struct imap_mark m = imap_parse_mark(p);

	f->structure = imap_parse_structure(p);
	f->has_structure = f->structure != NULL && p->err == 0;
	if (f->has_structure)
		return;
	f->structure = NULL;
	skip_odd(p, &m);
}

static void fetch_emailid(struct imap_parse *p, struct imap_fetch *f)
{
	f->emailid = imap_parse_id(p);
}

static void fetch_threadid(struct imap_parse *p, struct imap_fetch *f)
{
	f->threadid = imap_parse_id(p);
}

static void fetch_gm_msgid(struct imap_parse *p, struct imap_fetch *f)
{
	char *id = imap_parse_id(p);

	if (f->emailid == NULL)
		f->emailid = id;
}

static void fetch_gm_thrid(struct imap_parse *p, struct imap_fetch *f)
{
	char *id = imap_parse_id(p);

	if (f->threadid == NULL)
		f->threadid = id;
}

static void fetch_gm_labels(struct imap_parse *p, struct imap_fetch *f)
{
	struct buf lines = BUF_INIT(p->lim->line_bytes);
	const char *gap = "";

	if (imap_parse_accept(p, "NIL") || !imap_parse_accept_type(p, IMAP_TOK_OPEN))
		return;
	while (imap_parse_is_string(p)) {
		char *label = imap_parse_nstring(p);

		if (label == NULL)
			continue;
		if (buf_puts(&lines, gap) < 0 || buf_puts(&lines, label) < 0)
			imap_parse_fail(p, ERR_LIMIT);
		gap = "\n";
	}
	if (!imap_parse_accept_type(p, IMAP_TOK_CLOSE))
		imap_parse_fail(p, ERR_PROTO);
	f->labels = imap_parse_copy(p, lines.data != NULL ? lines.data : "", lines.len);
	buf_release(&lines);
}

/* The value of a body item; one that is missing (Yandex) is NIL. */
static void take_body(struct imap_parse *p, struct imap_fetch *f, const struct imap_body *head)
{
	struct imap_body *b = imap_parse_grow(p, f->bodies, f->body_count, sizeof(*b));

	if (b == NULL)
		return;
	f->bodies = b;
	b += f->body_count++;
	*b = *head;
	if (p->tok.type == IMAP_TOK_CLOSE || imap_parse_accept(p, "NIL")) {
		b->nil = true;
	} else if (p->tok.skipped) {
		b->truncated = true;
		imap_parse_next(p);
	} else {
		b->data = imap_parse_string(p, &b->len);
	}
	if (b->data == NULL)
		b->data = "";
}

static void fetch_rfc822(struct imap_parse *p, struct imap_fetch *f)
{
	take_body(p, f, &(struct imap_body){ .section = imap_parse_copy(p, "", 0) });
}

static void fetch_rfc822_header(struct imap_parse *p, struct imap_fetch *f)
{
	take_body(p, f, &(struct imap_body){ .section = imap_parse_copy(p, "HEADER", 6) });
}

static void fetch_rfc822_text(struct imap_parse *p, struct imap_fetch *f)
{
	take_body(p, f, &(struct imap_body){ .section = imap_parse_copy(p, "TEXT", 4) });
}

/* The bracket that ends a section; header names in it may be quoted. */
static const char *section_end(const char *s, const char *end)
{
	bool quoted = false;

	for (; s < end && *s != '\n'; s++) {
		if (*s == '"')
			quoted = !quoted;
		else if (*s == ']' && !quoted)
			return s;
	}
	return NULL;
}

static const char *take_origin(const char *s, const char *end, struct imap_body *b)
{
	const char *p = s + 1;
	uint64_t n = 0;

	if (s == end || *s != '<')
		return s;
	for (; p < end && *p >= '0' && *p <= '9' && n < (uint64_t)1 << 59; p++)
		n = n * 10 + (uint64_t)(*p - '0');
	if (p == s + 1 || p == end || *p != '>')
		return NULL;
	b->has_origin = true;
	b->origin = n;
	return p + 1;
}

/* "BODY[section]<origin>", the current token beginning with the name.  `keep`: its value is
 * a body; else it is dropped. */
static void fetch_section(struct imap_parse *p, struct imap_fetch *f, bool keep)
{
	const char *open = memchr(p->tok.s, '[', p->tok.len);
	const char *close = section_end(open + 1, p->lex.end), *next;
	struct imap_body head = { 0 };

	if (close == NULL) {
		imap_parse_fail(p, ERR_PROTO);
		return;
	}
	next = take_origin(close + 1, p->lex.end, &head);
	if (next == NULL) {
		imap_parse_fail(p, ERR_PROTO);
		return;
	}
	imap_parse_seek(p, next);
	if (!keep) {
		if (p->tok.type != IMAP_TOK_CLOSE)
			imap_parse_skip(p);
		return;
	}
	head.section = imap_parse_copy(p, open + 1, (size_t)(close - open - 1));
	if (head.section != NULL)
		take_body(p, f, &head);
}

static bool begins_with(const struct imap_tok *tok, const char *word)
{
	size_t n = strlen(word);

	return tok->len >= n && strncasecmp(tok->s, word, n) == 0;
}

static const struct {
	const char *word;
	void (*parse)(struct imap_parse *p, struct imap_fetch *f);
} fetch_items[] = {
	{ "UID", fetch_uid },
	{ "FLAGS", fetch_flags },
	{ "MODSEQ", fetch_modseq },
	{ "RFC822.SIZE", fetch_size },
	{ "INTERNALDATE", fetch_date },
	{ "ENVELOPE", fetch_envelope },
	{ "BODYSTRUCTURE", fetch_structure },
	{ "BODY", fetch_structure },
	{ "EMAILID", fetch_emailid },
	{ "THREADID", fetch_threadid },
	{ "X-GM-MSGID", fetch_gm_msgid },
	{ "X-GM-THRID", fetch_gm_thrid },
	{ "X-GM-LABELS", fetch_gm_labels },
	{ "RFC822", fetch_rfc822 },
	{ "RFC822.HEADER", fetch_rfc822_header },
	{ "RFC822.TEXT", fetch_rfc822_text },
};

static void fetch_item(struct imap_parse *p, struct imap_fetch *f)
{
	for (size_t i = 0; i < sizeof(fetch_items) / sizeof(fetch_items[0]); i++) {
		if (imap_parse_accept(p, fetch_items[i].word)) {
			fetch_items[i].parse(p, f);
			return;
		}
	}
	if (memchr(p->tok.s, '[', p->tok.len) != NULL) {
		fetch_section(p, f,
		              begins_with(&p->tok, "BODY[") || begins_with(&p->tok, "BODY.PEEK[") ||
		                      begins_with(&p->tok, "BINARY[") ||
		                      begins_with(&p->tok, "BINARY.PEEK["));
		return;
	}
	imap_parse_next(p);
	imap_parse_skip(p);
}

/* Items come in any order.  One pair of parentheses too many (Domino) does no harm. */
void imap_parse_fetch(struct imap_parse *p)
{
	struct imap_fetch *f = imap_parse_alloc(p, sizeof(*f));
	size_t depth = 0;

	p->out->fetch = f;
	if (f == NULL)
		return;
	while (imap_parse_accept_type(p, IMAP_TOK_OPEN))
		depth++;
	if (depth == 0)
		imap_parse_fail(p, ERR_PROTO);
	while (p->tok.type == IMAP_TOK_ATOM)
		fetch_item(p, f);
	while (depth > 0 && imap_parse_accept_type(p, IMAP_TOK_CLOSE))
		depth--;
	if (depth > 0 || p->tok.type != IMAP_TOK_END)
		imap_parse_fail(p, ERR_PROTO);
}
