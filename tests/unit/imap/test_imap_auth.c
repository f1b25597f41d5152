/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "session_test.h"

static const char *password = "p";

static int give_password(void *ctx, char *out, size_t cap, struct err_reason *why)
{
	(void)ctx;
	(void)why;
	snprintf(out, cap, "%s", password);
	return 0;
}

/* Opens with each byte by itself or not; 0 and *out, or the error that is wanted. */
static void open_wants(const char *const *steps, unsigned flags, int want,
                       struct imap_session **out, const char *disable)
{
	struct scripted *server = scripted_start(steps, flags, NULL);
	struct imap_options opt = session_options(server);
	struct imap_session *s = NULL;
	struct err_reason why = { "" };
	int r;

	opt.password = give_password;
	opt.disable = disable;
	r = imap_session_open(&opt, &s, &why);
	if (r != want)
		fail_msg("%d instead of %d: %s", r, want, why.text);
	if (want == 0)
		assert_int_equal(imap_session_state(s), IMAP_STATE_AUTHENTICATED);
	else
		assert_true(why.text[0] != '\0');
	if (out != NULL)
		*out = s;
	else
		imap_session_close(&s);
	scripted_finish(&server);
}

static void both_ways(const char *const *steps, int want)
{
	open_wants(steps, 0, want, NULL, NULL);
	open_wants(steps, SCRIPTED_BYTEWISE, want, NULL, NULL);
}

#define BYE "C A2 LOGOUT", "S * BYE", "S A2 OK", "E", NULL
#define BYE3 "C A3 LOGOUT", "S * BYE", "S A3 OK", "E", NULL

/* R159: no CAPABILITY where the greeting has told; R160: none where the OK has told */
static void test_codes_are_enough(void **state)
{
	static const char *const steps[] = { SIGN_IN(CAPS), BYE };

	(void)state;
	both_ways(steps, 0);
}

/* R160: the list from before does not hold afterwards */
static void test_capabilities_after(void **state)
{
	static const char *const steps[] = {
		"S * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN MOVE] hi",
		"C A1 AUTHENTICATE PLAIN " PLAIN_UP,
		"S A1 OK [CAPABILITY IMAP4rev1 UIDPLUS LOGINDISABLED] in",
		"X",
		NULL,
	};
	struct imap_session *s;

	(void)state;
	open_wants(steps, 0, 0, &s, NULL);
	assert_true(imap_session_has(s, "UIDPLUS"));
	assert_true(imap_session_has(s, "uidplus"));
	assert_false(imap_session_has(s, "MOVE"));
	imap_session_close(&s);
}

/* R284: the number that comes with a capability, where it is one */
static void test_capability_number(void **state)
{
	static const char *const steps[] = {
		"S * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] hi",
		"C A1 AUTHENTICATE PLAIN " PLAIN_UP,
		"S A1 OK [CAPABILITY IMAP4rev1 APPENDLIMIT=35651584 X=1x Y= Z UTF8=ACCEPT"
		" W=9999999999999999999] in",
		"X",
		NULL,
	};
	struct imap_session *s;
	uint64_t n = 7;

	(void)state;
	open_wants(steps, 0, 0, &s, NULL);
	assert_true(imap_session_number(s, "APPENDLIMIT", &n));
	assert_int_equal(n, 35651584);
	n = 7;
	for (const char *const *w =
	             (const char *const[]){ "X", "Y", "Z", "UTF8", "W", "APPEND", NULL };
	     *w; w++)
		assert_false(imap_session_number(s, *w, &n));
	assert_int_equal(n, 7);
	imap_session_close(&s);
}

static void test_capabilities_untagged(void **state)
{
	static const char *const steps[] = {
		"S * OK hi",
		"C A1 CAPABILITY",
		"S * CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR",
		"S A1 OK",
		"C A2 AUTHENTICATE PLAIN " PLAIN_UP,
		"S * CAPABILITY IMAP4rev1 UIDPLUS",
		"S A2 OK in",
		BYE3,
	};

	(void)state;
	both_ways(steps, 0);
}

/* R160: one CAPABILITY, where nothing has been told */
static void test_capabilities_asked(void **state)
{
	static const char *const steps[] = {
		"S * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] hi",
		"C A1 AUTHENTICATE PLAIN " PLAIN_UP,
		"S A1 OK in",
		"C A2 CAPABILITY",
		"S * CAPABILITY IMAP4rev1 IDLE",
		"S A2 OK",
		BYE3,
	};

	(void)state;
	both_ways(steps, 0);
}

/* R219: letter case means nothing */
static void test_mixed_case(void **state)
{
	static const char *const steps[] = {
		"S * ok [Capability imap4REV1 auth=Plain Sasl-ir] hi",
		"C A1 AUTHENTICATE PLAIN " PLAIN_UP,
		"S A1 oK [caPability imap4rev1] in",
		BYE,
	};

	(void)state;
	both_ways(steps, 0);
}

static void test_without_initial_response(void **state)
{
	static const char *const steps[] = {
		"S * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hi",
		"C A1 AUTHENTICATE PLAIN",
		"N 50",
		"S +",
		"C " PLAIN_UP,
		"S A1 OK [CAPABILITY IMAP4rev1] in",
		BYE,
	};

	(void)state;
	both_ways(steps, 0);
}

/* A second "+" is no part of PLAIN: it is broken off. */
static void test_challenge_too_many(void **state)
{
	static const char *const steps[] = {
		"S * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR LOGINDISABLED] hi",
		"C A1 AUTHENTICATE PLAIN " PLAIN_UP,
		"S + more",
		"C *",
		"S A1 BAD cancelled",
		"E",
		NULL,
	};

	(void)state;
	both_ways(steps, ERR_AUTH);
}

static void test_login(void **state)
{
	static const char *const steps[] = {
		"S * OK [CAPABILITY IMAP4rev1] hi",
		"C A1 LOGIN u \"a \\\"b\\\\\"",
		"S A1 OK [CAPABILITY IMAP4rev1] in",
		BYE,
	};

	(void)state;
	password = "a \"b\\";
	both_ways(steps, 0);
	password = "p";
}

static void test_login_literal(void **state)
{
	static const char *const steps[] = {
		"S * OK [CAPABILITY IMAP4rev1] hi",
		"C A1 LOGIN u {2}",
		"N 50",
		"S + go",
		"C \xc3\xa4",
		"S A1 OK [CAPABILITY IMAP4rev1] in",
		BYE,
	};

	(void)state;
	password = "\xc3\xa4";
	both_ways(steps, 0);
	password = "p";
}

/* R311: no LOGIN where LOGINDISABLED is offered */
static void test_login_disabled(void **state)
{
	static const char *const steps[] = {
		"S * OK [CAPABILITY IMAP4rev1 LOGINDISABLED AUTH=GSSAPI] hi",
		"E",
		NULL,
	};

	(void)state;
	both_ways(steps, ERR_AUTH);
}

static void test_bad_means_login(void **state)
{
	static const char *const steps[] = {
		"S * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hi",
		"C A1 AUTHENTICATE PLAIN",
		"S A1 BAD what?",
		"C A2 LOGIN u p",
		"S A2 OK [CAPABILITY IMAP4rev1] in",
		BYE3,
	};

	(void)state;
	both_ways(steps, 0);
}

static void test_disabled_words(void **state)
{
	static const char *const steps[] = {
		"S * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] hi",
		"C A1 LOGIN u p",
		"S A1 OK [CAPABILITY IMAP4rev1 MOVE QRESYNC] in",
		"X",
		NULL,
	};
	struct imap_session *s;

	(void)state;
	open_wants(steps, 0, 0, &s, "AUTH=PLAIN qresync");
	assert_true(imap_session_has(s, "MOVE"));
	assert_false(imap_session_has(s, "QRESYNC"));
	imap_session_close(&s);
}

static void test_preauth(void **state)
{
	static const char *const steps[] = {
		"S * PREAUTH [CAPABILITY IMAP4rev1] hi",
		"C A1 LOGOUT",
		"S * BYE",
		"S A1 OK",
		"E",
		NULL,
	};

	(void)state;
	both_ways(steps, 0);
}

/* R280: a refusal tells whether the password is wrong or the server is not well */
static void test_refusals(void **state)
{
#define REFUSED(reply)                                                             \
	{                                                                          \
		"S * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] hi",             \
			"C A1 AUTHENTICATE PLAIN " PLAIN_UP, "S " reply, "E", NULL \
	}
	static const char *const rows[][5] = {
		REFUSED("A1 NO [AUTHENTICATIONFAILED] no"),
		REFUSED("A1 NO no"),
		REFUSED("A1 NO [UNAVAILABLE] later"),
		REFUSED("A1 NO [EXPIRED] old"),
		REFUSED("* BYE too many"),
		REFUSED("A1 NO [LIMIT] too many"),
	};
	static const int wants[] = { ERR_AUTH, ERR_AUTH, ERR_BUSY, ERR_AUTH, ERR_BUSY, ERR_BUSY };

	(void)state;
	for (size_t i = 0; i < sizeof(wants) / sizeof(wants[0]); i++)
		both_ways(rows[i], wants[i]);
}

static void test_greetings(void **state)
{
	static const char *const bye[] = { "S * BYE [UNAVAILABLE] later", "E", NULL };
	static const char *const other[] = { "S 220 mail.example ESMTP", "E", NULL };
	static const char *const no[] = { "S * NO what?", "E", NULL };
	static const char *const nothing[] = { "X", NULL };

	(void)state;
	both_ways(bye, ERR_BUSY);
	both_ways(other, ERR_PROTO);
	both_ways(no, ERR_PROTO);
	both_ways(nothing, ERR_OFFLINE);
}

/* A link that is cut at any step is "no connection", whatever was under way. */
static void test_cut_at_each_step(void **state)
{
	static const char *const steps[] = {
		"S * OK hi",
		"C A1 CAPABILITY",
		"S * CAPABILITY IMAP4rev1 AUTH=PLAIN",
		"S A1 OK",
		"C A2 AUTHENTICATE PLAIN",
		"S + ",
		"C " PLAIN_UP,
		"R A2 O",
		"R K in\r",
		"R \n",
		"C A3 CAPABILITY",
		"S * CAPABILITY IMAP4rev1",
	};

	(void)state;
	for (size_t n = 0; n <= sizeof(steps) / sizeof(steps[0]); n++) {
		const char *cut[16];

		memcpy(cut, steps, n * sizeof(steps[0]));
		cut[n] = "X";
		cut[n + 1] = NULL;
		open_wants(cut, 0, ERR_OFFLINE, NULL, NULL);
	}
}

/* A server that talks and never answers does not keep the caller for ever. */
static void test_talkative_server(void **state)
{
	static const char *const steps[] = {
		"S * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] hi",
		"? A1 AUTHENTICATE",
		"W * OK wait",
		NULL,
	};
	struct scripted *server = scripted_start(steps, 0, NULL);
	struct imap_options opt = session_options(server);
	struct imap_session *s = NULL;
	struct err_reason why = { "" };

	(void)state;
	opt.timeout_ms = 300;
	assert_int_equal(imap_session_open(&opt, &s, &why), ERR_TIMEOUT);
	assert_null(s);
	scripted_finish(&server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_codes_are_enough),
		cmocka_unit_test(test_capabilities_after),
		cmocka_unit_test(test_capability_number),
		cmocka_unit_test(test_capabilities_untagged),
		cmocka_unit_test(test_capabilities_asked),
		cmocka_unit_test(test_mixed_case),
		cmocka_unit_test(test_without_initial_response),
		cmocka_unit_test(test_challenge_too_many),
		cmocka_unit_test(test_login),
		cmocka_unit_test(test_login_literal),
		cmocka_unit_test(test_login_disabled),
		cmocka_unit_test(test_bad_means_login),
		cmocka_unit_test(test_disabled_words),
		cmocka_unit_test(test_preauth),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_greetings),
		cmocka_unit_test(test_cut_at_each_step),
		cmocka_unit_test(test_talkative_server),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
