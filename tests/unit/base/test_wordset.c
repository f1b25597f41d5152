/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mem.h"
#include "wordset.h"

static void test_canon(void **state)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
		{ NULL, "" },
		{ "", "" },
		{ " \t ", "" },
		{ "a", "a" },
		{ "\\Seen \\Flagged $Work", "$Work \\Flagged \\Seen" },
		{ "  b\ta\r\nc ", "a b c" },
		{ "Seen seen SEEN", "Seen" },
		{ "b B a A", "a b" },
		{ "ab a abc", "a ab abc" },
		{ "_x Zx", "_x Zx" },
		{ "\xc3\xa9 z", "z \xc3\xa9" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		_cleanup_free_ char *once = wordset_canon(rows[i].in);
		_cleanup_free_ char *twice = wordset_canon(once);

		assert_string_equal(once, rows[i].out);
		assert_string_equal(twice, once);
	}
}

static void test_has(void **state)
{
	(void)state;
	assert_true(wordset_has("a b c", "b"));
	assert_true(wordset_has("a B c", "b"));
	assert_false(wordset_has("abc", "b"));
	assert_false(wordset_has("abc", "ab"));
	assert_false(wordset_has("ab", "abc"));
	assert_false(wordset_has(NULL, "a"));
	assert_false(wordset_has("a", ""));
}

static void test_equal(void **state)
{
	(void)state;
	assert_true(wordset_equal("a b", " B  a a"));
	assert_true(wordset_equal(NULL, " "));
	assert_false(wordset_equal("a b", "a"));
	assert_false(wordset_equal("a b", "ab"));
}

static void test_union_minus(void **state)
{
	static const struct {
		const char *a, *b, *sum, *rest;
	} rows[] = {
		{ "a c", "b", "a b c", "a c" }, { "a b c", "B", "a b c", "a c" },
		{ "Seen", "seen", "Seen", "" }, { NULL, "x", "x", "" },
		{ "x", NULL, "x", "x" },        { "e d c b a", "d x b", "a b c d e x", "a c e" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		_cleanup_free_ char *sum = wordset_union(rows[i].a, rows[i].b);
		_cleanup_free_ char *rest = wordset_minus(rows[i].a, rows[i].b);

		assert_string_equal(sum, rows[i].sum);
		assert_string_equal(rest, rows[i].rest);
	}
}

static void test_count_next(void **state)
{
	const char *pos = " one\ttwo  three ";
	const char *s;
	size_t len = 0;

	(void)state;
	assert_int_equal(wordset_count("a b A"), 2);
	assert_int_equal(wordset_count(NULL), 0);
	s = wordset_next(&pos, &len);
	assert_memory_equal(s, "one", 3);
	assert_int_equal(len, 3);
	s = wordset_next(&pos, &len);
	assert_int_equal(len, 3);
	s = wordset_next(&pos, &len);
	assert_memory_equal(s, "three", 5);
	assert_int_equal(len, 5);
	assert_null(wordset_next(&pos, &len));
	assert_int_equal(len, 5);
	pos = NULL;
	assert_null(wordset_next(&pos, &len));
}

/* Membership after a union and a difference agrees with set algebra. */
static void test_algebra(void **state)
{
	(void)state;
	for (unsigned x = 0; x < 32; x++)
		for (unsigned y = 0; y < 32; y++) {
			char a[16] = "", b[16] = "";
			_cleanup_free_ char *sum = NULL;
			_cleanup_free_ char *rest = NULL;

			for (unsigned k = 0; k < 5; k++) {
				char low[] = { (char)('a' + k), ' ', 0 };
				char high[] = { (char)('A' + k), ' ', 0 };

				if (x >> k & 1)
					strcat(a, low);
				if (y >> k & 1)
					strcat(b, high);
			}
			sum = wordset_union(a, b);
			rest = wordset_minus(a, b);
			assert_int_equal(wordset_count(sum), __builtin_popcount(x | y));
			assert_int_equal(wordset_count(rest), __builtin_popcount(x & ~y));
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_canon),      cmocka_unit_test(test_has),
		cmocka_unit_test(test_equal),      cmocka_unit_test(test_union_minus),
		cmocka_unit_test(test_count_next), cmocka_unit_test(test_algebra),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
