/* SPDX-License-Identifier: MIT */
#include "cli_status.h"
#include "cli_test.h"
#include "json.h"

#define NOW_MS 1764086400000 /* 2025-11-25 16:00 UTC */

static char upload_path[] = "INBOX/a \"b\"\xff.eml", flags_path[] = "Sent/7.eml";
static char reason[] = "over quota\\";

static struct cli_action actions[] = {
	{ .seq = 3,
	  .kind = STORE_OP_FLAGS,
	  .state = STORE_OP_QUEUED,
	  .path = flags_path,
	  .created_ms = NOW_MS - 5000 },
	{ .seq = 4,
	  .kind = STORE_OP_APPEND,
	  .state = STORE_OP_PARKED,
	  .path = upload_path,
	  .created_ms = NOW_MS - 7200000,
	  .tries = 2,
	  .err = ERR_QUOTA,
	  .error = reason },
	{ .seq = 5,
	  .kind = STORE_OP_FLAGS,
	  .state = STORE_OP_SENT,
	  .path = flags_path,
	  .created_ms = NOW_MS },
};

static struct cli_status standing(enum sync_state state)
{
	struct cli_status st = {
		.account = "alice@example.org:993",
		.mountpoint = "/home/user/Mail",
		.pid = 42,
		.now_ms = NOW_MS,
		.sync = { .state = state,
		          .since_ms = NOW_MS - 60000,
		          .last_pass_ms = NOW_MS - 1000 },
	};

	return st;
}

static void test_exit_status(void **state)
{
	struct cli_status st = standing(SYNC_IN_STEP);

	(void)state;
	assert_int_equal(cli_status_step(&st), 0);
	st.open_files = 1; /* written, and on its way to become an action */
	assert_int_equal(cli_status_step(&st), 1);
	st.open_files = 0;
	st.actions = actions;
	st.action_count = 1;
	assert_int_equal(cli_status_step(&st), 1);
	st.action_count = 3;
	assert_int_equal(cli_status_step(&st), 2);
	st.action_count = 0;
	st.sync.state = SYNC_PULLING; /* a pass in between does not flicker */
	assert_int_equal(cli_status_step(&st), 0);
	st.sync.last_pass_ms = 0; /* the first one counts */
	assert_int_equal(cli_status_step(&st), 1);
	st.sync.last_pass_ms = NOW_MS;
	st.sync.state = SYNC_OFFLINE;
	assert_int_equal(cli_status_step(&st), 1);
	st.sync.state = SYNC_PAUSED;
	assert_int_equal(cli_status_step(&st), 1);
	st.sync.state = SYNC_CONNECTING;
	assert_int_equal(cli_status_step(&st), 1);
}

/* R322, R323: what failed, why, and what can be done about it. */
static void test_text(void **state)
{
	struct cli_status st = standing(SYNC_OFFLINE);
	struct buf out = BUF_INIT(65536);
	static const char *const wanted[] = {
		"alice@example.org:993 on /home/user/Mail\n",
		"offline: no route to host\n",
		"(60s)\n",
		"next try:    in 30s\n",
		"to be sent:  2 actions (2 flags)\n",
		"in writing:  1 file\n",
		"fetching:    3 of 9 messages\n",
		"failed:      1 action\n",
		"  4 upload INBOX/a \"b\"\xff.eml: over quota\\\n",
		"imapfs queue /home/user/Mail retry N",
		"imapfs queue /home/user/Mail drop N",
		"imapfs queue /home/user/Mail retarget N MAILBOX",
	};

	(void)state;
	st.actions = actions;
	st.action_count = 3;
	st.open_files = 1;
	st.sync.next_try_ms = NOW_MS + 30000;
	st.sync.bodies_done = 3;
	st.sync.bodies_total = 9;
	(void)snprintf(st.sync.reason, sizeof(st.sync.reason), "no route to host");
	cli_status_text(&st, &out);
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		if (strstr(out.data, wanted[i]) == NULL)
			fail_msg("\"%s\" is not in\n%s", wanted[i], out.data);
	buf_release(&out);
}

static void test_text_in_step(void **state)
{
	struct cli_status st = standing(SYNC_IN_STEP);
	struct buf out = BUF_INIT(65536);

	(void)state;
	cli_status_text(&st, &out);
	assert_non_null(strstr(out.data, "\nin step with the server\n"));
	assert_non_null(strstr(out.data, "to be sent:  0 actions\n"));
	assert_null(strstr(out.data, "failed"));
	assert_null(strstr(out.data, "next try"));
	buf_release(&out);
}

static void test_json(void **state)
{
	struct cli_status st = standing(SYNC_OFFLINE);
	struct buf out = BUF_INIT(65536);
	static const char *const wanted[] = {
		"  \"account\": \"alice@example.org:993\",\n",
		"  \"state\": \"offline\",\n  \"reason\": null,\n",
		"\"pending\": {\"total\": 2, \"upload\": 0,",
		"\"flags\": 2",
		"{\"seq\": 4, \"kind\": \"upload\", \"path\": \"INBOX/a "
		"\\\"b\\\"\xef\xbf\xbd.eml\", "
		"\"tries\": 2, \"error\": \"over quota\\\\\"}\n  ],\n",
		"  \"exit_status\": 2\n}\n",
	};

	(void)state;
	st.actions = actions;
	st.action_count = 3;
	cli_status_json(&st, &out);
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		if (strstr(out.data, wanted[i]) == NULL)
			fail_msg("\"%s\" is not in\n%s", wanted[i], out.data);
	buf_release(&out);
}

/* Any bytes give a string that a JSON parser takes: fed from blocks of exact size. */
static void test_json_strings(void **state)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
		{ "plain", "\"plain\"" },
		{ "", "\"\"" },
		{ NULL, "null" },
		{ "\"\\\n\t\x01\x7f", "\"\\\"\\\\\\u000a\\u0009\\u0001\\u007f\"" },
		{ "\xc3\xa4\xe5\x8f\x97\xf0\x9f\x93\xa7",
		  "\"\xc3\xa4\xe5\x8f\x97\xf0\x9f\x93\xa7\"" },
		{ "\xc3", "\"\xef\xbf\xbd\"" },
		{ "\xe5\x8f", "\"\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ "\xc0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ "\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ "\xe0\x80\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ "\xf5\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ "a\xff z", "\"a\xef\xbf\xbd z\"" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *exact = rows[i].in != NULL ? strdup(rows[i].in) : NULL;
		struct buf out = BUF_INIT(1024);

		assert_int_equal(json_string(&out, exact), 0);
		assert_string_equal(out.data, rows[i].out);
		buf_release(&out);
		free(exact);
	}
}

static void test_words(void **state)
{
	(void)state;
	for (int s = SYNC_OFFLINE; s <= SYNC_IN_STEP; s++) {
		assert_string_not_equal(cli_sync_word((enum sync_state)s), "unknown");
		assert_string_not_equal(cli_sync_phrase((enum sync_state)s), "unknown");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exit_status),  cmocka_unit_test(test_text),
		cmocka_unit_test(test_text_in_step), cmocka_unit_test(test_json),
		cmocka_unit_test(test_json_strings), cmocka_unit_test(test_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
