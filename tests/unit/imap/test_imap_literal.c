/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "session_test.h"

/* Literals: who waits for "+", and what happens to the bytes. */

#define BYE(tag) "C " tag " LOGOUT", "S * BYE", "S " tag " OK", "E", NULL

static int64_t give_x(void *ctx, uint64_t offset, char *dst, size_t cap)
{
	size_t *calls = ctx;

	(void)offset;
	(*calls)++;
	memset(dst, 'x', cap);
	return (int64_t)cap;
}

static struct imap_cmd *append(uint64_t len, size_t *calls)
{
	struct imap_cmd *cmd = imap_cmd_new("APPEND");

	*calls = 0;
	imap_cmd_mailbox(cmd, "Box");
	imap_cmd_literal(cmd, len, give_x, calls);
	return cmd;
}

static void body_append_small(struct imap_session *s)
{
	struct ended e[2];
	size_t calls[2];

	session_send_cmd(s, append(5, &calls[0]), &e[0]);
	session_send(s, "NOOP", &e[1]);
	assert_int_equal(imap_session_run(s, 0), 0);
	assert_int_equal(e[0].err, 0);
	assert_int_equal(calls[0], 1);
	assert_int_equal(e[1].err, 0);
}

#define CAPS_SYNC "IMAP4rev1 AUTH=PLAIN SASL-IR"

/* A server without either extension is asked first; "+" alone will do. */
static void test_synchronising(void **state)
{
	static const char *const steps[] = {
		SIGN_IN(CAPS_SYNC), "C A2 APPEND Box {5}", "N 50",    "R +\r\n",
		"C xxxxx",          "C A3 NOOP",           "S A2 OK", "S A3 OK",
		BYE("A4"),
	};

	(void)state;
	session_both_ways(steps, body_append_small);
}

static void test_literal_plus(void **state)
{
	static const char *const steps[] = {
		SIGN_IN(CAPS), "C A2 APPEND Box {5+}", "C xxxxx", "C A3 NOOP", "S A3 OK", "S A2 OK",
		BYE("A4"),
	};

	(void)state;
	session_both_ways(steps, body_append_small);
}

static void body_refused_literal(struct imap_session *s)
{
	struct ended e[2];
	size_t calls;

	session_send_cmd(s, append(500, &calls), &e[0]);
	session_send(s, "NOOP", &e[1]);
	assert_int_equal(imap_session_run(s, 0), 0);
	assert_int_equal(e[0].err, ERR_TOOBIG);
	assert_int_equal(calls, 0);
	assert_int_equal(e[1].err, 0);
}

/* R228, R285: a NO or BAD before "+" and not one byte of the message is sent; the next
 * command is not hurt */
static void test_refused_literal(void **state)
{
	static const char *const no[] = {
		SIGN_IN(CAPS_SYNC),
		"C A2 APPEND Box {500}",
		"S A2 NO [TOOBIG] no",
		"C A3 NOOP",
		"S A3 OK",
		BYE("A4"),
	};
	static const char *const bad[] = {
		SIGN_IN(CAPS_SYNC),
		"C A2 APPEND Box {500}",
		"S A2 BAD [TOOBIG] no",
		"C A3 NOOP",
		"S A3 OK",
		BYE("A4"),
	};

	(void)state;
	session_both_ways(no, body_refused_literal);
	session_both_ways(bad, body_refused_literal);
}

static void body_4096_and_more(struct imap_session *s)
{
	struct ended e[2];
	size_t calls[2];

	session_send_cmd(s, append(4096, &calls[0]), &e[0]);
	session_send_cmd(s, append(4097, &calls[1]), &e[1]);
	assert_int_equal(imap_session_run(s, 0), 0);
	assert_int_equal(e[0].err, 0);
	assert_int_equal(e[1].err, 0);
}

/* R282: with LITERAL- nothing over 4,096 bytes goes unasked */
static void test_literal_minus(void **state)
{
	static const char *const steps[] = {
		SIGN_IN(CAPS_SYNC " LITERAL-"),
		"C A2 APPEND Box {4096+}",
		"B 4098",
		"C A3 APPEND Box {4097}",
		"N 50",
		"S + go",
		"B 4099",
		"S A2 OK",
		"S A3 OK",
		BYE("A4"),
	};

	(void)state;
	session_both_ways(steps, body_4096_and_more);
}

static void body_a_megabyte(struct imap_session *s)
{
	struct ended e[2];
	size_t calls[2];

	session_send_cmd(s, append(1 << 20, &calls[0]), &e[0]);
	session_send_cmd(s, append((1 << 20) + 1, &calls[1]), &e[1]);
	assert_int_equal(imap_session_run(s, 0), 0);
	assert_int_equal(e[0].err, 0);
	assert_int_equal(e[1].err, 0);
}

/* R228: what is large waits even with LITERAL+, so that the server can refuse it */
static void test_large_literal(void **state)
{
	static const char *const steps[] = {
		SIGN_IN(CAPS),
		"C A2 APPEND Box {1048576+}",
		"B 1048578",
		"S A2 OK",
		"C A3 APPEND Box {1048577}",
		"S + go",
		"B 1048579",
		"S A3 OK",
		BYE("A4"),
	};

	(void)state;
	session_both_ways(steps, body_a_megabyte);
}

static void body_early_reply(struct imap_session *s)
{
	struct ended e[2];
	size_t calls;

	session_send_cmd(s, append(1 << 20, &calls), &e[0]);
	session_send(s, "NOOP", &e[1]);
	assert_int_equal(imap_session_run(s, 0), 0);
	assert_int_equal(e[0].err, ERR_QUOTA);
	assert_int_equal(e[0].rank, 1);
	assert_true(e[0].answered);
	assert_int_equal(e[1].err, 0);
}

/* An answer in the middle of an announced literal: its rest still goes out, or all that
 * follows would be taken for it. */
static void test_early_reply(void **state)
{
	static const char *const steps[] = {
		SIGN_IN(CAPS),
		"C A2 APPEND Box {1048576+}",
		"S A2 NO [OVERQUOTA] full",
		"B 1048578",
		"C A3 NOOP",
		"S A3 OK",
		BYE("A4"),
	};

	(void)state;
	session_both_ways(steps, body_early_reply);
}

static int64_t give_nothing(void *ctx, uint64_t offset, char *dst, size_t cap)
{
	(void)ctx;
	(void)offset;
	(void)dst;
	(void)cap;
	return ERR_IO;
}

static void body_unreadable(struct imap_session *s)
{
	struct imap_cmd *cmd = imap_cmd_new("APPEND");
	struct ended e[2];

	imap_cmd_mailbox(cmd, "Box");
	imap_cmd_literal(cmd, 10, give_nothing, NULL);
	session_send_cmd(s, cmd, &e[0]);
	session_send(s, "NOOP", &e[1]);
	assert_int_equal(imap_session_run(s, 0), ERR_IO);
	assert_int_equal(e[0].err, ERR_IO);
	assert_false(e[0].answered);
	assert_true(e[1].unsent);
}

/* Half a message must never become a message. */
static void test_unreadable_literal(void **state)
{
	static const char *const steps[] = { SIGN_IN(CAPS), "E", NULL };

	(void)state;
	session_both_ways(steps, body_unreadable);
}

static void body_bye(struct imap_session *s)
{
	struct ended e[3];
	size_t calls;

	session_send(s, "ONE", &e[0]);
	session_send_cmd(s, append(2 << 20, &calls), &e[1]);
	session_send(s, "THREE", &e[2]);
	assert_int_equal(imap_session_run(s, 0), ERR_BUSY);
	assert_int_equal(imap_session_state(s), IMAP_STATE_CLOSED);
	assert_true(e[0].answered && e[0].err == 0);
	assert_true(!e[1].answered && !e[1].unsent && e[1].err == ERR_BUSY);
	assert_true(!e[2].answered && e[2].unsent && e[2].err == ERR_BUSY);
	assert_non_null(strstr(imap_session_reason(s)->text, "go away"));
	assert_int_equal(imap_session_run(s, 0), ERR_BUSY);
	assert_int_equal(session_do(s, "NOOP"), ERR_OFFLINE);
}

/* R283: the caller learns that the outcome is open, and of what nothing was sent */
static void test_bye(void **state)
{
	static const char *const steps[] = {
		SIGN_IN(CAPS),
		"C A2 ONE",
		"C A3 APPEND Box {2097152}",
		"S A2 OK",
		"S * BYE [TOOBIG] go away",
		"E",
		NULL,
	};

	(void)state;
	session_both_ways(steps, body_bye);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_synchronising),      cmocka_unit_test(test_literal_plus),
		cmocka_unit_test(test_refused_literal),    cmocka_unit_test(test_literal_minus),
		cmocka_unit_test(test_large_literal),      cmocka_unit_test(test_early_reply),
		cmocka_unit_test(test_unreadable_literal), cmocka_unit_test(test_bye),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
