/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "imap_msgmap.h"

static struct imap_msgmap *map_of(const uint32_t *uids, uint32_t count)
{
	struct imap_msgmap *m = imap_msgmap_new();

	assert_true(imap_msgmap_set_exists(m, count));
	for (uint32_t i = 0; i < count; i++)
		imap_msgmap_set(m, i + 1, uids[i]);
	return m;
}

/* R101: an unsolicited EXPUNGE by number removes the right UID */
static void test_expunge_renumbers(void **state)
{
	static const uint32_t uids[] = { 12, 777, 14999, 2147483648u, 4294967295u };
	struct imap_msgmap *m = map_of(uids, 5);

	(void)state;
	assert_int_equal(imap_msgmap_expunge(m, 3), 14999);
	assert_int_equal(imap_msgmap_count(m), 4);
	assert_int_equal(imap_msgmap_uid(m, 3), 2147483648u);
	assert_int_equal(imap_msgmap_expunge(m, 4), 4294967295u);
	assert_int_equal(imap_msgmap_expunge(m, 4), 0);
	assert_int_equal(imap_msgmap_expunge(m, 0), 0);
	assert_int_equal(imap_msgmap_count(m), 3);
	imap_msgmap_free(&m);
	assert_null(m);
	imap_msgmap_free(&m);
}

/* R255: VANISHED without EARLIER decrements the count and renumbers */
static void test_vanish(void **state)
{
	static const uint32_t uids[] = { 1, 0, 5, 0, 0, 9, 11, 0 };
	struct imap_msgmap *m = map_of(uids, 8);

	(void)state;
	assert_false(imap_msgmap_vanish(m, 0));
	assert_false(imap_msgmap_vanish(m, 4));
	assert_false(imap_msgmap_vanish(m, 12));
	assert_true(imap_msgmap_vanish(m, 9));
	assert_int_equal(imap_msgmap_uid(m, 6), 11);
	assert_true(imap_msgmap_vanish(m, 1));
	assert_true(imap_msgmap_vanish(m, 11));
	assert_true(imap_msgmap_vanish(m, 5));
	assert_int_equal(imap_msgmap_count(m), 4);
	imap_msgmap_free(&m);
}

static void test_vanish_finds_every_uid(void **state)
{
	uint32_t seed = 1;

	(void)state;
	for (int round = 0; round < 200; round++) {
		uint32_t uids[40];
		uint32_t n = 1 + round % 40, next = 0;
		struct imap_msgmap *m;

		for (uint32_t i = 0; i < n; i++) {
			seed = seed * 1103515245u + 12345u;
			next += 1 + (seed >> 16) % 5;
			uids[i] = (seed >> 20) % 3 == 0 ? 0 : next;
		}
		m = map_of(uids, n);
		for (uint32_t i = 0; i < n; i++)
			assert_int_equal(imap_msgmap_vanish(m, uids[i]), uids[i] != 0);
		imap_msgmap_free(&m);
	}
}

/* EXISTS that shrinks is no deletion; FETCH beyond EXISTS is ignored */
static void test_exists(void **state)
{
	struct imap_msgmap *m = imap_msgmap_new();

	(void)state;
	assert_true(imap_msgmap_set_exists(m, 0));
	imap_msgmap_set(m, 1, 7);
	assert_int_equal(imap_msgmap_uid(m, 1), 0);
	assert_true(imap_msgmap_set_exists(m, 3));
	imap_msgmap_set(m, 3, 7);
	imap_msgmap_set(m, 4, 8);
	imap_msgmap_set(m, 0, 8);
	assert_false(imap_msgmap_set_exists(m, 2));
	assert_int_equal(imap_msgmap_count(m), 3);
	assert_int_equal(imap_msgmap_uid(m, 3), 7);
	assert_false(imap_msgmap_set_exists(m, 4294967295u));
	assert_true(imap_msgmap_set_exists(m, 200));
	assert_int_equal(imap_msgmap_uid(m, 3), 7);
	assert_int_equal(imap_msgmap_uid(m, 200), 0);
	imap_msgmap_clear(m);
	assert_int_equal(imap_msgmap_count(m), 0);
	assert_true(imap_msgmap_set_exists(m, 3));
	assert_int_equal(imap_msgmap_uid(m, 3), 0);
	imap_msgmap_free(&m);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_expunge_renumbers),
		cmocka_unit_test(test_vanish),
		cmocka_unit_test(test_vanish_finds_every_uid),
		cmocka_unit_test(test_exists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
