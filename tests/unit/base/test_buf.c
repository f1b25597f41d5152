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

static void test_append_and_terminate(void **state)
{
	struct buf b = BUF_INIT(100);

	(void)state;
	assert_null(b.data);
	assert_int_equal(buf_puts(&b, "abc"), 0);
	assert_int_equal(buf_putc(&b, '-'), 0);
	assert_int_equal(buf_printf(&b, "%d%s", 42, "x"), 0);
	assert_int_equal(buf_append(&b, "\0z", 2), 0);
	assert_int_equal(b.len, 9);
	assert_memory_equal(b.data, "abc-42x\0z", 10);
	assert_int_equal(buf_append(&b, NULL, 0), 0);
	assert_int_equal(b.len, 9);
	buf_release(&b);
	assert_null(b.data);
	assert_int_equal(b.max, 100);
}

static void test_ceiling(void **state)
{
	struct buf b;

	(void)state;
	for (size_t max = 0; max < 200; max++) {
		buf_init(&b, max);
		for (size_t i = 0; i < max; i++)
			assert_int_equal(buf_putc(&b, (char)('a' + i % 26)), 0);
		assert_int_equal(b.len, max);
		assert_int_equal(buf_putc(&b, '!'), ERR_LIMIT);
		assert_int_equal(buf_printf(&b, "%s", "!!"), ERR_LIMIT);
		assert_null(buf_reserve(&b, 1));
		assert_int_equal(buf_append(&b, "", SIZE_MAX), ERR_LIMIT);
		assert_int_equal(b.len, max);
		if (max > 0)
			assert_int_equal(b.data[max - 1], 'a' + (max - 1) % 26);
		buf_release(&b);
	}
}

static void test_reserve(void **state)
{
	struct buf b = BUF_INIT(1000);
	char *p;

	(void)state;
	buf_puts(&b, "x");
	p = buf_reserve(&b, 999);
	assert_non_null(p);
	assert_ptr_equal(p, b.data + 1);
	memset(p, 'y', 999);
	b.len += 999;
	assert_int_equal(buf_putc(&b, 'z'), ERR_LIMIT);
	buf_consume(&b, 990);
	assert_string_equal(b.data, "yyyyyyyyyy");
	buf_release(&b);
}

static void test_consume(void **state)
{
	struct buf b = BUF_INIT(100);

	(void)state;
	buf_consume(&b, 0);
	assert_null(b.data);
	buf_puts(&b, "hello world");
	buf_consume(&b, 6);
	assert_string_equal(b.data, "world");
	assert_int_equal(b.len, 5);
	buf_consume(&b, 5);
	assert_int_equal(b.len, 0);
	assert_string_equal(b.data, "");
	buf_puts(&b, "again");
	buf_clear(&b);
	assert_int_equal(b.len, 0);
	assert_string_equal(b.data, "");
	buf_release(&b);
}

static void test_detach(void **state)
{
	struct buf b = BUF_INIT(100);
	char *s;

	(void)state;
	s = buf_detach(&b);
	assert_string_equal(s, "");
	free(s);
	buf_puts(&b, "mine");
	s = buf_detach(&b);
	assert_string_equal(s, "mine");
	free(s);
	assert_null(b.data);
	assert_int_equal(b.len, 0);
	assert_int_equal(b.max, 100);
}

/* Doubling stops at the ceiling and not beyond it. */
static void test_capacity_is_bounded(void **state)
{
	struct buf b = BUF_INIT(100000);

	(void)state;
	for (size_t i = 0; i < 100000; i++)
		assert_int_equal(buf_putc(&b, 'a'), 0);
	assert_true(b.cap <= 100001);
	buf_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_append_and_terminate),
		cmocka_unit_test(test_ceiling),
		cmocka_unit_test(test_reserve),
		cmocka_unit_test(test_consume),
		cmocka_unit_test(test_detach),
		cmocka_unit_test(test_capacity_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
