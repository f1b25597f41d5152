/* SPDX-License-Identifier: MIT */
#include "cli_queue.h"
#include "cli_test.h"
#include "mem.h"
#include "store_mailbox.h"

static struct store *open_store(void **state)
{
	_cleanup_free_ char *state_dir = mem_printf("%s/state", (const char *)*state);
	_cleanup_free_ char *cache_dir = mem_printf("%s/cache", (const char *)*state);
	struct err_reason why = { "" };
	struct store *s = NULL;

	(void)mkdir(state_dir, 0700);
	(void)mkdir(cache_dir, 0700);
	assert_int_equal(store_open(state_dir, cache_dir, &s, &why), 0);
	return s;
}

static size_t count_lines(const char *text)
{
	size_t n = 0;

	for (; *text != '\0'; text++)
		n += *text == '\n';
	return n;
}

/* R322: each line says what, where, how old and why not. */
static void test_lines(void **state)
{
	char path[] = "INBOX/a\tb.eml", other[] = "Sent", reason[] = "over quota";
	struct cli_action list[] = {
		{ .seq = 12,
		  .kind = STORE_OP_APPEND,
		  .state = STORE_OP_PARKED,
		  .path = path,
		  .created_ms = 1000,
		  .tries = 3,
		  .err = ERR_QUOTA,
		  .error = reason },
		{ .seq = 13,
		  .kind = STORE_OP_CREATE,
		  .state = STORE_OP_QUEUED,
		  .path = other,
		  .created_ms = 200000 },
		{ .seq = 14,
		  .kind = STORE_OP_MOVE,
		  .state = STORE_OP_PARKED,
		  .path = other,
		  .created_ms = 900000,
		  .err = ERR_BLOCKED },
	};
	struct buf out = BUF_INIT(4096);

	(void)state;
	assert_int_equal(cli_queue_text(list, 3, 301000, &out), 0);
	assert_string_equal(out.data,
	                    "12\tupload\tINBOX/a?b.eml\t5m\t3\tparked\tover quota\n"
	                    "13\tmkdir\tSent\t101s\t0\tqueued\t\n"
	                    "14\tmove\tSent\t0s\t0\tparked\twaits for an action that failed\n");
	buf_release(&out);
	for (size_t max = 0; max < 120; max++) { /* cut: whole lines, and it is said */
		struct buf cut = BUF_INIT(max);
		int r = cli_queue_text(list, 3, 301000, &cut);

		assert_true(r == 0 || r == ERR_LIMIT);
		assert_true(cut.len == 0 || cut.data[cut.len - 1] == '\n');
		assert_true(r == 0 || cut.data == NULL || count_lines(cut.data) < 3);
		buf_release(&cut);
	}
}

static void test_ages(void **state)
{
	static const struct {
		int64_t ms;
		const char *text;
	} rows[] = {
		{ -5000, "0s" },     { 0, "0s" },       { 119000, "119s" },   { 120000, "2m" },
		{ 7199000, "119m" }, { 7200000, "2h" }, { 172799000, "47h" }, { 172800000, "2d" },
	};
	char out[32];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		cli_age_text(rows[i].ms, out, sizeof(out));
		assert_string_equal(out, rows[i].text);
	}
}

static void test_words(void **state)
{
	(void)state;
	for (int kind = STORE_OP_APPEND; kind <= STORE_OP_LABELS; kind++)
		assert_string_not_equal(cli_kind_word((enum store_op_kind)kind), "?");
	for (int s = STORE_OP_QUEUED; s <= STORE_OP_PARKED; s++)
		assert_string_not_equal(cli_state_word((enum store_op_state)s), "?");
}

/* R323: the log of a real store is listed, a failed action retried, then taken back. */
static void test_choices(void **state)
{
	struct store *s = open_store(state);
	struct err_reason why = { "" };
	struct cli_action *list = NULL;
	size_t count = 0;
	int64_t mailbox;
	struct buf out = BUF_INIT(4096);
	char request[64];

	assert_int_equal(store_mailbox_create(s, STORE_ROOT, "Work", &mailbox), 0);
	assert_int_equal(cli_action_list(s, &list, &count), 0);
	assert_int_equal(count, 1);
	assert_int_equal(list[0].kind, STORE_OP_CREATE);
	assert_string_equal(list[0].path, "Work");
	assert_int_equal(store_op_park(s, list[0].seq, ERR_PERM, "not allowed"), 0);
	(void)snprintf(request, sizeof(request), "retry %lld", (long long)list[0].seq);
	assert_int_equal(cli_queue_change(s, request, &out, &why), 0);
	cli_action_list_free(list, count);

	assert_int_equal(cli_action_list(s, &list, &count), 0);
	assert_int_equal(list[0].state, STORE_OP_QUEUED);
	(void)snprintf(request, sizeof(request), "drop %lld", (long long)list[0].seq);
	cli_action_list_free(list, count);
	assert_int_equal(cli_queue_change(s, request, &out, &why), 0);
	assert_int_equal(cli_action_list(s, &list, &count), 0);
	assert_int_equal(count, 0);
	cli_action_list_free(list, count);
	buf_release(&out);
	store_close(&s);
}

/* R142, R152: a choice shows what it is about and all that waits for it; abort and go. */
static void test_dependents(void **state)
{
	struct store *s = open_store(state);
	struct buf out = BUF_INIT(4096);
	struct err_reason why = { "" };
	int64_t mailbox, below;
	struct cli_action *list = NULL;
	size_t count = 0;
	char request[64];
	long long seq;

	assert_int_equal(store_mailbox_create(s, STORE_ROOT, "Work", &mailbox), 0);
	assert_int_equal(store_mailbox_create(s, mailbox, "Old", &below), 0);
	assert_int_equal(store_mailbox_create(s, STORE_ROOT, "Else", &below), 0);
	assert_int_equal(cli_action_list(s, &list, &count), 0);
	seq = list[0].seq;
	cli_action_list_free(list, count);
	assert_int_equal(store_op_park(s, seq, ERR_PERM, "not allowed"), 0);
	assert_int_equal(cli_action_list(s, &list, &count), 0);
	assert_string_equal(list[1].error, "waits for 1: not allowed");
	cli_action_list_free(list, count);
	(void)snprintf(request, sizeof(request), "show %lld", seq);
	assert_int_equal(cli_queue_change(s, request, &out, &why), 0);
	assert_int_equal(count_lines(out.data), 2);
	assert_non_null(strstr(out.data, "Work/Old"));
	assert_null(strstr(out.data, "Else"));
	buf_clear(&out);
	(void)snprintf(request, sizeof(request), "retry %lld", seq + 1); /* it only waits */
	assert_int_equal(cli_queue_change(s, request, &out, &why), ERR_BLOCKED);
	(void)snprintf(request, sizeof(request), "recreate %lld", seq);
	why.text[0] = '\0';
	assert_int_equal(cli_queue_change(s, request, &out, &why), ERR_INVAL);
	assert_non_null(strstr(why.text, "mailbox"));
	assert_int_equal(out.len, 0);
	assert_int_equal(cli_queue_change(s, "abort", &out, &why), 0);
	assert_int_equal(store_op_stopped(s), 1);
	assert_int_equal(cli_queue_change(s, "go", &out, &why), 0);
	assert_int_equal(store_op_stopped(s), 0);
	buf_release(&out);
	store_close(&s);
}

static void test_refused_requests(void **state)
{
	static const char *const rows[] = {
		"",
		"retry",
		"retry x",
		"retry 0",
		"retry -1",
		"retry 1x",
		"drop 1 2",
		"purge 1",
		"retarget 1",
		"retarget 1 ",
		"retry 99",
		"drop 99",
		"retry 99999999999999999999",
		"retarget 1 No/Such",
		"recreate 99",
		"show 99",
		"show",
		"abort 1",
		"skip 1 x",
	};
	struct store *s = open_store(state);
	struct buf out = BUF_INIT(4096);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err_reason why = { "" };

		if (cli_queue_change(s, rows[i], &out, &why) >= 0 || why.text[0] == '\0')
			fail_msg("\"%s\" was accepted", rows[i]);
	}
	buf_release(&out);
	store_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines), cmocka_unit_test(test_ages),
		cmocka_unit_test(test_words), place_test(test_choices),
		place_test(test_dependents),  place_test(test_refused_requests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
