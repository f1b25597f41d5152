/* SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "clock.h"
#include "session_test.h"

/* A session that waits: for other threads, for the server's pleasure. */

#define BYE(tag) "C " tag " LOGOUT", "S * BYE", "S " tag " OK", "E", NULL
#define SELECTED SIGN_IN(CAPS), "C A2 SELECT INBOX", "S A2 OK"

#define MANY 3000

static void count_body(void *ctx, const struct imap_resp *resp)
{
	if (resp->kind == IMAP_RESP_FETCH)
		*(size_t *)ctx += resp->fetch->bodies[0].len;
}

/* R113: a server that does not read while it writes, small buffers, 3,000 commands at once */
static void test_no_deadlock(void **state)
{
	static const char *const steps[] = { SIGN_IN(CAPS), "P 3000 4000", "E", NULL };
	struct scripted *server = scripted_start(steps, SCRIPTED_SMALL_BUFFERS, NULL);
	struct imap_session *s = session_open(server);
	struct ended *e = calloc(MANY, sizeof(*e));
	char text[200];
	size_t bytes = 0;

	(void)state;
	imap_session_set_handler(s, (struct imap_handler){ count_body, &bytes });
	for (int i = 0; i < MANY; i++) {
		snprintf(text, sizeof(text), "UID FETCH %d (UID BODY.PEEK[]) %0100d", i, 0);
		session_send(s, text, &e[i]);
	}
	assert_int_equal(imap_session_run(s, 0), 0);
	for (int i = 0; i < MANY; i++)
		assert_int_equal(e[i].rank > 0 ? e[i].err : -1, 0);
	assert_int_equal(bytes, MANY * 4000);
	imap_session_close(&s);
	scripted_abandon(&server);
	free(e);
}

static void *interrupt_soon(void *s)
{
	usleep(100000);
	imap_session_interrupt(s);
	return NULL;
}

static void body_interrupted(struct imap_session *s)
{
	struct ended e;
	pthread_t thread;

	session_send(s, "SLOW", &e);
	pthread_create(&thread, NULL, interrupt_soon, s);
	assert_int_equal(imap_session_run(s, 0), ERR_CANCELED);
	pthread_join(thread, NULL);
	assert_int_equal(e.rank, 0);
	assert_int_equal(imap_session_state(s), IMAP_STATE_AUTHENTICATED);
	assert_int_equal(imap_session_run(s, 0), 0);
	assert_int_equal(e.err, 0);
	/* one that comes while nobody waits is for the next who does, and for no other */
	imap_session_interrupt(s);
	assert_int_equal(imap_session_run(s, 0), ERR_CANCELED);
	assert_int_equal(imap_session_run(s, 0), 0);
}

static void test_interrupt(void **state)
{
	static const char *const steps[] = {
		SIGN_IN(CAPS), "C A2 SLOW", "N 1500", "S A2 OK", BYE("A3"),
	};

	(void)state;
	session_both_ways(steps, body_interrupted);
}

static int64_t give_slowly(void *ctx, uint64_t offset, char *dst, size_t cap)
{
	(void)ctx;
	(void)offset;
	memset(dst, 'x', cap);
	return (int64_t)cap;
}

static void body_exec_interrupted(struct imap_session *s)
{
	struct imap_cmd *cmd = imap_cmd_new("SLOW");
	struct imap_resp resp;
	pthread_t thread;

	pthread_create(&thread, NULL, interrupt_soon, s);
	assert_int_equal(imap_session_exec(s, &cmd, &resp, NULL), ERR_CANCELED);
	pthread_join(thread, NULL);
	assert_int_equal(session_do(s, "NOOP"), 0);
	/* nothing of it has been sent, nothing of it will be */
	imap_session_interrupt(s);
	assert_int_equal(session_do(s, "NEVER"), ERR_CANCELED);
	assert_int_equal(imap_session_outstanding(s), 0);
	/* its caller takes the message away with it: no half of one may stay */
	cmd = imap_cmd_new("APPEND");
	imap_cmd_mailbox(cmd, "Box");
	imap_cmd_literal(cmd, 2 << 20, give_slowly, NULL);
	pthread_create(&thread, NULL, interrupt_soon, s);
	assert_int_equal(imap_session_exec(s, &cmd, NULL, NULL), ERR_CANCELED);
	pthread_join(thread, NULL);
	assert_int_equal(imap_session_state(s), IMAP_STATE_CLOSED);
}

static void test_exec_interrupted(void **state)
{
	static const char *const steps[] = {
		SIGN_IN(CAPS), "C A2 SLOW", "C A3 NOOP",
		"S A2 OK",     "S A3 OK",   "C A5 APPEND Box {2097152}",
		"E",           NULL,
	};

	(void)state;
	session_both_ways(steps, body_exec_interrupted);
}

static void body_idle_data(struct imap_session *s)
{
	assert_int_equal(session_select(s, "INBOX"), 0);
	assert_int_equal(imap_session_idle(s, 5000), 1);
	assert_int_equal(imap_session_state(s), IMAP_STATE_SELECTED);
	assert_int_equal(session_do(s, "NOOP"), 0);
}

/* R310: between "+" and the tagged OK nothing but DONE; DONE never before "+" */
static void test_idle_data(void **state)
{
	static const char *const steps[] = {
		SELECTED,     "C A3 IDLE",    "N 50",
		"S + idling", "N 50",         "S * OK Still here",
		"N 50",       "S * 4 EXISTS", "C DONE",
		"N 50",       "S * 5 EXISTS", "S A3 OK",
		"C A4 NOOP",  "S A4 OK",      BYE("A5"),
	};

	(void)state;
	session_both_ways(steps, body_idle_data);
}

static void body_idle_early_data(struct imap_session *s)
{
	assert_int_equal(session_select(s, "INBOX"), 0);
	assert_int_equal(imap_session_idle(s, 5000), 1);
}

static void test_idle_early_data(void **state)
{
	static const char *const steps[] = {
		SELECTED, "C A3 IDLE", "S * 4 EXISTS", "N 50",
		"S +",    "C DONE",    "S A3 OK",      BYE("A4"),
	};

	(void)state;
	session_both_ways(steps, body_idle_early_data);
}

static void body_idle_quiet(struct imap_session *s)
{
	pthread_t thread;

	assert_int_equal(session_select(s, "INBOX"), 0);
	assert_int_equal(imap_session_idle(s, 100), 0);
	pthread_create(&thread, NULL, interrupt_soon, s);
	assert_int_equal(imap_session_idle(s, 5000), ERR_CANCELED);
	pthread_join(thread, NULL);
	assert_int_equal(imap_session_state(s), IMAP_STATE_SELECTED);
	assert_int_equal(imap_session_idle(s, 5000), ERR_REFUSED);
	assert_int_equal(imap_session_state(s), IMAP_STATE_SELECTED);
	assert_int_equal(imap_session_idle(s, 5000), ERR_BUSY);
}

static void test_idle_quiet(void **state)
{
	static const char *const steps[] = {
		SELECTED,
		"C A3 IDLE",
		"S +",
		"C DONE",
		"S A3 OK",
		"C A4 IDLE",
		"S +",
		"C DONE",
		"S A4 OK",
		"C A5 IDLE",
		"S A5 NO not now",
		"C A6 IDLE",
		"S + idling",
		"S * BYE shutting down",
		"E",
		NULL,
	};

	(void)state;
	session_both_ways(steps, body_idle_quiet);
}

static void send_in_idle(void *ctx, const struct imap_resp *resp)
{
	struct imap_cmd *cmd = imap_cmd_new("NOOP");
	struct imap_session *s = ctx;

	if (resp->kind == IMAP_RESP_EXISTS)
		assert_int_equal(imap_session_send(s, &cmd, NULL, NULL), 0);
	else
		imap_cmd_free(&cmd);
}

static void body_send_in_idle(struct imap_session *s)
{
	assert_int_equal(session_select(s, "INBOX"), 0);
	imap_session_set_handler(s, (struct imap_handler){ send_in_idle, s });
	assert_int_equal(imap_session_idle(s, 5000), 1);
	assert_int_equal(imap_session_idle(s, 5000), ERR_INVAL);
	assert_int_equal(imap_session_run(s, 0), 0);
}

/* R310: a command that a handler queues waits for the IDLE's end */
static void test_send_in_idle(void **state)
{
	static const char *const steps[] = {
		SELECTED, "C A3 IDLE", "S +",       "S * 4 EXISTS", "C DONE",
		"N 50",   "S A3 OK",   "C A4 NOOP", "S A4 OK",      BYE("A5"),
	};

	(void)state;
	session_both_ways(steps, body_send_in_idle);
}

static void *abort_soon(void *s)
{
	usleep(100000);
	imap_session_abort(s);
	return NULL;
}

/* A server that owes the end of IDLE holds nobody who gives the session up. */
static void test_abort(void **state)
{
	static const char *const steps[] = { SELECTED, "C A3 IDLE", "E", NULL };
	struct scripted *server = scripted_start(steps, 0, NULL);
	struct imap_session *s = session_open(server);
	pthread_t thread;

	(void)state;
	assert_int_equal(session_select(s, "INBOX"), 0);
	pthread_create(&thread, NULL, abort_soon, s);
	assert_int_equal(imap_session_idle(s, 60000), ERR_CANCELED);
	pthread_join(thread, NULL);
	assert_int_equal(imap_session_state(s), IMAP_STATE_CLOSED);
	imap_session_close(&s);
	scripted_finish(&server);
}

static void test_abort_before(void **state)
{
	static const char *const steps[] = { SELECTED, "E", NULL };
	struct scripted *server = scripted_start(steps, 0, NULL);
	struct imap_session *s = session_open(server);

	(void)state;
	assert_int_equal(session_select(s, "INBOX"), 0);
	imap_session_abort(s);
	assert_int_equal(imap_session_idle(s, 60000), ERR_CANCELED);
	assert_int_equal(imap_session_state(s), IMAP_STATE_CLOSED);
	imap_session_close(&s);
	scripted_finish(&server);
}

static void test_idle_not_offered(void **state)
{
	static const char *const steps[] = {
		SIGN_IN("IMAP4rev1 AUTH=PLAIN SASL-IR"),
		"C A2 SELECT INBOX",
		"S A2 OK",
		BYE("A3"),
	};
	struct scripted *server = scripted_start(steps, 0, NULL);
	struct imap_session *s = session_open(server);

	(void)state;
	assert_int_equal(session_select(s, "INBOX"), 0);
	assert_int_equal(imap_session_idle(s, 100), ERR_INVAL);
	imap_session_close(&s);
	scripted_finish(&server);
}

/* A LOGOUT that nobody answers costs half a second, not more. */
static void test_close_is_bounded(void **state)
{
	static const char *const steps[] = { SIGN_IN(CAPS), "C A2 LOGOUT", "E", NULL };
	struct scripted *server = scripted_start(steps, 0, NULL);
	struct imap_session *s = session_open(server);
	int64_t start = clock_mono_ms();

	(void)state;
	imap_session_interrupt(s);
	imap_session_close(&s);
	assert_null(s);
	imap_session_close(&s);
	assert_true(clock_mono_ms() - start < 5000);
	scripted_finish(&server);
}

static void test_close_ends_commands(void **state)
{
	static const char *const steps[] = { SIGN_IN(CAPS), "E", NULL };
	struct scripted *server = scripted_start(steps, 0, NULL);
	struct imap_session *s = session_open(server);
	struct ended e;

	(void)state;
	session_send(s, "NOOP", &e);
	imap_session_close(&s);
	assert_int_equal(e.err, ERR_OFFLINE);
	assert_true(e.unsent && !e.answered);
	scripted_finish(&server);
}

static void body_truncated(struct imap_session *s)
{
	size_t bytes = 0;

	imap_session_set_handler(s, (struct imap_handler){ count_body, &bytes });
	assert_int_equal(session_do(s, "FETCH"), 0);
	assert_int_equal(bytes, 10);
}

/* A literal over the ceiling is dropped while it comes, and what follows is understood. */
static void test_literal_over_limit(void **state)
{
	static const char *const steps[] = {
		SIGN_IN(CAPS), "C A2 FETCH", "R * 1 FETCH (BODY[] {3000000}\r\n",
		"Z 3000000",   "S  UID 7)",  "R * 2 FETCH (BODY[] {10}\r\n",
		"Z 10",        "S )",        "S A2 OK",
		BYE("A3"),
	};
	struct scripted *server = scripted_start(steps, 0, NULL);
	struct imap_options opt = session_options(server);
	struct imap_session *s = NULL;

	(void)state;
	opt.limits = imap_limits_default;
	opt.limits.literal_bytes = 1000;
	assert_int_equal(imap_session_open(&opt, &s, NULL), 0);
	body_truncated(s);
	imap_session_close(&s);
	scripted_finish(&server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_deadlock),
		cmocka_unit_test(test_interrupt),
		cmocka_unit_test(test_exec_interrupted),
		cmocka_unit_test(test_idle_data),
		cmocka_unit_test(test_idle_early_data),
		cmocka_unit_test(test_idle_quiet),
		cmocka_unit_test(test_send_in_idle),
		cmocka_unit_test(test_abort),
		cmocka_unit_test(test_abort_before),
		cmocka_unit_test(test_idle_not_offered),
		cmocka_unit_test(test_close_is_bounded),
		cmocka_unit_test(test_close_ends_commands),
		cmocka_unit_test(test_literal_over_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
