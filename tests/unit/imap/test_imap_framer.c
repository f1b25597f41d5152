/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "buf.h"
#include "err.h"
#include "mem.h"
#include "resp_dump.h"

/* An over-long literal in a stream of small pieces, with framer and buffer as a session has them: nothing
 * of the skipped literal is ever held. */
static void test_skip_in_stream(void **state)
{
	static const char head[] = "* 1 FETCH (BODY[] {1000000}\r\n",
			  tail[] = " UID 3)\r\n* 5 EXISTS\r\n";
	struct imap_limits lim = imap_limits_default;
	struct buf in = BUF_INIT(2000), stream = BUF_INIT(2000000);
	struct imap_framer f;
	size_t len = 0, seen = 0, most = 0;
	const char *want[] = { "FETCH 1 uid=3 body[]=TRUNCATED", "EXISTS 5" };

	(void)state;
	lim.literal_bytes = 100;
	buf_puts(&stream, head);
	for (int i = 0; i < 1000000; i++)
		buf_putc(&stream, "a\r\n(\""[i % 5]);
	buf_puts(&stream, tail);
	imap_framer_init(&f, &lim);
	for (size_t at = 0; at < stream.len; at += 777) {
		size_t n = stream.len - at < 777 ? stream.len - at : 777;

		assert_int_equal(buf_append(&in, stream.data + at, n), 0);
		most = in.len > most ? in.len : most;
		for (;;) {
			int r;

			in.len = imap_framer_drop(&f, in.data, in.len);
			r = imap_framer_scan(&f, in.data, in.len, &len);
			assert_true(r >= 0);
			if (r == 0 && (f.skip == 0 || in.len == f.scanned))
				break;
			if (r == 1) {
				_cleanup_free_ char *got = resp_parse_dump(in.data, len, &lim);

				assert_true(seen < 2);
				assert_string_equal(got, want[seen++]);
				buf_consume(&in, len);
			}
		}
	}
	assert_int_equal(seen, 2);
	assert_int_equal(in.len, 0);
	assert_true(most < 1600);
	buf_release(&in);
	buf_release(&stream);
}

static void test_framer_limits(void **state)
{
	struct imap_limits lim = imap_limits_default;
	struct imap_framer f;
	size_t len = 77;

	(void)state;
	lim.line_bytes = 20;
	imap_framer_init(&f, &lim);
	assert_int_equal(imap_framer_scan(&f, "* 1 FETCH aaaaaaaaaaa", 21, &len), ERR_LIMIT);
	imap_framer_init(&f, &lim);
	assert_int_equal(imap_framer_scan(&f, "* X {3}\r\nabc {3}\r\nabc {3}\r\n", 27, &len),
	                 ERR_LIMIT);
	assert_int_equal(len, 77);
	imap_framer_init(&f, &lim);
	assert_int_equal(imap_framer_scan(&f, "* X {3}\r\nabc\r\n* Y\r\n", 19, &len), 1);
	assert_int_equal(len, 14);
	assert_int_equal(imap_framer_scan(&f, "* Y\r\n", 5, &len), 1);
	assert_int_equal(len, 5);
}

/* Two responses in one block: the first one's length, then, that consumed, the second's. */
static void test_two_at_once(void **state)
{
	static const char in[] = "* 1 FETCH (BODY[] {9}\r\n* 1 OK\r\n\n)\r\nA1 OK {3}\r\n";
	struct imap_framer f;
	size_t len = 0;

	(void)state;
	imap_framer_init(&f, &imap_limits_default);
	assert_int_equal(imap_framer_scan(&f, in, sizeof(in) - 1, &len), 1);
	assert_int_equal(len, 35);
	assert_int_equal(imap_framer_scan(&f, in + len, sizeof(in) - 1 - len, &len), 1);
	assert_int_equal(len, 11);
}

/* Nothing to drop: nothing is touched. */
static void test_drop_nothing(void **state)
{
	char in[] = "* 1 EXISTS\r\n";
	struct imap_framer f;

	(void)state;
	imap_framer_init(&f, &imap_limits_default);
	assert_int_equal(imap_framer_drop(&f, in, sizeof(in) - 1), sizeof(in) - 1);
	assert_string_equal(in, "* 1 EXISTS\r\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_skip_in_stream),
		cmocka_unit_test(test_framer_limits),
		cmocka_unit_test(test_two_at_once),
		cmocka_unit_test(test_drop_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
