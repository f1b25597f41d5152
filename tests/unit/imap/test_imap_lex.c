/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "err.h"
#include "imap_lex_priv.h"

struct row {
	const char *in;
	int ret;
	enum imap_tok_type type;
	const char *text;
	size_t used;
};

static const struct imap_limits limits = {
	.line_bytes = 100, .literal_bytes = 10, .response_bytes = 12, .depth = 9, .items = 9
};

/* The first token of in[0..n), from a block of exactly that size. */
static int lex_prefix(const char *in, size_t n, bool whole, struct imap_tok *tok, size_t *used,
                      char text[64])
{
	struct imap_lex lx;
	char *block = malloc(n > 0 ? n : 1);
	const char *start = block;
	int r;

	memcpy(block, in, n);
	imap_lex_init(&lx, block, n, &limits, whole);
	r = imap_lex_next(&lx, tok);
	*used = (size_t)(lx.p - start);
	if (r == 1) {
		memcpy(text, tok->s, tok->len);
		text[tok->len] = '\0';
	}
	free(block);
	return r;
}

static const struct row rows[] = {
	{ "abc ", 1, IMAP_TOK_ATOM, "abc", 3 },
	{ "abc(", 1, IMAP_TOK_ATOM, "abc", 3 },
	{ "  abc)", 1, IMAP_TOK_ATOM, "abc", 5 },
	{ "bad]flag\r\n", 1, IMAP_TOK_ATOM, "bad]flag", 8 },
	{ "a\rb\r\n", 1, IMAP_TOK_ATOM, "a\rb", 3 },
	{ "a\"b ", 1, IMAP_TOK_ATOM, "a\"b", 3 },
	{ "BODY[] ", 1, IMAP_TOK_ATOM, "BODY[]", 6 },
	{ "\\* ", 1, IMAP_TOK_ATOM, "\\*", 2 },
	{ "\"\"", 1, IMAP_TOK_QUOTED, "", 2 },
	{ "\"a b\"", 1, IMAP_TOK_QUOTED, "a b", 5 },
	{ "\"a\\\"b\"", 1, IMAP_TOK_QUOTED, "a\\\"b", 6 },
	{ "\"a\\\\\"", 1, IMAP_TOK_QUOTED, "a\\\\", 5 },
	{ "\"a\r\n", ERR_PROTO, IMAP_TOK_END, NULL, 0 },
	{ "\"a\\\n", ERR_PROTO, IMAP_TOK_END, NULL, 0 },
	{ "{3}\r\na)b", 1, IMAP_TOK_LITERAL, "a)b", 8 },
	{ "{3}\nabc", 1, IMAP_TOK_LITERAL, "abc", 7 },
	{ "{3+}\r\nabc", 1, IMAP_TOK_LITERAL, "abc", 9 },
	{ "~{2}\r\nab", 1, IMAP_TOK_LITERAL, "ab", 8 },
	{ "{0}\r\n", 1, IMAP_TOK_LITERAL, "", 5 },
	{ "{11}\r\n", 1, IMAP_TOK_LITERAL, "", 6 },
	{ "{9223372036854775808}\r\n", 1, IMAP_TOK_ATOM, "{9223372036854775808}", 21 },
	{ "{}\r\n", 1, IMAP_TOK_ATOM, "{}", 2 },
	{ "{3}x ", 1, IMAP_TOK_ATOM, "{3}x", 4 },
	{ "~x ", 1, IMAP_TOK_ATOM, "~x", 2 },
	{ "(", 1, IMAP_TOK_OPEN, "(", 1 },
	{ " )", 1, IMAP_TOK_CLOSE, ")", 2 },
	{ "\r\n", 1, IMAP_TOK_END, "", 2 },
	{ " \n", 1, IMAP_TOK_END, "", 2 },
};

/* The text arrives byte by byte: nothing is consumed and nothing told before the token is
 * whole. */
static void test_prefixes(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t len = strlen(rows[i].in);

		for (size_t n = 0; n <= len; n++) {
			struct imap_tok tok = { .len = 77 };
			char text[64];
			size_t used = 0;
			int r = lex_prefix(rows[i].in, n, false, &tok, &used, text);

			assert_true(r == 0 || r == rows[i].ret);
			assert_true(r == 1 || (tok.len == 77 && used == 0));
			if (n < len)
				continue;
			assert_int_equal(r, rows[i].ret);
			if (r != 1)
				continue;
			assert_int_equal(tok.type, rows[i].type);
			assert_string_equal(text, rows[i].text);
			assert_int_equal(used, rows[i].used);
		}
	}
}

/* Where nothing more comes, the text's end ends an atom and the line, and cuts the rest. */
static void test_whole(void **state)
{
	static const struct row whole[] = {
		{ "abc", 1, IMAP_TOK_ATOM, "abc", 3 },
		{ "", 1, IMAP_TOK_END, "", 0 },
		{ "  ", 1, IMAP_TOK_END, "", 2 },
		{ "~", 1, IMAP_TOK_ATOM, "~", 1 },
		{ "{3}", 1, IMAP_TOK_ATOM, "{3}", 3 },
		{ "{3", 1, IMAP_TOK_ATOM, "{3", 2 },
		{ "a\r", 1, IMAP_TOK_ATOM, "a\r", 2 },
		{ "\"abc", ERR_PROTO, IMAP_TOK_END, NULL, 0 },
		{ "\"abc\\", ERR_PROTO, IMAP_TOK_END, NULL, 0 },
		{ "{3}\r\nab", ERR_PROTO, IMAP_TOK_END, NULL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++) {
		struct imap_tok tok = { .len = 77 };
		char text[64];
		size_t used = 0;
		int r = lex_prefix(whole[i].in, strlen(whole[i].in), true, &tok, &used, text);

		assert_int_equal(r, whole[i].ret);
		if (r != 1) {
			assert_int_equal(tok.len, 77);
			continue;
		}
		assert_int_equal(tok.type, whole[i].type);
		assert_string_equal(text, whole[i].text);
		assert_int_equal(used, whole[i].used);
	}
}

/* One literal too long, and one that is too much for all of them together. */
static void test_literal_limits(void **state)
{
	static const char in[] = "{11}\r\n {10}\r\n0123456789 {3}\r\n {2}\r\nab\r\n";
	static const struct {
		size_t len;
		bool skipped;
	} want[] = { { 0, true }, { 10, false }, { 0, true }, { 2, false } };
	struct imap_lex lx;
	struct imap_tok tok;

	(void)state;
	imap_lex_init(&lx, in, sizeof(in) - 1, &limits, true);
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(imap_lex_next(&lx, &tok), 1);
		assert_int_equal(tok.type, IMAP_TOK_LITERAL);
		assert_int_equal(tok.len, want[i].len);
		assert_int_equal(tok.skipped, want[i].skipped);
	}
	assert_int_equal(imap_lex_next(&lx, &tok), 1);
	assert_int_equal(tok.type, IMAP_TOK_END);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_prefixes),
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_literal_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
