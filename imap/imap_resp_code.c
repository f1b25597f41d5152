/* SPDX-License-Identifier: MIT */
#include <string.h>
#include <strings.h>

#include "err.h"
#include "imap_parse_priv.h"
#include "text.h"

enum args {
	ARGS_NONE,
	ARGS_NUMBER,
	ARGS_SET,
	ARGS_NUMBER_SET,     /* UIDVALIDITY and UIDs */
	ARGS_NUMBER_SET_SET, /* UIDVALIDITY, UIDs there, UIDs here */
	ARGS_FLAGS,
	ARGS_CAPS,
	ARGS_ID, /* "(text)" */
};

static const struct code {
	const char *word;
	enum imap_code code;
	enum args args;
} codes[] = {
	{ "ALERT", IMAP_CODE_ALERT, ARGS_NONE },
	{ "CAPABILITY", IMAP_CODE_CAPABILITY, ARGS_CAPS },
	{ "PARSE", IMAP_CODE_PARSE, ARGS_NONE },
	{ "PERMANENTFLAGS", IMAP_CODE_PERMANENTFLAGS, ARGS_FLAGS },
	{ "READ-ONLY", IMAP_CODE_READ_ONLY, ARGS_NONE },
	{ "READ-WRITE", IMAP_CODE_READ_WRITE, ARGS_NONE },
	{ "TRYCREATE", IMAP_CODE_TRYCREATE, ARGS_NONE },
	{ "UIDNEXT", IMAP_CODE_UIDNEXT, ARGS_NUMBER },
	{ "UIDVALIDITY", IMAP_CODE_UIDVALIDITY, ARGS_NUMBER },
	{ "UNSEEN", IMAP_CODE_UNSEEN, ARGS_NUMBER },
	{ "HIGHESTMODSEQ", IMAP_CODE_HIGHESTMODSEQ, ARGS_NUMBER },
	{ "NOMODSEQ", IMAP_CODE_NOMODSEQ, ARGS_NONE },
	{ "MODIFIED", IMAP_CODE_MODIFIED, ARGS_SET },
	{ "APPENDUID", IMAP_CODE_APPENDUID, ARGS_NUMBER_SET },
	{ "COPYUID", IMAP_CODE_COPYUID, ARGS_NUMBER_SET_SET },
	{ "UIDNOTSTICKY", IMAP_CODE_UIDNOTSTICKY, ARGS_NONE },
	{ "CLOSED", IMAP_CODE_CLOSED, ARGS_NONE },
	{ "UNAVAILABLE", IMAP_CODE_UNAVAILABLE, ARGS_NONE },
	{ "AUTHENTICATIONFAILED", IMAP_CODE_AUTHENTICATIONFAILED, ARGS_NONE },
	{ "AUTHORIZATIONFAILED", IMAP_CODE_AUTHORIZATIONFAILED, ARGS_NONE },
	{ "EXPIRED", IMAP_CODE_EXPIRED, ARGS_NONE },
	{ "PRIVACYREQUIRED", IMAP_CODE_PRIVACYREQUIRED, ARGS_NONE },
	{ "CONTACTADMIN", IMAP_CODE_CONTACTADMIN, ARGS_NONE },
	{ "NOPERM", IMAP_CODE_NOPERM, ARGS_NONE },
	{ "INUSE", IMAP_CODE_INUSE, ARGS_NONE },
	{ "EXPUNGEISSUED", IMAP_CODE_EXPUNGEISSUED, ARGS_NONE },
	{ "CORRUPTION", IMAP_CODE_CORRUPTION, ARGS_NONE },
	{ "SERVERBUG", IMAP_CODE_SERVERBUG, ARGS_NONE },
	{ "CLIENTBUG", IMAP_CODE_CLIENTBUG, ARGS_NONE },
	{ "CANNOT", IMAP_CODE_CANNOT, ARGS_NONE },
	{ "LIMIT", IMAP_CODE_LIMIT, ARGS_NONE },
	{ "OVERQUOTA", IMAP_CODE_OVERQUOTA, ARGS_NONE },
	{ "ALREADYEXISTS", IMAP_CODE_ALREADYEXISTS, ARGS_NONE },
	{ "NONEXISTENT", IMAP_CODE_NONEXISTENT, ARGS_NONE },
	{ "TOOBIG", IMAP_CODE_TOOBIG, ARGS_NONE },
	{ "MAILBOXID", IMAP_CODE_MAILBOXID, ARGS_ID },
	{ "BADCHARSET", IMAP_CODE_BADCHARSET, ARGS_NONE },
	{ "UNKNOWN-CTE", IMAP_CODE_UNKNOWN_CTE, ARGS_NONE },
};

static bool take_set(struct imap_parse *p, struct imap_set *set)
{
	if (p->tok.type != IMAP_TOK_ATOM || !imap_parse_set(p, p->tok.s, p->tok.len, false, set))
		return false;
	imap_parse_next(p);
	return true;
}

/* False: the arguments are not what the code takes. */
static bool parse_args(struct imap_parse *p, enum args args)
{
	struct imap_resp *out = p->out;

	switch (args) {
	case ARGS_NONE:
		return true;
	case ARGS_NUMBER:
		return imap_parse_number(p, &out->code_number);
	case ARGS_SET:
		return take_set(p, &out->code_set);
	case ARGS_NUMBER_SET:
		return imap_parse_number(p, &out->code_number) && take_set(p, &out->code_set);
	case ARGS_NUMBER_SET_SET:
		return imap_parse_number(p, &out->code_number) && take_set(p, &out->code_set) &&
		       take_set(p, &out->code_set2);
	case ARGS_FLAGS:
		out->code_flags = imap_parse_words(p, NULL);
		return p->err == 0;
	case ARGS_CAPS:
		out->caps = imap_parse_caps(p);
		return p->err == 0;
	case ARGS_ID:
		imap_parse_accept_type(p, IMAP_TOK_OPEN);
		out->code_text = imap_parse_string(p, NULL);
		return p->err == 0;
	}
	return false;
}

static const struct code *find_code(const struct imap_parse *p)
{
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (imap_parse_is(p, codes[i].word))
			return &codes[i];
	return NULL;
}

static void forget_args(struct imap_resp *out)
{
	out->code_number = 0;
	out->code_set = out->code_set2 = (struct imap_set){ 0 };
	out->code_flags = out->caps = NULL;
}

/* Reads the code between the brackets.  One whose arguments are not as they should be is
 * as good as unknown. */
static void parse_code(struct imap_parse *p, const char *start, const char *end)
{
	struct imap_parse sub = *p;
	const struct code *code;
	const char *word, *args;
	size_t word_len;

	imap_lex_init(&sub.lex, start, (size_t)(end - start), p->lim, true);
	imap_parse_next(&sub);
	p->out->code = IMAP_CODE_UNKNOWN;
	code = find_code(&sub);
	word = sub.tok.s;
	word_len = sub.tok.len;
	imap_parse_next(&sub);
	args = sub.tok.start;
	if (code != NULL && parse_args(&sub, code->args)) {
		p->out->code = code->code;
		if (p->out->code_text == NULL)
			p->out->code_text = imap_parse_copy(p, args, (size_t)(end - args));
	} else {
		forget_args(p->out);
		p->out->code_text = imap_parse_copy(p, word, word_len);
	}
	p->items = sub.items;
	if (sub.err == ERR_LIMIT)
		imap_parse_fail(p, ERR_LIMIT);
}

/* The bracket that closes the code.  One inside a list or quotes does not ("bad]flag" has
 * been seen); where those do not pair, the first one has to do.  NULL: none. */
static const char *find_code_end(const char *s, const char *end)
{
	size_t depth = 0;
	bool quoted = false;

	for (const char *p = s; p < end; p++) {
		if (*p == '"')
			quoted = !quoted;
		else if (quoted)
			p += *p == '\\';
		else if (*p == '(')
			depth++;
		else if (*p == ')' && depth > 0)
			depth--;
		else if (*p == ']' && depth == 0)
			return p;
	}
	return memchr(s, ']', (size_t)(end - s));
}

/* Text for a person: nothing in it ends it early, or means anything to a terminal. */
static void set_text(struct imap_parse *p, const char *s, const char *end)
{
	char *text;

	while (s < end && *s == ' ')
		s++;
	text = imap_parse_copy(p, s, (size_t)(end - s));
	for (size_t i = 0; text != NULL && i < (size_t)(end - s); i++)
		if (text[i] == '\0')
			text[i] = '?';
	if (text != NULL)
		text_clean(text);
	p->out->text = text;
}

static const char *take_cond(const char *s, const char *end, enum imap_cond *cond)
{
	static const struct {
		const char *word;
		enum imap_cond cond;
	} conds[] = {
		{ "OK", IMAP_COND_OK },           { "NO", IMAP_COND_NO },
		{ "BAD", IMAP_COND_BAD },         { "BYE", IMAP_COND_BYE },
		{ "PREAUTH", IMAP_COND_PREAUTH },
	};

	for (size_t i = 0; i < sizeof(conds) / sizeof(conds[0]); i++) {
		size_t n = strlen(conds[i].word);

		if ((size_t)(end - s) >= n && strncasecmp(s, conds[i].word, n) == 0) {
			*cond = conds[i].cond;
			return s + n;
		}
	}
	return s;
}

/* "OK [CODE args] text", and a code without its "OK" (Exchange, home.pl): that is one. */
void imap_parse_cond(struct imap_parse *p, const char *text)
{
	const char *end = p->lex.end, *close = NULL;

	if (end > text && end[-1] == '\n')
		end--;
	if (end > text && end[-1] == '\r')
		end--;
	p->out->cond = IMAP_COND_OK;
	text = take_cond(text, end, &p->out->cond);
	while (text < end && *text == ' ')
		text++;
	if (text < end && *text == '[')
		close = find_code_end(text + 1, end);
	if (close != NULL) {
		parse_code(p, text + 1, close);
		text = close + 1;
	}
	if (p->err == 0)
		set_text(p, text, end);
}
