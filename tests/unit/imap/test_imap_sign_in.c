/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "session_test.h"

/* Which way is taken, and which is not. */

#define HELLO(caps) "S * OK [CAPABILITY IMAP4rev1 " caps "] hi"
#define IN(tag) "S " tag " OK [CAPABILITY IMAP4rev1] in"
#define BYE(tag) "C " tag " LOGOUT", "S * BYE", "S " tag " OK", "E", NULL
#define CRAM_ASKS "S + PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+"

static struct {
	char known[IMAP_MECHANISM_MAX], noted[IMAP_MECHANISM_MAX];
	int passwords, tokens;
	const char *token[3];
} mind;

static struct test_cert ca, good;
static char cafile[64];

static int give_password(void *ctx, char *out, size_t cap, struct err_reason *why)
{
	(void)ctx;
	mind.passwords++;
	if (cap < 2)
		return err_set(why, ERR_AUTH, "no room");
	snprintf(out, cap, "p");
	return 0;
}

static int give_token(void *ctx, bool refused, char *out, size_t cap, struct err_reason *why)
{
	(void)ctx;
	assert_int_equal(refused, mind.tokens > 0);
	if (refused)
		assert_string_equal(out, mind.token[mind.tokens - 1]);
	if (mind.token[mind.tokens] == NULL)
		return err_set(why, ERR_AUTH, "no token is left");
	snprintf(out, cap, "%s", mind.token[mind.tokens++]);
	return 0;
}

static void recall(void *ctx, char out[IMAP_MECHANISM_MAX])
{
	(void)ctx;
	memcpy(out, mind.known, IMAP_MECHANISM_MAX);
}

static void note(void *ctx, const char *mechanism)
{
	(void)ctx;
	snprintf(mind.noted, sizeof(mind.noted), "%s", mechanism);
}

static int forget(void **state)
{
	(void)state;
	memset(&mind, 0, sizeof(mind));
	return 0;
}

/* Opens; `by`: what it signed in by, or NULL with `says`, what the reason has to hold. */
static void opens(const char *const *steps, struct imap_options opt, const char *by,
                  const char *says)
{
	bool tls = opt.tls != IMAP_TLS_NONE;
	struct scripted *server = scripted_start(steps, 0, tls ? &good : NULL);
	struct imap_options plain = session_options(server);
	struct imap_session *s = NULL;
	struct imap_facts facts;
	struct err_reason why = { "" };
	int r;

	opt.host = tls ? "localhost" : plain.host;
	opt.port = plain.port;
	opt.user = "u";
	opt.connect_ms = opt.timeout_ms = 5000;
	opt.cafile = cafile;
	opt.password = give_password;
	opt.memory = (struct imap_memory){ recall, note, NULL };
	r = imap_session_open(&opt, &s, &why);
	if (by != NULL) {
		if (r != 0)
			fail_msg("%d %s", r, why.text);
		imap_session_facts(s, &facts);
		assert_string_equal(facts.mechanism, by);
		assert_int_equal(facts.tls[0] != '\0', tls);
	} else {
		assert_int_equal(r, ERR_AUTH);
		if (strstr(why.text, says) == NULL)
			fail_msg("\"%s\" does not say \"%s\"", why.text, says);
		assert_string_equal(mind.noted, "");
	}
	imap_session_close(&s);
	scripted_finish(&server);
}

static const struct imap_options clear = { .tls = IMAP_TLS_NONE };
static const struct imap_options secure = { .tls = IMAP_TLS_IMPLICIT };

static void test_cram_md5(void **state)
{
	static const char *const steps[] = {
		HELLO("AUTH=PLAIN AUTH=CRAM-MD5 SASL-IR"),
		"C A1 AUTHENTICATE CRAM-MD5",
		CRAM_ASKS,
		"C dSBlZDM2ZDVkZTIxYjZkMWQyOWQ0OGNkN2UwODI3NmJkNA==",
		IN("A1"),
		BYE("A2"),
	};

	(void)state;
	opens(steps, clear, "CRAM-MD5", NULL);
	assert_string_equal(mind.noted, "CRAM-MD5");
}

static void test_login_mechanism(void **state)
{
	static const char *const steps[] = {
		HELLO("AUTH=LOGIN SASL-IR LOGINDISABLED"),
		"C A1 AUTHENTICATE LOGIN",
		"S + VXNlcm5hbWU6",
		"C dQ==",
		"S + UGFzc3dvcmQ6",
		"C cA==",
		IN("A1"),
		BYE("A2"),
	};

	(void)state;
	opens(steps, clear, "LOGIN", NULL);
}

/* The strongest first. */
static void test_order(void **state)
{
	static const char *const steps[] = {
		HELLO("AUTH=PLAIN AUTH=SCRAM-SHA-1 AUTH=CRAM-MD5 AUTH=SCRAM-SHA-256 SASL-IR"),
		"? A1 AUTHENTICATE SCRAM-SHA-256 biws", /* n,, */
		"S A1 NO [UNAVAILABLE] later",
		"E",
		NULL,
	};
	struct scripted *server = scripted_start(steps, 0, NULL);
	struct imap_options opt = session_options(server);
	struct imap_session *s = NULL;

	(void)state;
	assert_int_equal(imap_session_open(&opt, &s, NULL), ERR_BUSY);
	scripted_finish(&server);
}

static const char *const refused_binding[] = {
	"T",
	HELLO("AUTH=SCRAM-SHA-256 AUTH=SCRAM-SHA-256-PLUS AUTH=PLAIN SASL-IR"),
	"? A1 AUTHENTICATE SCRAM-SHA-256-PLUS cD10bHMtZXhwb3J0ZXIs", /* p=tls-exporter, */
	"S A1 NO no",
	"E",
	NULL,
};

/* Over TLS, with something to bind to, what binds.  When it fails, somebody may sit in
 * between: the password is not shown instead.  R311 */
static void test_binding_first(void **state)
{
	static const char *const steps[] = {
		"T",
		HELLO("AUTH=SCRAM-SHA-256 AUTH=SCRAM-SHA-256-PLUS AUTH=PLAIN SASL-IR"),
		"? A1 AUTHENTICATE SCRAM-SHA-256-PLUS cD10bHMtZXhwb3J0ZXIs",
		"S A1 NO no",
		"? A2 AUTHENTICATE SCRAM-SHA-256 biws", /* n,, */
		"S A2 NO nor this",
		"E",
		NULL,
	};
	static const char *const no_other[] = {
		"T",
		HELLO("AUTH=SCRAM-SHA-256-PLUS AUTH=CRAM-MD5 AUTH=PLAIN SASL-IR"),
		"? A1 AUTHENTICATE SCRAM-SHA-256-PLUS cD10bHMtZXhwb3J0ZXIs",
		"S A1 NO no",
		"E",
		NULL,
	};

	(void)state;
	opens(steps, secure, NULL, "nor this");
	assert_int_equal(mind.passwords, 1);
	opens(no_other, secure, NULL, "no");
	/* where it has held before, there is no other way */
	strcpy(mind.known, "SCRAM-SHA-256-PLUS");
	opens(refused_binding, secure, NULL, "no");
}

/* A server that cannot bind is not asked to again, unless the user asks.  R311 */
static void test_binding_that_failed(void **state)
{
	static const char *const steps[] = {
		"T",
		HELLO("AUTH=SCRAM-SHA-256 AUTH=SCRAM-SHA-256-PLUS AUTH=PLAIN SASL-IR"),
		"? A1 AUTHENTICATE SCRAM-SHA-256 biws",
		"S A1 NO wrong",
		"E",
		NULL,
	};
	struct imap_options asked = secure;

	(void)state;
	strcpy(mind.known, "SCRAM-SHA-256 unbound");
	opens(steps, secure, NULL, "wrong");
	asked.auth = "SCRAM-SHA-256-PLUS";
	opens(refused_binding, asked, NULL, "no");
}

/* RFC 5929: where TLS is 1.2 */
static void test_binding_of_old_tls(void **state)
{
	static const char *const steps[] = {
		"T",
		HELLO("AUTH=SCRAM-SHA-256-PLUS SASL-IR"),
		"? A1 AUTHENTICATE SCRAM-SHA-256-PLUS cD10bHMtdW5pcXVl", /* p=tls-unique */
		"S A1 NO no",
		"E",
		NULL,
	};
	struct scripted *server = scripted_start(steps, SCRIPTED_TLS_1_2, &good);
	struct imap_options opt = session_options(server);
	struct imap_session *s = NULL;

	(void)state;
	opt.tls = IMAP_TLS_IMPLICIT;
	opt.host = "localhost";
	opt.cafile = cafile;
	assert_int_equal(imap_session_open(&opt, &s, NULL), ERR_AUTH);
	scripted_finish(&server);
}

/* R311: who could once prove the password does not show it where others listen. */
static void test_no_downgrade(void **state)
{
	static const char *const steps[] = { HELLO("AUTH=PLAIN AUTH=LOGIN SASL-IR"), "E", NULL };
	static const char *const cram[] = { HELLO("AUTH=CRAM-MD5 SASL-IR"), "E", NULL };
	static const char *const allowed[] = {
		HELLO("AUTH=PLAIN SASL-IR"),
		"C A1 AUTHENTICATE PLAIN " PLAIN_UP,
		IN("A1"),
		BYE("A2"),
	};
	struct imap_options asked = clear;

	(void)state;
	strcpy(mind.known, "SCRAM-SHA-256");
	opens(steps, clear, NULL, "no longer offers");
	opens(cram, clear, NULL, "no longer offers");
	strcpy(mind.known, "CRAM-MD5");
	opens(steps, clear, NULL, "no longer offers");
	assert_int_equal(mind.passwords, 0);
	asked.auth = "PLAIN";
	opens(allowed, asked, "PLAIN", NULL);
	assert_string_equal(mind.noted, "PLAIN");
	strcpy(mind.known, "PLAIN");
	opens(allowed, clear, "PLAIN", NULL);
}

/* Within TLS nobody listens, and administrators change their minds. */
static void test_downgrade_within_tls(void **state)
{
	static const char *const steps[] = {
		"T",
		HELLO("AUTH=PLAIN SASL-IR"),
		"C A1 AUTHENTICATE PLAIN " PLAIN_UP,
		IN("A1"),
		BYE("A2"),
	};
	static const char *const bound[] = {
		"T",
		HELLO("AUTH=PLAIN AUTH=SCRAM-SHA-256 SASL-IR"),
		"E",
		NULL,
	};

	(void)state;
	strcpy(mind.known, "SCRAM-SHA-256");
	opens(steps, secure, "PLAIN", NULL);
	/* but what it was bound to could tell somebody in between */
	mind.noted[0] = '\0';
	strcpy(mind.known, "SCRAM-SHA-256-PLUS");
	opens(bound, secure, NULL, "no longer offers");
}

/* A server may have the password in a form that does for PLAIN only. */
static void test_refused_proof(void **state)
{
	static const char *const in_tls[] = {
		"T",
		HELLO("AUTH=CRAM-MD5 AUTH=PLAIN SASL-IR"),
		"C A1 AUTHENTICATE CRAM-MD5",
		CRAM_ASKS,
		"? dSB",
		"S A1 NO [AUTHENTICATIONFAILED] no",
		"C A2 AUTHENTICATE PLAIN " PLAIN_UP,
		IN("A2"),
		BYE("A3"),
	};
	static const char *const in_clear[] = {
		HELLO("AUTH=CRAM-MD5 AUTH=PLAIN SASL-IR"),
		"C A1 AUTHENTICATE CRAM-MD5",
		CRAM_ASKS,
		"? dSB",
		"S A1 NO [AUTHENTICATIONFAILED] no",
		"E",
		NULL,
	};
	static const char *const known[] = {
		"T",
		HELLO("AUTH=CRAM-MD5 AUTH=PLAIN SASL-IR"),
		"C A1 AUTHENTICATE CRAM-MD5",
		CRAM_ASKS,
		"? dSB",
		"S A1 NO [AUTHENTICATIONFAILED] bad password",
		"E",
		NULL,
	};

	(void)state;
	opens(in_tls, secure, "PLAIN", NULL);
	assert_int_equal(mind.passwords, 1);
	mind.noted[0] = '\0';
	opens(in_clear, clear, NULL, "no");
	/* where it has worked before, it is the password that is wrong: one attempt */
	strcpy(mind.known, "CRAM-MD5");
	opens(known, secure, NULL, "bad password");
}

/* A wrong password is said twice at most: nobody is to be locked out for it. */
static void test_attempts_are_few(void **state)
{
	static const char *const steps[] = {
		"T",
		HELLO("AUTH=SCRAM-SHA-256 AUTH=SCRAM-SHA-1 AUTH=CRAM-MD5 AUTH=PLAIN AUTH=LOGIN "
		      "SASL-IR"),
		"? A1 AUTHENTICATE SCRAM-SHA-256",
		"S A1 NO [AUTHENTICATIONFAILED] no",
		"C A2 AUTHENTICATE PLAIN " PLAIN_UP,
		"S A2 NO [AUTHENTICATIONFAILED] still no",
		"E",
		NULL,
	};

	(void)state;
	opens(steps, secure, NULL, "still no");
}

/* A server that cannot prove itself gets no other chance at the password, not within TLS. */
static void test_server_without_proof(void **state)
{
	static const char *const lets_in[] = {
		"T",
		HELLO("AUTH=SCRAM-SHA-256 AUTH=PLAIN SASL-IR"),
		"? A1 AUTHENTICATE SCRAM-SHA-256",
		"S A1 OK in",
		"E",
		NULL,
	};
	static const char *const nonsense[] = {
		"T",
		HELLO("AUTH=SCRAM-SHA-256 AUTH=PLAIN SASL-IR"),
		"? A1 AUTHENTICATE SCRAM-SHA-256",
		"S + cj1vdGhlcixzPWMyRnNkQT09LGk9NDA5Ng==",
		"C *",
		"S A1 NO [AUTHENTICATIONFAILED] cancelled",
		"E",
		NULL,
	};
	static const char *const greedy[] = {
		"T", HELLO("AUTH=PLAIN"), "C A1 AUTHENTICATE PLAIN", "S A1 OK in", "E", NULL,
	};

	(void)state;
	opens(lets_in, secure, NULL, "before SCRAM-SHA-256 is over");
	opens(nonsense, secure, NULL, "");
	opens(greedy, secure, NULL, "before PLAIN is over");
}

static void test_asked_for(void **state)
{
	static const char *const steps[] = {
		HELLO("AUTH=SCRAM-SHA-256 AUTH=PLAIN SASL-IR"),
		"C A1 AUTHENTICATE PLAIN " PLAIN_UP,
		"S A1 NO no",
		"E",
		NULL,
	};
	static const char *const missing[] = { HELLO("AUTH=PLAIN SASL-IR"), "E", NULL };
	struct imap_options opt = clear;

	(void)state;
	opt.auth = "plain";
	opens(steps, opt, NULL, "no");
	opt.auth = "SCRAM-SHA-1";
	opens(missing, opt, NULL, "SCRAM-SHA-1");
	opt.auth = "EXTERNAL"; /* without a certificate it means nothing */
	opens(missing, opt, NULL, "EXTERNAL");
}

/* R305: rev2 has SASL-IR without saying so */
static void test_rev2_has_initial_response(void **state)
{
	static const char *const steps[] = {
		"S * OK [CAPABILITY IMAP4rev2 AUTH=PLAIN] hi",
		"C A1 AUTHENTICATE PLAIN " PLAIN_UP,
		IN("A1"),
		BYE("A2"),
	};

	(void)state;
	opens(steps, clear, "PLAIN", NULL);
}

/* ---- Tokens ---- */

#define X1 "dXNlcj11AWF1dGg9QmVhcmVyIHQxAQE=" /* user=u, Bearer t1 */
#define X2 "dXNlcj11AWF1dGg9QmVhcmVyIHQyAQE="
#define SAD "S + eyJzdGF0dXMiOiI0MDAifQ==" /* {"status":"400"} */

static void test_token(void **state)
{
	static const char *const steps[] = {
		HELLO("AUTH=PLAIN AUTH=XOAUTH2 SASL-IR"),
		"C A1 AUTHENTICATE XOAUTH2 " X1,
		IN("A1"),
		BYE("A2"),
	};
	static const char *const late[] = {
		HELLO("AUTH=XOAUTH2"),
		"C A1 AUTHENTICATE XOAUTH2",
		"S +",
		"C " X1,
		IN("A1"),
		BYE("A2"),
	};
	static const char *const both[] = {
		HELLO("AUTH=XOAUTH2 AUTH=OAUTHBEARER SASL-IR"),
		"? A1 AUTHENTICATE OAUTHBEARER bixhPXUsAWhvc3Q9MTI3",
		IN("A1"),
		BYE("A2"),
	};
	struct imap_options opt = clear;

	(void)state;
	opt.token = give_token;
	mind.token[0] = "t1";
	opens(steps, opt, "XOAUTH2", NULL);
	mind.tokens = 0;
	opens(late, opt, "XOAUTH2", NULL);
	mind.tokens = 0;
	opens(both, opt, "OAUTHBEARER", NULL);
	assert_int_equal(mind.passwords, 0);
}

/* One that has expired is replaced, on the same connection, once. */
static void test_token_expires(void **state)
{
	static const char *const renewed[] = {
		HELLO("AUTH=XOAUTH2 SASL-IR"),
		"C A1 AUTHENTICATE XOAUTH2 " X1,
		SAD,
		"C ",
		"S A1 NO [AUTHENTICATIONFAILED] no",
		"C A2 AUTHENTICATE XOAUTH2 " X2,
		IN("A2"),
		BYE("A3"),
	};
	static const char *const refused[] = {
		HELLO("AUTH=XOAUTH2 AUTH=PLAIN SASL-IR"),
		"C A1 AUTHENTICATE XOAUTH2 " X1,
		SAD,
		"C ",
		"S A1 NO no",
		"C A2 AUTHENTICATE XOAUTH2 " X2,
		SAD,
		"C ",
		"S A2 NO no",
		"E",
		NULL,
	};
	static const char *const unanswered[] = {
		HELLO("AUTH=XOAUTH2 SASL-IR"),
		"C A1 AUTHENTICATE XOAUTH2 " X1,
		"S A1 NO no",
		"E",
		NULL,
	};
	struct imap_options opt = clear;

	(void)state;
	opt.token = give_token;
	mind.token[0] = "t1";
	mind.token[1] = "t2";
	opens(renewed, opt, "XOAUTH2", NULL);
	mind.tokens = 0;
	mind.noted[0] = '\0';
	opens(refused, opt, NULL, "does not accept the token: 400");
	mind.tokens = 0;
	mind.token[1] = NULL;
	opens(unanswered, opt, NULL, "no token is left");
	assert_int_equal(mind.passwords, 0);
}

/* A token with a separator in it could say more than a token may. */
static void test_token_of_odd_bytes(void **state)
{
	static const char *const steps[] = { HELLO("AUTH=XOAUTH2 SASL-IR"), "E", NULL };
	static const char *const odd[] = { "a\001b", "a b", "a\xc3\xa4", "a\r\nb" };
	struct imap_options opt = clear;

	(void)state;
	opt.token = give_token;
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		mind.tokens = 0;
		mind.token[0] = odd[i];
		opens(steps, opt, NULL, "character");
	}
}

/* A password is no token: where tokens are asked for, it stays where it is. */
static void test_token_only(void **state)
{
	static const char *const steps[] = { HELLO("AUTH=PLAIN SASL-IR"), "E", NULL };
	struct imap_options opt = clear;

	(void)state;
	opt.token = give_token;
	opens(steps, opt, NULL, "token");
	assert_int_equal(mind.passwords + mind.tokens, 0);
}

static void test_options(void **state)
{
	static const char pin[] = "sha256:KQgR/joPrpFwAGnWyIJ1QyZXZgz4OAV42Q8bChwyN4c=";
	const struct {
		struct imap_options opt;
		int want;
	} rows[] = {
		{ { .auth = "scram-sha-256" }, 0 },
		{ { .auth = "SCRAM" }, ERR_INVAL },
		{ { .auth = "" }, ERR_INVAL },
		{ { .key = "k" }, ERR_INVAL },
		{ { .key = "k", .cert = "c" }, 0 },
		{ { .cert = "c", .tls = IMAP_TLS_NONE }, ERR_INVAL },
		{ { .pin = pin }, 0 },
		{ { .pin = pin, .tls = IMAP_TLS_NONE }, ERR_INVAL },
		{ { .pin = "sha256:zz" }, ERR_INVAL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err_reason why = { "" };

		assert_int_equal(imap_options_check(&rows[i].opt, &why), rows[i].want);
		assert_int_equal(why.text[0] != '\0', rows[i].want != 0);
	}
}

static int make_certs(void **state)
{
	(void)state;
	ca = cert_make("Test CA", NULL, NULL, -2, 10);
	good = cert_make("localhost", "DNS:localhost", &ca, -1, 5);
	cert_write(&ca, cafile);
	return 0;
}

static int drop_certs(void **state)
{
	(void)state;
	unlink(cafile);
	cert_free(&ca);
	cert_free(&good);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_cram_md5, forget),
		cmocka_unit_test_setup(test_login_mechanism, forget),
		cmocka_unit_test_setup(test_order, forget),
		cmocka_unit_test_setup(test_binding_first, forget),
		cmocka_unit_test_setup(test_binding_that_failed, forget),
		cmocka_unit_test_setup(test_binding_of_old_tls, forget),
		cmocka_unit_test_setup(test_no_downgrade, forget),
		cmocka_unit_test_setup(test_downgrade_within_tls, forget),
		cmocka_unit_test_setup(test_refused_proof, forget),
		cmocka_unit_test_setup(test_attempts_are_few, forget),
		cmocka_unit_test_setup(test_server_without_proof, forget),
		cmocka_unit_test_setup(test_asked_for, forget),
		cmocka_unit_test_setup(test_rev2_has_initial_response, forget),
		cmocka_unit_test_setup(test_token, forget),
		cmocka_unit_test_setup(test_token_expires, forget),
		cmocka_unit_test_setup(test_token_of_odd_bytes, forget),
		cmocka_unit_test_setup(test_token_only, forget),
		cmocka_unit_test_setup(test_options, forget),
	};

	return cmocka_run_group_tests(tests, make_certs, drop_certs);
}
