/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clock.h"
#include "err.h"
#include "log.h"
#include "mem.h"

#define LAST_ERR ERR_ACCESS

static void test_err_texts(void **state)
{
	(void)state;
	for (int a = 0; a >= LAST_ERR; a--) {
		assert_string_not_equal(err_text(a), "unknown error");
		for (int b = a - 1; b >= LAST_ERR; b--)
			assert_string_not_equal(err_text(a), err_text(b));
	}
	assert_string_equal(err_text(LAST_ERR - 1), "unknown error");
	assert_string_equal(err_text(INT_MIN), "unknown error");
	assert_string_equal(err_text(7), "success");
}

static void test_err_final(void **state)
{
	static const int keep[] = { 0,           1,           ERR_IO,       ERR_PROTO,
		                    ERR_OFFLINE, ERR_AUTH,    ERR_CONFLICT, ERR_TIMEOUT,
		                    ERR_TLS,     ERR_NOSPACE, ERR_BUSY,     ERR_CANCELED,
		                    ERR_LOCKED,  ERR_BLOCKED, -999,         INT_MIN };
	static const int stop[] = { ERR_NOTFOUND, ERR_EXISTS, ERR_PERM,    ERR_QUOTA,
		                    ERR_REFUSED,  ERR_INVAL,  ERR_TOOBIG,  ERR_NOTEMPTY,
		                    ERR_READONLY, ERR_LIMIT,  ERR_VERSION, ERR_ACCESS };

	(void)state;
	for (size_t i = 0; i < sizeof(keep) / sizeof(keep[0]); i++)
		assert_false(err_is_final(keep[i]));
	for (size_t i = 0; i < sizeof(stop) / sizeof(stop[0]); i++)
		assert_true(err_is_final(stop[i]));
}

static void test_err_set(void **state)
{
	struct err_reason why;
	char big[600];

	(void)state;
	assert_int_equal(err_set(NULL, ERR_TLS, "x"), ERR_TLS);
	assert_int_equal(err_set(&why, ERR_TLS, "bad %s\r\n\x7f.", "host\t1"), ERR_TLS);
	assert_string_equal(why.text, "bad host?1???.");
	memset(big, 'a', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	err_set(&why, ERR_IO, "%s", big);
	assert_int_equal(strlen(why.text), ERR_REASON_MAX - 1);
}

/* A reason cut short holds no half character. */
static void test_err_set_utf8(void **state)
{
	struct err_reason why;
	char text[400];

	(void)state;
	for (size_t pad = ERR_REASON_MAX - 6; pad < ERR_REASON_MAX; pad++) {
		memset(text, 'a', pad);
		strcpy(text + pad, "\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac");
		err_set(&why, ERR_IO, "%s", text);
		assert_int_equal((strlen(why.text) - pad) % 3, 0);
	}
}

static char last_line[2000];
static int lines;

static void keep_line(void *ctx, enum log_level level, const char *line)
{
	assert_ptr_equal(ctx, &lines);
	lines++;
	strcpy(last_line, line);
	log_error("from within the sink, level %d", (int)level);
	errno = EPERM;
}

static void test_log(void **state)
{
	char big[3000];

	(void)state;
	log_set_sink(keep_line, &lines, LOG_LEVEL_INFO);
	assert_true(log_enabled(LOG_LEVEL_INFO));
	assert_false(log_enabled(LOG_LEVEL_DEBUG));
	errno = EINTR;
	log_warn("peer said %s", "a\nb\x1b[31m");
	assert_int_equal(errno, EINTR);
	assert_string_equal(last_line, "peer said a?b?[31m");
	assert_int_equal(lines, 1);
	log_debug("unseen");
	assert_int_equal(lines, 1);
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	log_info("%s", big);
	assert_int_equal(lines, 2);
	assert_int_equal(strlen(last_line), 1000);
	log_set_sink(NULL, NULL, LOG_LEVEL_ERROR);
	assert_false(log_enabled(LOG_LEVEL_WARN));
	log_error("one line on stderr");
	assert_int_equal(lines, 2);
}

static void test_clock(void **state)
{
	int64_t a = clock_mono_ms(), b = clock_mono_ms();

	(void)state;
	assert_true(b >= a);
	assert_true(clock_boot_ms() >= a);
	assert_true(clock_wall_ns() > INT64_C(1600000000) * 1000000000);
	assert_int_equal(clock_left_ms(a - 1), 0);
	assert_int_equal(clock_left_ms(INT64_MIN), 0);
	assert_int_equal(clock_left_ms(INT64_MAX), INT_MAX);
	assert_in_range(clock_left_ms(clock_mono_ms() + 100000), 1, 100000);
}

static void test_mem(void **state)
{
	_cleanup_free_ char *taken = mem_printf("%d-%s", 7, "x");
	_cleanup_free_ char *cut = mem_strndup("abcdef", 3);
	_cleanup_free_ char *copy = mem_strdup("abc");
	_cleanup_free_ int *zero = mem_alloc(4 * sizeof(int));
	_cleanup_free_ void *none = mem_alloc(0);
	char *mine;

	(void)state;
	assert_non_null(none);
	assert_string_equal(taken, "7-x");
	assert_string_equal(cut, copy);
	assert_null(mem_strdup(NULL));
	assert_null(mem_strndup(NULL, 3));
	for (int i = 0; i < 4; i++)
		assert_int_equal(zero[i], 0);
	zero = mem_realloc(zero, 8, sizeof(int));
	zero[7] = 1;
	mine = mem_steal(taken);
	assert_null(taken);
	mem_wipe(mine, 3);
	assert_memory_equal(mine, "\0\0\0", 3);
	free(mine);
	mem_wipe(NULL, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_err_texts), cmocka_unit_test(test_err_final),
		cmocka_unit_test(test_err_set),   cmocka_unit_test(test_err_set_utf8),
		cmocka_unit_test(test_log),       cmocka_unit_test(test_clock),
		cmocka_unit_test(test_mem),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
