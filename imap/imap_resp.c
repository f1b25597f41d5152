/* SPDX-License-Identifier: MIT */
#include "imap_resp.h"

#include <string.h>
#include <strings.h>

#include "err.h"
#include "imap_parse_priv.h"

/* What is made of a response's text: short items take many times the room of their text. */
#define PARSED_BYTES ((size_t)64 << 20)

const struct imap_limits imap_limits_default = {
	.line_bytes = 16 << 20,
	.literal_bytes = 8 << 20,
	.response_bytes = 16 << 20,
	.depth = 64,
	.items = 4 << 20,
};

static void parse_capability(struct imap_parse *p)
{
	p->out->kind = IMAP_RESP_CAPABILITY;
	p->out->caps = imap_parse_caps(p);
}

static void parse_enabled(struct imap_parse *p)
{
	p->out->kind = IMAP_RESP_ENABLED;
	p->out->caps = imap_parse_caps(p);
}

static void parse_flags(struct imap_parse *p)
{
	p->out->kind = IMAP_RESP_FLAGS;
	p->out->flags = imap_parse_words(p, NULL);
}

static void parse_id(struct imap_parse *p)
{
	p->out->kind = IMAP_RESP_ID;
}

static void parse_list(struct imap_parse *p)
{
	imap_parse_list(p, false);
}

static void parse_lsub(struct imap_parse *p)
{
	imap_parse_list(p, true);
}

static const struct {
	const char *word;
	void (*parse)(struct imap_parse *p);
} keywords[] = {
	{ "LIST", parse_list },
	{ "STATUS", imap_parse_status },
	{ "VANISHED", imap_parse_vanished },
	{ "SEARCH", imap_parse_search },
	{ "ESEARCH", imap_parse_esearch },
	{ "FLAGS", parse_flags },
	{ "CAPABILITY", parse_capability },
	{ "ENABLED", parse_enabled },
	{ "LSUB", parse_lsub },
	{ "NAMESPACE", imap_parse_namespace },
	{ "QUOTA", imap_parse_quota },
	{ "MYRIGHTS", imap_parse_myrights },
	{ "ID", parse_id },
};

static bool is_cond(const char *text, const char *end)
{
	static const char *const words[] = { "OK", "NO", "BAD", "BYE", "PREAUTH" };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		size_t n = strlen(words[i]);

		if ((size_t)(end - text) >= n && strncasecmp(text, words[i], n) == 0 &&
		    (text + n == end || strchr(" \r\n", text[n]) != NULL))
			return true;
	}
	return false;
}

/* "* 12 EXISTS" and the like; number 0 names no message (some servers send it). */
static void parse_numbered(struct imap_parse *p)
{
	static const struct {
		const char *word;
		enum imap_resp_kind kind;
		bool zero;
	} kinds[] = {
		{ "FETCH", IMAP_RESP_FETCH, false },
		{ "EXISTS", IMAP_RESP_EXISTS, true },
		{ "EXPUNGE", IMAP_RESP_EXPUNGE, false },
		{ "RECENT", IMAP_RESP_RECENT, true },
	};
	uint32_t number = 0;

	if (!imap_parse_number32(p, &number))
		return;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (!imap_parse_is(p, kinds[i].word))
			continue;
		if (number == 0 && !kinds[i].zero)
			return;
		imap_parse_next(p);
		p->out->kind = kinds[i].kind;
		p->out->number = number;
		if (kinds[i].kind == IMAP_RESP_FETCH)
			imap_parse_fetch(p);
		return;
	}
}

static void parse_untagged(struct imap_parse *p, const char *text)
{
	p->out->kind = IMAP_RESP_UNKNOWN;
	if (is_cond(text, p->lex.end) || *text == '[') {
		p->out->kind = IMAP_RESP_COND;
		imap_parse_cond(p, text);
		return;
	}
	imap_parse_seek(p, text);
	if (p->tok.type == IMAP_TOK_ATOM && p->tok.len > 0 && *p->tok.s >= '0' &&
	    *p->tok.s <= '9') {
		parse_numbered(p);
		return;
	}
	for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++) {
		if (imap_parse_accept(p, keywords[i].word)) {
			keywords[i].parse(p);
			return;
		}
	}
}

/* A line that is neither untagged nor "+" has to be a tag and its condition: anything else
 * means that we no longer know where we are in the stream. */
static void parse_tagged(struct imap_parse *p, const char *text)
{
	const char *sp = memchr(text, ' ', (size_t)(p->lex.end - text));

	if (sp == NULL || sp == text || !is_cond(sp + 1, p->lex.end)) {
		imap_parse_fail(p, ERR_PROTO);
		return;
	}
	p->out->kind = IMAP_RESP_TAGGED;
	p->out->tag = imap_parse_copy(p, text, (size_t)(sp - text));
	imap_parse_cond(p, sp + 1);
}

static void parse_continuation(struct imap_parse *p, const char *text)
{
	const char *end = p->lex.end;

	while (end > text && (end[-1] == '\n' || end[-1] == '\r'))
		end--;
	if (text < end && *text == ' ')
		text++;
	p->out->kind = IMAP_RESP_CONT;
	p->out->text = imap_parse_copy(p, text, (size_t)(end - text));
}

static void parse_response(struct imap_parse *p, const char *text, size_t len)
{
	const char *end = text + len;

	if (*text == '+')
		parse_continuation(p, text + 1);
	else if (*text == '\r' || *text == '\n')
		p->out->kind = IMAP_RESP_UNKNOWN;
	else if (*text == '[')
		parse_untagged(p, text);
	else if (*text == '*' && end - text > 2 && text[1] == ' ')
		parse_untagged(p, text + 2);
	else
		parse_tagged(p, text);
}

int imap_resp_parse(const char *text, size_t len, const struct imap_limits *lim,
                    struct imap_resp *out)
{
	struct imap_resp resp = { 0 };
	struct imap_parse p = { .lim = lim, .out = &resp };

	if (len == 0 || text[len - 1] != '\n')
		return ERR_PROTO;
	resp.arena = p.arena = imap_arena_new(lim->response_bytes + PARSED_BYTES);
	if (p.arena == NULL)
		return ERR_LIMIT;
	imap_lex_init(&p.lex, text, len, lim, true);
	parse_response(&p, text, len);
	if (p.err != 0) {
		imap_arena_free(p.arena);
		return p.err;
	}
	*out = resp;
	return 0;
}

void imap_resp_release(struct imap_resp *r)
{
	imap_arena_free(r->arena);
	*r = (struct imap_resp){ 0 };
}
