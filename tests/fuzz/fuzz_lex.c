/* SPDX-License-Identifier: MIT */
/*
 * The lexer alone.  Every token lies within the text and behind the one before; a text that ends
 * in the middle gives the same tokens as far as it goes, then a wish for more.
 */
#include "fuzz.h"
#include "imap_lex_priv.h"

enum { TOKENS_MAX = 200 };

struct tokens {
	struct imap_tok list[TOKENS_MAX];
	size_t count;
	int end;
};

static void take(const char *text, size_t len, const struct imap_limits *lim, bool whole,
                 struct tokens *out)
{
	const char *before = text;
	struct imap_lex lx;

	imap_lex_init(&lx, text, len, lim, whole);
	for (out->count = 0; out->count < TOKENS_MAX; out->count++) {
		struct imap_tok *tok = &out->list[out->count];

		*tok = (struct imap_tok){ .len = 77 };
		out->end = imap_lex_next(&lx, tok);
		if (out->end <= 0) {
			must(tok->len == 77 && lx.p == before);
			return;
		}
		must(tok->start >= before && tok->s >= tok->start && tok->s + tok->len <= lx.p);
		must(lx.p <= text + len && lx.p >= before);
		before = lx.p;
		if (tok->type == IMAP_TOK_END && lx.p == text + len)
			return;
	}
}

static void same(const struct tokens *part, const char *cut, const struct tokens *all,
                 const char *text)
{
	must(part->count <= all->count);
	for (size_t i = 0; i < part->count; i++) {
		const struct imap_tok *a = &part->list[i], *b = &all->list[i];

		must(a->type == b->type && a->len == b->len && a->s - cut == b->s - text);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct imap_limits lim = { .line_bytes = 1000,
		                         .literal_bytes = 40,
		                         .response_bytes = 80,
		                         .depth = 8,
		                         .items = 50 };
	static struct tokens all, part;
	size_t at;
	char *text, *cut;

	if (size < 1)
		return 0;
	at = (size - 1) * data[0] / 256;
	text = fuzz_string(data + 1, size - 1);
	take(text, size - 1, &lim, true, &all);
	take(text, size - 1, &lim, false, &part);
	same(&part, text, &all, text);
	cut = malloc(at > 0 ? at : 1);
	must(cut != NULL);
	memcpy(cut, text, at);
	take(cut, at, &lim, false, &part);
	same(&part, cut, &all, text);
	free(cut);
	free(text);
	return 0;
}
