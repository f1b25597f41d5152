/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "imap_session_priv.h"
#include "session_test.h"

#define BYE(tag) "C " tag " LOGOUT", "S * BYE", "S " tag " OK", "E", NULL

/* What untagged data has come, and which mailbox the session said it was about. */
struct seen {
	struct imap_session *s;
	char text[2000];
};

static void note_data(void *ctx, const struct imap_resp *resp)
{
	struct seen *seen = ctx;
	const char *mailbox = imap_session_mailbox(seen->s);
	size_t len = strlen(seen->text);
	const char *what = resp->kind == IMAP_RESP_EXISTS    ? "EXISTS"
	                   : resp->kind == IMAP_RESP_EXPUNGE ? "EXPUNGE"
	                   : resp->code == IMAP_CODE_CLOSED  ? "CLOSED"
	                                                     : "other";

	snprintf(seen->text + len, sizeof(seen->text) - len, "%s %u@%s ", what, resp->number,
	         mailbox != NULL ? mailbox : "-");
}

static void watch(struct imap_session *s, struct seen *seen)
{
	*seen = (struct seen){ .s = s };
	imap_session_set_handler(s, (struct imap_handler){ note_data, seen });
}

static void body_out_of_order(struct imap_session *s)
{
	struct ended e[3];
	struct imap_traffic t;

	session_send(s, "ONE", &e[0]);
	session_send(s, "TWO", &e[1]);
	session_send(s, "THREE", &e[2]);
	assert_int_equal(imap_session_outstanding(s), 3);
	assert_int_equal(imap_session_run(s, 0), 0);
	assert_int_equal(e[0].rank, 2);
	assert_int_equal(e[1].rank, 3);
	assert_int_equal(e[2].rank, 1);
	assert_int_equal(e[1].err, ERR_REFUSED);
	assert_true(e[1].answered && !e[1].unsent);
	imap_session_traffic(s, &t);
	assert_int_equal(t.commands, 4);
	assert_int_equal(t.turnarounds, 2);
}

static void test_out_of_order(void **state)
{
	static const char *const steps[] = {
		SIGN_IN(CAPS), "C A2 ONE", "C A3 TWO",   "C A4 THREE",
		"S A4 OK",     "S A2 OK",  "S A3 NO no", BYE("A5"),
	};

	(void)state;
	session_both_ways(steps, body_out_of_order);
}

static void body_unknown_tag(struct imap_session *s)
{
	assert_int_equal(session_do(s, "NOOP"), 0);
}

static void test_unknown_tag(void **state)
{
	static const char *const steps[] = {
		SIGN_IN(CAPS), "C A2 NOOP", "S A77 BAD who?", "S * BAD Invalid tag",
		"S + what?",   "S A2 OK",   BYE("A3"),
	};

	(void)state;
	session_both_ways(steps, body_unknown_tag);
}

static void body_cut(struct imap_session *s)
{
	struct ended e[2];
	int r;

	session_send(s, "ONE", &e[0]);
	session_send(s, "TWO", &e[1]);
	r = imap_session_run(s, 0);
	assert_true(r == 0 || r == ERR_OFFLINE);
	assert_true(e[0].rank > 0 && e[1].rank > 0);
	assert_true(e[1].answered || e[1].err == ERR_OFFLINE);
	assert_true(!e[0].unsent || e[1].unsent);
}

/* R291: a severed connection ends each command exactly once */
static void test_cut_at_each_byte(void **state)
{
	static const char reply[] = "* 1 EXISTS\r\nA2 OK\r\nA3 OK\r\n";

	(void)state;
	for (size_t n = 0; n < sizeof(reply); n++) {
		char step[64];
		const char *steps[] = { SIGN_IN(CAPS), "C A2 ONE", "C A3 TWO", step, "X", NULL };

		snprintf(step, sizeof(step), "R %.*s", (int)n, reply);
		session_both_ways(steps, body_cut);
	}
}

static void body_silence(struct imap_session *s)
{
	struct ended e;

	session_send(s, "NOOP", &e);
	assert_int_equal(imap_session_run(s, 0), ERR_TIMEOUT);
	assert_int_equal(e.err, ERR_TIMEOUT);
	assert_false(e.answered);
	assert_int_equal(imap_session_state(s), IMAP_STATE_CLOSED);
}

static void test_silence(void **state)
{
	static const char *const steps[] = { SIGN_IN(CAPS), "C A2 NOOP", "E", NULL };
	struct scripted *server = scripted_start(steps, 0, NULL);
	struct imap_session *s = session_open(server);

	(void)state;
	s->timeout_ms = 400; /* not for the sign-in, which a busy machine may delay */
	body_silence(s);
	imap_session_close(&s);
	scripted_finish(&server);
}

static void body_select(struct imap_session *s)
{
	assert_null(imap_session_mailbox(s));
	assert_int_equal(session_select(s, "INBOX"), 0);
	assert_int_equal(imap_session_state(s), IMAP_STATE_SELECTED);
	assert_string_equal(imap_session_mailbox(s), "INBOX");
	assert_int_equal(session_select(s, "Gone"), ERR_NOTFOUND);
	assert_int_equal(imap_session_state(s), IMAP_STATE_AUTHENTICATED);
	assert_null(imap_session_mailbox(s));
	assert_int_equal(session_select(s, "Other"), 0);
	assert_int_equal(session_do(s, "UNSELECT"), 0);
	assert_int_equal(imap_session_state(s), IMAP_STATE_AUTHENTICATED);
	assert_null(imap_session_mailbox(s));
}

/* R291: a second SELECT that is refused leaves nothing selected */
static void test_select(void **state)
{
	static const char *const steps[] = {
		SIGN_IN(CAPS),       "C A2 SELECT INBOX",
		"S * 3 EXISTS",      "S A2 OK [READ-WRITE]",
		"C A3 SELECT Gone",  "S A3 NO [NONEXISTENT] no",
		"C A4 SELECT Other", "S A4 OK",
		"C A5 UNSELECT",     "S A5 OK",
		BYE("A6"),
	};

	(void)state;
	session_both_ways(steps, body_select);
}

static void body_closed(struct imap_session *s)
{
	struct ended e[2];
	struct imap_cmd *cmd = imap_cmd_new("SELECT");
	struct seen seen;

	assert_int_equal(session_do(s, "ENABLE QRESYNC"), 0);
	assert_int_equal(session_select(s, "Old"), 0);
	watch(s, &seen);
	imap_cmd_mailbox(cmd, "New");
	session_send(s, "NOOP", &e[0]);
	session_send_cmd(s, cmd, &e[1]);
	assert_int_equal(imap_session_run(s, 0), 0);
	assert_string_equal(seen.text, "EXISTS 7@Old EXPUNGE 2@Old CLOSED 0@New EXISTS 5@New ");
	assert_string_equal(imap_session_mailbox(s), "New");
}

/* R257, R301: what comes before [CLOSED] is the old mailbox's */
static void test_closed(void **state)
{
	static const char *const steps[] = {
		SIGN_IN(CAPS),
		"C A2 ENABLE QRESYNC",
		"S * ENABLED QRESYNC",
		"S A2 OK",
		"C A3 SELECT Old",
		"S A3 OK",
		"C A4 NOOP",
		"C A5 SELECT New",
		"S * 7 EXISTS",
		"S A4 OK",
		"S * 2 EXPUNGE",
		"S * OK [CLOSED]",
		"S * 5 EXISTS",
		"S A5 OK",
		BYE("A6"),
	};

	(void)state;
	session_both_ways(steps, body_closed);
}

static void body_unsolicited(struct imap_session *s)
{
	struct seen seen;
	int data = 0;

	watch(s, &seen);
	assert_int_equal(session_do(s, "NOOP"), 0);
	for (const char *p = seen.text; (p = strchr(p, '@')) != NULL; p++)
		data++;
	assert_int_equal(data, 9);
}

/* R225, R309: any data at any time; R304: unknown codes mean nothing */
static void test_unsolicited(void **state)
{
	static const char *const steps[] = {
		SIGN_IN(CAPS),
		"C A2 NOOP",
		"S * 4 EXISTS",
		"S * OK [X-WHAT (is \"this\")] eh",
		"S * 2 EXPUNGE",
		"S * 1 FETCH (FLAGS (\\Seen) UID 4)",
		"S * FLAGS (\\Seen)",
		"S * LIST () \"/\" a",
		"S * STATUS a (MESSAGES 1)",
		"S * X-UNKNOWN thing (1 2)",
		"S * SEARCH 1 2",
		"S A2 OK [X-MORE] done",
		BYE("A3"),
	};

	(void)state;
	session_both_ways(steps, body_unsolicited);
}

static void send_in_callback(void *ctx, const struct imap_result *res)
{
	struct imap_session *s = ctx;
	struct imap_cmd *cmd = imap_cmd_new("AGAIN");

	assert_int_equal(res->err, 0);
	assert_int_equal(imap_session_run(s, 0), ERR_INVAL);
	assert_int_equal(imap_session_send(s, &cmd, NULL, NULL), 0);
}

static void body_send_in_callback(struct imap_session *s)
{
	struct imap_cmd *cmd = imap_cmd_new("NOOP");

	assert_int_equal(imap_session_send(s, &cmd, send_in_callback, s), 0);
	assert_int_equal(imap_session_run(s, 0), 0);
}

static void test_send_in_callback(void **state)
{
	static const char *const steps[] = {
		SIGN_IN(CAPS), "C A2 NOOP", "S A2 OK", "C A3 AGAIN", "S A3 OK", BYE("A4"),
	};

	(void)state;
	session_both_ways(steps, body_send_in_callback);
}

static void body_unsendable(struct imap_session *s)
{
	struct imap_cmd *cmd = imap_cmd_new("X");

	imap_cmd_raw(cmd, "a\r\nb");
	assert_int_equal(imap_session_send(s, &cmd, NULL, NULL), ERR_INVAL);
	assert_null(cmd);
	assert_int_equal(imap_session_outstanding(s), 0);
}

static void test_unsendable(void **state)
{
	static const char *const steps[] = { SIGN_IN(CAPS), BYE("A2") };

	(void)state;
	session_both_ways(steps, body_unsendable);
}

static void body_garbage(struct imap_session *s)
{
	struct ended e;

	session_send(s, "NOOP", &e);
	assert_int_equal(imap_session_run(s, 0), ERR_PROTO);
	assert_int_equal(e.err, ERR_PROTO);
}

static void test_garbage(void **state)
{
	static const char *const steps[] = {
		SIGN_IN(CAPS), "C A2 NOOP", "S * 1 FETCH (FLAGS (((", "E", NULL,
	};

	(void)state;
	session_both_ways(steps, body_garbage);
}

static void body_exec_reply(struct imap_session *s)
{
	struct imap_cmd *cmd = imap_cmd_new("APPEND");
	struct imap_resp resp;
	struct err_reason why = { "" };

	assert_int_equal(imap_session_exec(s, &cmd, &resp, &why), 0);
	assert_int_equal(resp.code, IMAP_CODE_APPENDUID);
	assert_int_equal(resp.code_number, 38505);
	imap_resp_release(&resp);
	cmd = imap_cmd_new("CREATE");
	assert_int_equal(imap_session_exec(s, &cmd, &resp, &why), ERR_EXISTS);
	assert_string_equal(why.text, "is there");
	imap_resp_release(&resp);
}

static void test_exec_reply(void **state)
{
	static const char *const steps[] = {
		SIGN_IN(CAPS),
		"C A2 APPEND",
		"S A2 OK [APPENDUID 38505 3955] done",
		"C A3 CREATE",
		"S A3 NO [ALREADYEXISTS] is there",
		BYE("A4"),
	};

	(void)state;
	session_both_ways(steps, body_exec_reply);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_out_of_order),     cmocka_unit_test(test_unknown_tag),
		cmocka_unit_test(test_cut_at_each_byte), cmocka_unit_test(test_silence),
		cmocka_unit_test(test_select),           cmocka_unit_test(test_closed),
		cmocka_unit_test(test_unsolicited),      cmocka_unit_test(test_send_in_callback),
		cmocka_unit_test(test_unsendable),       cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_exec_reply),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
