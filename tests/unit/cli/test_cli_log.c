/* SPDX-License-Identifier: MIT */
#include "cli_log.h"
#include "cli_test.h"
#include "log.h"
#include "mem.h"

static long size_of(void **state, const char *name)
{
	_cleanup_free_ char *path = mem_printf("%s/%s", (const char *)*state, name);
	struct stat st;

	return stat(path, &st) == 0 ? (long)st.st_size : -1;
}

static void test_lines(void **state)
{
	struct err_reason why = { "" };
	struct cli_log *log = NULL;
	char *text;
	size_t len;

	assert_int_equal(cli_log_open(*state, CLI_LOG_MAX_BYTES, false, false, &log, &why), 0);
	log_info("first\nline");
	log_debug("not shown");
	log_error("last");
	assert_int_equal(cli_log_tail(log, &text, &len), 0);
	assert_int_equal(len, strlen(text));
	assert_non_null(strstr(text, " info: first?line\n"));
	assert_non_null(strstr(text, " error: last\n"));
	assert_null(strstr(text, "not shown"));
	free(text);
	cli_log_close(&log);
	assert_null(log);
	cli_log_close(&log);

	/* the next run goes on with the same file */
	assert_int_equal(cli_log_open(*state, CLI_LOG_MAX_BYTES, false, true, &log, &why), 0);
	log_debug("now shown");
	assert_int_equal(cli_log_tail(log, &text, &len), 0);
	assert_non_null(strstr(text, "first"));
	assert_non_null(strstr(text, "now shown"));
	free(text);
	cli_log_close(&log);
}

static void test_rotation(void **state)
{
	struct err_reason why = { "" };
	struct cli_log *log = NULL;
	char *text;
	size_t len;

	assert_int_equal(cli_log_open(*state, 4096, false, false, &log, &why), 0);
	for (int i = 0; i < 1000; i++)
		log_info("line number %d", i);
	assert_in_range(size_of(state, "log"), 1, 4096);
	assert_in_range(size_of(state, "log.1"), 1, 4096);
	assert_int_equal(size_of(state, "log.2"), -1);
	assert_int_equal(cli_log_tail(log, &text, &len), 0);
	assert_non_null(strstr(text, "line number 999\n"));
	free(text);
	cli_log_close(&log);
}

static void test_tail_begins_with_a_line(void **state)
{
	struct err_reason why = { "" };
	struct cli_log *log = NULL;
	char *text;
	size_t len;

	assert_int_equal(cli_log_open(*state, CLI_LOG_MAX_BYTES, false, false, &log, &why), 0);
	for (int i = 0; i < 2000; i++)
		log_info("line number %d", i);
	assert_int_equal(cli_log_tail(log, &text, &len), 0);
	assert_in_range(len, 60000, 65536);
	assert_int_equal(text[0], '2'); /* of the year */
	assert_non_null(strstr(text, "line number 1999\n"));
	free(text);
	cli_log_close(&log);
}

static void test_no_directory(void **state)
{
	_cleanup_free_ char *dir = mem_printf("%s/none", (const char *)*state);
	struct err_reason why = { "" };
	struct cli_log *log = NULL;

	assert_int_equal(cli_log_open(dir, 4096, false, false, &log, &why), ERR_IO);
	assert_null(log);
	assert_non_null(strstr(why.text, "none/log"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		place_test(test_lines),
		place_test(test_rotation),
		place_test(test_tail_begins_with_a_line),
		place_test(test_no_directory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
