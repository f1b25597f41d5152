/* SPDX-License-Identifier: MIT */
/* What a server may not do for ever, or without end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "buf.h"
#include "err.h"
#include "imap_arena_priv.h"
#include "imap_session_priv.h"
#include "session_test.h"
#include "text.h"

/* A NOOP to a server that follows `steps`, which ends with `err` and the session. */
static void noop_ends(const char *const *steps, int timeout_ms, int err)
{
	struct scripted *server = scripted_start(steps, 0, NULL);
	struct imap_session *s = session_open(server);
	struct ended e;

	s->timeout_ms = timeout_ms; /* not for the sign-in, which a busy machine may delay */
	session_send(s, "NOOP", &e);
	assert_int_equal(imap_session_run(s, 0), err);
	assert_int_equal(imap_session_state(s), IMAP_STATE_CLOSED);
	assert_true(e.rank > 0 && !e.answered);
	imap_session_close(&s);
	scripted_abandon(&server);
}

/* R309: always something, never the answer.  Twenty times the silence that is borne. */
static void test_drip(void **state)
{
	static const char *const steps[] = { SIGN_IN(CAPS), "C A2 NOOP", "W * OK still here",
		                             NULL };

	(void)state;
	noop_ends(steps, 100, ERR_TIMEOUT);
}

/* Replies to nothing: a few do no harm, without end they do. */
static void test_strays(void **state)
{
	static const char *const few[] = { SIGN_IN(CAPS),
		                           "C A2 NOOP",
		                           "S Z1 OK what",
		                           "S A99 NO that",
		                           "S A2 OK done",
		                           "S A2 OK again",
		                           "C A3 NOOP",
		                           "S A3 OK",
		                           "C A4 LOGOUT",
		                           "S A4 OK",
		                           "E",
		                           NULL };
	const char *many[] = { SIGN_IN(CAPS), "C A2 NOOP", NULL, "N 100", NULL };
	struct buf text = BUF_INIT(1 << 20);
	struct scripted *server = scripted_start(few, 0, NULL);
	struct imap_session *s = session_open(server);

	(void)state;
	assert_int_equal(session_do(s, "NOOP"), 0);
	assert_int_equal(session_do(s, "NOOP"), 0);
	imap_session_close(&s);
	scripted_finish(&server);
	for (int i = 0; i < 1100; i++)
		assert_int_equal(buf_puts(&text, i == 0 ? "S Z1 OK" : "\r\nZ1 OK"), 0);
	many[4] = text.data;
	noop_ends(many, 5000, ERR_PROTO);
	buf_release(&text);
}

/* A literal that nobody could wait for ends the session before it comes. */
static void test_endless_literal(void **state)
{
	static const char *const steps[] = { SIGN_IN(CAPS), "C A2 NOOP",
		                             "S * 1 FETCH (BODY[] {9000000000000000000}", "N 100",
		                             NULL };
	struct imap_framer f;
	static const char large[] = "* X {68719476736}\r\n", larger[] = "* X {68719476737}\r\n";
	size_t len = 0;

	(void)state;
	noop_ends(steps, 5000, ERR_LIMIT);
	imap_framer_init(&f, &imap_limits_default);
	assert_int_equal(imap_framer_scan(&f, large, sizeof(large) - 1, &len), 0);
	assert_true(f.skip == UINT64_C(68719476736));
	imap_framer_init(&f, &imap_limits_default);
	assert_int_equal(imap_framer_scan(&f, larger, sizeof(larger) - 1, &len), ERR_LIMIT);
}

/* What is made of a line is bounded, however little each of its items takes there. */
static void test_parsed_bytes(void **state)
{
	static const struct {
		const char *head, *item, *tail;
		size_t count;
		int r;
	} rows[] = {
		{ "* 1 FETCH (", "BODY[] NIL ", "UID 1)\r\n", 1200000, ERR_LIMIT },
		{ "* 1 FETCH (FLAGS (", "a ", "))\r\n", 20000, 0 },
		{ "* 1 FETCH (FLAGS (", "a ", "))\r\n", 40000, ERR_LIMIT },
		{ "* CAPABILITY", " X", "\r\n", 40000, ERR_LIMIT },
		{ "* SEARCH", " 1", "\r\n", 2000000, 0 },
		{ "* VANISHED 1", ",3", "\r\n", 2000000, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf text = BUF_INIT(64 << 20);
		struct imap_resp r = { 0 };

		assert_int_equal(buf_puts(&text, rows[i].head), 0);
		for (size_t k = 0; k < rows[i].count; k++)
			assert_int_equal(buf_puts(&text, rows[i].item), 0);
		assert_int_equal(buf_puts(&text, rows[i].tail), 0);
		assert_int_equal(imap_resp_parse(text.data, text.len, &imap_limits_default, &r),
		                 rows[i].r);
		if (rows[i].r == 0)
			imap_resp_release(&r);
		buf_release(&text);
	}
}

static void test_arena(void **state)
{
	struct imap_arena *a = imap_arena_new(100000);

	(void)state;
	assert_non_null(imap_arena_alloc(a, 60000));
	assert_null(imap_arena_alloc(a, 60000));
	assert_non_null(imap_arena_alloc(a, 500));
	assert_non_null(imap_arena_alloc(a, 30000));
	assert_null(imap_arena_alloc(a, SIZE_MAX));
	imap_arena_free(a);
	a = imap_arena_new(0);
	assert_non_null(imap_arena_alloc(a, 500)); /* comes with it */
	assert_null(imap_arena_alloc(a, 5000));
	imap_arena_free(a);
}

/* What people read of a server's words. */
static void test_clean_text(void **state)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
		{ "plain \xc3\xa9 \xf0\x9f\x90\x80", "plain \xc3\xa9 \xf0\x9f\x90\x80" },
		{ "\x1b[2J\x07\x7f\t", "?[2J???" },
		{ "\xc2\x9b"
		  "31m\xc2\x80\xc2\xa0",
		  "??31m??\xc2\xa0" },
		{ "\xff\xc3", "??" },
		{ "\xed\xa0\x80 \xc0\xaf \xf8\x88\x80\x80", "??? ?? ????" },
		{ "\xf4\x90\x80\x80\xe2\x82", "??????" },
		{ "", "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *s = strdup(rows[i].in);

		text_clean(s);
		assert_string_equal(s, rows[i].out);
		free(s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_drip),
		cmocka_unit_test(test_strays),
		cmocka_unit_test(test_endless_literal),
		cmocka_unit_test(test_parsed_bytes),
		cmocka_unit_test(test_arena),
		cmocka_unit_test(test_clean_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
